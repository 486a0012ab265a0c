"""A service runs for months: what it remembers is bounded, and what it does not need any more is let go of."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from operations_world import DatasetKey, World
from shared_world import Seat, SharedWorld

from holdfast.inventory.store import Head
from holdfast.model.records import Door, RequestState, Site
from holdfast.operations import executor, requests
from holdfast.operations.batches.lease import Lease
from holdfast.operations.carrying import fence as fences
from holdfast.operations.carrying.fence import Fence
from holdfast.operations.deleting import since
from holdfast.operations.engine import ClaimLost
from holdfast.operations.places import Places
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.testing.memory_driver import MemoryDriver


def test_a_service_forgets_requests_that_are_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = SharedWorld(tmp_path)
    datasets = [DatasetKey(f"/sky/s{number}", "1") for number in range(3)]
    for dataset in datasets:
        world.publish(2, dataset=dataset)
    kept: list[OpenRequests] = []

    class Kept(OpenRequests):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            kept.append(self)

    monkeypatch.setattr(executor, "OpenRequests", Kept)

    async def main() -> None:
        working = asyncio.ensure_future(world.work(Seat("service"), forever=True))
        for dataset in datasets:
            request = world.ask("B", dataset=dataset, deadline_us=world.time() + 5_000_000)
            await asyncio.sleep(10)
            assert world.request(request.id).state is RequestState.DONE
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    world.together(main())
    (asked,) = kept
    assert not asked.seen
    assert not asked.known


def test_a_driver_that_was_replaced_is_closed_when_nobody_uses_it() -> None:
    class Closing(MemoryDriver):
        is_closed = False

        async def close(self) -> None:
            self.is_closed = True

    opened: list[Closing] = []

    def open_driver(site: Site) -> Closing:
        opened.append(Closing(label=site.name))
        return opened[-1]

    async def main() -> None:
        places = Places(open_driver)
        site = Site("A", (Door("memory", "memory:A"),))
        places.take_in([site])
        door = places.door("A")
        places.take_in([replace(site, doors=(Door("memory", "memory:new"),))])
        assert places.door("A").driver is not door.driver
        await places.tidy()
        assert [each.is_closed for each in opened] == [False, False]
        del door
        await places.tidy()
        assert [each.is_closed for each in opened] == [True, False]
        await places.close()
        assert [each.is_closed for each in opened] == [True, True]

    asyncio.run(main())


def test_a_fence_remembers_no_more_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fences, "LOST_MAX", 3)
    n_remembered = 0

    class Remembering(Fence):
        async def check(self, claim: str) -> None:
            nonlocal n_remembered
            try:
                await super().check(claim)
            finally:
                n_remembered = max(n_remembered, len(self._lost))

    def standing(claims: Collection[str]) -> frozenset[str]:
        return frozenset(claim for claim in claims if claim.startswith("good"))

    async def main() -> None:
        lease = Lease(lambda: True, 60.0)
        lease.renew()
        fence = Remembering(standing, lease, asyncio.sleep)
        for number in range(5):
            at_once = [fence.check(f"lost{number}.{each}") for each in range(5)]
            ends = await asyncio.gather(fence.check("good"), *at_once, return_exceptions=True)
            assert ends[0] is None
            assert all(isinstance(end, ClaimLost) for end in ends[1:])

    asyncio.run(main())
    assert n_remembered <= 6


def test_where_requests_were_closed_is_forgotten_only_with_caution(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(since, "CLOSED_MAX", 2)
    world.publish(2)
    known = since.Since(world.store)

    def head() -> Head:
        return world.store.head()

    first = head()
    ids = [world.ask(site).id for site in "BC"]
    begun = head()
    assert known.may_matter(first, begun, "other")  # Requests were made: that may matter to anybody.
    for id in ids:
        requests.cancel(world.store, id, actor="test", reason="test")
    assert known.may_matter(begun, head(), ids[0])
    assert not known.may_matter(begun, head(), "other")
    third = world.ask("B").id
    after = head()
    requests.cancel(world.store, third, actor="test", reason="test")
    assert known.may_matter(begun, head(), "other")
    assert not known.may_matter(after, head(), "other")
    assert known.may_matter(after, head(), third)
