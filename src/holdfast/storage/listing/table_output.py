"""TableOutput: the rows of one table that a worker of the local walk has found.

A few are handed over packed, to be kept in the ledger until there are more;
from ``PART_ROWS`` on they become a part, durable, which the ledger only names.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import pyarrow as pa

from holdfast.storage.listing import rows
from holdfast.storage.listing.found import RowPiece, WrittenPart
from holdfast.storage.listing.part_files import PART, PartFile
from holdfast.storage.listing.parts import make_folder

PART_ROWS = 1 << 16


class TableOutput:
    """Rows of ``table`` for the listing in ``folder``."""

    def __init__(self, folder: Path, table: str) -> None:
        self._folder = folder
        self._table = table
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self._part: PartFile | None = None
        self._path = Path()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some rows."""
        self._rows += batch.num_rows
        if self._part is None and self._rows >= PART_ROWS:
            # A name of its own: whoever walks the same packet again may be at it at the same time.
            self._path = make_folder(self._folder, self._table) / f".walked-{secrets.token_hex(8)}{PART}"
            self._part = PartFile(self._path, self._table)
            for held in self._batches:
                self._part.write(held)
            self._batches = []
        if self._part is not None:
            self._part.write(batch)
        elif batch.num_rows:
            self._batches.append(batch)

    def done(self) -> RowPiece | WrittenPart | None:
        """What there is to hand over; called once, at the end."""
        if self._part is not None:
            self._part.complete()
            return WrittenPart(self._table, self._rows, self._path)
        if self._batches:
            return RowPiece(self._table, self._rows, rows.pack(self._batches, rows.IN_MEMORY[self._table]))
        return None

    def abandon(self) -> None:
        """Remove what has been written."""
        if self._part is not None:
            self._part.abandon()
