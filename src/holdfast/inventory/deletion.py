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
  * no restored backup waits for a person to say what was published after it;
  * no lock in force covers the file, its block or its dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, FileRecord, Lock, Site, Staging


class Ground(StrEnum):
    """On which ground a path must stay."""

    WANTED = "wanted"
    """The inventory has or awaits it here, or it is being published: it is no orphan."""
    UNKNOWN = "unknown"
    """We cannot tell which file it is."""
    LAST_COPY = "last-copy"
    LOCKED = "locked"


FORGOTTEN = (
    "the inventory was restored from a backup and has forgotten what was published since;"
    " publish that again, then run `holdfast restore --confirm`"
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why one path must stay."""

    path: str
    ground: Ground
    reason: str


def obstacles(view: Snapshot, site: Site, paths: Sequence[str], *, now_us: int) -> list[Obstacle]:
    """What stands in the way, at most one obstacle a path, in the order of ``paths``."""
    restored = view.restored()
    if restored is not None and not restored.is_confirmed:
        return [Obstacle(path, Ground.UNKNOWN, FORGOTTEN) for path in paths]
    rules = site.doors[0].rules
    lfns = [pfn.lfn_of(rules, path) for path in paths]
    known = [lfn for lfn in lfns if lfn is not None]
    records = dict(zip(known, view.lookup(known), strict=True))
    stagings = [each.staging for each in view.datasets(staged=True) if each.staging and each.staging.site == site.name]
    locks = [lock for lock in view.locks() if lock.in_force(now_us)]
    shared = _other_files(view, site, paths)
    replicas: dict[BlockKey, list[BlockReplica]] = {}
    found = []
    for path, lfn in zip(paths, lfns, strict=True):
        record = records.get(lfn) if lfn is not None else None
        if record is not None and record.block not in replicas:
            replicas[record.block] = view.replicas(block=record.block)
        held = replicas[record.block] if record is not None else []
        obstacle = (
            _being_published(path, stagings)
            or shared.get(path)
            or _unknown(path, lfn, rules)
            or _known_file(path, record, site.name, held)
            or _locked(path, lfn, record, site.name, locks, now_us)
        )
        if obstacle is not None:
            found.append(obstacle)
    return found


def refuse(view: Snapshot, site: str, paths: Sequence[str], *, now_us: int) -> None:
    """Conflict, naming the paths that must stay, unless all of ``paths`` may go."""
    found = obstacles(view, view.site(site), paths, now_us=now_us)
    if found:
        first = f"{found[0].path}: {found[0].reason}"
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise Conflict(f"{site}: must not be deleted: {first}{more}", rows=tuple(each.path for each in found))


def _other_files(view: Snapshot, site: Site, paths: Sequence[str]) -> dict[str, Obstacle]:
    """Which paths are those of files the inventory has or awaits here, by going forth from each such file.

    Going back from a path finds one LFN. That is enough where the rules give
    no two LFNs the same path; elsewhere every file at the site has to be asked.
    """
    rules = site.doors[0].rules
    found: dict[str, Obstacle] = {}
    if pfn.is_one_to_one(rules):
        return found
    wanted = set(paths)
    for replica in view.replicas(site=site.name):
        for lfn in view.files(replica.block).lfns():
            path = pfn.path_of(rules, lfn)
            if path in wanted and path is not None:
                reason = f"the inventory has or awaits {lfn} here, in {replica.block}"
                found[path] = Obstacle(path, Ground.WANTED, reason)
    return found


def _being_published(path: str, stagings: Sequence[Staging]) -> Obstacle | None:
    for staging in stagings:
        if staging.covers(path):
            return Obstacle(path, Ground.WANTED, f"a dataset is being published from {staging.directory}")
    return None


def _unknown(path: str, lfn: str | None, rules: pfn.PfnRules) -> Obstacle | None:
    if not path.startswith("/") or {"", ".", ".."} & set(path[1:].split("/")):
        # Not as a listing names a file: it may be another name of one that we know.
        return Obstacle(path, Ground.UNKNOWN, "it is not a plain path below the site's root")
    if lfn is None and pfn.may_have_lfn(rules, path):
        reason = "the site's rules do not tell which file it is; give them an inverse"
        return Obstacle(path, Ground.UNKNOWN, reason)
    return None


def _known_file(path: str, record: FileRecord | None, site: str, replicas: Sequence[BlockReplica]) -> Obstacle | None:
    if record is None:
        return None
    if any(replica.site == site for replica in replicas):
        return Obstacle(path, Ground.WANTED, f"the inventory has or awaits it here, in {record.block}")
    if not any(replica.holds(record.ordinal) for replica in replicas):
        return Obstacle(path, Ground.LAST_COPY, f"it may be the last copy of a file of {record.block}")
    return None


def _locked(
    path: str, lfn: str | None, record: FileRecord | None, site: str, locks: Sequence[Lock], now_us: int
) -> Obstacle | None:
    for lock in locks:
        on_file = lfn is not None and lock.lfn == lfn
        on_block = record is not None and _on_dataset(lock, record.block)
        # An orphan has no group, so a lock for some groups counts for it, too.
        if (on_file or on_block) and lock.covers_site(site, now_us):
            return Obstacle(path, Ground.LOCKED, f"locked by {lock.owner} ({lock.id})")
    return None


def _on_dataset(lock: Lock, block: BlockKey) -> bool:
    return lock.dataset == block.dataset and lock.block in ("", block.block)
