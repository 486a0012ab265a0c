"""The http engine: copies between real servers, which fetch or send; and what only servers can do to it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from between import BetweenFolders
from engine_servers import Folder, Server, access_to, two_xrootd_servers

from holdfast.config import LinkSettings
from holdfast.model.clock import system_clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import Job, Outcome, Place, Transfer, TransferEngine, Verdict
from holdfast.operations.engines.choosing import Chosen, Engines
from holdfast.operations.engines.local import LocalEngine
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.operations.engines.third_party import http_engine
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import StorageDriver, Unsupported
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.driver_hooks import pattern
from holdfast.testing.engine_drivers import MeddledDriver
from holdfast.testing.engine_hooks import DATA, MemoryDesk
from support import real

if TYPE_CHECKING:
    from holdfast.testing.servers.rclone_server import RcloneServer
    from holdfast.testing.servers.test_authority import TestAuthority
    from holdfast.testing.servers.xrootd_server import XrootdServer

LARGE_BYTES = 2 << 30
"""Of a file with nothing in it, which takes a second to copy."""
LIMIT_S = 2.0
COSTS_S_MAX = 15.0
"""What a frozen server may cost: the limit of the copy, those of looking at both ends, and a busy machine."""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[XrootdServer, XrootdServer]]:
    real.require("xrootd")
    with two_xrootd_servers() as both:
        yield both


@pytest.fixture(scope="module")
def rclone() -> Iterator[RcloneServer]:
    """Without TLS: with it rclone speaks HTTP/2, and what XRootD 5.5 sends then does not arrive."""
    real.require("rclone")
    from holdfast.testing.servers.rclone_server import rclone_server

    with rclone_server() as server:
        yield server


class _Http(BetweenFolders):
    """``here`` and ``there`` are folders of two servers."""

    here: Folder
    there: Folder
    may_stall = True

    def make_engine(self) -> TransferEngine:
        return OneByOne(http_engine(system_clock))

    def make_source(self) -> StorageDriver:
        return driver_of(self.here, "SOURCE")

    def make_destination(self) -> StorageDriver:
        return driver_of(self.there, "DESTINATION")


@pytest.mark.real("xrootd")
class TestBetweenXrootdServers(_Http):
    @pytest.fixture(autouse=True)
    def _folders(self, servers: tuple[XrootdServer, XrootdServer], request: pytest.FixtureRequest) -> None:
        self.request = request
        self.here, self.there = (Folder(server) for server in servers)


@pytest.mark.real("xrootd")
class TestSentBetweenXrootdServers(TestBetweenXrootdServers):
    """The destination fetches nothing, so the source sends; a server that is full hangs up on it."""

    code_when_full = Code.DESTINATION_FAILED

    def make_destination(self) -> StorageDriver:
        return MeddledDriver(super().make_destination(), fetches_nothing)


@pytest.mark.real("xrootd", "rclone")
class TestFromRclone(_Http):
    @pytest.fixture(autouse=True)
    def _folders(
        self, servers: tuple[XrootdServer, XrootdServer], rclone: RcloneServer, request: pytest.FixtureRequest
    ) -> None:
        self.request = request
        self.here, self.there = Folder(rclone), Folder(servers[0])


@pytest.mark.real("xrootd", "rclone")
class TestToRclone(_Http):
    """Which fetches nothing and tells no checksums: it is sent to, and read. When it is full it does not say so."""

    code_when_full = Code.DESTINATION_FAILED

    @pytest.fixture(autouse=True)
    def _folders(
        self, servers: tuple[XrootdServer, XrootdServer], rclone: RcloneServer, request: pytest.FixtureRequest
    ) -> None:
        self.request = request
        self.here, self.there = Folder(servers[0]), Folder(rclone)


def fetches_nothing(operation: str, path: str) -> None:
    if operation == "pull":
        raise Unsupported("this server copies nothing from others", place=path)


def driver_of(folder: Folder, site: str, *, call_timeout_s: float = 20.0) -> WebdavDriver:
    access = access_to(folder.server, site=site, call_timeout_s=call_timeout_s)
    return WebdavDriver(url_of(folder.server) + folder.name, site=site, access=access)


def url_of(server: Server) -> str:
    return server.url if hasattr(server, "url") else server.https_url


# What only servers can do.


@pytest.mark.real("rclone")
def test_between_servers_that_neither_fetch_nor_send_the_local_engine_takes_over(rclone: RcloneServer) -> None:
    from holdfast.testing.servers.rclone_server import rclone_server

    with rclone_server() as other:
        here, there = Folder(rclone), Folder(other)
        assert tries(here, there, 2) == [("http", Code.ENGINE_FAILED), ("local", None)]
        assert there.get("/file") == DATA


@pytest.mark.real("rclone")
def test_a_server_copies_within_itself(rclone: RcloneServer) -> None:
    here, there = Folder(rclone), Folder(rclone)
    assert tries(here, there, 1) == [("http", None)]
    assert there.get("/file") == DATA


def tries(here: Folder, there: Folder, count: int) -> list[tuple[str, Code | None]]:
    """Bring one file that often; which engine has tried each time, and why it failed."""
    here.put("/file", DATA)
    rules = LinkSettings(engines=("http", "local"))

    async def scenario() -> list[tuple[str, Code | None]]:
        own = OneByOne(http_engine(system_clock)), OneByOne(LocalEngine(system_clock))
        engines = Engines(own, lambda _source, _destination: rules, monotonic=time.monotonic)
        source, destination = driver_of(here, "SOURCE"), driver_of(there, "DESTINATION")
        places = Place("SOURCE", source, "/file", ""), Place("DESTINATION", destination, "/file", "")
        transfer = Transfer(1, "token1", len(DATA), digests_of(DATA, ["adler32"]), *places)
        said: list[tuple[str, Code | None]] = []
        try:
            for _ in range(count):
                chosen, desk = engines.pick(*places), MemoryDesk()
                assert isinstance(chosen, Chosen)
                await chosen.engine.carry(Job("claim", [transfer]), desk)
                said.append((chosen.engine.name, desk.outcomes[1].code))
        finally:
            for each in (engines, source, destination):
                await each.close()
        return said

    return asyncio.run(scenario())


def outcome_of(
    make_source: Callable[[], WebdavDriver],
    make_destination: Callable[[], WebdavDriver],
    size: int,
    checksums: dict[str, str],
    *,
    sends: bool = False,
    while_under_way: Callable[[], None] = lambda: None,
) -> Outcome:
    """Bring one file, sent by its source or fetched; ``while_under_way`` is called in a thread meanwhile."""

    async def scenario() -> Outcome:
        engine, source, destination = http_engine(system_clock), make_source(), make_destination()
        if sends:
            engine.has_failed_to_fetch(destination)
        places = Place("SOURCE", source, "/file", ""), Place("DESTINATION", destination, "/file", "")
        transfer = Transfer(1, "token1", size, checksums, *places)
        copying = asyncio.ensure_future(engine.transfer(transfer, MemoryDesk().check, lambda _: None))
        try:
            await asyncio.to_thread(while_under_way)
            return await copying
        finally:
            for each in (engine, source, destination):
                await each.close()

    return asyncio.run(scenario())


@pytest.fixture
def mortals() -> Iterator[tuple[XrootdServer, XrootdServer]]:
    """Two servers of the test's own, which it may freeze."""
    real.require("xrootd")
    with two_xrootd_servers() as both:
        yield both


