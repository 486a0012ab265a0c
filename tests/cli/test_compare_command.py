"""``holdfast compare`` as a command: exit codes, both outputs, class files, and one line for bad input."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from holdfast.cli import compare
from holdfast.model.errors import BadInput

EXPECTED = "path\tsize\tadler32\n/run7/a\t10\t1\n/run7/b\t20\t2\n/run7/c\t30\t3\n/run7/[red]d\t40\t4\n"
ACTUAL = "path\tsize\tadler32\n/run7/a\t10\t1\n/run7/b\t21\t2\n/run7/[red]d\t40\tff\n/dark\t50\t\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    expected, actual = tmp_path / "expected.tsv", tmp_path / "actual.tsv"
    expected.write_text(EXPECTED)
    actual.write_text(ACTUAL)
    return str(expected), str(actual)


def holdfast(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command line in a process of its own."""
    command = [sys.executable, "-m", "holdfast.cli.main", "compare", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_different_listings_in_words(files: tuple[str, str]):
    ran = holdfast(*files)
    assert ran.returncode == 1
    assert ran.stderr == ""
    assert ran.stdout == (
        "class              files  size\n"
        "missing                1  30 B\n"
        "orphan                 1  50 B\n"
        "size_mismatch          1  20 B\n"
        "checksum_mismatch      1  40 B\n"
        "missing: /run7/c\n"
        "orphan: /dark\n"
        "size_mismatch: /run7/b\n"
        "checksum_mismatch: /run7/[red]d\n"
        "4 expected, 4 actual: different\n"
    )


def test_equal_listings_in_words(files: tuple[str, str]):
    ran = holdfast(files[0], files[0])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("\n4 expected, 4 actual: equal\n")


def test_json_has_every_key(files: tuple[str, str]):
    ran = holdfast(*files, "--json")
    assert (ran.returncode, ran.stderr) == (1, "")
    document = json.loads(ran.stdout)
    assert document.pop("seconds") > 0
    counts = {"missing": 1, "orphan": 1, "size_mismatch": 1, "checksum_mismatch": 1}
    none = {"duplicate_expected": 0, "duplicate_actual": 0, "unlisted": 0}
    sizes = {"missing": 30, "orphan": 50, "size_mismatch": 20, "checksum_mismatch": 40, **none}
    assert document == {
        "expected": 4,
        "actual": 4,
        "equal": False,
        "sizes": sizes,
        **counts,
        **none,
        "unlisted_places": 0,
    }
    equal = holdfast(files[0], files[0], "--json")
    assert equal.returncode == 0
    assert json.loads(equal.stdout)["equal"] is True


def test_out_writes_a_file_for_every_class(files: tuple[str, str], tmp_path: Path):
    out = tmp_path / "found" / "here"
    assert holdfast(*files, "--out", str(out)).returncode == 1
    paths = {file.stem: [line.split("\t")[0] for line in file.read_text().splitlines()] for file in out.iterdir()}
    assert paths == {
        "missing": ["path", "/run7/c"],
        "orphan": ["path", "/dark"],
        "size_mismatch": ["path", "/run7/b"],
        "checksum_mismatch": ["path", "/run7/[red]d"],
        "duplicate_expected": ["path"],
        "duplicate_actual": ["path"],
        "unlisted": ["path"],
    }
    # An equal pair into the same folder: nothing of before is left.
    assert holdfast(files[0], files[0], "--out", str(out)).returncode == 0
    assert all(file.read_text().count("\n") == 1 for file in out.iterdir())
    assert len(list(out.iterdir())) == 7


def test_a_duplicate_alone_makes_the_listings_different(files: tuple[str, str], tmp_path: Path):
    twice = tmp_path / "twice.csv"
    twice.write_text("path,size\n/a,1\n/a,1\n")
    once = tmp_path / "once"
    once.write_text("path\tsize\n/a\t1\n")
    for pair in ((twice, once), (once, twice)):
        ran = holdfast(*map(str, pair), "--json")
        assert ran.returncode == 1
        document = json.loads(ran.stdout)
        assert document["duplicate_expected"] + document["duplicate_actual"] == 1
        assert document["missing"] == document["orphan"] == document["size_mismatch"] == 0
    assert "duplicate_expected: /a" in holdfast(str(twice), str(once)).stdout
    assert holdfast(str(twice), str(twice)).returncode == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"path\tbytes\n/a\t1\n", "has no column 'size'"),
        (gzip.compress(b"path\tsize\n/a\t1\n" * 50, mtime=0)[:-9], "truncated"),
        (b"PAR1\x00\x00", "is not a whole Parquet file"),
        (b'{"path": "/a\\nb", "size": 1}\n', "line 1: path '/a\\nb' has the control character U+000A"),
        (b"path\tsize\n/a\t-1\n", "line 2: size '-1'"),
        (b"", "is empty"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(files: tuple[str, str], tmp_path: Path, data: bytes, words: str):
    bad = tmp_path / "bad"
    bad.write_bytes(data)
    out = tmp_path / "out"
    for pair in ((str(bad), files[1]), (files[0], str(bad))):
        ran = holdfast(*pair, "--json", "--out", str(out))
        assert ran.returncode == 2
        assert ran.stdout == ""
        assert ran.stderr.startswith(f"holdfast: error: {bad}")
        assert words in ran.stderr
        assert ran.stderr.count("\n") == 1
        assert not out.exists()


def test_bad_options_are_bad_input(files: tuple[str, str], tmp_path: Path):
    for options in (["--memory-limit", "lots"], ["--threads", "0"], ["--temp-dir", str(tmp_path / "nowhere")]):
        ran = holdfast(*files, *options)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.count("\n") == 1


def test_nothing_is_left_in_the_folder_for_temporary_files(files: tuple[str, str], tmp_path: Path):
    temp = tmp_path / "temp"
    temp.mkdir()
    assert holdfast(*files, "--temp-dir", str(temp)).returncode == 1
    assert holdfast(*files, TMPDIR=str(temp)).returncode == 1
    assert holdfast(files[0], str(temp), TMPDIR=str(temp)).returncode == 2
    assert list(temp.iterdir()) == []


def test_registered_alone_it_raises_our_errors(files: tuple[str, str]):
    """Turning them into a line and a code is the main program's business."""
    app = typer.Typer()
    compare.register(app)
    runner = CliRunner()
    assert runner.invoke(app, [files[0], files[0]]).exit_code == 0
    assert runner.invoke(app, [*files]).exit_code == 1
    failed = runner.invoke(app, [files[0], "/nowhere"])
    assert isinstance(failed.exception, BadInput)
    assert failed.exception.exit_code == 2


def test_help_names_columns_classes_and_exit_codes():
    said = holdfast("--help").stdout
    for word in ("path", "dir", "size", "adler32", "mtime", "orphan", "--out", "--json", "0 equal, 1 different, 2 bad"):
        assert word in said
