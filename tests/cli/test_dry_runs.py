"""No dry run writes anything: neither the inventory nor the tables of what is carried out; the same in earnest does.

But for checks: that a site was looked at is kept of a dry one, too.

One installation is made, and put back as it was before each command.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from commanding import Commands
from request_world import Sites

WHY = ("--reason", "test")
JOINED = ("delete", "d", "--at", "B", *WHY, "--no-wait", "--block", "0000")
"""Changes nothing in earnest, either: the same was asked for before."""


@pytest.fixture
def sites(commands: Commands) -> Sites:
    """A has d and e, B has d; open are a copy of e to B, one of d to C, and a deletion of d at B; C lacks a file."""
    sites = Sites(commands)
    (sites.folder / "A/more").mkdir()
    (sites.folder / "A/more/g").write_text("more")
    sites("publish", "A/more", "--dataset", "e", "--site", "A")
    sites("copy", "d", "--to", "B")
    sites("copy", "e", "--to", "C")
    (sites.folder / "C/more/g").unlink()
    (sites.folder / "C/dark").write_text("dark")
    sites("copy", "e", "--to", "B", "--no-wait")
    sites("copy", "d", "--to", "C", "--no-wait")
    sites("delete", "d", "--at", "B", *WHY, "--no-wait")
    sites("transfers", "hold", "--site", "C")
    return sites


def tables(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but that of checks."""
    with sqlite3.connect(folder / "inventory.db") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        names.remove("consistency_run")
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr) for name in names}


def commands_of(lock: str) -> list[Sequence[str]]:
    """What has a dry run and concerns copies, deletions and what stands in their way."""
    return [
        ("copy", "e", "--to", "B", "--priority", "5", "--replace"),
        ("copy", "d", "--to", "B", "--no-wait"),
        JOINED,
        ("delete", "e", "--at", "C", *WHY, "--no-wait"),
        ("transfers", "hold", "--site", "B"),
        ("transfers", "release", "--site", "C"),
        ("transfers", "retry", "--site", "B"),
        ("transfers", "cancel", "--site", "B"),
        ("deletions", "hold", "--site", "B"),
        ("deletions", "retry", "--site", "B"),
        ("deletions", "cancel", "--site", "B"),
        ("dataset", "set", "d", "--required-copies", "2"),
        ("lock", "add", "d", *WHY),
        ("lock", "remove", lock),
        ("site", "set", "B", "--status", "waitroom"),
        (
            "check",
            "C",
            "--repair",
            "--delete-orphans",
            "--unconfirmed",
            "--orphan-limit",
            "9",
            "--ignore-age",
            "0",
            "--max-fraction",
            "1",
        ),
    ]


def test_no_dry_run_writes_anything(sites: Sites) -> None:
    lock = sites.json("lock", "add", "e", "--site", "A", *WHY)["id"]
    sites.run("check", "A")  # The first one makes the tables of its room.
    state, kept = sites.folder / "state", sites.folder / "kept"
    shutil.copytree(state, kept)
    before = tables(state)
    assert before["operations_order"]
    for command in commands_of(lock):
        ran = sites.run(*command, "--dry-run")
        assert (command, ran.code, ran.err) == (command, 1 if command[0] == "check" else 0, ran.err)
        assert tables(state) == before, command
        more = () if "--no-wait" in command or command[0] not in ("copy", "check") else ("--no-wait",)
        sites.run(*command, *more)
        assert (tables(state) == before) == (tuple(command) == JOINED), command
        shutil.rmtree(state)
        shutil.copytree(kept, state)
