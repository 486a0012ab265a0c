"""Glances: when a directory is listed instead of names being looked for, and when that is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from holdfast.model.clock import system_clock
from holdfast.model.errors import PeerError
from holdfast.operations.engine import Place
from holdfast.operations.engines.glances import ENTRIES_PER_LOOK, HOLD_S, LOOKS_MIN, Glances
from holdfast.storage.driver import DirectoryListing
from holdfast.testing.engine_drivers import MeddledDriver
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.memory_tree import MemoryTree


class Directory:
    """One directory, the glances at it, and a clock that stands still."""

    def __init__(self) -> None:
        self.tree = MemoryTree(system_clock)
        self.now_s = 1000.0
        self.listings = 0
        self.error: Exception | None = None
        self.driver = MeddledDriver(MemoryDriver(tree=self.tree), self._hear)
        self.glances = Glances(lambda: self.now_s)

    async def _hear(self, operation: str, path: str) -> None:
        if operation == "list":
            self.listings += 1
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error

    def place(self, name: str) -> Place:
        return Place("SITE", self.driver, f"/a/{name}", "")

    async def shows_nothing(self, name: str) -> bool:
        return await self.glances.shows_nothing(self.place(name))

    def miss(self, count: int = LOOKS_MIN) -> None:
        for _ in range(count):
            self.glances.missed(self.place("missed"))


def run(scenario: Callable[[Directory], Awaitable[None]]) -> None:
    async def whole() -> None:
        directory = Directory()
        await scenario(directory)
        await directory.glances.close()

    asyncio.run(whole())


def test_a_few_looks_are_no_reason_to_list() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss(LOOKS_MIN - 1)
        assert not await directory.shows_nothing("x")
        assert directory.listings == 0

    run(scenario)


def test_after_many_looks_in_vain_one_listing_tells_for_all() -> None:
    async def scenario(directory: Directory) -> None:
        directory.tree.put("/a/there", b"x")
        directory.miss()
        found = await asyncio.gather(*(directory.shows_nothing(f"x{number}") for number in range(50)))
        assert all(found)
        assert not await directory.shows_nothing("there")
        assert directory.listings == 1

    run(scenario)


def test_a_directory_that_is_not_there_has_room_for_all() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss()
        assert await directory.shows_nothing("x")
        assert directory.listings == 1

    run(scenario)


def test_a_glance_is_believed_for_a_while() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss()
        assert await directory.shows_nothing("x")
        directory.now_s += HOLD_S - 1
        assert await directory.shows_nothing("x")
        directory.now_s += 1
        assert not await directory.shows_nothing("x")
        directory.miss()
        assert await directory.shows_nothing("x")
        assert directory.listings == 2

    run(scenario)


def test_a_listing_that_has_spared_many_looks_is_made_anew_at_once() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss()
        for number in range(LOOKS_MIN):
            assert await directory.shows_nothing(f"x{number}")
        directory.now_s += HOLD_S
        assert await directory.shows_nothing("x")
        assert directory.listings == 2
        directory.now_s += HOLD_S
        assert not await directory.shows_nothing("x")

    run(scenario)


def test_looks_long_ago_do_not_count() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss(LOOKS_MIN - 1)
        directory.now_s += HOLD_S
        directory.miss(1)
        assert not await directory.shows_nothing("x")
        assert directory.listings == 0

    run(scenario)


def test_what_has_arrived_is_shown_and_what_proved_wrong_is_forgotten() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss()
        assert await directory.shows_nothing("x")
        directory.glances.arrived(directory.place("x"))
        assert not await directory.shows_nothing("x")
        assert await directory.shows_nothing("y")
        directory.glances.forget(directory.place("y"))
        assert not await directory.shows_nothing("y")

    run(scenario)


def test_a_large_directory_is_listed_only_where_that_spares_as_many_looks() -> None:
    async def scenario(directory: Directory) -> None:
        for number in range(ENTRIES_PER_LOOK * LOOKS_MIN * 2):
            directory.tree.put(f"/a/{number}", b"")
        directory.miss()
        assert await directory.shows_nothing("x")
        directory.now_s += HOLD_S
        for _ in range(2):
            assert not await directory.shows_nothing("x")
            directory.miss()
        assert await directory.shows_nothing("x")
        assert directory.listings == 2

    run(scenario)


@pytest.mark.parametrize("is_doubt", [True, False])
def test_a_listing_that_is_doubted_or_fails_shows_nothing_to_anybody(is_doubt: bool) -> None:
    async def scenario(directory: Directory) -> None:
        if is_doubt:

            async def doubted(path: str) -> DirectoryListing:
                return DirectoryListing((), doubt="there is more")

            directory.driver.list = doubted  # type: ignore[method-assign]
        else:
            directory.error = PeerError("no answer")
        directory.miss()
        assert not any(await asyncio.gather(*(directory.shows_nothing(f"x{number}") for number in range(5))))
        assert not await directory.shows_nothing("x")
        assert directory.listings == (0 if is_doubt else 1)

    run(scenario)


def test_who_is_cancelled_while_a_listing_is_made_does_not_take_it_from_the_others() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss()
        first = asyncio.ensure_future(directory.shows_nothing("x"))
        other = asyncio.ensure_future(directory.shows_nothing("y"))
        await asyncio.sleep(0)
        first.cancel()
        assert await other
        assert first.cancelled() or first.done()
        assert directory.listings == 1

    run(scenario)


def test_other_directories_and_other_storages_are_not_meant() -> None:
    async def scenario(directory: Directory) -> None:
        directory.miss()
        assert await directory.shows_nothing("x")
        elsewhere = Place("SITE", directory.driver, "/b/x", "")
        assert not await directory.glances.shows_nothing(elsewhere)
        other = Place("OTHER", MemoryDriver(), "/a/x", "")
        assert not await directory.glances.shows_nothing(other)

    run(scenario)
