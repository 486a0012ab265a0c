"""What each change does to the tables of an image. The rules have been checked; nothing here decides.

The twin of ``sql_apply``: whatever one of them does, the other does, too.
LookupError if the change is about something that is not there.
"""

from __future__ import annotations

from dataclasses import replace

from holdfast.inventory import proofs, replicas, requested
from holdfast.inventory.image import apply_files, apply_replicas
from holdfast.inventory.image.layered import GONE
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.image.tables import ImageTables
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import CopyRequest, Dataset, Group, Request, Restore


def apply(change: c.Change, tables: ImageTables, *, at_us: int, position: int) -> ImageTables:
    """The tables after ``change``, which stands in the entry at ``position``."""
    tables = _touched(change, tables, position)
    match change:
        case c.PutSite(site):
            if proofs.are_void(change, ImageSnapshot(tables)):
                tables = apply_replicas.unproved(site.name, tables)
            return replace(tables, sites=tables.sites.with_item(site.name, site))
        case c.RemoveSite(name):
            return replace(tables, sites=tables.sites.with_item(name, GONE))
        case c.PutGroup(Group(name)):
            return replace(tables, groups=tables.groups.with_item(name, None))
        case c.CreateDataset(dataset):
            return _saved(replace(dataset, created_us=at_us), tables)
        case c.UpdateDataset(key):
            return _saved(change.of(tables.datasets[key]), tables)
        case c.RevealDataset(key):
            return _saved(replace(tables.datasets[key], staging=None, is_open=False), tables)
        case c.RegisterFiles():
            return apply_files.register(change, tables, at_us=at_us)
        case c.AbandonStaged(key):
            return apply_files.abandon(key, tables)
        case c.RemoveFiles():
            return apply_files.remove(change, tables)
        case c.RenameFiles():
            return apply_files.rename(change, tables)
        case c.FilesArrived() | c.FilesGone():
            return apply_replicas.move_files(change, tables, at_us=at_us)
        case c.BlocksArrived() | c.FilesVerified() | c.AssignReplicas():
            return apply_replicas.change_many(change, tables, at_us=at_us)
        case c.RemoveReplicas(site, blocks):
            return tables.without_replicas(blocks, site)
        case c.RequestCopy(request):
            return _request_copy(replace(request, created_us=at_us), tables, at_us)
        case c.RequestDeletion(request):
            return tables.with_request(replace(request, created_us=at_us))
        case c.CloseRequest() | c.ReduceRequest():
            return _ended(change, tables)
        case c.FilesDeleted():
            return _deleted(change, tables, at_us)
        case c.PutLock(lock):
            return replace(tables, locks=tables.locks.with_item(lock.id, lock))
        case c.RemoveLock(id):
            return replace(tables, locks=tables.locks.with_item(id, GONE))
        case c.SetPermissions(items):
            known = {(item.dir, item.name): item for item in items}
            return replace(tables, permissions=tables.permissions.with_items(known))
        case c.StartEpoch():
            return replace(tables, restore=Restore(position, is_confirmed=False))
        case c.ConfirmRestore():
            return replace(tables, restore=tables.restore and replace(tables.restore, is_confirmed=True))


def _touched(change: c.Change, tables: ImageTables, position: int) -> ImageTables:
    datasets, sites = requested.touched(change, ImageSnapshot(tables))
    if datasets:
        tables = replace(tables, touched_datasets=tables.touched_datasets.with_items(dict.fromkeys(datasets, position)))
    if sites:
        tables = replace(tables, touched_sites=tables.touched_sites.with_items(dict.fromkeys(sites, position)))
    return tables


def _saved(dataset: Dataset, tables: ImageTables) -> ImageTables:
    return replace(tables, datasets=tables.datasets.with_item(dataset.key, dataset))


def _request_copy(request: CopyRequest, tables: ImageTables, at_us: int) -> ImageTables:
    tables = tables.with_request(request)
    blocks = [BlockKey(request.dataset, part.block) for part in request.scope]
    lacking = [key for key in blocks if tables.replica_at(key, request.site) is None]
    return tables.with_replicas(
        replicas.awaited(tables.block(key), request.site, request.group, at_us) for key in lacking
    )


def _ended(change: c.CloseRequest | c.ReduceRequest, tables: ImageTables) -> ImageTables:
    before = _request(change.id, tables)
    now = requested.after(change, before, ImageSnapshot(tables))
    if now is before:
        return tables
    tables = tables.with_request(now)
    left = requested.left_empty(change, before, now, ImageSnapshot(tables))
    return tables.without_replicas(left, before.site) if left else tables


def _deleted(change: c.FilesDeleted, tables: ImageTables, at_us: int) -> ImageTables:
    gone, now = requested.deleted(_request(change.request, tables), change, ImageSnapshot(tables))
    if not gone:
        return tables
    return apply_replicas.delete_files(change.block, change.site, gone, tables.with_request(now), at_us=at_us)


def _request(id: str, tables: ImageTables) -> Request:
    request = tables.request(id)
    if request is None:
        raise LookupError(f"request {id}")
    return request
