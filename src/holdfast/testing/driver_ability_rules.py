"""What the optional abilities have to do: a second look, pages, checksums that the storage tells.

Part of ``holdfast.testing.driver_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from holdfast.model.errors import BrokenInvariant, InvalidName
from holdfast.storage.abilities import (
    BlockingDriver,
    PagingDriver,
    PermissionsDriver,
    SecondLookDriver,
    ThirdPartyCopyDriver,
)
from holdfast.storage.driver import Capabilities, DirectoryListing, NotADirectory, NotThere, StorageDriver, Unsupported
from holdfast.testing.driver_hooks import (
    BAD_PATHS,
    ODD_NAMES,
    DriverHooks,
    everything,
    pattern,
    refused,
    stream,
)


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
            assert isinstance(driver, BlockingDriver) or not declared.blocking
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

    @pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path[:12]))
    def test_a_bad_path_is_refused_by_every_ability(self, path: str) -> None:
        async def scenario(driver: StorageDriver) -> None:
            for call in _more_calls(driver, path):
                await refused(InvalidName, call())

        self.put("/file", b"x")
        self.run(scenario)

    def test_a_closed_driver_refuses_every_call(self) -> None:
        self.put("/file", b"stays")

        async def scenario(driver: StorageDriver) -> None:
            await driver.list("/")
            await driver.close()
            declared = driver.capabilities
            calls: list[tuple[bool, Callable[[], Awaitable[object]]]] = [
                (True, lambda: driver.list("/")),
                (True, lambda: driver.stat("/file")),
                (bool(declared.checksums), lambda: driver.checksum("/file", sorted(declared.checksums)[:1])),
                (declared.readable, lambda: everything(driver.read("/file"))),
                (declared.writable, lambda: driver.write("/new", stream(b"x"))),
                (declared.writable and declared.rename, lambda: driver.rename("/file", "/new")),
                (declared.writable, lambda: driver.delete("/file")),
                (declared.writable, lambda: driver.make_directory("/new")),
                (declared.writable and declared.removes_directories, lambda: driver.remove_directory("/a")),
                *((True, call) for call in _more_calls(driver, "/file")),
            ]
            for number, (able, call) in enumerate(calls):
                with pytest.raises((BrokenInvariant, Unsupported)) as caught:
                    await call()
                assert isinstance(caught.value, BrokenInvariant) or not able, number

        self.run(scenario)
        assert self.get("/file") == b"stays"

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

    def test_what_is_declared_told_is_told_of_a_file_that_was_written(self) -> None:
        """Of one algorithm at least: a storage need not have all that the protocol can carry."""
        self.need("told", "writable")
        if self.tells_nothing:
            pytest.skip(self.tells_nothing)

        async def scenario(driver: StorageDriver) -> None:
            await driver.write("/a/file", stream(pattern(1000)))
            assert (await driver.checksum("/a/file", sorted(driver.capabilities.told))).told

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


def _more_calls(driver: StorageDriver, path: str) -> list[Callable[[], Awaitable[object]]]:
    """The calls of the optional abilities that are declared."""
    calls: list[Callable[[], Awaitable[object]]] = []
    if driver.capabilities.second_look:
        calls.append(lambda: names_in(driver, path))
    if driver.capabilities.pages:
        calls.append(lambda: all_pages(driver, path))
    if driver.capabilities.permissions:
        assert isinstance(driver, PermissionsDriver)
        calls.append(lambda: driver.permissions(path))
        if driver.capabilities.writable:
            calls.append(lambda: driver.set_mode(path, 0o700))
    return calls


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
