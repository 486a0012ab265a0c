"""XrdfsDriver: the contract through xrdfs and xrdcp against a real server, and what programs can do to it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import stat as modes
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.model.errors import BadInput, BrokenInvariant, OperatorError, PeerError
from holdfast.storage import doors
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.driver import CHUNK_BYTES, NotThere, StorageDriver
from holdfast.storage.xrdfs import shell as xrdfs_shell
from holdfast.storage.xrdfs.driver import XrdfsDriver
from holdfast.storage.xrdfs.hands import CALLS_MAX
from holdfast.testing.driver_hooks import LIST_OF_PLACES, everything, pattern, shown, stream
from holdfast.testing.driver_suite import DriverSuite
from support import real
from support.processes import children, command_of, environment_of, is_there
from support.rubbish import rubbish
from support.soak import only_in_soak

if TYPE_CHECKING:
    from holdfast.testing.servers.xrootd_server import XrootdServer

pytestmark = pytest.mark.real("xrootd", "xrdfs")

_FOLDERS = itertools.count(1)
CONNECT_S, CALL_S = 1, 2
QUICK = AccessSettings(connect_timeout_s=CONNECT_S, call_timeout_s=CALL_S)
"""Limits for servers that will not answer."""
SLACK_S = 5.0
"""Processes start slowly on a busy machine."""
WAYS = pytest.mark.parametrize("shells", [True, False], ids=["shells", "programs"])


@pytest.fixture(scope="module")
def server() -> Iterator[XrootdServer]:
    real.require("xrootd")
    # Not at the top: its asserts are rewritten only if it is imported after conftest.
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as running:
        yield running


@pytest.fixture
def folder(server: XrootdServer) -> str:
    name = f"/t{next(_FOLDERS)}"
    server.make_directory(name)
    return name


class TestXrdfsDriver(DriverSuite):
    supports_links = True
    shells = True

    @pytest.fixture(autouse=True)
    def _storage(self, server: XrootdServer) -> None:
        self.server = server
        self.folder = f"/t{next(_FOLDERS)}"
        server.make_directory(self.folder)

    def make_driver(self) -> StorageDriver:
        return XrdfsDriver(self.server.root_url + self.folder, label="SITE", shells=self.shells)

    def put(self, path: str, data: bytes) -> None:
        self.server.put(self.folder + path, data)

    def get(self, path: str) -> bytes | None:
        return self.server.get(self.folder + path)

    def make_link(self, path: str, target: str) -> None:
        self.server.make_directory((self.folder + path).rpartition("/")[0])
        (self.server.data / (self.folder + path)[1:]).symlink_to(target)


@only_in_soak
@pytest.mark.slow
class TestXrdfsDriverWithoutShells(TestXrdfsDriver):
    shells = False


def tools() -> set[int]:
    """The tools that run for us."""
    return {pid for pid in children() if command_of(pid).startswith(("xrdfs", "xrdcp", "/bin/sh"))}


def run(driver: XrdfsDriver, scenario: Callable[[XrdfsDriver], Awaitable[object]]) -> None:
    """A scenario with a driver that is closed afterwards; then nothing of it is left."""

    async def whole() -> None:
        try:
            await scenario(driver)
        finally:
            await driver.close()

    before = tools()
    asyncio.run(whole())
    assert tools() == before


async def fails_soon(call: Awaitable[object], limit_s: float = CONNECT_S + CALL_S) -> PeerError:
    begun = time.monotonic()
    with pytest.raises(PeerError) as caught:
        await call
    assert time.monotonic() - begun < limit_s + SLACK_S
    assert caught.value.retryable
    assert caught.value.place
    return caught.value


# Names.


@WAYS
def test_names_that_listings_cannot_carry(server: XrootdServer, folder: str, shells: bool) -> None:
    base = os.fsencode(server.data / folder[1:])
    for raw in (b"two\nlines", b"lines", b"whole", b"what?"):
        Path(os.fsdecode(base + b"/" + raw)).write_bytes(b"x")

    async def scenario(driver: XrdfsDriver) -> None:
        listing = await driver.list("/")
        assert shown(listing) == ["lines", "whole"]
        # Two pieces of a name, one of them by the name of another file; and what no path can have.
        assert [entry.raw for entry in listing.unnameable] == [b"lines", b"two", b"what?"]

    run(XrdfsDriver(server.root_url + folder, shells=shells), scenario)


@WAYS
def test_names_that_are_none_of_ours_are_told(server: XrootdServer, folder: str, shells: bool) -> None:
    base = os.fsencode(server.data / folder[1:])
    for raw in (b"bad\xff", b"tab\there", b"good", b"what?"):
        Path(os.fsdecode(base + b"/" + raw)).write_bytes(b"x")

    async def scenario(driver: XrdfsDriver) -> None:
        listing, names = await driver.list("/"), await driver.names("/")
        assert shown(listing) == ["good", "what?"] == list(names.names)
        assert [entry.raw for entry in listing.unnameable] == [b"bad\xff", b"tab\there"]
        assert names.unnameable == listing.unnameable

    run(XrdfsDriver(server.root_url + folder, shells=shells), scenario)


def test_a_second_look_shows_links_that_lead_nowhere(server: XrootdServer, folder: str) -> None:
    (server.data / folder[1:] / "dangling").symlink_to("nowhere")

    async def scenario(driver: XrdfsDriver) -> None:
        assert shown(await driver.list("/")) == []
        assert (await driver.names("/")).names == ("dangling",)

    run(XrdfsDriver(server.root_url + folder), scenario)


@only_in_soak
@pytest.mark.slow
def test_a_name_that_two_servers_have_is_given_twice() -> None:
    from holdfast.testing.servers.xrootd_cluster import xrootd_cluster  # As above.

    with xrootd_cluster(servers=2, shared=True) as cluster:
        (cluster.data[0] / "file").write_bytes(b"x")

        async def scenario(driver: XrdfsDriver) -> None:
            deadline = time.monotonic() + 60
            while shown(await driver.list("/")) != ["file", "file"] and time.monotonic() < deadline:
                await asyncio.sleep(0.2)
            assert shown(await driver.list("/")) == ["file", "file"]
            assert (await driver.names("/")).names == ("file", "file")

        run(XrdfsDriver(cluster.root_url), scenario)


# Servers that do not answer.


@WAYS
def test_a_server_that_is_not_there_costs_seconds(shells: bool) -> None:
    from holdfast.testing.servers.ports import free_port  # As above.

    async def scenario(driver: XrdfsDriver) -> None:
        await fails_soon(driver.list("/"), CONNECT_S)
        await fails_soon(everything(driver.read("/file")), CONNECT_S)
        await fails_soon(driver.write("/file", stream(b"x")), CONNECT_S)

    run(XrdfsDriver(f"root://127.0.0.1:{free_port()}//data", access=Access(QUICK), shells=shells), scenario)


@pytest.mark.slow
@pytest.mark.parametrize("shells", [True, pytest.param(False, marks=only_in_soak)], ids=["shells", "programs"])
def test_a_server_that_falls_silent_costs_the_limit_of_a_call(shells: bool) -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server  # As above.

    with xrootd_server() as server:
        server.put("/file", pattern(60 * CHUNK_BYTES))

        async def scenario(driver: XrdfsDriver) -> None:
            reading = driver.read("/file")
            assert await anext(reading)
            server.pause()
            await fails_soon(everything(reading), 3 * (CONNECT_S + CALL_S))
            await fails_soon(driver.list("/"))
            server.resume()
            assert shown(await driver.list("/")) == ["file"]

            async def source() -> AsyncIterator[bytes]:
                yield pattern(CHUNK_BYTES)
                server.pause()
                for _ in range(60):
                    yield pattern(CHUNK_BYTES)

            # Once for the writing, and once for removing what of it is there.
            await fails_soon(driver.write("/new", source()), 3 * (CONNECT_S + CALL_S))
            server.resume()
            with pytest.raises(NotThere):
                await driver.stat("/new")

        run(XrdfsDriver(server.root_url, access=Access(QUICK), shells=shells), scenario)


@WAYS
def test_a_server_that_comes_back_is_used_again(shells: bool) -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server  # As above.

    with xrootd_server() as server:
        server.put("/file", b"x")

        async def scenario(driver: XrdfsDriver) -> None:
            assert shown(await driver.list("/")) == ["file"]
            server.kill()
            await fails_soon(driver.list("/"))
            server.restart()
            assert shown(await driver.list("/")) == ["file"]

        run(XrdfsDriver(server.root_url, access=Access(QUICK), shells=shells), scenario)


@WAYS
def test_rubbish_is_no_answer(shells: bool) -> None:
    async def whole() -> None:
        async with rubbish() as port:
            driver = XrdfsDriver(f"root://127.0.0.1:{port}//data", access=Access(QUICK), shells=shells)
            try:
                await fails_soon(driver.list("/"))
                await fails_soon(driver.stat("/file"))
            finally:
                await driver.close()

    asyncio.run(whole())


# Programs.


def test_no_more_programs_run_than_may(server: XrootdServer, folder: str) -> None:
    for number in range(30):
        server.put(f"{folder}/{number}/file", b"x")

    async def scenario(driver: XrdfsDriver) -> None:
        listings = await asyncio.gather(*(driver.list(f"/{number}") for number in range(30)))
        assert all(shown(listing) == ["file"] for listing in listings)
        assert 1 <= len(driver.hands.pids) <= CALLS_MAX

    run(XrdfsDriver(server.root_url + folder), scenario)


def test_a_shell_that_dies_is_replaced(server: XrootdServer, folder: str) -> None:
    async def scenario(driver: XrdfsDriver) -> None:
        await driver.list("/")
        (pid,) = driver.hands.pids
        os.kill(pid, signal.SIGKILL)
        try:
            await driver.list("/")
        except PeerError:
            await driver.list("/")
        assert pid not in driver.hands.pids

    run(XrdfsDriver(server.root_url + folder), scenario)


def test_a_cancelled_call_leaves_no_program(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/file", pattern(60 * CHUNK_BYTES))

    async def scenario(driver: XrdfsDriver) -> None:
        before = tools()
        reading = driver.read("/file")
        await anext(reading)
        assert tools() > before
        await reading.aclose()  # type: ignore[attr-defined]
        listing = asyncio.ensure_future(driver.list("/"))
        await asyncio.sleep(0)
        listing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listing
        assert shown(await driver.list("/")) == ["file"]
        assert tools() - before == driver.hands.pids

    run(XrdfsDriver(server.root_url + folder), scenario)


def test_a_closed_driver_starts_nothing(server: XrootdServer, folder: str) -> None:
    async def scenario(driver: XrdfsDriver) -> None:
        await driver.list("/")
        pids = driver.hands.pids
        await driver.close()
        assert not any(is_there(pid) for pid in pids)
        with pytest.raises(BrokenInvariant):
            await driver.list("/")

    run(XrdfsDriver(server.root_url + folder), scenario)


def test_programs_see_what_the_site_shows_and_nothing_else(
    server: XrootdServer, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("X509_USER_PROXY", "BEARER_TOKEN", "AWS_SECRET_ACCESS_KEY", "XrdSecSSSKT", "HOME"):
        monkeypatch.setenv(name, "/somebody/elses")
    token = tmp_path / "token"
    token.write_text("abc.def.ghi")
    token.chmod(0o600)

    async def scenario(driver: XrdfsDriver) -> None:
        await driver.list("/")
        (pid,) = driver.hands.pids
        seen = environment_of(pid)
        assert "/somebody/elses" not in seen.values()
        assert seen["BEARER_TOKEN_FILE"] == str(token)
        assert not any("abc.def.ghi" in text for text in (*seen.values(), command_of(pid)))

    settings = AccessSettings(token=token, authorities=server.authority.certs)
    run(XrdfsDriver(server.roots_url + folder, access=Access(settings)), scenario)


@pytest.mark.parametrize("scheme", ["root", "xroot"])
def test_a_token_is_not_shown_in_plain(scheme: str, tmp_path: Path) -> None:
    settings = AccessSettings(token=tmp_path / "token")
    with pytest.raises(OperatorError, match="sent unencrypted") as caught:
        XrdfsDriver(f"{scheme}://127.0.0.1:1//data", label="SITE", access=Access(settings))
    assert (caught.value.place, "roots://" in caught.value.hint) == ("SITE", True)


def test_a_list_of_places_makes_us_ask_nobody(server: XrootdServer, folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        data = LIST_OF_PLACES.format(url=f"root://127.0.0.1:{other.getsockname()[1]}//x", size=1).encode()
        server.put(f"{folder}/x.meta4", data)

        async def scenario(driver: XrdfsDriver) -> None:
            assert await everything(driver.read("/x.meta4")) == data

        run(XrdfsDriver(server.root_url + folder), scenario)
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_tools_that_are_not_there_are_the_operators_business(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    async def scenario(driver: XrdfsDriver) -> None:
        for call in (driver.list("/"), everything(driver.read("/file"))):
            with pytest.raises(OperatorError) as caught:
                await call
            assert "xrootd-client" in caught.value.hint

    run(XrdfsDriver("root://127.0.0.1:1//data"), scenario)


def fake_tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put another ``xrdfs`` before the real one."""
    tool = folder / "xrdfs"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | modes.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_tool_that_cannot_be_talked_to_is_run_for_each_call(
    server: XrootdServer, folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(xrdfs_shell, "OPEN_LIMIT_S", 0.5)
    path = os.environ["PATH"]
    again = f'PATH={path!r} exec xrdfs "$@"'
    fake_tool(tmp_path, monkeypatch, f"if [ $# -lt 3 ]; then cat >/dev/null; else {again}; fi")
    server.put(f"{folder}/file", b"x")

    async def scenario(driver: XrdfsDriver) -> None:
        assert shown(await driver.list("/")) == ["file"]
        assert driver.hands.pids == set()
        assert shown(await driver.list("/")) == ["file"]

    run(XrdfsDriver(server.root_url + folder), scenario)


def test_an_answer_that_is_called_incomplete_is_doubted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    warning = "[!] Some of the requests failed. The result may be incomplete."
    fake_tool(tmp_path, monkeypatch, f"echo '{warning}' >&2; echo '-rw-r--r-- a b 7 2001-02-03 04:05:06 /data/x'")

    async def scenario(driver: XrdfsDriver) -> None:
        listing = await driver.list("/")
        assert shown(listing) == ["x"]
        assert "incomplete" in listing.doubt

    run(XrdfsDriver("root://127.0.0.1:1//data", shells=False), scenario)


@pytest.mark.parametrize("script", ["exit 7", "kill -9 $$", "echo rubbish", "printf 'half a line'"])
def test_a_tool_that_fails_without_a_word_has_listed_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    fake_tool(tmp_path, monkeypatch, script)

    async def scenario(driver: XrdfsDriver) -> None:
        await fails_soon(driver.list("/"))

    run(XrdfsDriver("root://127.0.0.1:1//data", shells=False), scenario)


def test_a_tool_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # With a child of its own, which holds the pipes open.
    fake_tool(tmp_path, monkeypatch, "sleep 1000 & wait")

    async def scenario(driver: XrdfsDriver) -> None:
        await fails_soon(driver.list("/"))

    run(XrdfsDriver("root://127.0.0.1:1//data", access=Access(QUICK), shells=False), scenario)


# Doors.


def test_a_door_opens() -> None:
    async def open_() -> None:
        driver = doors.open_driver("xrdfs", "root://127.0.0.1:1094//data", site="bern")
        assert driver.label == "bern:root://127.0.0.1:1094//data"
        await driver.close()

    asyncio.run(open_())


@pytest.mark.parametrize(
    "root", ["", "/data", "http://host/data", "root://", "root://user:word@host//x", "root://h//x?authz=y"]
)
def test_a_root_that_is_none_is_refused(root: str) -> None:
    with pytest.raises(BadInput) as caught:
        XrdfsDriver(root)
    assert "word" not in str(caught.value)
