"""MemoryDriver: the contract at every degree of poverty, its faults, and its damage hooks."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import ClassVar

import pytest

from holdfast.model.errors import PeerError
from holdfast.storage.driver import Capabilities, NotAllowed, NotThere, StorageDriver
from holdfast.storage.parts import is_part_name
from holdfast.testing.driver_hooks import everything, stream
from holdfast.testing.driver_suite import DriverSuite
from holdfast.testing.memory_copying import CopyingMemoryDriver, Network
from holdfast.testing.memory_driver import FAULT_POINTS, FULL, PAGE_ENTRIES, MemoryDriver
from holdfast.testing.memory_tree import MemoryTree


class TestMemoryDriver(DriverSuite):
    supports_links = True
    capabilities: ClassVar[Capabilities] = FULL

    @pytest.fixture(autouse=True)
    def _storage(self) -> None:
        self.tree = MemoryTree(lambda: 1_700_000_000_123_456)

    def make_driver(self) -> StorageDriver:
        return MemoryDriver(tree=self.tree, capabilities=self.capabilities)

    def put(self, path: str, data: bytes) -> None:
        self.tree.put(path, data)

    def get(self, path: str) -> bytes | None:
        return self.tree.get(path)

    def make_link(self, path: str, target: str) -> None:
        self.tree.put_other(path)

    def outside(self) -> str:
        return "/nowhere"

    def outside_state(self) -> object:
        return None


class TestCopying(TestMemoryDriver):
    @pytest.fixture(autouse=True)
    def _network(self) -> None:
        self.network: Network = {}
        self.far = MemoryTree(lambda: 1_700_000_000_123_456)

    def make_driver(self) -> StorageDriver:
        return CopyingMemoryDriver(self.network, tree=self.tree, label="memory")

    def make_far_driver(self) -> StorageDriver:
        return CopyingMemoryDriver(self.network, tree=self.far, label="far")

    def put_far(self, path: str, data: bytes) -> None:
        self.far.put(path, data)


class TestWithoutRename(TestMemoryDriver):
    capabilities = dataclasses.replace(FULL, rename=False, atomic_rename=False)


class TestWithoutAtomicRename(TestMemoryDriver):
    capabilities = dataclasses.replace(FULL, atomic_rename=False)


class TestWithoutChecksumsAndPermissions(TestMemoryDriver):
    capabilities = dataclasses.replace(FULL, checksums=frozenset(), permissions=False)


class TestWithCoarseTimes(TestMemoryDriver):
    capabilities = dataclasses.replace(FULL, mtime_resolution_ns=1_000_000_000, checksums=frozenset({"adler32"}))

    def test_times_are_as_coarse_as_declared(self) -> None:
        self.put("/file", b"")
        assert self.run(lambda driver: driver.stat("/file")).mtime_ns == 1_700_000_000_000_000_000


class TestWithRememberedChecksums(TestMemoryDriver):
    capabilities = dataclasses.replace(FULL, told=frozenset({"adler32", "md5"}))

    def test_what_is_told_is_older_than_the_damage(self) -> None:
        self.tree.put("/file", b"good")
        self.tree.flip_byte("/file")

        async def scenario(driver: StorageDriver) -> None:
            told = await driver.checksum("/file", ["adler32"])
            read = await driver.checksum("/file", ["adler32"], read=True)
            assert told.told == {"adler32"}
            assert told.checksums != read.checksums

        self.run(scenario)


class TestWithoutAbilities(TestMemoryDriver):
    capabilities = dataclasses.replace(FULL, second_look=False, pages=False)


class TestReadOnly(TestMemoryDriver):
    capabilities = dataclasses.replace(FULL, writable=False)


class TestObjectStore(TestMemoryDriver):
    supports_links = False
    capabilities = dataclasses.replace(
        FULL, rename=False, atomic_rename=False, directories=False, permissions=False, checksums=frozenset({"md5"})
    )

    def test_a_directory_goes_with_its_last_file(self) -> None:
        async def scenario(driver: StorageDriver) -> None:
            await driver.write("/a/b/file", stream(b"x"))
            await driver.make_directory("/a/empty")
            assert [entry.name for entry in (await driver.list("/a")).entries] == ["b"]
            await driver.delete("/a/b/file")
            with pytest.raises(NotThere):
                await driver.list("/a")

        self.run(scenario)


class Recorder:
    """Notes every operation and fails at the given one."""

    def __init__(self, failing: str = "", error: BaseException | None = None) -> None:
        self.failing = failing
        self.error = error or PeerError("a fault")
        self.seen: list[str] = []

    def __call__(self, operation: str, path: str) -> None:
        self.seen.append(operation)
        if operation == self.failing:
            raise self.error


class CrashError(BaseException):
    """The simulator's end of a process."""


async def do_everything(driver: MemoryDriver) -> None:
    await driver.make_directory("/a/b")
    await driver.remove_directory("/a/b")
    await driver.write("/a/file", stream(b"data"))
    await driver.write("/a/other", stream(b"data"))
    await everything(driver.read("/a/file"))
    await driver.checksum("/a/file", ["md5"])
    await driver.rename("/a/file", "/a/other", replace=True)
    await driver.set_mode("/a/other", 0o600)
    await driver.permissions("/a/other")
    await driver.stat("/a/other")
    await driver.list("/a")
    await driver.names("/a")
    for number in range(PAGE_ENTRIES):
        driver.put(f"/a/{number}", b"")
    assert [page async for page in driver.pages("/a")]
    await driver.delete("/a/other")


