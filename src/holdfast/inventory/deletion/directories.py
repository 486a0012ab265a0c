"""May directories go that are empty? Part of the one check of ``holdfast.inventory.deletion``.

That a directory is empty only the storage can say; here it is whether anything
is to be in it. A directory may go only if
  * it is a plain path, neither the root nor what all files of the site have in common by its rules;
  * no file whose block has a replica at this site, which may hold or await it, lies in it or below;
  * no dataset is being published from it, from below or from above;
  * no restored backup waits for a person to say what was published after it;
  * no lock in force covers a file that would lie in it or below, or its block or dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from holdfast.inventory.deletion.grounds import FORGOTTEN, Ground, has_forgotten
from holdfast.inventory.deletion.paths import Obstacle, is_plain, lock_is_on, raise_if_any
from holdfast.inventory.store import Snapshot
from holdfast.model import names, pfn
from holdfast.model.errors import InvalidName
from holdfast.model.names import BlockKey
from holdfast.model.records import Lock, Site, Staging

NOT_PLAIN = "it is not a plain path below the site's root"
COMMON = "all files of the site lie in it by its rules"


def directory_obstacles(view: Snapshot, site: Site, paths: Sequence[str], *, now_us: int) -> list[Obstacle]:
    """What stands in the way, at most one obstacle a directory, in the order of ``paths``."""
    if has_forgotten(view):
        return [Obstacle(path, Ground.UNKNOWN, FORGOTTEN) for path in paths]
    stagings = [each.staging for each in view.datasets(staged=True) if each.staging and each.staging.site == site.name]
    locks = [lock for lock in view.locks() if lock.covers_site(site.name, now_us)]
    below = _Below(view, site, locks).obstacles(filter(is_plain, paths))
    found = []
    for path in paths:
        obstacle = _unfit(path, site.first_door.rules) or _being_published(path, stagings) or below.get(path)
        if obstacle is not None:
            found.append(obstacle)
    return found


def refuse_directories(view: Snapshot, site: str, paths: Sequence[str], *, now_us: int) -> None:
    """Conflict, naming the directories that must stay, unless all of ``paths`` may go."""
    raise_if_any(site, directory_obstacles(view, view.site(site), paths, now_us=now_us))


def is_common(rules: pfn.PfnRules, directory: str) -> bool:
    """Whether a directory is there because of all files of a site, by its rules, and not because of some of them."""
    return directory == "/" or any(f"{text}/".startswith(f"{directory}/") for text in pfn.common_beginnings(rules))


def _unfit(path: str, rules: pfn.PfnRules) -> Obstacle | None:
    if not is_plain(path):
        return Obstacle(path, Ground.UNKNOWN, NOT_PLAIN)
    return Obstacle(path, Ground.WANTED, COMMON) if is_common(rules, path) else None


def _being_published(path: str, stagings: Iterable[Staging]) -> Obstacle | None:
    for staging in stagings:
        if staging.directory == path or staging.covers(path) or _is_below(staging.directory, path):
            return Obstacle(path, Ground.WANTED, f"a dataset is being published from {staging.directory}")
    return None


class _Below:
    """What the inventory has below some directories of a site, be it held, awaited or locked."""

    def __init__(self, view: Snapshot, site: Site, locks: Sequence[Lock]) -> None:
        self._view, self._site, self._locks = view, site, locks
        self._rules = site.first_door.rules

    def obstacles(self, paths: Iterable[str]) -> dict[str, Obstacle]:
        """Why some of these directories must stay, by path."""
        wanted = set(paths)
        found = self._by_locked_files(wanted)
        find = self._by_blocks if pfn.is_one_to_one(self._rules) else self._by_files
        return find(wanted - found.keys()) | found

    def _by_locked_files(self, paths: set[str]) -> dict[str, Obstacle]:
        found = {}
        for lock in self._locks:
            path = self._path(lock.lfn) if lock.lfn else None
            for directory in paths & set(_above(path)) if path is not None else ():
                reason = f"{lock.lfn} is locked by {lock.owner} ({lock.id})"
                found[directory] = Obstacle(directory, Ground.LOCKED, reason)
        return found

    def _by_blocks(self, paths: set[str]) -> dict[str, Obstacle]:
        """From above: below a directory in which nothing stands against it there is nothing, either."""
        found: dict[str, Obstacle] = {}
        clean: set[str] = set()
        for _, level in groupby(sorted(paths, key=_depth), _depth):
            asked = {path for path in level if clean.isdisjoint(_above(path))}
            obstacles = self._of_level(asked)
            found |= obstacles
            clean |= asked - obstacles.keys()
        return found

    def _of_level(self, paths: set[str]) -> dict[str, Obstacle]:
        lfns = {path: lfns for path in paths if (lfns := _lfn_directory(self._rules, path)) is not None}
        below = self._view.blocks_below(set(lfns.values()))
        here = self._view.find_replicas(
            tuple({block for blocks in below.values() for block in blocks}), self._site.name
        )
        found = {}
        for path, directory in lfns.items():
            each = (self._of_block(path, block, is_here=block in here) for block in below.get(directory, ()))
            obstacle = next(filter(None, each), None)
            if obstacle is not None:
                found[path] = obstacle
        return found

    def _by_files(self, paths: set[str]) -> dict[str, Obstacle]:
        """By going forth from every file at the site, or in what is locked: nobody can say where rules lead back to."""
        found: dict[str, Obstacle] = {}
        if not paths:
            return found
        replicas = {replica.block for replica in self._view.replicas(site=self._site.name)}
        for block in sorted({*replicas, *self._locked_blocks()}):
            for lfn in self._view.files(block).lfns():
                path = self._path(lfn)
                for directory in (paths & set(_above(path))) - found.keys() if path is not None else ():
                    obstacle = self._of_block(directory, block, is_here=block in replicas)
                    if obstacle is not None:
                        found[directory] = obstacle
        return found

    def _locked_blocks(self) -> Iterator[BlockKey]:
        known = self._view.find_datasets({lock.dataset for lock in self._locks if lock.dataset is not None})
        for lock in self._locks:
            if lock.dataset is not None and lock.dataset in known:
                yield from (each.key for each in self._view.blocks(lock.dataset) if lock_is_on(lock, each.key))

    def _of_block(self, path: str, block: BlockKey, *, is_here: bool) -> Obstacle | None:
        if is_here:
            return Obstacle(path, Ground.WANTED, f"files of {block} belong there, which has a replica here")
        for lock in self._locks:
            if lock_is_on(lock, block):
                reason = f"files of {block} may lie there, locked by {lock.owner} ({lock.id})"
                return Obstacle(path, Ground.LOCKED, reason)
        return None

    def _path(self, lfn: str) -> str | None:
        try:
            return pfn.path_of(self._rules, lfn)
        except InvalidName:
            return None


def _depth(path: str) -> int:
    return path.count("/")


def _lfn_directory(rules: pfn.PfnRules, path: str) -> str | None:
    """The directory of all LFNs whose paths lie below ``path``, by rules that are one to one; None: there are none."""
    prefixes = pfn.exchanged_prefix(rules)
    lfns, paths = ("", "") if prefixes is None else prefixes
    if paths and (paths == path or _is_below(paths, path)):
        return lfns or "/"
    return lfns + path.removeprefix(paths) if _is_below(path, paths) else None


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(names.join(directory, ""))


def _above(path: str) -> Iterator[str]:
    """The directories above a path, the root left out."""
    while (path := names.split(path)[0]) != "/":
        yield path