@pytest.mark.slow
@pytest.mark.real("xrootd")
@pytest.mark.parametrize("is_source", [True, False], ids=["source", "destination"])
def test_a_server_that_freezes_in_the_middle_costs_some_time_limits_and_leaves_nothing(
    mortals: tuple[XrootdServer, XrootdServer], is_source: bool
) -> None:
    here, there = (Folder(server) for server in mortals)
    with (here.root / "file").open("wb") as file:
        file.truncate(LARGE_BYTES)
    frozen = mortals[0 if is_source else 1]

    frozen_at: list[float] = []

    def freeze() -> None:
        deadline = time.monotonic() + 30
        while not there.paths() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert there.paths()
        frozen.pause()
        frozen_at.append(time.monotonic())

    try:
        outcome = outcome_of(
            lambda: driver_of(here, "SOURCE", call_timeout_s=LIMIT_S),
            lambda: driver_of(there, "DESTINATION", call_timeout_s=LIMIT_S),
            LARGE_BYTES,
            {"adler32": "00000001"},
            while_under_way=freeze,
        )
        costs_s = time.monotonic() - frozen_at[0]
    finally:
        frozen.resume()
    assert outcome.verdict is Verdict.FAILED
    assert outcome.code is not None
    assert not outcome.code.is_permanent
    assert costs_s < COSTS_S_MAX
    assert there.get("/file") is None


@pytest.mark.slow
@pytest.mark.real("xrootd", "token authorisation")
def test_each_storage_is_shown_its_own_token(tmp_path: Path) -> None:
    from holdfast.testing.servers.authorised_xrootd import token_xrootd
    from holdfast.testing.servers.test_authority import TestAuthority

    data = pattern(100_000)
    checksums = digests_of(data, ["adler32"])
    folder = Path(tempfile.mkdtemp(prefix="holdfast-authority-"))
    folder.chmod(0o755)
    try:
        authority = TestAuthority(folder / "authority")
        with token_xrootd(authority) as (one, first), token_xrootd(authority) as (other, second):
            one.put("/file", data)

            def outcome(of_source: Path | None, of_destination: Path | None, sends: bool) -> Outcome:
                return outcome_of(
                    lambda: WebdavDriver(one.https_url, site="SOURCE", access=shown(authority, of_source)),
                    lambda: WebdavDriver(other.https_url, site="DESTINATION", access=shown(authority, of_destination)),
                    len(data),
                    checksums,
                    sends=sends,
                )

            reads, writes = first.write(tmp_path / "reads", "storage.read:/"), second.write(tmp_path / "writes")
            for sends in (False, True):
                assert outcome(None, writes, sends).code is Code.SOURCE_REFUSED
                assert outcome(reads, None, sends).code is Code.DESTINATION_REFUSED
                refused = outcome(writes, reads, sends)
                assert refused.verdict is Verdict.FAILED
                assert not any(token.read_text().strip() in refused.error for token in (reads, writes))
                assert other.get("/file") is None
                copied = outcome(reads, writes, sends)
                assert (copied.verdict, copied.error) == (Verdict.COPIED, "")
                assert other.get("/file") == data
                (other.data / "file").unlink()
    finally:
        shutil.rmtree(folder)


def shown(authority: TestAuthority, token: Path | None) -> Access:
    """Access of somebody who has a token, or none."""
    return Access(AccessSettings(authorities=authority.bundle, token=token, call_timeout_s=20.0))
