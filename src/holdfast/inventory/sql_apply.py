"""What each change does to the tables. The rules have been checked; nothing here decides.

Files go in by statements of many rows, in the order of their block and so of
their directories; everything else touches few rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select, update

from holdfast.inventory import replicas, schema, sql_rows
from holdfast.inventory.sql_snapshot import SqlSnapshot, body_of
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, CopyRequest, Dataset, DeletionRequest, FileColumns, Group, RequestState


def apply(change: c.Change, connection: Connection, view: SqlSnapshot, *, at_us: int) -> None:
    """Carry ``change`` out in the open transaction."""
    match change:
        case c.PutSite(site):
            sql_rows.put(connection, schema.site, {"name": site.name}, {"body": body_of(site)})
        case c.RemoveSite(name):
            connection.execute(delete(schema.site).where(schema.site.c.name == name))
        case c.PutGroup(Group(name)):
            sql_rows.put(connection, schema.owner_group, {"name": name}, {})
        case c.CreateDataset(dataset):
            _create(replace(dataset, created_us=at_us), connection)
        case c.UpdateDataset():
            _save(change.of(view.dataset(change.dataset)), connection)
        case c.RegisterFiles():
            _register(change, connection, view, at_us)
        case c.RevealDataset(key):
            _save(replace(view.dataset(key), staging=None, is_open=False), connection)
        case c.AbandonStaged(key):
            _abandon(view.dataset_id(key), connection)
        case c.RequestCopy(request):
            _request_copy(replace(request, created_us=at_us), connection, view, at_us)
        case c.RequestDeletion(request):
            _put_request(replace(request, created_us=at_us), "deletion", connection)
        case c.CloseRequest():
            _close(change, connection, view)
        case c.FilesArrived() | c.FilesGone():
            _move_files(change, connection, view, at_us)
        case c.FilesVerified():
            _verified(change, connection, view)
        case c.PutLock(lock):
            sql_rows.put(connection, schema.lock, {"id": lock.id}, {"body": body_of(lock)})
        case c.RemoveLock(id):
            connection.execute(delete(schema.lock).where(schema.lock.c.id == id))
        case c.SetPermissions(items):
            for item in items:
                values = {"owner": item.owner, "owner_group": item.group, "mode": item.mode, "acl": item.acl}
                sql_rows.put(connection, schema.permission, {"dir": item.dir, "name": item.name}, values)
        case c.StartEpoch():
            values = {"restored_position": view.head.position + 1, "restore_confirmed": 0}
            connection.execute(update(schema.head).values(**values))
        case c.ConfirmRestore():
            connection.execute(update(schema.head).values(restore_confirmed=1))


def _create(dataset: Dataset, connection: Connection) -> None:
    name, version = dataset.key
    staged = int(not dataset.is_visible)
    connection.execute(
        insert(schema.dataset).values(name=name, version=version, is_staged=staged, body=body_of(dataset))
    )


def _save(dataset: Dataset, connection: Connection) -> None:
    table = schema.dataset
    connection.execute(
        update(table)
        .where(table.c.name == dataset.key.name, table.c.version == dataset.key.version)
        .values(is_staged=int(not dataset.is_visible), body=body_of(dataset))
    )


def _register(change: c.RegisterFiles, connection: Connection, view: SqlSnapshot, at_us: int) -> None:
    files = change.files
    block_id, before = _block_row(change.block, connection, view)
    insert_files(connection, view, files, block_id=block_id, first_ordinal=change.first_ordinal)
    table = schema.block
    connection.execute(
        update(table)
        .where(table.c.id == block_id)
        .values(n_files=table.c.n_files + len(files), size=table.c.size + sum(files.sizes))
    )
    present = {each.site: each for each in view.replicas(block=change.block)}
    for site, replica in present.items():
        grown = replicas.of_grown_block(replica, before)
        if site != change.site and grown != replica:
            _put_replica(grown, connection, view)
    if change.site:
        old = present.get(change.site) or replicas.empty(change.block, change.site, change.group, at_us)
        new = replicas.with_files(
            replicas.of_grown_block(old, before),
            range(before, before + len(files)),
            view.sizes(block_id) if before else files.sizes,
            verified_us=change.verified_us,
            at_us=at_us,
        )
        _put_replica(new, connection, view)


def _block_row(key: BlockKey, connection: Connection, view: SqlSnapshot) -> tuple[int, int]:
    """The block's number and its files so far; the block is made if it is not there."""
    table = schema.block
    dataset_id = view.dataset_id(key.dataset)
    query = select(table.c.id, table.c.n_files).where(table.c.dataset_id == dataset_id, table.c.name == key.block)
    row = connection.execute(query).one_or_none()
    if row is not None:
        return row.id, row.n_files
    values = {"dataset_id": dataset_id, "name": key.block, "n_files": 0, "size": 0}
    number = connection.scalar(insert(table).values(**values).returning(table.c.id))
    assert number is not None
    return int(number), 0


