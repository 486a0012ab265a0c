"""What the optional abilities have to do: a second look, pages, checksums that the storage tells.

Part of ``holdfast.testing.driver_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from holdfast.model.errors import BrokenInvariant
from holdfast.storage.driver import (
    Capabilities,
    DirectoryListing,
    NotADirectory,
    NotThere,
    PagingDriver,
    SecondLookDriver,
    StorageDriver,
    ThirdPartyCopyDriver,
)
from holdfast.testing.driver_hooks import ODD_NAMES, DriverHooks, pattern


async def all_pages(driver: StorageDriver, path: str) -> list[DirectoryListing]:
    """Every piece of a directory."""
    assert isinstance(driver, PagingDriver)
    return [page async for page in driver.pages(path)]


async def names_in(driver: StorageDriver, path: str) -> list[str]:
    """The names in a directory, by a second look."""
    assert isinstance(driver, SecondLookDriver)
    return list((await driver.names(path)).names)


class AbilityRules(DriverHooks):
    """What holds where ``capabilities`` declare it."""

    def test_an_ability_that_is_declared_is_there(self) -> None:
        async def scenario(driver: StorageDriver) -> None:
            declared = driver.capabilities
            assert isinstance(driver, SecondLookDriver) or not declared.second_look
            assert isinstance(driver, PagingDriver) or not declared.pages
            assert isinstance(driver, ThirdPartyCopyDriver) or not declared.third_party_copy
            assert declared.told <= declared.checksums
            assert declared.calls_max >= 1

        self.run(scenario)

    # A second look.

    def test_a_second_look_shows_the_same_names(self) -> None:
        self.need("second_look")
        for name in ODD_NAMES:
            self.put(f"/a/{name}", b"x")
        self.put("/a/sub/below", b"x")

        async def scenario(driver: StorageDriver) -> None:
            assert await names_in(driver, "/a") == [entry.name for entry in (await driver.list("/a")).entries]
            assert await names_in(driver, "/a/sub") == ["below"]

        self.run(scenario)

    def test_a_second_look_at_an_empty_directory_is_empty(self) -> None:
        self.need("second_look", "writable", "directories")

        async def scenario(driver: StorageDriver) -> None:
            await driver.make_directory("/a/empty")
            assert await names_in(driver, "/a/empty") == []

        self.run(scenario)

    def test_a_second_look_fails_as_a_listing_does(self) -> None:
        self.need("second_look")
        self.put("/file", b"x")

        async def scenario(driver: StorageDriver) -> None:
            await _fails_as_a_listing(driver, lambda path: names_in(driver, path))

        self.run(scenario)

    # Pages.

    @pytest.mark.parametrize("files", [0, 1, 2, 3, 4, 7, 30])
    def test_pages_together_are_the_listing(self, files: int) -> None:
        self.need("pages")
        self.put("/a/sub/below", b"x")
        for number in range(files):
            self.put(f"/a/file {number}", pattern(number))

        async def scenario(driver: StorageDriver) -> None:
            pages = await all_pages(driver, "/a")
            assert tuple(entry for page in pages for entry in page.entries) == (await driver.list("/a")).entries
            assert not any(page.doubt for page in pages)

        self.run(scenario)

    def test_an_empty_directory_is_one_page(self) -> None:
        self.need("pages")

        async def scenario(driver: StorageDriver) -> None:
            assert await all_pages(driver, "/") == [DirectoryListing(())]

        self.run(scenario)

    def test_pages_fail_as_a_listing_does(self) -> None:
        self.need("pages")
        self.put("/file", b"x")

        async def scenario(driver: StorageDriver) -> None:
            await _fails_as_a_listing(driver, lambda path: all_pages(driver, path))

        self.run(scenario)

    def test_whoever_stops_turning_pages_leaves_a_driver_that_works(self) -> None:
        self.need("pages")
        for number in range(20):
            self.put(f"/a/{number}", b"x")

        async def scenario(driver: StorageDriver) -> None:
            assert isinstance(driver, PagingDriver)
            pages: AsyncIterator[DirectoryListing] = driver.pages("/a")
            assert (await anext(pages)).entries
            await pages.aclose()  # type: ignore[attr-defined]
            assert len((await driver.list("/a")).entries) == 20

        self.run(scenario)

    # Checksums that are told.

    def test_only_what_is_declared_is_told(self) -> None:
        self.need("checksums")
        self.put("/file", pattern(1000))

        async def scenario(driver: StorageDriver) -> None:
            algorithms = sorted(driver.capabilities.checksums)
            digest = await driver.checksum("/file", algorithms)
            assert digest.told <= driver.capabilities.told
            assert set(digest.checksums) == set(algorithms)

        self.run(scenario)

    def test_what_is_read_is_not_told(self) -> None:
        self.need("readable")

        async def scenario(driver: StorageDriver) -> None:
            algorithms = sorted(driver.capabilities.told)
            if not algorithms:
                pytest.skip("the driver declares no checksums that the storage tells")
            self.put("/file", pattern(1000))
            asked = await driver.checksum("/file", algorithms)
            read = await driver.checksum("/file", algorithms, read=True)
            assert read.told == frozenset()
            assert read.checksums == asked.checksums

        self.run(scenario)

    def test_what_is_told_is_of_the_file_as_it_is_now(self) -> None:
        async def scenario(driver: StorageDriver) -> None:
            algorithms = sorted(driver.capabilities.told)
            if not algorithms or not driver.capabilities.writable:
                pytest.skip("the driver declares no checksums that the storage tells, or cannot write")
            self.put("/file", pattern(1000))
            before = await driver.checksum("/file", algorithms)
            await driver.delete("/file")
            self.put("/file", pattern(2000))
            after = await driver.checksum("/file", algorithms)
            assert {before.checksums[name] for name in algorithms}.isdisjoint(after.checksums.values())
            assert after.stat == await driver.stat("/file")

        self.run(scenario)


async def _fails_as_a_listing(driver: StorageDriver, look: Callable[[str], Awaitable[object]]) -> None:
    declared: Capabilities = driver.capabilities
    with pytest.raises(NotThere) as caught:
        await look("/none")
    assert caught.value.place == f"{driver.label}:/none"
    with pytest.raises(NotADirectory if declared.directories else (NotADirectory, NotThere)):
        await look("/file")
    await driver.close()
    with pytest.raises(BrokenInvariant):
        await look("/")
