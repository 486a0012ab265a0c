"""The engine ``fts`` keeps the contract of engines, with a service that copies between folders: such as we read
ourselves, and such as servers serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_servers import tmpfs
from fts_world import BERN, OSLO, FtsWorld, fts_world

from holdfast.operations.engine import TransferEngine
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.driver import StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.engine_suite import EngineSuite
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


class _Fts(EngineSuite):
    """Two folders, ``here`` and ``there``."""

    world: FtsWorld
    here: Path
    there: Path
    request: pytest.FixtureRequest

    def make_engine(self) -> TransferEngine:
        return self.world.engine()

    def put_source(self, path: str, data: bytes) -> None:
        _put(self.here / path[1:], data)

    def put(self, path: str, data: bytes) -> None:
        _put(self.there / path[1:], data)

    def get(self, path: str) -> bytes | None:
        target = self.there / path[1:]
        return target.read_bytes() if target.is_file() else None

    def remove(self, path: str) -> None:
        (self.there / path[1:]).unlink()

    def remove_source(self, path: str) -> None:
        (self.here / path[1:]).unlink()

    def paths(self) -> list[str]:
        return sorted(f"/{path.relative_to(self.there)}" for path in self.there.rglob("*") if path.is_file())


class TestBetweenFolders(_Fts):
    @pytest.fixture(autouse=True)
    def _fresh(self, running: FtsWorld, request: pytest.FixtureRequest) -> None:
        running.server.reset()
        self.world, self.request = running, request
        self.here, self.there = running.bern, running.oslo

    @pytest.fixture
    def _full(self) -> Iterator[None]:
        real.require("tmpfs mount")
        with tmpfs(self.there):
            yield

    def fill_up(self) -> None:
        self.request.getfixturevalue("_full")

    def make_source(self) -> StorageDriver:
        return PosixDriver(self.here, label="SOURCE")

    def make_destination(self) -> StorageDriver:
        return PosixDriver(self.there, label="DESTINATION")

    def source_pfn(self, path: str) -> str:
        return BERN + path

    def destination_pfn(self, path: str) -> str:
        return OSLO + path


@pytest.mark.real("rclone")
class TestBetweenWebdavServers(_Fts):
    """Drivers that speak of files to other storages themselves, and servers that tell no checksums."""

    servers: tuple[RcloneServer, RcloneServer]

    @pytest.fixture(autouse=True)
    def _fresh(self, served: Served) -> None:
        self.world, *servers = served
        self.world.server.reset()
        self.servers = (servers[0], servers[1])
        self.here, self.there = (server.data for server in servers)

    def put_source(self, path: str, data: bytes) -> None:
        self.servers[0].put(path, data)

    def put(self, path: str, data: bytes) -> None:
        self.servers[1].put(path, data)

    def make_source(self) -> StorageDriver:
        return _webdav(self.servers[0], "SOURCE")

    def make_destination(self) -> StorageDriver:
        return _webdav(self.servers[1], "DESTINATION")

    def source_pfn(self, path: str) -> str:
        return self.servers[0].url + path

    def destination_pfn(self, path: str) -> str:
        return self.servers[1].url + path


def _webdav(server: RcloneServer, site: str) -> WebdavDriver:
    return WebdavDriver(server.url, site=site, access=Access(AccessSettings(call_timeout_s=20.0)))


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
