"""WebdavDriver: the contract against two servers that share no code, and what only real servers do."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.model.errors import InvalidName, OperatorError, PeerError
from holdfast.storage.abilities import FarFile
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import Kind, StorageDriver, Unsupported
from holdfast.storage.parts import is_part_name
from holdfast.storage.webdav import looks as webdav_looks
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.driver_hooks import everything, pattern, stream
from holdfast.testing.driver_suite import DriverSuite
from support import real

if TYPE_CHECKING:
    from holdfast.testing.servers.rclone_server import RcloneServer
    from holdfast.testing.servers.xrootd_server import XrootdServer

_FOLDERS = itertools.count(1)


def access_to(bundle: Path, *, connect_timeout_s: float = 5.0, call_timeout_s: float = 30.0) -> Access:
    """Access of somebody who trusts the tests' own authority."""
    settings = AccessSettings(authorities=bundle, connect_timeout_s=connect_timeout_s, call_timeout_s=call_timeout_s)
    return Access(settings, site="SITE")


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


@pytest.fixture(scope="module")
def far_xrootd(xrootd: XrootdServer) -> Iterator[XrootdServer]:
    """Another one, to copy from."""
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server(authority=xrootd.authority) as server:
        yield server


@pytest.mark.real("xrootd")
class TestOnXrootd(DriverSuite):
    supports_links = False

    @pytest.fixture(autouse=True)
    def _storage(self, xrootd: XrootdServer, request: pytest.FixtureRequest) -> None:
        self.server = xrootd
        self.folder = f"/t{next(_FOLDERS)}"
        self.request = request
        xrootd.make_directory(self.folder)

    def make_far_driver(self) -> StorageDriver:
        self.far_server: XrootdServer = self.request.getfixturevalue("far_xrootd")
        self.far_server.make_directory(self.folder)
        access = access_to(self.far_server.authority.bundle)
        return WebdavDriver(self.far_server.https_url + self.folder, site="FAR", access=access)

    def put_far(self, path: str, data: bytes) -> None:
        self.far_server.put(self.folder + path, data)

    def make_driver(self) -> StorageDriver:
        access = access_to(self.server.authority.bundle)
        return WebdavDriver(self.server.https_url + self.folder, site="SITE", access=access)

    def put(self, path: str, data: bytes) -> None:
        self.server.put(self.folder + path, data)

    def get(self, path: str) -> bytes | None:
        return self.server.get(self.folder + path)


@pytest.mark.real("rclone")
class TestOnRclone(DriverSuite):
    supports_links = False
    tells_nothing = "this server has no digests in its answers"

    @pytest.fixture(autouse=True)
    def _storage(self, rclone: RcloneServer) -> None:
        self.server = rclone
        self.folder = f"/t{next(_FOLDERS)}"
        folder = rclone.data / self.folder[1:]
        folder.mkdir()
        rclone.user.own(folder)

    def make_driver(self) -> StorageDriver:
        return WebdavDriver(self.server.url + self.folder, site="SITE")

    def put(self, path: str, data: bytes) -> None:
        self.server.put(self.folder + path, data)

    def get(self, path: str) -> bytes | None:
        return self.server.get(self.folder + path)


# What only real servers do.


def driver_of(server: XrootdServer | RcloneServer, path: str = "", **timeouts: float) -> WebdavDriver:
    url = server.url if hasattr(server, "url") else server.https_url
    access = access_to(server.authority.bundle, **timeouts) if server.authority else Access(AccessSettings(**timeouts))
    return WebdavDriver(url + path, site="SITE", access=access)


@pytest.fixture(params=["xrootd", "rclone"])
def server(request: pytest.FixtureRequest) -> XrootdServer | RcloneServer:
    """Each of the two, for what must hold on both."""
    found: XrootdServer | RcloneServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def folder(server: XrootdServer | RcloneServer) -> str:
    """A new directory of the server."""
    path = f"/t{next(_FOLDERS)}"
    target = server.data / path[1:]
    target.mkdir()
    server.user.own(target)
    return path


ON_BOTH = pytest.mark.real("xrootd", "rclone")


@ON_BOTH
def test_a_server_that_is_frozen_costs_the_time_limit(server: XrootdServer | RcloneServer, folder: str) -> None:
    async def scenario() -> None:
        driver = driver_of(server, folder, call_timeout_s=0.5, connect_timeout_s=0.5)
        await driver.list("/")
        server.pause()
        try:
            begun = time.monotonic()
            for call in (driver.list("/"), driver.stat("/"), driver.names("/"), driver.write("/a", stream(b"x"))):
                with pytest.raises(PeerError):
                    await call
            assert time.monotonic() - begun < 10
        finally:
            server.resume()
        await driver.write("/a", stream(b"x"))
        assert [entry.name for entry in (await driver.list("/")).entries] == ["a"]
        await driver.close()

    asyncio.run(scenario())