def test_every_fault_point_is_reached() -> None:
    recorder = Recorder()
    asyncio.run(
        do_everything(MemoryDriver(capabilities=dataclasses.replace(FULL, atomic_rename=False), faults=recorder))
    )
    assert set(recorder.seen) == set(FAULT_POINTS)


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_fault_comes_through_with_its_place(point: str) -> None:
    capabilities = dataclasses.replace(FULL, atomic_rename=False)
    driver = MemoryDriver(label="SITE", capabilities=capabilities, faults=Recorder(point))
    with pytest.raises(PeerError, match="a fault") as caught:
        asyncio.run(do_everything(driver))
    assert caught.value.place.startswith("SITE:/a")
    assert not [path for path in driver.paths() if is_part_name(path.rpartition("/")[2])]


def test_a_fault_before_the_effect_prevents_it_and_one_after_does_not() -> None:
    for point, stays in (("write.chunk", False), ("write.finish", False), ("write.done", True)):
        driver = MemoryDriver(faults=Recorder(point))
        with pytest.raises(PeerError):
            asyncio.run(driver.write("/file", stream(b"data")))
        assert driver.paths() == (["/file"] if stays else [])
    for point, stays in (("delete", True), ("delete.done", False)):
        driver = MemoryDriver(faults=Recorder(point))
        driver.put("/file", b"data")
        with pytest.raises(PeerError):
            asyncio.run(driver.delete("/file"))
        assert driver.paths() == (["/file"] if stays else [])


def test_a_crash_while_writing_leaves_a_part_and_nothing_else() -> None:
    driver = MemoryDriver(faults=Recorder("write.finish", CrashError()))
    with pytest.raises(CrashError):
        asyncio.run(driver.write("/a/file", stream(b"data")))
    (left,) = driver.paths()
    assert is_part_name(left.removeprefix("/a/"))
    # Another process begins again beside it.
    again = MemoryDriver(tree=driver.tree)
    asyncio.run(again.write("/a/file", stream(b"data")))
    assert again.paths() == sorted(["/a/file", left])


def test_a_rename_that_is_not_atomic_shows_a_gap() -> None:
    driver = MemoryDriver(
        capabilities=dataclasses.replace(FULL, atomic_rename=False), faults=Recorder("rename.middle", CrashError())
    )
    driver.put("/old", b"old")
    driver.put("/new", b"new")
    with pytest.raises(CrashError):
        asyncio.run(driver.rename("/old", "/new", replace=True))
    assert (driver.get("/old"), driver.get("/new")) == (b"old", None)


def test_damage_is_seen_by_checksum_alone() -> None:
    driver = MemoryDriver()
    driver.put("/file", b"some data", mtime_ns=5)
    before = asyncio.run(driver.checksum("/file", ["sha256"]))
    driver.flip_byte("/file", 3)
    after = asyncio.run(driver.checksum("/file", ["sha256"]))
    assert before.stat == after.stat
    assert before.checksums != after.checksums
    driver.truncate("/file", 4)
    stat = asyncio.run(driver.stat("/file"))
    assert (stat.size, stat.mtime_ns, stat.version) == (4, 5, before.stat.version)


def test_the_moment_of_a_change_is_kept_apart_from_mtime() -> None:
    now = 1_000
    driver = MemoryDriver(lambda: now)

    def told(path: str) -> tuple[int, int | None]:
        stat = asyncio.run(driver.stat(path))
        return stat.mtime_ns, stat.changed_ns

    driver.put("/old", b"data", mtime_ns=7)
    assert told("/old") == (7, 1_000_000)
    now = 2_000
    driver.flip_byte("/old")
    driver.truncate("/old", 2)
    assert told("/old") == (7, 1_000_000)
    asyncio.run(driver.rename("/old", "/new"))
    assert told("/new") == (7, 2_000_000)
    now = 3_000
    asyncio.run(driver.set_mode("/new", 0o600))
    assert told("/new") == (7, 3_000_000)
    asyncio.run(driver.write("/file", stream(b"x")))
    assert told("/file") == (3_000_000, 3_000_000)


def test_a_directory_fails_until_it_is_healed() -> None:
    driver = MemoryDriver()
    driver.put("/a/file", b"")
    driver.fail_directory("/a")
    with pytest.raises(NotAllowed):
        asyncio.run(driver.list("/a"))
    asyncio.run(driver.stat("/a/file"))
    driver.heal_directory("/a")
    assert len(asyncio.run(driver.list("/a")).entries) == 1


def test_a_checksum_of_a_file_that_moves_is_refused() -> None:
    driver = MemoryDriver(chunk_bytes=2)
    driver.put("/file", b"abcdef")

    def change(operation: str, path: str) -> None:
        if operation == "checksum.chunk":
            driver.put(path, b"ghijkl")

    driver.faults = change
    with pytest.raises(PeerError, match="changed while it was read"):
        asyncio.run(driver.checksum("/file", ["md5"]))
