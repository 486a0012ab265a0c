"""XrootDriver: the contract against a real XRootD server, and what only a real server can do to it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from holdfast.model.errors import BadInput, InvalidName, OperatorError, PeerError
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import (
    CHUNK_BYTES,
    ChangedWhileRead,
    DirectoryListing,
    Kind,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    StorageDriver,
    Unsupported,
)
from holdfast.storage.parts import is_part_name
from holdfast.storage.told import Told, from_words
from holdfast.testing.driver_hooks import LIST_OF_PLACES, VECTORS, everything, pattern, shown, stream
from holdfast.testing.driver_suite import DriverSuite
from support import real

if TYPE_CHECKING:
    from holdfast.storage.xroot.driver import XrootDriver
    from holdfast.testing.servers.xrootd_cluster import XrootdCluster
    from holdfast.testing.servers.xrootd_server import XrootdServer

pytestmark = pytest.mark.real("xrootd", "xrootd python client")

_FOLDERS = itertools.count(1)
_T = TypeVar("_T")


@pytest.fixture(scope="module")
def server() -> Iterator[XrootdServer]:
    for part in ("xrootd", "xrootd python client"):
        real.require(part)
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as running:
        yield running


@pytest.fixture
def folder(server: XrootdServer) -> str:
    """A new folder of the shared server."""
    name = f"/t{next(_FOLDERS)}"
    server.make_directory(name)
    return name


@pytest.fixture
def mortal() -> Iterator[XrootdServer]:
    """A server of the test's own, which it may freeze and kill."""
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as running:
        yield running


def access(*, connect_s: float = 2.0, call_s: float = 20.0, **more: object) -> Access:
    return Access(AccessSettings(connect_timeout_s=connect_s, call_timeout_s=call_s, **more), site="SITE")  # type: ignore[arg-type]


def using(root: str, scenario: Callable[[XrootDriver], Awaitable[_T]], *, to: Access | None = None) -> _T:
    """Run a scenario against a driver of ``root`` and close it."""
    from holdfast.storage.xroot.driver import XrootDriver

    async def whole() -> _T:
        driver = XrootDriver(root, label="SITE", access=to or access())
        try:
            return await scenario(driver)
        finally:
            await driver.close()

    return asyncio.run(whole())


@pytest.fixture(scope="module")
def far_server(server: XrootdServer) -> Iterator[XrootdServer]:
    """Another one, to copy from."""
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server(authority=server.authority) as running:
        yield running


class TestXrootDriver(DriverSuite):
    supports_links = True

    @pytest.fixture(autouse=True)
    def _storage(self, server: XrootdServer, folder: str, request: pytest.FixtureRequest) -> None:
        self.server = server
        self.folder = folder
        self.request = request

    def make_far_driver(self) -> StorageDriver:
        from holdfast.storage.xroot.driver import XrootDriver

        self.far_server: XrootdServer = self.request.getfixturevalue("far_server")
        self.far_server.make_directory(self.folder)
        return XrootDriver(self.far_server.root_url + self.folder, label="FAR")

    def put_far(self, path: str, data: bytes) -> None:
        self.far_server.put(self.folder + path, data)

    def make_driver(self) -> StorageDriver:
        from holdfast.storage.xroot.driver import XrootDriver

        return XrootDriver(self.server.root_url + self.folder, label="SITE")

    def put(self, path: str, data: bytes) -> None:
        self.server.put(self.folder + path, data)

    def get(self, path: str) -> bytes | None:
        return self.server.get(self.folder + path)

    def make_link(self, path: str, target: str) -> None:
        self.server.make_directory((self.folder + path).rpartition("/")[0])
        (self.server.data / (self.folder + path)[1:]).symlink_to(target)


# Doors.