@ON_BOTH
def test_a_server_that_is_frozen_while_a_file_is_read(server: XrootdServer | RcloneServer, folder: str) -> None:
    server.put(f"{folder}/big", bytes(64 << 20))

    async def scenario() -> None:
        driver = driver_of(server, folder, call_timeout_s=0.5, connect_timeout_s=0.5)
        chunks = driver.read("/big")
        await anext(chunks)
        server.pause()
        try:
            with pytest.raises(PeerError):
                await everything(chunks)
        finally:
            server.resume()
        await driver.close()

    asyncio.run(scenario())


@ON_BOTH
def test_a_server_that_was_killed_and_comes_back_is_found_again(
    server: XrootdServer | RcloneServer, folder: str
) -> None:
    server.put(f"{folder}/file", b"data")

    async def scenario() -> None:
        driver = driver_of(server, folder)
        await asyncio.gather(*(driver.stat("/file") for _ in range(8)))
        server.kill()
        with pytest.raises(PeerError):
            await driver.stat("/file")
        await asyncio.to_thread(server.restart)
        # The connections that lay idle are all dead; none of these may notice.
        await asyncio.gather(*(driver.stat("/file") for _ in range(8)))
        assert await everything(driver.read("/file")) == b"data"
        await driver.close()

    asyncio.run(scenario())


@ON_BOTH
def test_a_write_cut_off_by_the_servers_death_leaves_no_file(server: XrootdServer | RcloneServer, folder: str) -> None:
    async def scenario() -> None:
        driver = driver_of(server, folder, call_timeout_s=2.0)
        writing = asyncio.ensure_future(driver.write("/file", stream(bytes(256 << 20))))
        while not writing.done() and not any(each.stat().st_size for each in (server.data / folder[1:]).iterdir()):
            await asyncio.sleep(0.005)
        server.kill()
        with pytest.raises(PeerError):
            await writing
        await asyncio.to_thread(server.restart)
        listing = await driver.list("/")
        # It died before it could be told to remove the part; whose it is, its name says.
        assert all(is_part_name(entry.name) for entry in listing.entries)
        await driver.close()

    asyncio.run(scenario())


@ON_BOTH
def test_names_of_bytes_that_are_no_text_lose_nothing_else(server: XrootdServer | RcloneServer, folder: str) -> None:
    inside = os.fsencode(server.data / folder[1:])
    for raw in (b"caf\xe9", b"\xff\xfe", b"tab\t.", b"bell\x07", b"cr\r.", b"amp&lt;<>'\"", b"plain"):
        with open(inside + b"/" + raw, "wb"):
            pass

    async def scenario() -> None:
        driver = driver_of(server, folder)
        listing = await driver.list("/")
        names = {entry.name for entry in listing.entries}
        reported = {each.raw for each in listing.unnameable}
        assert {"plain", "amp&lt;<>'\""} <= names
        assert len(names) + len(reported) == 7
        # rclone shows control characters as pictures of them, and finds the file by that name.
        assert {b"caf\xe9", b"\xff\xfe"} <= reported
        for name in names:
            assert (await driver.stat(f"/{name}")).size == 0
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.real("xrootd")
def test_a_line_break_in_a_name_does_not_hide_what_xrootd_forgets(xrootd: XrootdServer) -> None:
    folder = f"/t{next(_FOLDERS)}"
    for name in ("a", "b\nreak", "c", "d", "e"):
        xrootd.put(f"{folder}/{name}", name.encode())

    async def scenario() -> None:
        driver = driver_of(xrootd, folder)
        listing = await driver.list("/")
        assert "line break" in listing.doubt
        assert {entry.name for entry in listing.entries} <= {"a", "c", "d", "e"}
        assert listing.unnameable
        for entry in listing.entries:
            assert entry.stat.size == 1
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.real("xrootd")
def test_a_file_that_may_be_executed_is_a_file(xrootd: XrootdServer) -> None:
    folder = f"/t{next(_FOLDERS)}"
    xrootd.put(f"{folder}/program", b"#!")
    (xrootd.data / folder[1:] / "program").chmod(0o777)

    async def scenario() -> None:
        driver = driver_of(xrootd, folder)
        assert [(entry.name, entry.stat.kind) for entry in (await driver.list("/")).entries] == [("program", Kind.FILE)]
        assert (await driver.stat("/program")).kind is Kind.FILE
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.real("xrootd")
def test_a_question_mark_never_leads_to_another_file(xrootd: XrootdServer) -> None:
    """XRootD reads, moves and removes "a" when it is asked for "a?b"."""
    folder = f"/t{next(_FOLDERS)}"
    xrootd.put(f"{folder}/a", b"innocent")
    xrootd.put(f"{folder}/a?b", b"meant")
    xrootd.put(f"{folder}/other", b"other")

    async def scenario() -> None:
        driver = driver_of(xrootd, folder)
        for call in (
            driver.delete("/a?b"),
            driver.rename("/a?b", "/c"),
            driver.rename("/other", "/a?b", replace=True),
            everything(driver.read("/a?b")),
            driver.write("/a?c", stream(b"x")),
            driver.remove_directory("/a?b"),
            driver.make_directory("/a?d/e"),
        ):
            with pytest.raises(InvalidName):
                await call
        assert [entry.name for entry in (await driver.list("/")).entries] == ["a", "a?b", "other"]
        await driver.close()

    asyncio.run(scenario())
    assert xrootd.get(f"{folder}/a") == b"innocent"


