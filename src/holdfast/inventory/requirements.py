"""Whether the requirements of a change set hold. Pure: a view of the state in, an error or nothing out.

They are asked before the first change, in the transaction that makes the
changes: what a caller has seen in an earlier snapshot is still so, or he hears
what is not.

Raises UnknownName for what is not there, Conflict, naming the rows, else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from holdfast.inventory import checks, deletion, request_rules
from holdfast.inventory.store import Snapshot
from holdfast.model import records
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, CopyRequest, DeletionRequest, Request, RequestState

ROWS_SHOWN = 200
"""How many LFNs a Conflict names."""


def check_all(requirements: Iterable[need.Requirement], view: Snapshot, *, now_us: int) -> None:
    """Raise unless all of them hold; the files of one deletion are asked for together, whatever their blocks."""
    deletable: dict[str, list[need.StillDeletable]] = {}
    for requirement in requirements:
        if isinstance(requirement, need.StillDeletable):
            deletable.setdefault(requirement.request, []).append(requirement)
        else:
            check(requirement, view, now_us=now_us)
    for id, parts in deletable.items():
        _check_deletable(id, parts, view, now_us)


def check(requirement: need.Requirement, view: Snapshot, *, now_us: int) -> None:
    """Raise unless ``requirement`` holds in ``view``."""
    match requirement:
        case need.DatasetUnchanged(dataset, position, epoch):
            _check_point(view, position, epoch)
            if dataset in view.changed_since(position)[0]:
                raise Conflict(f"dataset {dataset} has changed after position {position}", rows=(str(dataset),))
        case need.SiteUnchanged(site, position, epoch):
            _check_point(view, position, epoch)
            if site in view.changed_since(position)[1]:
                raise Conflict(f"site {site} has changed after position {position}", rows=(site,))
        case need.DatasetVisible(dataset):
            if not view.dataset(dataset).is_visible:
                raise Conflict(f"dataset {dataset} is still being published", rows=(str(dataset),))
        case need.StillThere(lfns):
            gone = [lfn for lfn, record in zip(lfns, view.lookup(lfns), strict=True) if record is None]
            if gone:
                more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
                raise Conflict(f"{gone[0]}{more}: not registered any more", rows=tuple(gone[:ROWS_SHOWN]))
        case need.ReplicasThere(site, blocks):
            checks.replicas(view, blocks, site)
        case need.NotLocked():
            _check_not_locked(requirement, view, now_us)
        case need.SameHistory(epoch):
            _check_point(view, view.head.position, epoch)
        case need.SameDoor(site, door):
            if not view.site(site).first_door.leads_to_same(door):
                hint = "what was seen behind the other one does not count"
                raise Conflict(f"site {site} has another first door now", rows=(site,), hint=hint)
        case need.RequestIsOpen(id):
            _check_open(request_rules.request_of(view, id))
        case need.CopyIsThere():
            _check_there(requirement, view)
        case need.StillOrphans(site, orphans):
            deletion.refuse(view, site, orphans, now_us=now_us)
        case need.StillNeedless(site, directories):
            deletion.refuse_directories(view, site, directories, now_us=now_us)
        case need.NoOtherRemovals():
            _check_no_others(requirement, view)
        case need.StillDeletable():
            _check_deletable(requirement.request, [requirement], view, now_us)


def _check_point(view: Snapshot, position: int, epoch: str) -> None:
    """Conflict unless ``position`` of ``epoch`` is a point of this history."""
    # A point of an earlier epoch may have been replaced by a restore; whoever has seen it looks again.
    if epoch not in ("", view.head.epoch) or position > view.head.position:
        raise Conflict(f"position {position} is not on this history", hint="the inventory was restored; look again")


def _check_not_locked(requirement: need.NotLocked, view: Snapshot, now_us: int) -> None:
    view.dataset(requirement.dataset)
    for lock in view.locks():
        record = view.lookup([lock.lfn])[0] if lock.lfn else None
        locked = record.block.dataset if record else lock.dataset
        if locked == requirement.dataset and _stands_against(lock, requirement, now_us):
            raise Conflict(f"{lock.item} is locked by {lock.owner} ({lock.id})", rows=(lock.id,))


def _stands_against(lock: records.Lock, requirement: need.NotLocked, now_us: int) -> bool:
    if not requirement.site:
        return lock.in_force(now_us)  # "Not locked anywhere": whatever site or group it is for.
    return lock.covers(requirement.site, requirement.group, now_us)


def _check_no_others(requirement: need.NoOtherRemovals, view: Snapshot) -> None:
    site, known = requirement.site, set(requirement.requests)
    view.site(site)
    others = tuple(each.id for each in view.deletion_requests(site=site) if each.n_paths and each.id not in known)
    if others:
        raise Conflict(f"request {others[0]} was made meanwhile, for removals at {site}", rows=others[:ROWS_SHOWN])


def _check_deletable(id: str, parts: Sequence[need.StillDeletable], view: Snapshot, now_us: int) -> None:
    request = request_rules.request_of(view, id)
    alien = next((part.block for part in parts if part.block.dataset != request.dataset), None)
    if not isinstance(request, DeletionRequest) or alien is not None:
        raise BadInput(f"request {id} is for no files of {alien or parts[0].block}")
    _check_open(request)
    wanted: dict[BlockKey, FileSet] = {}
    blocks = view.find_blocks(tuple({part.block: None for part in parts}))
    for part in parts:
        checks.ordinals(blocks.get(part.block) or checks.block(view, part.block), part.ordinals)
        wanted[part.block] = wanted.get(part.block, FileSet()) | FileSet.of(part.ordinals)
    _check_asked(request, wanted, blocks, view)
    _check_names([part for part in parts if part.lfns], view)
    n_files = sum(map(len, wanted.values()))
    asked_us = request.created_us
    deletion.refuse_replicas(view, request.site, wanted, now_us=now_us, most=n_files, asked_us=asked_us)


def _check_asked(
    request: DeletionRequest, wanted: Mapping[BlockKey, FileSet], blocks: Mapping[BlockKey, Block], view: Snapshot
) -> None:
    """Conflict unless an open deletion still asks for all of these files."""
    asked: dict[str, FileSet] = {}
    names = {key.block: key for key in wanted}
    for part in request.scope:
        if part.block in names:
            files = part.files(blocks[names[part.block]].n_files)
            asked[part.block] = asked.get(part.block, FileSet()) | files
    for key, files in wanted.items():
        unasked = files - asked.get(key.block, FileSet())
        if unasked:
            rows = tuple(view.files(key).chosen(list(unasked)).lfns())
            raise Conflict(f"request {request.id} does not ask for {rows[0]} any more", rows=rows)


def _check_names(parts: Iterable[need.StillDeletable], view: Snapshot) -> None:
    """Conflict unless each file is the one that it is taken for."""
    for part in parts:
        lfns = tuple(view.files(part.block).chosen(part.ordinals).lfns())
        if lfns != part.lfns:
            rows = tuple(meant for meant, lfn in zip(part.lfns, lfns, strict=True) if meant != lfn)
            raise Conflict(f"{rows[0]} is not that file of {part.block} any more", rows=rows[:ROWS_SHOWN])


def _check_there(requirement: need.CopyIsThere, view: Snapshot) -> None:
    request = request_rules.request_of(view, requirement.request)
    if not isinstance(request, CopyRequest):
        raise BadInput(f"request {request.id} is for no copy")
    keys = tuple({BlockKey(request.dataset, part.block): None for part in request.scope})
    blocks, there = view.find_blocks(keys), view.find_replicas(keys, request.site)
    known = {key.block for key in blocks}
    wanted, coming = (
        request_rules.wanted_files(request.dataset, [part for part in scope if part.block in known], blocks)
        for scope in (request.scope, requirement.coming)
    )
    for key, files in wanted.items():
        held = there[key].files(blocks[key].n_files) if key in there else FileSet()
        lacking = files - held - coming.get(key, FileSet())
        if lacking:
            rows = tuple(view.files(key).chosen(list(lacking)[:ROWS_SHOWN]).lfns())
            raise Conflict(f"{request.site} does not hold {rows[0]}, for which request {request.id} asks", rows=rows)


def _check_open(request: Request) -> None:
    if request.state is not RequestState.OPEN:
        raise Conflict(f"request {request.id} is {request.state.value}", rows=(request.id,))
