"""PackedFiles: packed rows in files beside a listing, until they are saved.

Rules
  * Rows are appended and never changed; a file is complete after each call.
  * The files are nobody's until the ledger is told of them; the ledger removes
    all it does not know when it is opened.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from holdfast.storage.listing import rows
from holdfast.storage.listing.part_files import PART
from holdfast.storage.listing.tables import ENTRIES, ODDITIES

WAITING = "waiting"
_WAITING: list[pa.Field[Any]] = [pa.field("dir", pa.string()), pa.field("mtime_ns", pa.int64())]
SCHEMAS = {
    ENTRIES: rows.IN_MEMORY[ENTRIES],
    ODDITIES: rows.IN_MEMORY[ODDITIES],
    WAITING: pa.schema(_WAITING),
}


@dataclass
class PackedFiles:
    """Files of packed rows by what is in them: how many rows each has. ``folder`` is the listing's."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    counts: dict[str, int] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """The file of the rows ``name``."""
        return self.folder / f".spool-{self.token}-{name.removesuffix('.parquet')}{PART}"

    def append(self, name: str, batch: pa.RecordBatch) -> None:
        """Add some rows."""
        if batch.num_rows:
            with open(self.path(name), "ab") as file:
                file.write(rows.pack([batch], SCHEMAS[name]))
            self.counts[name] = self.counts.get(name, 0) + batch.num_rows

    def append_waiting(self, dirs: list[str], mtimes_ns: list[int | None]) -> None:
        """Add directories that are to wait, the oldest first."""
        arrays: list[pa.Array[Any]] = [pa.array(dirs, pa.string()), pa.array(mtimes_ns, pa.int64())]
        self.append(WAITING, pa.record_batch(arrays, schema=SCHEMAS[WAITING]))

    def waiting(self) -> Iterator[tuple[str, int | None]]:
        """The directories that are to wait, in the order of ``append_waiting``."""
        if WAITING in self.counts:
            with open(self.path(WAITING), "rb") as file:
                for batch in rows.unpack(file):
                    yield from zip(batch[0].to_pylist(), batch[1].to_pylist(), strict=True)

    def remove(self) -> None:
        """Remove the files."""
        for name in SCHEMAS:
            with suppress(FileNotFoundError):
                os.unlink(self.path(name))
