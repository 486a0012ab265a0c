"""GfalDriver: the contract through gfal2, by its bindings and by its programs, on several protocols."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.model.errors import BadInput, HoldfastError, OperatorError, PeerError
from holdfast.storage import doors
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.driver import (
    CHUNK_BYTES,
    DirectoryNotEmpty,
    Kind,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    StorageDriver,
    Unsupported,
)
from holdfast.storage.gfal import driver as gfal
from holdfast.storage.gfal import errors as gfal_errors
from holdfast.storage.gfal import root as gfal_root
from holdfast.storage.gfal.calls import GfalRefusal
from holdfast.storage.gfal.driver import GfalDriver
from holdfast.storage.gfal.process import CHILD, GfalProcess
from holdfast.storage.gfal.programs import GfalPrograms
from holdfast.storage.guarded.hands import Unclear, Unreadable
from holdfast.testing.driver_hooks import LIST_OF_PLACES, everything, pattern, shown, stream
from holdfast.testing.driver_suite import DriverSuite
from support import real
from support.processes import children, command_of, environment_of, is_there
from support.rubbish import rubbish
from support.soak import only_in_soak

if TYPE_CHECKING:
    from holdfast.testing.servers.xrootd_server import XrootdServer

_FOLDERS = itertools.count(1)
CONNECT_S, CALL_S = 1, 2
QUICK = AccessSettings(connect_timeout_s=CONNECT_S, call_timeout_s=CALL_S)
"""Limits for servers that will not answer."""
SLACK_S = 6.0
"""Processes start slowly on a busy machine."""


@pytest.fixture(scope="module")
def server() -> Iterator[XrootdServer]:
    real.require("xrootd")
    # Not at the top: its asserts are rewritten only if it is imported after conftest.
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as running:
        yield running


class OnAFolder(DriverSuite):
    supports_links = True
    programs = False

    @pytest.fixture(autouse=True)
    def _storage(self, tmp_path: Path) -> None:
        self.root = tmp_path / "root"
        self.root.mkdir()

    def make_driver(self) -> StorageDriver:
        return GfalDriver(f"file://{self.root}", label="SITE", programs=self.programs)

    def put(self, path: str, data: bytes) -> None:
        target = self.root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def get(self, path: str) -> bytes | None:
        target = self.root / path[1:]
        return target.read_bytes() if target.is_file() else None

    def make_link(self, path: str, target: str) -> None:
        link = self.root / path[1:]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


class OnXrootd(DriverSuite):
    supports_links = True
    programs = False

    @pytest.fixture(autouse=True)
    def _storage(self, server: XrootdServer) -> None:
        self.server = server
        self.folder = f"/t{next(_FOLDERS)}"
        server.make_directory(self.folder)

    def url(self) -> str:
        return self.server.root_url

    def make_driver(self) -> StorageDriver:
        access = Access(AccessSettings(authorities=self.server.authority.certs))
        return GfalDriver(self.url() + self.folder, label="SITE", access=access, programs=self.programs)

    def put(self, path: str, data: bytes) -> None:
        self.server.put(self.folder + path, data)

    def get(self, path: str) -> bytes | None:
        return self.server.get(self.folder + path)

    def make_link(self, path: str, target: str) -> None:
        self.server.make_directory((self.folder + path).rpartition("/")[0])
        (self.server.data / (self.folder + path)[1:]).symlink_to(target)


class OnWebdav(OnXrootd):
    @pytest.fixture(autouse=True)
    def _trimmed(self, request: pytest.FixtureRequest) -> None:
        """XRootD does not encode names in its answers; the library below gfal2 then loses blanks at their ends."""
        odd = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name", "")
        if request.node.originalname == "test_an_odd_name_comes_back_exactly" and odd.endswith(" "):
            request.applymarker(pytest.mark.xfail(strict=True, reason="a blank at the end of a name is lost"))

    def url(self) -> str:
        return self.server.https_url.replace("https", "davs")


@pytest.mark.real("gfal")
class TestGfalDriverOnAFolder(OnAFolder):
    pass


@pytest.mark.real("gfal", "xrootd")
class TestGfalDriverOnXrootd(OnXrootd):
    pass


@only_in_soak
@pytest.mark.slow
@pytest.mark.real("gfal", "xrootd")
class TestGfalDriverOnWebdav(OnWebdav):
    pass


@only_in_soak
@pytest.mark.slow
@pytest.mark.real("gfal programs")
class TestGfalProgramsOnAFolder(OnAFolder):
    programs = True


@only_in_soak
@pytest.mark.slow
@pytest.mark.real("gfal programs", "xrootd")
class TestGfalProgramsOnXrootd(OnXrootd):
    programs = True


@only_in_soak
@pytest.mark.slow
@pytest.mark.real("gfal programs", "xrootd")
class TestGfalProgramsOnWebdav(OnWebdav):
    programs = True


def run(driver: GfalDriver, scenario: Callable[[GfalDriver], Awaitable[object]]) -> None:
    """A scenario with a driver that is closed afterwards; then nothing of it is left."""

    async def whole() -> None:
        try:
            await scenario(driver)
        finally:
            await driver.close()

    asyncio.run(whole())
    assert not [pid for pid in children() if "gfal" in command_of(pid)]


def pids(driver: GfalDriver) -> set[int]:
    assert isinstance(driver.calls, GfalProcess)
    return driver.calls.pids


async def fails_soon(call: Awaitable[object], limit_s: float = CONNECT_S + CALL_S + 1) -> None:
    begun = time.monotonic()
    with pytest.raises(PeerError) as caught:
        await call
    assert time.monotonic() - begun < limit_s + SLACK_S
    assert caught.value.retryable
    assert caught.value.place


# Names.


@pytest.mark.real("gfal")
def test_every_name_in_a_folder_is_told(tmp_path: Path) -> None:
    for raw in (b"bad\xff", b"two\nlines", b"tab\there", b"good", "grüße".encode(), b"100%", b"what?#"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_bytes(b"x")
    (tmp_path / "dangling").symlink_to("nowhere")

    async def scenario(driver: GfalDriver) -> None:
        listing, names = await driver.list("/"), await driver.names("/")
        assert shown(listing) == ["100%", "dangling", "good", "grüße", "what?#"] == list(names.names)
        assert listing.entries[1].stat.kind is Kind.OTHER
        assert [entry.raw for entry in listing.unnameable] == [b"bad\xff", b"tab\there", b"two\nlines"]
        assert names.unnameable == listing.unnameable

    run(GfalDriver(f"file://{tmp_path}"), scenario)


@pytest.mark.real("gfal")
def test_links_at_the_end_of_a_path_are_seen_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")

    async def scenario(driver: GfalDriver) -> None:
        assert (await driver.stat("/link")).kind is Kind.OTHER
        for call in (driver.delete("/link"), everything(driver.read("/link")), driver.rename("/link", "/new")):
            with pytest.raises(NotAFile):
                await call

    run(GfalDriver(f"file://{tmp_path}"), scenario)
    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.real("gfal", "xrootd")
def test_names_that_are_none_of_ours_are_told_by_xrootd(server: XrootdServer) -> None:
    folder = f"/t{next(_FOLDERS)}"
    server.make_directory(folder)
    base = os.fsencode(server.data / folder[1:])
    for raw in (b"good", b"tab\there", b"bad\xff"):
        Path(os.fsdecode(base + b"/" + raw)).write_bytes(b"x")

    async def scenario(driver: GfalDriver) -> None:
        listing = await driver.list("/")
        assert shown(listing) == ["good"]
        assert [entry.raw for entry in listing.unnameable] == [b"bad\xff", b"tab\there"]

    run(GfalDriver(server.root_url + folder), scenario)


@pytest.mark.real("gfal", "xrootd")
def test_a_directory_that_xrootd_cannot_list_is_a_named_error(server: XrootdServer) -> None:
    folder = f"/t{next(_FOLDERS)}"
    server.put(f"{folder}/two\nlines", b"x")

    async def scenario(driver: GfalDriver) -> None:
        with pytest.raises(Unsupported, match="line feed"):
            await driver.list("/")

    run(GfalDriver(server.root_url + folder), scenario)


@pytest.mark.real("gfal programs")
def test_programs_say_that_they_cannot_show_a_name(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")).write_bytes(b"x")

    async def scenario(driver: GfalDriver) -> None:
        for call in (driver.list("/"), driver.names("/")):
            with pytest.raises(Unsupported, match="not UTF-8"):
                await call

    run(GfalDriver(f"file://{tmp_path}", programs=True), scenario)


# Servers that do not answer.


@pytest.mark.parametrize("programs", [False, True], ids=["bindings", "programs"])
@pytest.mark.parametrize("scheme", ["root", "davs"])
@pytest.mark.real("gfal", "gfal programs")
def test_a_server_that_is_not_there_costs_seconds(scheme: str, programs: bool) -> None:
    from holdfast.testing.servers.ports import free_port  # As above.

    async def scenario(driver: GfalDriver) -> None:
        await fails_soon(driver.list("/"))
        await fails_soon(everything(driver.read("/file")))
        await fails_soon(driver.write("/file", stream(b"x")))

    root = f"{scheme}://127.0.0.1:{free_port()}//data"
    run(GfalDriver(root, access=Access(QUICK), programs=programs), scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["root", pytest.param("davs", marks=only_in_soak)])
@pytest.mark.real("gfal", "xrootd")
def test_a_server_that_falls_silent_costs_the_limit_of_a_call(scheme: str) -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server  # As above.

    limit_s = CONNECT_S + CALL_S + 1
    with xrootd_server() as server:
        server.put("/file", pattern(60 * CHUNK_BYTES))
        url = server.root_url if scheme == "root" else server.https_url.replace("https", "davs")
        settings = AccessSettings(
            connect_timeout_s=CONNECT_S, call_timeout_s=CALL_S, authorities=server.authority.certs
        )

        async def scenario(driver: GfalDriver) -> None:
            reading = driver.read("/file")
            assert await anext(reading)
            server.pause()
            await fails_soon(everything(reading), 3 * limit_s)
            await fails_soon(asyncio.gather(driver.list("/"), driver.stat("/file")), 2 * limit_s)
            server.resume()
            assert shown(await driver.list("/")) == ["file"]
            # What hung is not kept for long: it is ended when nobody waits for it.
            assert len(pids(driver)) == 1

        run(GfalDriver(url, access=Access(settings)), scenario)


@pytest.mark.parametrize("scheme", ["root", "davs"])
@pytest.mark.real("gfal", "xrootd")
def test_a_server_that_comes_back_is_used_again(scheme: str) -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server  # As above.

    with xrootd_server() as server:
        server.put("/file", b"x")
        url = server.root_url if scheme == "root" else server.https_url.replace("https", "davs")
        settings = AccessSettings(
            connect_timeout_s=CONNECT_S, call_timeout_s=CALL_S, authorities=server.authority.certs
        )

        async def scenario(driver: GfalDriver) -> None:
            assert shown(await driver.list("/")) == ["file"]
            server.kill()
            await fails_soon(driver.list("/"))
            server.restart()
            assert shown(await driver.list("/")) == ["file"]

        run(GfalDriver(url, access=Access(settings)), scenario)


@pytest.mark.parametrize("scheme", ["root", "davs", "http"])
@pytest.mark.real("gfal")
def test_rubbish_is_no_answer(scheme: str) -> None:
    async def whole() -> None:
        async with rubbish() as port:
            driver = GfalDriver(f"{scheme}://127.0.0.1:{port}//data", access=Access(QUICK))
            try:
                await fails_soon(driver.list("/"))
                await fails_soon(driver.stat("/file"))
            finally:
                await driver.close()

    asyncio.run(whole())


@pytest.mark.real("gfal", "xrootd")
def test_a_server_that_nobody_vouches_for_is_not_believed(server: XrootdServer) -> None:
    async def scenario(driver: GfalDriver) -> None:
        with pytest.raises(HoldfastError):
            await driver.list("/")

    run(GfalDriver(server.https_url, access=Access(QUICK)), scenario)


# The process.


@pytest.mark.real("gfal")
def test_a_process_that_dies_is_replaced_and_its_calls_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pattern(3 * CHUNK_BYTES))

    async def scenario(driver: GfalDriver) -> None:
        reading = driver.read("/file")
        await anext(reading)
        (pid,) = pids(driver)
        os.kill(pid, signal.SIGSTOP)
        stat = asyncio.ensure_future(driver.stat("/file"))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(PeerError):
            await stat
        with pytest.raises(PeerError):
            await everything(reading)
        assert (await driver.stat("/file")).size == 3 * CHUNK_BYTES
        assert pid not in pids(driver)

    run(GfalDriver(f"file://{tmp_path}"), scenario)


@pytest.mark.real("gfal")
def test_a_process_that_hangs_is_asked_no_more(tmp_path: Path) -> None:
    async def scenario(driver: GfalDriver) -> None:
        await driver.list("/")
        (pid,) = pids(driver)
        os.kill(pid, signal.SIGSTOP)
        await fails_soon(driver.list("/"))
        assert shown(await driver.list("/")) == []
        assert not is_there(pid)

    run(GfalDriver(f"file://{tmp_path}", access=Access(QUICK)), scenario)


@pytest.mark.real("gfal")
def test_a_cancelled_call_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pattern(3 * CHUNK_BYTES))

    async def scenario(driver: GfalDriver) -> None:
        await driver.list("/")
        before = pids(driver)
        for _ in range(20):
            listing, reading = (
                asyncio.ensure_future(driver.list("/")),
                asyncio.ensure_future(everything(driver.read("/file"))),
            )
            await asyncio.sleep(0.001)
            listing.cancel()
            reading.cancel()
            await asyncio.gather(listing, reading, return_exceptions=True)
        assert await everything(driver.read("/file")) == pattern(3 * CHUNK_BYTES)
        assert pids(driver) == before

    run(GfalDriver(f"file://{tmp_path}"), scenario)


@pytest.mark.real("gfal")
def test_a_process_ends_when_nobody_is_left_to_ask() -> None:
    found = gfal.bindings()
    assert found is not None
    python, path = found
    command = [python, "-B", str(CHILD)]
    environment = {**os.environ, **({"PYTHONPATH": path} if path else {})}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        head = json.dumps({"id": 7, "op": "stat", "url": "file:///"}).encode()
        process.stdin.write(struct.pack("!II", len(head), 0) + head)
        process.stdin.flush()
        n_head, n_data = struct.unpack("!II", process.stdout.read(8))
        answer = json.loads(process.stdout.read(n_head))
        assert (answer["id"], n_data) == (7, 0)
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.real("gfal")
def test_a_process_sees_what_the_site_shows_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("X509_USER_PROXY", "BEARER_TOKEN", "AWS_SECRET_ACCESS_KEY", "HOME"):
        monkeypatch.setenv(name, "/somebody/elses")
    token = tmp_path / "token"
    token.write_text("abc.def.ghi")
    token.chmod(0o600)

    async def scenario(driver: GfalDriver) -> None:
        await driver.list("/")
        (pid,) = pids(driver)
        seen = environment_of(pid)
        assert "/somebody/elses" not in seen.values()
        assert not any("abc.def.ghi" in text for text in (*seen.values(), command_of(pid)))

    run(GfalDriver(f"file://{tmp_path}", access=Access(AccessSettings(token=token))), scenario)


@pytest.mark.parametrize("scheme", ["root", "xroot"])
def test_a_token_is_not_shown_in_plain(scheme: str, tmp_path: Path) -> None:
    settings = AccessSettings(token=tmp_path / "token")
    with pytest.raises(OperatorError, match="sent unencrypted") as caught:
        GfalDriver(f"{scheme}://127.0.0.1:1//data", label="SITE", access=Access(settings))
    assert (caught.value.place, "roots://" in caught.value.hint) == ("SITE", True)


@pytest.mark.real("gfal", "xrootd")
@pytest.mark.parametrize("programs", [False, True])
def test_a_list_of_places_makes_us_ask_nobody(server: XrootdServer, programs: bool) -> None:
    folder = f"/t{next(_FOLDERS)}"
    with socket.create_server(("127.0.0.1", 0)) as other:
        data = LIST_OF_PLACES.format(url=f"root://127.0.0.1:{other.getsockname()[1]}//x", size=1).encode()
        server.put(f"{folder}/x.meta4", data)

        async def scenario(driver: GfalDriver) -> None:
            assert await everything(driver.read("/x.meta4")) == data

        run(GfalDriver(server.root_url + folder, programs=programs), scenario)
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.real("gfal", "xrootd")
def test_many_calls_share_one_process(server: XrootdServer) -> None:
    folder = f"/t{next(_FOLDERS)}"
    for number in range(30):
        server.put(f"{folder}/{number}/file", b"x")

    async def scenario(driver: GfalDriver) -> None:
        listings = await asyncio.gather(*(driver.list(f"/{number}") for number in range(30)))
        assert all(shown(listing) == ["file"] for listing in listings)
        assert len(pids(driver)) == 1

    run(GfalDriver(server.root_url + folder), scenario)


# Which way is taken.


@pytest.mark.real("gfal programs")
def test_programs_are_run_where_no_python_has_the_bindings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gfal, "bindings", lambda: None)

    async def whole() -> None:
        driver = GfalDriver(f"file://{tmp_path}")
        assert isinstance(driver.calls, GfalPrograms)
        assert not driver.capabilities.removes_directories

    asyncio.run(whole())


@pytest.mark.real("gfal")
@pytest.mark.parametrize(("root", "removes"), [("root://host.example//d", True), ("davs://host.example/d", False)])
def test_directories_are_removed_where_full_ones_are_refused(root: str, removes: bool) -> None:
    async def whole() -> None:
        assert GfalDriver(root).capabilities.removes_directories is removes

    asyncio.run(whole())


def test_without_both_it_is_the_operators_business(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gfal, "bindings", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    async def whole() -> None:
        with pytest.raises(OperatorError) as caught:
            GfalDriver(f"file://{tmp_path}")
        assert "python3-gfal2" in caught.value.hint

    asyncio.run(whole())


@pytest.mark.real("gfal")
def test_a_door_opens() -> None:
    async def whole() -> None:
        for protocol, root in (("gfal", "davs://host/data"), ("srm", "srm://host:8443/srm/managerv2?SFN=/data")):
            driver = doors.open_driver(protocol, root, site="bern")
            assert driver.label == f"bern:{root}"
            await driver.close()

    asyncio.run(whole())


def test_authorities_have_to_be_a_folder(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    with pytest.raises(OperatorError) as caught:
        GfalDriver("davs://host/data", access=Access(AccessSettings(authorities=bundle)))
    assert caught.value.place == str(bundle)


# Roots and URLs.


@pytest.mark.parametrize(
    ("root", "path", "url"),
    [
        ("davs://host:443/data/", "/a b/100%?", "davs://host:443/data/a%20b/100%25%3F"),
        ("https://host", "/", "https://host"),
        ("root://host:1094//data", "/grüße#", "root://host:1094//data/gr%C3%BC%C3%9Fe%23"),
        ("srm://host:8443/srm/managerv2?SFN=/data", "/a b", "srm://host:8443/srm/managerv2?SFN=/data/a b"),
        ("gsiftp://host/data", "/a", "gsiftp://host/data/a"),
        ("file:///data", "/a b%41", "file:///data/a b%41"),
        ("file:///", "/", "file:///"),
    ],
)
def test_urls(root: str, path: str, url: str) -> None:
    assert gfal_root.parse(root).url(path) == url


@pytest.mark.parametrize(
    "root", ["", "/data", "davs://", "davs://user:word@host/x", "https://host/x?authz=y", "https://host/x#y", "a b://c"]
)
def test_a_root_that_is_none_is_refused(root: str) -> None:
    with pytest.raises(BadInput) as caught:
        gfal_root.parse(root)
    assert "word" not in str(caught.value)


def test_what_may_be_lost_on_the_way_is_in_no_path() -> None:
    forbidden = {root: gfal_root.parse(f"{root}://host/x").not_in_paths for root in ("davs", "root", "srm", "gsiftp")}
    assert forbidden == {"davs": "?", "root": "?", "srm": "?#%", "gsiftp": "?#%"}


# Errors.


@pytest.mark.parametrize(
    ("number", "family"),
    [
        (errno.ENOENT, NotThere),
        (errno.ENOTDIR, NotADirectory),
        (errno.EISDIR, NotAFile),
        (errno.ENOTEMPTY, DirectoryNotEmpty),
        (errno.EACCES, NotAllowed),
        (errno.EIO, Unclear),
        (errno.ETIMEDOUT, PeerError),
        (errno.ECOMM, PeerError),
        (-1, PeerError),
    ],
)
def test_numbers(number: int, family: type[HoldfastError]) -> None:
    assert type(gfal_errors.meaning(GfalRefusal(number, "text"), by_words=False)) is family


@pytest.mark.parametrize(
    ("number", "text", "family"),
    [
        # The number is what was left over from something else.
        (errno.EINPROGRESS, "Not a directory (Not a directory)", NotADirectory),
        (errno.ENOENT, "Failed to stat file (Connection refused)", PeerError),
        (errno.ENOENT, "Failed to stat file (No such device)", Unclear),
        (errno.ENOENT, "Failed to stat file (Unknown error 303)", Unclear),
        (errno.ENOENT, "something else", Unclear),
        (0, "Failed to stat file (No such file or directory)", NotThere),
        (0, "Failed reading directory: [ERROR] Invalid response (Unknown error 303)", Unreadable),
    ],
)
def test_the_plug_in_of_xrootd_is_taken_by_its_words(number: int, text: str, family: type[HoldfastError]) -> None:
    assert type(gfal_errors.meaning(GfalRefusal(number, text), by_words=True)) is family


def test_no_token_is_in_an_error() -> None:
    for text in ("HTTP 403 with url https://host/x?authz=Bearer%20SECRET", "sent Authorization: Bearer SECRET"):
        error = gfal_errors.meaning(GfalRefusal(errno.EACCES, text), by_words=False)
        assert "SECRET" not in str(error)
