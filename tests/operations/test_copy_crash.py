"""Killed at every named step, and in the middle of calls: afterwards everything is done exactly once.

Method: die at the nth time a step is reached, open the inventory anew, run
again, and count what reached the destination. Once by an exception that
nothing catches, which is quick; once by SIGKILL in a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operations_world import DATASET, SETTINGS, Crash, World, crashing_at

from holdfast.inventory.sql_store import SqlStore
from holdfast.model import steps
from holdfast.model.clock import system_clock
from holdfast.model.errors import PeerError
from holdfast.model.records import RequestState
from holdfast.operations import executor, requests
from holdfast.operations.work import scheduling
from holdfast.storage.driver import NoSpace
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.memory_store import MemoryStore

RUNNING = ("work.registered", *steps.STEPS["copy"][1:])
POINTS = [(step, 1) for step in RUNNING]
POINTS += [
    ("copy.claimed", 3),
    ("copy.part-written", 2),
    ("copy.part-written", 5),
    ("copy.renamed", 5),
]
N_FILES = 8


def run_until_done(world: World) -> None:
    world.reopen()
    world.ask("B")
    world.run()


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few files are several claims."""
    monkeypatch.setattr(scheduling, "ROOM_FILES", 2)


def assert_done_once(world: World, lfns: list[str]) -> None:
    world.assert_copied(lfns)
    # A rename that is under way when the process dies may have happened without being counted; none happens twice.
    assert all(world.drivers["B"].count("rename", lfn) <= 1 for lfn in lfns)
    with world.store.snapshot() as snapshot:
        assert not snapshot.copy_requests()


@pytest.mark.parametrize(("step", "nth"), POINTS)
def test_dying_at_a_step(any_world: World, step: str, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    lfns = any_world.publish(N_FILES, n_blocks=2)
    any_world.ask("B")
    with crashing_at(step, nth) as reached:
        try:
            any_world.run()
        except Crash:
            pass
    assert len(reached) >= nth
    run_until_done(any_world)
    assert_done_once(any_world, lfns)


def test_dying_after_the_request(world: World) -> None:
    lfns = world.publish(N_FILES)
    with crashing_at("copy.requested"), pytest.raises(Crash):
        world.ask("B")
    run_until_done(world)
    assert_done_once(world, lfns)


def test_dying_again_and_again(world: World) -> None:
    lfns = world.publish(N_FILES, n_blocks=3)
    for step in (*RUNNING, *RUNNING):
        world.reopen()
        with crashing_at(step):
            try:
                world.ask("B")
                world.run()
            except Crash:
                pass
    run_until_done(world)
    assert_done_once(world, lfns)


def test_what_was_left_is_removed_even_if_its_request_is_gone(world: World) -> None:
    world.publish(3)
    request = world.ask("B")
    with crashing_at("copy.part-written"), pytest.raises(Crash):
        world.run()
    assert len(world.parts("B")) == 1
    requests.cancel(world.store, request.id, reason="no more", actor="test")
    world.reopen()
    world.run()
    assert world.paths("B") == []


def test_a_part_that_could_not_be_removed_is_removed_by_the_next_try(world: World) -> None:
    lfns = world.publish(3)
    world.ask("B")
    with crashing_at("copy.part-written"), pytest.raises(Crash):
        world.run()
    refused: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "delete" and not refused:
            refused.append(path)
            raise PeerError("not now")

    world.memory("B").faults = faults
    run_until_done(world)
    assert refused
    assert_done_once(world, lfns)


def test_reporting_twice_changes_nothing(world: World) -> None:
    lfns = world.publish(N_FILES)
    world.ask("B")
    commit = world.store.commit

    def dying(change_set: object, **given: object) -> object:
        head = commit(change_set, **{**given, "also": None})  # type: ignore[arg-type]
        raise Crash(str(head))

    world.store.commit = dying  # type: ignore[method-assign,assignment]
    with pytest.raises(Crash):
        world.run()
    # The inventory knows the files and has closed the request; the queue does not know that it told it.
    before = world.replica("B")
    run_until_done(world)
    assert world.replica("B") == before
    world.assert_copied(lfns)


def test_what_was_done_before_is_looked_at_before_it_is_reported(any_world: World) -> None:
    world, lfns = any_world, any_world.publish(N_FILES)
    world.ask("B")
    with crashing_at("copy.renamed", N_FILES - 2), pytest.raises(Crash):
        world.run()
    done = [lfn for lfn in lfns if world.get("B", lfn) is not None]
    asyncio.run(world.drivers["B"].inner.delete(done[0]))
    world.put("B", done[1], b"short")
    world.reopen()
    request = world.ask("B")
    report = world.run()
    # The one that is gone comes again; what lies in the other's place is not ours to overwrite.
    assert world.get("B", done[0]) == world.data[done[0]]
    assert (report.files_copied, report.files_failed) == (N_FILES - len(done) + 1, 1)
    assert world.request(request.id).state is RequestState.FAILED
    (replica,) = world.replica("B")
    assert set(replica.files(N_FILES)) == set(range(N_FILES)) - {lfns.index(done[1])}


STORE_POINTS = ("commit", "commit.done", "room.write", "room.write.done")
OPERATIONS = ("read.chunk", "write", "write.chunk", "write.finish", "write.done", "checksum", "rename", "rename.done")


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    n_files=st.integers(1, 7),
    sites=st.sampled_from(["A", "AC"]),
    faults=st.lists(
        st.tuples(
            st.sampled_from("ABC"),
            st.sampled_from(OPERATIONS),
            st.integers(0, 12),
            st.sampled_from([Crash("crash"), PeerError("not now"), NoSpace("full")]),
        ),
        max_size=6,
    ),
    store_faults=st.lists(st.tuples(st.sampled_from(STORE_POINTS), st.integers(0, 8)), max_size=2),
    there=st.dictionaries(st.integers(0, 6), st.sampled_from(["good", "wrong", "short"]), max_size=3),
    wrong_sources=st.sets(st.integers(0, 6), max_size=2),
)
def test_whatever_goes_wrong_ends_in_the_truth(
    tmp_path_factory: pytest.TempPathFactory,
    n_files: int,
    sites: str,
    faults: list[tuple[str, str, int, BaseException]],
    store_faults: list[tuple[str, int]],
    there: dict[int, str],
    wrong_sources: set[int],
) -> None:
    """Good files exactly once, nothing said to be there that is not, nothing left over that is ours to remove."""
    world = World(tmp_path_factory.mktemp("world"), store=MemoryStore())
    lfns = world.publish(n_files, at=sites)
    assert isinstance(world.store, MemoryStore)
    world.store = world.store.reopen(clock=world.clock, faults=striking(store_faults))
    for number, what in there.items():
        if number < n_files:
            good = world.data[lfns[number]]
            world.put("B", lfns[number], {"good": good, "wrong": b"X" + good[1:], "short": good[1:]}[what])
    bad = {number for number in wrong_sources if number < n_files}
    for number in bad:
        for site in sites:
            world.memory(site).flip_byte(lfns[number])
    plant(world, faults)
    for _ in range(len(faults) + len(store_faults) + 3):
        world.reopen()
        try:
            if world.ask("B", may_replace=True).state is RequestState.DONE:
                break
            world.run()
        except Crash:
            continue
    hopeless = {number for number in bad if there.get(number) != "good"}
    for number, lfn in enumerate(lfns):
        if number not in hopeless:
            assert world.get("B", lfn) == world.data[lfn]
            assert world.drivers["B"].count("rename", lfn) <= (there.get(number) != "good")
        assert world.drivers["B"].count("rename", lfn) <= 1
    (replica,) = world.replica("B")
    assert set(replica.files(n_files)) == set(range(n_files)) - hopeless
    assert not world.parts("B")


