"""SqlSnapshot: the inventory at one position, read from SQL.

Inside a read transaction it is a snapshot; inside the writer's transaction it
is the view that rules are checked against, and shows what earlier changes of
the same change set did. It keeps nothing, so it cannot be stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Integer, Row, Text, column, func, select, values

from holdfast.inventory import schema
from holdfast.inventory.store import Head
from holdfast.model import names
from holdfast.model.errors import unknown_name
from holdfast.model.fileset import FileSet
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
    Request,
    Restore,
    Site,
)

LOOKUP_ROWS = 500
"""How many LFNs one look-up statement asks for."""


@lru_cache(maxsize=16)
def record_adapter(kind: Any) -> TypeAdapter[Any]:
    """How a record is written into and read from a ``body`` column."""
    return TypeAdapter(kind)


def digest_text(algorithm: str, value: Any) -> str | None:
    """A stored digest as normalised text."""
    if value is None:
        return None
    return f"{value:08x}" if algorithm in schema.NUMBER_DIGESTS else bytes(value).hex()


class SqlSnapshot:
    """The Snapshot of ``holdfast.inventory.store`` over one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        row = connection.execute(select(schema.head)).one()
        self._head = Head(row.epoch, row.position, row.digest, row.at_us)

    @property
    def head(self) -> Head:
        """The position this snapshot shows."""
        return self._head

    def sites(self) -> list[Site]:
        """All sites."""
        return self._bodies(Site, select(schema.site.c.body).order_by(schema.site.c.name))

    def site(self, name: str) -> Site:
        """One site."""
        found: list[Site] = self._bodies(Site, select(schema.site.c.body).where(schema.site.c.name == name))
        if not found:
            raise unknown_name("site", name, (site.name for site in self.sites()))
        return found[0]

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
            raise unknown_name("dataset", str(key), (str(each.key) for each in self.datasets(staged=True)))
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
        rows = self._connection.execute(query).all()
        if not rows:
            return FileColumns((), (), (), ())
        paths, file_names, sizes, *digests = zip(*rows, strict=True)
        places: dict[str, int] = {}
        dir_index = tuple(places.setdefault(path, len(places)) for path in paths)
        checksums = {
            algorithm: tuple(digest_text(algorithm, value) for value in column)
            for algorithm, column in zip(schema.DIGEST_COLUMNS, digests, strict=True)
            if any(value is not None for value in column)
        }
        return FileColumns(tuple(places), dir_index, file_names, sizes, checksums)

    def replicas(
        self, *, dataset: DatasetKey | None = None, block: BlockKey | None = None, site: str | None = None
    ) -> list[BlockReplica]:
        """Block replicas, of one dataset, of one block, at one site, or all."""
        query = (
            select(
                schema.dataset.c.name.label("dataset_name"),
                schema.dataset.c.version,
                schema.block.c.name.label("block_name"),
                schema.site.c.name.label("site_name"),
                schema.replica,
            )
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
        return [_replica(row) for row in self._connection.execute(query)]

    def lookup(self, lfns: Sequence[str]) -> list[FileRecord | None]:
        """Each LFN's file or None, in the order asked."""
        wanted = [names.lfn(text) for text in lfns]
        directories = self.directory_ids({dir for dir, _ in wanted})
        places = {number: dir for dir, number in directories.items()}
        keys = [(directories[dir], name) for dir, name in set(wanted) if dir in directories]
        found: dict[tuple[str, str], FileRecord] = {}
        for start in range(0, len(keys), LOOKUP_ROWS):
            for row in self._connection.execute(_lookup_query(keys[start : start + LOOKUP_ROWS])):
                found[places[row.dir_id], row.name] = _file_record(places[row.dir_id], row)
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

    def locks(self) -> list[Lock]:
        """All locks."""
        return self._bodies(Lock, select(schema.lock.c.body).order_by(schema.lock.c.id))

    def copy_requests(self, *, only_open: bool = True) -> list[CopyRequest]:
        """Copies that were asked for."""
        return self._requests(CopyRequest, "copy", only_open)

    def deletion_requests(self, *, only_open: bool = True) -> list[DeletionRequest]:
        """Deletions that were asked for."""
        return self._requests(DeletionRequest, "deletion", only_open)

    def request(self, id: str) -> Request | None:
        """One request, open or not."""
        query = select(schema.request.c.kind, schema.request.c.body).where(schema.request.c.id == id)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        kind = CopyRequest if row.kind == "copy" else DeletionRequest
        found: Request = record_adapter(kind).validate_json(row.body)
        return found

    def restored(self) -> Restore | None:
        """The last restore of a backup."""
        row = self._connection.execute(select(schema.head)).one()
        return None if row.restored_position is None else Restore(row.restored_position, bool(row.restore_confirmed))

    def permissions(self) -> list[Permission]:
        """What is known of owners and modes."""
        table = schema.permission.c
        rows = self._connection.execute(select(schema.permission).order_by(table.dir, table.name))
        return [Permission(row.dir, row.name, row.owner, row.owner_group, row.mode, row.acl) for row in rows]

    def changed_since(self, position: int) -> tuple[frozenset[DatasetKey], frozenset[str]]:
        """Datasets and sites that entries after ``position`` have touched."""
        table = schema.touched.c
        rows = self._connection.execute(select(table.kind, table.item).where(table.position > position).distinct())
        by_kind: dict[str, set[str]] = {"dataset": set(), "site": set()}
        for kind, item in rows:
            by_kind[kind].add(item)
        return frozenset(map(names.dataset_key, by_kind["dataset"])), frozenset(by_kind["site"])

    def last_touched(self) -> tuple[dict[DatasetKey, int], dict[str, int]]:
        """The position of the last entry that touched each dataset and each site."""
        table = schema.touched.c
        query = select(table.kind, table.item, func.max(table.position)).group_by(table.kind, table.item)
        by_kind: dict[str, dict[str, int]] = {"dataset": {}, "site": {}}
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
        table = schema.block.c
        query = select(table.id).where(table.dataset_id == self.dataset_id(key.dataset), table.name == key.block)
        number: int | None = self._connection.scalar(query)
        if number is None:
            raise unknown_name("block", str(key), (str(block.key) for block in self.blocks(key.dataset)))
        return number

    def sizes(self, block_id: int) -> list[int]:
        """The sizes of a block's files, by ordinal."""
        table = schema.file.c
        return list(
            self._connection.scalars(select(table.size).where(table.block_id == block_id).order_by(table.ordinal))
        )

    def _bodies(self, kind: Any, query: Any) -> list[Any]:
        adapter = record_adapter(kind)
        return [adapter.validate_json(body) for body in self._connection.scalars(query)]

    def _requests(self, kind: Any, word: str, only_open: bool) -> list[Any]:
        query = select(schema.request.c.body).where(schema.request.c.kind == word)
        found = self._bodies(kind, query.where(schema.request.c.state == "open") if only_open else query)
        return sorted(found, key=lambda request: (request.created_us, request.id))


def _lookup_query(keys: Sequence[tuple[int, str]]) -> Any:
    # A join with constant rows uses the index for each; SQLite answers (a, b) IN (...) by a scan of the table.
    table = schema.file.c
    wanted = values(column("dir_id", Integer), column("name", Text), name="wanted").data(keys).cte("wanted")
    return (
        select(
            schema.dataset.c.name.label("dataset_name"),
            schema.dataset.c.version,
            schema.block.c.name.label("block_name"),
            *schema.file.c,
        )
        .select_from(wanted)
        .join(schema.file, (table.dir_id == wanted.c.dir_id) & (table.name == wanted.c.name))
        .join(schema.block, schema.block.c.id == table.block_id)
        .join(schema.dataset, schema.dataset.c.id == schema.block.c.dataset_id)
    )


def _file_record(dir: str, row: Row[Any]) -> FileRecord:
    digests = {name: digest_text(name, getattr(row, name)) for name in schema.DIGEST_COLUMNS}
    return FileRecord(
        lfn=names.join(dir, row.name),
        block=BlockKey(DatasetKey(row.dataset_name, row.version), row.block_name),
        ordinal=row.ordinal,
        size=row.size,
        checksums={name: text for name, text in digests.items() if text is not None},
    )


def _replica(row: Row[Any]) -> BlockReplica:
    return BlockReplica(
        block=BlockKey(DatasetKey(row.dataset_name, row.version), row.block_name),
        site=row.site_name,
        group=row.owner_group,
        is_custodial=bool(row.is_custodial),
        held=None if row.held is None else FileSet.from_bytes(row.held),
        n_files=row.n_files,
        size=row.size,
        verified_us=row.verified_us,
        updated_us=row.updated_us,
    )


def body_of(record: Any) -> str:
    """A record as text for a ``body`` column."""
    return json.dumps(record_adapter(record.__class__).dump_python(record, mode="json"), separators=(",", ":"))
