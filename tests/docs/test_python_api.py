"""The code of docs/python-api.md does what the page says.

Method: its Python blocks run as one program, in an empty folder.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.model.changes import BYTES_MAX, ROWS_MAX

PAGE = Path(__file__).parents[2] / "docs/python-api.md"


def _program(text: str) -> str:
    """The blocks at the lines where they stand in the page, so that an error names the right one."""
    lines, inside = [], False
    for line in text.split("\n"):
        inside = line == "```python" or (inside and line != "```")
        lines.append(line if inside and line != "```python" else "")
    return "\n".join(lines)


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = _program(PAGE.read_text())
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(program, str(PAGE), "exec"), names)
    assert program.count("assert ") >= 6
    assert (tmp_path / "inventory.sqlite").is_file()


def test_a_page_that_lies_is_caught() -> None:
    with pytest.raises(AssertionError):
        exec(_program("text\n```python\nassert False\n```\n"), {})


def test_the_page_knows_the_limits() -> None:
    said = re.search(r"More than ([\d,]+) rows.* or (\d+) MB", PAGE.read_text())
    assert said is not None
    assert (int(said[1].replace(",", "")), int(said[2]) * 10**6) == (ROWS_MAX, BYTES_MAX)
