"""``holdfast restore``: an inventory from a backup.

What is there is replaced, so without ``--replace`` an inventory that has any
history is not touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import context, options, show
from holdfast.inventory import backup as backups
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.clock import system_clock
from holdfast.model.errors import Conflict, OperatorError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restore")(restore)


def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The file that `holdfast backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the inventory that is there, and all that happened since.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Make an inventory from a backup, in a new epoch.

    The inventory is made where the configuration says. The backup is proved
    before anything is touched. Readers of the journal that have seen more than
    the backup holds are told to start again from a snapshot.
    """
    config = context.load_config()
    path = config.inventory.path
    if not source.is_file():
        raise OperatorError("there is no backup", place=str(source))
    if path.exists() and not replace:
        _check_empty(path)
    if dry_run:
        show.line(f"would restore {source} to {path}{', replacing what is there' if path.exists() else ''}")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    head = backups.restore(source, path, clock=system_clock, actor=context.actor())
    if json:
        show.document({"inventory": path, "epoch": head.epoch, "position": head.position, "digest": head.digest})
    else:
        show.line(f"{path}: position {head.position}, the first of epoch {head.epoch}")


def _check_empty(path: Path) -> None:
    """Conflict if something would be lost: a history, or a file of which we cannot say what it is."""
    try:
        store = SqlStore.open(path)
        try:
            position = store.head().position
        finally:
            store.close()
    except OperatorError as error:
        raise Conflict(f"is in the way and {error.message}", place=str(path), hint="move it away first") from error
    if position:
        raise Conflict(
            f"there is an inventory with {show.plural(position, 'change')}",
            place=str(path),
            hint="back it up, then say --replace",
        )
