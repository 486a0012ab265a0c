"""Contents over WebDAV: what is read, told, written and removed, by servers that say what the test wants."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.driver import (
    AlreadyThere,
    ChangedWhileRead,
    DirectoryNotEmpty,
    NoSpace,
    NotAFile,
    NotAllowed,
    NotThere,
    StorageDriver,
    Unsupported,
)
from holdfast.storage.webdav.body import MEMORY_BYTES_MAX, Body
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.driver_hooks import everything, pattern, stream
from support.scripted_http import Request, Script, ScriptedServer, member, multistatus, reply
from support.webdav_scripts import DIRECTORY, Shelf, always, run

# Reading.


def reading(answer: bytes, *, stats: list[bytes]) -> Script:
    """A server of one file, whose stats are one after the other."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        if request.method == "PROPFIND":
            return stats.pop(0) if len(stats) > 1 else stats[0]
        writer.write(answer)
        await writer.drain()
        return None

    return script


def file_of(size: int, more: str = "") -> bytes:
    return reply(207, multistatus(member("/d/a", size=size, more=more)))


def test_a_body_that_breaks_off_is_no_file() -> None:
    script = reading(reply(200, b"12345", Content_Length="10"), stats=[file_of(10)])
    with pytest.raises(PeerError):
        run(script, lambda driver, _: everything(driver.read("/a")))


def test_a_body_that_breaks_off_because_the_file_changed_says_so() -> None:
    script = reading(reply(200, b"12345", Content_Length="10"), stats=[file_of(10), file_of(5)])
    with pytest.raises(ChangedWhileRead):
        run(script, lambda driver, _: everything(driver.read("/a")))


def test_a_whole_answer_of_the_wrong_length_is_no_file() -> None:
    with pytest.raises(PeerError, match="5 bytes came of a file of 10"):
        run(reading(reply(200, b"12345"), stats=[file_of(10)]), lambda driver, _: everything(driver.read("/a")))


def test_a_file_that_has_another_etag_afterwards_changed() -> None:
    stats = [file_of(5, "<D:getetag>one</D:getetag>"), file_of(5, "<D:getetag>two</D:getetag>")]
    with pytest.raises(ChangedWhileRead):
        run(reading(reply(200, b"12345"), stats=stats), lambda driver, _: everything(driver.read("/a")))


def test_a_file_that_went_away_changed() -> None:
    with pytest.raises(ChangedWhileRead):
        run(
            reading(reply(200, b"12345"), stats=[file_of(5), reply(404)]),
            lambda driver, _: everything(driver.read("/a")),
        )


def test_a_body_in_a_coding_nobody_asked_for_is_refused() -> None:
    script = reading(reply(200, b"12345", Content_Encoding="gzip"), stats=[file_of(5)])
    with pytest.raises(PeerError):
        run(script, lambda driver, _: everything(driver.read("/a")))


# Checksums.


@pytest.mark.parametrize(
    ("algorithm", "headers", "told"),
    [
        ("adler32", {"Digest": "adler32=024d0127"}, True),
        ("adler32", {"Digest": "ADLER32=24d0127"}, True),
        ("md5", {"Digest": "md5=kAFQmDzST7DWlj99KOF/cg=="}, True),
        ("md5", {"Digest": "adler32=024d0127,md5=kAFQmDzST7DWlj99KOF/cg=="}, True),
        ("sha256", {"Repr-Digest": "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"}, True),
        ("sha256", {"Digest": "adler32=024d0127"}, False),
        ("adler32", {"Digest": "adler32="}, False),
        ("adler32", {"Digest": "adler32=Error_accessing /d/a"}, False),
        ("adler32", {"Digest": "adler32=024d0127ff"}, False),
        ("crc32c", {"Digest": "crc32c=no-such"}, False),
        ("md5", {"Digest": "md5=kAFQmDzST7DWlj99KOF/cg==", "Repr-Digest": "md5=:AAAAAAAAAAAAAAAAAAAAAA==:"}, False),
        ("md5", {"OC-Checksum": "MD5:900150983cd24fb0d6963f7d28e17f72"}, True),
        ("md5", {}, False),
    ],
)
def test_a_digest_counts_only_if_it_is_one(algorithm: str, headers: dict[str, str], told: bool) -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if request.method == "PROPFIND":
            return file_of(3)
        return reply(200, b"abc") if request.method == "GET" else reply(200, Content_Length="3", **headers)

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        digest = await driver.checksum("/a", [algorithm])
        assert digest.told == (frozenset({algorithm}) if told else frozenset())
        assert ("GET" in server.methods()) is not told
        assert digest.checksums == (await driver.checksum("/a", [algorithm], read=True)).checksums

    run(script, scenario)


