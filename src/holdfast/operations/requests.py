"""Ask for copies and for the removal of orphans: one inventory transaction each, nothing done yet.

The inventory's rules decide what may be asked (``holdfast.inventory.rules``);
here scopes are put in order and askers who want the same are joined.

Rules
  * What is asked for is whole files of one dataset, or paths at one site.
  * Asking again for what an open request covers joins that request, if both
    say the same about replacing.
  * Asking for what the destination holds already changes nothing.
  * One request fits one change set: a part of its scope for each whole block,
    so that no dataset is too big for one.
  * A dry run goes through the whole transaction, which is then undone.

Raises UnknownName, Conflict and BadInput of the inventory's rules; then
nothing was asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from holdfast.inventory.store import Head, Snapshot, Store
from holdfast.model import steps
from holdfast.model.changes import (
    ROWS_MAX,
    Change,
    ChangeSet,
    CloseRequest,
    DatasetUnchanged,
    RequestCopy,
    RequestDeletion,
    Requirement,
)
from holdfast.model.clock import Clock
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    DeletionRequest,
    Orphan,
    RequestState,
    Site,
    SiteStatus,
)
from holdfast.operations import plan

JOIN_TRIES = 20
"""How often asking starts anew because the dataset changed under it, before the asker is told."""

NewId = Callable[[], str]


def random_id() -> str:
    """A new identifier, also fit for naming temporary parts."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Need:
    """What a copy would have to bring, by the inventory's word."""

    scope: tuple[BlockFiles, ...]
    n_files: int
    size: int
    n_held: int
    """Files of the scope that the destination holds already."""
    n_without_source: int
    """Files that no other READY site holds."""


def request_copy(
    store: Store,
    dataset: DatasetKey,
    to_site: str,
    *,
    scope: Sequence[BlockFiles] | None = None,
    reason: str,
    actor: str,
    clock: Clock,
    group: str = "",
    may_replace: bool = False,
    dry_run: bool = False,
    new_id: NewId = random_id,
) -> CopyRequest:
    """Ask for files of a dataset at a site, all of them if ``scope`` is None.

    Returns the open request, new or joined. If the site holds everything
    already, nothing is written and the request that comes back is DONE. A dry
    run returns the request that would have been made.
    """
    for _ in range(JOIN_TRIES):
        with store.snapshot() as snapshot:
            need = need_of(snapshot, dataset, to_site, scope)
            joined = _open_request(snapshot, dataset, to_site, need.scope, may_replace)
            seen = snapshot.head
        request = CopyRequest(
            new_id(), dataset, to_site, need.scope, reason, group, created_us=clock(), replace=may_replace
        )
        if joined is not None:
            return joined
        if need.n_files == 0:
            detail = f"{to_site} holds all {need.n_held} files already"
            return replace(request, id="", state=RequestState.DONE, detail=detail, created_us=0)
        # Without this two askers at once would both be first.
        unchanged = DatasetUnchanged(dataset, seen.position, seen.epoch)
        try:
            head = _commit(store, RequestCopy(request), actor, reason, (unchanged,), dry_run=dry_run)
        except _UndoneError:
            return request
        except Conflict:
            if not _has_changed(store, dataset, seen):
                raise
            continue
        steps.reach("copy.requested")
        return replace(request, created_us=head.at_us)
    raise Conflict(f"dataset {dataset} keeps changing", rows=(str(dataset),), hint="try again later")


def request_deletion(
    store: Store,
    site: str,
    orphans: Sequence[Orphan],
    *,
    reason: str,
    actor: str,
    clock: Clock,
    new_id: NewId = random_id,
) -> DeletionRequest:
    """Ask for the removal of orphans; Conflict names the paths that must stay."""
    if len(orphans) > ROWS_MAX:
        raise BadInput(f"{len(orphans)} files in one deletion request", hint=f"at most {ROWS_MAX}")
    request = DeletionRequest(new_id(), site, tuple(orphans), reason=reason, created_us=clock())
    head = _commit(store, RequestDeletion(request), actor, reason)
    return replace(request, created_us=head.at_us)


def cancel(store: Store, id: str, *, reason: str, actor: str, dry_run: bool = False) -> None:
    """Give up an open request; what has arrived or gone stays so. Whoever works on it stops at his next turn."""
    try:
        _commit(store, CloseRequest(id, RequestState.CANCELLED, reason), actor, reason, dry_run=dry_run)
    except _UndoneError:
        return


def need_of(snapshot: Snapshot, dataset: DatasetKey, to_site: str, scope: Sequence[BlockFiles] | None = None) -> Need:
    """What ``request_copy`` would ask for, in numbers."""
    destination = snapshot.site(to_site)
    blocks = snapshot.blocks(dataset)
    known = {block.key.block: block for block in blocks}
    sites = {site.name: site for site in snapshot.sites()}
    normal = plan.normal_scope(blocks, scope)
    n_files = size = n_held = n_without = 0
    for part in normal:
        if part.block not in known:
            raise UnknownName(f"there is no block {BlockKey(dataset, part.block)}")
        total = known[part.block].n_files
        wanted = FileSet.full(total) if part.ordinals is None else FileSet.of(part.ordinals)
        here, elsewhere = _holdings(snapshot, BlockKey(dataset, part.block), destination, sites, total)
        lacking = wanted - here
        n_held += len(wanted & here)
        n_files += len(lacking)
        n_without += len(lacking - elsewhere)
        size += _size(snapshot, BlockKey(dataset, part.block), lacking, known[part.block].size, total)
    return Need(normal, n_files, size, n_held, n_without)


def _holdings(
    snapshot: Snapshot, block: BlockKey, destination: Site, sites: dict[str, Site], n_files: int
) -> tuple[FileSet, FileSet]:
    """What the destination holds of a block, and what any possible source does."""
    here = elsewhere = FileSet()
    replicas = snapshot.replicas(block=block)
    for replica in replicas:
        if replica.site == destination.name:
            here = here | replica.files(n_files)
        elif sites[replica.site].status is SiteStatus.READY:
            elsewhere = elsewhere | replica.files(n_files)
    return here, elsewhere


def _size(snapshot: Snapshot, block: BlockKey, lacking: FileSet, block_size: int, n_files: int) -> int:
    if len(lacking) in (0, n_files):
        return block_size if lacking else 0
    sizes = snapshot.files(block).sizes
    return sum(sizes[ordinal] for ordinal in lacking if ordinal < len(sizes))


def _open_request(
    snapshot: Snapshot, dataset: DatasetKey, site: str, scope: tuple[BlockFiles, ...], may_replace: bool
) -> CopyRequest | None:
    for request in snapshot.copy_requests():
        is_alike = (request.dataset, request.site, request.replace) == (dataset, site, may_replace)
        if is_alike and plan.covers(request.scope, scope):
            return request
    return None


def _has_changed(store: Store, dataset: DatasetKey, seen: Head) -> bool:
    """Whether a requirement on the dataset as it was ``seen`` does not hold any more."""
    with store.snapshot() as snapshot:
        return snapshot.head.epoch != seen.epoch or dataset in snapshot.changed_since(seen.position)[0]


class _UndoneError(Exception):
    """Leaves a transaction that would have been accepted, so that it is undone."""


def _undo(_connection: Connection) -> None:
    raise _UndoneError


def _commit(
    store: Store,
    change: Change,
    actor: str,
    cause: str,
    requirements: tuple[Requirement, ...] = (),
    *,
    dry_run: bool = False,
) -> Head:
    change_set = ChangeSet((change,), actor=actor, cause=cause, requirements=requirements)
    return store.commit(change_set, also=_undo if dry_run else None)
