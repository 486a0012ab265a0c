"""Whether what was found is so, and what was done is right, by what lies at the sites and by nothing that a check says.

Rules (each a wrong action if broken)
  * Only workers change a storage: never a check, nor asking.
  * Nothing goes but what somebody asked to go, and orphans: old, seen, unlocked, of no dataset that is being published,
    of no block that the site has a replica of.
  * Nothing is written but files that the site should have and has not got whole; nothing that somebody is writing.
  * Nothing is touched in a place that could not be listed, unless somebody asked for it.
  * The last bytes of a published file stay, wherever they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from damaged_world import IGNORE_AGE_S, DamagedWorld, Known

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.model import quarantine
from holdfast.storage.driver import Kind
from holdfast.testing.memory_tree import Node

Tree = dict[str, Node]


@dataclass
class Moment:
    """What there is, and should be, at one moment."""

    trees: dict[str, Tree]
    held: dict[str, dict[str, Known]]
    directories: dict[str, Tree]

    @staticmethod
    def of(world: DamagedWorld) -> Moment:
        """Now."""
        return Moment(
            {site: world.there(site) for site in world.names},
            {site: world.held(site) for site in world.names},
            {site: world.directories(site) for site in world.names},
        )


def is_below(path: str, places: set[str]) -> bool:
    """Whether ``path`` lies below one of some places."""
    return any(path.startswith(f"{place.rstrip('/')}/") for place in places)


def is_young(world: DamagedWorld, node: Node) -> bool:
    """Whether somebody may have it in hand."""
    since_ns = max(node.mtime_ns, node.changed_ns or 0)
    return since_ns > (world.time() - IGNORE_AGE_S * 1_000_000) * 1000


def is_being_written(world: DamagedWorld, node: Node) -> bool:
    """Whether somebody may be at its bytes."""
    return node.mtime_ns > (world.time() - IGNORE_AGE_S * 1_000_000) * 1000


def has_replica(world: DamagedWorld, site: str, lfn: str) -> bool:
    """Whether a site has, or awaits, something of the block of a file."""
    with world.store.snapshot() as view:
        return lfn in world.known and bool(view.replicas(block=world.known[lfn].block, site=site))


def lfn_of(site: str, path: str) -> str:
    """The LFN that a path may stand for."""
    return path.replace("/pnfs/c", "/data", 1) if site == "C" else path


def wrong_changes(world: DamagedWorld, before: Moment, after: Moment) -> list[str]:
    """What workers did to the storages and should not have."""
    wrong = []
    world.ever_held |= {(site, file.lfn) for site in world.names for file in before.held[site].values()}
    for site in world.names:
        was, now = before.trees[site], after.trees[site]
        for path in sorted(was.keys() - now.keys()):
            why = _wrong_removal(world, site, path, was[path], before)
            wrong += [f"{site}:{path} went: {why}"] if why else []
        for path in sorted(now):
            if path not in was or (was[path].version, was[path].data) != (now[path].version, now[path].data):
                why = _wrong_writing(world, site, path, was.get(path), now[path])
                wrong += [f"{site}:{path} was written: {why}"] if why else []
        for path in sorted(before.directories[site].keys() - after.directories[site].keys()):
            why = _wrong_emptying(world, site, path, before)
            wrong += [f"{site}:{path}, a directory, went: {why}"] if why else []
    return wrong + _lost(world, before, after)


def wrong_words(world: DamagedWorld, before: Moment) -> list[str]:
    """What was said to be gone, since ``before`` and without anything being done, and is there and right."""
    wrong = []
    for site in world.names:
        held = world.held(site)
        for path, file in before.held[site].items():
            node = before.trees[site].get(path)
            if path not in held and node is not None and (node.data == file.data or is_being_written(world, node)):
                wrong.append(f"{site}:{path} was called gone, and is there")
            if path not in held and is_below(path, world.failed[site]):
                wrong.append(f"{site}:{path} was called gone, in a place that was not listed")
    return wrong


def _wrong_removal(world: DamagedWorld, site: str, path: str, node: Node, before: Moment) -> str:
    lfn = lfn_of(site, path)
    if (site, lfn) in world.deeds.deletions:
        return ""
    staged = {directory for at, directory in world.deeds.staged if at == site}
    reasons = {
        "the site should have it": path in before.held[site],
        "of a block of which the site has a replica": has_replica(world, site, lfn),
        "young": is_young(world, node),
        "in a place that was not listed": is_below(path, world.failed[site]),
        "being published": is_below(path, staged),
        "locked": lfn in world.deeds.locked,
        "no file": node.kind is not Kind.FILE,
    }
    return ", ".join(reason for reason, is_so in reasons.items() if is_so)


def _wrong_emptying(world: DamagedWorld, site: str, path: str, before: Moment) -> str:
    """One that had files goes with the last of them, if that was removed; one that had none goes if it is old."""
    if any(is_below(file, {path}) for file in before.trees[site]):
        return ""
    staged = {directory for at, directory in world.deeds.staged if at == site}
    reasons = {
        "young": is_young(world, before.directories[site][path]),
        "in a place that was not listed": is_below(path, world.failed[site]) or path in world.failed[site],
        "being published": path in staged or is_below(path, staged),
        "files should be in it": any(is_below(file, {path}) for file in before.held[site]),
    }
    return ", ".join(reason for reason, is_so in reasons.items() if is_so)


def _wrong_writing(world: DamagedWorld, site: str, path: str, was: Node | None, now: Node) -> str:
    if quarantine.is_quarantined(path):
        return ""
    lfn = lfn_of(site, path)
    file, is_asked = world.known.get(lfn), (site, lfn) in world.deeds.copies
    reasons = {
        "no published file": file is None,
        "other bytes": file is not None and now.data != file.data,
        "nobody wants it there": not is_asked and (site, lfn) not in world.ever_held,
        "it was right": was is not None and file is not None and was.data == file.data,
        "somebody is writing it": was is not None and not is_asked and is_being_written(world, was),
        "in a place that was not listed": not is_asked and is_below(path, world.failed[site]),
    }
    return ", ".join(reason for reason, is_so in reasons.items() if is_so)


def _lost(world: DamagedWorld, before: Moment, after: Moment) -> list[str]:
    there = [{node.data for tree in moment.trees.values() for node in tree.values()} for moment in (before, after)]
    asked = {lfn for _, lfn in world.deeds.deletions}
    return [
        f"{file.lfn}: the last bytes of it are gone"
        for file in world.known.values()
        if file.data in there[0] and file.data not in there[1] and file.lfn not in world.flipped | asked
    ]


@dataclass
class Truth:
    """What a check of a site has to find, of what nobody had in hand meanwhile."""

    world: DamagedWorld
    site: str
    before: Moment
    found: list[Finding]
    lies: list[str] = field(default_factory=list)

    def wrong_findings(self) -> list[str]:
        """What was said and is not so, and what is so and was not said."""
        after = Moment.of(self.world)
        classes: dict[str, Class] = {}
        for finding in self.found:
            if finding.cls in (Class.MISSING, Class.SIZE_MISMATCH, Class.CHECKSUM_MISMATCH, Class.ORPHAN):
                if finding.path in classes:
                    self.lies.append(f"{self.site}:{finding.path} is in two classes")
                classes[finding.path] = finding.cls
        paths = classes.keys() | after.trees[self.site].keys() | self.before.held[self.site].keys()
        for path in sorted(paths):
            if not self._is_exempt(path, after):
                right, said = self._right(path, after), classes.get(path)
                if right is not said:
                    self.lies.append(f"{self.site}:{path} is {right}, and said to be {said}")
        return self.lies

    def _is_exempt(self, path: str, after: Moment) -> bool:
        world, lfn = self.world, lfn_of(self.site, path)
        file = world.known.get(lfn)
        unseen = world.failed[self.site] | world.doubted[self.site] | world.silent[self.site]
        return (
            (self.site, path) in world.deeds.touched
            or (file is not None and file.block in world.deeds.moved)
            or is_below(path, unseen)
            or quarantine.is_quarantined(path)
        )

    def _right(self, path: str, after: Moment) -> Class | None:
        world, lfn = self.world, lfn_of(self.site, path)
        node, file = after.trees[self.site].get(path), self.before.held[self.site].get(path)
        if file is None:
            staged = {directory for at, directory in world.deeds.staged if at == self.site}
            is_wanted = (self.site, lfn) in world.awaited() or is_below(path, staged)
            return None if node is None or is_wanted or is_young(world, node) else Class.ORPHAN
        if path not in after.held[self.site] or (self.site, lfn) in world.deeds.deletions:
            return None
        if node is None:
            return Class.MISSING
        if is_being_written(world, node) or node.data == file.data:
            return None
        if len(node.data) != len(file.data):
            return Class.SIZE_MISMATCH
        return Class.CHECKSUM_MISMATCH if world.scenario.with_checksums else None
