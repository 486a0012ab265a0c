"""What each change does to a MemoryStore's tables. The rules have been checked; nothing here decides.

The twin of ``sql_apply``: whatever one of them does, the other does, too.
"""

from __future__ import annotations

from dataclasses import replace

from holdfast.inventory import proofs, replicas, requested
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import (
    Block,
    BlockReplica,
    CopyRequest,
    Dataset,
    FileColumns,
    Group,
    Permission,
    Restore,
)
from holdfast.testing.memory_snapshot import MemorySnapshot
from holdfast.testing.memory_tables import Tables, joined

NO_FILES = FileColumns((), (), (), ())


def apply(change: c.Change, draft: Tables, *, at_us: int, position: int) -> None:
    """Carry ``change``, which stands in the entry at ``position``, out in ``draft``."""
    _touch(change, draft, position)
    match change:
        case c.PutSite(site):
            if proofs.are_void(change, MemorySnapshot(draft)):
                _take_proofs_back(site.name, draft)
            draft.sites.own()[site.name] = site
        case c.RemoveSite(name):
            draft.sites.own().pop(name, None)
        case c.PutGroup(Group(name)):
            draft.groups.own()[name] = None
        case c.CreateDataset(dataset):
            _save(replace(dataset, created_us=at_us), draft)
        case c.UpdateDataset(key):
            _save(change.of(draft.datasets.rows[key]), draft)
        case c.RegisterFiles():
            _register(change, draft, at_us)
        case c.RevealDataset(key):
            _save(replace(draft.datasets.rows[key], staging=None, is_open=False), draft)
        case c.AbandonStaged(key):
            _abandon(draft.datasets.rows[key], draft)
        case c.RequestCopy(request):
            _request_copy(replace(request, created_us=at_us), draft, at_us)
        case c.RequestDeletion(request):
            draft.requests.own()[request.id] = replace(request, created_us=at_us)
        case c.CloseRequest() | c.ReduceRequest():
            _end(change, draft)
        case c.FilesDeleted():
            _delete(change, draft, at_us)
        case c.FilesArrived() | c.FilesGone():
            _move_files(change, draft, at_us)
        case c.FilesVerified():
            for block in change.blocks:
                _put_replica(replicas.verified(draft.replicas.rows[block][change.site], change.verified_us), draft)
        case c.BlocksArrived():
            _blocks_arrived(change, draft, at_us)
        case c.RemoveReplicas():
            for block in change.blocks:
                _remove_replica(block, change.site, draft)
        case c.AssignReplicas():
            for block in change.blocks:
                replica = draft.replicas.rows[block][change.site]
                _put_replica(replicas.assigned(replica, change.group, change.is_custodial), draft)
        case c.RemoveFiles():
            _remove_files(change, draft)
        case c.RenameFiles():
            _rename_files(change, draft)
        case c.PutLock(lock):
            draft.locks.own()[lock.id] = lock
        case c.RemoveLock(id):
            draft.locks.own().pop(id, None)
        case c.SetPermissions(items):
            _set_permissions(items, draft)
        case c.StartEpoch():
            draft.restore = Restore(position, is_confirmed=False)
        case c.ConfirmRestore():
            draft.restore = draft.restore and replace(draft.restore, is_confirmed=True)


def _touch(change: c.Change, draft: Tables, position: int) -> None:
    datasets, sites = requested.touched(change, MemorySnapshot(draft))
    if datasets:
        draft.touched_datasets.own().update(dict.fromkeys(datasets, position))
    if sites:
        draft.touched_sites.own().update(dict.fromkeys(sites, position))


def _save(dataset: Dataset, draft: Tables) -> None:
    draft.datasets.own()[dataset.key] = dataset


def _register(change: c.RegisterFiles, draft: Tables, at_us: int) -> None:
    key = change.block
    of_dataset = draft.blocks.rows.get(key.dataset, {})
    before = of_dataset.get(key.block, Block(key)).n_files
    files = joined(draft.files.rows.get(key, NO_FILES), change.files)
    block = Block(key, len(files), sum(files.sizes))
    draft.blocks.own()[key.dataset] = {**of_dataset, key.block: block}
    draft.files.own()[key] = files
    draft.index_files(key, change.files, before)
    present = draft.replicas.rows.get(key, {})
    for site, replica in present.items():
        if site != change.site:
            _put_replica(replicas.of_grown_block(replica, before), draft)
    if change.site:
        old = present.get(change.site) or replicas.empty(key, change.site, change.group, at_us)
        new = replicas.with_files(
            replicas.of_grown_block(old, before),
            range(before, len(files)),
            block,
            replicas.summed(files.sizes),
            verified_us=change.verified_us,
            at_us=at_us,
        )
        _put_replica(new, draft)


def _abandon(dataset: Dataset, draft: Tables) -> None:
    for name in draft.blocks.rows.get(dataset.key, {}):
        key = BlockKey(dataset.key, name)
        draft.forget_files(key)
        files = draft.files.own().pop(key)
        for place, file in zip(files.dir_index, files.names, strict=True):
            draft.permissions.own().pop((files.dirs[place], file), None)
        draft.replicas.own().pop(key, None)
    draft.blocks.own().pop(dataset.key, None)
    del draft.datasets.own()[dataset.key]


