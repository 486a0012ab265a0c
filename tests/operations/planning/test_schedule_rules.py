"""The rules of scheduling over random worlds: what is assigned is carried out and finished, turn by turn, to the end.

After every turn everything that is under way is counted anew and compared with
the limits, and every assignment with what its source holds.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import NOW_US, batch, link, request, site, without

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Site, SiteStatus, StorageType
from holdfast.operations.batch import Batch, QueuedRequest, RequestKind
from holdfast.operations.batches.links import Link
from holdfast.operations.planning.assignment import Assignment, HeldBatch
from holdfast.operations.planning.holders import NOTHING, Holding
from holdfast.operations.planning.limits import LinkLimits, SiteLimits, WorkLimits
from holdfast.operations.planning.schedule import schedule
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.usage import busy_of, usage_of
from support.soak import examples

SITES = "ABCDE"


@dataclass
class Running:
    """What is being carried out, and for how many turns still."""

    assignment: Assignment
    batch: Batch
    n_turns: int


@dataclass
class World:
    """Requests and batches out of one seed, two workers that take turns, and what both are at."""

    seed: int
    bounds: WorkLimits
    chance: random.Random = field(init=False)
    sites: dict[str, Site] = field(init=False)
    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    held: dict[BlockKey, Holding] = field(default_factory=dict)
    lengths: dict[BlockKey, list[int]] = field(default_factory=dict)
    waiting: list[Batch] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    done: Counter[int] = field(default_factory=Counter)
    kept: list[HeldBatch] = field(default_factory=list)
    n_claims: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        chance = self.chance
        kinds = (StorageType.DISK, StorageType.DISK, StorageType.TAPE)
        statuses = (SiteStatus.READY,) * 5 + (SiteStatus.MORGUE,)
        self.sites = {name: site(name, chance.choice(kinds), chance.choice(statuses)) for name in SITES}
        for source in SITES:
            if chance.random() < 0.5:
                rate = chance.choice((None, 0.0, 1.0, 1e6))
                self.links |= link(source, chance.choice(SITES), rate_bytes_s=rate, n_failed_row=chance.randrange(3))
        self.served = {"w0": Served(), "w1": Served()}
        for number in range(1, chance.randint(2, 9)):
            self._ask(number)
        for each in self.waiting:
            # What is asked for at a site, to come or to go, the site does not hold in earnest.
            if each.request.kind is not RequestKind.ORPHANS:
                usable = dict(self.held[each.block_key].usable)
                usable[each.site] = usable.get(each.site, FileSet()) - each.files
                self.held[each.block_key] = Holding({name: files for name, files in usable.items() if files})

    def _ask(self, number: int) -> None:
        chance = self.chance
        kind = chance.choice(
            (RequestKind.COPY, RequestKind.COPY, RequestKind.COPY, RequestKind.REPLICAS, RequestKind.ORPHANS)
        )
        asked = request(
            number,
            kind=kind,
            site=chance.choice(SITES),
            owner=chance.choice(("ann", "bob", "eve")),
            priority=chance.randint(1, 5),
            deadline_us=chance.choice((None, None, NOW_US + chance.randint(1, 99))),
        )
        for _ in range(chance.randint(1, 8)):
            id = len(self.waiting) + 1
            block = "" if kind is RequestKind.ORPHANS else f"b{chance.randrange(12)}"
            if any(each.request.number == number and each.block == block for each in self.waiting):
                continue
            files = FileSet.of(chance.sample(range(12), chance.randint(1, 12)))
            made = batch(id, asked, block=block, files=files, size=0, bad_sources=tuple(chance.sample(SITES, 1)))
            lengths = self._lengths(made)
            self.waiting.append(replace(made, size=sum(lengths[ordinal] for ordinal in files)))

    def _lengths(self, of: Batch) -> list[int]:
        if of.request.kind is RequestKind.ORPHANS:
            return [7] * 12
        key, chance = of.block_key, self.chance
        if key not in self.lengths:
            self.lengths[key] = [chance.randrange(100) for _ in range(12)]
            there = {name: FileSet.of(chance.sample(range(12), chance.randint(0, 12))) for name in sorted(SITES)}
            ready = {name: files for name, files in there.items() if self.sites[name].status is SiteStatus.READY}
            self.held[key] = Holding({name: files for name, files in ready.items() if files})
        return self.lengths[key]

    def turn(self, number: int) -> None:
        """One worker has a look, claims what he is told to, and some of what runs comes to its end."""
        worker = f"w{number % 2}"
        streams = {each.batch.claim: each.assignment.streams for each in self.running}
        active = [each.batch for each in self.running]
        found = schedule(
            self.waiting,
            usage=usage_of(active, worker, lambda of: streams[of.claim]),
            limits=self.bounds,
            holders=lambda block: self.held.get(block, NOTHING),
            sizes=self._lengths,
            links=self.links,
            sites=self.sites,
            served=self.served[worker],
            room_files=40,
            now_us=NOW_US,
            busy=busy_of(active),
        )
        self.waiting = without(self.waiting, found.assignments)
        for each in found.assignments:
            self._start(each, worker)
        self._hold(found.held)
        self.check()
        for each in self.running:
            each.n_turns -= 1
        for each in [each for each in self.running if each.n_turns <= 0]:
            self.running.remove(each)
            self.done[each.batch.request.number] += each.batch.n_files

    def _start(self, assignment: Assignment, worker: str) -> None:
        request = assignment.batch.request
        lengths = self._lengths(assignment.batch)
        assert assignment.size == sum(lengths[ordinal] for ordinal in assignment.files)
        self.served[worker].charge(request, len(assignment.files), assignment.size)
        self.n_claims += 1
        claimed = replace(
            assignment.batch,
            files=assignment.files,
            n_files=len(assignment.files),
            source=assignment.source,
            worker=worker,
            claim=str(self.n_claims),
        )
        self.running.append(Running(assignment, claimed, self.chance.randint(1, 4)))

    def _hold(self, held: tuple[HeldBatch, ...]) -> None:
        by_id = {each.id: each for each in self.waiting}
        for each in held:
            assert by_id.pop(each.batch.id).files == each.batch.files
        self.waiting = list(by_id.values())
        self.kept += held

    # ---- what must hold ---------------------------------------------------------

    def check(self) -> None:
        self._check_limits()
        self._check_files()
        for each in self.running:
            self._check_assignment(each.assignment)

    def _check_limits(self) -> None:
        counts: Counter[tuple[str, ...]] = Counter()
        for each in self.running:
            asked, source, streams = each.batch.request, each.batch.source, each.assignment.streams
            if asked.kind.is_deletion:
                counts["deletions", asked.site] += streams
                continue
            for place in (
                ("slots", each.batch.worker),
                ("request", each.batch.worker, asked.id),
                ("owner", asked.owner),
                ("in", asked.site),
                ("out", source),
                ("link", source, asked.site),
            ):
                counts[place] += streams
        of_site, of_link = self.bounds.of_site("A"), self.bounds.of_link("A", "B")
        most = {
            "slots": self.bounds.slots,
            "request": self.bounds.request_slots(),
            "owner": self.bounds.per_owner,
            "in": of_site.into,
            "out": of_site.out,
            "link": of_link.per_link,
            "deletions": of_site.deletions,
        }
        for place, count in counts.items():
            bound = most[place[0]]
            assert bound is None or count <= bound, (place, count)

    def _check_files(self) -> None:
        """No two have to do with one file at one site, but for those who read it."""
        written: dict[tuple[BlockKey, str], FileSet] = {}
        read: dict[tuple[BlockKey, str], FileSet] = {}
        for each in self.running:
            if each.batch.request.kind is RequestKind.ORPHANS:
                continue
            place = each.batch.block_key, each.batch.site
            assert not written.get(place, FileSet()) & each.batch.files
            written[place] = written.get(place, FileSet()) | each.batch.files
            if each.batch.source == each.batch.site:
                continue
            source = each.batch.block_key, each.batch.source
            read[source] = read.get(source, FileSet()) | each.batch.files
        for place, files in read.items():
            assert not files & written.get(place, FileSet())

    def _check_assignment(self, assignment: Assignment) -> None:
        of, asked = assignment.batch, assignment.batch.request
        n_files = len(assignment.files)
        assert 1 <= assignment.streams <= n_files
        assert not assignment.files - of.files
        if asked.kind.is_deletion:
            assert n_files <= self.bounds.deletion_files
            return
        bounds = self.bounds.of_link(assignment.source, asked.site)
        assert n_files <= bounds.batch_files
        assert assignment.size <= bounds.batch_size or n_files == 1
        assert assignment.streams <= bounds.streams
        assert assignment.source not in of.bad_sources
        assert self.sites[assignment.source].status is SiteStatus.READY
        if assignment.source == asked.site:
            assert not assignment.files - self.unheld(of)
            return
        assert not assignment.files - self.held[of.block_key].usable[assignment.source]

    def unheld(self, of: Batch) -> FileSet:
        """The files of a batch that no other site holds."""
        files = of.files
        for name, there in self.held[of.block_key].usable.items():
            files -= there if name != of.site else FileSet()
        return files

    def sourceless(self, of: Batch) -> FileSet:
        """The files of a batch that nobody could give."""
        files = of.files
        for name, there in self.held[of.block_key].usable.items():
            if name != of.site and name not in of.bad_sources:
                files -= there
        return files


bounds = st.none() | st.integers(1, 6)
limit_sets = st.builds(
    lambda slots, owner, share, deletion_files, of_link, of_site: WorkLimits(
        slots, owner, share, deletion_files, lambda _from, _to: of_link, lambda _name: of_site
    ),
    st.integers(1, 10),
    bounds,
    st.sampled_from([0.1, 0.5, 0.75, 1.0]),
    st.integers(1, 8),
    st.builds(LinkLimits, bounds, st.integers(1, 4), st.integers(1, 12), st.integers(1, 400)),
    st.builds(SiteLimits, bounds, bounds, st.integers(1, 4)),
)


@settings(deadline=None, max_examples=examples(50))
@given(st.integers(0, 2**32), limit_sets)
def test_limits_hold_files_are_moved_once_and_nobody_starves(seed: int, limits: WorkLimits) -> None:
    world = World(seed, limits)
    asked: Counter[int] = Counter()
    requests: dict[int, QueuedRequest] = {}
    for each in world.waiting:
        asked[each.request.number] += each.n_files
        requests[each.request.number] = each.request
    # A file a turn and worker at least, each under way for four turns at most.
    n_turns_max = 10 * sum(asked.values()) + 20
    n_turns = 0
    while world.waiting or world.running:
        world.turn(n_turns)
        n_turns += 1
        assert n_turns <= n_turns_max, "somebody starves"
    held: Counter[int] = Counter()
    for each in world.kept:
        held[each.batch.request.number] += each.batch.n_files
        is_away = world.sites[each.batch.site].status is not SiteStatus.READY
        assert is_away or world.sourceless(each.batch) == each.batch.files
    assert held + world.done == asked
