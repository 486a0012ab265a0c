"""ImageSnapshot: the inventory at one position, read from memory.

It answers as ``SqlSnapshot`` does, but for long digests, which only SQL keeps:
``digests`` says which are kept here. It stays valid for ever, and neither holds
up nor waits for anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from holdfast.inventory.image import sums as image_sums
from holdfast.inventory.image import whereabouts
from holdfast.inventory.image.directories import prefix_of
from holdfast.inventory.image.tables import ImageTables
from holdfast.inventory.store import Head
from holdfast.model import names
from holdfast.model.errors import unknown_name
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    Block,
    BlockReplica,
    CopyRequest,
    Dataset,
    DeletionRequest,
    FileColumns,
    FileRecord,
    Lock,
    Permission,
    ReplicaSum,
    Request,
    Restore,
    Site,
)

DIGESTS = frozenset({"adler32"})


class ImageSnapshot:
    """The Snapshot of ``holdfast.inventory.store`` over tables in memory."""

    __slots__ = ("tables",)

    def __init__(self, tables: ImageTables) -> None:
        self.tables = tables

    @property
    def head(self) -> Head:
        """The position this snapshot shows."""
        return self.tables.head

    @property
    def digests(self) -> frozenset[str]:
        """The algorithms whose digests are kept in memory."""
        return DIGESTS

    def sites(self) -> list[Site]:
        """All sites."""
        return [site for _, site in sorted(self.tables.sites.items())]

    def site(self, name: str) -> Site:
        """One site."""
        site = self.tables.sites.get(name)
        if site is None:
            raise unknown_name("site", name, sorted(self.tables.sites))
        return site

    def groups(self) -> list[str]:
        """The names of all groups."""
        return sorted(self.tables.groups)

    def datasets(self, *, staged: bool = False) -> list[Dataset]:
        """All datasets, staged ones only if asked for."""
        found = sorted(self.tables.datasets.items())
        return [dataset for _, dataset in found if staged or dataset.is_visible]

    def dataset(self, key: DatasetKey) -> Dataset:
        """One dataset."""
        dataset = self.tables.datasets.get(key)
        if dataset is None:
            raise unknown_name("dataset", str(key), map(str, sorted(self.tables.datasets)))
        return dataset

    def blocks(self, dataset: DatasetKey) -> list[Block]:
        """The blocks of a dataset."""
        self.dataset(dataset)
        rows = self.tables.blocks.rows_of(dataset)
        return [Block(BlockKey(dataset, name), row.n_files, row.size) for name, row in rows]

    def files(self, block: BlockKey) -> FileColumns:
        """All files of a block by ordinal."""
        return self.tables.files.files_of(self._number(block))

    def find_files(self, keys: Collection[BlockKey]) -> dict[BlockKey, FileColumns]:
        """All files of those of many blocks that are there."""
        return {key: self.files(key) for key in self.find_blocks(keys)}

    def replicas(
        self, *, dataset: DatasetKey | None = None, block: BlockKey | None = None, site: str | None = None
    ) -> list[BlockReplica]:
        """Block replicas, of one dataset, of one block, at one site, or all."""
        if dataset is not None:
            self.dataset(dataset)
        if block is not None:
            self._number(block)
        if block is not None:
            keys: Iterable[BlockKey] = [block] if dataset in (None, block.dataset) else []
        elif dataset is not None:
            keys = [each.key for each in self.blocks(dataset)]
        else:
            keys = self._keys(site)
        if site is None:
            return [replica for key in keys for replica in self.tables.replicas_of(key)]
        found = (self.tables.replica_at(key, site) for key in keys)
        return [replica for replica in found if replica is not None]

    def _keys(self, site: str | None) -> list[BlockKey]:
        """The blocks that have replicas, at one site or anywhere."""
        if site is None:
            numbers: Iterable[int] = self.tables.replicas.blocks()
        else:
            number = self.tables.site_numbers.by_word.get(site)
            numbers = () if number is None else self.tables.replicas.blocks_at(number)
        return sorted(key for key in map(self.tables.blocks.key, numbers) if key is not None)

    def find_datasets(self, keys: Collection[DatasetKey]) -> Mapping[DatasetKey, Dataset]:
        """Those of many datasets that are there."""
        found = ((key, self.tables.datasets.get(key)) for key in keys)
        return {key: dataset for key, dataset in found if dataset is not None}

    def find_blocks(self, keys: Collection[BlockKey]) -> Mapping[BlockKey, Block]:
        """Those of many blocks that are there."""
        found = ((key, self.tables.blocks.row(key)) for key in keys)
        return {key: Block(key, row.n_files, row.size) for key, row in found if row is not None}

    def find_replicas(self, keys: Collection[BlockKey], site: str) -> Mapping[BlockKey, BlockReplica]:
        """The replicas of many blocks at one site."""
        return {replica.block: replica for replica in self.tables.replicas_at(list(keys), site)}

    def find_replicas_of_blocks(self, keys: Collection[BlockKey]) -> Mapping[BlockKey, list[BlockReplica]]:
        """All replicas of many blocks, by site."""
        return {key: self.tables.replicas_of(key) for key in keys if self.tables.blocks.row(key) is not None}

    def sums(self) -> list[ReplicaSum]:
        """The sums over all block replicas."""
        return image_sums.sums(self.tables)

    def lookup(self, lfns: Sequence[str]) -> list[FileRecord | None]:
        """Each LFN's file or None, in the order asked."""
        files, blocks = self.tables.files, self.tables.blocks
        located = files.located(lfns)
        found: list[FileRecord | None] = [None] * len(lfns)
        for place in np.flatnonzero(located.rows < 0).tolist():
            names.lfn(lfns[place])  # What is registered is valid; of the rest we have to say so.
        there = np.flatnonzero(located.rows >= 0)
        numbers, ordinals = located.blocks[there].tolist(), located.ordinals[there].tolist()
        keys = {number: blocks.key(number) for number in set(numbers)}
        sizes, adler32 = files.records(located.rows[there])
        for place, number, ordinal, size, digest in zip(
            there.tolist(), numbers, ordinals, sizes.tolist(), adler32, strict=True
        ):
            key = keys[number]
            assert key is not None
            checksums = {} if digest is None else {"adler32": digest}
            found[place] = FileRecord(lfns[place], key, ordinal, size, checksums)
        return found

    def pfns(self, lfns: Sequence[str]) -> list[list[str] | None]:
        """For each LFN its PFNs at all sites that hold it, through their first doors; None where there is no file."""
        return whereabouts.pfns(self.tables, lfns)

    def blocks_below(self, directories: Collection[str]) -> dict[str, list[BlockKey]]:
        """The blocks with files in or below each of many directories."""
        found: dict[str, list[BlockKey]] = {}
        for directory in set(directories):
            numbers = self.tables.files.blocks_below(prefix_of(directory))
            keys = [key for key in map(self.tables.blocks.key, numbers) if key is not None]
            if keys:
                found[directory] = sorted(keys)
        return found

    def locks(self) -> list[Lock]:
        """All locks."""
        return [lock for _, lock in sorted(self.tables.locks.items())]

    def copy_requests(
        self, *, only_open: bool = True, dataset: DatasetKey | None = None, site: str | None = None
    ) -> list[CopyRequest]:
        """Copies that were asked for."""
        return [each for each in self._requests(only_open, dataset, site) if isinstance(each, CopyRequest)]

    def deletion_requests(
        self, *, only_open: bool = True, dataset: DatasetKey | None = None, site: str | None = None
    ) -> list[DeletionRequest]:
        """Deletions that were asked for."""
        return [each for each in self._requests(only_open, dataset, site) if isinstance(each, DeletionRequest)]

    def _requests(self, only_open: bool, dataset: DatasetKey | None, site: str | None) -> list[Request]:
        tables = self.tables
        every = chain(tables.open_requests.values(), () if only_open else tables.closed_requests.values())
        found = [each for each in every if dataset in (None, each.dataset) and site in (None, each.site)]
        return sorted(found, key=lambda request: (request.created_us, request.id))

    def request(self, id: str) -> Request | None:
        """One request, open or not."""
        return self.tables.request(id)

    def restored(self) -> Restore | None:
        """The last restore of a backup."""
        return self.tables.restore

    def permissions(self) -> list[Permission]:
        """What is known of owners and modes."""
        return [item for _, item in sorted(self.tables.permissions.items())]

    def changed_since(self, position: int) -> tuple[frozenset[DatasetKey], frozenset[str]]:
        """Datasets and sites that entries after ``position`` have touched."""
        datasets, sites = self.tables.touched_datasets.items(), self.tables.touched_sites.items()
        return (
            frozenset(key for key, last in datasets if last > position),
            frozenset(name for name, last in sites if last > position),
        )

    def longest_directory(self) -> int:
        """Bytes of the longest directory that can be: the rules, which ask for it, do not look at an image."""
        return names.LFN_BYTES_MAX

    def last_touched(self) -> tuple[dict[DatasetKey, int], dict[str, int]]:
        """The position of the last entry that touched each dataset and each site."""
        return dict(self.tables.touched_datasets), dict(self.tables.touched_sites)

    def _number(self, key: BlockKey) -> int:
        self.dataset(key.dataset)
        row = self.tables.blocks.row(key)
        if row is None:
            known = self.tables.blocks.rows_of(key.dataset)
            raise unknown_name("block", str(key), (str(BlockKey(key.dataset, name)) for name, _ in known))
        return row.number
