"""``holdfast backup``: the inventory as one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import context, options, show
from holdfast.inventory import backup as backups
from holdfast.model.errors import OperatorError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backup")(backup)


def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The file to write; it must not be there.")],
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Write a copy of the inventory, while it is in use.

    The copy is one SQLite file, also if the inventory is in PostgreSQL, whole at
    one position of the journal, and has been proved: its pages, its schema and its
    chain of digests. It can be restored into either database.
    """
    destination = destination.absolute()
    with context.open_context() as opened:
        if dry_run:
            _check_place(destination)
            now = opened.store.head()
            if json:
                show.document({"dry_run": True, "file": destination, "epoch": now.epoch, "position": now.position})
            else:
                show.line(f"would write {destination} at position {now.position} or after")
            return
        head = backups.backup(opened.store, destination, rooms=context.rooms())
    if json:
        show.document({"file": destination, "epoch": head.epoch, "position": head.position, "digest": head.digest})
    else:
        show.line(
            f"{destination}: position {head.position} of epoch {head.epoch}, {show.size(destination.stat().st_size)}"
        )


def _check_place(destination: Path) -> None:
    if destination.exists():
        raise OperatorError("is there already", place=str(destination), hint="choose another name")
    if not destination.parent.is_dir():
        raise OperatorError("there is no such folder", place=str(destination.parent))
    if not os.access(destination.parent, os.W_OK):
        raise OperatorError("cannot be written", place=str(destination.parent), hint="is it mounted read-only?")
