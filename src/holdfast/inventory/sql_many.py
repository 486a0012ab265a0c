"""Many blocks, replicas and files by few statements: what the SQL forms of bulk changes and questions share.

Keys go into a statement as constant rows that the tables are joined with, so
that each is found by the index; numbers of rows, which are ours, go in as text.
Plain statements of the driver, because building them out of expressions costs
several times what the database takes to answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from holdfast.model.names import BlockKey, DatasetKey, join

CHUNK_ROWS = 1000
"""Constant rows of one statement; SQLite allows 32,766 values in one."""
CHUNK_NUMBERS = 10_000
"""Numbers of rows listed in one statement."""


BlockRow = tuple[int, int, int, int, str]
"""A block in the tables: its number, its number of files, its bytes; its dataset's number, and its name there."""
_BLOCK_COLUMNS = "block.id, block.n_files, block.size, block.dataset_id, block.name"


def mark(connection: Connection) -> str:
    """What stands for a value in a statement of the driver."""
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


def fetched(connection: Connection, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
    """The rows of a statement of the driver, as its own tuples."""
    result = connection.exec_driver_sql(query, values)
    try:
        return list(result.cursor.fetchall()) if result.cursor is not None else []
    finally:
        result.close()


def joined(connection: Connection, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], query: str) -> list[Any]:
    """The rows of ``query``, in which ``wanted`` is a table of the constant ``rows``."""
    row_mark = f"({','.join([mark(connection)] * len(columns))})"
    found = []
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        marks = ",".join([row_mark] * len(chunk))
        text = f"WITH wanted ({','.join(columns)}) AS (VALUES {marks}) {query}"
        found += fetched(connection, text, tuple(chain.from_iterable(chunk)))
    return found


def listed(numbers: Iterable[int]) -> Iterator[str]:
    """Numbers of rows as text for ``IN (...)``, in order, chunk by chunk."""
    wanted = sorted(set(numbers))
    for start in range(0, len(wanted), CHUNK_NUMBERS):
        yield ",".join(map(str, wanted[start : start + CHUNK_NUMBERS]))


def dataset_rows(connection: Connection, keys: Collection[DatasetKey]) -> dict[DatasetKey, tuple[int, str]]:
    """Number and body of those datasets that are there."""
    wanted = [(key.name, key.version) for key in sorted(set(keys))]
    query = (
        "SELECT wanted.name, wanted.version, dataset.id, dataset.body FROM wanted CROSS JOIN dataset"
        " WHERE dataset.name = wanted.name AND dataset.version = wanted.version"
    )
    found = joined(connection, ("name", "version"), wanted, query)
    return {DatasetKey(name, version): (number, body) for name, version, number, body in found}


def block_rows(connection: Connection, keys: Collection[BlockKey]) -> dict[BlockKey, BlockRow]:
    """The rows of those blocks that are there."""
    datasets = {key: number for key, (number, _) in dataset_rows(connection, {key.dataset for key in keys}).items()}
    by_dataset: dict[int, dict[str, BlockRow]] = {number: {} for number in datasets.values()}
    for row in _blocks(connection, keys, datasets):
        by_dataset[row[3]][row[4]] = row
    by_key = {dataset: by_dataset[number] for dataset, number in datasets.items()}
    none: dict[str, BlockRow] = {}
    found = ((key, by_key.get(key[0], none).get(key[1])) for key in keys)
    return {key: row for key, row in found if row is not None}


def _blocks(connection: Connection, keys: Collection[BlockKey], datasets: Mapping[DatasetKey, int]) -> list[BlockRow]:
    """The rows of these blocks, perhaps of others, too."""
    if len(keys) > CHUNK_ROWS:
        every = _all_blocks(connection, datasets.values(), limit=2 * len(keys))
        if every is not None:
            return every
    wanted = [(datasets[key.dataset], key.block) for key in dict.fromkeys(keys) if key.dataset in datasets]
    query = f"SELECT {_BLOCK_COLUMNS} FROM wanted CROSS JOIN block"
    condition = "block.dataset_id = wanted.dataset_id AND block.name = wanted.name"
    return joined(connection, ("dataset_id", "name"), wanted, f"{query} WHERE {condition}")


