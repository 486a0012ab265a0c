"""May files that nobody knows go? Part of the one check of ``holdfast.inventory.deletion``.

A path may go only if
  * our rules can tell which file it is, or prove that it is none;
  * the inventory has no replica of that file's block at this site, which may hold or await it;
  * a file that the inventory knows is held to stay by as many other sites as its
    dataset requires copies, one at least, all of them READY;
  * no dataset is being published from a directory above it;
  * no restored backup waits for a person to say what was published after it;
  * no lock in force covers the file, its block or its dataset;
  * of what lies in the quarantine, all this is so of the path that it had, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.inventory.copies import GoodCopies
from holdfast.inventory.deletion.grounds import FORGOTTEN, Ground, has_forgotten
from holdfast.inventory.store import Snapshot
from holdfast.model import pfn, quarantine
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey
from holdfast.model.records import FileRecord, Lock, Site, Staging


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why one path must stay."""

    path: str
    ground: Ground
    reason: str


def obstacles(view: Snapshot, site: Site, paths: Sequence[str], *, now_us: int) -> list[Obstacle]:
    """What stands in the way, at most one obstacle a path, in the order of ``paths``."""
    if has_forgotten(view):
        return [Obstacle(path, Ground.UNKNOWN, FORGOTTEN) for path in paths]
    had = {path: original for path in paths if (original := quarantine.original(path)) is not None}
    if not had:
        return _obstacles(view, site, paths, now_us)
    found = {each.path: each for each in _obstacles(view, site, [*paths, *had.values()], now_us)}
    for path, original in had.items():
        if path not in found and original in found:
            found[path] = Obstacle(path, found[original].ground, f"it was {original}: {found[original].reason}")
    return [found[path] for path in paths if path in found]


def _obstacles(view: Snapshot, site: Site, paths: Sequence[str], now_us: int) -> list[Obstacle]:
    rules = site.first_door.rules
    lfns = [pfn.lfn_of(rules, path) for path in paths]
    known = [lfn for lfn in lfns if lfn is not None]
    records = dict(zip(known, view.lookup(known), strict=True))
    stagings = [each.staging for each in view.datasets(staged=True) if each.staging and each.staging.site == site.name]
    locks = [lock for lock in view.locks() if lock.in_force(now_us)]
    shared = _other_files(view, site, paths)
    copies = GoodCopies(view, {record.block for record in records.values() if record is not None})
    found = []
    for path, lfn in zip(paths, lfns, strict=True):
        record = records.get(lfn) if lfn is not None else None
        obstacle = (
            _being_published(path, stagings)
            or shared.get(path)
            or _unknown(path, lfn, rules)
            or (record and _copies_left(copies, site.name, path, record))
            or _locked(path, lfn, record, site.name, locks, now_us)
        )
        if obstacle is not None:
            found.append(obstacle)
    return found


def refuse(view: Snapshot, site: str, paths: Sequence[str], *, now_us: int) -> None:
    """Conflict, naming the paths that must stay, unless all of ``paths`` may go."""
    raise_if_any(site, obstacles(view, view.site(site), paths, now_us=now_us))


def raise_if_any(site: str, found: Sequence[Obstacle]) -> None:
    """Conflict, naming the paths that must stay, if there are any."""
    if found:
        first = f"{found[0].path}: {found[0].reason}"
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise Conflict(f"{site}: must not be deleted: {first}{more}", rows=tuple(each.path for each in found))


def _other_files(view: Snapshot, site: Site, paths: Sequence[str]) -> dict[str, Obstacle]:
    """Which paths are those of files of blocks with a replica here, by going forth from each such file.

    Going back from a path finds one LFN. That is enough where the rules give
    no two LFNs the same path; elsewhere every file at the site has to be asked.
    """
    rules = site.first_door.rules
    found: dict[str, Obstacle] = {}
    if pfn.is_one_to_one(rules):
        return found
    wanted = set(paths)
    for replica in view.replicas(site=site.name):
        for lfn in view.files(replica.block).lfns():
            path = pfn.path_of(rules, lfn)
            if path in wanted and path is not None:
                reason = f"{lfn} goes by that path, too, and its block has a replica here, {replica.block}"
                found[path] = Obstacle(path, Ground.WANTED, reason)
    return found


def _being_published(path: str, stagings: Sequence[Staging]) -> Obstacle | None:
    for staging in stagings:
        if staging.covers(path):
            return Obstacle(path, Ground.WANTED, f"a dataset is being published from {staging.directory}")
    return None


def is_plain(path: str) -> bool:
    """Whether a path is as a listing names files; any other may be another name of one that we know."""
    return path.startswith("/") and not {"", ".", ".."} & set(path[1:].split("/"))


def _unknown(path: str, lfn: str | None, rules: pfn.PfnRules) -> Obstacle | None:
    if not is_plain(path):
        return Obstacle(path, Ground.UNKNOWN, "it is not a plain path below the site's root")
    if lfn is None and pfn.may_have_lfn(rules, path):
        reason = "the site's rules do not tell which file it is; give them an inverse"
        return Obstacle(path, Ground.UNKNOWN, reason)
    return None


def _copies_left(copies: GoodCopies, site: str, path: str, record: FileRecord) -> Obstacle | None:
    """Why a file must stay that the inventory knows: it is wanted here, or too few others have it to stay."""
    if any(replica.site == site for replica in copies.replicas[record.block]):
        return Obstacle(path, Ground.WANTED, f"the inventory has a replica of its block here, {record.block}")
    n_staying = sum(record.ordinal in files for files in copies.staying(record.block, besides=site).values())
    n_required = copies.required(record.block)
    if n_staying >= n_required:
        return None
    reason = f"it may be the last copy of a file of {record.block}"
    if n_required > 1:
        reason = f"{n_staying} of {n_required} copies that are required are to stay at other ready sites"
    return Obstacle(path, Ground.LAST_COPY, reason)


def _locked(
    path: str, lfn: str | None, record: FileRecord | None, site: str, locks: Sequence[Lock], now_us: int
) -> Obstacle | None:
    for lock in locks:
        on_file = lfn is not None and lock.lfn == lfn
        on_block = record is not None and lock_is_on(lock, record.block)
        # An orphan has no group, so a lock for some groups counts for it, too.
        if (on_file or on_block) and lock.covers_site(site, now_us):
            return Obstacle(path, Ground.LOCKED, f"locked by {lock.owner} ({lock.id})")
    return None


def lock_is_on(lock: Lock, block: BlockKey) -> bool:
    """Whether a lock is on a block or on its dataset."""
    return lock.dataset == block.dataset and lock.block in ("", block.block)
