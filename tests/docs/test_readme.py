"""The sessions in README.md and some pages of docs/ do what the pages say.

Method: every page's commands run for real, in an empty folder; see
tests/support/console.py for the form.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import console

ROOT = Path(__file__).parents[2]
SESSIONS = ("README.md", "docs/operations.md", "docs/consistency.md", "docs/cleaning.md")
PAGES = [ROOT / name for name in SESSIONS]


@pytest.mark.timeout(600)  # A page is up to thirty commands one after the other: half a minute, if nothing else runs.
@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_page_is_true(page: Path, tmp_path: Path):
    folder = tmp_path / "session"
    folder.mkdir()
    assert len(console.commands(page.read_text())) >= 3, "a page without a session"
    console.run_session(page.read_text(), folder)


def session(*lines: str) -> str:
    return "\n".join(["# Page", "```console", *lines, "```", "text", ""])


@pytest.mark.parametrize(
    "lines",
    [
        ["$ echo a", "b"],
        ["$ echo a"],
        ["$ true", "..a"],
        ["$ false"],
        ["$ true  # exit 1"],
        ["$ echo a; echo b", "a"],
        ["$ echo a; echo b", "...", "a"],
        ["$ echo abc", "a...d"],
    ],
)
def test_a_page_that_lies_is_caught(lines: list[str], tmp_path: Path):
    with pytest.raises(AssertionError, match="line 3"):
        console.run_session(session(*lines), tmp_path)


@pytest.mark.parametrize(
    "lines",
    [
        ["$ echo a", "a"],
        ["$ echo abc >&2", "a...c"],
        ["$ (exit 3)  # exit 3"],
        ["$ seq 9", "1", "...", "9"],
        ["$ true", "..."],
        ["$ cat <<END", "> a", "> b", "> END", "a", "b"],
        ["$ mkdir x && cd x", "$ pwd", ".../x"],
        ["$ echo done  # exit now", "done"],
    ],
)
def test_a_true_page_passes(lines: list[str], tmp_path: Path):
    console.run_session(session(*lines), tmp_path)
    assert console.commands(session(*lines))


def test_a_block_without_a_command_is_refused():
    with pytest.raises(AssertionError, match="begins with"):
        console.commands(session("holdfast compare"))