@pytest.mark.real("xrootd")
def test_names_written_both_ways_are_told_apart(xrootd: XrootdServer) -> None:
    folder = f"/t{next(_FOLDERS)}"
    names = ["a%20b", "per%41cent", "%2e%2e", "%25", "A"]
    for name in names:
        xrootd.put(f"{folder}/{name}", b"")

    async def scenario() -> None:
        driver = driver_of(xrootd, folder)
        listing = await driver.list("/")
        assert ([entry.name for entry in listing.entries], listing.doubt) == (sorted(names), "")
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.real("xrootd")
@pytest.mark.parametrize("target", ["/new/x y", "/new/ends in ü", "/new/100%41", "/new/blank at end "])
def test_a_file_is_moved_to_the_very_name(xrootd: XrootdServer, target: str) -> None:
    """XRootD takes the header ``Destination`` as it is, and drops what is not ASCII at its end."""
    folder = f"/t{next(_FOLDERS)}"
    xrootd.put(f"{folder}/file", b"data")
    xrootd.make_directory(f"{folder}/new")

    async def scenario() -> None:
        driver = driver_of(xrootd, folder)
        await driver.rename("/file", target)
        assert [entry.name for entry in (await driver.list("/new")).entries] == [target[5:]]
        assert [entry.name for entry in (await driver.list("/")).entries] == ["new"]
        await driver.close()

    asyncio.run(scenario())
    assert xrootd.get(folder + target) == b"data"


@pytest.mark.real("xrootd")
def test_a_server_nobody_vouches_for_is_not_spoken_to(xrootd: XrootdServer) -> None:
    async def scenario() -> None:
        driver = WebdavDriver(xrootd.https_url, site="SITE")
        with pytest.raises(OperatorError, match="not to be trusted") as caught:
            await driver.list("/")
        assert "authorities" in caught.value.hint
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.real("xrootd")
@pytest.mark.parametrize("algorithm", ["adler32", "crc32c", "md5"])
def test_xrootd_tells_digests_that_are_those_of_the_bytes(xrootd: XrootdServer, algorithm: str) -> None:
    folder = f"/t{next(_FOLDERS)}"
    xrootd.put(f"{folder}/file", pattern(100_000))

    async def scenario() -> None:
        driver = driver_of(xrootd, folder)
        told = await driver.checksum("/file", [algorithm])
        read = await driver.checksum("/file", [algorithm], read=True)
        assert (told.told, read.told) == (frozenset({algorithm}), frozenset())
        assert told.checksums == read.checksums
        # Asked for sha256 XRootD answers with another one, which is nobody's sha256.
        other = await driver.checksum("/file", ["sha256", algorithm])
        assert other.told == frozenset({algorithm})
        assert other.checksums["sha256"] == digests_of(pattern(100_000), ["sha256"])["sha256"]
        await driver.close()

    asyncio.run(scenario())


@ON_BOTH
def test_a_directory_larger_than_a_piece_comes_in_pieces(
    server: XrootdServer | RcloneServer, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdav_looks, "PAGE_ENTRIES", 50)
    for number in range(120):
        (server.data / folder[1:] / f"file{number:06d}").touch()

    async def scenario() -> None:
        driver = driver_of(server, folder)
        pages = [page async for page in driver.pages("/")]
        assert len(pages) == 3
        assert all(page.entries == tuple(sorted(page.entries)) for page in pages)
        assert len({entry.name for page in pages for entry in page.entries}) == 120
        assert len((await driver.list("/")).entries) == 120
        assert len((await driver.names("/")).names) == 120
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.real("rclone")
def test_a_server_that_copies_nothing_between_storages_says_so(rclone: RcloneServer) -> None:
    folder = f"/t{next(_FOLDERS)}"
    rclone.put(f"{folder}/file", b"data")

    async def scenario() -> None:
        driver = driver_of(rclone, folder)
        with pytest.raises(Unsupported):
            await driver.pull("/new", FarFile(f"{rclone.url}{folder}/file"))
        with pytest.raises(Unsupported):
            await driver.push("/file", FarFile(f"http://localhost:{rclone.port}{folder}/new"))
        assert [entry.name for entry in (await driver.list("/")).entries] == ["file"]
        await driver.close()

    asyncio.run(scenario())
