"""Sums over all block replicas by site, group, status and visibility of the dataset.

Columns are summed once, for they do not change; what has changed since they
were made is taken off and added anew. So a sum over millions of replicas costs
what the sums and the changes cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from holdfast.inventory.image.block_columns import BlockColumns
from holdfast.inventory.image.replica_columns import Array, ReplicaColumns, ReplicaRow
from holdfast.inventory.image.replica_table import is_partial
from holdfast.inventory.image.tables import ImageTables
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset, DatasetStatus, ReplicaSum

STATUSES = tuple(DatasetStatus)
HALF = 1 << 32

Key = tuple[int, int, int]
"""Numbers of site and owner, and the kind of the dataset: its status, twice, and 1 more if it is staged."""
Counts = list[int]
"""Replicas, complete ones, files, bytes."""


def sums(tables: ImageTables) -> list[ReplicaSum]:
    """One sum for each site, group, status and visibility that has a replica, in that order."""
    sites, owners = tables.site_numbers.words, tables.owner_numbers.words
    records = [
        ReplicaSum(sites[site], owners[owner], STATUSES[kind // 2], bool(kind % 2), *counts)
        for (site, owner, kind), counts in _counts(tables).items()
        if counts[0]
    ]
    return sorted(records, key=lambda each: (each.site, each.group, each.status, each.is_staged))


def sizes_by_site_and_group(tables: ImageTables) -> dict[tuple[str, str], int]:
    """The bytes of all block replicas."""
    sites, owners = tables.site_numbers.words, tables.owner_numbers.words
    found: dict[tuple[str, str], int] = {}
    for (site, owner, _), counts in _counts(tables).items():
        if counts[0]:
            key = sites[site], owners[owner]
            found[key] = found.get(key, 0) + counts[3]
    return found


def _counts(tables: ImageTables) -> dict[Key, Counts]:
    found: dict[Key, Counts] = defaultdict(lambda: [0, 0, 0, 0])
    base = tables.blocks.base
    for chunk in tables.replicas.chunks:
        for key, counts in _totals_of(chunk, tables).items():
            _add(found[key], counts)
    for block in _changed(tables):
        number = block // tables.replicas.chunk_blocks
        if number < len(tables.replicas.chunks):
            old = tables.replicas.chunks[number].rows_of(block)
            known = block < base.n_numbers
            totals = (int(base.n_files[block]), int(base.sizes[block])) if known else (0, 0)
            _add_rows(found, old, int(_kinds(tables)[block]) if known else 0, totals, sign=-1)
        key_now = tables.blocks.key(block)
        row_now = None if key_now is None else tables.blocks.row(key_now)
        if key_now is not None and row_now is not None:
            kind = _kind(tables.datasets[key_now.dataset])
            _add_rows(found, tables.replicas.rows_of(block), kind, (row_now.n_files, row_now.size), sign=1)
    return found


def _add(counts: Counts, more: Counts, sign: int = 1) -> None:
    for place, value in enumerate(more):
        counts[place] += sign * value


def _add_rows(
    found: dict[Key, Counts], rows: dict[int, ReplicaRow], kind: int, totals: tuple[int, int], *, sign: int
) -> None:
    for site, row in rows.items():
        own = totals if row.held is None else (row.n_files, row.size)
        _add(found[site, row.owner, kind], [1, row.held is None, *own], sign)


def _changed(tables: ImageTables) -> Iterator[int]:
    """The blocks of which something has changed since the columns were made: replicas, totals, or the dataset."""
    blocks = set(tables.replicas.changed)
    for key, row in tables.blocks.rows.items():
        blocks.add(tables.blocks.base.index(key.dataset)[key.block] if row is None else row.number)
    for dataset in tables.datasets.changes():
        before, now = tables.datasets.base.get(dataset), tables.datasets.get(dataset)
        if before is None or now is None or _kind(before) != _kind(now):
            blocks.update(tables.blocks.base.index(dataset).values())
    return iter(blocks)


def _kind(dataset: Dataset) -> int:
    return 2 * STATUSES.index(dataset.status) + (not dataset.is_visible)


def _kinds(tables: ImageTables) -> Array:
    """By block number: the kind of its dataset, as they were when the columns of blocks were made."""
    base, datasets = tables.blocks.base, tables.datasets.base
    known: Array | None = base.remembered.get(datasets)
    if known is None:
        known = np.zeros(base.n_numbers, dtype="u1")
        kinds: dict[DatasetKey, int] = {key: _kind(dataset) for key, dataset in datasets.items()}
        base.spread(kinds, known)
        base.remembered.put(datasets, known)
    return known


def _totals_of(chunk: ReplicaColumns, tables: ImageTables) -> dict[Key, Counts]:
    """The sums over a chunk, with the blocks and datasets as they were when the columns of blocks were made."""
    kinds = _kinds(tables)
    known: dict[Key, Counts] | None = chunk.remembered.get(kinds)
    if known is None:
        known = _summed(chunk, kinds, tables.blocks.base)
        chunk.remembered.put(kinds, known)
    return known


def _summed(chunk: ReplicaColumns, kinds: Array, base: BlockColumns) -> dict[Key, Counts]:
    columns = chunk.arrays
    blocks = columns["block"]
    kind, files, size = (_at(values, blocks) for values in (kinds, base.n_files, base.sizes))
    files[columns["partial"]], size[columns["partial"]] = columns["partial_files"], columns["partial_size"]
    groups = (columns["site"].astype("<i8") << 24) | (columns["owner"].astype("<i8") << 8) | kind
    keys, places = np.unique(groups, return_inverse=True)
    weights = [np.ones(len(blocks)), ~is_partial(columns["marks"]), files, size >> 32, size & (HALF - 1)]
    # Floating point is exact here: a chunk has fewer than 2**21 rows, and each weight fewer than 32 bits.
    totals = [np.bincount(places, weights=each, minlength=len(keys)).astype("<i8").tolist() for each in weights]
    return {
        (key >> 24, key >> 8 & 0xFFFF, key & 0xFF): [n_replicas, n_complete, held, high * HALF + low]
        for key, n_replicas, n_complete, held, high, low in zip(keys.tolist(), *totals, strict=True)
    }


def _at(values: Array, blocks: Array) -> Array:
    """The values of some blocks; 0 for those that are younger than the columns."""
    if not len(values):
        return np.zeros(len(blocks), dtype="<i8")
    found = values[np.minimum(blocks, len(values) - 1)].astype("<i8")
    found[blocks >= len(values)] = 0
    return found
