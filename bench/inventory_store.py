"""An inventory in SQLite with the made-up content, kept for the next run.

``fill`` writes it through the public API; ``load`` gives the same blocks, files
and replicas to the tables themselves, for millions of files, and leaves them out
of the journal.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from bench import inventory_data
from bench.inventory_data import InventoryData
from holdfast.inventory import schema
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model.changes import BlocksArrived, Change, ChangeSet, CreateDataset, PutGroup, PutSite, RegisterFiles
from holdfast.model.records import Dataset, Group

COMMIT_BLOCKS = 400
"""Blocks of files in a change set: 40,000 rows, below what one may have."""
COMMIT_REPLICAS = 20_000
COMMIT_DATASETS = 2_000
LOAD_BLOCKS = 1_000

_COLUMNS = {
    "block": ("id", "dataset_id", "name", "n_files", "size"),
    "directory": ("id", "path"),
    "file": ("block_id", "ordinal", "dir_id", "name", "size", "adler32"),
    "replica": ("block_id", "site_id", "owner_group", "is_custodial", "n_files", "size", "updated_us"),
}


def prepare(folder: Path, data: InventoryData) -> Path:
    """The file of the inventory, made in ``folder`` unless it is there; ``holdfast.toml`` lies beside it."""
    kept = folder / f"store-{data.n_files}-{schema.VERSION}"
    if not (kept / "whole").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        (kept / "holdfast.toml").write_text(f'[inventory]\npath = "{kept / "inventory.db"}"\n')
        store = SqlStore.create(kept / "inventory.db")
        load(store, data)
        store.close()
        (kept / "whole").touch()
    return kept / "inventory.db"


def fill(store: Store, data: InventoryData) -> None:
    """Write all of ``data`` into an empty inventory."""
    _begin(store, data)
    for first in range(0, data.n_blocks, COMMIT_BLOCKS):
        blocks = data.blocks(first, min(first + COMMIT_BLOCKS, data.n_blocks))
        _commit(store, [RegisterFiles(block.key, 0, block.files) for block in blocks])
    waiting: list[BlocksArrived] = []
    for change in _arrivals(data):
        waiting.append(change)
        if sum(len(each.blocks) for each in waiting) >= COMMIT_REPLICAS:
            _commit(store, waiting)
            waiting = []
    if waiting:
        _commit(store, waiting)


def load(store: SqlStore, data: InventoryData) -> None:
    """The same, but blocks, files and replicas go to the tables without any check, and into no journal."""
    _begin(store, data)
    with store.writing() as connection:
        found = _rows(connection, "SELECT name, version, id FROM dataset")
        datasets = {(name, version): id for name, version, id in found}
        sites = {name: id for id, name in _rows(connection, "SELECT id, name FROM site")}
        for first in range(0, data.n_blocks, LOAD_BLOCKS):
            numbers = range(first, min(first + LOAD_BLOCKS, data.n_blocks))
            _insert(connection, "block", _block_rows(data, numbers, datasets))
            _insert(connection, "directory", ((number + 1, inventory_data.directory(number)) for number in numbers))
            _insert(connection, "file", _file_rows(data, numbers))
            _insert(connection, "replica", _replica_rows(data, numbers, sites))


def _begin(store: Store, data: InventoryData) -> None:
    groups = map(inventory_data.group_name, range(inventory_data.GROUPS))
    _commit(store, [*map(PutSite, inventory_data.sites()), *(PutGroup(Group(name)) for name in groups)])
    numbers = np.unique(data.datasets).tolist()
    for first in range(0, len(numbers), COMMIT_DATASETS):
        keys = map(inventory_data.dataset_key, numbers[first : first + COMMIT_DATASETS])
        _commit(store, [CreateDataset(Dataset(key, is_open=True)) for key in keys])


def _rows(connection: Connection, query: str) -> list[Any]:
    return list(connection.exec_driver_sql(query).all())


def _insert(connection: Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    values = list(rows)
    columns = _COLUMNS[table]
    marks = ",".join("?" * len(columns))
    connection.exec_driver_sql(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", values)


def _block_rows(
    data: InventoryData, numbers: range, datasets: Mapping[tuple[str, str], int]
) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        key = data.block_key(number)
        counts = (int(data.block_n_files[number]), int(data.block_sizes[number]))
        yield number + 1, datasets[key.dataset], key.block, *counts


def _file_rows(data: InventoryData, numbers: range) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        rows = data.span(number)
        columns = zip(data.names(rows), data.sizes[rows].tolist(), data.adler32[rows].tolist(), strict=True)
        for ordinal, (name, size, adler32) in enumerate(columns):
            yield number + 1, ordinal, number + 1, name, size, adler32


def _replica_rows(data: InventoryData, numbers: range, sites: Mapping[str, int]) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        counts = (int(data.block_n_files[number]), int(data.block_sizes[number]))
        places = zip(data.replica_sites[number].tolist(), data.replica_groups[number].tolist(), strict=True)
        for site, group in places:
            owner = inventory_data.group_name(group)
            yield number + 1, sites[inventory_data.site_name(site)], owner, 0, *counts, 1


def _commit(store: Store, changes: Sequence[Change]) -> None:
    store.commit(ChangeSet(tuple(changes), "bench", "bench"))


def _arrivals(data: InventoryData) -> Iterator[BlocksArrived]:
    """For each site and group the blocks whose replica there is the group's."""
    keys = [data.block_key(block) for block in range(data.n_blocks)]
    for site in range(inventory_data.SITES):
        for group in range(inventory_data.GROUPS):
            there = (data.replica_sites == site) & (data.replica_groups == group)
            blocks = tuple(keys[block] for block in np.flatnonzero(there.any(axis=1)).tolist())
            if blocks:
                yield BlocksArrived(inventory_data.site_name(site), blocks, group=inventory_data.group_name(group))