def _all_blocks(connection: Connection, datasets: Iterable[int], limit: int) -> list[BlockRow] | None:
    """All blocks of some datasets, unless they are more than ``limit``: many are sooner read than picked."""
    found: list[Any] = []
    for numbers in listed(datasets):
        query = f"SELECT {_BLOCK_COLUMNS} FROM block WHERE dataset_id IN ({numbers})"
        found += fetched(connection, f"{query} LIMIT {limit - len(found) + 1}")
        if len(found) > limit:
            return None
    return found


REPLICA_COLUMNS = (
    "block_id",
    "site_id",
    "owner_group",
    "is_custodial",
    "held",
    "n_files",
    "size",
    "verified_us",
    "updated_us",
)
"""The columns of a replica, its key first."""


def replica_rows(connection: Connection, blocks: Iterable[int], site_id: int) -> dict[int, Any]:
    """The replicas of blocks at one site, in the order of ``REPLICA_COLUMNS``, by the block's number."""
    columns = ",".join(REPLICA_COLUMNS)
    found: dict[int, Any] = {}
    for numbers in listed(blocks):
        query = f"SELECT {columns} FROM replica WHERE site_id = {site_id} AND block_id IN ({numbers})"
        found.update((row[0], row) for row in fetched(connection, query))
    return found


def replica_rows_of_blocks(connection: Connection, blocks: Iterable[int]) -> Iterator[Any]:
    """All replicas of blocks, in the order of ``REPLICA_COLUMNS``."""
    columns = ",".join(REPLICA_COLUMNS)
    for numbers in listed(blocks):
        yield from fetched(connection, f"SELECT {columns} FROM replica WHERE block_id IN ({numbers})")


def size_of_files(connection: Connection, block: int, ordinals: Iterable[int]) -> int:
    """The bytes of some files of a block."""
    size = 0
    for numbers in listed(ordinals):
        query = f"SELECT sum(size) FROM file WHERE block_id = {block} AND ordinal IN ({numbers})"
        size += int(fetched(connection, query)[0][0] or 0)
    return size


def put_rows(
    connection: Connection, table: str, key: Sequence[str], columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows or replace those with the same key; the key is the first of ``columns``."""
    row_mark = f"({','.join([mark(connection)] * len(columns))})"
    new = ",".join(f"{column}=excluded.{column}" for column in columns[len(key) :])
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        text = (
            f"INSERT INTO {table} ({','.join(columns)}) VALUES {','.join([row_mark] * len(chunk))}"
            f" ON CONFLICT ({','.join(key)}) DO UPDATE SET {new}"
        )
        connection.exec_driver_sql(text, tuple(chain.from_iterable(chunk)))


_BELOW = (
    ", found AS (SELECT wanted.path, file.block_id FROM wanted CROSS JOIN directory CROSS JOIN file"
    " WHERE directory.path = wanted.path AND file.dir_id = directory.id"
    " UNION SELECT wanted.path, file.block_id FROM wanted CROSS JOIN directory CROSS JOIN file"
    " WHERE directory.path > wanted.first AND directory.path < wanted.last AND file.dir_id = directory.id)"
    " SELECT found.path, dataset.name, dataset.version, block.name FROM found"
    " JOIN block ON block.id = found.block_id JOIN dataset ON dataset.id = block.dataset_id"
)


def blocks_below(connection: Connection, directories: Collection[str]) -> dict[str, list[BlockKey]]:
    """The blocks with files in or below each of many directories, in order."""
    # All texts with a prefix follow each other, before what has the next character in the place of its last.
    wanted = [(path, prefix, f"{prefix[:-1]}0") for path in sorted(set(directories)) for prefix in [join(path, "")]]
    found: dict[str, list[BlockKey]] = {}
    for path, name, version, block in joined(connection, ("path", "first", "last"), wanted, _BELOW):
        found.setdefault(path, []).append(BlockKey(DatasetKey(name, version), block))
    for blocks in found.values():
        blocks.sort()
    return found
