"""Whether the requirements of a change set hold. Pure: a view of the state in, an error or nothing out.

They are asked before the first change, in the transaction that makes the
changes: what a caller has seen in an earlier snapshot is still so, or he hears
what is not.

Raises UnknownName for what is not there, Conflict, naming the rows, else.
"""

from __future__ import annotations

from holdfast.inventory import checks, deletion
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model import records
from holdfast.model.errors import Conflict, UnknownName
from holdfast.model.records import Request, RequestState

ROWS_SHOWN = 200
"""How many LFNs a Conflict names."""


def check(requirement: c.Requirement, view: Snapshot, *, now_us: int) -> None:
    """Raise unless ``requirement`` holds in ``view``."""
    match requirement:
        case c.DatasetUnchanged(dataset, position, epoch):
            _check_point(view, position, epoch)
            if dataset in view.changed_since(position)[0]:
                raise Conflict(f"dataset {dataset} has changed after position {position}", rows=(str(dataset),))
        case c.SiteUnchanged(site, position, epoch):
            _check_point(view, position, epoch)
            if site in view.changed_since(position)[1]:
                raise Conflict(f"site {site} has changed after position {position}", rows=(site,))
        case c.DatasetVisible(dataset):
            if not view.dataset(dataset).is_visible:
                raise Conflict(f"dataset {dataset} is still being published", rows=(str(dataset),))
        case c.StillThere(lfns):
            gone = [lfn for lfn, record in zip(lfns, view.lookup(lfns), strict=True) if record is None]
            if gone:
                more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
                raise Conflict(f"{gone[0]}{more}: not registered any more", rows=tuple(gone[:ROWS_SHOWN]))
        case c.ReplicasThere(site, blocks):
            checks.replicas(view, blocks, site)
        case c.NotLocked():
            _check_not_locked(requirement, view, now_us)
        case c.RequestIsOpen(id):
            state = request_of(view, id).state
            if state is not RequestState.OPEN:
                raise Conflict(f"request {id} is {state.value}", rows=(id,))
        case c.StillOrphans(site, orphans):
            deletion.refuse(view, site, orphans, now_us=now_us)


def _check_point(view: Snapshot, position: int, epoch: str) -> None:
    """Conflict unless ``position`` of ``epoch`` is a point of this history."""
    # A point of an earlier epoch may have been replaced by a restore; whoever has seen it looks again.
    if epoch not in ("", view.head.epoch) or position > view.head.position:
        raise Conflict(f"position {position} is not on this history", hint="the inventory was restored; look again")


def _check_not_locked(requirement: c.NotLocked, view: Snapshot, now_us: int) -> None:
    view.dataset(requirement.dataset)
    for lock in view.locks():
        record = view.lookup([lock.lfn])[0] if lock.lfn else None
        locked = record.block.dataset if record else lock.dataset
        if locked == requirement.dataset and _stands_against(lock, requirement, now_us):
            raise Conflict(f"{lock.item} is locked by {lock.owner} ({lock.id})", rows=(lock.id,))


def _stands_against(lock: records.Lock, requirement: c.NotLocked, now_us: int) -> bool:
    if not requirement.site:
        return lock.in_force(now_us)  # "Not locked anywhere": whatever site or group it is for.
    return lock.covers(requirement.site, requirement.group, now_us)


def request_of(view: Snapshot, id: str) -> Request:
    """One request; UnknownName if there is none."""
    request = view.request(id)
    if request is None:
        raise UnknownName(f"there is no request {id}")
    return request