def _put_replica(replica: BlockReplica, draft: Tables) -> None:
    by_site = draft.replicas.rows.get(replica.block, {})
    if by_site.get(replica.site) != replica:
        draft.replicas.own()[replica.block] = {**by_site, replica.site: replica}


def _take_proofs_back(site: str, draft: Tables) -> None:
    for by_site in list(draft.replicas.rows.values()):
        if site in by_site:
            _put_replica(replicas.unproved(by_site[site]), draft)


def _remove_replica(block: BlockKey, site: str, draft: Tables) -> None:
    by_site = draft.replicas.rows.get(block, {})
    left = {name: replica for name, replica in by_site.items() if name != site}
    if left:
        draft.replicas.own()[block] = left
    else:
        draft.replicas.own().pop(block, None)


def _blocks_arrived(change: c.BlocksArrived, draft: Tables, at_us: int) -> None:
    for key in change.blocks:
        block = draft.blocks.rows[key.dataset][key.block]
        old = draft.replicas.rows.get(key, {}).get(change.site)
        if old is None:
            old = replace(replicas.empty(key, change.site, change.group, at_us), is_custodial=change.is_custodial)
        _put_replica(replicas.whole(old, block, verified_us=change.verified_us, at_us=at_us), draft)


def _remove_files(change: c.RemoveFiles, draft: Tables) -> None:
    key, gone = change.block, set(change.ordinals)
    before = draft.files.rows[key]
    kept = before.chosen([row for row in range(len(before)) if row not in gone])
    for row in gone:
        draft.permissions.own().pop((before.dirs[before.dir_index[row]], before.names[row]), None)
    _replace_files(key, kept, draft)
    for replica in list(draft.replicas.rows.get(key, {}).values()):
        _put_replica(replicas.of_shrunk_block(replica, gone, len(before)), draft)


def _rename_files(change: c.RenameFiles, draft: Tables) -> None:
    key = change.block
    before, known = draft.files.rows[key], draft.permissions.own()
    for row, (directory, name) in zip(change.ordinals, change.places(), strict=True):
        known.pop((directory, name), None)  # Of a file that is there no more.
        item = known.pop((before.dirs[before.dir_index[row]], before.names[row]), None)
        if item is not None:
            known[directory, name] = replace(item, dir=directory, name=name)
    _replace_files(key, before.renamed(change.ordinals, change.places()), draft)
    for replica in list(draft.replicas.rows.get(key, {}).values()):
        _put_replica(replicas.renamed(replica, change.ordinals), draft)


def _replace_files(key: BlockKey, files: FileColumns, draft: Tables) -> None:
    draft.forget_files(key)
    draft.files.own()[key] = files
    draft.index_files(key, files, 0)
    of_dataset = draft.blocks.rows[key.dataset]
    block = Block(key, len(files), sum(files.sizes))
    draft.blocks.own()[key.dataset] = {**of_dataset, key.block: block}


def _request_copy(request: CopyRequest, draft: Tables, at_us: int) -> None:
    draft.requests.own()[request.id] = request
    for part in request.scope:
        block = BlockKey(request.dataset, part.block)
        if request.site not in draft.replicas.rows.get(block, {}):
            known = draft.blocks.rows[request.dataset][part.block]
            _put_replica(replicas.awaited(known, request.site, request.group, at_us), draft)


def _end(change: c.CloseRequest | c.ReduceRequest, draft: Tables) -> None:
    view, before = MemorySnapshot(draft), draft.requests.rows[change.id]
    now = requested.after(change, before, view)
    draft.requests.own()[change.id] = now
    if now is not before:
        for block in requested.left_empty(change, before, now, view):
            _remove_replica(block, before.site, draft)


def _delete(change: c.FilesDeleted, draft: Tables, at_us: int) -> None:
    view = MemorySnapshot(draft)
    gone, now = requested.deleted(draft.requests.rows[change.request], change, view)
    draft.requests.own()[change.request] = now
    replica = draft.replicas.rows.get(change.block, {}).get(change.site)
    if not gone or replica is None:
        return
    size_of = replicas.summed(draft.files.rows[change.block].sizes)
    left = replicas.without_files(replica, gone, _block(change.block, draft), size_of, at_us=at_us)
    _put_replica(left, draft)
    for block in requested.needless((left,), view):
        _remove_replica(block, change.site, draft)


def _move_files(change: c.FilesArrived | c.FilesGone, draft: Tables, at_us: int) -> None:
    replica = draft.replicas.rows[change.block][change.site]
    block, size_of = _block(change.block, draft), replicas.summed(draft.files.rows[change.block].sizes)
    if isinstance(change, c.FilesArrived):
        proof = change.verified_us
        new = replicas.with_files(replica, change.ordinals, block, size_of, verified_us=proof, at_us=at_us)
    else:
        new = replicas.without_files(replica, FileSet.of(change.ordinals), block, size_of, at_us=at_us)
    _put_replica(new, draft)


def _block(key: BlockKey, draft: Tables) -> Block:
    return draft.blocks.rows[key.dataset][key.block]


def _set_permissions(items: tuple[Permission, ...], draft: Tables) -> None:
    known = draft.permissions.own()
    for item in items:
        known[item.dir, item.name] = item
