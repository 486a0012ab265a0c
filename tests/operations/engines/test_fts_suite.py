"""The engine ``fts`` keeps the contract of engines, with a service that copies between folders: such as we read
ourselves, and such as servers serve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from between import BetweenFolders, Disk
from engine_servers import Folder, access_to
from fts_world import BERN, OSLO, FtsWorld, fts_world

from holdfast.operations.engine import TransferEngine
from holdfast.storage.driver import StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.servers.rclone_server import RcloneServer, rclone_server
from support import real

pytestmark = pytest.mark.slow


Served = tuple[FtsWorld, RcloneServer, RcloneServer]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtsWorld]:
    with fts_world(tmp_path_factory.mktemp("fts")) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    real.require("rclone")
    with rclone_server() as one, rclone_server() as other:
        folders = {each.url: each.data for each in (one, other)}
        with fts_world(tmp_path_factory.mktemp("fts"), served=folders) as made:
            yield made, one, other


class _Fts(BetweenFolders):
    world: FtsWorld

    def make_engine(self) -> TransferEngine:
        return self.world.engine()


class TestBetweenFolders(_Fts):
    here: Disk
    there: Disk

    @pytest.fixture(autouse=True)
    def _fresh(self, running: FtsWorld, request: pytest.FixtureRequest) -> None:
        running.server.reset()
        self.world, self.request = running, request
        self.here, self.there = Disk(running.bern), Disk(running.oslo)

    def make_source(self) -> StorageDriver:
        return PosixDriver(self.here.root, label="SOURCE")

    def make_destination(self) -> StorageDriver:
        return PosixDriver(self.there.root, label="DESTINATION")

    def source_pfn(self, path: str) -> str:
        return BERN + path

    def destination_pfn(self, path: str) -> str:
        return OSLO + path


@pytest.mark.real("rclone")
class TestBetweenWebdavServers(_Fts):
    """Drivers that speak of files to other storages themselves, and servers that tell no checksums."""

    here: Folder
    there: Folder

    @pytest.fixture(autouse=True)
    def _fresh(self, served: Served, request: pytest.FixtureRequest) -> None:
        self.world, one, other = served
        self.world.server.reset()
        self.request = request
        self.here, self.there = Folder(one), Folder(other)

    def make_source(self) -> StorageDriver:
        return _webdav(self.here, "SOURCE")

    def make_destination(self) -> StorageDriver:
        return _webdav(self.there, "DESTINATION")

    def source_pfn(self, path: str) -> str:
        return _pfn(self.here, path)

    def destination_pfn(self, path: str) -> str:
        return _pfn(self.there, path)


def _webdav(folder: Folder, site: str) -> WebdavDriver:
    return WebdavDriver(_pfn(folder), site=site, access=access_to(folder.server))


def _pfn(folder: Folder, path: str = "") -> str:
    return folder.server.url + folder.name + path
