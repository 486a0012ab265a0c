"""``holdfast restore``: an inventory from a backup, and the word of a person that its gap is closed.

What is there is replaced, so without ``--replace`` an inventory that has any
history is not touched. What was published after the backup is unknown to the
restored inventory, and would look like orphans: none is deleted until a person
has said ``holdfast restore --confirm``.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import inspect

from holdfast.cli import apply, context, options, show
from holdfast.config import without_password
from holdfast.inventory import backup as backups
from holdfast.inventory import schema
from holdfast.inventory.database import check_empty
from holdfast.inventory.sql_store import SqlStore, database_at
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

    The inventory is made where the configuration says: in a file, or in a
    PostgreSQL database, wherever the backup comes from; so this is also the way from
    the one to the other. The backup is proved before anything is touched. Readers of
    the journal that have seen more than the backup holds are told to start again
    from a snapshot.

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
    config = context.load_config()
    place = config.inventory.place
    if not source.is_file():
        raise OperatorError("there is no backup", place=str(source))
    replaces = _is_there(place)
    if replaces and not replace:
        _check_no_history(place)
    if dry_run:
        _show_dry(source, place, replaces=replaces, json=json)
        return
    config.inventory.path.parent.mkdir(parents=True, exist_ok=True)
    head = backups.restore(source, place, clock=system_clock, actor=context.actor(), rooms=context.rooms())
    if json:
        show.document({"inventory": _shown(place), **_identity(head), "is_confirmed": False})
        return
    show.line(f"{_shown(place)}: position {head.position}, the first of epoch {head.epoch}")
    show.note("what was published after the backup is forgotten, so no orphan is deleted from now on")
    show.note("publish again what was published since, then say: holdfast restore --confirm")


def _is_there(place: Path | str) -> bool:
    """Whether something would be replaced. OperatorError if the database is not there, or not ours to replace."""
    if isinstance(place, Path):
        return place.exists()
    with closing(database_at(place)) as database:
        database.prepare()
        with database.reading() as connection:
            if not inspect(connection).has_table(schema.head.name):
                check_empty(connection, database.place)
                return False
    SqlStore.open(place).close()
    return True


def _shown(place: Path | str) -> str:
    return without_password(str(place))


def _show_dry(source: Path, place: Path | str, *, replaces: bool, json: bool) -> None:
    """Whether the backup can be restored, as far as that can be said beforehand."""
    if isinstance(place, Path):
        _check_file(source, place)
    head = backups.check(source)
    if json:
        known = {"backup": source, **_identity(head)}
        show.document({"dry_run": True, "inventory": _shown(place), "replaces": replaces, "restores": known})
    else:
        replacing = ", replacing what is there" if replaces else ""
        known_as = f"{source}, position {head.position} of epoch {head.epoch}"
        show.line(f"would restore {known_as}, to {_shown(place)}{replacing}")


def _check_file(source: Path, path: Path) -> None:
    if path.exists() and path.samefile(source):
        raise OperatorError("the backup is the inventory itself", place=str(source))
    if path.parent.exists() and not os.access(path.parent, os.W_OK):
        raise OperatorError("cannot be written", place=str(path.parent), hint="is it mounted read-only?")


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


def _check_no_history(place: Path | str) -> None:
    """Conflict if something would be lost: a history, or a file of which we cannot say what it is."""
    try:
        store = SqlStore.open(place)
        try:
            position = store.head().position
        finally:
            store.close()
    except OperatorError as error:
        raise Conflict(f"is in the way and {error.message}", place=_shown(place), hint="move it away first") from error
    if position:
        raise Conflict(
            f"there is an inventory with {show.plural(position, 'change')}",
            place=_shown(place),
            hint="back it up, then say --replace",
        )
