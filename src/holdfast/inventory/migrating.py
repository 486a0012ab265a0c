"""Migrating: bring an inventory of an older release to the tables of this one.

    migrated = migrate("state/inventory.db")

Rules
  * It is one transaction in the writer's turn: killed anywhere, the inventory is
    the old one or the new one, and the same call finishes the work.
  * On SQLite a copy of the old file lies beside it first, whole, unless it is not wanted.
  * No change of content, so no entry of the journal: readers, backups and followers go on with their history.
  * Programs of the older release that still run are refused at their next snapshot and at their next commit.
  * A dry run goes through it all and undoes it.

Raises OperatorError; DatabaseAway if others are using the tables for too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update

from holdfast.inventory import schema, sqlite_copy
from holdfast.inventory.database import Database, check_version
from holdfast.inventory.dry_run import undone_if
from holdfast.inventory.sql_store import database_at
from holdfast.inventory.sqlite_database import SqliteDatabase
from holdfast.model import steps
from holdfast.model.errors import BrokenInvariant, OperatorError

if TYPE_CHECKING:
    from alembic.script import Script

FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did, or would do."""

    place: str
    found: int
    """The version before."""
    version: int
    """The version after."""
    done: tuple[str, ...]
    """A sentence for each revision."""
    copy: Path | None
    """Where the old inventory lies."""


def migrate(place: Path | str, *, keep_copy: bool = True, dry_run: bool = False) -> Migrated:
    """Bring the inventory at ``place`` to this release's tables; one that has them stays as it is."""
    with closing(database_at(place)) as database:
        found = database.schema_version()
        if not FIRST_VERSION <= found < schema.VERSION:
            _check_known(found, database.place)
            return Migrated(database.place, found, found, (), None)
        keeps = keep_copy and isinstance(database, SqliteDatabase)
        return _dry_run(database, keeps=keeps) if dry_run else _migrate(database, keeps=keeps)


def _check_known(found: int, place: str) -> None:
    if found < FIRST_VERSION:
        raise OperatorError(f"its schema is {found}, which no release has written", place=place)
    check_version(found, place)


def _migrate(database: Database, *, keeps: bool) -> Migrated:
    copy: Path | None = None
    with database.migrating() as connection:
        found = _version(connection)
        if keeps and found < schema.VERSION:
            assert isinstance(database, SqliteDatabase)
            copy = _copied(database.path, found)
        try:
            done = _upgrade(connection, found)
        except BaseException:
            if copy is not None:
                copy.unlink()
            raise
        steps.reach("migrate.applied")
    steps.reach("migrate.durable")
    return Migrated(database.place, found, schema.VERSION, done, copy)


def _dry_run(database: Database, *, keeps: bool) -> Migrated:
    found = schema.VERSION
    done: tuple[str, ...] = ()
    with undone_if(True, database.migrating()) as connection:
        found = _version(connection)
        done = _upgrade(connection, found)
    copy = _free_name(database.path, found) if keeps and isinstance(database, SqliteDatabase) else None
    return Migrated(database.place, found, schema.VERSION, done, copy)


def _version(connection: Connection) -> int:
    found = connection.scalar(select(schema.head.c.schema_version))
    if found is None:
        raise BrokenInvariant("the inventory has lost its head")
    return int(found)


def _copied(path: Path, found: int) -> Path:
    """A copy of the file as it is, beside it; the turn is ours, so nobody writes meanwhile."""
    destination = _free_name(path, found)
    with sqlite_copy.temporary(destination) as part:
        sqlite_copy.copy_pages(path, part)
        sqlite_copy.in_one_file(part)
        sqlite_copy.named(part, destination)
    steps.reach("migrate.copied")
    return destination


def _free_name(path: Path, found: int) -> Path:
    """The first name that is free: those that are taken were made by attempts that did not come to their end."""
    number, name = 1, path.with_name(f"{path.name}.schema-{found}")
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.schema-{found}.{number}")
    return name


def _upgrade(connection: Connection, found: int) -> tuple[str, ...]:
    """Carry out the revisions after the version ``found``."""
    # 150 ms that only a migration needs.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    if found == schema.VERSION:  # Somebody else was quicker.
        return ()
    scripts = revisions(found)
    context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
    with Operations.context(context):
        for script in scripts:
            script.module.upgrade()
    connection.execute(update(schema.head).values(schema_version=schema.VERSION))
    return tuple(script.doc for script in scripts)


def revisions(after: int = 0) -> Sequence[Script]:
    """The revisions that lead from a version to ours, oldest first."""
    from alembic.script import ScriptDirectory  # As above.

    directory = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    lower = f"{after:04}" if after else None
    found = list(directory.iterate_revisions(f"{schema.VERSION:04}", lower))
    return found[::-1]
