"""Jobs at a service whose claim is over: they are cancelled, and nothing is brought a second time before they are.

Method: an engine that hands files to a service of its own, in memory, which
goes on by itself, as FTS does; workers in simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from operations_world import SETTINGS
from shared_world import Seat, SharedWorld

from holdfast.model.errors import PeerError
from holdfast.model.records import RequestState
from holdfast.operations import requests
from holdfast.operations.batches.queue import Queue
from holdfast.operations.batches.unwanted import GATE_US, UnwantedJob
from holdfast.operations.engine import Desk, EngineDown, Job, Outcome, Place, Verdict
from holdfast.operations.engines.choosing import Engines


class Service:
    """What goes on when its clients are gone. ``events``: what it was told, in order."""

    def __init__(self) -> None:
        self.running: dict[str, list[Place]] = {}
        self.events: list[tuple[str, str]] = []
        self.is_down = False


class ServiceEngine:
    """Submits, and waits until ``end`` says how the job ends."""

    name = "local"  # Which every link has.
    outlives_caller = False

    def __init__(self, world: SharedWorld, service: Service, end: Callable[[int], None] = lambda n: None) -> None:
        self._world = world
        self._service = service
        self._end = end

    def can(self, source: Place, destination: Place) -> str:
        return ""

    async def carry(self, job: Job, desk: Desk) -> None:
        service = self._service
        handle = job.handle or f"job-{job.claim}"
        if not job.handle:
            await desk.check()
            await desk.keep(handle)
            service.running[handle] = [each.destination for each in job.transfers]
            service.events.append(("submitted", handle))
        await asyncio.sleep(5)
        self._end(sum(what == "submitted" for what, _ in service.events))
        for each in job.transfers:
            self._world.put(each.destination.site, each.destination.path, self._world.data[each.destination.path])
            desk.settle(each.ordinal, Outcome(Verdict.COPIED, self._world.time()))
        service.running.pop(handle)

    async def cancel(self, handle: str) -> None:
        if self._service.is_down:
            self._service.events.append(("unheard", handle))
            raise EngineDown("the service does not answer")
        self._service.running.pop(handle, None)
        self._service.events.append(("cancelled", handle))

    async def discard(self, destination: Place, token: str) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path) -> SharedWorld:
    return SharedWorld(tmp_path)


def engines(world: SharedWorld, engine: ServiceEngine) -> Engines:
    return Engines([engine], SETTINGS.for_link, monotonic=world.time.monotonic)


def unwanted(world: SharedWorld) -> list[UnwantedJob]:
    queue = Queue(world.store)
    with queue.read() as connection:
        return queue.unwanted_jobs(connection)


def fails_first(n: int) -> None:
    if n == 1:
        raise PeerError("nobody understands this answer")


def test_a_job_of_which_nothing_is_heard_is_cancelled_before_its_files_go_another_way(world: SharedWorld) -> None:
    lfns = world.publish(3)
    request = world.ask("B")
    service = Service()
    world.together(world.work(Seat("w"), engines=engines(world, ServiceEngine(world, service, fails_first))))
    assert [what for what, _ in service.events] == ["submitted", "cancelled", "submitted"]
    assert service.events[0][1] == service.events[1][1] != service.events[2][1]
    assert service.running == {}
    assert unwanted(world) == []
    world.assert_copied(lfns)
    assert world.request(request.id).state is RequestState.DONE


def test_a_service_that_does_not_answer_is_told_again_and_keeps_nobody_for_ever(world: SharedWorld) -> None:
    lfns = world.publish(3)
    world.ask("B")
    service = Service()
    service.is_down = True
    begun_us = world.time()
    world.together(world.work(Seat("w"), engines=engines(world, ServiceEngine(world, service, fails_first))))
    told = [what for what, _ in service.events]
    assert told.count("submitted") == 2
    assert told.count("unheard") > 5
    assert told.index("submitted", 1) > told.count("unheard") // 2
    assert GATE_US <= world.time() - begun_us < 2 * GATE_US
    world.assert_copied(lfns)
    (left,) = unwanted(world)
    service.is_down = False
    world.ask("C")
    world.together(world.work(Seat("later"), engines=engines(world, ServiceEngine(world, service))))
    assert ("cancelled", left.handle) in service.events
    assert unwanted(world) == []


def test_what_a_person_cancels_while_the_service_is_away_is_cancelled_there_later(world: SharedWorld) -> None:
    world.publish(3)
    request = world.ask("B")
    service = Service()
    service.is_down = True

    async def person() -> None:
        await asyncio.sleep(2)
        requests.cancel(world.store, request.id, reason="no", actor="test")

    world.together(world.work(Seat("w"), engines=engines(world, ServiceEngine(world, service))), person())
    assert len(service.running) == 1
    assert {what for what, _ in service.events} == {"submitted", "unheard"}
    service.is_down = False
    world.ask("C")
    world.together(world.work(Seat("later"), engines=engines(world, ServiceEngine(world, service))))
    assert service.running == {}
    assert unwanted(world) == []
    assert world.paths("B") == []


def test_a_job_that_ends_well_is_not_cancelled(world: SharedWorld) -> None:
    lfns = world.publish(3)
    world.ask("B")
    service = Service()
    world.together(world.work(Seat("w"), engines=engines(world, ServiceEngine(world, service))))
    assert [what for what, _ in service.events] == ["submitted"]
    assert unwanted(world) == []
    world.assert_copied(lfns)
