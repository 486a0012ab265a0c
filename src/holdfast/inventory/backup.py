"""Backup and restore of an inventory, on SQLite and on PostgreSQL.

A backup is a SQLite file, whichever database the inventory is in, complete at
one position, made while the inventory goes on. Restoring puts a backup in the
inventory's place and starts a new epoch, because readers may have seen a
history that is now gone. As a backup can be restored into either database, it
is also the way from one to the other.

Rules
  * A backup appears under its name whole or not at all; a file that is there
    already is never replaced.
  * Before a restore touches anything the backup is proved: SQLite's own check,
    our schema, and the whole chain of journal digests. One of an older release
    is first brought to this one's schema, in the copy that is restored.
  * A restore is one transaction of the inventory's database, in the writer's
    turn: killed in the middle, the old content stands. What is replaced can be
    had back only from another backup, so the caller should make one.
  * Whoever holds a snapshot keeps it over a restore.
  * The first entry after a restore is StartEpoch, which names what was restored.
    From then on no unknown file is deleted until a person says ConfirmRestore.
  * Rooms have their passing state as the backup has it; a room that is younger
    than the backup, or keeps it in other columns now, begins empty. From and to
    PostgreSQL this is so for the rooms that are named; others are left alone.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, MetaData, inspect

from holdfast.inventory import backup_rows, journal, schema, sql_apply, sqlite_copy, sqlite_file
from holdfast.inventory.database import Database, check_empty, check_version
from holdfast.inventory.migrating import migrate
from holdfast.inventory.sql_draft import SqlDraft
from holdfast.inventory.sql_journal import append
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sql_store import SqlStore, database_at
from holdfast.inventory.sqlite_database import SqliteDatabase
from holdfast.inventory.sqlite_file import translated
from holdfast.inventory.store import Head
from holdfast.inventory.table_invariants import check_journal
from holdfast.inventory.turn import turn_path, writer_turn
from holdfast.model import steps
from holdfast.model.changes import ChangeSet, StartEpoch
from holdfast.model.clock import Clock
from holdfast.model.errors import OperatorError


def backup(store: SqlStore, destination: Path, *, rooms: Sequence[MetaData] = ()) -> Head:
    """Write a backup to ``destination``; returns the position it is at."""
    destination = destination.absolute()
    if destination.exists():
        raise OperatorError("is there already", place=str(destination), hint="choose another name")
    with sqlite_copy.temporary(destination) as part:
        if isinstance(store.database, SqliteDatabase):
            sqlite_copy.copy_pages(store.path, part)
        else:
            with store.reading() as connection:
                backup_rows.write_file(connection, part, _tables(rooms), shown=destination)
        head = _proved(part, shown=store.place)
        sqlite_copy.in_one_file(part)
        steps.reach("backup.written")
        sqlite_copy.named(part, destination)
        steps.reach("backup.named")
    return head


def check(source: Path) -> Head:
    """The head of a backup, proved whole; OperatorError if it cannot be restored."""
    with TemporaryDirectory(prefix="holdfast-backup-") as folder:
        part = Path(folder) / source.name
        _copy_backup(source.absolute(), part)
        return _proved(part, shown=str(source))


def restore(source: Path, place: Path | str, *, clock: Clock, actor: str, rooms: Sequence[MetaData] = ()) -> Head:
    """Put the backup ``source`` in place of the inventory at ``place``; returns the new head."""
    with closing(database_at(place)) as database:
        if isinstance(database, SqliteDatabase):
            head = _restore_file(source.absolute(), database.path, clock=clock, actor=actor)
        else:
            head = _restore_rows(source.absolute(), database, _tables(rooms), clock=clock, actor=actor)
    steps.reach("restore.durable")
    return head


def _tables(rooms: Sequence[MetaData]) -> Sequence[MetaData]:
    return (schema.metadata, *rooms)


def _restore_file(source: Path, path: Path, *, clock: Clock, actor: str) -> Head:
    if path.exists() and source.exists() and path.samefile(source):
        raise OperatorError("the backup is the inventory itself", place=str(source))
    with translated(path), writer_turn(turn_path(path)), sqlite_copy.temporary(path) as part:
        _copy_backup(source, part)
        _proved(part, shown=str(source))
        if path.exists():
            _keep_rooms(path, part)
        with closing(SqlStore.open(part)) as store, store.writing() as connection:
            head = _start_epoch(connection, clock=clock, actor=actor, source=source)
        steps.reach("restore.proved")
        sqlite_copy.copy_pages(part, path, progress=lambda: steps.reach("restore.applied"))
    return head


def _restore_rows(source: Path, database: Database, tables: Sequence[MetaData], *, clock: Clock, actor: str) -> Head:
    database.prepare()
    with TemporaryDirectory(prefix="holdfast-backup-") as folder:
        part = Path(folder) / source.name
        _copy_backup(source, part)
        _proved(part, shown=str(source))
        steps.reach("restore.proved")
        with closing(SqlStore.open(part)) as store, store.reading() as rows, database.writing() as connection:
            _check_target(connection, database.place)
            for each in tables:
                database.create_tables(connection, each)
            backup_rows.replace_all(rows, connection, tables)
            head = _start_epoch(connection, clock=clock, actor=actor, source=source)
            database.announce(connection, head.position)
            steps.reach("restore.applied")
    return head


def _check_target(connection: Connection, place: str) -> None:
    """OperatorError unless the database is empty, or has an inventory of our version."""
    if not inspect(connection).has_table(schema.head.name):
        check_empty(connection, place)
        return
    check_version(connection.execute(schema.head.select()).one().schema_version, place)


def _copy_backup(source: Path, part: Path) -> None:
    if not source.is_file():
        raise OperatorError("there is no backup", place=str(source))
    found = sqlite_file.schema_version(source)
    if found > schema.VERSION:
        check_version(found, str(source))
    with translated(source):
        sqlite_copy.copy_pages(source, part)
    if found < schema.VERSION:
        with _about(source):
            migrate(part, keep_copy=False)


@contextmanager
def _about(source: Path) -> Iterator[None]:
    """What is said of a copy is said of its source."""
    try:
        yield
    except OperatorError as error:
        raise OperatorError(error.message, place=str(source), hint=error.hint) from error


def _proved(path: Path, *, shown: str) -> Head:
    """The head of an inventory that has been checked whole; OperatorError, about ``shown``, if it does not hold."""
    with translated(Path(shown)), closing(SqlStore.open(path)) as store, store.reading() as connection:
        verdict = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if verdict != "ok":
            raise OperatorError(f"it is damaged: {verdict}", place=shown)
        broken = next(iter(check_journal(connection)), None)
        if broken is not None:
            raise OperatorError(f"its journal is broken at {broken.place}: {broken.message}", place=shown)
        return SqlSnapshot(connection).head


def _keep_rooms(live: Path, part: Path) -> None:
    """Make the tables of rooms that are younger than the backup, empty, so that running programs find them."""
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"
    with closing(sqlite3.connect(live)) as reader, closing(sqlite3.connect(part)) as writer:
        known = {name for _, name, _ in writer.execute(query)}
        for _, name, statement in reader.execute(query).fetchall():
            if name not in known:
                writer.execute(statement)
        writer.commit()


def _start_epoch(connection: Connection, *, clock: Clock, actor: str, source: Path) -> Head:
    view = SqlDraft(connection)
    old, at_us = view.head, max(clock(), view.head.at_us)
    change = StartEpoch(old.epoch, old.position, old.digest)
    change_set = ChangeSet((change,), actor=actor, cause=f"restore of {source.name}")
    sql_apply.apply(change, connection, view, at_us=at_us)
    body = journal.encode(change_set)
    return append(connection, old, change_set, body, set(), at_us=at_us, epoch=uuid.uuid4().hex)