def test_a_door_of_the_protocol_opens(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/file", b"data")

    async def scenario() -> None:
        driver = open_driver("xroot", server.root_url + folder, site="SITE")
        assert driver.label == f"SITE:{server.root_url}{folder}"
        assert await everything(driver.read("/file")) == b"data"
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "root",
    ["", "/data", "root:/host", "root://", "http://host//data", "root://host//data?x=1", "root://me:pass@host//data",
     "root://host//data/../x", "root://host//a//b", "root://ho st//data"],
)  # fmt: skip
def test_a_root_that_makes_no_sense_is_refused(root: str) -> None:
    with pytest.raises(BadInput) as caught:
        using(root, lambda driver: driver.list("/"))
    assert "pass" not in str(caught.value)


def test_one_slash_or_two_before_the_folder_are_the_same(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/file", b"data")
    root = f"root://127.0.0.1:{server.root_port}/data{folder}/"
    assert shown(using(root, lambda driver: driver.list("/"))) == ["file"]


def test_a_folder_that_is_not_there_is_not_there(server: XrootdServer) -> None:
    with pytest.raises(NotThere):
        using(f"{server.root_url}/none", lambda driver: driver.list("/"))


def test_a_folder_that_is_not_served_is_not_allowed(server: XrootdServer) -> None:
    with pytest.raises(NotAllowed):
        using(f"root://127.0.0.1:{server.root_port}//other", lambda driver: driver.list("/"))


def test_roots_speaks_tls_and_checks_who_answers(server: XrootdServer) -> None:
    # In processes of their own: the library takes its authorities from the environment, once.
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from holdfast.model.errors import PeerError\n"
        "from holdfast.storage.access import Access, AccessSettings\n"
        "from holdfast.storage.xroot.driver import XrootDriver\n"
        "access = Access(AccessSettings(authorities=Path(sys.argv[2])))\n"
        "try:\n"
        "    print(asyncio.run(XrootDriver(sys.argv[1], access=access).stat('/')).kind)\n"
        "except PeerError as error:\n"
        "    print('refused:', error)\n"
    )
    empty = server.folder / "no authorities"
    empty.mkdir()
    for authorities, expected in ((server.authority.certs, "directory"), (empty, "refused:")):
        command = [sys.executable, "-c", code, server.roots_url, str(authorities)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.startswith(expected)


def test_authorities_that_differ_from_those_in_use_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.storage.xroot import address as xroot_address

    monkeypatch.setattr(xroot_address, "_authorities_used", [])
    monkeypatch.setenv("X509_CERT_DIR", "")
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    async def scenario() -> None:
        for _ in range(2):
            xroot_address.Tickets(access(authorities=first))
            xroot_address.Tickets(access())
        with pytest.raises(OperatorError, match="authorities"):
            xroot_address.Tickets(access(authorities=second))

    asyncio.run(scenario())
    assert os.environ["X509_CERT_DIR"] == str(first)


def connections_to(port: int) -> int:
    """How many connections this process, or any other of this machine, has to a port of it."""
    lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return sum(line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)


def test_every_driver_has_a_connection_of_its_own(mortal: XrootdServer) -> None:
    using(mortal.root_url, lambda driver: asyncio.gather(*(driver.list("/") for _ in range(50))))
    assert connections_to(mortal.root_port) == 1
    using(mortal.root_url, lambda driver: driver.list("/"))
    assert connections_to(mortal.root_port) == 2


# Servers that are not there, fall silent, die, or talk rubbish.


def timed(limit_s: float, call: Callable[[], object]) -> PeerError:
    begun = time.monotonic()
    with pytest.raises(PeerError) as caught:
        call()
    assert time.monotonic() - begun < limit_s
    assert caught.value.retryable
    assert caught.value.place == "SITE:/"
    return caught.value


def test_a_server_that_is_not_there_costs_seconds() -> None:
    from holdfast.testing.servers.ports import free_port

    root = f"root://127.0.0.1:{free_port()}//data"
    error = timed(10, lambda: using(root, lambda driver: driver.list("/"), to=access(connect_s=2)))
    assert "cannot be reached" in error.message


def test_a_host_without_address_costs_seconds() -> None:
    timed(10, lambda: using("root://no-such-host.invalid//data", lambda driver: driver.list("/")))


def test_a_server_that_never_says_a_word_costs_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        root = f"root://127.0.0.1:{silent.getsockname()[1]}//data"
        timed(10, lambda: using(root, lambda driver: driver.list("/"), to=access(connect_s=1)))


def test_a_frozen_server_costs_no_more_than_the_limit_of_a_call(mortal: XrootdServer) -> None:
    mortal.put("/file", b"data")

    async def scenario(driver: XrootDriver) -> None:
        await driver.list("/")
        mortal.pause()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: driver.list("/"),
            lambda: driver.names("/"),
            lambda: driver.stat("/file"),
            lambda: everything(driver.read("/file")),
            lambda: driver.checksum("/file", ["adler32"]),
            lambda: driver.delete("/file"),
            lambda: driver.write("/new", stream(b"x")),
            lambda: driver.make_directory("/a"),
        ]
        begun = time.monotonic()
        outcomes = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, PeerError)] == []
        assert time.monotonic() - begun < 10
        mortal.resume()

    using(mortal.root_url, scenario, to=access(call_s=2))
    assert "file" in shown(using(mortal.root_url, lambda driver: driver.list("/")))


