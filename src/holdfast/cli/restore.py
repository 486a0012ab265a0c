"""``holdfast restore``: an inventory from a backup, and the word of a person that its gap is closed.

What is there is replaced, so without ``--replace`` an inventory that has any
history is not touched. What was published after the backup is unknown to the
restored inventory, and would look like orphans: none is deleted until a person
has said ``holdfast restore --confirm``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import apply, context, options, show
from holdfast.inventory import backup as backups
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Head
from holdfast.model.changes import ConfirmRestore
from holdfast.model.clock import system_clock
from holdfast.model.errors import BadInput, Conflict, OperatorError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restore")(restore)


def restore(
    source: Annotated[
        Path | None, typer.Argument(metavar="SRC", help="The file that `holdfast backup` wrote.", show_default=False)
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the inventory that is there, and all that happened since.")
    ] = False,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm", help="Say that all that was published since the backup is registered again, or may go."
        ),
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Make an inventory from a backup, in a new epoch.

    The inventory is made where the configuration says. The backup is proved
    before anything is touched. Readers of the journal that have seen more than
    the backup holds are told to start again from a snapshot.

    What was published after the backup is forgotten, and its files look like
    orphans. So no orphan is deleted after a restore until somebody has published
    again what was published since, and has said so:

    \b
    holdfast restore saved.db --replace
    holdfast publish ...
    holdfast restore --confirm
    """
    if confirm:
        if source is not None or replace:
            raise BadInput("--confirm stands alone", hint="restore SRC first, publish again, then confirm")
        _confirm(dry_run=dry_run, json=json)
    elif source is None:
        raise BadInput("restore needs SRC", hint="the file that `holdfast backup` wrote; or say --confirm")
    else:
        _restore(source, replace=replace, dry_run=dry_run, json=json)


def _restore(source: Path, *, replace: bool, dry_run: bool, json: bool) -> None:
    path = context.load_config().inventory.path
    if not source.is_file():
        raise OperatorError("there is no backup", place=str(source))
    if path.exists() and not replace:
        _check_empty(path)
    if dry_run:
        _show_dry(source, path, json=json)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    head = backups.restore(source, path, clock=system_clock, actor=context.actor())
    if json:
        show.document({"inventory": path, **_identity(head), "is_confirmed": False})
        return
    show.line(f"{path}: position {head.position}, the first of epoch {head.epoch}")
    show.note("what was published after the backup is forgotten, so no orphan is deleted from now on")
    show.note("publish again what was published since, then say: holdfast restore --confirm")


def _show_dry(source: Path, path: Path, *, json: bool) -> None:
    """Whether the backup can be restored, as far as that can be said beforehand."""
    if path.exists() and path.samefile(source):
        raise OperatorError("the backup is the inventory itself", place=str(source))
    if path.parent.exists() and not os.access(path.parent, os.W_OK):
        raise OperatorError("cannot be written", place=str(path.parent), hint="is it mounted read-only?")
    head = backups.check(source)
    if json:
        known = {"backup": source, **_identity(head)}
        show.document({"dry_run": True, "inventory": path, "replaces": path.exists(), "restores": known})
    else:
        replacing = ", replacing what is there" if path.exists() else ""
        show.line(f"would restore {source}, position {head.position} of epoch {head.epoch}, to {path}{replacing}")


def _confirm(*, dry_run: bool, json: bool) -> None:
    with context.open_context() as opened:
        with opened.store.snapshot() as snapshot:
            restored, epoch = snapshot.restored(), snapshot.head.epoch
        is_new = restored is None or not restored.is_confirmed  # Never restored: the inventory itself says so.
        changes = [ConfirmRestore(epoch)] if is_new else []
        head = apply.commit(opened, changes, cause="restore --confirm", dry_run=dry_run)
    if json:
        show.document({"epoch": epoch, "is_confirmed": head is not None, **({} if head else {"dry_run": True})})
    elif head:
        show.line(f"epoch {epoch}: {'confirmed' if is_new else 'was confirmed already'}; orphans may be deleted again")


def _identity(head: Head) -> dict[str, object]:
    return {"epoch": head.epoch, "position": head.position, "digest": head.digest}


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
