"""Found: what a listing has found and not saved yet; plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.storage.listing.packed_files import PackedFiles
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.summary import ListingCounts
from holdfast.storage.listing.tables import Directory
from holdfast.storage.listing.waiting_stack import Numbered


@dataclass(frozen=True, slots=True)
class RowPiece:
    """Rows of a table that are yet to be saved: packed, or a file of packed rows."""

    table: str
    rows: int
    packed: bytes | Path

    def read(self) -> bytes:
        """The packed rows."""
        return self.packed if isinstance(self.packed, bytes) else self.packed.read_bytes()


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A durable Parquet file in the listing's folder that has not its name yet."""

    table: str
    rows: int
    path: Path


@dataclass
class FoundRows:
    """What was found since the last save."""

    directories: list[Directory] = field(default_factory=list)
    rows: int = 0
    """Rows that the save will write: of tables, and of what waits."""
    done: set[int] = field(default_factory=set)
    """Numbers of directories that waited on disk and are done."""
    waiting: dict[int, Numbered] = field(default_factory=dict)
    """Directories that wait and are not on disk yet."""
    told: list[DirectoryRow] = field(default_factory=list)
    """Rows of directories whose entries are in ``pieces``."""
    bytes: int = 0
    """Of the files in these directories."""
    pieces: list[RowPiece] = field(default_factory=list)
    written: list[WrittenPart] = field(default_factory=list)
    files: list[tuple[int, PackedFiles]] = field(default_factory=list)
    """Spooled files, each with the number of the first directory that waits in it."""
    counts: ListingCounts = field(default_factory=ListingCounts)
    """Of what others have counted already."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What became of directories that were taken together; the last ``untouched`` of them are as they were.

    ``left`` are directories below the others that are yet to be listed, the newest last; those in ``files`` are older.
    """

    untouched: int
    counts: ListingCounts
    pieces: Sequence[RowPiece] = ()
    written: Sequence[WrittenPart] = ()
    left: Sequence[tuple[str, int | None]] = ()
    files: Sequence[PackedFiles] = ()
