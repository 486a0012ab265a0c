"""Part files: tables on their way to disk, a group of rows at a time.

Rules
  * A file is written under another name, made durable by ``complete``, and gets
    its own by ``reveal``; until then there is nothing of it under that name.
  * Memory is one group of rows, however large the file.
  * Our own disk failing is the operator's business (OperatorError), never the
    storage's.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.model.errors import OperatorError
from holdfast.storage.listing.rows import IN_MEMORY

GROUP_ROWS = 1 << 16
"""Rows that are written together: large enough to compress well, a few MB in memory."""

PART = ".part"
"""How the names of files end that are not done."""

# What repeats; names, sizes and times hardly do, and a dictionary of them is made in vain.
_REPEATING = ["dir", "state", "reason", "kind"]


class PartFile:
    """One Parquet file of the table ``table``, written as ``path``."""

    def __init__(self, path: Path, table: str) -> None:
        self._path = path
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self.rows = 0
        schema = IN_MEMORY[table]
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in schema.names if name in _REPEATING],  # type: ignore[arg-type]
            # Else readers would get the dictionaries of our memory instead of text.
            store_schema=False,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Take some rows."""
        if batch.num_rows:
            self._waiting.append(batch)
            self._waiting_rows += batch.num_rows
            self.rows += batch.num_rows
        if self._waiting_rows >= GROUP_ROWS:
            self._write_group()

    def complete(self) -> None:
        """Write what is left, and make the file durable."""
        if self._waiting:
            self._write_group()
        self._writer.close()
        sync_file(self._path)

    def reveal(self, path: Path) -> None:
        """Give it its name; durable once the folder is synchronised."""
        os.replace(self._path, path)

    def abandon(self) -> None:
        """Remove what has been written."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        with suppress(OSError):
            self._path.unlink()

    def _write_group(self) -> None:
        group = pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
        self._waiting, self._waiting_rows = [], 0
        self._writer.write_table(group, row_group_size=GROUP_ROWS)


def write_part(path: Path, table: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a whole file and make it durable; how many rows it has. Nothing is left of one that failed."""
    part = PartFile(path, table)
    try:
        for batch in batches:
            part.write(batch)
        part.complete()
    except BaseException:
        part.abandon()
        raise
    return part.rows


@contextmanager
def told_of(place: Path) -> Iterator[None]:
    """Our own disk failed, not the storage: say so."""
    try:
        yield
    except (OSError, pa.ArrowException, sqlite3.Error) as error:
        raise OperatorError(
            f"the listing cannot be written: {_reason(error)}",
            place=str(place),
            hint=_hint(error),
        ) from error


_ROOM = "make room, or list into another folder"
_RIGHT = "give a folder that the user of this process may write to"
_HINTS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EROFS: _RIGHT,
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files",
    errno.EIO: "look after the disk, or list into another folder",
}
_SQLITE_HINTS = {
    sqlite3.SQLITE_FULL: _ROOM,
    sqlite3.SQLITE_READONLY: _RIGHT,
    sqlite3.SQLITE_CANTOPEN: _RIGHT,
    sqlite3.SQLITE_PERM: _RIGHT,
    sqlite3.SQLITE_IOERR: _HINTS[errno.EIO],
    sqlite3.SQLITE_BUSY: "wait for whoever uses it, or list into another folder",
}


def _hint(error: Any) -> str:
    """What helps, by the cause."""
    code = getattr(error, "sqlite_errorcode", None)
    found = _HINTS.get(getattr(error, "errno", None) or 0) if code is None else _SQLITE_HINTS.get(code & 0xFF)
    return found or "give another folder"


def _reason(error: Any) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error)


def sync_file(path: Path) -> None:
    """Make what has been written to a file durable."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