def test_a_file_that_changed_while_its_digest_was_asked_for() -> None:
    stats = [file_of(3), file_of(4)]

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        return stats.pop(0) if request.method == "PROPFIND" else reply(200, Digest="adler32=024d0127")

    with pytest.raises(ChangedWhileRead):
        run(script, lambda driver, _: driver.checksum("/a", ["adler32"]))


# Writing.


def test_a_file_arrives_under_a_parts_name_and_is_then_moved() -> None:
    shelf = Shelf()

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        assert (await driver.write("/a", stream(b"data"))).size == 4
        put = next(request for request in server.requests if request.method == "PUT")
        move = next(request for request in server.requests if request.method == "MOVE")
        assert "/.holdfast-part-" in put.target
        assert put.headers["content-length"] == "4"
        assert (move.target, move.headers["overwrite"]) == (put.target, "F")

    run(shelf, scenario)
    assert shelf.files == {"/d/a": b"data"}


@pytest.mark.parametrize(
    ("method", "answer", "error"),
    [
        ("PUT", reply(507), NoSpace),
        ("PUT", reply(413), NoSpace),
        ("PUT", reply(403), NotAllowed),
        ("PUT", reply(500), PeerError),
        ("MOVE", reply(412), AlreadyThere),
        ("MOVE", reply(500), PeerError),
        ("MOVE", reply(423), PeerError),
        ("MOVE", reply(501), Unsupported),
    ],
)
def test_a_write_that_is_refused_leaves_nothing(method: str, answer: bytes, error: type[HoldfastError]) -> None:
    shelf = Shelf(lambda request: answer if request.method == method else None)
    with pytest.raises(error) as caught:
        run(shelf, lambda driver, _: driver.write("/a", stream(b"data")))
    assert caught.value.place
    assert shelf.files == {}


def test_a_file_that_arrives_short_is_not_given_its_name() -> None:
    def spoil(request: Request) -> bytes | None:
        if request.method != "PUT":
            return None
        shelf.files[request.target] = request.body[:2]
        return reply(201)

    shelf = Shelf(spoil)
    with pytest.raises(PeerError, match="2 of 4 bytes"):
        run(shelf, lambda driver, _: driver.write("/a", stream(b"data")))
    assert shelf.files == {}


def test_a_name_taken_while_the_bytes_travel_is_not_replaced() -> None:
    def spoil(request: Request) -> bytes | None:
        if request.method == "PUT":
            shelf.files["/d/a"] = b"somebody else's"
        return None

    shelf = Shelf(spoil)
    with pytest.raises(AlreadyThere):
        run(shelf, lambda driver, _: driver.write("/a", stream(b"data")))
    assert shelf.files == {"/d/a": b"somebody else's"}


@pytest.mark.parametrize("size", [0, 4, MEMORY_BYTES_MAX + 5])
def test_a_write_that_is_sent_elsewhere_arrives_there(size: int) -> None:
    def spoil(request: Request) -> bytes | None:
        if request.method == "PUT" and "ticket" not in request.target:
            return reply(307, Location=f"{request.target}?ticket=1")
        if request.method == "PUT":
            shelf.files[request.target.partition("?")[0]] = request.body
            return reply(201)
        return None

    shelf = Shelf(spoil)
    run(shelf, lambda driver, _: driver.write("/a", stream(pattern(size))))
    assert shelf.files == {"/d/a": pattern(size)}


def test_a_large_body_is_kept_on_disk_and_can_be_sent_twice() -> None:
    async def scenario() -> None:
        body, data = Body(), pattern(MEMORY_BYTES_MAX * 2 + 3)
        await body.collect(stream(data[:7], data[7:MEMORY_BYTES_MAX], data[MEMORY_BYTES_MAX:]))
        assert body.size == len(data)
        for _ in range(2):
            async with asyncio.timeout(60) as limit:
                assert await everything(body.sent(limit, 60)) == data
        body.close()
        body.close()

    asyncio.run(scenario())


# Deleting.


