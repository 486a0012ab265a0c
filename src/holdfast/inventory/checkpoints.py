"""Checkpoints: proved copies of the inventory from which history can be restarted where the journal was trimmed.

A checkpoint is a backup file in a folder beside the inventory. The database
keeps its position and digest, and size and hash of the file, so that it is
known whether the file is still the one that was made. Many machines may use one
database, each with a folder of its own: the file's name says on which it was made.

Rules
  * A journal whose beginning is gone has a checkpoint at its start or after it; the entries after the checkpoint,
    replayed on it, give the tables.
  * A checkpoint's file is read and never written, not even by the database library.
  * Of the checkpoints that would do, one whose file is here is taken.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Row, create_engine, select

from holdfast.inventory import schema, sql_journal, sqlite_copy, sqlite_file
from holdfast.inventory.database import check_version
from holdfast.inventory.migrating import migrate
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.store import Cursor
from holdfast.inventory.table_invariants import check_journal
from holdfast.model.errors import OperatorError

FOLDER = "checkpoints"
"""The folder's name, beside an inventory's file."""
MAKE_HERE = "`holdfast journal trim --checkpoint` makes one here"
MAKE_ANEW = "`holdfast journal trim --checkpoint --no-replay` makes a new one, without proof of what was before"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint, as the database keeps it."""

    cursor: Cursor
    """The point of our history that the file is at."""
    file: str
    """The file's name in the folder."""
    size: int
    sha256: str
    is_replayed: bool
    """Whether its tables were proved to be what the journal, as far as it was kept, gives."""

    @property
    def host(self) -> str:
        """The machine on which it was made; empty if that is not known."""
        _, _, name = self.file.removesuffix(".db").partition("-")
        return name.partition("-")[2]

    def is_in(self, folder: Path) -> bool:
        """Whether its file is there, good or bad."""
        return (folder / self.file).is_file()


def file_name(position: int, sha256: str) -> str:
    """What a checkpoint that is made on this machine is called."""
    return f"{position}-{sha256[:8]}-{this_host()}.db"


def this_host() -> str:
    """This machine's name, as it stands in the names of files."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", os.uname().nodename)


def recorded(connection: Connection) -> list[Checkpoint]:
    """All checkpoints, the earliest first."""
    rows = connection.execute(select(schema.checkpoint).order_by(schema.checkpoint.c.position))
    return [_of_row(row) for row in rows]


def basis(connection: Connection, folder: Path | None) -> Checkpoint | None:
    """The checkpoint from which most can be replayed here: the earliest that is not before the journal's start.

    If there is none in the folder, it is one whose file is on another machine, or lost.
    """
    first = sql_journal.start(connection)
    serving = [each for each in recorded(connection) if each.cursor.position >= first.position]
    here = [each for each in serving if folder is not None and each.is_in(folder)]
    return next(iter(here or serving), None)


def _of_row(row: Row[Any]) -> Checkpoint:
    cursor = Cursor(row.epoch, row.position, row.digest)
    return Checkpoint(cursor, row.file, row.size, row.sha256, bool(row.is_replayed))


def row_of(checkpoint: Checkpoint) -> dict[str, object]:
    """A checkpoint's row, but for when it was made."""
    at = checkpoint.cursor
    place = {"epoch": at.epoch, "position": at.position, "digest": at.digest}
    file = {"file": checkpoint.file, "size": checkpoint.size, "sha256": checkpoint.sha256}
    return {**place, **file, "is_replayed": int(checkpoint.is_replayed)}


@contextmanager
def opened(path: Path) -> Iterator[Connection]:
    """A checkpoint's content, in the tables of this release. The file stays as it is, to the byte."""
    with sqlite_file.translated(path):
        found = sqlite_file.schema_version(path)
    if found >= schema.VERSION:
        check_version(found, str(path))
        with _reading(path) as connection:
            yield connection
        return
    with TemporaryDirectory(prefix="holdfast-checkpoint-") as folder:
        part = Path(folder) / path.name
        sqlite_copy.copy_pages(path, part)
        migrate(part, keep_copy=False)
        sqlite_copy.in_one_file(part)
        with _reading(part) as connection:
            yield connection


@contextmanager
def _reading(path: Path) -> Iterator[Connection]:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    engine = create_engine("sqlite+pysqlite://", creator=lambda: sqlite3.connect(uri, uri=True))
    try:
        with sqlite_file.translated(path), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def file_hash(path: Path) -> str:
    """The sha256 of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OperatorError(error.strerror or str(error), place=str(path), hint=MAKE_ANEW) from error


def check_file(checkpoint: Checkpoint, folder: Path) -> Path:
    """The checkpoint's file, if it is what was made; OperatorError."""
    path = folder / checkpoint.file
    if not checkpoint.is_in(folder):
        made = f": it was made on {checkpoint.host}" if checkpoint.host else ""
        raise OperatorError(f"the checkpoint is not there{made}", place=str(path), hint=MAKE_HERE)
    if path.stat().st_size != checkpoint.size or file_hash(path) != checkpoint.sha256:
        raise OperatorError("the checkpoint is not the file that was made", place=str(path), hint=MAKE_ANEW)
    return path


def check_whole(checkpoint: Checkpoint, folder: Path) -> Path:
    """The checkpoint's file, if it is what was made and its history holds; OperatorError."""
    path = check_file(checkpoint, folder)
    with opened(path) as connection:
        if SqlSnapshot(connection).head.cursor != checkpoint.cursor:
            raise OperatorError(f"it is not at position {checkpoint.cursor.position}", place=str(path), hint=MAKE_ANEW)
        broken = next(iter(check_journal(connection)), None)
        if broken is not None:
            message = f"its journal is broken at {broken.place}: {broken.message}"
            raise OperatorError(message, place=str(path), hint=MAKE_ANEW)
    return path
