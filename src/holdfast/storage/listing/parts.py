"""Parts: the Parquet files of a listing that goes on, and the rows that are yet to become one.

Rules
  * Rows stay in the ledger's file until there are ``PART_ROWS`` of a table, or
    the listing is at its end; then all of them become one part.
  * A part is durable under its name before anybody says that it counts. What
    has the name of a part and does not count is removed when the listing is
    opened; what counts and is not there, or has another size, is damage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from holdfast.model import steps
from holdfast.storage.listing import rows
from holdfast.storage.listing.found import RowPiece, WrittenPart
from holdfast.storage.listing.ledger_file import LEDGER, LedgerFile, LedgerStep, damaged
from holdfast.storage.listing.part_files import PART, sync_folder, write_part
from holdfast.storage.listing.summary import ListingPart, folder_of
from holdfast.storage.listing.tables import SCHEMAS

PART_ROWS = 1 << 18
"""A few MB of Parquet: a hundred million files are some hundred parts."""

_BESIDE = re.compile(r"(\.spool-[0-9a-f]{16}-(entries|oddities|waiting)|listing\.json)\.part")
_OF_TABLES = re.compile(r"[0-9]{6,}\.parquet|\.folded\.part|\.walked-[0-9a-f]{16}\.part")
"""Names that we give, and nobody else by chance: what has another name is somebody else's."""


class Parts:
    """The parts in ``folder``, by the word of ``file``."""

    def __init__(self, folder: Path, file: LedgerFile) -> None:
        self._folder = folder
        self._file = file
        self._next = dict.fromkeys(SCHEMAS, 0)
        known = file.parts()
        for part in known:
            self._next[part.table] = part.number + 1
            path = folder / part.path
            if not path.is_file() or path.stat().st_size != part.bytes:
                raise damaged(folder / LEDGER, f"{part.path} is not there as it was written")
        self.tidy()

    def add(self, step: LedgerStep, pieces: Sequence[RowPiece], written: Sequence[WrittenPart], *, last: bool) -> None:
        """Let ``step`` keep some rows, in parts where there are enough; ``last`` if there will be no more."""
        parts = list(written)
        for table in SCHEMAS:
            own = [piece for piece in pieces if piece.table == table]
            if part := self._fold(table, own, last):
                parts.append(part)
                step.emptied.append(table)
            else:
                step.held += [(table, piece.rows, piece.read()) for piece in own]
        step.parts += [self._reveal(part) for part in parts]
        if parts:
            for table in {part.table for part in parts}:
                sync_folder(self._folder / folder_of(table))
            steps.reach("listing.part-written")

    def tidy(self) -> None:
        """Remove what does not count."""
        for path in found_in(self._folder) - {self._folder / part.path for part in self._file.parts()}:
            path.unlink(missing_ok=True)

    def _fold(self, table: str, pieces: Sequence[RowPiece], last: bool) -> WrittenPart | None:
        n = self._file.held_rows(table) + sum(piece.rows for piece in pieces)
        # At the end every table has a part, if an empty one: readers then need not think of it.
        if n < PART_ROWS and not (last and (n or not self._next[table])):
            return None
        path = make_folder(self._folder, table) / f".folded{PART}"
        return WrittenPart(table, write_part(path, table, self._unpacked(table, pieces)), path)

    def _unpacked(self, table: str, pieces: Sequence[RowPiece]) -> Iterator[pa.RecordBatch]:
        for held in self._file.held(table):
            yield from rows.unpack(pa.BufferReader(held))
        for piece in pieces:
            if isinstance(piece.packed, bytes):
                yield from rows.unpack(pa.BufferReader(piece.packed))
            else:
                with open(piece.packed, "rb") as file:
                    yield from rows.unpack(file)

    def _reveal(self, part: WrittenPart) -> ListingPart:
        """Give a part its name."""
        named = ListingPart(part.table, self._next[part.table], part.rows, part.path.stat().st_size)
        os.replace(part.path, self._folder / named.path)
        self._next[part.table] += 1
        return named


def make_folder(folder: Path, table: str) -> Path:
    """The folder of a table's parts, made if need be, durably."""
    made = folder / folder_of(table)
    if not made.is_dir():
        made.mkdir(exist_ok=True)
        sync_folder(folder)
    return made


def found_in(folder: Path) -> set[Path]:
    """What is in a listing's folder by the names of parts and of unfinished files."""
    ours = {folder: _BESIDE, **{folder / folder_of(table): _OF_TABLES for table in SCHEMAS}}
    return {
        path
        for each, pattern in ours.items()
        if each.is_dir() and not each.is_symlink()
        for path in each.iterdir()
        if pattern.fullmatch(path.name) and path.is_file()
    }