class Folders:
    """A server with one empty directory; ``takes_all``: it removes directories with all that is in them."""

    def __init__(
        self, *, takes_all: bool, hides: bool = False, is_closed: bool = False, first: int = 0, full: int = 409
    ) -> None:
        self.there = {"/d", "/d/a"}
        self._takes_all, self._hides, self._is_closed = takes_all, hides, is_closed
        self._first, self._full = first, full
        """How it answers the first DELETE, and does nothing, if at all; and how the one of a full directory."""

    async def __call__(self, request: Request, _: asyncio.StreamWriter) -> bytes:
        path = request.target.rstrip("/")
        if request.method in ("MKCOL", "PUT"):
            if self._is_closed:
                return reply(403)
            self.there.add(path)
            return reply(201)
        below = {each for each in self.there if each.startswith(f"{path}/")}
        if request.method == "DELETE":
            if self._first:
                first, self._first = self._first, 0
                return reply(first)
            if below and not self._takes_all:
                return reply(self._full, b"Unable to remove it; directory not empty" if self._full == 500 else b"")
            self.there -= {path, *below}
            return reply(204)
        if path not in self.there:
            return reply(503 if self._hides and "part" in path else 404)
        return reply(207, multistatus(member(f"{path}/")))


@pytest.mark.parametrize("full", [405, 409, 412, 500])
def test_a_directory_goes_where_the_server_refuses_to_remove_a_full_one(full: int) -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        await driver.remove_directory("/a")
        assert folders.there == {"/d"}
        assert driver.capabilities.removes_directories
        # It is asked once.
        assert server.methods().count("MKCOL") == 1
        folders.there.add("/d/a")
        await driver.remove_directory("/a")
        assert server.methods().count("MKCOL") == 1

    folders = Folders(takes_all=False, full=full)
    run(folders, scenario)


def test_no_directory_goes_where_the_server_removes_full_ones() -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        assert driver.capabilities.removes_directories
        for _ in range(2):
            with pytest.raises(Unsupported, match="meanwhile"):
                await driver.remove_directory("/a")
            assert not driver.capabilities.removes_directories
        assert folders.there == {"/d", "/d/a"}
        assert "/d/a" not in {request.target.rstrip("/") for request in server.requests if request.method == "DELETE"}

    folders = Folders(takes_all=True)
    run(folders, scenario)


@pytest.mark.parametrize(
    "folders",
    [
        Folders(takes_all=True, hides=True),
        Folders(takes_all=False, is_closed=True),
        # A passing refusal says nothing of what it will do the next time.
        *(Folders(takes_all=True, first=status) for status in (202, 401, 403, 423, 429, 500, 503)),
    ],
)
def test_no_directory_goes_where_nobody_knows_what_the_server_does(folders: Folders) -> None:
    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        with pytest.raises((PeerError, NotAllowed)):
            await driver.remove_directory("/a")
        assert folders.there == {"/d", "/d/a"}

    run(folders, scenario)


def test_a_directory_is_listed_before_it_is_removed() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if request.method == "DELETE":
            if request.target.count("part") == 1:  # The directory of the question, with a file in it or without.
                return reply(409 if held else 204)
            held.discard(request.target)
            return reply(204)
        if request.method in ("MKCOL", "PUT"):
            held.update({request.target} if request.method == "PUT" else ())
            return reply(201)
        return reply(404) if "%3F" in request.target else reply(207, multistatus(*responses))

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        await driver.list("/")
        server.requests.clear()
        for more, error in (
            (member("/d/a/x", size=1), DirectoryNotEmpty),
            (member("/d/a/caf%E9", size=1), DirectoryNotEmpty),
            ("<D:response><D:href>/d/a/x</D:href><D:status>HTTP/1.1 403 No</D:status></D:response>", DirectoryNotEmpty),
        ):
            responses[:] = [member("/d/a/"), more]
            with pytest.raises(error):
                await driver.remove_directory("/a")
        responses[:] = []
        with pytest.raises(PeerError, match="cannot be told"):
            await driver.remove_directory("/a")
        assert not any(each.method == "DELETE" and "part" not in each.target for each in server.requests)
        responses[:] = [member("/d/a/")]
        await driver.remove_directory("/a")
        assert server.methods()[-2:] == ["PROPFIND", "DELETE"]

    held: set[str] = set()
    responses: list[str] = [member("/d/")]
    run(script, scenario)


def test_what_is_no_file_by_now_is_not_deleted() -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(NotAFile):
            await driver.delete("/a")
        assert server.methods() == ["PROPFIND"]

    run(always(reply(207, multistatus(member("/d/a/")))), scenario)


def test_a_delete_that_failed_because_it_is_gone_says_so() -> None:
    """XRootD answers 500 for what is not there any more."""
    answers = [file_of(1), reply(500), reply(404)]

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        return answers.pop(0)

    with pytest.raises(NotThere):
        run(script, lambda driver, _: driver.delete("/a"))


def test_the_suite_knows_it_as_a_driver() -> None:
    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        assert isinstance(driver, StorageDriver)

    run(always(DIRECTORY), scenario)