def insert_files(
    connection: Connection, view: SqlSnapshot, files: FileColumns, *, block_id: int, first_ordinal: int
) -> None:
    """Add rows to ``file``, many a statement; an LFN that is taken raises IntegrityError."""
    numbers = _directory_numbers(files.dirs, connection, view)
    columns = [
        [block_id] * len(files),
        range(first_ordinal, first_ordinal + len(files)),
        [numbers[place] for place in files.dir_index],
        files.names,
        files.sizes,
        *(_digest_column(files, algorithm) for algorithm in schema.DIGEST_COLUMNS),
    ]
    sql_rows.insert_rows(
        connection, "file", [column.name for column in schema.file.c], list(zip(*columns, strict=True))
    )


def _digest_column(files: FileColumns, algorithm: str) -> Sequence[int | bytes | None]:
    column = files.checksums.get(algorithm)
    if column is None:
        return [None] * len(files)
    if algorithm in schema.NUMBER_DIGESTS:
        return [None if text is None else int(text, 16) for text in column]
    return [None if text is None else bytes.fromhex(text) for text in column]


def _directory_numbers(paths: Sequence[str], connection: Connection, view: SqlSnapshot) -> list[int]:
    known = view.directory_ids(paths)
    new = [(path,) for path in sorted(set(paths) - known.keys())]
    if new:
        sql_rows.insert_rows(connection, "directory", ["path"], new)
        known.update(view.directory_ids(path for (path,) in new))
    return [known[path] for path in paths]


def _abandon(dataset_id: int, connection: Connection) -> None:
    blocks = select(schema.block.c.id).where(schema.block.c.dataset_id == dataset_id)
    connection.execute(delete(schema.file).where(schema.file.c.block_id.in_(blocks)))
    connection.execute(delete(schema.replica).where(schema.replica.c.block_id.in_(blocks)))
    connection.execute(delete(schema.block).where(schema.block.c.dataset_id == dataset_id))
    connection.execute(delete(schema.dataset).where(schema.dataset.c.id == dataset_id))


def _put_replica(replica: BlockReplica, connection: Connection, view: SqlSnapshot) -> None:
    site_id = connection.scalar(select(schema.site.c.id).where(schema.site.c.name == replica.site))
    values = {
        "owner_group": replica.group,
        "is_custodial": int(replica.is_custodial),
        "held": None if replica.held is None else replica.held.to_bytes(),
        "n_files": replica.n_files,
        "size": replica.size,
        "verified_us": replica.verified_us,
        "updated_us": replica.updated_us,
    }
    sql_rows.put(connection, schema.replica, {"block_id": view.block_id(replica.block), "site_id": site_id}, values)


def _request_copy(request: CopyRequest, connection: Connection, view: SqlSnapshot, at_us: int) -> None:
    _put_request(request, "copy", connection)
    there = {replica.block.block for replica in view.replicas(dataset=request.dataset, site=request.site)}
    for part in request.scope:
        if part.block not in there:
            block = BlockKey(request.dataset, part.block)
            _put_replica(replicas.empty(block, request.site, request.group, at_us), connection, view)


def _put_request(request: CopyRequest | DeletionRequest, kind: str, connection: Connection) -> None:
    values = {"kind": kind, "state": request.state.value, "body": body_of(request)}
    sql_rows.put(connection, schema.request, {"id": request.id}, values)


def _close(change: c.CloseRequest, connection: Connection, view: SqlSnapshot) -> None:
    request = view.request(change.id)
    if request is not None and request.state is RequestState.OPEN:
        kind = "copy" if isinstance(request, CopyRequest) else "deletion"
        _put_request(replace(request, state=change.state, detail=change.detail), kind, connection)


def _move_files(change: c.FilesArrived | c.FilesGone, connection: Connection, view: SqlSnapshot, at_us: int) -> None:
    (replica,) = view.replicas(block=change.block, site=change.site)
    sizes = view.sizes(view.block_id(change.block))
    if isinstance(change, c.FilesArrived):
        new = replicas.with_files(replica, change.ordinals, sizes, verified_us=change.verified_us, at_us=at_us)
    else:
        new = replicas.without_files(replica, change.ordinals, sizes, at_us=at_us)
    if new != replica:
        _put_replica(new, connection, view)


def _verified(change: c.FilesVerified, connection: Connection, view: SqlSnapshot) -> None:
    for block in change.blocks:
        (replica,) = view.replicas(block=block, site=change.site)
        new = replicas.verified(replica, change.verified_us)
        if new != replica:
            _put_replica(new, connection, view)


def touched_rows(change: c.Change, view: SqlSnapshot) -> set[tuple[str, str]]:
    """What the side table of the journal keeps of a change: ("dataset", key) and ("site", name)."""
    if isinstance(change, c.CloseRequest):
        request = view.request(change.id)
        if request is None:
            return set()
        dataset = {("dataset", str(request.dataset))} if isinstance(request, CopyRequest) else set()
        return {("site", request.site)} | dataset
    datasets, sites = c.touched(change)
    return {("dataset", str(key)) for key in datasets} | {("site", name) for name in sites}
