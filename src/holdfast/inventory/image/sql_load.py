"""Load an image from SQL in bulk: whole columns, not a record for each file.

The database joins the values of a block's files into one text for each column,
numpy cuts them apart again; so a hundred files cost about what one row costs.

Rules
  * All is read in the one transaction of the snapshot, so it is one position.
  * It equals what ``image.load`` makes, long digests aside, which neither has.
  * A block whose files are not numbered 0, 1, 2 ... is a BrokenInvariant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Select, Text, cast, func, select

from holdfast.inventory import schema
from holdfast.inventory.image.block_columns import BlockColumns
from holdfast.inventory.image.file_rows import FileRows
from holdfast.inventory.image.file_table import FileTable
from holdfast.inventory.image.image import Image, small_tables
from holdfast.inventory.image.replica_columns import ReplicaColumns, ReplicaRow, columns_of
from holdfast.inventory.image.replica_table import ReplicaTable
from holdfast.inventory.image.tables import ImageTables, Numbers, TableSizes
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.model.errors import BrokenInvariant
from holdfast.model.names import DatasetKey

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
"""Called with how many files are in, and how many there are."""

BATCH_FILES = 1 << 18
UNKNOWN = -1
"""In place of an adler32 that is not known."""


def load(connection: Connection, *, sizes: TableSizes | None = None, progress: Progress | None = None) -> Image:
    """An image of what the open transaction shows."""
    tables = small_tables(SqlSnapshot(connection)).of_sizes(sizes or TableSizes())
    blocks, numbers = _blocks(connection)
    tables = replace(tables, blocks=replace(tables.blocks, base=blocks, n_numbers=len(blocks)))
    tables = _with_replicas(connection, tables, numbers)
    return Image(replace(tables, files=_files(connection, tables.files, numbers, int(blocks.n_files.sum()), progress)))


def _blocks(connection: Connection) -> tuple[BlockColumns, dict[int, int]]:
    """All blocks as columns, numbered in the order of their keys; and these numbers by those in SQL."""
    dataset, block = schema.dataset.c, schema.block.c
    query = (
        select(dataset.name, dataset.version, block.id, block.name, block.n_files, block.size)
        .join(schema.block, block.dataset_id == dataset.id)
        .order_by(dataset.name, dataset.version, block.name)
    )
    rows = connection.execute(query).all()
    datasets, first = [], [0]
    for key, of_dataset in groupby(rows, key=lambda row: (row[0], row[1])):
        datasets.append(DatasetKey(*key))
        first.append(first[-1] + sum(1 for _ in of_dataset))
    names, n_files, sizes = ([row[column] for row in rows] for column in (3, 4, 5))
    columns = BlockColumns.of(datasets, first, names, range(len(rows)), n_files, sizes, len(rows))
    return columns, {row[2]: number for number, row in enumerate(rows)}


def _with_replicas(connection: Connection, tables: ImageTables, numbers: dict[int, int]) -> ImageTables:
    replica = schema.replica.c
    names = {row.id: row.name for row in connection.execute(select(schema.site.c.id, schema.site.c.name))}
    columns = (replica.block_id, replica.site_id, replica.owner_group, replica.is_custodial, replica.held)
    rest = (replica.n_files, replica.size, replica.verified_us, replica.updated_us)
    sites, owners = Numbers(), Numbers()
    found: list[tuple[int, int, ReplicaRow]] = []
    for block, site, owner, custodial, held, n_files, size, verified_us, updated_us in connection.execute(
        select(*columns, *rest)
    ):
        if names[site] not in sites.by_word:
            sites = sites.with_word(names[site])
        if owner not in owners.by_word:
            owners = owners.with_word(owner)
        bits = None if held is None else int.from_bytes(held, "little")
        if bits is None:
            n_files = size = 0
        row = ReplicaRow(owners.by_word[owner], bool(custodial), bits, n_files, size, verified_us, updated_us)
        found.append((numbers[block], sites.by_word[names[site]], row))
    table = _replica_table(found, tables.replicas)
    return replace(tables, replicas=table, site_numbers=sites, owner_numbers=owners)


def _replica_table(rows: list[tuple[int, int, ReplicaRow]], table: ReplicaTable) -> ReplicaTable:
    rows.sort(key=lambda row: row[:2])
    chunks: list[ReplicaColumns] = []
    for number, of_chunk in groupby(rows, key=lambda row: row[0] // table.chunk_blocks):
        while len(chunks) < number:
            chunks.append(ReplicaColumns.empty(len(chunks) * table.chunk_blocks, table.chunk_blocks))
        blocks, sites, values = zip(*of_chunk, strict=True)
        first = number * table.chunk_blocks
        chunks.append(ReplicaColumns(first, table.chunk_blocks, columns_of(blocks, sites, values)))
    return replace(table, chunks=tuple(chunks))


def _files(
    connection: Connection, table: FileTable, numbers: dict[int, int], n_files: int, progress: Progress | None
) -> FileTable:
    directories = connection.execute(select(schema.directory.c.id, schema.directory.c.path)).all()
    dirs = [path for _, path in directories]
    places = np.zeros(max((number for number, _ in directories), default=0) + 1, dtype="<u4")
    places[[number for number, _ in directories]] = np.arange(len(dirs), dtype="<u4")
    for batch in _batches(connection):
        table = table.appended_rows(_rows(batch, numbers, dirs, places))
        if progress is not None:
            progress(table.n_files, n_files)
    return table.merged()


def _query(connection: Connection) -> Select[Any]:
    file = schema.file
    # SQLite reads such a table in the order of its key, and the groups are in that order.
    is_ordered = connection.dialect.name == "sqlite"
    rows = file.c if is_ordered else select(file).order_by(file.c.block_id, file.c.ordinal).subquery().c

    def joined(column: Any, mark: str = ",") -> Any:
        return func.aggregate_strings(cast(column, Text), mark)

    return select(
        rows.block_id,
        func.count(),
        joined(rows.ordinal),
        joined(rows.dir_id),
        joined(rows.name, "/"),  # The one printable character that is in no name.
        joined(rows.size),
        joined(func.coalesce(rows.adler32, UNKNOWN)),
    ).group_by(rows.block_id)


def _batches(connection: Connection) -> Iterator[list[Sequence[Any]]]:
    batch: list[Sequence[Any]] = []
    count = 0
    with connection.execution_options(yield_per=1000).execute(_query(connection)) as result:
        for row in result:
            batch.append(row)
            count += row[1]
            if count >= BATCH_FILES:
                yield batch
                batch, count = [], 0
    if batch:
        yield batch


def _rows(batch: list[Sequence[Any]], numbers: dict[int, int], dirs: Sequence[str], places: Array) -> FileRows:
    blocks, counts, ordinals, dir_ids, names, sizes, adler32 = zip(*batch, strict=True)
    for block, count, text in zip(blocks, counts, ordinals, strict=True):
        if text != _first_numbers(count):
            raise BrokenInvariant("the files of a block are not numbered one after the other", place=f"block {block}")
    blob = np.frombuffer("/".join(names).encode() + b"/", dtype="u1")
    marks = np.flatnonzero(blob == ord("/"))
    offsets = np.zeros(len(marks) + 1, dtype="<i8")
    offsets[1:] = marks - np.arange(len(marks))
    digests = _parsed(adler32)
    return FileRows(
        blocks=np.array([numbers[block] for block in blocks], dtype="<u4"),
        first_ordinals=np.zeros(len(blocks), dtype="<u4"),
        counts=np.array(counts, dtype="<i8"),
        dirs=dirs,
        dir_index=places[_parsed(dir_ids)],
        names=blob[blob != ord("/")],
        name_offsets=offsets,
        sizes=_parsed(sizes),
        adler32=np.where(digests == UNKNOWN, 0, digests).astype("<u4"),
        has_adler32=digests != UNKNOWN,
    )


@lru_cache(maxsize=256)
def _first_numbers(count: int) -> str:
    return ",".join(map(str, range(count)))


def _parsed(texts: Sequence[str]) -> Array:
    return np.fromstring(",".join(texts), dtype="<i8", sep=",")
