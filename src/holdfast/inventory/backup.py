"""Backup and restore of a SQLite inventory.

A backup is a SQLite file of its own, complete at one position, made while the
inventory goes on. Restoring puts a backup in the inventory's place and starts a
new epoch, because readers may have seen a history that is now gone.

Rules
  * A backup appears under its name whole or not at all; a file that is there
    already is never replaced.
  * Before a restore touches anything the backup is proved: SQLite's own check,
    our schema, and the whole chain of journal digests.
  * A restore is one transaction of the inventory's file: killed in the middle,
    the old content stands. What is replaced can be had back only from another
    backup, so the caller should make one.
  * The first entry after a restore is StartEpoch, which names what was restored.
    From then on no unknown file is deleted until a person says ConfirmRestore.
  * Rooms have their passing state as the backup has it; a room that is younger
    than the backup begins empty.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.inventory import journal, sql_apply, sqlite_file
from holdfast.inventory.invariants import check_journal
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sql_store import SqlStore, append
from holdfast.inventory.sqlite_file import translated
from holdfast.inventory.store import Head
from holdfast.inventory.turn import turn_path, writer_turn
from holdfast.model.changes import ChangeSet, StartEpoch
from holdfast.model.clock import Clock
from holdfast.model.errors import OperatorError


def backup(store: SqlStore, destination: Path) -> Head:
    """Write a backup to ``destination``; returns the position it is at."""
    destination = destination.absolute()
    if destination.exists():
        raise OperatorError("is there already", place=str(destination), hint="choose another name")
    with _temporary(destination) as part:
        _copy(store.path, part)
        head = _proved(part, shown=store.path)
        with closing(sqlite3.connect(part)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # One file, readable without a log beside it.
        _durable(part)
        os.link(part, destination)  # Unlike a rename, it fails if the name has been taken meanwhile.
    _durable(destination.parent)
    return head


def check(source: Path) -> Head:
    """The head of a backup, proved whole; OperatorError if it cannot be restored."""
    with TemporaryDirectory(prefix="holdfast-backup-") as folder:
        part = Path(folder) / source.name
        _copy_backup(source.absolute(), part)
        return _proved(part, shown=source)


def restore(source: Path, path: Path, *, clock: Clock, actor: str) -> Head:
    """Put the backup ``source`` in place of the inventory ``path``; returns the new head."""
    source, path = source.absolute(), path.absolute()
    if path.exists() and source.exists() and path.samefile(source):
        raise OperatorError("the backup is the inventory itself", place=str(source))
    with translated(path), writer_turn(turn_path(path)), _temporary(path) as part:
        _copy_backup(source, part)
        _proved(part, shown=source)
        if path.exists():
            _keep_rooms(path, part)
        head = _start_epoch(part, clock=clock, actor=actor, source=source)
        _copy(part, path)
    return head


def _copy_backup(source: Path, part: Path) -> None:
    if not source.is_file():
        raise OperatorError("there is no backup", place=str(source))
    sqlite_file.check_ours(source)
    with translated(source):
        _copy(source, part)


def _proved(path: Path, *, shown: Path) -> Head:
    """The head of an inventory that has been checked whole; OperatorError, about ``shown``, if it does not hold."""
    with translated(shown), closing(SqlStore.open(path)) as store, store.reading() as connection:
        verdict = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if verdict != "ok":
            raise OperatorError(f"it is damaged: {verdict}", place=str(shown))
        broken = next(iter(check_journal(connection)), None)
        if broken is not None:
            raise OperatorError(f"its journal is broken at {broken.place}: {broken.message}", place=str(shown))
        return SqlSnapshot(connection).head


def _keep_rooms(live: Path, part: Path) -> None:
    """Make the tables of rooms that are younger than the backup, empty, so that running programs find them."""
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"
    with closing(_open(live, "ro")) as reader, closing(_open(part, "rw")) as writer:
        known = {name for _, name, _ in writer.execute(query)}
        for _, name, statement in reader.execute(query).fetchall():
            if name not in known:
                writer.execute(statement)
        writer.commit()


def _start_epoch(path: Path, *, clock: Clock, actor: str, source: Path) -> Head:
    with closing(SqlStore.open(path, clock=clock)) as store, store.writing() as connection:
        view = SqlSnapshot(connection)
        old, at_us = view.head, max(clock(), view.head.at_us)
        change = StartEpoch(old.epoch, old.position, old.digest)
        change_set = ChangeSet((change,), actor=actor, cause=f"restore of {source.name}")
        sql_apply.apply(change, connection, view, at_us=at_us)
        body = journal.encode(change_set)
        return append(connection, old, change_set, body, set(), at_us=at_us, epoch=uuid.uuid4().hex)


def _copy(source: Path, target: Path) -> None:
    """All pages of one SQLite file into another, in one transaction of the target."""
    with translated(target), closing(_open(source, "ro")) as reader, closing(_open(target, "rwc")) as writer:
        reader.backup(writer)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=60)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


@contextmanager
def _temporary(beside: Path) -> Iterator[Path]:
    """A name of our own beside ``beside``; whatever comes to lie under it is removed at the end."""
    if not beside.parent.is_dir():
        raise OperatorError("there is no such folder", place=str(beside.parent))
    if not os.access(beside.parent, os.W_OK):
        raise OperatorError("cannot be written", place=str(beside.parent), hint="is it mounted read-only?")
    part = beside.with_name(f"{beside.name}.part-{uuid.uuid4().hex[:8]}")
    try:
        yield part
    finally:
        for suffix in ("", "-wal", "-shm", "-journal", ".writer"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def _durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
