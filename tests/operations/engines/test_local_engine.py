"""LocalEngine: the contract between storages in memory, on disk, and on a WebDAV server; and its own rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from between import Between, BetweenFolders, Disk
from engine_servers import Folder, access_to

from holdfast.model.clock import system_clock
from holdfast.model.errors import PeerError
from holdfast.operations.codes import Code
from holdfast.operations.engine import TransferEngine, Verdict
from holdfast.operations.engines.local import LocalEngine
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.storage.driver import Capabilities, NotThere, StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.engine_hooks import DATA, Ends
from holdfast.testing.memory_driver import FULL, MemoryDriver
from holdfast.testing.memory_tree import MemoryTree
from support import real

if TYPE_CHECKING:
    from holdfast.testing.servers.rclone_server import RcloneServer
    from holdfast.testing.servers.xrootd_server import XrootdServer


class _Local(Between):
    algorithms = ("adler32", "sha256")

    def make_engine(self) -> TransferEngine:
        return OneByOne(LocalEngine(system_clock))


class TestInMemory(_Local):
    """And what only a storage in memory can be made to do."""

    there: MemoryTree
    capabilities: Capabilities = FULL

    @pytest.fixture(autouse=True)
    def _trees(self) -> None:
        self.here, self.there = MemoryTree(system_clock), MemoryTree(system_clock)

    def make_source(self) -> StorageDriver:
        return MemoryDriver(tree=self.here, label="memory:source", chunk_bytes=1 << 16)

    def make_destination(self) -> StorageDriver:
        return MemoryDriver(tree=self.there, label="memory:destination", capabilities=self.capabilities)

    def paths(self) -> list[str]:
        return MemoryDriver(tree=self.there).paths()

    def test_a_source_that_goes_away_midway(self) -> None:
        self.put_source("/a/file", DATA)

        def vanish(operation: str, path: str) -> None:
            if operation == "read.chunk" and self.here.get(path) is not None:
                self.remove_source(path)
            elif operation == "read.chunk":
                raise NotThere("no such file", place=path)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.SOURCE_MISSING)

        self.run(scenario, at_source=vanish)
        assert self.paths() == []

    def test_bytes_damaged_on_the_way_are_not_blamed_on_the_source(self) -> None:
        self.put_source("/a/file", bytes(reversed(DATA)))

        def heal(operation: str, path: str) -> None:
            if operation in ("checksum", "told", "stat"):
                self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DAMAGED)
            assert "source is right" in outcome.error

        self.run(scenario, at_source=heal)
        assert self.paths() == []

    def test_a_source_that_fails_is_passing_trouble(self) -> None:
        self.put_source("/a/file", DATA)

        def fail(operation: str, path: str) -> None:
            if operation == "read.chunk":
                raise PeerError("broken", place=path)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert outcome.code is Code.SOURCE_FAILED

        self.run(scenario, at_source=fail)
        assert self.paths() == []

    def test_a_file_that_came_between_is_not_replaced(self) -> None:
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DESTINATION_FAILED)

        self.run(scenario, at_destination=self.when_arrived(lambda _: self.put("/a/file", b"quicker")))
        if self.capabilities.rename:
            assert self.get("/a/file") == b"quicker"
            assert self.paths() == ["/a/file"]

    def test_a_file_that_is_to_be_replaced_and_changes_meanwhile_stays(self) -> None:
        self.put_source("/a/file", DATA)
        self.put("/a/file", b"old")

        def change(operation: str, path: str) -> None:
            if operation == "write.done":
                self.put("/a/file", b"newer")

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one(ends.transfer(replaceable=lambda: ""))
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DESTINATION_FAILED)

        if self.capabilities.rename:
            self.run(scenario, at_destination=change)
            assert self.get("/a/file") == b"newer"


class TestInMemoryWithoutRenaming(TestInMemory):
    capabilities = replace(FULL, rename=False, atomic_rename=False)

    def test_a_file_that_came_between_is_not_replaced(self) -> None:
        """It has the final name, and so is taken for what was written there; the proof tells."""
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DAMAGED)

        self.run(scenario, at_destination=self.when_arrived(lambda _: self.put("/a/file", b"quicker")))


class TestInMemoryWithRenamingThatCopies(TestInMemory):
    capabilities = replace(FULL, atomic_rename=False)

    def test_a_file_damaged_while_it_was_renamed_does_not_stay(self) -> None:
        self.put_source("/a/file", DATA)

        def damage(operation: str, path: str) -> None:
            if operation == "rename.done":
                self.there.flip_byte(path)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DAMAGED)

        self.run(scenario, at_destination=damage)
        assert self.paths() == []


class TestOnDisk(BetweenFolders, _Local):
    here: Disk
    there: Disk

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        self.request = request
        self.here, self.there = Disk(tmp_path / "source"), Disk(tmp_path / "destination")

    def make_source(self) -> StorageDriver:
        return PosixDriver(self.here.root, label="SOURCE")

    def make_destination(self) -> StorageDriver:
        return PosixDriver(self.there.root, label="DESTINATION")


@pytest.fixture(scope="module")
def xrootd() -> Iterator[XrootdServer]:
    real.require("xrootd")
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as server:
        yield server


@pytest.fixture(scope="module")
def rclone() -> Iterator[RcloneServer]:
    real.require("rclone")
    from holdfast.testing.servers.rclone_server import rclone_server

    with rclone_server() as server:
        yield server


@pytest.mark.real("xrootd", "rclone")
class TestOverWebdav(BetweenFolders, _Local):
    """From a server that tells no checksums to one that does, and that hangs up when it is full."""

    here: Folder
    there: Folder
    code_when_full = Code.DESTINATION_FAILED
    may_stall = True

    @pytest.fixture(autouse=True)
    def _folders(self, rclone: RcloneServer, xrootd: XrootdServer, request: pytest.FixtureRequest) -> None:
        self.request = request
        self.here, self.there = Folder(rclone), Folder(xrootd)

    def make_source(self) -> StorageDriver:
        return WebdavDriver(self.here.server.url + self.here.name, site="SOURCE", access=access_to(self.here.server))

    def make_destination(self) -> StorageDriver:
        server = self.there.server
        return WebdavDriver(server.https_url + self.there.name, site="DESTINATION", access=access_to(server))
