"""MemorySnapshot: the inventory at one position, read from memory.

Over published tables it is a snapshot, valid for ever; over a draft it is the
view that rules are checked against, and shows what earlier changes of the same
change set did. It answers exactly as ``SqlSnapshot`` does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from holdfast.inventory.store import Head
from holdfast.model import checksums, names
from holdfast.model.errors import unknown_name
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    Block,
    BlockReplica,
    CopyRequest,
    Dataset,
    DatasetStatus,
    DeletionRequest,
    FileColumns,
    FileRecord,
    Lock,
    Permission,
    ReplicaSum,
    Request,
    RequestState,
    Restore,
    Site,
)
from holdfast.testing.memory_tables import Tables


class MemorySnapshot:
    """The Snapshot of ``holdfast.inventory.store`` over tables in memory."""

    __slots__ = ("_tables",)

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @property
    def head(self) -> Head:
        """The position this snapshot shows."""
        return self._tables.head

    @property
    def digests(self) -> frozenset[str]:
        """All that there are."""
        return frozenset(checksums.DIGITS)

    def sites(self) -> list[Site]:
        """All sites."""
        return [site for _, site in sorted(self._tables.sites.rows.items())]

    def site(self, name: str) -> Site:
        """One site."""
        site = self._tables.sites.rows.get(name)
        if site is None:
            raise unknown_name("site", name, sorted(self._tables.sites.rows))
        return site

    def groups(self) -> list[str]:
        """The names of all groups."""
        return sorted(self._tables.groups.rows)

    def datasets(self, *, staged: bool = False) -> list[Dataset]:
        """All datasets, staged ones only if asked for."""
        found = sorted(self._tables.datasets.rows.items())
        return [dataset for _, dataset in found if staged or dataset.is_visible]

    def dataset(self, key: DatasetKey) -> Dataset:
        """One dataset."""
        dataset = self._tables.datasets.rows.get(key)
        if dataset is None:
            raise unknown_name("dataset", str(key), map(str, sorted(self._tables.datasets.rows)))
        return dataset

    def blocks(self, dataset: DatasetKey) -> list[Block]:
        """The blocks of a dataset."""
        self.dataset(dataset)
        return [block for _, block in sorted(self._tables.blocks.rows.get(dataset, {}).items())]

    def files(self, block: BlockKey) -> FileColumns:
        """All files of a block by ordinal."""
        self._check_block(block)
        return self._tables.files.rows[block]

    def find_files(self, keys: Collection[BlockKey]) -> dict[BlockKey, FileColumns]:
        """All files of those of many blocks that are there."""
        rows = self._tables.files.rows
        return {key: rows[key] for key in keys if key in rows}

    def replicas(
        self, *, dataset: DatasetKey | None = None, block: BlockKey | None = None, site: str | None = None
    ) -> list[BlockReplica]:
        """Block replicas, of one dataset, of one block, at one site, or all."""
        if dataset is not None:
            self.dataset(dataset)
        if block is not None:
            self._check_block(block)
        if block is not None:
            keys: Iterable[BlockKey] = [block] if dataset in (None, block.dataset) else []
        elif dataset is not None:
            keys = [each.key for each in self.blocks(dataset)]
        else:
            keys = sorted(self._tables.replicas.rows)
        return list(self._replicas_of(keys, site))

    def _replicas_of(self, keys: Iterable[BlockKey], site: str | None) -> Iterator[BlockReplica]:
        for key in keys:
            by_site = self._tables.replicas.rows.get(key, {})
            if site is None:
                yield from (replica for _, replica in sorted(by_site.items()))
            elif site in by_site:
                yield by_site[site]

    def find_datasets(self, keys: Collection[DatasetKey]) -> dict[DatasetKey, Dataset]:
        """Those of many datasets that are there."""
        known = self._tables.datasets.rows
        return {key: known[key] for key in keys if key in known}

    def find_blocks(self, keys: Collection[BlockKey]) -> dict[BlockKey, Block]:
        """Those of many blocks that are there."""
        known = self._tables.blocks.rows
        return {key: known[key.dataset][key.block] for key in keys if key.block in known.get(key.dataset, {})}

    def find_replicas(self, keys: Collection[BlockKey], site: str) -> dict[BlockKey, BlockReplica]:
        """The replicas of many blocks at one site."""
        known = self._tables.replicas.rows
        return {key: known[key][site] for key in keys if site in known.get(key, {})}

    def find_replicas_of_blocks(self, keys: Collection[BlockKey]) -> dict[BlockKey, list[BlockReplica]]:
        """All replicas of many blocks, by site."""
        return {key: list(self._replicas_of([key], None)) for key in self.find_blocks(keys)}

    def sums(self) -> list[ReplicaSum]:
        """The sums over all block replicas."""
        by_key: dict[tuple[str, str, DatasetStatus, bool], list[BlockReplica]] = {}
        for replica in self.replicas():
            dataset = self.dataset(replica.block.dataset)
            key = (replica.site, replica.group, dataset.status, not dataset.is_visible)
            by_key.setdefault(key, []).append(replica)
        return [
            ReplicaSum(
                *key,
                n_replicas=len(every),
                n_complete=sum(replica.is_complete for replica in every),
                n_files=sum(replica.n_files for replica in every),
                size=sum(replica.size for replica in every),
            )
            for key, every in sorted(by_key.items())
        ]

    def lookup(self, lfns: Sequence[str]) -> list[FileRecord | None]:
        """Each LFN's file or None, in the order asked."""
        wanted = [names.lfn(text) for text in lfns]
        return [self._file(dir, name) for dir, name in wanted]

    def _file(self, dir: str, name: str) -> FileRecord | None:
        place = self._tables.directories.rows.get(dir, {}).get(name)
        if place is None:
            return None
        block, ordinal = place
        files = self._tables.files.rows[block]
        return FileRecord(names.join(dir, name), block, ordinal, files.sizes[ordinal], files.checksums_of(ordinal))

    def blocks_below(self, directories: Collection[str]) -> dict[str, list[BlockKey]]:
        """The blocks with files in or below each of many directories."""
        found: dict[str, set[BlockKey]] = {}
        for path, files in self._tables.directories.rows.items():
            for directory in set(directories):
                if f"{path}/".startswith(names.join(directory, "")):
                    found.setdefault(directory, set()).update(block for block, _ in files.values())
        return {directory: sorted(blocks) for directory, blocks in found.items() if blocks}

    def locks(self) -> list[Lock]:
        """All locks."""
        return [lock for _, lock in sorted(self._tables.locks.rows.items())]

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
        found = [
            each
            for each in self._tables.requests.rows.values()
            if (not only_open or each.state is RequestState.OPEN)
            and dataset in (None, each.dataset)
            and site in (None, each.site)
        ]
        return sorted(found, key=lambda request: (request.created_us, request.id))

    def request(self, id: str) -> Request | None:
        """One request, open or not."""
        return self._tables.requests.rows.get(id)

    def restored(self) -> Restore | None:
        """The last restore of a backup."""
        return self._tables.restore

    def permissions(self) -> list[Permission]:
        """What is known of owners and modes."""
        return [item for _, item in sorted(self._tables.permissions.rows.items())]

    def changed_since(self, position: int) -> tuple[frozenset[DatasetKey], frozenset[str]]:
        """Datasets and sites that entries after ``position`` have touched."""
        datasets, sites = self._tables.touched_datasets.rows, self._tables.touched_sites.rows
        return (
            frozenset(key for key, last in datasets.items() if last > position),
            frozenset(name for name, last in sites.items() if last > position),
        )

    def longest_directory(self) -> int:
        """Bytes of the longest directory that a registered file lies in."""
        return max((len(path.encode()) for path in self._tables.directories.rows), default=0)

    def last_touched(self) -> tuple[dict[DatasetKey, int], dict[str, int]]:
        """The position of the last entry that touched each dataset and each site."""
        return dict(self._tables.touched_datasets.rows), dict(self._tables.touched_sites.rows)

    def _check_block(self, key: BlockKey) -> None:
        self.dataset(key.dataset)
        known = self._tables.blocks.rows.get(key.dataset, {})
        if key.block not in known:
            raise unknown_name("block", str(key), (str(BlockKey(key.dataset, name)) for name in sorted(known)))