def test_a_server_frozen_in_the_middle_of_a_file(mortal: XrootdServer) -> None:
    mortal.put("/file", pattern(20 * CHUNK_BYTES))

    async def source() -> AsyncIterator[bytes]:
        for number in range(20):
            yield pattern(CHUNK_BYTES)
            if number == 5:
                mortal.pause()

    async def scenario(driver: XrootDriver) -> None:
        chunks = driver.read("/file")
        await anext(chunks)
        mortal.pause()
        with pytest.raises(PeerError):
            await everything(chunks)
        mortal.resume()
        with pytest.raises(PeerError):
            await driver.write("/new", source())
        mortal.resume()

    async def afterwards(driver: XrootDriver) -> None:
        assert await everything(driver.read("/file")) == pattern(20 * CHUNK_BYTES)
        assert "new" not in shown(await driver.list("/"))

    begun = time.monotonic()
    using(mortal.root_url, scenario, to=access(call_s=2))
    assert time.monotonic() - begun < 40
    using(mortal.root_url, afterwards)


def test_a_driver_recovers_when_its_server_comes_back(mortal: XrootdServer) -> None:
    mortal.put("/file", b"data")

    async def scenario(driver: XrootDriver) -> None:
        assert shown(await driver.list("/")) == ["file"]
        mortal.kill()
        for _ in range(3):
            with pytest.raises(PeerError):
                await driver.list("/")
        mortal.start()
        assert shown(await driver.list("/")) == ["file"]
        assert await everything(driver.read("/file")) == b"data"
        mortal.restart()
        assert (await driver.stat("/file")).size == 4

    using(mortal.root_url, scenario)


def test_a_server_killed_in_the_middle_of_a_file(mortal: XrootdServer) -> None:
    async def source() -> AsyncIterator[bytes]:
        for number in range(20):
            yield pattern(CHUNK_BYTES)
            if number == 5:
                mortal.restart()

    async def scenario(driver: XrootDriver) -> None:
        with pytest.raises(PeerError):
            await driver.write("/file", source())
        left = shown(await driver.list("/"))
        assert all(is_part_name(name) for name in left)
        await driver.write("/file", stream(b"second try"))

    using(mortal.root_url, scenario)
    assert mortal.get("/file") == b"second try"


