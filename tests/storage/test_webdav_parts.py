"""Files written over WebDAV to a name that is a part's, and what a failure removes."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.driver import AlreadyThere, NoSpace
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.driver_hooks import stream
from support.scripted_http import Request, ScriptedServer, member, multistatus, reply
from support.webdav_scripts import Shelf, run

PART = "/.holdfast-part-abc"


def test_a_part_of_a_given_name_is_sent_under_it_and_never_over_another() -> None:
    shelf = Shelf()

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        await driver.write(PART, stream(b"data"))
        (put,) = (request for request in server.requests if request.method == "PUT")
        assert (put.target, put.headers["if-none-match"]) == (f"/d{PART}", "*")
        assert "MOVE" not in server.methods()

    run(shelf, scenario)
    assert shelf.files == {f"/d{PART}": b"data"}


def test_a_part_that_appears_while_the_bytes_are_collected_is_left_alone() -> None:
    shelf = Shelf()

    async def chunks():  # type: ignore[no-untyped-def]
        yield b"mine"
        shelf.files[f"/d{PART}"] = b"somebody else's"

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(AlreadyThere):
            await driver.write(PART, chunks())
        assert not {"PUT", "DELETE"} & set(server.methods())

    run(shelf, scenario)
    assert shelf.files == {f"/d{PART}": b"somebody else's"}


def test_of_two_that_write_one_part_one_succeeds() -> None:
    shelf = Shelf()

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        calls = (driver.write(PART, stream(data)) for data in (b"one", b"other"))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sorted(type(each).__name__ for each in results) == ["AlreadyThere", "Stat"]
        assert server.methods().count("PUT") == 1

    run(shelf, scenario)


@pytest.mark.parametrize(("status", "error"), [(412, AlreadyThere), (507, NoSpace), (500, PeerError)])
def test_a_part_that_the_server_did_not_make_for_us_is_not_removed(status: int, error: type[HoldfastError]) -> None:
    def spoil(request: Request) -> bytes | None:
        if request.method != "PUT":
            return None
        shelf.files[request.target] = b"somebody else's"
        return reply(status)

    shelf = Shelf(spoil)
    with pytest.raises(error):
        run(shelf, lambda driver, _: driver.write(PART, stream(b"data")))
    assert shelf.files == {f"/d{PART}": b"somebody else's"}


def test_a_part_that_was_made_for_us_and_is_short_is_removed() -> None:
    def spoil(request: Request) -> bytes | None:
        if request.method != "PUT":
            return None
        shelf.files[request.target] = request.body[:2]
        return reply(201)

    shelf = Shelf(spoil)
    with pytest.raises(PeerError, match="2 of 4 bytes"):
        run(shelf, lambda driver, _: driver.write(PART, stream(b"data")))
    assert shelf.files == {}


@pytest.mark.parametrize("path", [PART, "/a"])
def test_what_is_a_directory_by_now_is_not_removed(path: str) -> None:
    directories: set[str] = set()

    def spoil(request: Request) -> bytes | None:
        if request.method == "PUT":
            directories.add(request.target)
            return reply(201)
        if request.method == "PROPFIND" and request.target in directories:
            return reply(207, multistatus(member(f"{request.target}/")))
        return None

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(HoldfastError, match="is a directory"):
            await driver.write(path, stream(b""))
        assert "DELETE" not in server.methods()

    run(Shelf(spoil), scenario)
