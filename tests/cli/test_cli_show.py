"""holdfast.cli.show and progress: nothing cut, nothing raw, the same in every pipe.

Method: a terminal is played by saying that standard output is one.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli import progress, show
from holdfast.model import names
from holdfast.model.names import BlockKey

NASTY = "a\nb\x1b[31m\x9b2J\u202etxt\udcff\x7f\u2028"


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_escaped_text_is_one_printable_line(text: str):
    shown = show.escape(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    shown.encode()


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_json_is_ascii_and_reads_back(text: str):
    printed = show.json_text({text: [text]})
    assert printed.isascii()
    assert printed.isprintable()
    assert json.loads(printed) == {text: [text]}


def test_plain_tables_are_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]):
    show.table(("name", "size"), [("x" * 300, "1"), ("y", "1,000"), (NASTY, "")], right=("size",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "name" + " " * 296 + "   size"
    assert lines[1] == "x" * 300 + "      1"
    assert lines[2].endswith("  1,000")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_tables_on_a_terminal_are_folded_not_cut(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    show.table(("name", "size"), [("x" * 100, "1,000"), ("[red]y", ""), (NASTY, "")], right=("size",))
    out = capsys.readouterr().out
    assert out.count("x") == 100 + show.escape(NASTY).count("x")
    assert "[red]y" in out
    assert "\x9b" not in out
    assert "\x1b[31m" not in out


def test_no_rows_are_said_on_standard_error(capsys: pytest.CaptureFixture[str]):
    show.table(("name",), [])
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "none\n")


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2_000_000_000_000, "2.0 TB"),
        (10**18 * 5, "5000.0 PB"),
    ],
)
def test_sizes(n_bytes: int, text: str):
    assert show.size(n_bytes) == text


def test_numbers_and_moments():
    assert show.number(1_234_567) == "1,234,567"
    assert show.plural(1, "file") == "1 file"
    assert show.plural(0, "file") == "0 files"
    assert show.time(None) == ""
    assert show.time_exact(None) is None
    assert show.time_exact(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"


class Colour(Enum):
    RED = "red"


def test_records_become_json_as_commands_take_them():
    key = names.dataset_key("a#1")
    value = {"key": key, "block": BlockKey(key, "b"), "set": {2, 1}, "path": Path("/x"), "colour": Colour.RED, 1: (1,)}
    assert show.jsonable(value) == {
        "key": "a#1",
        "block": "a#1::b",
        "set": [1, 2],
        "path": "/x",
        "colour": "red",
        "1": [1],
    }


def test_moments_of_a_document_are_told_as_moments():
    told = show.with_moments({"started_us": 0, "runs": [{"ended_us": None, "at_us": "x"}], "n": 1, "before": Held(5)})
    assert told == {
        "started": "1970-01-01T00:00:00.000000Z",
        "runs": [{"ended": None, "at_us": "x"}],
        "n": 1,
        "before": {"taken": "1970-01-01T00:00:00.000005Z"},
    }


@dataclass
class Held:
    taken_us: int


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]):
    with progress.progress("Copying", 3) as update:
        update()
        update(2, note="x", total=4)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for unit in ("files", "bytes"):
        with progress.progress("Copying [x]\n", 3, unit=unit) as update:
            update()
            update(completed=2, note="T2\x1b[31m")
            update(total=5)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert r"Copying [x]\n" in printed.err
    assert r"T2\x1b[31m" in printed.err
    with progress.progress("Copying", 3, quiet=True) as update:
        update()
    assert capsys.readouterr().err == ""
