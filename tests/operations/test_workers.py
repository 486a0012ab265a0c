"""Several workers on one queue: they share the work, take over from the dead, and never do a thing twice.

Method: all workers in one loop, in simulated time; what is done at the storages
is recorded. Real processes are in test_worker_processes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from operations_world import SETTINGS
from shared_world import Seat, SharedWorld

from holdfast.model.records import RequestState
from holdfast.operations.batches.workers import Workers
from holdfast.operations.engines.choosing import Engines
from holdfast.operations.engines.local import LocalEngine
from holdfast.operations.engines.one_by_one import OneByOne

LEASE_S = SETTINGS.lease_s


@pytest.fixture
def world(tmp_path: Path) -> SharedWorld:
    return SharedWorld(tmp_path)


def assert_each_renamed_once(world: SharedWorld, lfns: list[str]) -> None:
    assert [world.drivers["B"].count("rename", lfn) for lfn in lfns] == [1] * len(lfns)


def test_two_share_a_request(world: SharedWorld) -> None:
    lfns = world.publish(60, n_blocks=12)
    request = world.ask("B")
    first, second = Seat("first", call_s=0.5), Seat("second", call_s=0.5)
    reports = world.together(world.work(first), world.work(second))
    world.assert_copied(lfns)
    assert_each_renamed_once(world, lfns)
    assert min(report.files_copied for report in reports) > 10
    assert sum(report.files_copied for report in reports) == 60
    assert world.request(request.id).state is RequestState.DONE
    assert Workers(world.store).known() == []


def test_what_another_one_is_at_is_waited_for(world: SharedWorld) -> None:
    world.publish(2)
    request = world.ask("B")
    said: list[str] = []

    async def late() -> object:
        await asyncio.sleep(1)
        report = await world.work(Seat("second"), waiting=said.append)
        assert world.request(request.id).state is RequestState.DONE
        return report

    world.together(world.work(Seat("first", call_s=20)), late())
    assert len(said) == 1
    assert said[0].startswith("waiting for another worker (process ")


def test_what_another_one_is_at_is_not_waited_for_if_so_asked(world: SharedWorld) -> None:
    world.publish(2)
    request = world.ask("B")

    async def late() -> object:
        await asyncio.sleep(1)
        report = await world.work(Seat("second"), wait=False)
        assert report.is_busy
        assert world.request(request.id).state is RequestState.OPEN
        return report

    world.together(world.work(Seat("first", call_s=20)), late())


def test_one_that_died_on_this_machine_is_followed_at_once(world: SharedWorld) -> None:
    lfns = world.publish(4)
    world.ask("B")
    die_in_the_middle(world, Seat("dead", call_s=1))
    before_s = world.time.monotonic()
    world.together(world.work(Seat("next")))
    assert world.time.monotonic() - before_s < 5
    world.assert_copied(lfns)


def test_one_that_died_elsewhere_is_waited_for_as_long_as_its_lease(world: SharedWorld) -> None:
    lfns = world.publish(4)
    world.ask("B")
    die_in_the_middle(world, Seat("dead", machine="there", call_s=1))
    before_s = world.time.monotonic()
    world.together(world.work(Seat("next")))
    assert LEASE_S <= world.time.monotonic() - before_s < 1.5 * LEASE_S
    world.assert_copied(lfns)


class Died(BaseException):
    """A process ends."""


class Outliving(OneByOne):
    """An engine that starts what goes on without us."""

    outlives_caller = True


def test_what_the_programs_of_a_dead_one_may_still_write_is_waited_for(world: SharedWorld) -> None:
    lfns = world.publish(4)
    world.ask("B")

    def engines() -> Engines:
        return Engines([Outliving(LocalEngine(world.time))], SETTINGS.for_link, monotonic=world.time.monotonic)

    die_in_the_middle(world, Seat("dead", call_s=1), engines=engines())
    before_s = world.time.monotonic()
    world.together(world.work(Seat("next"), engines=engines()))
    assert SETTINGS.call_limit_s <= world.time.monotonic() - before_s < SETTINGS.call_limit_s + LEASE_S
    world.assert_copied(lfns)


def die_in_the_middle(world: SharedWorld, seat: Seat, **given: Any) -> None:
    """A worker ends in its third write, and everything that it was at."""

    def faults(operation: str, path: str) -> None:
        if operation == "write.finish":
            raise Died

    world.memory("B").faults = faults
    with pytest.raises(Died):
        world.together(world.work(seat, **given))
    world.memory("B").faults = None
    world.reopen()
    assert len(Workers(world.store).known()) == 1  # It had no time to say goodbye.


@pytest.mark.parametrize("operation", ["stat", "write", "write.finish", "checksum", "rename", "rename.done"])
def test_one_that_sleeps_past_its_lease_harms_nobody(world: SharedWorld, operation: str) -> None:
    """It wakes up when the other has long been done, and everything has its right name already."""
    lfns = world.publish(3)
    request = world.ask("B")
    asleep = world.falls_asleep("B", operation, "", lambda: world.work(Seat("other", machine="there")))
    world.together(world.work(Seat("sleeper")))
    assert asleep
    world.assert_copied(lfns)
    assert world.request(request.id).state is RequestState.DONE
    # A rename that was sent before is carried out in any case: once more than once is all that may be.
    assert sum(world.drivers["B"].count("rename", lfn) for lfn in lfns) <= 3
    assert world.parts("B") == []


def test_one_that_sleeps_past_its_lease_and_wakes_up_in_a_deletion_deletes_nothing_more(world: SharedWorld) -> None:
    orphans = [world.orphan("B", f"/dark/o{number}") for number in range(4)]
    id = world.ask_deletion(*orphans)
    one_by_one = SETTINGS.model_copy(update={"deletions_per_site": 1})
    came_back: list[str] = []

    async def other() -> None:
        await world.work(Seat("other", machine="there"))
        assert world.request(id).state is RequestState.DONE
        for orphan in orphans[1:]:
            came_back.append(orphan.path)
            world.put("B", orphan.path, b"dark")

    asleep = world.falls_asleep("B", "stat", orphans[1].path, other)
    world.together(world.work(Seat("sleeper"), settings=one_by_one))
    assert asleep
    assert world.paths("B") == came_back
