"""BlockTable: all blocks at one position: columns, and what has changed since they were made. Never written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from holdfast.inventory.image.block_columns import Array, BlockColumns, BlockRow
from holdfast.inventory.image.layered import GONE, Gone, Layered
from holdfast.model.names import BlockKey, DatasetKey

CHANGED_MIN = 1024
"""Fewer changed blocks are not worth new columns."""


def _no_columns() -> BlockColumns:
    return BlockColumns.of((), (0,), (), (), (), (), 0)


@dataclass(frozen=True, slots=True)
class BlockTable:
    """Blocks by key and by number. ``with_...`` methods return the table after a change."""

    base: BlockColumns = field(default_factory=_no_columns)
    rows: Layered[BlockKey, BlockRow | None] = field(default_factory=Layered)
    """Changed and new blocks; None for those of the base that are there no more."""
    keys: Layered[int, BlockKey] = field(default_factory=Layered)
    """The blocks that got their numbers since the base was made."""
    added: Layered[DatasetKey, tuple[str, ...]] = field(default_factory=Layered)
    """The names of these, by dataset."""
    n_numbers: int = 0
    changed_min: int = CHANGED_MIN

    def row(self, key: BlockKey) -> BlockRow | None:
        """What is known of a block; None if there is none."""
        if key in self.rows:
            return self.rows[key]
        return self.base.row(key)

    def numbers(self, keys: Iterable[BlockKey]) -> list[int]:
        """The numbers of many blocks; LookupError if one is not known."""
        found: list[int] = []
        indexes: dict[DatasetKey, Mapping[str, int]] = {}
        for key in keys:
            row = None if self.rows.is_empty else self.row(key)
            if row is not None:
                found.append(row.number)
                continue
            dataset, name = key
            if dataset not in indexes:
                indexes[dataset] = self.base.index(dataset)
            if name not in indexes[dataset] or (not self.rows.is_empty and key in self.rows):
                raise LookupError(str(key))
            found.append(indexes[dataset][name])
        return found

    def n_files_of(self, numbers: Iterable[int]) -> dict[int, int]:
        """How many files each of these blocks has."""
        found = list(numbers)
        array = np.array(found, dtype="<i8")
        counts = np.zeros(len(found), dtype="<i8")
        in_base = array < self.base.n_numbers
        counts[in_base] = self.base.n_files[array[in_base]]
        n_files = dict(zip(found, counts.tolist(), strict=True))
        # There are few changed blocks, or few are asked for.
        changed = self.rows.values() if len(found) > 64 else map(self.row, filter(None, map(self.key, found)))
        n_files.update((row.number, row.n_files) for row in changed if row is not None and row.number in n_files)
        return n_files

    def key(self, number: int) -> BlockKey | None:
        """The block that has ``number``; None if it is there no more."""
        key = self.keys.get(number) or self.base.key(number)
        return key if key is not None and self.row(key) is not None else None

    def rows_of(self, dataset: DatasetKey) -> list[tuple[str, BlockRow]]:
        """Names and rows of the blocks of a dataset, by name."""
        known = [*self.base.index(dataset), *self.added.get(dataset, ())]
        found = [(name, self.row(BlockKey(dataset, name))) for name in known]
        return sorted((name, row) for name, row in found if row is not None)

    def with_row(self, key: BlockKey, n_files: int, size: int) -> tuple[BlockTable, int]:
        """The table after a block was made or has grown, and the block's number."""
        old = self.row(key)
        if old is not None:
            rows = self.rows.with_item(key, BlockRow(old.number, n_files, size))
            return replace(self, rows=rows), old.number
        number = self.n_numbers
        table = replace(
            self,
            rows=self.rows.with_item(key, BlockRow(number, n_files, size)),
            keys=self.keys.with_item(number, key),
            added=self.added.with_item(key.dataset, (*self.added.get(key.dataset, ()), key.block)),
            n_numbers=number + 1,
        )
        return table, number

    def without_dataset(self, dataset: DatasetKey) -> BlockTable:
        """The table without the blocks of a dataset."""
        in_base = self.base.index(dataset)
        rows: dict[BlockKey, BlockRow | Gone | None] = {}
        keys: dict[int, BlockKey | Gone] = {}
        for name, row in self.rows_of(dataset):
            rows[BlockKey(dataset, name)] = None if name in in_base else GONE
            if row.number >= self.base.n_numbers:
                keys[row.number] = GONE
        return replace(
            self,
            rows=self.rows.with_items(rows),
            keys=self.keys.with_items(keys),
            added=self.added.with_item(dataset, GONE),
        )

    def totals(self) -> tuple[Array, Array]:
        """Files and bytes of each block, by number; 0 for numbers without a block."""
        n_files, sizes = (np.zeros(self.n_numbers, dtype="<i8") for _ in range(2))
        n_files[: self.base.n_numbers], sizes[: self.base.n_numbers] = self.base.n_files, self.base.sizes
        for key, row in self.rows.items():
            number, *counts = row or (self.base.index(key.dataset)[key.block], 0, 0)
            n_files[number], sizes[number] = counts
        return n_files, sizes

    @property
    def wants_folding(self) -> bool:
        """Whether so much has changed that new columns pay."""
        return len(self.rows) > self.changed_min + len(self.base) // 8

    def folded(self) -> BlockTable:
        """The same table, all of it in columns."""
        datasets, first, names, numbers, n_files, sizes = [], [0], [], [], [], []
        for dataset, rows in self._every():
            if not rows:
                continue
            datasets.append(dataset)
            for name, number, files, size in rows:
                names.append(name)
                numbers.append(number)
                n_files.append(files)
                sizes.append(size)
            first.append(len(names))
        base = BlockColumns.of(datasets, first, names, numbers, n_files, sizes, self.n_numbers)
        return BlockTable(base, n_numbers=self.n_numbers, changed_min=self.changed_min)

    def _every(self) -> Iterator[tuple[DatasetKey, list[tuple[str, int, int, int]]]]:
        datasets, first, names, numbers = self.base.dataset_columns()
        n_files, sizes = self.base.n_files.tolist(), self.base.sizes.tolist()
        spans = dict(zip(datasets, pairwise(first), strict=False))
        changed = {key.dataset for key in self.rows}
        for dataset in sorted({*datasets, *changed}):
            if dataset in changed:
                yield dataset, [(name, *row) for name, row in self.rows_of(dataset)]
            else:
                span = range(*spans[dataset])
                yield dataset, [(names[i], numbers[i], n_files[numbers[i]], sizes[numbers[i]]) for i in span]

    def datasets(self) -> Iterable[DatasetKey]:
        """The datasets that have blocks, in order."""
        return (dataset for dataset, rows in self._every() if rows)
