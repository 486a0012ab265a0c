"""Parts that a WebDAV server fetches: what is asked beside the copy, what is told of it, and how it ends. By script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.abilities import FarFile
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import AlreadyThere, FarNotAllowed, NoSpace, NotAFile, NotThere, Unsupported
from holdfast.storage.parts import part_path
from holdfast.storage.webdav import copy as webdav_copy
from holdfast.storage.webdav import markers
from holdfast.storage.webdav.driver import WebdavDriver
from support.scripted_http import Request, ScriptedServer, member, multistatus, reply

DATA = b"data"
FAR = FarFile("http://127.0.0.1:1/source")


class Store:
    """A server with files and directories; COPY makes ``DATA``, as the options say."""

    def __init__(
        self,
        *,
        keeps: bool = True,
        digest: str = "adler32",
        head: int = 200,
        words: bytes = b"success: Created",
        missing: int = 409,
        markers: int = 0,
        done: int = 0,
    ) -> None:
        self.files: dict[str, bytes] = {}
        self.directories = {"/d"}
        self.asked: list[str] = []
        self._keeps, self._digest, self._head, self._words, self._missing = keeps, digest, head, words, missing
        self._markers, self._done = markers, done

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        path = request.target.rstrip("/")
        self.asked.append(f"{request.method} {path}")
        match request.method:
            case "COPY":
                return await self._copy(path, writer)
            case "HEAD":
                return self._told(path, request)
            case "MOVE":
                self.files["/" + request.headers["destination"].split("/", 3)[3]] = self.files.pop(path)
                return reply(201)
            case "MKCOL":
                self.directories.add(path)
                return reply(201)
            case "DELETE":
                return reply(204 if self.files.pop(path, None) is not None else 404)
        if path in self.directories:
            return reply(207, multistatus(member(f"{path}/")))
        if path in self.files:
            return reply(207, multistatus(member(path, size=len(self.files[path]))))
        return reply(404)

    async def _copy(self, path: str, writer: asyncio.StreamWriter) -> bytes | None:
        if path in self.files and self._keeps:
            return reply(412)
        if path.rpartition("/")[0] not in self.directories:
            return reply(self._missing)
        self.files[path] = DATA
        if not self._markers:
            return reply(201, self._words)
        writer.write(b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n")
        for _ in range(self._markers):
            writer.write(b"Perf Marker\nStripe Index: 0\nStripe Bytes Transferred: %d\nEnd\n" % self._done)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(self._words)
        await writer.drain()
        return None

    def _told(self, path: str, request: Request) -> bytes:
        if path in self.directories:
            raise AssertionError("a directory is never asked for its digest")
        if path not in self.files:
            return reply(404)
        if self._head != 200:
            return reply(self._head)
        told = {}
        if request.headers.get("want-digest") == self._digest:
            told["Digest"] = f"adler32={digests_of(self.files[path], ['adler32'])['adler32']}"
        return reply(200, Content_Length=str(len(self.files[path])), **told)

    def take(self) -> list[str]:
        """The methods asked since the last time."""
        asked, self.asked = [each.partition(" ")[0] for each in self.asked], []
        return asked


def using(store: Store, scenario: Callable[[WebdavDriver], Awaitable[None]], *, call_timeout_s: float = 5.0) -> None:
    async def whole() -> None:
        async with ScriptedServer(store) as server:
            settings = AccessSettings(call_timeout_s=call_timeout_s)
            driver = WebdavDriver(f"{server.url}/d", site="SITE", access=Access(settings, site="SITE"))
            try:
                await scenario(driver)
            finally:
                await driver.close()

    asyncio.run(whole())


async def pull(driver: WebdavDriver, name: str, *, wanted: tuple[str, ...] = ("adler32",)) -> dict[str, str]:
    digest = await driver.pull(part_path(f"/{name}", name), FAR, size=len(DATA), wanted=wanted)
    assert digest.stat.size == len(DATA)
    return dict(digest.checksums)


# What is asked beside.


def test_a_part_takes_two_requests_and_its_name_three_once_the_server_is_known() -> None:
    store = Store()

    async def scenario(driver: WebdavDriver) -> None:
        for number in range(3):
            store.take()
            assert await pull(driver, f"a{number}") == digests_of(DATA, ["adler32"])
            asked = store.take()
            if number == 0:
                assert asked.count("COPY") == 2
            else:
                assert asked == ["COPY", "HEAD"]
            await driver.rename(part_path("/x", f"a{number}"), f"/x{number}")
            told = await driver.told(f"/x{number}", ["adler32"])
            assert told.checksums == digests_of(DATA, ["adler32"])
            assert store.take() == ["PROPFIND", "MOVE", "HEAD"]
            await driver.told(f"/x{number}", ["adler32"])
            assert store.take() == ["PROPFIND", "HEAD"]

    using(store, scenario)
    assert sorted(store.files) == ["/d/x0", "/d/x1", "/d/x2"]


def test_a_server_that_replaces_what_it_was_told_to_leave_is_looked_at_each_time() -> None:
    store = Store(keeps=False)

    async def scenario(driver: WebdavDriver) -> None:
        await pull(driver, "a0")
        store.take()
        await pull(driver, "a1")
        assert store.take() == ["PROPFIND", "PROPFIND", "PROPFIND", "COPY", "HEAD"]
        store.files["/d/.holdfast-part-a2"] = b"stays"
        with pytest.raises(AlreadyThere):
            await pull(driver, "a2")

    using(store, scenario)
    assert store.files["/d/.holdfast-part-a2"] == b"stays"


def test_a_part_that_is_there_already_stays() -> None:
    store = Store()

    async def scenario(driver: WebdavDriver) -> None:
        await pull(driver, "a0")
        store.files["/d/.holdfast-part-a1"] = b"stays"
        with pytest.raises(AlreadyThere):
            await pull(driver, "a1")

    using(store, scenario)
    assert store.files["/d/.holdfast-part-a1"] == b"stays"


@pytest.mark.parametrize("missing", [400, 404, 409])
def test_a_directory_that_is_missing_is_made_when_the_copy_shows_it(missing: int) -> None:
    store = Store(missing=missing)

    async def scenario(driver: WebdavDriver) -> None:
        await pull(driver, "a0")
        digest = await driver.pull(part_path("/new/deep/file", "a1"), FAR, size=len(DATA))
        assert digest.stat.size == len(DATA)

    using(store, scenario)
    assert "/d/new/deep/.holdfast-part-a1" in store.files


@pytest.mark.parametrize(("status", "error"), [(400, Unsupported), (404, NotThere)])
def test_a_refusal_is_one_where_the_directory_is_there(status: int, error: type[HoldfastError]) -> None:
    store = Store(missing=status)

    async def scenario(driver: WebdavDriver) -> None:
        await pull(driver, "a0")
        store.take()

        async def refusing(path: str, writer: asyncio.StreamWriter) -> bytes | None:
            store.directories.add("/d/sub")
            return reply(status)

        store._copy = refusing  # type: ignore[method-assign]
        with pytest.raises(error):
            await driver.pull(part_path("/sub/file", "a1"), FAR, size=len(DATA))
        assert store.take().count("COPY") == 1

    using(store, scenario)


def test_large_files_are_not_copied_twice_to_learn_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdav_copy, "TWICE_BYTES_MAX", len(DATA) - 1)
    store = Store()

    async def scenario(driver: WebdavDriver) -> None:
        await pull(driver, "a0")
        assert store.take().count("COPY") == 1

    using(store, scenario)


# What is told.


def test_what_is_not_told_at_once_is_told_later_or_not_at_all() -> None:
    store = Store(digest="none")

    async def scenario(driver: WebdavDriver) -> None:
        assert await pull(driver, "a0") == {}
        told = await driver.told(part_path("/x", "a0"), ["adler32", "sha256"])
        assert (told.checksums, told.stat.size) == ({}, len(DATA))

    using(store, scenario)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_in_trouble_does_not_lose_the_copy_and_has_said_nothing_of_it(status: int) -> None:
    store = Store(head=status)

    async def scenario(driver: WebdavDriver) -> None:
        assert await pull(driver, "a0") == {}
        with pytest.raises(PeerError):
            await driver.told(part_path("/x", "a0"), ["adler32"])

    using(store, scenario)
    assert list(store.files) == ["/d/.holdfast-part-a0"]


def test_a_server_without_digests_says_so_and_is_no_trouble() -> None:
    store = Store(head=405)

    async def scenario(driver: WebdavDriver) -> None:
        assert await pull(driver, "a0") == {}
        assert (await driver.told(part_path("/x", "a0"), ["adler32"])).checksums == {}

    using(store, scenario)


def test_a_directory_is_never_asked_for_its_digest() -> None:
    store = Store()

    async def scenario(driver: WebdavDriver) -> None:
        store.directories.add("/d/sub")
        with pytest.raises(NotAFile):
            await driver.told("/sub", ["adler32"])
        with pytest.raises(NotThere):
            await driver.told("/none", ["adler32"])

    using(store, scenario)


def test_the_algorithm_that_was_told_before_is_asked_for_first() -> None:
    store = Store()

    async def scenario(driver: WebdavDriver) -> None:
        await pull(driver, "a0", wanted=("sha256", "adler32"))
        store.take()
        await pull(driver, "a1", wanted=("sha256", "adler32"))
        assert store.take().count("HEAD") == 1

    using(store, scenario)


# How it ends.


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (b"failure: Unable to write; no space left on device (code=28)", NoSpace),
        (b"failure: quota (code=122)", NoSpace),
        (b"failure: Remote side failed with status code 507", NoSpace),
        (b"failure: something else (code=5)", PeerError),
        (b"failure: Remote side failed with status code 403", FarNotAllowed),
    ],
)
def test_numbers_say_why_a_copy_failed(words: bytes, error: type[HoldfastError]) -> None:
    store = Store(words=words)

    async def scenario(driver: WebdavDriver) -> None:
        with pytest.raises(error) as caught:
            await pull(driver, "a0")
        assert type(caught.value) is error

    using(store, scenario)
    assert store.files == {}


def test_a_copy_that_stops_in_the_middle_costs_the_time_limit_of_a_call() -> None:
    store = Store(markers=200, done=len(DATA) - 1)

    async def scenario(driver: WebdavDriver) -> None:
        with pytest.raises(PeerError, match=r"no byte has been copied for 0\.2 s"):
            await pull(driver, "a0")

    using(store, scenario, call_timeout_s=0.2)
    assert store.files == {}


@pytest.mark.parametrize("done", [0, len(DATA)], ids=["not begun", "all there"])
def test_a_copy_that_goes_on_and_never_further_has_an_end(done: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers, "STALLED_LIMITS", 2)
    store = Store(markers=200, done=done)

    async def scenario(driver: WebdavDriver) -> None:
        with pytest.raises(PeerError, match=r"no byte has been copied for 0\.4 s"):
            await pull(driver, "a0")

    using(store, scenario, call_timeout_s=0.2)
    assert store.files == {}


@pytest.mark.parametrize("done", [0, len(DATA)], ids=["before the first byte", "after the last"])
def test_markers_keep_a_slow_copy_alive(done: int) -> None:
    store = Store(markers=10, done=done)

    async def scenario(driver: WebdavDriver) -> None:
        await driver.pull("/file", FAR, size=len(DATA))

    using(store, scenario, call_timeout_s=0.3)
    assert store.files == {"/d/file": DATA}
