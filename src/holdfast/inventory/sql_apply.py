"""What each change does to the tables. The rules have been checked; nothing here decides.

What it does to files is in ``sql_files``, to block replicas in ``sql_replicas``;
everything else touches few rows.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select, update

from holdfast.inventory import proofs, requested, schema, sql_files, sql_many, sql_replicas, sql_rows
from holdfast.inventory.record_text import body_of
from holdfast.inventory.sql_draft import SqlDraft
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.records import Dataset, Group


def apply(change: c.Change, connection: Connection, view: SqlDraft, *, at_us: int) -> None:
    """Carry ``change`` out in the open transaction."""
    try:
        _apply(change, connection, view, at_us)
    finally:
        view.forget()


def _apply(change: c.Change, connection: Connection, view: SqlDraft, at_us: int) -> None:
    match change:
        case c.PutSite(site):
            if proofs.are_void(change, view):
                sql_replicas.unproved(site.name, connection, view)
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
            sql_files.register(change, connection, view, at_us)
        case c.RevealDataset(key):
            _save(replace(view.dataset(key), staging=None, is_open=False), connection)
        case c.AbandonStaged(key):
            _abandon(view.dataset_id(key), connection)
        case c.RequestCopy(request):
            view.requests.put(replace(request, created_us=at_us))
            sql_replicas.request_copy(request, view, at_us)
        case c.RequestDeletion(request):
            view.requests.put(replace(request, created_us=at_us))
        case c.CloseRequest() | c.ReduceRequest():
            _end(change, view)
        case c.FilesDeleted():
            _delete(change, connection, view, at_us)
        case c.FilesArrived() | c.FilesGone():
            sql_replicas.move_files(change, connection, view, at_us)
        case c.FilesVerified():
            sql_replicas.verified(change, connection, view)
        case c.BlocksArrived():
            sql_replicas.arrived(change, view, at_us)
        case c.AssignReplicas():
            sql_replicas.assigned(change, connection, view)
        case c.RemoveReplicas(site, blocks):
            sql_replicas.forget(blocks, site, view)
        case c.RemoveFiles():
            sql_files.remove(change, connection, view)
        case c.RenameFiles():
            sql_files.rename(change, connection, view)
        case c.PutLock(lock):
            sql_rows.put(connection, schema.lock, {"id": lock.id}, {"body": body_of(lock)})
        case c.RemoveLock(id):
            connection.execute(delete(schema.lock).where(schema.lock.c.id == id))
        case c.SetPermissions(items):
            # The last word on a file or directory counts, and one statement cannot say two about it.
            rows = {(item.dir, item.name): (item.owner, item.group, item.mode, item.acl) for item in items}
            columns = tuple(column.name for column in schema.permission.c)
            sql_many.put_rows(
                connection, "permission", columns[:2], columns, [(*key, *row) for key, row in rows.items()]
            )
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


def _abandon(dataset_id: int, connection: Connection) -> None:
    blocks = select(schema.block.c.id).where(schema.block.c.dataset_id == dataset_id)
    file, permission = schema.file.c, schema.permission.c
    lfns = select(schema.directory.c.path, file.name).join(schema.file, file.dir_id == schema.directory.c.id)
    going = lfns.where(schema.directory.c.path == permission.dir, file.name == permission.name)
    connection.execute(delete(schema.permission).where(going.where(file.block_id.in_(blocks)).exists()))
    connection.execute(delete(schema.file).where(schema.file.c.block_id.in_(blocks)))
    connection.execute(delete(schema.replica).where(schema.replica.c.block_id.in_(blocks)))
    connection.execute(delete(schema.block).where(schema.block.c.dataset_id == dataset_id))
    connection.execute(delete(schema.dataset).where(schema.dataset.c.id == dataset_id))


def _end(change: c.CloseRequest | c.ReduceRequest, view: SqlDraft) -> None:
    before = view.request(change.id)
    now = None if before is None else requested.after(change, before, view)
    if before is not None and now is not None and now is not before:
        view.requests.put(now)
        sql_replicas.forget(requested.left_empty(change, before, now, view), before.site, view)


def _delete(change: c.FilesDeleted, connection: Connection, view: SqlDraft, at_us: int) -> None:
    request = view.request(change.request)
    gone, now = (FileSet(), None) if request is None else requested.deleted(request, change, view)
    if now is not None and gone:
        view.requests.put(now)
        sql_replicas.delete_files(change.block, change.site, gone, connection, view, at_us)


def touched_rows(change: c.Change, view: SqlDraft) -> set[tuple[str, str]]:
    """What the side table of the journal keeps of a change: ("dataset", key) and ("site", name)."""
    datasets, sites = requested.touched(change, view)
    return {("dataset", str(key)) for key in datasets} | {("site", name) for name in sites}
