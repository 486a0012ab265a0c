"""The SQLite file under an inventory: how it is opened, whose it is, and what its complaints mean.

Write-ahead log, ``synchronous=FULL``: what a transaction has committed is on
disk. Foreign errors come out as OperatorError with the file and the remedy, as
DatabaseAway if another program has held the file for too long.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from holdfast.inventory import schema
from holdfast.inventory.database import check_version
from holdfast.model.errors import DatabaseAway, OperatorError

BUSY_TIMEOUT_MS = 60_000
FULL_BYTES = 1 << 20
"""With less free space than this, an input/output error is taken for a full disk: SQLite often says no more."""

_NOT_WRITABLE = ("cannot be written", "is it mounted read-only, or owned by another user?")
_FULL = ("the disk is full", "free some space; nothing was changed")
_REMEDIES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "is the folder there, and may we write to it?"),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "look at the system log; nothing was changed"),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "restore a backup"),
    sqlite3.SQLITE_NOTADB: ("this is no inventory of Holdfast", "is the path right?"),
    sqlite3.SQLITE_BUSY: ("another program holds the file", "try again"),
}


def engine(path: Path, begin: str, *, keeps_references: bool = True) -> Engine:
    """Connections to the file whose transactions begin with the statement ``begin``."""
    # No limit on connections: a snapshot holds one, and any number may be held.
    made = create_engine(URL.create("sqlite+pysqlite", database=str(path)), max_overflow=-1)

    @event.listens_for(made, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # We say BEGIN ourselves; the module would say it late.
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"foreign_keys={int(keeps_references)}",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents if they are not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(error.strerror or str(error), place=str(folder)) from error


def check_writable(path: Path) -> None:
    """OperatorError if the file, or the folder that its log lies in, cannot be written."""
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise OperatorError(_NOT_WRITABLE[0], place=str(place), hint=_NOT_WRITABLE[1])


def check_ours(path: Path) -> None:
    """OperatorError if the file is no inventory, or one of another version."""
    check_version(schema_version(path), str(path))


def schema_version(path: Path) -> int:
    """The version of the inventory in the file; OperatorError if it is none."""
    # By a connection that sets nothing: our engines would turn even an empty file into a database of ours.
    with translated(path), closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (schema.head.name,)).fetchone()
        row = known and connection.execute(f"SELECT schema_version FROM {schema.head.name}").fetchone()
    if not row or not str(row[0]).isdigit():
        raise OperatorError("this is no inventory of Holdfast", place=str(path), hint="run `holdfast init`")
    return int(row[0])


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite says of the file ``path`` into our errors."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        original = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        if code not in _REMEDIES:
            raise
        problem, hint = _FULL if code == sqlite3.SQLITE_IOERR and _is_full(path) else _REMEDIES[code]
        kind = DatabaseAway if code == sqlite3.SQLITE_BUSY else OperatorError
        raise kind(problem, place=str(path), hint=hint) from error


def _is_full(path: Path) -> bool:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < FULL_BYTES
