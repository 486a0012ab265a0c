"""What our side has done at the storages, held to what it may do: nothing unasked, nothing good, nothing last.

Each function yields a line for each violation, with the number of the rule in
``docs/invariants.md``. They compare the storages with how they looked before
the deed, and judge by the inventory's word before and after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.inventory.store import JournalEntry, Snapshot
from holdfast.model import changes as c
from holdfast.model import names, quarantine
from holdfast.storage import parts
from holdfast.testing.memory_tree import Node
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.others import Others, others_of
from holdfast.testing.simulation.quarantined import CLOCK_DOUBT_S, is_whole_at, judge_quarantined
from holdfast.testing.simulation.span import Span, doomed_files, is_awaited
from holdfast.testing.simulation.world import ANCHOR, IGNORE_AGE_S, SITES, World

SECOND_NS = 1_000_000_000


def check_effects(world: World, span: Span, deeds: Deeds) -> Iterator[str]:
    """S2, S3, S5, S7, S10: what our side has done at the storages since the simulator last looked."""
    restored, others = deeds.restored, others_of(world, span, deeds.verified_age_days, deeds.began_us)
    for site in SITES:
        seen, now = world.mirror[site], world.files(site)
        back = {quarantine.original(path) or "": path for at, path in restored if at == site}
        for path in sorted(seen.keys() | now.keys()):
            old, new = seen.get(path), now.get(path)
            if old == new or parts.is_part_name(names.split(path)[1]):
                continue
            if quarantine.is_quarantined(path):
                yield from judge_quarantined(world, site, path, span, others, is_restored=(site, path) in restored)
            elif path in back and new is not None and new.data == seen[back[path]].data:
                if old is not None:
                    yield f"S5: {site}:{path} was replaced by what came back from the quarantine"
            else:
                yield from _Place(world, site, path, span, others).judge(old, new, is_deleting=deeds.is_deleting)


@dataclass
class _Place:
    """One path that is not as it was."""

    world: World
    site: str
    path: str
    span: Span
    others: Others

    def judge(self, old: Node | None, new: Node | None, *, is_deleting: bool) -> Iterator[str]:
        lfn = self.world.lfn(self.site, self.path)
        file = self.site, lfn
        if old is not None and is_deleting and file in self.span.doomed and (new is None or file in self.span.gone):
            yield from self._judge_replica(lfn, old)
            if new is None:
                return
            old = None  # It has come back, as somebody asked meanwhile.
        right = self.world.content.get(lfn)
        is_awaited_now = is_awaited(self.span.after, self.site, lfn)
        if old is not None and right is not None and old.data == right and is_awaited_now:
            yield f"S2: the good file {self.site}:{self.path} was {'removed' if new is None else 'replaced'}"
        elif new is None and old is not None:
            if not (right is not None and is_awaited_now and is_deleting and self._is_making_room(lfn)):
                yield from self._judge_deletion(lfn, old, is_deleting)
        elif new is not None and (right is None or new.data != right):
            held = lfn in self.world.held(self.span.after, self.site)
            if self.world.capabilities[self.site].rename or held:
                yield f"S2: {self.site}:{self.path} was written, and is not what belongs there"
        elif old is not None and new is not None and self._is_locked(lfn):
            yield f"S2: {self.site}:{self.path} was replaced, which is locked"
        elif new is not None and not self.span.was_awaited(self.site, lfn):
            yield f"S2: {self.site}:{self.path} was written, and nobody asked for it"

    def _is_making_room(self, lfn: str) -> bool:
        """Whether a wrong file has to go before the good one comes, and somebody has said that it may."""
        capabilities = self.world.capabilities[self.site]
        renames_well = capabilities.rename and capabilities.atomic_rename
        return not renames_well and self.span.may_be_replaced(self.site, lfn)

    def _is_locked(self, lfn: str) -> bool:
        return lfn == ANCHOR or any(lock.lfn == lfn for lock in self.span.before.locks())

    def _judge_replica(self, lfn: str, old: Node) -> Iterator[str]:
        """A file of a replica went that was asked to go."""
        self.world.counts["files of replicas deleted"] += 1
        place = f"{self.site}:{self.path}"
        record = self.span.before.lookup([lfn])[0]
        if record is None:
            yield f"S7: {place} was removed, and the inventory does not know it"
            return
        # What was brought in this very deed has replaced what lay there.
        if len(old.data) != record.size and (self.site, lfn) not in self.span.arrived:
            yield f"S7: {place} was removed, which is not the file that was asked to go"
        if self._is_locked(lfn):
            yield f"S7: {place} was removed, which is locked"
        yield from self.others.judge(self.site, lfn, record)

    def _judge_deletion(self, lfn: str, old: Node, is_deleting: bool) -> Iterator[str]:
        place = f"{self.site}:{self.path}"
        requests = [each for each in self.span.before.deletion_requests() if each.site == self.site]
        asked = {orphan.version for each in requests for orphan in each.orphans if orphan.path == self.path}
        if not is_deleting or not asked:
            yield f"S3: {place} was removed, and nobody asked for it"
        elif old.version not in asked:
            yield f"S3: {place} was removed, which is not the file that was asked to go"
        folders = {each.into for each in requests for orphan in each.orphans if orphan.path == self.path}
        if (
            folders
            and "" not in folders
            and not any(is_whole_at(self.world, self.site, old, into + self.path) for into in folders)
        ):
            yield f"S10: {place} was to be moved into the quarantine, and is not whole there"
        if is_awaited(self.span.before, self.site, lfn):
            yield f"S3: {place} was removed, which the inventory has or awaits"
        stagings = [each.staging for each in self.span.before.datasets(staged=True) if each.staging is not None]
        if any(each.site == self.site and self.path.startswith(f"{each.directory}/") for each in stagings):
            yield f"S3: {place} was removed while it was being published"
        if self._is_locked(lfn):
            yield f"S3: {place} was removed, which is locked"
        record = self.span.before.lookup([lfn])[0] if lfn else None
        if record is not None:
            yield from self.others.judge(self.site, lfn, record)
        age_s = self.world.clock.now_us // 1_000_000 - old.mtime_ns // SECOND_NS
        if age_s < IGNORE_AGE_S - CLOCK_DOUBT_S:
            yield f"S3: {place} was removed, which is only {age_s} s old"


@dataclass
class UntoldChecker:
    """S7: what was deleted as it was asked is told of, at the latest by the next worker that nothing disturbs."""

    files: set[tuple[str, str]] = field(default_factory=set)
    """By site and LFN, what is gone that the inventory still says is there."""

    def learn(self, world: World, span: Span) -> None:
        """Take in what has gone in this deed; forget what is there again, or known to be gone."""
        held = {site: world.held(span.after, site) for site in SITES}
        for site, lfn in span.doomed:
            path = world.path(site, lfn)
            was_there = path in world.mirror[site] or (site, lfn) in span.arrived
            if was_there and path not in world.files(site):
                self.files.add((site, lfn))
        self.files = {
            (site, lfn)
            for site, lfn in self.files
            if lfn in held[site] and world.path(site, lfn) not in world.files(site)
        }

    def check(self, world: World, after: Snapshot, entries: list[JournalEntry], deeds: Deeds) -> Iterator[str]:
        """What is told has to be so; what is not told has to be still open."""
        for entry in entries:
            for change in entry.changes:
                if isinstance(change, c.FilesDeleted):
                    yield from self._judge_told(world, after, change, deeds)
        if deeds.has_worked_undisturbed:
            for site, lfn in sorted(self.files - doomed_files(after)):
                if site not in world.unmounted:
                    yield f"S7: {lfn} was deleted at {site}, and nobody has told the inventory"

    def _judge_told(self, world: World, after: Snapshot, change: c.FilesDeleted, deeds: Deeds) -> Iterator[str]:
        lfns = list(after.files(change.block).lfns())
        site, there = change.site, world.files(change.site)
        for lfn in (lfns[ordinal] for ordinal in change.ordinals):
            world.damaged.discard((site, lfn))
            path = world.path(site, lfn)
            # What is another file than before was brought anew. Who slept may have put it there when he woke up;
            # a disk that is not mounted shows nothing.
            was_never_gone = path in there and there[path] == world.mirror[site].get(path)
            is_excused = deeds.was_asleep or site in world.unmounted
            if was_never_gone and not is_excused and world.is_right(site, lfn):
                yield f"S7: the inventory was told that {lfn} is deleted at {site}, where it is and is right"
