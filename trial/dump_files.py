"""Writing dumps: rows of files as a listing folder or as a table, in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.model.clock import system_clock
from holdfast.storage.listing import summary
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.summary import ListingCounts, ListingPart, ListingPlan, Summary
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, ODDITIES, SCHEMAS, SECOND_NS, DirectoryState


class Row(NamedTuple):
    """A file of a dump; ``mtime`` in seconds."""

    dir: str
    name: str
    size: int
    adler32: str
    mtime: int


Piece = tuple[list[Row], list[str]]
"""Files, and the directories that were looked into for them; none of a piece is in another one."""


def write_table(pieces: Iterable[Piece], target: Path) -> None:
    """A table of paths, sizes, checksums and times."""
    columns_of: list[pa.Field[Any]] = [
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("adler32", pa.string()),
        pa.field("mtime", pa.int64()),
    ]
    schema = pa.schema(columns_of)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for rows, _ in pieces:
            columns = [[f"{row.dir}/{row.name}" for row in rows], *([row[at] for row in rows] for at in (2, 3, 4))]
            writer.write_table(pa.table(columns, schema=schema))


def write_listing(site: str, pieces: Iterable[Piece], failed: frozenset[str], folder: Path) -> None:
    """A listing folder, as ``docs/formats/listing.md`` has it; nothing is known of the directories that ``failed``."""
    began_us = system_clock()
    counts = ListingCounts()
    for table in SCHEMAS:
        (folder / summary.folder_of(table)).mkdir(parents=True, exist_ok=True)
    above: dict[str, set[str]] = {"/": set()}
    with _Writer(folder, ENTRIES) as entries, _Writer(folder, DIRECTORIES) as directories:
        for rows, dirs in pieces:
            entries.write([(row.dir, row.name, row.size, row.mtime, row.mtime * SECOND_NS, "", None) for row in rows])
            n_files = Counter(row.dir for row in rows)
            listed = [_row(dir, n_files[dir], 0, failed) for dir in dirs]
            directories.write(listed)
            counts.note(listed, sum(row.size for row in rows), "/")
            for dir in dirs:
                _note_above(above, dir)
        parents = [_row(dir, 0, len(below), failed) for dir, below in above.items()]
        directories.write(parents)
        counts.note(parents, 0, "/")
    with _Writer(folder, ODDITIES) as oddities:
        oddities.write([])
    parts = tuple(each.part() for each in (entries, directories, oddities))
    summary.write(folder, Summary(ListingPlan(site), counts, began_us, system_clock(), 0, parts))


def _row(dir: str, n_files: int, n_directories: int, failed: frozenset[str]) -> DirectoryRow:
    if dir in failed:
        return DirectoryRow(dir, DirectoryState.FAILED.value, "permission denied", 0, 0, 0, None)
    return DirectoryRow(dir, DirectoryState.LISTED.value, "", n_files, n_directories, 0, None)


def _note_above(above: dict[str, set[str]], dir: str) -> None:
    while dir != "/":
        parent, _, name = dir.rpartition("/")
        parent = parent or "/"
        known = above.setdefault(parent, set())
        if name in known:
            return
        known.add(name)
        dir = parent


class _Writer:
    """The one part of a table."""

    def __init__(self, folder: Path, table: str) -> None:
        self._table, self._folder = table, folder
        self._file = folder / ListingPart(table, 0, 0, 0).path
        self._writer = pq.ParquetWriter(self._file, SCHEMAS[table], compression="zstd")
        self._n_rows = 0

    def write(self, rows: Iterable[tuple[object, ...]]) -> None:
        found = list(rows)
        columns: Iterator[tuple[object, ...]] = zip(*found, strict=True)
        arrays = list(columns) if found else [() for _ in SCHEMAS[self._table]]
        self._writer.write_table(pa.table([list(column) for column in arrays], schema=SCHEMAS[self._table]))
        self._n_rows += len(found)

    def part(self) -> ListingPart:
        return ListingPart(self._table, 0, self._n_rows, self._file.stat().st_size)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
