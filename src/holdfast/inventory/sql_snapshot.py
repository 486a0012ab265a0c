"""SqlSnapshot: the inventory at one position, read from SQL.

Inside a read transaction it is a snapshot; inside the writer's transaction it
is the view that rules are checked against, and shows what earlier changes of
the same change set did: whoever changes the tables then calls ``forget``.

What was asked of blocks, sites, locks and restores is kept until then: the rules
of one transaction ask for the same again and again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, LargeBinary, Row, case, cast, func, select, union

from holdfast.inventory import schema, sql_many
from holdfast.inventory.database import check_version
from holdfast.inventory.record_text import record_adapter
from holdfast.inventory.sql_records import MadeRecords, file_columns, file_record_of, replica_of, site_of
from holdfast.inventory.sql_requests import RequestRows
from holdfast.inventory.store import Head
from holdfast.model import names
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
    Restore,
    Site,
)

LOOKUP_ROWS = 500
"""How many directories one statement asks for."""
KEPT_BLOCKS = 100_000
"""When so many blocks are known, what was known is forgotten before more are asked for."""


_LOOKUP = (
    "SELECT file.dir_id, file.name, dataset.name, dataset.version, block.name, file.ordinal, file.size,"
    f" {', '.join(f'file.{algorithm}' for algorithm in schema.DIGEST_COLUMNS)}"
    " FROM wanted CROSS JOIN file CROSS JOIN block CROSS JOIN dataset"
    " WHERE file.dir_id = wanted.dir_id AND file.name = wanted.name"
    " AND block.id = file.block_id AND dataset.id = block.dataset_id"
)
# Constant rows use the index for each; SQLite answers (a, b) IN (...) by a scan of the table.


_FILES = (
    "SELECT file.block_id, directory.path, file.name, file.size,"
    f" {', '.join(f'file.{algorithm}' for algorithm in schema.DIGEST_COLUMNS)}"
    " FROM file JOIN directory ON directory.id = file.dir_id"
    " WHERE file.block_id IN ({}) ORDER BY file.block_id, file.ordinal"
)


class SqlSnapshot:
    """The Snapshot of ``holdfast.inventory.store`` over one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.requests = RequestRows(connection)
        """Those who change requests put them here, and let them be written in the end."""
        self._asked: tuple[Collection[BlockKey], dict[BlockKey, sql_many.BlockRow]] = (), {}
        self._known_blocks: dict[BlockKey, sql_many.BlockRow] = {}
        """Blocks that were asked for, and are there."""
        self._sites: list[tuple[str, int, str]] | None = None
        """Name, number and body of all sites, by name; None: not asked for yet."""
        self._locks: list[Lock] | None = None
        row = connection.execute(select(schema.head)).one()
        check_version(row.schema_version, "the inventory")  # It may have been migrated since it was opened.
        self._head = Head(row.epoch, row.position, row.digest, row.at_us)
        self._restored: Row[Any] | None = row

    @property
    def head(self) -> Head:
        """The position this snapshot shows."""
        return self._head

    @property
    def digests(self) -> frozenset[str]:
        """All that have a column."""
        return frozenset(schema.DIGEST_COLUMNS)

    def sites(self) -> list[Site]:
        """All sites."""
        return [site_of(body) for _, _, body in self._site_rows()]

    def site(self, name: str) -> Site:
        """One site."""
        body = self._connection.scalar(select(schema.site.c.body).where(schema.site.c.name == name))
        if body is None:
            raise unknown_name("site", name, (site.name for site in self.sites()))
        return site_of(body)

    def groups(self) -> list[str]:
        """The names of all groups."""
        return list(self._connection.scalars(select(schema.owner_group.c.name).order_by(schema.owner_group.c.name)))

    def datasets(self, *, staged: bool = False) -> list[Dataset]:
        """All datasets, staged ones only if asked for."""
        query = select(schema.dataset.c.body).order_by(schema.dataset.c.name, schema.dataset.c.version)
        return self._bodies(Dataset, query if staged else query.where(schema.dataset.c.is_staged == 0))

    def dataset(self, key: DatasetKey) -> Dataset:
        """One dataset."""
        table = schema.dataset.c
        query = select(table.body).where(table.name == key.name, table.version == key.version)
        found: list[Dataset] = self._bodies(Dataset, query)
        if not found:
            known = self._connection.execute(select(table.name, table.version).order_by(table.name, table.version))
            raise unknown_name("dataset", str(key), (str(DatasetKey(*row)) for row in known))
        return found[0]

    def blocks(self, dataset: DatasetKey) -> list[Block]:
        """The blocks of a dataset."""
        query = (
            select(schema.block.c.name, schema.block.c.n_files, schema.block.c.size)
            .where(schema.block.c.dataset_id == self.dataset_id(dataset))
            .order_by(schema.block.c.name)
        )
        return [Block(BlockKey(dataset, row.name), row.n_files, row.size) for row in self._connection.execute(query)]

    def files(self, block: BlockKey) -> FileColumns:
        """All files of a block by ordinal."""
        table = schema.file.c
        query = (
            select(schema.directory.c.path, table.name, table.size, *(table[each] for each in schema.DIGEST_COLUMNS))
            .join(schema.directory, schema.directory.c.id == table.dir_id)
            .where(table.block_id == self.block_id(block))
            .order_by(table.ordinal)
        )
        return file_columns(self._connection.execute(query).all())

    def find_files(self, keys: Collection[BlockKey]) -> Mapping[BlockKey, FileColumns]:
        """All files of those of many blocks that are there."""
        return files_of_blocks(self._connection, {row[0]: key for key, row in self.block_rows(keys).items()})

    def replicas(
        self, *, dataset: DatasetKey | None = None, block: BlockKey | None = None, site: str | None = None
    ) -> list[BlockReplica]:
        """Block replicas, of one dataset, of one block, at one site, or all."""
        columns = [schema.replica.c[name] for name in sql_many.REPLICA_COLUMNS]
        query = (
            select(schema.dataset.c.name, schema.dataset.c.version, schema.block.c.name, schema.site.c.name, *columns)
            .join(schema.block, schema.block.c.id == schema.replica.c.block_id)
            .join(schema.dataset, schema.dataset.c.id == schema.block.c.dataset_id)
            .join(schema.site, schema.site.c.id == schema.replica.c.site_id)
            .order_by(schema.dataset.c.name, schema.dataset.c.version, schema.block.c.name, schema.site.c.name)
        )
        if dataset is not None:
            query = query.where(schema.dataset.c.id == self.dataset_id(dataset))
        if block is not None:
            query = query.where(schema.block.c.id == self.block_id(block))
        if site is not None:
            query = query.where(schema.site.c.name == site)
        return [
            replica_of(BlockKey(DatasetKey(row[0], row[1]), row[2]), row[3], row[4:])
            for row in self._connection.execute(query)
        ]

    def find_datasets(self, keys: Collection[DatasetKey]) -> dict[DatasetKey, Dataset]:
        """Those of many datasets that are there."""
        adapter = record_adapter(Dataset)
        found = sql_many.dataset_rows(self._connection, keys)
        return {key: adapter.validate_json(body) for key, (_, body) in found.items()}

    def find_blocks(self, keys: Collection[BlockKey]) -> Mapping[BlockKey, Block]:
        """Those of many blocks that are there."""
        return MadeRecords(self.block_rows(keys), lambda key, row: Block(key, row[1], row[2]))

    def find_replicas(self, keys: Collection[BlockKey], site: str) -> Mapping[BlockKey, BlockReplica]:
        """The replicas of many blocks at one site."""
        return MadeRecords(self.replica_rows(keys, site), lambda key, row: replica_of(key, site, row))

    def find_replicas_of_blocks(self, keys: Collection[BlockKey]) -> dict[BlockKey, list[BlockReplica]]:
        """All replicas of many blocks, by site."""
        rows = self.block_rows(keys)
        blocks = {number: key for key, (number, *_) in rows.items()}
        found: dict[BlockKey, list[BlockReplica]] = {key: [] for key in rows}
        sites = {number: name for name, number, _ in self._site_rows()}
        for row in sql_many.replica_rows_of_blocks(self._connection, blocks):
            key = blocks[row[0]]
            found[key].append(replica_of(key, sites[row[1]], row))
        for every in found.values():
            every.sort(key=_by_site)
        return found

    def _site_rows(self) -> list[tuple[str, int, str]]:
        if self._sites is None:
            self._sites = sql_many.fetched(self._connection, "SELECT name, id, body FROM site ORDER BY name")
        return self._sites

    def sums(self) -> list[ReplicaSum]:
        """The sums over all block replicas."""
        table = schema.replica.c
        figures = (
            func.count(),
            func.sum(case((table.held.is_(None), 1), else_=0)),
            func.sum(table.n_files),
            func.sum(table.size),
        )
        query = (
            select(schema.site.c.name, table.owner_group, schema.block.c.dataset_id, *figures)
            .join(schema.block, schema.block.c.id == table.block_id)
            .join(schema.site, schema.site.c.id == table.site_id)
            .group_by(schema.site.c.name, table.owner_group, schema.block.c.dataset_id)
        )
        kinds = self._kinds_of_datasets()
        totals: dict[tuple[str, str, DatasetStatus, bool], list[int]] = {}
        for site, group, dataset_id, *counts in self._connection.execute(query):
            total = totals.setdefault((site, group, *kinds[dataset_id]), [0] * len(figures))
            total[:] = [before + int(count) for before, count in zip(total, counts, strict=True)]
        return [ReplicaSum(*key, *total) for key, total in sorted(totals.items())]

    def _kinds_of_datasets(self) -> dict[int, tuple[DatasetStatus, bool]]:
        """Status of each dataset, and whether it is staged, by its number."""
        table = schema.dataset.c
        rows = self._connection.execute(select(table.id, table.is_staged, table.body))
        return {number: (DatasetStatus(json.loads(body)["status"]), bool(staged)) for number, staged, body in rows}

    def lookup(self, lfns: Sequence[str]) -> list[FileRecord | None]:
        """Each LFN's file or None, in the order asked."""
        wanted = [names.lfn(each) for each in lfns]
        directories = self.directory_ids({dir for dir, _ in wanted})
        places = {number: dir for dir, number in directories.items()}
        keys = [(directories[dir], name) for dir, name in set(wanted) if dir in directories]
        found: dict[tuple[str, str], FileRecord] = {}
        for row in sql_many.joined(self._connection, ("dir_id", "name"), keys, _LOOKUP):
            found[places[row[0]], row[1]] = file_record_of(places[row[0]], row)
        return [found.get(key) for key in wanted]

    def directory_ids(self, paths: Iterable[str]) -> dict[str, int]:
        """The numbers of those directories that have one."""
        wanted = sorted(set(paths))
        found: dict[str, int] = {}
        table = schema.directory.c
        for start in range(0, len(wanted), LOOKUP_ROWS):
            query = select(table.path, table.id).where(table.path.in_(wanted[start : start + LOOKUP_ROWS]))
            found.update((path, number) for path, number in self._connection.execute(query))
        return found

    def blocks_below(self, directories: Collection[str]) -> dict[str, list[BlockKey]]:
        """The blocks with files in or below each of many directories."""
        return sql_many.blocks_below(self._connection, directories)

    def locks(self) -> list[Lock]:
        """All locks."""
        if self._locks is None:
            self._locks = self._bodies(Lock, select(schema.lock.c.body).order_by(schema.lock.c.id))
        return self._locks.copy()

    def copy_requests(
        self, *, only_open: bool = True, dataset: DatasetKey | None = None, site: str | None = None
    ) -> list[CopyRequest]:
        """Copies that were asked for."""
        return self.requests.chosen("copy", only_open=only_open, dataset=dataset, site=site)

    def deletion_requests(
        self, *, only_open: bool = True, dataset: DatasetKey | None = None, site: str | None = None
    ) -> list[DeletionRequest]:
        """Deletions that were asked for."""
        return self.requests.chosen("deletion", only_open=only_open, dataset=dataset, site=site)

    def request(self, id: str) -> Request | None:
        """One request, open or not."""
        return self.requests.find(id)

    def restored(self) -> Restore | None:
        """The last restore of a backup."""
        if self._restored is None:
            self._restored = self._connection.execute(select(schema.head)).one()
        row = self._restored
        return None if row.restored_position is None else Restore(row.restored_position, bool(row.restore_confirmed))

    def permissions(self) -> list[Permission]:
        """What is known of owners and modes."""
        table = schema.permission.c
        rows = self._connection.execute(select(schema.permission).order_by(table.dir, table.name))
        return [Permission(row.dir, row.name, row.owner, row.owner_group, row.mode, row.acl) for row in rows]

    def changed_since(self, position: int) -> tuple[frozenset[DatasetKey], frozenset[str]]:
        """Datasets and sites that entries after ``position`` have touched."""
        tables = (schema.touched.c, schema.touched_before.c)
        queries = (select(table.kind, table.item).where(table.position > position) for table in tables)
        by_kind: dict[str, set[str]] = {"dataset": set(), "site": set()}
        for kind, item in self._connection.execute(union(*queries)):
            by_kind[kind].add(item)
        return frozenset(map(names.dataset_key, by_kind["dataset"])), frozenset(by_kind["site"])

    def longest_directory(self) -> int:
        """Bytes of the longest directory that a file lies in, or once lay in."""
        path, is_sqlite = schema.directory.c.path, self._connection.dialect.name == "sqlite"
        length = func.length(cast(path, LargeBinary)) if is_sqlite else func.octet_length(path)
        return self._connection.scalar(select(func.max(length))) or 0

    def last_touched(self) -> tuple[dict[DatasetKey, int], dict[str, int]]:
        """The position of the last entry that touched each dataset and each site."""
        by_kind: dict[str, dict[str, int]] = {"dataset": {}, "site": {}}
        before, table = schema.touched_before.c, schema.touched.c
        for query in (
            select(before.kind, before.item, before.position),
            select(table.kind, table.item, func.max(table.position)).group_by(table.kind, table.item),
        ):
            for kind, item, position in self._connection.execute(query):
                by_kind[kind][item] = position
        datasets = {names.dataset_key(item): position for item, position in by_kind["dataset"].items()}
        return datasets, by_kind["site"]

    def dataset_id(self, key: DatasetKey) -> int:
        """The number of a dataset in the tables; UnknownName."""
        table = schema.dataset.c
        query = select(table.id).where(table.name == key.name, table.version == key.version)
        number: int | None = self._connection.scalar(query)
        if number is None:
            self.dataset(key)
            raise unknown_name("dataset", str(key), ())
        return number

    def block_id(self, key: BlockKey) -> int:
        """The number of a block in the tables; UnknownName."""
        row = self.block_rows((key,)).get(key)
        if row is None:
            self.dataset_id(key.dataset)
            raise unknown_name("block", str(key), (str(block.key) for block in self.blocks(key.dataset)))
        return row[0]

    def site_id(self, name: str) -> int | None:
        """The number of a site in the tables, if it is there."""
        number: int | None = self._connection.scalar(select(schema.site.c.id).where(schema.site.c.name == name))
        return number

    def block_rows(self, keys: Collection[BlockKey]) -> dict[BlockKey, sql_many.BlockRow]:
        """The rows of those blocks that are there.

        The answers are kept: what a rule has asked about a change, another one
        asks, too, and carrying the change out asks again.
        """
        if keys is self._asked[0] and isinstance(keys, tuple):
            return self._asked[1]
        new = [key for key in keys if key not in self._known_blocks]
        if new:
            if len(self._known_blocks) > KEPT_BLOCKS:
                self._known_blocks.clear()
                new = list(keys)
            self._known_blocks.update(sql_many.block_rows(self._connection, new))
        self._asked = keys, {key: self._known_blocks[key] for key in keys if key in self._known_blocks}
        return self._asked[1]

    def replica_rows(self, keys: Collection[BlockKey], site: str) -> dict[BlockKey, Any]:
        """The rows of the replicas of many blocks at one site, in the order of ``REPLICA_COLUMNS``."""
        site_id, blocks = self.site_id(site), self.block_rows(keys)
        if site_id is None:
            return {}
        found = sql_many.replica_rows(self._connection, (row[0] for row in blocks.values()), site_id)
        return {key: found[row[0]] for key, row in blocks.items() if row[0] in found}

    def forget(self) -> None:
        """Keep no answer: the tables have changed."""
        self._asked = (), {}
        self._known_blocks.clear()
        self._sites = self._locks = self._restored = None

    def _bodies(self, kind: Any, query: Any) -> list[Any]:
        adapter = record_adapter(kind)
        return [adapter.validate_json(body) for body in self._connection.scalars(query)]


def files_of_blocks(connection: Connection, keys: Mapping[int, BlockKey]) -> dict[BlockKey, FileColumns]:
    """All files of blocks by their numbers."""
    found = {key: file_columns(()) for key in keys.values()}
    for numbers in sql_many.listed(keys):
        rows = sql_many.fetched(connection, _FILES.format(numbers))
        for number, of_block in groupby(rows, key=lambda row: row[0]):
            found[keys[number]] = file_columns([row[1:] for row in of_block])
    return found


def _by_site(replica: BlockReplica) -> str:
    return replica.site
