"""Separate checkers: what must hold after every deed, judged from outside of the code under test.

Each function yields a line for each violation, with the number of the rule in
``docs/invariants.md``; nothing, if all is well. They read snapshots, the
journal and the storages, and hold them to what the world knows to be true.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from holdfast.inventory import journal
from holdfast.inventory.image.image import Image
from holdfast.inventory.invariants import SNAPSHOT_CHECKS
from holdfast.inventory.store import Cursor, JournalEntry, Snapshot
from holdfast.inventory.verify import differences
from holdfast.model import changes as c
from holdfast.model import names
from holdfast.model.errors import HoldfastError, ResyncNeeded
from holdfast.model.names import DatasetKey
from holdfast.storage import parts
from holdfast.testing.simulation.asked import AskedChecker
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.effects import UntoldChecker, check_effects
from holdfast.testing.simulation.folders import check_folders
from holdfast.testing.simulation.places import check_places
from holdfast.testing.simulation.quarantined import PurgedChecker
from holdfast.testing.simulation.reported import check_report
from holdfast.testing.simulation.span import Span
from holdfast.testing.simulation.world import SITES, Source, World


@dataclass
class JournalChecker:
    """I1, T1, I11: what was acknowledged stands in the journal, chained, and the journal gives the tables."""

    image: Image = field(default_factory=Image.empty)
    cursor: Cursor | None = None
    at_us: int = 0
    taken: list[JournalEntry] = field(default_factory=list)
    """All entries so far; ``new`` of them came with the last deed."""
    new: int = 0

    def check(self, world: World) -> Iterator[str]:
        """Take in the new entries."""
        try:
            entries = world.store.entries(self.cursor)
        except ResyncNeeded as error:
            yield f"I1: the journal no longer has what it had: {error.message}"
            return
        self.new = len(entries)
        yield from self._chain(entries)
        for entry in entries:
            try:
                self.image.apply_all((entry,), checked=True)
            except HoldfastError as error:
                yield f"I11: position {entry.position} cannot be replayed: {error}"
        with world.store.snapshot() as view:
            if view.head.position:
                yield from (
                    f"I11: {what} is not as the journal says" for what in differences(self.image.snapshot(), view)
                )
        digests = {entry.position: entry.digest for entry in self.taken}
        for head in world.acknowledged:
            if digests.get(head.position) != head.digest:
                yield f"T1: position {head.position} was acknowledged, and the journal has another or none"
        world.acknowledged.clear()

    def _chain(self, entries: list[JournalEntry]) -> Iterator[str]:
        for entry in entries:
            before = self.taken[-1].position if self.taken else 0
            if entry.position != before + 1:
                yield f"I1: position {entry.position} follows on {before}"
            if entry.at_us < self.at_us:
                yield f"I1: position {entry.position} is earlier than the one before"
            change_set = c.ChangeSet(entry.changes, entry.actor, entry.cause, origin=entry.origin)
            previous = self.taken[-1].digest if self.taken else journal.genesis(entry.epoch)
            expected = journal.digest(
                previous,
                journal.encode(change_set),
                epoch=entry.epoch,
                position=entry.position,
                at_us=entry.at_us,
                actor=entry.actor,
                cause=entry.cause,
                origin=entry.origin,
            )
            if entry.digest != expected:
                yield f"I1: the digest of position {entry.position} does not follow from the one before"
            self.taken.append(entry)
            self.cursor, self.at_us = entry.cursor, entry.at_us


def check_invariants(view: Snapshot) -> Iterator[str]:
    """I3 to I8, by the code that serves every form of the inventory."""
    for check in SNAPSHOT_CHECKS:
        for finding in check(view):
            yield f"{finding.invariant}: {finding.place}: {finding.message}"


@dataclass
class PublishedChecker:
    """T4, T5: what is published was really there, is visible only whole, and never changes."""

    manifests: dict[DatasetKey, dict[str, tuple[int, str]]] = field(default_factory=dict)

    def check(self, world: World, view: Snapshot, *, was_disturbed: bool) -> Iterator[str]:
        """Learn the datasets that have become visible; hold the others to what they were."""
        visible = {dataset.key for dataset in view.datasets()}
        for key in sorted(self.manifests.keys() - visible):
            yield f"T4: the published dataset {key} is no longer visible"
        for source in world.sources:
            if source.key not in visible:
                continue
            manifest = _manifest(view, source.key)
            if source.key not in self.manifests:
                self.manifests[source.key] = manifest
                yield from self._learn(world, source, manifest, was_disturbed)
            elif manifest != self.manifests[source.key]:
                yield f"T4: the published dataset {source.key} has changed"

    def _learn(
        self, world: World, source: Source, manifest: dict[str, tuple[int, str]], was_disturbed: bool
    ) -> Iterator[str]:
        source.is_published = True
        for lfn, (size, digest) in manifest.items():
            path = world.path(source.site, lfn)
            data = world.ever.get((source.site, path), {}).get(digest)
            if data is None or len(data) != size:
                yield f"S1: {lfn} is published with a content that was never there"
                continue
            world.content[lfn] = data
            if not world.is_right(source.site, lfn):
                if not was_disturbed:
                    yield f"S1: {lfn} is published and was changed long before"
                world.damaged.add((source.site, lfn))
        there = {
            world.lfn(source.site, path)
            for path in world.files(source.site)
            if path.startswith(f"{source.directory}/") and not parts.is_part_name(names.split(path)[1])
        }
        if not was_disturbed and there != manifest.keys():
            yield f"T5: {source.key} is visible, and is not all that lies in {source.directory}"


def _manifest(view: Snapshot, key: DatasetKey) -> dict[str, tuple[int, str]]:
    found = {}
    for block in view.blocks(key):
        files = view.files(block.key)
        for lfn, size, digest in zip(files.lfns(), files.sizes, files.checksums["sha256"], strict=True):
            found[lfn] = (size, digest or "")
    return found


def check_held(
    world: World, view: Snapshot, entries: list[JournalEntry], untold: Collection[tuple[str, str]]
) -> Iterator[str]:
    """S1, S4: what the inventory says is at a site is there and right, unless people have broken it since.

    ``untold``: by site and LFN, what was deleted as it was asked, and is not told of yet.
    """
    for entry in entries:
        for change in entry.changes:
            if isinstance(change, c.FilesGone):
                yield from _learn_gone(world, view, change)
    for site in SITES:
        for lfn in world.held(view, site):
            is_excused = (site, lfn) in world.damaged or (site, lfn) in untold
            if lfn in world.content and not is_excused and not world.is_right(site, lfn):
                yield f"S1: the inventory says that {site} holds {lfn}, which is wrong there, and nobody broke it"
    for entry in entries:
        for change in entry.changes:
            if isinstance(change, c.FilesVerified):
                yield from _judge_verified(world, view, change, untold)


def _learn_gone(world: World, view: Snapshot, change: c.FilesGone) -> Iterator[str]:
    """What is said to be gone has to be, and from here on the inventory has no excuse for these files."""
    lfns = list(view.files(change.block).lfns())
    for lfn in (lfns[ordinal] for ordinal in change.ordinals):
        if world.is_right(change.site, lfn):
            yield f"S4: the inventory was told that {lfn} is gone from {change.site}, where it is and is right"
        world.damaged.discard((change.site, lfn))


def _judge_verified(
    world: World, view: Snapshot, change: c.FilesVerified, untold: Collection[tuple[str, str]]
) -> Iterator[str]:
    """What is called proved is right, unless it was deleted since as it was asked: a check may have begun before."""
    for block in change.blocks:
        lfns = list(view.files(block).lfns())
        for replica in view.replicas(block=block, site=change.site):
            for lfn in (lfns[ordinal] for ordinal in replica.files(len(lfns))):
                if not world.is_right(change.site, lfn) and (change.site, lfn) not in untold:
                    yield f"S1: {lfn} at {change.site} was called proved, and is wrong"


@dataclass
class Checkers:
    """All checkers, with what they remember from deed to deed."""

    journal: JournalChecker = field(default_factory=JournalChecker)
    published: PublishedChecker = field(default_factory=PublishedChecker)
    untold: UntoldChecker = field(default_factory=UntoldChecker)
    purged: PurgedChecker = field(default_factory=PurgedChecker)
    asked: AskedChecker = field(default_factory=AskedChecker)

    def after(self, world: World, deeds: Deeds, before: Snapshot) -> list[str]:
        """Every violation after one deed of Holdfast; the storages as they are become the ones to compare with."""
        found = list(self.journal.check(world))
        entries = self.journal.taken[len(self.journal.taken) - self.journal.new :]
        with world.store.snapshot() as view:
            found += check_invariants(view)
            was_disturbed = deeds.was_disturbed
            found += self.published.check(world, view, was_disturbed=was_disturbed)
            span = Span(before, view, entries)
            self.untold.learn(world, span)
            found += check_held(world, view, entries, self.untold.files)
            if was_disturbed:
                # People have changed files while we were at work; what publishing must not do, it never does.
                world.look()
            found += check_effects(world, span, deeds)
            found += check_folders(world, span, is_deleting=deeds.is_deleting)
            found += self.purged.check(world, deeds)
            found += self.asked.check(world, span, deeds)
            found += self.untold.check(world, view, entries, deeds)
            if deeds.just_checked in world.unmounted:
                world.meanwhile.pop(deeds.just_checked)
            elif deeds.just_checked:
                checked = deeds.checked[deeds.just_checked]
                found += check_places(world, before, view, checked)
                found += check_report(world, before, view, deeds.just_checked, checked)
        world.look()
        return found
