"""Which changes of many block replicas at once the inventory accepts. Part of ``rules``.

Each asks the view for all its blocks and replicas together, so that a change of
ten thousand takes few questions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from holdfast.inventory import checks
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockReplica, Evidence, Lock


def check_verified(change: c.FilesVerified, view: Snapshot) -> None:
    """Proofs are of replicas that are there."""
    checks.moment(change.verified_us)
    checks.replicas(view, change.blocks, change.site)


def check_arrived(change: c.BlocksArrived, view: Snapshot) -> None:
    """Whole blocks may be where nothing of them is being deleted and no other file has their paths."""
    checks.some(change.blocks, f"an arrival at {change.site}")
    checks.moment(change.verified_us)
    site = view.site(change.site)
    checks.group(view, change.group)
    checks.known_blocks(view, change.blocks)
    checks.no_deletion(view, site.name, lambda: _lfns_of(change.blocks, view))
    checks.not_condemned(view, site.name, change.blocks)
    checks.paths(view, site, lambda: _lfns_of(change.blocks, view), are_registered=True)


def _lfns_of(blocks: Iterable[BlockKey], view: Snapshot) -> Iterator[str]:
    for key in blocks:
        yield from view.files(key).lfns()


def check_assigned(change: c.AssignReplicas, view: Snapshot, *, now_us: int) -> None:
    """Replicas that are there go to a group that is there, and none out of the reach of a lock in force."""
    checks.some(change.blocks, f"an assignment at {change.site}")
    if change.group is None and change.is_custodial is None:
        raise BadInput("an assignment of neither a group nor the custodial mark")
    checks.group(view, change.group or "")
    here = checks.replicas(view, change.blocks, change.site)
    if change.group is not None:
        locks = [lock for lock in view.locks() if not lock.covers(change.site, change.group, now_us)]
        _refuse_locked(here, change.site, view, locks, now_us)


def check_removed(change: c.RemoveReplicas, view: Snapshot, *, now_us: int) -> None:
    """What nobody awaits and, unless a person says so, nobody has locked and others have, too."""
    checks.some(change.blocks, f"a removal of replicas at {change.site}")
    view.site(change.site)
    checks.known_blocks(view, change.blocks)
    if change.evidence not in (Evidence.STATED, Evidence.DECLARED):
        hint = "stat the files first"
        raise Conflict(f"replicas at {change.site}: hearsay is not evidence", rows=(change.site,), hint=hint)
    here = view.find_replicas(change.blocks, change.site)
    _refuse_awaited(here, change.site, view)
    if change.evidence is not Evidence.DECLARED:
        _refuse_locked(here, change.site, view, view.locks(), now_us)
        _refuse_last_copies(here, change.site, view)


def _refuse_awaited(here: Collection[BlockKey], site: str, view: Snapshot) -> None:
    requests = view.copy_requests(site=site)
    awaiting = [r.id for r in requests if any(BlockKey(r.dataset, part.block) in here for part in r.scope)]
    if awaiting:
        message = f"{site} still awaits some of these blocks, by request {awaiting[0]}"
        raise Conflict(message, rows=tuple(awaiting[: checks.ROWS_SHOWN]), hint="cancel the request first")


def _refuse_locked(
    here: Mapping[BlockKey, BlockReplica], site: str, view: Snapshot, every: Iterable[Lock], now_us: int
) -> None:
    locks = [lock for lock in every if lock.covers_site(site, now_us)]
    by_lfn = [lock for lock in locks if lock.lfn]
    files = view.lookup([lock.lfn for lock in by_lfn])
    for lock, file in zip(by_lfn, files, strict=True):
        held = here.get(file.block) if file is not None else None
        if file is not None and held is not None and held.holds(file.ordinal) and _covers(lock, held, now_us):
            raise checks.refuse_locked(lock, f"{file.lfn} at {site}")
    of_items: dict[tuple[object, str], list[Lock]] = {}
    for lock in locks:
        if lock.dataset is not None:
            of_items.setdefault((lock.dataset, lock.block), []).append(lock)
    if of_items:
        for key, replica in here.items():
            for lock in (*of_items.get((key.dataset, ""), ()), *of_items.get((key.dataset, key.block), ())):
                if _covers(lock, replica, now_us):
                    raise checks.refuse_locked(lock, f"{key} at {site}")


def _covers(lock: Lock, replica: BlockReplica, now_us: int) -> bool:
    return lock.covers(replica.site, replica.group, now_us)


def _refuse_last_copies(here: Mapping[BlockKey, BlockReplica], site: str, view: Snapshot) -> None:
    blocks, everywhere = view.find_blocks(here), view.find_replicas_of_blocks(here)
    for key, replica in here.items():
        others = [other for other in everywhere[key] if other.site != site]
        lost = only_here(replica.files(blocks[key].n_files), blocks[key], others)
        if lost:
            raise last_copy(view, key, site, lost)


def only_here(files: FileSet, block: Block, others: Collection[BlockReplica]) -> FileSet:
    """Those of ``files`` that no other replica holds."""
    for other in others:
        if other.held is None:
            return FileSet()
        files = files - other.files(block.n_files)
    return files


def last_copy(view: Snapshot, key: BlockKey, site: str, lost: FileSet) -> Conflict:
    """The error for a statement by a program that would take the last known copies."""
    files = view.files(key)
    rows = tuple(files.lfn(ordinal) for ordinal in list(lost)[: checks.ROWS_SHOWN])
    return Conflict(f"{site} has the last known copy of {rows[0]}", rows=rows, hint="only a person may say so")
