"""Listing: what a walk over a storage found, as three Parquet tables.

``entries.parquet``       one row per regular file
    dir, name             where it is, as the storage says it
    size                  bytes
    mtime                 whole seconds since 1970 UTC, rounded down: the unit that listing files share
    mtime_ns              the same moment as finely as the storage knows it
    version               the driver's mark of this state of the file, "" if it has none
    changed_ns            when anything about it last changed (ctime); null where the storage does not say
``directories.parquet``   one row per directory that was met
    dir, state            listed, failed or skipped
    reason                why not listed, else ""
    files, directories, oddities    how many are directly in it; 0 unless listed
    mtime_ns              its own time as its parent's listing gave it; null for the top, or if it is out of range
``oddities.parquet``      one row per thing that is neither a file nor a directory of ours
    dir, shown, raw       its name escaped for people, and its bytes
    kind                  other (link, socket ...), unnameable, or refused (the listing made no sense)
    reason

Rules
  * Rows of one directory stand together, sorted by the bytes of the name; the
    order of directories is the order in which they were finished.
  * At most ``ROWS_HELD`` rows of a table are in memory, plus one directory.
  * The tables have their names only when they are whole; before that, or after
    a failure, there is nothing under these names that was not there before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.model.errors import OperatorError
from holdfast.storage.driver import Entry

ROWS_HELD = 1 << 16
"""Rows collected before they are written out: large enough to compress well, a few MB in memory."""

SECOND_NS = 1_000_000_000

ENTRIES = "entries.parquet"
DIRECTORIES = "directories.parquet"
ODDITIES = "oddities.parquet"


def _schema(*fields: pa.Field[Any]) -> pa.Schema:
    return pa.schema(list(fields))


SCHEMAS: dict[str, pa.Schema] = {
    ENTRIES: _schema(
        pa.field("dir", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("mtime", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("changed_ns", pa.int64()),
    ),
    DIRECTORIES: _schema(
        pa.field("dir", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("files", pa.int64(), nullable=False),
        pa.field("directories", pa.int64(), nullable=False),
        pa.field("oddities", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64()),
    ),
    ODDITIES: _schema(
        pa.field("dir", pa.string(), nullable=False),
        pa.field("shown", pa.string(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ),
}


class State(StrEnum):
    """What became of a directory."""

    LISTED = "listed"
    FAILED = "failed"
    """Nothing is known of what is in it."""
    SKIPPED = "skipped"
    """Not entered, on purpose: nothing is known of what is in it either."""
    DOUBTED = "doubted"
    """Listed, but not believed: what is said to be in it is there, what is not said may be there too."""


class Odd(StrEnum):
    """Why a thing is in no other table."""

    OTHER = "other"
    UNNAMEABLE = "unnameable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Oddity:
    """One thing that is neither a file nor a directory of ours."""

    raw: bytes
    kind: Odd
    reason: str


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory as the walk leaves it."""

    dir: str
    state: State
    reason: str = ""
    mtime_ns: int | None = None
    files: tuple[Entry, ...] = ()
    directories: tuple[Entry, ...] = ()
    oddities: tuple[Oddity, ...] = ()


def show_raw(raw: bytes) -> str:
    """A name of any bytes as one printable line, no two names alike."""
    text = raw.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ParquetSink:
    """Writes the three tables into ``folder``, which is made if need be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _told_of(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._tables = {name: _Table(folder / name, schema) for name, schema in SCHEMAS.items()}

    def add(self, directories: Sequence[Directory]) -> None:
        """Take some directories with everything in them."""
        with _told_of(self._folder):
            self._tables[DIRECTORIES].add(_directory_row(directory) for directory in directories)
            self._tables[ODDITIES].add(row for directory in directories for row in _oddity_rows(directory))
            self._tables[ENTRIES].add(row for directory in directories for row in _entry_rows(directory))

    def finish(self) -> None:
        """Complete the tables and give them their names."""
        with _told_of(self._folder):
            for table in self._tables.values():
                table.complete()
            # The directories come last: whoever finds them finds the others.
            for name in (ENTRIES, ODDITIES, DIRECTORIES):
                self._tables[name].reveal()
            _sync_folder(self._folder)

    def abandon(self) -> None:
        """Remove what has been written so far."""
        for table in self._tables.values():
            table.abandon()


def _directory_row(directory: Directory) -> tuple[Any, ...]:
    counts = (len(directory.files), len(directory.directories), len(directory.oddities))
    return (directory.dir, directory.state.value, directory.reason, *counts, directory.mtime_ns)


def _oddity_rows(directory: Directory) -> Iterator[tuple[Any, ...]]:
    for odd in directory.oddities:
        yield directory.dir, show_raw(odd.raw), odd.raw, odd.kind.value, odd.reason


def _entry_rows(directory: Directory) -> Iterator[tuple[Any, ...]]:
    dir = directory.dir
    for entry in directory.files:
        stat = entry.stat
        mtime = stat.mtime_ns // SECOND_NS
        yield dir, entry.name, stat.size, mtime, stat.mtime_ns, stat.version, stat.changed_ns


@contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    """Our own disk failed, not the storage: say so."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number).lower() if number else str(error)
        raise OperatorError(
            f"the listing cannot be written: {reason}", place=str(folder), hint="give it another folder, or make room"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Table:
    """One Parquet file on its way, a row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self._writer = pq.ParquetWriter(self._part, schema, compression="zstd")

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= ROWS_HELD:
            self._flush()

    def complete(self) -> None:
        self._flush()
        self._writer.close()
        with open(self._part, "rb") as file:
            os.fsync(file.fileno())

    def reveal(self) -> None:
        os.replace(self._part, self._path)

    def abandon(self) -> None:
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        with suppress(OSError):
            self._part.unlink()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
            self._rows.clear()
