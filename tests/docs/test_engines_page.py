"""docs/engines.md: its examples are valid, and it has all that can stand in a template.

Method: each block of TOML is read as a configuration of its own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from holdfast import config
from holdfast.config import templates
from holdfast.operations.engines.mover_files import MoverReport
from support import console

PAGE = (Path(__file__).parents[2] / "docs/engines.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_are_valid(example: str):
    operations = config.parse(example, Path("/etc/h/holdfast.toml"), {}).operations
    assert operations.links or operations.command.template


def test_all_that_can_stand_in_a_template_is_there():
    lacking = [name for name in (*templates.OF_FILE, *templates.OF_BATCH) if f"`{{{name}}}`" not in PAGE]
    assert lacking == []


def test_every_engine_is_there():
    assert [name for name in get_args(config.EngineName) if f"| `{name}` |" not in PAGE] == []


def test_the_report_of_the_page_is_understood(tmp_path: Path):
    [lines] = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "report").write_text(lines)
    wanted = [json.loads(line)["id"] for line in lines.splitlines()]
    assert list(MoverReport(tmp_path / "report").fresh()) == wanted


@pytest.mark.slow
def test_the_session_is_true(tmp_path: Path):
    folder = tmp_path / "session"
    folder.mkdir()
    assert console.commands(PAGE)
    console.run_session(PAGE, folder)
