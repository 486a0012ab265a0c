"""Every command and option says what it is for, and means the same by the same words.

`make check` holds that docs/commands.md is what they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.cli import commands, main

STEERING = ("retry", "hold", "release", "cancel")
WORDS = ("halt", "resume", "disable", "mode")
USUAL_WIDTH = 80 - 2 - 6
"""What a terminal of 80 columns leaves for the name of a command and what it is for."""
NAME_WIDTH = max(map(len, commands.COMMANDS))
EVERYWHERE = {"--help", "--install-completion", "--show-completion"}


def every_command() -> Iterator[tuple[Any, str]]:
    """Each command with what one types to run it."""
    root = main.build()
    yield root, "holdfast"
    for name in commands.COMMANDS:
        yield from below(commands.load(name), f"holdfast {name}")


def below(command: Any, path: str) -> Iterator[tuple[Any, str]]:
    yield command, path
    for name, child in getattr(command, "commands", {}).items():
        yield from below(child, f"{path} {name}")


def test_every_command_and_option_has_help():
    silent = [path for command, path in every_command() if not (command.help or "").strip()]
    silent += [
        f"{path} {parameter.opts[0]}"
        for command, path in every_command()
        for parameter in command.params
        if not EVERYWHERE & set(parameter.opts) and not (parameter.help or "").strip()
    ]
    assert silent == []


def test_summaries_begin_what_the_commands_say_themselves():
    for name, entry in commands.COMMANDS.items():
        first = " ".join(commands.load(name).help.split("\n\n")[0].split())
        assert first.startswith(entry.summary.removesuffix(".")), name
        assert entry.summary.endswith(".")


def test_no_summary_is_cut_in_the_help_of_its_group():
    cut = [
        f"{path} {name}"
        for command, path in every_command()
        for name, child in getattr(command, "commands", {}).items()
        if child.get_short_help_str(USUAL_WIDTH - max(map(len, command.commands))).endswith("...")
    ]
    cut += [name for name, entry in commands.COMMANDS.items() if len(entry.summary) > USUAL_WIDTH - NAME_WIDTH]
    assert cut == []


def test_listing_commands_have_json_and_changing_ones_a_dry_run():
    options = {path: options_of(command) for command, path in every_command()}
    for path in (
        "site list",
        "group list",
        "dataset list",
        "lock list",
        "journal tail",
        "journal cursors",
        "whereis",
        "config show",
        *(f"{group} {word}" for group in ("transfers", "deletions") for word in ("list", "show", "watch", "run")),
        *(f"{group} {word}" for group in ("transfers", "deletions") for word in STEERING),
        *(f"consistency {word}" for word in ("states", "history", "show", "findings", *WORDS)),
    ):
        assert "--json" in options[f"holdfast {path}"], path
    changing = (
        "init",
        "site add",
        "site set",
        "site remove",
        "group add",
        "lock add",
        "lock remove",
        "backup",
        "restore",
        "dataset set",
        "delete",
        *(f"{group} {word}" for group in ("transfers", "deletions") for word in STEERING),
        *(f"consistency {word}" for word in WORDS),
    )
    for path in (*changing, "publish", "copy"):
        assert "--dry-run" in options[f"holdfast {path}"], path


def options_of(command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}