def plant(world: World, faults: list[tuple[str, str, int, BaseException]]) -> None:
    """Each fault strikes once: at the given number of that operation at that site."""
    counts: dict[tuple[str, str], int] = {}
    for site in "ABC":

        def strike(operation: str, path: str, site: str = site) -> None:
            count = counts[site, operation] = counts.get((site, operation), -1) + 1
            for where, what, number, error in faults:
                if (where, what, number) == (site, operation, count):
                    raise error

        world.memory(site).faults = strike


def striking(faults: list[tuple[str, int]]) -> Callable[[str], None]:
    """The process dies at the given number of a point of the store, once each."""
    counts: dict[str, int] = {}

    def strike(point: str) -> None:
        count = counts[point] = counts.get(point, -1) + 1
        if (point, count) in faults:
            raise Crash(point)

    return strike


KILLED = """
import sys, os, signal
from holdfast.model import steps
sys.path.insert(0, {tests!r})
from test_copy_crash import work
seen = [0]
def observe(name):
    if name == {step!r}:
        seen[0] += 1
        if seen[0] == {nth}:
            os.kill(os.getpid(), signal.SIGKILL)
with steps.observed(observe):
    work({folder!r})
"""


def work(folder: str) -> None:
    """Copy the dataset from A to B, on disk, as a process would."""
    base = Path(folder)
    store = SqlStore.open(base / "inventory.db")
    drivers = {site: PosixDriver(base / site) for site in "AB"}
    requests.request_copy(store, DATASET, "B", reason="test", actor="test", clock=system_clock)
    running = executor.run(store, drivers, settings=SETTINGS, clock=system_clock, workers_dir=base / "workers")
    report = asyncio.run(running)
    assert report.files_failed == 0


@pytest.mark.slow
@pytest.mark.parametrize("step", [*steps.STEPS["copy"], "work.registered"])
def test_killed_by_the_system(tmp_path: Path, step: str) -> None:
    def make(site: str) -> PosixDriver:
        (tmp_path / site).mkdir()
        return PosixDriver(tmp_path / site)

    world = World(tmp_path, make)
    lfns = world.publish(20, n_blocks=2)
    world.store.close()
    script = KILLED.format(tests=os.path.dirname(__file__), step=step, nth=1, folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = {path: (tmp_path / "B" / path[1:]).stat().st_ino for path in world.paths("B") if path in lfns}
    work(str(tmp_path))
    world.reopen()
    world.assert_copied(lfns)
    # What was in place has not been written again.
    assert before.items() <= {path: (tmp_path / "B" / path[1:]).stat().st_ino for path in lfns}.items()
