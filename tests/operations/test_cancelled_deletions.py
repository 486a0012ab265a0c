"""A deletion that is cancelled while somebody carries it out: what may be gone counts as no copy before somebody knows.

Method: people cancel, or ask for the opposite, between two files of a worker's;
workers die, are interrupted or fall asleep there; others come after them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from operations_world import DATASET, SETTINGS, Crash, DatasetKey, World, crashing_at
from shared_world import Seat, SharedWorld

from holdfast.model import changes as c
from holdfast.model.errors import Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.records import RequestState
from holdfast.operations import requests
from holdfast.operations.batches.queue import Queue
from holdfast.operations.deleting import aftermath
from holdfast.operations.requesting import brake, steering
from holdfast.operations.requesting.brake import BrakeLimits
from holdfast.operations.requesting.ending import Ended
from holdfast.operations.showing import overview
from holdfast.testing.memory_driver import FULL
from holdfast.testing.memory_tree import MemoryTree

ONE_BY_ONE = SETTINGS.model_copy(update={"deletions_per_site": 1})


@pytest.fixture
def shared(tmp_path: Any) -> SharedWorld:
    """Several workers in simulated time; a further file at each site, so that none looks as if not mounted."""
    world = SharedWorld(tmp_path)
    for site in "ABC":
        world.put(site, "/else", b"else")
    return world


@pytest.fixture
def lone(tmp_path: Any) -> World:
    world = World(tmp_path)
    for site in "ABC":
        world.put(site, "/else", b"else")
    return world


def cancel(world: World, id: str) -> Ended:
    return requests.cancel(world.store, id, reason="changed my mind", actor="me@here")


def there(world: World, site: str) -> list[str]:
    return [path for path in world.paths(site) if path != "/else"]


async def n_left(world: SharedWorld, n_files: int, site: str = "B") -> None:
    """Until so many files are left."""
    while len(there(world, site)) > n_files:
        await asyncio.sleep(0.05)


def assert_told(world: World, site: str = "B", dataset: DatasetKey = DATASET) -> None:
    """The inventory counts what is there, and nothing else."""
    assert sum(replica.n_files for replica in world.replica(site, dataset)) == len(there(world, site))


def kill_after(world: World, n_files: int) -> None:
    """A worker of deletions dies when it has deleted so many and told of none."""
    with crashing_at("deletion.deleted", n_files) as reached, pytest.raises(Crash):
        world.delete(settings=ONE_BY_ONE)
    assert len(reached) == n_files
    world.reopen()


# ---- while it is carried out ------------------------------------------------------------


def test_what_nobody_has_claimed_is_taken_back_at_once(lone: World) -> None:
    lone.publish(4, at="AB")
    id = lone.ask_replica_deletion()
    assert cancel(lone, id) == Ended(4, 0)
    assert lone.request(id).state is RequestState.CANCELLED
    lone.delete()
    assert len(there(lone, "B")) == 4
    with pytest.raises(Conflict, match="already"):
        cancel(lone, id)


def test_what_may_be_gone_is_no_copy_until_it_is_told(shared: SharedWorld) -> None:
    shared.publish(4, at="AB")
    id = shared.ask_replica_deletion()
    seen: list[Any] = []

    async def people() -> None:
        await n_left(shared, 2)
        seen.append(cancel(shared, id))
        seen.append(shared.request(id).state)
        with pytest.raises(Conflict, match="copy"):
            shared.ask_replica_deletion("A")

    shared.together(shared.work(Seat("one", call_s=0.4), settings=ONE_BY_ONE), people())
    assert seen == [Ended(0, 4), RequestState.OPEN]
    assert shared.request(id).state is RequestState.CANCELLED
    assert shared.request(id).detail == "changed my mind"
    assert 1 <= len(there(shared, "B")) <= 2, "it stops before the next file"
    assert len(there(shared, "A")) == 4
    assert_told(shared)


def test_a_copy_of_what_may_be_gone_brings_it_back(shared: SharedWorld) -> None:
    lfns = shared.publish(3, at="AB")
    id = shared.ask_replica_deletion()
    asked: list[Any] = []

    async def people() -> None:
        await n_left(shared, 1)
        cancel(shared, id)
        asked.append(shared.ask("B"))

    shared.together(shared.work(Seat("one", call_s=0.4), settings=ONE_BY_ONE), people())
    assert asked[0].state is RequestState.OPEN
    assert shared.request(asked[0].id).state is RequestState.DONE
    assert there(shared, "B") == lfns
    assert_told(shared)


def test_a_worker_that_sleeps_in_a_deletion_keeps_its_files_condemned(shared: SharedWorld) -> None:
    """Others do not count what it may delete when it wakes up."""
    shared.publish(3, at="AB")
    id = shared.ask_replica_deletion()

    async def meanwhile() -> None:
        cancel(shared, id)
        with pytest.raises(Conflict):
            shared.ask_replica_deletion("A")
        work = asyncio.ensure_future(shared.work(Seat("two", machine="there"), forever=True))
        await asyncio.sleep(SETTINGS.lease_s + SETTINGS.call_limit_s / 2)
        with pytest.raises(Conflict):
            shared.ask_replica_deletion("A")
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asleep = shared.falls_asleep("B", "delete", "", meanwhile)
    shared.together(shared.work(Seat("one", machine="here"), settings=ONE_BY_ONE))
    shared.together(shared.work(Seat("three", machine="there")))
    assert asleep
    assert shared.request(id).state is RequestState.CANCELLED
    assert len(there(shared, "B")) == 2
    assert len(there(shared, "A")) == 3
    assert_told(shared)


def test_nobody_joins_a_deletion_that_is_being_cancelled(shared: SharedWorld) -> None:
    shared.publish(4, at="AB")
    first = shared.ask_replica_deletion()
    second: list[str] = []

    async def people() -> None:
        await n_left(shared, 2)
        cancel(shared, first)
        second.append(shared.ask_replica_deletion())

    shared.together(shared.work(Seat("one", call_s=0.4), settings=ONE_BY_ONE), people())
    assert second != [first]
    assert shared.request(first).state is RequestState.CANCELLED
    assert shared.request(second[0]).state is RequestState.DONE
    assert there(shared, "B") == []


def test_people_see_that_it_is_being_cancelled(shared: SharedWorld) -> None:
    shared.publish(4, at="AB")
    id = shared.ask_replica_deletion()
    seen: list[str] = []

    async def people() -> None:
        await n_left(shared, 2)
        cancel(shared, id)
        (status,) = overview.statuses(shared.store, [shared.request(id)])
        seen.append(status.condition.value)

    shared.together(shared.work(Seat("one", call_s=0.4), settings=ONE_BY_ONE), people())
    assert seen == ["cancelling"]


# ---- after a death ----------------------------------------------------------------------


def test_what_a_dead_worker_had_deleted_is_told_by_the_next_whatever_it_is_there_for(lone: World) -> None:
    lone.publish(4, at="AB")
    id = lone.ask_replica_deletion()
    kill_after(lone, 2)
    assert cancel(lone, id) == Ended(0, 4)
    lone.run()  # Copies only.
    assert lone.request(id).state is RequestState.CANCELLED
    assert len(there(lone, "B")) == 2
    assert_told(lone)


def test_a_look_that_is_cut_short_is_made_again(lone: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lone.publish(4, at="AB")
    id = lone.ask_replica_deletion()
    kill_after(lone, 2)
    cancel(lone, id)

    async def dies(*_: object) -> None:
        raise Crash("in the look")

    with monkeypatch.context() as patch:
        patch.setattr(aftermath, "look", dies)
        with pytest.raises(Crash):
            lone.delete()
    lone.reopen()
    assert lone.request(id).state is RequestState.OPEN
    with pytest.raises(Conflict):
        lone.ask_replica_deletion("A")
    lone.delete()
    assert lone.request(id).state is RequestState.CANCELLED
    assert_told(lone)


def test_a_worker_that_is_interrupted_leaves_its_looks_to_the_next(shared: SharedWorld) -> None:
    shared.publish(3, at="AB")
    id = shared.ask_replica_deletion()

    async def interrupted() -> None:
        work = asyncio.ensure_future(shared.work(Seat("one", call_s=1.0), forever=True, settings=ONE_BY_ONE))
        await n_left(shared, 2)
        cancel(shared, id)
        await asyncio.sleep(0.1)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    shared.together(interrupted())
    shared.together(shared.work(Seat("next")))
    assert shared.request(id).state is RequestState.CANCELLED
    assert len(there(shared, "B")) == 2
    assert_told(shared)


def test_what_was_closed_by_others_is_looked_at_too(lone: World) -> None:
    """An older inventory, or another program, has closed it as it is."""
    lone.publish(4, at="AB")
    id = lone.ask_replica_deletion()
    kill_after(lone, 2)
    lone.commit(c.CloseRequest(id, RequestState.CANCELLED, "closed"))
    lone.delete()
    assert len(there(lone, "B")) == 2
    assert_told(lone)
    with Queue(lone.store).read() as connection:
        assert Queue.begun(connection) == []


def test_where_requests_outlive_their_sender_nothing_is_looked_at_before_they_are_over(lone: World) -> None:
    lone.publish(4, at="AB")
    id = lone.ask_replica_deletion()
    lone.memory("B")._capabilities = replace(FULL, outlives_caller=True)
    kill_after(lone, 2)
    cancel(lone, id)
    before_s = lone.clock.monotonic()
    lone.delete()
    assert lone.request(id).state is RequestState.CANCELLED
    assert lone.clock.monotonic() - before_s >= SETTINGS.call_limit_s
    assert_told(lone)


def test_a_storage_that_shows_nothing_tells_nothing(lone: World) -> None:
    lone.publish(4, at="AB")
    id = lone.ask_replica_deletion()
    kill_after(lone, 2)
    cancel(lone, id)
    kept = {path: lone.get("B", path) for path in lone.paths("B")}
    for path in kept:
        asyncio.run(lone.memory("B").delete(path))
    for directory in ("/data/sky/survey", "/data/sky", "/data"):
        asyncio.run(lone.memory("B").remove_directory(directory))
    lone.delete()
    assert lone.request(id).state is RequestState.OPEN, "perhaps its disk is not mounted"
    for path, data in kept.items():
        lone.put("B", path, data or b"")
    lone.delete()
    assert lone.request(id).state is RequestState.CANCELLED
    assert_told(lone)


# ---- copies that wait -------------------------------------------------------------------


@pytest.mark.parametrize("is_held_back", [False, True])
def test_a_copy_does_not_wait_for_ever_for_a_deletion_that_nobody_goes_on_with(lone: World, is_held_back: bool) -> None:
    lfns = lone.publish(3, at="AB")
    id = lone.ask_replica_deletion()
    kill_after(lone, 1)
    if is_held_back:
        steering.hold(lone.store, id, actor="me", reason="wait")
    copy = lone.ask("B")
    assert copy.state is RequestState.OPEN
    lone.run(copy)
    assert lone.request(copy.id).state is RequestState.DONE
    assert lone.request(id).state is RequestState.CANCELLED
    assert there(lone, "B") == lfns
    assert_told(lone)


def test_a_copy_that_waits_says_for_what_and_sleeps(lone: World) -> None:
    lone.publish(3, at="AB")
    id = lone.ask_replica_deletion()
    lone.memory("B")._capabilities = replace(FULL, outlives_caller=True)
    kill_after(lone, 1)
    copy = lone.ask("B")
    said: list[str] = []
    before_s, n_sleeps = lone.clock.monotonic(), len(lone.clock.slept_s)
    lone.run(copy, waiting=said.append)
    waited_s = lone.clock.monotonic() - before_s
    assert waited_s >= SETTINGS.call_limit_s
    assert len(lone.clock.slept_s) - n_sleeps < 2 * waited_s + 50
    assert lone.request(copy.id).state is RequestState.DONE
    assert any("waiting for" in text and "B" in text for text in said), (said, id)


# ---- the brake --------------------------------------------------------------------------


def counted(world: World) -> list[int]:
    with world.store.room(brake.metadata).read() as connection:
        return [row.n_files for row in connection.execute(brake.asked.select())]


def test_the_brake_gets_back_only_what_was_not_begun(shared: SharedWorld) -> None:
    shared.publish(10, at="AB")
    id = shared.ask_replica_deletion(limits=BrakeLimits(1.0, 0))

    async def people() -> None:
        await n_left(shared, 4)
        cancel(shared, id)
        assert counted(shared) == [10]

    shared.together(shared.work(Seat("one", call_s=0.05), settings=ONE_BY_ONE), people())
    n_gone = 10 - len(there(shared, "B"))
    assert shared.request(id).state is RequestState.CANCELLED
    assert counted(shared)[0] >= n_gone >= 6


def test_the_brake_gets_back_once_what_is_cancelled_twice(lone: World) -> None:
    for number in range(3):
        lone.publish(10, dataset=DatasetKey(f"/sky/s{number}", "1"), n_blocks=2, at="AB")
    id = lone.ask_replica_deletion(dataset=DatasetKey("/sky/s0", "1"), limits=BrakeLimits(0.4, 0))
    other = lone.ask_replica_deletion(dataset=DatasetKey("/sky/s1", "1"), limits=None)
    assert sorted(counted(lone)) == [10, 10]
    cancel(lone, id)
    assert counted(lone) == [10]
    with pytest.raises(Conflict):
        cancel(lone, id)
    assert counted(lone) == [10]
    assert lone.request(other).state is RequestState.OPEN


# ---- the queue --------------------------------------------------------------------------


def test_a_deletion_that_is_ending_gives_its_untouched_files_back_as_never_begun(shared: SharedWorld) -> None:
    """Only what the storage was told to delete has to be looked at."""
    shared.publish(8, at="AB")
    id = shared.ask_replica_deletion()
    begun: list[FileSet] = []

    async def people() -> None:
        await n_left(shared, 6)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        with Queue(shared.store).read() as connection:
            begun.extend(batch.files for batch in Queue.begun(connection))

    async def working() -> None:
        nonlocal work
        work = asyncio.ensure_future(shared.work(Seat("one", call_s=0.4), settings=ONE_BY_ONE))
        await asyncio.gather(work, return_exceptions=True)

    work: asyncio.Future[Any]
    shared.together(working(), people())
    assert sum(map(len, begun)) <= 1
    assert cancel(shared, id).n_taken_back >= 5


def test_a_copy_does_not_wait_for_ever_for_a_look_at_a_storage_that_shows_nothing(lone: World) -> None:
    lone.publish(4, at="AB")
    id = lone.ask_replica_deletion()
    kill_after(lone, 2)
    cancel(lone, id)
    copy = lone.ask()
    lone.memory("B").tree, tree = MemoryTree(lone.clock), lone.memory("B").tree
    lone.run(kinds=None)
    assert (lone.request(id).state, lone.request(copy.id).state) == (RequestState.OPEN, RequestState.OPEN)
    lone.memory("B").tree = tree
    lone.run(kinds=None)
    assert lone.request(copy.id).state is RequestState.DONE
    assert len(there(lone, "B")) == 4
    assert_told(lone)
