"""Listing: what a listing of a storage found, as three tables in Parquet.

``entries``       one row per regular file
    dir, name             where it is, as the storage says it
    size                  bytes; null, like both times, where the storage does not say
    mtime                 whole seconds since 1970 UTC, rounded down: the unit that listing files share
    mtime_ns              the same moment as finely as the storage knows it
    version               the driver's mark of this state of the file, "" if it has none
    changed_ns            when anything about it last changed (ctime); null where the storage does not say
``directories``   one row per directory that was met
    dir, state            listed, doubted, failed or skipped
    reason                why not listed, or why doubted, else ""
    files, directories, oddities    how many are directly in it; 0 where nothing is known of it
    mtime_ns              its own time as its parent's listing gave it; null for the top, or if it is out of range
``oddities``      one row per thing that is neither a file nor a directory of ours
    dir, shown, raw       its name escaped for people, and its bytes
    kind                  other (link, socket ...), unnameable, or refused (the listing made no sense)
    reason

A listing on disk has many parts of each table, ``entries/000000.parquet`` and
so on: ``disk_ledger`` writes them, ``reading`` reads them.

Rules
  * Every row of a directory is in one part, and they stand together, sorted by
    the bytes of the name, unless the directory came in pieces: then each piece
    is sorted. The order of directories and of parts means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from holdfast.storage.driver import NOT_TOLD, Entry

SECOND_NS = 1_000_000_000

INT64_MAX = 2**63 - 1
"""What the tables can hold."""

ENTRIES = "entries.parquet"
DIRECTORIES = "directories.parquet"
ODDITIES = "oddities.parquet"


def _schema(*fields: pa.Field[Any]) -> pa.Schema:
    return pa.schema(list(fields))


SCHEMAS: dict[str, pa.Schema] = {
    ENTRIES: _schema(
        pa.field("dir", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("mtime", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
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


class DirectoryState(StrEnum):
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
    state: DirectoryState
    reason: str = ""
    mtime_ns: int | None = None
    files: tuple[Entry, ...] = ()
    directories: tuple[Entry, ...] = ()
    oddities: tuple[Oddity, ...] = ()


def show_raw(raw: bytes) -> str:
    """A name of any bytes as one printable line, no two names alike."""
    text = raw.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def told_time(mtime_ns: int) -> int | None:
    """A directory's time as the tables have it: None if it was not told, or is more than they hold."""
    return mtime_ns if -INT64_MAX <= mtime_ns <= INT64_MAX and mtime_ns != NOT_TOLD else None
