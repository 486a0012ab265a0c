"""The one check that every deletion passes: may these bytes go?

Pure: a snapshot, paths at a site and a moment in, obstacles out. It runs in the
transaction that requests a deletion and again, at the then current position,
in the one that claims it for execution. Whatever it does not understand stands
in the way.

A path may go only if
  * our rules can tell which file it is, or prove that it is none;
  * the inventory neither has nor awaits that file at this site;
  * a file that the inventory knows is held by another site, complete there;
  * no dataset is being published from a directory above it;
  * no lock in force covers the file, its block or its dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, FileRecord, Lock, Site, Staging


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why one path must stay."""

    path: str
    reason: str


def obstacles(view: Snapshot, site: Site, paths: Sequence[str], *, now_us: int) -> list[Obstacle]:
    """What stands in the way, at most one obstacle a path, in the order of ``paths``."""
    rules = site.doors[0].rules
    lfns = [pfn.lfn_of(rules, path) for path in paths]
    known = [lfn for lfn in lfns if lfn is not None]
    records = dict(zip(known, view.lookup(known), strict=True))
    stagings = [each.staging for each in view.datasets(staged=True) if each.staging and each.staging.site == site.name]
    locks = [lock for lock in view.locks() if lock.expires_us is None or lock.expires_us > now_us]
    replicas: dict[BlockKey, list[BlockReplica]] = {}
    found = []
    for path, lfn in zip(paths, lfns, strict=True):
        record = records.get(lfn) if lfn is not None else None
        if record is not None and record.block not in replicas:
            replicas[record.block] = view.replicas(block=record.block)
        reason = _being_published(path, stagings)
        if not reason and lfn is None and pfn.may_have_lfn(rules, path):
            reason = "the site's rules do not tell which file it is; give them an inverse"
        if not reason and record is not None:
            reason = _known_file(record, site.name, replicas[record.block])
        if not reason and lfn is not None:
            reason = _locked(lfn, record, site.name, locks, now_us)
        if reason:
            found.append(Obstacle(path, reason))
    return found


def _being_published(path: str, stagings: Sequence[Staging]) -> str:
    for staging in stagings:
        if staging.directory == "/" or path.startswith(f"{staging.directory}/"):
            return f"a dataset is being published from {staging.directory}"
    return ""


def _known_file(record: FileRecord, site: str, replicas: Sequence[BlockReplica]) -> str:
    if any(replica.site == site for replica in replicas):
        return f"the inventory has or awaits it here, in {record.block}"
    if not any(replica.held is None or record.ordinal in replica.held for replica in replicas):
        return f"it may be the last copy of a file of {record.block}"
    return ""


def _locked(lfn: str, record: FileRecord | None, site: str, locks: Sequence[Lock], now_us: int) -> str:
    for lock in locks:
        if not lock.covers(site, "", now_us) and not lock.covers(site, lock.groups, now_us):
            continue
        if lock.lfn == lfn or (record is not None and _on_dataset(lock, record.block)):
            return f"locked by {lock.owner} ({lock.id})"
    return ""


def _on_dataset(lock: Lock, block: BlockKey) -> bool:
    return lock.dataset == block.dataset and lock.block in ("", block.block)