@contextmanager
def rubbish(greeting: bytes) -> Iterator[int]:
    """A port where somebody hears a little, says the same to everybody, and hangs up."""

    def talk(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    connection.recv(20)
                    connection.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        talking = threading.Thread(target=talk, args=(listening,))
        talking.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            talking.join()


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b"\xff" * 4096])
def test_rubbish_instead_of_an_answer(greeting: bytes) -> None:
    with rubbish(greeting) as port:
        root = f"root://127.0.0.1:{port}//data"
        timed(15, lambda: using(root, lambda driver: driver.list("/"), to=access(connect_s=1, call_s=3)))


# Names.


def make_raw(server: XrootdServer, folder: str, *names: bytes) -> None:
    for name in names:
        with open(os.fsencode(server.data) + folder.encode() + b"/" + name, "wb") as file:
            file.write(name)


@pytest.mark.parametrize("raw", [b"caf\xe9", b"\xff\xfe", b"x" * 253 + "é".encode()])
def test_a_directory_with_a_name_that_is_not_utf8_is_refused_by_name(
    server: XrootdServer, folder: str, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    make_raw(server, folder, b"file", raw)
    server.put(f"{folder}/sub/file", b"")

    async def scenario(driver: XrootDriver) -> None:
        for look in (driver.list, driver.names):
            begun = time.monotonic()
            with pytest.raises(Unsupported, match="not UTF-8") as caught:
                await look("/")
            assert time.monotonic() - begun < 15
            assert ascii(raw[:90])[2:-1] in caught.value.message
            assert not caught.value.retryable
        # Others that were on their way when the answer was lost are not harmed.
        found = await asyncio.gather(
            *(driver.list("/sub") for _ in range(20)), driver.list("/"), return_exceptions=True
        )
        assert [shown(each) for each in found[:-1]] == [["file"]] * 20  # type: ignore[arg-type]

    using(server.root_url + folder, scenario)
    assert "UnicodeDecodeError" not in capsys.readouterr().err


@pytest.mark.parametrize("raw", [b"new\nline", b"\n", b"many\nnew\nlines\n"])
def test_a_name_with_a_line_break_is_in_the_listing_in_pieces(server: XrootdServer, folder: str, raw: bytes) -> None:
    make_raw(server, folder, b"a", raw, b"z")
    listing = using(server.root_url + folder, lambda driver: driver.list("/"))
    assert shown(listing) == ["a", "z"]
    assert {entry.raw for entry in listing.unnameable} == set(filter(None, raw.split(b"\n"))) or raw == b"\n"
    assert listing.unnameable or listing.doubt


@pytest.mark.parametrize("raw", [b"\x1b[31m", b"cr\rx", b"tab\tname", "\u2028".encode(), b"\x7f"])
def test_a_name_with_a_control_character_is_unnameable(server: XrootdServer, folder: str, raw: bytes) -> None:
    make_raw(server, folder, b"file", raw)

    async def scenario(driver: XrootDriver) -> None:
        listing, names = await driver.list("/"), await driver.names("/")
        assert shown(listing) == list(names.names) == ["file"]
        assert [entry.raw for entry in listing.unnameable] == [entry.raw for entry in names.unnameable] == [raw]

    using(server.root_url + folder, scenario)


def test_a_name_that_the_server_cuts_off_is_unnameable(server: XrootdServer, folder: str) -> None:
    whole, cut = b"w" * 254, b"c" * 255
    make_raw(server, folder, whole, cut)

    async def scenario(driver: XrootDriver) -> None:
        listing, names = await driver.list("/"), await driver.names("/")
        assert shown(listing) == list(names.names) == [whole.decode()]
        assert [entry.raw for entry in listing.unnameable] == [entry.raw for entry in names.unnameable] == [cut[:254]]

    using(server.root_url + folder, scenario)


def test_nothing_is_done_to_the_file_before_a_question_mark(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/a", b"stays")
    server.put(f"{folder}/a?b", b"stays too")

    async def scenario(driver: XrootDriver) -> None:
        assert shown(await driver.list("/")) == ["a", "a?b"]
        for call in (
            driver.delete("/a?b"),
            driver.rename("/a?b", "/c"),
            driver.rename("/a", "/c?d", replace=True),
            driver.set_mode("/a?b", 0),
            driver.remove_directory("/a?b"),
        ):
            with pytest.raises(InvalidName):
                await call

    using(server.root_url + folder, scenario)
    assert sorted(os.listdir(server.data / folder[1:])) == ["a", "a?b"]


def test_a_link_that_leads_nowhere_is_seen_by_the_second_look(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/file", b"")
    (server.data / folder[1:] / "dangling").symlink_to("none")

    async def scenario(driver: XrootDriver) -> None:
        assert shown(await driver.list("/")) == ["file"]
        assert (await driver.names("/")).names == ("dangling", "file")

    using(server.root_url + folder, scenario)


def test_a_pipe_is_something_else_and_holds_nobody(server: XrootdServer, folder: str) -> None:
    os.mkfifo(server.data / folder[1:] / "pipe")

    async def scenario(driver: XrootDriver) -> None:
        (entry,) = (await driver.list("/")).entries
        assert entry.stat.kind is Kind.OTHER
        for call in (everything(driver.read("/pipe")), driver.checksum("/pipe", ["md5"]), driver.delete("/pipe")):
            with pytest.raises(NotAFile):
                await asyncio.wait_for(call, 5)

    using(server.root_url + folder, scenario)


# What is read.


def test_a_list_of_places_makes_us_ask_nobody(server: XrootdServer, folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        data = LIST_OF_PLACES.format(url=f"root://127.0.0.1:{other.getsockname()[1]}//x", size=1).encode()
        server.put(f"{folder}/x.meta4", data)
        assert using(server.root_url + folder, lambda driver: everything(driver.read("/x.meta4"))) == data
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_an_environment_that_would_have_lists_of_places_followed_is_refused() -> None:
    code = "from holdfast.storage.xroot.driver import XrootDriver\nXrootDriver('root://127.0.0.1:1//data')"
    for value, refused in (("1", True), ("0", False)):
        environment = {**os.environ, "XRD_METALINKPROCESSING": value}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
        assert ("OperatorError: XRD_METALINKPROCESSING: " in done.stderr) is refused, done.stderr


def test_a_file_that_is_not_the_one_looked_at_is_not_given(
    server: XrootdServer, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(f"{folder}/file", b"abc")

    async def scenario(driver: XrootDriver) -> None:
        url = driver._door.url

        async def late(path: str) -> str:
            server.put(f"{folder}/file", b"somebody was quick")
            return await url(path)

        monkeypatch.setattr(driver._door, "url", late)
        with pytest.raises(ChangedWhileRead):
            await everything(driver.read("/file"))

    using(server.root_url + folder, scenario)


@pytest.mark.parametrize("scheme", ["root", "xroot"])
def test_a_token_is_not_shown_in_plain(scheme: str, tmp_path: Path) -> None:
    from holdfast.storage.xroot.driver import XrootDriver

    with pytest.raises(OperatorError, match="sent unencrypted") as caught:
        XrootDriver(f"{scheme}://127.0.0.1:1//data", label="SITE", access=access(token=tmp_path / "token"))
    assert (caught.value.place, "roots://" in caught.value.hint) == ("SITE", True)


# Checksums.


def test_a_server_that_tells_another_checksum_than_was_asked_for_is_read(
    server: XrootdServer, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(f"{folder}/file", b"abc")

    async def scenario(driver: XrootDriver) -> None:
        async def told(*_: object) -> Told:
            return from_words(f"adler32 {VECTORS['adler32'][b'abc']}")

        monkeypatch.setattr(driver._door, "told", told)
        digest = await driver.checksum("/file", ["md5", "adler32"])
        assert digest.checksums == {name: VECTORS[name][b"abc"] for name in ("md5", "adler32")}
        assert digest.told == {"adler32"}

    using(server.root_url + folder, scenario)


@pytest.fixture
def programs() -> Iterator[Path]:
    """A folder that the server's user may enter, for a program of its own to take checksums by."""
    with tempfile.TemporaryDirectory(prefix="holdfast-sums-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def telling(programs: Path, script: str) -> str:
    """The checksum configuration of a server that asks a shell script: algorithm and path are its arguments."""
    program = programs / "sums"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"max 2 adler32 sha256 {program}"


def test_the_server_tells_what_it_has_and_the_rest_is_read(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/file", b"abc")

    async def scenario(driver: XrootDriver) -> None:
        digest = await driver.checksum("/file", sorted(driver.capabilities.checksums))
        assert digest.told == {"adler32", "crc32c", "md5"}
        assert digest.checksums == {name: values[b"abc"] for name, values in VECTORS.items()}
        assert (await driver.checksum("/file", ["adler32"])).told == {"adler32"}
        assert (await driver.checksum("/file", ["blake3"])).told == set()

    using(server.root_url + folder, scenario)


def test_what_the_server_tells_may_be_out_of_date_and_reading_is_not(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/file", b"abc")
    path = server.data / folder[1:] / "file"

    async def scenario(driver: XrootDriver) -> None:
        assert (await driver.checksum("/file", ["md5"])).checksums["md5"] == VECTORS["md5"][b"abc"]
        # The bytes go bad where nobody notices: neither size nor time tell.
        before = path.stat()
        path.write_bytes(b"abd")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (await driver.checksum("/file", ["md5"])).checksums["md5"] == VECTORS["md5"][b"abc"]
        assert (await driver.checksum("/file", ["md5"], read=True)).checksums["md5"] != VECTORS["md5"][b"abc"]

    using(server.root_url + folder, scenario)


def test_a_server_with_a_program_tells_what_the_program_says(programs: Path) -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server

    script = 'case "$1" in sha256) echo ' + VECTORS["sha256"][b"abc"] + ";; *) echo 024d0127;; esac"
    with xrootd_server(checksums=telling(programs, script)) as server:
        server.put("/file", b"abc")
        digest = using(server.root_url, lambda driver: driver.checksum("/file", ["adler32", "sha256", "md5"]))
    assert digest.told == {"adler32", "sha256"}
    assert digest.checksums == {name: VECTORS[name][b"abc"] for name in ("adler32", "sha256", "md5")}


@pytest.mark.parametrize(
    "script", ["true", "echo Error", "echo 12345", "echo Error_accessing /file", "echo 00000000", "echo " + "0" * 65]
)
def test_words_that_are_no_checksum_are_never_believed(programs: Path, script: str) -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server(checksums=telling(programs, script)) as server:
        server.put("/file", b"abc")

        async def scenario(driver: XrootDriver) -> None:
            for algorithm in ("adler32", "sha256"):
                if (script, algorithm) == ("echo 12345", "adler32"):
                    continue  # Short ones are padded: this is one.
                with pytest.raises(PeerError) as caught:
                    await driver.checksum("/file", [algorithm])
                assert caught.value.place == "SITE:/file"
            assert (await driver.checksum("/file", ["adler32"], read=True)).checksums["adler32"] == "024d0127"

        using(server.root_url, scenario)


def test_a_server_without_checksums_is_read() -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server(checksums="") as server:
        server.put("/file", b"abc")
        digest = using(server.root_url, lambda driver: driver.checksum("/file", ["adler32", "md5"]))
    assert digest.told == frozenset()
    assert digest.checksums == {name: VECTORS[name][b"abc"] for name in ("adler32", "md5")}


# Writing and claims.


def test_a_rename_that_fails_gives_its_claim_up(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/from/file", b"data")
    server.make_directory(f"{folder}/to")
    # From here nothing may be moved away; over there everything may be made.
    os.chmod(server.data / folder[1:] / "from", 0o555)

    async def scenario(driver: XrootDriver) -> None:
        with pytest.raises(NotAllowed):
            await driver.rename("/from/file", "/to/file")
        assert shown(await driver.list("/to")) == []
        assert shown(await driver.list("/from")) == ["file"]

    using(server.root_url + folder, scenario)


def test_a_placeholder_that_somebody_has_filled_is_not_removed(server: XrootdServer, folder: str) -> None:
    server.put(f"{folder}/from/file", b"data")
    server.make_directory(f"{folder}/to")
    os.chmod(server.data / folder[1:] / "from", 0o555)

    async def scenario(driver: XrootDriver) -> None:
        move = driver._door.move

        async def meddling(*arguments: str) -> None:
            if arguments[1] == "/to/file":
                server.put(f"{folder}/to/file", b"somebody else's")
            await move(*arguments)

        driver._door.move = meddling  # type: ignore[method-assign]
        with pytest.raises(NotAllowed):
            await driver.rename("/from/file", "/to/file")

    using(server.root_url + folder, scenario)
    assert server.get(f"{folder}/to/file") == b"somebody else's"


def test_writers_in_several_processes_never_replace_each_other(server: XrootdServer, folder: str) -> None:
    code = (
        "import asyncio, sys\n"
        "from holdfast.storage.driver import AlreadyThere\n"
        "from holdfast.storage.xroot.driver import XrootDriver\n"
        "async def source(): yield sys.argv[2].encode() * 1000\n"
        "async def main():\n"
        "    driver = XrootDriver(sys.argv[1])\n"
        "    outcomes = await asyncio.gather(*(driver.write(f'/{n}', source()) for n in range(30)),\n"
        "        return_exceptions=True)\n"
        "    assert all(not isinstance(o, Exception) or isinstance(o, AlreadyThere) for o in outcomes), outcomes\n"
        "    print(*(n for n, o in enumerate(outcomes) if not isinstance(o, Exception)))\n"
        "asyncio.run(main())\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, server.root_url + folder, mark], stdout=subprocess.PIPE, text=True
        )
        for mark in "abc"
    ]
    won = {mark: writer.communicate(timeout=60)[0].split() for mark, writer in zip("abc", writers, strict=True)}
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sorted(map(int, itertools.chain(*won.values()))) == list(range(30))
    for mark, numbers in won.items():
        for number in numbers:
            assert server.get(f"{folder}/{number}") == mark.encode() * 1000
    assert len(os.listdir(server.data / folder[1:])) == 30


def test_a_writer_that_is_killed_leaves_nothing_for_long() -> None:
    from holdfast.testing.servers.xrootd_server import xrootd_server

    code = (
        "import asyncio, sys\n"
        "from holdfast.storage.xroot.driver import XrootDriver\n"
        "async def source():\n"
        "    yield bytes(3 << 20)\n"
        "    print('begun', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(XrootDriver(sys.argv[1]).write('/file', source()))\n"
    )
    with xrootd_server(extra="ofs.persist manual hold 1 logdir {folder}/admin\n") as server:
        writer = subprocess.Popen([sys.executable, "-c", code, server.root_url], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        (part,) = os.listdir(server.data)
        assert is_part_name(part)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        deadline = time.monotonic() + 30
        while os.listdir(server.data) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert os.listdir(server.data) == []


# Redirectors.


@pytest.fixture(scope="module")
def shared() -> Iterator[XrootdCluster]:
    """A redirector before two servers of one folder."""
    from holdfast.testing.servers.xrootd_cluster import xrootd_cluster

    with xrootd_cluster(servers=2, shared=True) as running:
        yield running


def listed_by_all(cluster: XrootdCluster, path: str, servers: int) -> DirectoryListing:
    """A listing through the redirector, once it knows so many servers that have the directory."""

    async def scenario(driver: XrootDriver) -> DirectoryListing:
        deadline = time.monotonic() + 60
        while True:
            try:
                listing = await driver.list(path)
            except NotThere:
                listing = DirectoryListing(())
            if len(listing.entries) >= servers or time.monotonic() > deadline:
                return listing
            await asyncio.sleep(0.2)

    return using(cluster.root_url, scenario, to=access(call_s=60))


@pytest.mark.slow
def test_a_redirector_gives_what_every_server_has_and_twice_what_two_have(shared: XrootdCluster) -> None:
    folder = shared.data[0] / "a"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_bytes(b"12345")
    listing = listed_by_all(shared, "/a", 4)
    assert shown(listing) == ["file", "file", "sub", "sub"]
    assert listing.entries[0] == listing.entries[1]
    assert not listing.doubt

    async def scenario(driver: XrootDriver) -> None:
        assert (await driver.names("/a")).names == ("file", "file", "sub", "sub")
        assert await everything(driver.read("/a/file")) == b"12345"
        assert (await driver.stat("/a/file")).size == 5
        with pytest.raises(NotADirectory):
            await driver.list("/a/file")

    using(shared.root_url, scenario, to=access(call_s=60))


@pytest.mark.slow
def test_a_redirector_before_servers_with_folders_of_their_own() -> None:
    from holdfast.testing.servers.xrootd_cluster import xrootd_cluster

    with xrootd_cluster(servers=2, shared=False) as cluster:
        for number, data in enumerate(cluster.data):
            (data / "a").mkdir()
            (data / "a" / f"file{number}").write_bytes(b"x")
        listing = listed_by_all(cluster, "/a", 2)
        assert shown(listing) == ["file0", "file1"]
        assert not listing.doubt
        # One of them falls silent: what the other has is known, and that there may be more.
        cluster.servers[1].daemons[1].freeze()
        listing = using(cluster.root_url, lambda driver: driver.list("/a"), to=access(connect_s=2, call_s=5))
        assert shown(listing) == ["file0"]
        assert "could not be asked" in listing.doubt


# Credentials.

_SEVERAL = """
import asyncio, sys
from pathlib import Path
from holdfast.model.errors import HoldfastError
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.xroot.driver import XrootDriver

async def source():
    yield b"data"

async def tried(call):
    try:
        await call
    except HoldfastError as error:
        return type(error).__name__
    return "yes"

def access(authorities, proxy):
    return Access(AccessSettings(authorities=Path(authorities), proxy=Path(proxy) if proxy else None))

async def main(root, authorities, *proxies):
    drivers = [XrootDriver(root, access=access(authorities, proxy)) for proxy in proxies]
    for turn in range(2):
        for number, driver in enumerate(drivers):
            print(await tried(driver.list("/")), await tried(driver.write(f"/{turn}-{number}", source())))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.real("voms authorisation")
def test_doors_of_one_process_show_each_its_own_and_nothing_that_lies_about() -> None:
    from holdfast.testing.servers.authorised_xrootd import voms_xrootd
    from holdfast.testing.servers.test_authority import TestAuthority
    from holdfast.testing.servers.test_user import TestUser
    from holdfast.testing.servers.xrootd_server import guarded_folder

    with guarded_folder("holdfast-authority-") as own:
        authority = TestAuthority(own / "authority")
        alice = TestUser(authority, "Alice")
        plain, member = alice.proxy(own / "plain"), alice.voms_proxy(own / "member", "/cms/Role=production")
        with voms_xrootd(authority, alice) as server:
            # This library wants the name that is in the server's certificate.
            root = server.root_url.replace("127.0.0.1", "localhost")
            done = subprocess.run(
                [sys.executable, "-c", _SEVERAL, root, str(authority.certs), str(plain), str(member), ""],
                env={**os.environ, "X509_USER_PROXY": str(member)},
                capture_output=True,
                text=True,
                check=True,
                timeout=100,
            )
    assert done.stdout.splitlines() == ["yes NotAllowed", "yes yes", "NotAllowed NotAllowed"] * 2
