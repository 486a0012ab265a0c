"""What listing, looking, reading and checksums have to do.

Part of ``holdfast.testing.driver_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable

import pytest

from holdfast.model import names
from holdfast.model.checksums import DIGITS
from holdfast.model.errors import BadInput, InvalidName
from holdfast.storage.abilities import TakenDriver
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import (
    CHUNK_BYTES,
    ChangedWhileRead,
    DirectoryListing,
    Kind,
    NotADirectory,
    NotAFile,
    NotThere,
    StorageDriver,
    Unsupported,
)
from holdfast.testing.driver_hooks import (
    BAD_PATHS,
    LIST_OF_PLACES,
    LISTS_OF_PLACES,
    ODD_NAMES,
    VECTORS,
    DriverHooks,
    everything,
    pattern,
    refused,
    shown,
    stream,
)


class DriverReadingRules(DriverHooks):
    """What leaves a storage as it is."""

    # Listing and looking.

    def test_an_empty_root_is_an_empty_listing(self) -> None:
        assert self.run(lambda driver: driver.list("/")) == DirectoryListing(())

    def test_an_empty_directory_is_an_empty_listing(self) -> None:
        self.need("writable", "directories")

        async def scenario(driver: StorageDriver) -> DirectoryListing:
            await driver.make_directory("/a/empty")
            return await driver.list("/a/empty")

        assert self.run(scenario) == DirectoryListing(())

    def test_a_listing_tells_files_from_directories(self) -> None:
        self.put("/a/file", b"12345")
        self.put("/a/sub/below", b"x")
        listing = self.run(lambda driver: driver.list("/a"))
        assert [(e.name, e.stat.kind) for e in listing.entries] == [("file", Kind.FILE), ("sub", Kind.DIRECTORY)]
        assert listing.entries[0].stat.size == 5

    def test_a_listing_is_in_the_order_of_the_bytes(self) -> None:
        unordered = ["b", "a", "B", "é", "z", "\U0001f4be", "\uffee", "a-", "ab", "10", "9"]
        for name in unordered:
            self.put(f"/{name}", b"")
        assert shown(self.run(lambda driver: driver.list("/"))) == sorted(set(unordered), key=str.encode)

    def test_a_listing_and_stat_say_the_same(self) -> None:
        self.put("/a/file", b"12345")

        async def scenario(driver: StorageDriver) -> None:
            (entry,) = (await driver.list("/a")).entries
            assert entry.stat == await driver.stat("/a/file")

        self.run(scenario)

    def test_a_listing_of_nothing_is_not_there(self) -> None:
        self.put("/a/file", b"")
        with pytest.raises(NotThere):
            self.run(lambda driver: driver.list("/a/none"))

    def test_a_listing_of_a_file_is_refused(self) -> None:
        self.put("/a/file", b"")
        with pytest.raises(NotADirectory):
            self.run(lambda driver: driver.list("/a/file"))

    def test_stat_of_a_file(self) -> None:
        self.put("/a/file", b"12345")
        stat = self.run(lambda driver: driver.stat("/a/file"))
        assert (stat.kind, stat.size) == (Kind.FILE, 5)

    @pytest.mark.parametrize("path", ["/", "/a", "/a/b"])
    def test_stat_of_a_directory(self, path: str) -> None:
        self.put("/a/b/file", b"12345")
        assert self.run(lambda driver: driver.stat(path)).kind is Kind.DIRECTORY

    def test_stat_of_nothing_is_not_there(self) -> None:
        with pytest.raises(NotThere):
            self.run(lambda driver: driver.stat("/none"))

    def test_nothing_is_below_a_file(self) -> None:
        self.put("/file", b"")
        with pytest.raises((NotThere, NotADirectory)):
            self.run(lambda driver: driver.stat("/file/below"))

    def test_the_version_moves_when_the_content_does(self) -> None:
        self.need("live")
        self.put("/file", b"first")

        async def scenario(driver: StorageDriver) -> None:
            before = await driver.stat("/file")
            self.put("/file", b"second")
            after = await driver.stat("/file")
            assert before != after
            assert not before.version or before.version != after.version

        self.run(scenario)

    # Names.

    @pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
    def test_an_odd_name_comes_back_exactly(self, name: str) -> None:
        directory = f"/d{name[:100]}"
        path = names.join(directory, name)
        self.put(path, name.encode())

        async def scenario(driver: StorageDriver) -> None:
            assert shown(await driver.list("/")) == [directory[1:]]
            if set(name) & set(driver.capabilities.not_in_paths):
                for call in (driver.list(directory), driver.stat(path), everything(driver.read(path))):
                    await refused(InvalidName, call)
                return
            listing = await driver.list(directory)
            too_long = len(name.encode()) > driver.capabilities.listed_bytes_max
            assert (shown(listing), len(listing.unnameable)) == (([], 1) if too_long else ([name], 0))
            if driver.capabilities.readable:
                assert await everything(driver.read(path)) == name.encode()
            assert (await driver.stat(path)).size == len(name.encode())

        self.run(scenario)

    @pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
    def test_an_odd_name_is_given_exactly(self, name: str) -> None:
        self.need("writable")
        path = names.join(f"/d{name[:100]}", name)

        async def scenario(driver: StorageDriver) -> None:
            await driver.list("/")  # What a server cannot carry is known from then on.
            if set(name) & set(driver.capabilities.not_in_paths):
                await refused(InvalidName, driver.write(path, stream(b"new")))
                await refused(InvalidName, driver.delete(path))
                return
            await driver.write(path, stream(b"new"))
            assert self.get(path) == b"new"
            await driver.delete(path)

        self.run(scenario)
        assert self.get(path) is None

    @pytest.mark.parametrize("name", LISTS_OF_PLACES)
    def test_a_list_of_places_is_read_as_what_it_is(self, name: str) -> None:
        """Clients that take it for their orders would read something else, on this machine or at any other."""
        self.need("readable")
        with tempfile.NamedTemporaryFile(prefix="holdfast-other-") as other:
            other.write(b"some other file")
            other.flush()
            data = LIST_OF_PLACES.format(url=f"file://localhost{other.name}", size=15).encode()
            self.put(f"/a/{name}", data)

            async def scenario(driver: StorageDriver) -> None:
                assert await everything(driver.read(f"/a/{name}")) == data
                for algorithm in sorted(driver.capabilities.checksums):
                    digest = await driver.checksum(f"/a/{name}", [algorithm], read=True)
                    assert digest.checksums == digests_of(data, [algorithm])
                if driver.capabilities.writable:
                    await driver.write(f"/b/{name}", stream(data))
                    assert self.get(f"/b/{name}") == data

            self.run(scenario)

    def test_a_listing_of_good_names_has_no_doubt(self) -> None:
        self.put("/a/sub/below", b"x")
        for number in range(20):
            self.put(f"/a/file {number}", pattern(number))
        listing = self.run(lambda driver: driver.list("/a"))
        assert (len(listing.entries), listing.unnameable, listing.doubt) == (21, (), "")

    def test_names_alike_to_the_eye_are_two(self) -> None:
        one, two = "\u00e9", "e\u0301"
        self.put(f"/{one}", b"one")
        self.put(f"/{two}", b"another")

        async def scenario(driver: StorageDriver) -> None:
            assert set(shown(await driver.list("/"))) == {one, two}
            for name, data in ((one, b"one"), (two, b"another")):
                assert (await driver.stat(f"/{name}")).size == len(data)
                if driver.capabilities.readable:
                    assert await everything(driver.read(f"/{name}")) == data

        self.run(scenario)

    @pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path[:12]))
    def test_a_bad_path_is_refused_by_every_call(self, path: str) -> None:
        async def scenario(driver: StorageDriver) -> None:
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: driver.list(path),
                lambda: driver.stat(path),
                lambda: driver.checksum(path, ["adler32"]),
                lambda: everything(driver.read(path)),
                lambda: driver.write(path, stream(b"x")),
                lambda: driver.rename(path, "/good"),
                lambda: driver.rename("/file", path),
                lambda: driver.delete(path),
                lambda: driver.make_directory(path),
                lambda: driver.remove_directory(path),
            ]
            for number, call in enumerate(calls):
                with pytest.raises((InvalidName, Unsupported)) as caught:
                    await call()
                assert isinstance(caught.value, InvalidName) or number >= 4, number

        self.put("/file", b"stays")
        self.run(scenario)
        assert self.get("/file") == b"stays"

    # Reading.

    @pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7])
    def test_reading_gives_all_bytes(self, size: int) -> None:
        self.need("readable")
        data = pattern(size)
        self.put("/a/file", data)
        assert self.run(lambda driver: everything(driver.read("/a/file"))) == data

    def test_a_big_file_comes_in_chunks(self) -> None:
        self.need("readable")
        self.put("/file", pattern(5 * CHUNK_BYTES))

        async def scenario(driver: StorageDriver) -> list[int]:
            return [len(chunk) async for chunk in driver.read("/file")]

        sizes = self.run(scenario)
        assert min(sizes) > 0
        assert max(sizes) <= 2 * CHUNK_BYTES

    def test_reading_may_stop_in_the_middle(self) -> None:
        self.need("readable")
        self.put("/file", pattern(3 * CHUNK_BYTES))

        async def scenario(driver: StorageDriver) -> bytes:
            async for _ in driver.read("/file"):
                break
            return await everything(driver.read("/file"))

        assert self.run(scenario) == pattern(3 * CHUNK_BYTES)

    def test_reading_nothing_is_not_there(self) -> None:
        self.need("readable")
        with pytest.raises(NotThere):
            self.run(lambda driver: everything(driver.read("/none")))

    @pytest.mark.parametrize("path", ["/", "/a"])
    def test_reading_a_directory_is_refused(self, path: str) -> None:
        self.need("readable")
        self.put("/a/file", b"")
        with pytest.raises(NotAFile):
            self.run(lambda driver: everything(driver.read(path)))

    @pytest.mark.parametrize("grown", [-CHUNK_BYTES, CHUNK_BYTES])
    def test_a_file_that_changes_while_it_is_read_is_told(self, grown: int) -> None:
        self.need("readable")
        size = 4 * CHUNK_BYTES
        self.put("/file", pattern(size))

        async def scenario(driver: StorageDriver) -> None:
            chunks = driver.read("/file")
            await anext(chunks)
            self.put("/file", bytes(size + grown))
            with pytest.raises(ChangedWhileRead):
                await everything(chunks)

        self.run(scenario)

    def test_bytes_that_cannot_be_had_are_unsupported(self) -> None:
        self.put("/file", b"x")

        async def scenario(driver: StorageDriver) -> None:
            declared = driver.capabilities
            if declared.readable:
                pytest.skip("the driver declares readable")
            await refused(Unsupported, everything(driver.read("/file")))
            for algorithm in declared.checksums:
                await refused(Unsupported, driver.checksum("/file", [algorithm], read=True))

        self.run(scenario)

    def test_what_is_not_live_says_when_it_was_taken(self) -> None:
        async def scenario(driver: StorageDriver) -> None:
            if driver.capabilities.live:
                pytest.skip("the driver declares live")
            assert isinstance(driver, TakenDriver)
            assert driver.taken.earliest_ns <= driver.taken.latest_ns
            assert not driver.capabilities.writable

        self.run(scenario)

    # Checksums.

    @pytest.mark.parametrize("algorithm", sorted(DIGITS))
    def test_checksums_are_those_published(self, algorithm: str) -> None:
        for number, data in enumerate(VECTORS[algorithm]):
            self.put(f"/file{number}", data)

        async def scenario(driver: StorageDriver) -> None:
            if algorithm not in driver.capabilities.checksums:
                pytest.skip(f"the driver does not declare {algorithm}")
            for number, expected in enumerate(VECTORS[algorithm].values()):
                digest = await driver.checksum(f"/file{number}", [algorithm])
                assert digest.checksums == {algorithm: expected}
                assert digest.stat == await driver.stat(f"/file{number}")

        self.run(scenario)

    def test_several_checksums_at_once(self) -> None:
        self.need("checksums")
        data = pattern(2 * CHUNK_BYTES + 3)
        self.put("/file", data)

        async def scenario(driver: StorageDriver) -> None:
            algorithms = sorted(driver.capabilities.checksums)
            together = await driver.checksum("/file", algorithms)
            assert set(together.checksums) == set(algorithms)
            for algorithm in algorithms:
                alone = await driver.checksum("/file", [algorithm])
                assert alone.checksums[algorithm] == together.checksums[algorithm]

        self.run(scenario)

    def test_an_unknown_checksum_is_refused(self) -> None:
        self.put("/file", b"")
        with pytest.raises(BadInput):
            self.run(lambda driver: driver.checksum("/file", ["adler32", "rot13"]))

    def test_a_known_checksum_that_is_not_declared_is_unsupported(self) -> None:
        self.put("/file", b"")

        async def scenario(driver: StorageDriver) -> None:
            lacking = sorted(set(DIGITS) - driver.capabilities.checksums)
            if not lacking:
                pytest.skip("the driver declares every algorithm")
            with pytest.raises(Unsupported):
                await driver.checksum("/file", lacking[:1])

        self.run(scenario)

    def test_the_checksum_of_a_directory_is_refused(self) -> None:
        self.need("checksums")
        self.put("/a/file", b"")

        async def scenario(driver: StorageDriver) -> None:
            with pytest.raises(NotAFile):
                await driver.checksum("/a", sorted(driver.capabilities.checksums)[:1])

        self.run(scenario)
