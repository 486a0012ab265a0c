"""What the pages name is there: commands, their options, and who keeps an invariant.

Method: every `holdfast ...` in backticks is looked up in the commands
themselves, word by word; every `module.name` of the invariants in inventory and model.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.commands import COMMANDS, load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CALL = re.compile(r"`holdfast ([a-z][^`]*[^`:])`")
KEEPER = re.compile(r"`([a-z_]+)\.([a-z_]+)`")


def fault(words: str) -> str:
    """What of ``words``, which follow `holdfast`, no command knows; "" if all is known."""
    name, *others = words.split()
    if name not in COMMANDS:
        return f"command {name}"
    command = load(name)
    for word in others:
        below = getattr(command, "commands", {})
        if word.startswith("--"):
            if word.partition("=")[0] not in options_of(command):
                return f"option {word}"
        elif below and word.islower() and word.isalpha():
            if word not in below:
                return f"command {word}"
            command = below[word]
    return ""


def options_of(command: Any) -> set[str]:
    """All options of a command, long ones."""
    return {"--help"} | {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_commands_of_a_page_are_there(page: Path):
    faults = {words: fault(words) for words in CALL.findall(page.read_text().replace("\n", " "))}
    assert {words: each for words, each in faults.items() if each} == {}


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        ("journal show --json", "command show"),
        ("journal tail --lines", "option --lines"),
        ("chekc", "command chekc"),
        ("journal tail --site NAME", ""),
    ],
)
def test_what_is_not_there_is_found(words: str, unknown: str):
    assert fault(words) == unknown


def test_who_keeps_the_invariants_is_there():
    keepers = KEEPER.findall((ROOT / "docs/invariants.md").read_text())
    assert len(keepers) >= 5
    assert [f"{module}.{name}" for module, name in keepers if not is_there(module, name)] == []


def is_there(module: str, name: str) -> bool:
    """Whether a module of inventory or model has ``name``, as a function or as a module below it."""
    for room in ("inventory", "model"):
        if (ROOT / f"src/holdfast/{room}/{module}/{name}.py").exists():
            return True
        if (ROOT / f"src/holdfast/{room}/{module}.py").exists():
            return hasattr(importlib.import_module(f"holdfast.{room}.{module}"), name)
    return False
