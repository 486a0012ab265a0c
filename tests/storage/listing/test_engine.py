"""The engine: everything is found once, nothing unknown is passed over, whatever doors do; in no time, from seeds."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from engine_world import DIRECTORIES, ListSink, Troubled, a_big_tree, a_site, check_no_silent_gap, listed, listing
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model import names
from holdfast.model.errors import InvalidName, OperatorError, PeerError
from holdfast.storage.driver import NOT_TOLD, DirectoryListing, Entry, NotAllowed, NotThere
from holdfast.storage.listing.door_pool import NotFinished
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.memory_ledger import MemoryLedger
from holdfast.storage.listing.progress import ListingOutcome, ListingProgress
from holdfast.storage.listing.tables import Directory, DirectoryState
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.simulation.timeless import SimulatedClock, run
from support.logged import logged
from support.soak import examples

BOTH_WAYS = pytest.mark.parametrize("pages", [False, True], ids=["whole", "in pages"])


@BOTH_WAYS
@pytest.mark.parametrize("concurrency", [1, 2, 50])
def test_everything_is_found_once(concurrency: int, pages: bool) -> None:
    site, sink = a_site(pages=pages), ListSink()
    outcome = listed(site, sink, concurrency=concurrency)
    assert sink.files == site.paths()
    assert set(sink.states) == DIRECTORIES
    size = sum(map(len, site.paths()))
    assert outcome == ListingOutcome(listed=8, doubted=0, failed=0, skipped=0, files=6, bytes=size, oddities=0)
    assert outcome.complete
    assert sink.ended == ["finish"]


def test_one_request_at_a_time_goes_depth_first_in_the_order_of_bytes() -> None:
    sink = ListSink()
    listed(a_site(), sink, concurrency=1)
    assert [directory.dir for directory in sink.directories] == sorted(DIRECTORIES)


def test_a_listing_may_begin_below_the_root() -> None:
    sink = ListSink()
    assert listed(a_site(), sink, top="/a").complete
    assert sink.files == ["/a/deep/er/file", "/a/one", "/a/two"]
    with pytest.raises(InvalidName):
        listed(a_site(), ListSink(), top="/a/..")


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_no_more_than_the_limit_is_asked_for_at_once_over_all_doors(limit: int) -> None:
    tree = a_big_tree(1, 400)
    doors = [Troubled(tree, latency_s=0.1, label=f"door {number}") for number in range(3)]
    most: list[int] = []
    listed(doors, ListSink(), concurrency=limit, progress=lambda now: most.append(now.in_flight))
    assert sum(door.most_under_way for door in doors) >= min(limit, 12)
    assert max(most) <= limit
    assert max(door.most_under_way for door in doors) <= limit


def test_a_driver_is_not_asked_more_at_once_than_it_bears() -> None:
    door = Troubled(a_big_tree(1, 400), latency_s=0.1, calls_max=5)
    listed(door, ListSink())
    assert door.most_under_way == 5


def test_many_directories_far_away_take_few_seconds() -> None:
    tree = MemoryDriver(SimulatedClock()).tree
    for number in range(2900):
        tree.put(f"/d{number % 10}/e{number // 10}/file", b"")
    door, ended = Troubled(tree, latency_s=0.1), 0.0

    async def scenario() -> None:
        nonlocal ended
        await listing(door, ListSink(), limits=ListingLimits(in_flight_max=512))
        ended = asyncio.get_running_loop().time()

    run(scenario(), SimulatedClock())
    assert door.most_under_way > 500
    assert ended < 3


# What fails.


@BOTH_WAYS
def test_a_directory_that_fails_is_unknown_and_the_listing_goes_on(pages: bool) -> None:
    site, sink = a_site(pages=pages), ListSink()
    site.fail_directory("/a")
    outcome = listed(site, sink)
    assert sink.states["/a"] == ("failed", "permission denied")
    assert not [path for path in sink.states if path.startswith("/a/")]
    assert sink.files == ["/b/file", "/c/x/y/z", "/top"]
    assert (outcome.failed, outcome.complete, outcome.listed > 0) == (1, False, True)
    assert outcome.failures == (("/a", "permission denied"),)


def test_a_directory_that_fails_is_logged() -> None:
    site = a_site()
    site.fail_directory("/a")
    with logged() as events:
        listed(site, ListSink())
    assert events == [
        {
            "event": "directory not listed",
            "log_level": "info",
            "room": "storage",
            "place": "memory:/a",
            "reason": "permission denied",
        }
    ]


@pytest.mark.parametrize("failing", ["/", "/nowhere", "/a"])
@pytest.mark.parametrize("error", [NotAllowed("permission denied"), NotThere("not there"), PeerError("reset")])
def test_a_top_that_cannot_be_listed_is_no_empty_storage(failing: str, error: Any) -> None:
    site, sink = a_site(), ListSink()
    site.fail_directory(failing, error)
    outcome = listed(site, sink, top=failing)
    assert sink.states == {failing: ("failed", error.message)}
    assert (outcome.listed, outcome.failed, outcome.files, outcome.complete) == (0, 1, 0, False)


@pytest.mark.parametrize("failures", [1, 3, 4])
def test_trouble_that_passes_is_waited_out(failures: int) -> None:
    site, sink = a_site(pages=False), ListSink()
    pauses: list[float] = []
    left = failures

    def fault(operation: str, path: str) -> None:
        nonlocal left
        if path == "/b" and left:
            left -= 1
            raise PeerError("connection reset")

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    site.faults = fault
    outcome = listed(site, sink, sleep=sleep)
    assert sink.states["/b"] == (("listed", "") if failures < 4 else ("failed", "connection reset"))
    assert (outcome.failed, outcome.retries) == (failures == 4, min(failures, 3))
    assert len(pauses) == min(failures, 3)
    assert pauses == sorted(set(pauses)), "pauses grow"


@pytest.mark.parametrize("error", [NotAllowed("permission denied"), InvalidName("no name")])
def test_trouble_that_stays_is_asked_once(error: Exception) -> None:
    site = a_site(pages=False)
    asked: list[str] = []

    def fault(operation: str, path: str) -> None:
        asked.append(path)
        if path == "/b":
            raise error

    site.faults = fault
    assert listed(site, ListSink()).failed == 1
    assert asked.count("/b") == 1


@BOTH_WAYS
def test_a_request_that_takes_too_long_is_given_up(pages: bool) -> None:
    class Hanging(MemoryDriver):
        async def list(self, path: str) -> DirectoryListing:
            if path == "/a":
                await asyncio.sleep(1e9)
            return await super().list(path)

        async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
            if path == "/a":
                yield DirectoryListing(())
                await asyncio.sleep(1e9)
            async for piece in super().pages(path):
                yield piece

    site = a_site(pages=pages)
    door, sink = Hanging(tree=site.tree, capabilities=site.capabilities), ListSink()
    listed(door, sink, limits=ListingLimits(call_timeout_s=30))
    assert sink.states["/a"] == ("failed", "no answer within 30 s")
    assert {path for path in sink.states if not path.startswith("/a/")} == {"/", "/a", "/b", "/c", "/c/x", "/c/x/y"}


def test_what_is_skipped_is_told_and_not_entered() -> None:
    sink = ListSink()
    outcome = listed(a_site(), sink, skip=lambda path: "not ours" if path == "/a" else "")
    assert sink.states["/a"] == ("skipped", "not ours")
    assert not [path for path in sink.states if path.startswith("/a/")]
    assert (outcome.skipped, outcome.complete) == (1, False)


@pytest.mark.parametrize("others", ["there", "gone as well", "the same error"])
def test_a_directory_that_went_meanwhile_is_listed_only_if_the_one_above_says_so(others: str) -> None:
    site = a_site(pages=False)

    class Going(MemoryDriver):
        async def list(self, path: str) -> DirectoryListing:
            if path == "/c/x/y":
                if others != "the same error":
                    self.tree.remove("/c/x/y/z")
                    self.tree.remove("/c/x/y")
                if others == "there":
                    self.tree.put("/c/x/other", b"")
                raise NotThere("no such file or directory")
            return await super().list(path)

    sink = ListSink()
    listed(Going(tree=site.tree, capabilities=site.capabilities), sink)
    expected = ("listed", "") if others == "there" else ("failed", "no such file or directory")
    assert sink.states["/c/x/y"] == expected


@pytest.mark.parametrize("expected", [None, 0, 3])
@pytest.mark.parametrize("still_named", [True, False])
def test_gone_is_believed_only_if_no_door_names_it_and_nothing_was_expected(
    still_named: bool, expected: int | None
) -> None:
    lagging, good = a_site(pages=False), a_site(pages=False)
    asked = []

    def fault(operation: str, path: str) -> None:
        """The door that lags does not answer at first: the other one names /b."""
        asked.append(path)
        if asked == ["/"]:
            raise PeerError("busy")

    lagging.faults = fault
    lagging.tree.remove("/b/file")
    lagging.tree.remove("/b")
    sink = ListSink()
    hints = {"/b": expected}

    def skip(path: str) -> str:
        if path == "/b" and not still_named:
            good.tree.remove("/b/file")
            good.tree.remove("/b")
        return ""

    listed([lagging, good], sink, concurrency=1, expected=hints.get, skip=skip)
    if still_named or expected:
        assert sink.states["/b"] == ("failed", "no such file or directory")
    else:
        assert sink.states["/b"] == ("listed", "")


def test_where_no_times_are_told_a_directory_that_went_is_listed_all_the_same() -> None:
    site = a_site(pages=False)

    class Untold(MemoryDriver):
        async def list(self, path: str) -> DirectoryListing:
            if path == "/c/x/y":
                self.tree.remove("/c/x/y/z")
                self.tree.remove("/c/x/y")
                self.tree.put("/c/x/other", b"")
                raise NotThere("no such file or directory")
            told = await super().list(path)
            return DirectoryListing(tuple(Entry(e.name, e.stat._replace(mtime_ns=NOT_TOLD)) for e in told.entries))

    sink = ListSink()
    listed(Untold(tree=site.tree, capabilities=site.capabilities), sink)
    assert {found.mtime_ns for found in sink.directories} == {None}
    assert sink.states["/c/x/y"] == ("listed", "")


# What ends it.


def test_what_found_is_kept_whatever_ends_the_listing() -> None:
    def fault(operation: str, path: str) -> None:
        if path == "/c/x":
            raise RuntimeError("a bug of a plug-in")

    site, sink = a_site(), ListSink()
    site.faults = fault
    with pytest.raises(RuntimeError, match="a bug of a plug-in"):
        listed(site, sink, concurrency=1)
    assert {"/", "/a", "/b", "/c"} <= set(sink.states)
    assert sink.ended == ["abandon"]


def test_credentials_that_have_expired_end_the_listing_instead_of_failing_every_directory() -> None:
    def fault(operation: str, path: str) -> None:
        if path == "/b":
            raise OperatorError("the token has expired", place="token", hint="renew it")

    site, sink = a_site(), ListSink()
    site.faults = fault
    with pytest.raises(OperatorError, match="the token has expired"):
        listed(site, sink, concurrency=1)
    assert "/b" not in sink.states


def test_a_ledger_that_breaks_ends_the_listing() -> None:
    error = OperatorError("disk full")
    sink = ListSink(error)
    with pytest.raises(OperatorError) as caught:
        listed(a_site(), sink)
    assert caught.value is error
    assert sink.ended == ["abandon"]


def test_a_cancelled_listing_saves_what_it_has() -> None:
    sink = ListSink()

    async def scenario() -> None:
        task = asyncio.ensure_future(listing(Troubled(a_site().tree, latency_s=1), sink))
        await asyncio.sleep(2.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario(), SimulatedClock())
    assert set(sink.states) == {"/", "/a", "/b", "/c"}
    assert sink.ended == ["abandon"]


class KeepingLedger(MemoryLedger):
    """Remembers across runs what one on disk would: what waits, and that what was taken was not found."""

    def __init__(self, sink: ListSink) -> None:
        super().__init__(sink)
        self.taken: dict[str, WaitingDirectory] = {}

    def take(self, count: int) -> Sequence[WaitingDirectory]:
        taken = super().take(count)
        self.taken |= {waiting.dir: waiting for waiting in taken}
        return taken

    def found(self, directory: Directory) -> None:
        self.taken.pop(directory.dir, None)
        super().found(directory)

    def opened_anew(self) -> None:
        self._stack.push(list(self.taken.values()))
        self.taken.clear()


def test_a_listing_that_takes_too_long_can_be_gone_on_with() -> None:
    door, sink = Troubled(a_big_tree(3), latency_s=1, seed=3), ListSink()

    async def scenario() -> int:
        ledger, runs = KeepingLedger(sink), 0
        while True:
            runs += 1
            try:
                await list_tree([door], ledger, limits=ListingLimits(in_flight_max=4, overall_timeout_s=5))
                return runs
            except NotFinished as error:
                told.append(error)
                ledger.opened_anew()

    told: list[NotFinished] = []
    assert run(scenario(), SimulatedClock()) > 5
    assert told[0].message.startswith("not finished within 5 s: ")
    assert told[0].hint
    check_no_silent_gap(door.tree, sink)
    assert {state for state, _ in sink.states.values()} == {"listed"}


# Several doors, and doors that are down.

REFUSED = (PeerError("connection refused"),)


def test_all_doors_are_used() -> None:
    tree = a_big_tree(5, 400)
    doors = [Troubled(tree, latency_s=0.1, label=str(number)) for number in range(2)]
    sink = ListSink()
    listed(doors, sink)
    check_no_silent_gap(tree, sink)
    assert min(len(door.asked) for door in doors) > 100


def test_a_door_that_is_down_is_left_alone_and_the_other_lists_everything() -> None:
    tree = a_big_tree(5, 400)
    dead, good = Troubled(tree, latency_s=0.001, errors=REFUSED, p=1.0), Troubled(tree, latency_s=0.1)
    sink = ListSink()
    outcome = listed([dead, good], sink)
    check_no_silent_gap(tree, sink)
    assert (outcome.failed, outcome.doubted) == (0, 0)
    assert len(dead.asked) < 40


def test_a_door_that_comes_back_is_used_again() -> None:
    tree = a_big_tree(5, 800)
    first, second = Troubled(tree, latency_s=0.1, errors=REFUSED), Troubled(tree, latency_s=0.1, errors=REFUSED)
    sink, states = ListSink(), []

    async def scenario() -> None:
        task = asyncio.ensure_future(
            listing([first, second], sink, concurrency=2, progress=lambda now: states.append(now.doors[0].down))
        )
        await asyncio.sleep(5)
        first.down = True
        await asyncio.sleep(10)
        first.down = False
        await task

    run(scenario(), SimulatedClock())
    check_no_silent_gap(tree, sink)
    assert {state for state, _ in sink.states.values()} == {"listed"}
    assert (states[0], states[-1], True in states) == (False, False, True)


def test_when_all_doors_are_down_for_a_while_no_directory_fails() -> None:
    door, sink = Troubled(a_big_tree(5, 400), latency_s=0.1, errors=REFUSED), ListSink()

    async def scenario() -> ListingOutcome:
        task = asyncio.ensure_future(listing(door, sink, concurrency=20))
        await asyncio.sleep(2)
        door.down = True
        asked = len(door.asked)
        await asyncio.sleep(120)
        assert len(door.asked) - asked < 100
        door.down = False
        return await task

    assert run(scenario(), SimulatedClock()).complete
    check_no_silent_gap(door.tree, sink)


def test_a_site_that_never_comes_back_stops_the_listing_to_be_gone_on_with_later() -> None:
    door, sink = Troubled(a_big_tree(5, 400), latency_s=0.1, errors=REFUSED), ListSink()

    async def scenario() -> float:
        ledger = KeepingLedger(sink)
        task = asyncio.ensure_future(list_tree([door], ledger, limits=ListingLimits(in_flight_max=20)))
        await asyncio.sleep(2)
        door.down = True
        with pytest.raises(NotFinished, match=r"no door has answered for 30[0-9] s"):
            await task
        assert not [directory for directory in sink.directories if directory.state is not DirectoryState.LISTED]
        door.down = False
        ledger.opened_anew()
        await list_tree([door], ledger)
        return asyncio.get_running_loop().time()

    assert run(scenario(), SimulatedClock()) < 400
    check_no_silent_gap(door.tree, sink)


def test_a_site_that_is_not_there_at_all_costs_seconds() -> None:
    door, sink = Troubled(a_big_tree(5), latency_s=0.001, errors=REFUSED, p=1.0), ListSink()

    async def scenario() -> float:
        assert not (await listing(door, sink)).listed
        return asyncio.get_running_loop().time()

    assert run(scenario(), SimulatedClock()) < 5
    assert sink.states == {"/": ("failed", "connection refused")}


@BOTH_WAYS
def test_a_door_is_questioned_by_what_it_could_answer_before(pages: bool) -> None:
    class Forgetful(MemoryDriver):
        """Lists only /good and the root; what it is asked for is kept."""

        asked: list[str]

        async def list(self, path: str) -> DirectoryListing:
            self.asked.append(path)
            if path.startswith("/bad"):
                raise PeerError("input/output error")
            return await super().list(path)

        async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
            yield await self.list(path)
            yield DirectoryListing(())

    site = a_site(pages=pages)
    site.put("/good/file", b"")
    for number in range(6):
        site.put(f"/bad{number}/file", b"")
    door, sink = Forgetful(tree=site.tree, capabilities=site.capabilities), ListSink()
    door.asked = []
    outcome = listed(door, sink, limits=ListingLimits(in_flight_max=1))
    assert (outcome.failed, outcome.listed) == (6, 9)
    asked_again = [path for path in door.asked if not path.startswith("/bad")]
    assert 2 <= len(asked_again) - 9 <= 6
    assert door.asked.count("/bad0") == 4


def test_a_part_of_the_tree_that_always_fails_does_not_stop_a_door_that_answers() -> None:
    site, sink = a_site(pages=False), ListSink()
    for number in range(300):
        site.put(f"/b/broken{number}/file", b"")
        site.fail_directory(f"/b/broken{number}", PeerError("input/output error"))
    outcome = listed(site, sink)
    assert (outcome.failed, outcome.listed) == (300, 8)


# Saving.


def test_a_ledger_that_is_slow_to_save_holds_the_listing_back() -> None:
    tree = a_big_tree(7, 300)

    class Slow(MemoryLedger):
        held_most = 0

        @property
        def due(self) -> bool:
            return len(self._found) >= 10

        def found(self, directory: Directory) -> None:
            super().found(directory)
            self.held_most = max(self.held_most, len(self._found))

        def save(self) -> None:
            time.sleep(0.01)
            super().save()

    async def scenario() -> None:
        sink = ListSink()
        ledger = Slow(sink)
        await list_tree([Troubled(tree, latency_s=0)], ledger, limits=ListingLimits(in_flight_max=8))
        check_no_silent_gap(tree, sink)
        # What is found while a save is under way, and what was asked for before that was full.
        assert 10 <= ledger.held_most <= 10 + 8

    asyncio.run(scenario())


# Progress.


def test_progress_is_told_seldom_and_adds_up_to_the_outcome() -> None:
    seen: list[tuple[float, ListingProgress]] = []
    door = Troubled(a_big_tree(9, 400), latency_s=0.05, errors=REFUSED, p=0.05)

    async def scenario() -> ListingOutcome:
        now = asyncio.get_running_loop().time
        return await listing(door, ListSink(), concurrency=10, progress=lambda told: seen.append((now(), told)))

    outcome = run(scenario(), SimulatedClock())
    times = [moment for moment, _ in seen]
    assert min(later - earlier for earlier, later in pairwise(times[:-1])) >= 0.2
    told = [progress for _, progress in seen]
    assert [each.directories for each in told] == sorted(each.directories for each in told)
    last = told[-1]
    assert (last.directories, last.files, last.bytes) == (401, outcome.files, outcome.bytes)
    assert (last.queue, last.in_flight, last.retries) == (0, 0, outcome.retries)
    assert max(each.queue for each in told) > 10
    assert last.doors[0].errors > 0
    assert 50 < max(each.rate for each in told) <= 10 / 0.05 * 1.2


# Faults at a rate.


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("p", [0.01, 0.1])
@pytest.mark.parametrize(
    "errors",
    [
        (PeerError("connection reset"),),
        (PeerError("time-out"), 1e9),
        (NotAllowed("permission denied"), PeerError("503")),
        (NotThere("no such directory"), PeerError("502")),
    ],
    ids=["resets", "hangs", "refusals", "absences"],
)
def test_faults_give_a_complete_listing_or_directories_marked(seed: int, p: float, errors: Any) -> None:
    tree, sink = a_big_tree(seed), ListSink()
    door = Troubled(tree, seed=seed, p=p, errors=errors)
    outcome = listed(door, sink, seed=seed, limits=ListingLimits(call_timeout_s=20))
    check_no_silent_gap(tree, sink)
    if all(isinstance(error, float) or error.retryable for error in errors):
        assert outcome.failed <= 1, "four failures at the same place are rare"


def test_equal_seeds_have_equal_outcomes() -> None:
    def once() -> list[Directory]:
        sink = ListSink()
        door = Troubled(a_big_tree(4), seed=4, p=0.1, errors=(PeerError("reset"), NotAllowed("no")))
        listed(door, sink, seed=4)
        return sink.directories

    assert once() == once()


# Against os.walk, on trees of any shape.

NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"with blank", b"-x", b"...", "grüße".encode(), b"caf\xe9", b"new\nline", b"\\"]),
    st.binary(min_size=1, max_size=8).filter(
        lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
    ),
)
TREES = st.recursive(
    st.one_of(st.integers(0, 3000), st.just("link"), st.just("pipe")),
    lambda below: st.dictionaries(NAMES, below, max_size=5),
    max_leaves=25,
)


def plant(folder: bytes, tree: Any) -> None:
    for name, below in tree.items():
        path = folder + b"/" + name
        if isinstance(below, dict):
            os.mkdir(path)
            plant(path, below)
        elif below == "link":
            os.symlink(b"/", path)
        elif below == "pipe":
            os.mkfifo(path)
        else:
            with open(path, "wb") as file:
                file.write(bytes(below))


def expected(root: bytes) -> tuple[set[tuple[str, int, int]], set[str], set[tuple[str, bytes]]]:
    """What ``os.walk`` finds: files, directories that can be named, and everything else."""
    found: set[tuple[str, int, int]] = set()
    directories: set[str] = set()
    odd: set[tuple[str, bytes]] = set()
    for at, below, others in os.walk(root):
        dir = at[len(root) :].decode() or "/"
        directories.add(dir)
        for raw in (*below, *others):
            path = os.path.join(at, raw)
            try:
                lfn = names.lfn(names.join(dir, raw.decode()))
            except (UnicodeDecodeError, InvalidName):
                odd.add((dir, raw))
                continue
            if os.path.islink(path) or not (os.path.isfile(path) or os.path.isdir(path)):
                odd.add((dir, raw))
            elif os.path.isfile(path):
                state = os.stat(path)
                found.add((str(lfn), state.st_size, state.st_mtime_ns))
        # What cannot be named cannot be entered; os.walk would.
        below[:] = [raw for raw in below if (dir, raw) not in odd]
    return found, directories, odd


@settings(max_examples=examples(60))
@given(st.dictionaries(NAMES, TREES, max_size=6), st.integers(1, 5))
def test_the_engine_finds_what_os_walk_finds(tree: Any, concurrency: int) -> None:
    root = Path(tempfile.mkdtemp(prefix="holdfast-listing-"))
    try:
        plant(os.fsencode(root), tree)
        sink = ListSink()
        outcome = listed(PosixDriver(root), sink, concurrency=concurrency)
        wanted, directories, odd = expected(os.fsencode(root))
        rows = [(d.dir, entry) for d in sink.directories for entry in d.files]
        found = [(names.join(dir, entry.name), entry.stat.size, entry.stat.mtime_ns) for dir, entry in rows]
        assert len(found) == len(set(found))
        assert set(found) == wanted
        assert sink.states == dict.fromkeys(directories, ("listed", ""))
        assert {(d.dir, o.raw) for d in sink.directories for o in d.oddities} == odd
        assert (outcome.files, outcome.listed, outcome.oddities) == (len(wanted), len(directories), len(odd))
    finally:
        shutil.rmtree(root)
