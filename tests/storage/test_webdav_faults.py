"""What a WebDAV server that misbehaves does to the driver: nothing, or one clear error within the time limit.

The servers here are scripts, so that every byte is the test's own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest

from holdfast.model.errors import BadInput, BrokenInvariant, HoldfastError, InvalidName, PeerError
from holdfast.storage.abilities import PagingDriver, SecondLookDriver, ThirdPartyCopyDriver
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import NOT_TOLD, Kind, NoSpace, NotADirectory, NotAFile, NotAllowed, NotThere, Unsupported
from holdfast.storage.webdav import door as webdav_door
from holdfast.storage.webdav import looks as webdav_looks
from holdfast.storage.webdav.body import MEMORY_BYTES_MAX
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.storage.webdav.errors import Busy
from holdfast.testing.driver_hooks import everything, pattern, stream
from support.scripted_http import Request, ScriptedServer, member, multistatus, reply
from support.webdav_scripts import DIRECTORY, Shelf, access, always, listed, one_by_one, run

TOKEN = "s3cret.t0ken"
# Roots.


@pytest.mark.parametrize(
    "root",
    [
        "https://",
        "ftp://host/d",
        "/d",
        "",
        "https://host/d?x=1",
        "https://host/d#x",
        "https://user:pass@host/d",
        "https://token@host/d",
        "https://host/a/../b",
        "https://host/%FF",
        "https://host/a%0Ab",
        "https://host:99999/d",
        "https://[::1/d",
    ],
)
def test_a_root_that_is_none_is_refused(root: str) -> None:
    async def scenario() -> None:
        with pytest.raises(BadInput) as caught:
            open_driver("https", root, site="SITE", access=access())
        assert "pass@" not in str(caught.value)
        assert caught.value.hint

    asyncio.run(scenario())


@pytest.mark.parametrize("protocol", ["http", "https", "dav", "davs", "webdav"])
def test_every_word_for_it_opens_the_same_driver(protocol: str) -> None:
    async def scenario() -> None:
        driver = open_driver(
            protocol, "davs://host:8443//dpm/../dpm".replace("/../dpm", ""), site="SITE", access=access()
        )
        assert isinstance(driver, WebdavDriver)
        assert isinstance(driver, SecondLookDriver | PagingDriver | ThirdPartyCopyDriver)
        await driver.close()

    asyncio.run(scenario())


# Statuses.


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, BadInput),
        (401, NotAllowed),
        (402, NotAllowed),
        (403, NotAllowed),
        (404, NotThere),
        (406, Unsupported),
        (409, BadInput),
        (410, NotThere),
        (414, InvalidName),
        (415, Unsupported),
        (416, Unsupported),
        (422, BadInput),
        (423, PeerError),
        (429, Busy),
        (500, PeerError),
        (502, PeerError),
        (503, Busy),
        (504, PeerError),
        (507, NoSpace),
        (508, Unsupported),
        (511, NotAllowed),
        (200, PeerError),
        (204, PeerError),
        (304, PeerError),
        (599, PeerError),
    ],
)
def test_each_status_has_its_meaning(status: int, family: type[HoldfastError]) -> None:
    with pytest.raises(family) as caught:
        run(always(reply(status, b"secret words of the server")), listed)
    assert caught.value.place.endswith(":/")
    assert caught.value.place.startswith("SITE:http://127.0.0.1:")
    assert "secret" not in str(caught.value)
    assert caught.value.retryable == issubclass(family, PeerError)


@pytest.mark.parametrize(("said", "wait_s"), [("7", 7.0), ("999999999", 3600.0), ("tomorrow", None), ("-1", None)])
def test_a_server_that_is_busy_says_for_how_long(said: str, wait_s: float | None) -> None:
    with pytest.raises(Busy) as caught:
        run(always(reply(503, Retry_After=said)), listed)
    assert caught.value.retry_after_s == wait_s


def test_a_server_without_propfind_tells_files_only() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if request.method != "HEAD":
            return reply(405)
        return reply(200, Content_Length="7", Last_Modified="Sat, 21 Nov 2026 05:29:03 GMT", ETag='"x"')

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        stat = await driver.stat("/file")
        assert (stat.kind, stat.size, stat.mtime_ns, stat.version) == (Kind.FILE, 7, 1795238943 * 10**9, '"x"')
        for call in (driver.delete("/file"), driver.rename("/file", "/new"), driver.list("/")):
            with pytest.raises(Unsupported):
                await call
        assert set(server.methods()) == {"PROPFIND", "HEAD"}

    run(script, scenario)


# Answers that are none.


@pytest.mark.parametrize(
    "answer",
    [
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\x00\x01\x02" * 1000,
        b"HTTP/1.1 207 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 207 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 207 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 207 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        reply(207, b"<html>log in first</html>"),
        reply(207, b""),
        reply(207, multistatus()),
        reply(207, multistatus(member("/d/"))[:-3]),
        reply(207, multistatus(member("/d/"), "<D:x></D:y>")),
    ],
    ids=lambda answer: ascii(answer[:30]),
)
def test_garbage_is_the_far_sides_failure(answer: bytes) -> None:
    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        for call in (driver.stat("/"), driver.list("/")):
            with pytest.raises(PeerError):
                assert (await asyncio.wait_for(call, 10)).doubt == "never reached"  # type: ignore[union-attr]

    run(always(answer), scenario) if answer != reply(207, multistatus()) else None


def test_an_answer_that_says_nothing_is_doubted() -> None:
    listing = run(always(reply(207, multistatus())), lambda driver, _: driver.list("/"))
    assert listing.entries == ()
    assert "the directory itself" in listing.doubt


def test_an_answer_shorter_than_it_says_is_no_answer() -> None:
    async def script(request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        if "%3F" in request.target:
            return reply(404)
        body = multistatus(member("/d/"), member("/d/a", size=1))
        writer.write(reply(207, body, Content_Length=str(len(body) + 10)))
        await writer.drain()
        return None

    with pytest.raises(PeerError):
        run(script, listed)


def test_a_server_that_goes_to_another_place_is_not_followed_there() -> None:
    answer = reply(207, multistatus(member("/d/"), member("/etc/passwd", size=1), member("/d/ok", size=1)))
    listing = run(always(answer), lambda driver, _: driver.list("/"))
    assert [entry.name for entry in listing.entries] == ["ok"]
    assert [each.raw for each in listing.unnameable] == [b"/etc/passwd"]
    assert listing.doubt


def test_a_directory_that_is_a_file_by_its_own_word() -> None:
    with pytest.raises(NotADirectory):
        run(always(reply(207, multistatus(member("/d/", size=7)))), listed)


def test_an_answer_upset_by_a_change_is_asked_for_again() -> None:
    upset = reply(207, multistatus(member("/d/")) + b"Internal Server Error")
    whole = reply(207, multistatus(member("/d/"), member("/d/a", size=1)))
    listing = run(one_by_one(upset, upset, whole), lambda driver, _: driver.list("/"))
    assert [entry.name for entry in listing.entries] == ["a"]
    with pytest.raises(PeerError):
        run(always(upset), listed)


# What an answer lacks.


def test_what_the_answer_lacks_is_asked_for() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        lacking = member("/d/a", size=1, mtime="").replace("<D:getcontentlength>1</D:getcontentlength>", "")
        if request.method == "PROPFIND":
            entries = (member("/d/"), lacking, lacking.replace("/d/a", "/d/b"), lacking.replace("/d/a", "/d/c"))
            return reply(404) if "%3F" in request.target else reply(207, multistatus(*entries))
        if request.target == "/d/a":
            return reply(200, Content_Length="7", Last_Modified="Sat, 21 Nov 2026 05:29:03 GMT")
        return reply(404 if request.target == "/d/b" else 403)

    listing = run(script, lambda driver, _: driver.list("/"))
    told = {entry.name: (entry.stat.size, entry.stat.mtime_ns) for entry in listing.entries}
    # b is not known when it is asked for, and reported; of c nobody tells us anything, and nothing is guessed.
    assert told == {"a": (7, 1795238943 * 10**9), "c": (NOT_TOLD, NOT_TOLD)}
    assert [each.raw for each in listing.unnameable] == [b"b"]


def test_a_file_of_which_only_the_time_cannot_be_had_is_listed() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if request.method == "PROPFIND" and "%3F" not in request.target:
            return reply(207, multistatus(member("/d/"), member("/d/a", size=3, mtime="")))
        return reply(404)

    listing = run(script, lambda driver, _: driver.list("/"))
    assert [(entry.name, entry.stat.size) for entry in listing.entries] == [("a", 3)]


def test_what_is_not_said_to_be_a_file_is_doubted_and_not_deleted() -> None:
    untyped = member("/d/a", size=1).replace("<D:resourcetype/>", "")

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if "%3F" in request.target:
            return reply(404)
        return reply(207, multistatus(untyped) if request.target == "/d/a" else multistatus(member("/d/"), untyped))

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        listing = await driver.list("/")
        assert [entry.stat.kind for entry in listing.entries] == [Kind.OTHER]
        assert "whether they are files" in listing.doubt
        with pytest.raises(NotAFile):
            await driver.delete("/a")
        assert "DELETE" not in server.methods()

    run(script, scenario)


def test_an_answer_about_another_name_proves_nothing() -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(PeerError, match="another"):
            await driver.delete("/a")
        assert server.methods() == ["PROPFIND"]

    run(always(reply(207, multistatus(member("/elsewhere/a", size=5)))), scenario)


def test_an_answer_about_one_name_is_short() -> None:
    answer = reply(207, multistatus(*[member("/d/a", size=1)] * 100))
    with pytest.raises(PeerError, match="very many"):
        run(always(answer), lambda driver, _: driver.stat("/a"))


def test_a_listing_does_not_wait_for_its_own_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdav_door, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(webdav_looks, "PAGE_ENTRIES", 2)
    lacking = "<D:getcontentlength>1</D:getcontentlength>"
    entries = [member(f"/d/{number:054d}é" + "é" * 99, size=1).replace(lacking, "") for number in range(7)]

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if "%3F" in request.target:
            return reply(404)
        if request.method == "HEAD":
            return reply(200, Content_Length="7")
        if request.target == "/d":
            # More than fits into buffers: the connection is held until everything was taken.
            rest = [" " * (1 << 19) + member(f"/d/z{number}", size=7) for number in range(8)]
            return reply(207, multistatus(member("/d/"), *entries, *rest))
        return reply(207, multistatus(member(request.target, size=7)))

    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        assert [entry.stat.size for entry in (await driver.list("/")).entries] == [7] * 15
        assert len((await driver.names("/")).names) == 15

    run(script, lambda driver, server: asyncio.wait_for(scenario(driver, server), 20))


def test_nobody_waits_for_one_of_our_connections_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdav_door, "CONNECTIONS_MAX", 1)
    taken = asyncio.Event()

    async def script(request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        if request.method != "GET":
            return reply(207, multistatus(member("/d/a", size=1 << 30)))
        writer.write(reply(200, bytes(8 << 20), Content_Length=str(1 << 30)))
        taken.set()
        await asyncio.Event().wait()
        return None

    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        reading = driver.read("/a")
        await anext(reading)
        begun = time.monotonic()
        with pytest.raises(PeerError):
            await asyncio.wait_for(driver.stat("/a"), 10)
        assert time.monotonic() - begun < 5
        await reading.aclose()  # type: ignore[attr-defined]

    run(script, scenario, connect_timeout_s=0.3, call_timeout_s=0.3)


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_question_that_is_refused_is_no_failure_of_the_listing(status: int) -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if "%3F" in request.target:
            return reply(status)
        return reply(207, multistatus(member("/d/"), member("/d/a", size=3)))

    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        assert [entry.name for entry in (await driver.list("/")).entries] == ["a"]
        assert driver.capabilities.not_in_paths == "?"
        with pytest.raises(InvalidName):
            await driver.stat("/a?b")

    run(script, scenario)


@pytest.mark.parametrize(
    ("there", "names", "is_doubted"),
    [
        ("/d/100%25", ["100%", "a b"], True),
        ("/d/100%2525", ["100%25", "a b"], False),
        ("/d/none", ["100%25", "a b"], True),
    ],
)
def test_names_written_in_both_ways_at_once_are_doubted(there: str, names: list[str], is_doubted: bool) -> None:
    responses = [member("/d/"), member("/d/a b", size=1), member("/d/100%25", size=1)]

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if request.headers["depth"] == "1":
            return reply(207, multistatus(*responses))
        return reply(207, multistatus(member(request.target, size=1))) if request.target == there else reply(404)

    listing = run(script, lambda driver, _: driver.list("/"))
    assert [entry.name for entry in listing.entries] == names
    assert bool(listing.doubt) is is_doubted


def test_files_made_to_ask_are_each_removed() -> None:
    def spoil(request: Request) -> bytes | None:
        asked.append(request)
        is_first = request.method == "DELETE" and sum(each.method == "DELETE" for each in asked) == 1
        return b"rubbish\r\n\r\n" if is_first else None

    asked: list[Request] = []
    shelf = Shelf(spoil)
    shelf.files["/d/file"] = b"data"
    with pytest.raises(PeerError, match="cannot be found"):
        # This server takes the header as it is, and then has no file of either name that was asked for.
        run(_Misplacing(shelf), lambda driver, _: driver.rename("/file", "/odd name"))
    deleted = [each.target for each in asked if each.method == "DELETE"]
    assert len(deleted) == 3
    assert all(each.startswith("/d/.holdfast-part-") for each in deleted)


class _Misplacing:
    """A server that says of nothing odd that it is there."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> bytes:
        if request.method == "PROPFIND" and ".holdfast-part-" in request.target:
            return reply(404)
        return await self._shelf(request, writer)


def test_names_given_twice_are_handed_on() -> None:
    answer = reply(207, multistatus(member("/d/"), member("/d/a", size=1), member("/d/a", size=2)))
    listing = run(always(answer), lambda driver, _: driver.list("/"))
    assert [(entry.name, entry.stat.size) for entry in listing.entries] == [("a", 1), ("a", 2)]


# Pages.


def test_a_large_directory_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdav_looks, "PAGE_ENTRIES", 10)
    answer = reply(207, multistatus(member("/d/"), *(member(f"/d/{number:03d}", size=1) for number in range(95))))

    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> list[int]:
        return [len(page.entries) async for page in driver.pages("/")]

    sizes = run(always(answer), scenario)
    assert (len(sizes), sum(sizes), max(sizes)) == (10, 95, 10)


def test_a_large_directory_that_breaks_off_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdav_looks, "PAGE_ENTRIES", 10)
    body = multistatus(member("/d/"), *(member(f"/d/{number:03d}", size=1) for number in range(95)))[:-200]

    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        pages = driver.pages("/")
        assert len((await anext(pages)).entries) > 0
        with pytest.raises(PeerError):
            await everything(page async for page in pages)  # type: ignore[misc]

    run(always(reply(207, body)), scenario)


def test_a_second_look_asks_in_another_way_on_a_connection_of_its_own() -> None:
    answer = reply(207, multistatus(member("/d/"), member("/d/b", size=1), member("/d/a", size=1)))

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        await driver.list("/")
        assert (await driver.names("/")).names == ("a", "b")
        first, second = (each for each in server.requests if each.headers["depth"] == "1")
        assert first.connection != second.connection
        assert (b"allprop" in first.body, b"allprop" in second.body) == (False, True)

    run(always(answer), scenario)


# Names that could be read in two ways.


@pytest.mark.parametrize(("there", "name"), [("/d/a%20b", "a b"), ("/d/a%2520b", "a%20b")])
def test_a_disputed_name_is_asked_for_once(there: str, name: str) -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if request.headers.get("depth") == "1":
            return reply(207, multistatus(member("/d/"), member("/d/a%20b", size=1)))
        return reply(207, multistatus(member(request.target, size=1))) if request.target == there else reply(404)

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        for _ in range(3):
            listing = await driver.list("/")
            assert [entry.name for entry in listing.entries] == [name]
            assert listing.doubt == ""
        asked = [request.target for request in server.requests if request.target.startswith("/d/a")]
        assert sorted(asked) == ["/d/a%20b", "/d/a%2520b"]

    run(script, scenario)


def test_a_dispute_that_cannot_be_settled_is_a_doubt() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        whole = request.headers.get("depth") == "1"
        return reply(207, multistatus(member("/d/"), member("/d/a%20b", size=1))) if whole else reply(404)

    listing = run(script, lambda driver, _: driver.list("/"))
    assert [entry.name for entry in listing.entries] == ["a b"]
    assert "two ways" in listing.doubt


def test_a_server_that_cuts_paths_off_is_not_asked_for_others() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        cut = request.target.partition("%3F")[0]
        return reply(207, multistatus(member("/d/" if cut.strip("/") == "d" else cut, size=None)))

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        assert driver.capabilities.not_in_paths == ""
        for call in (
            driver.stat("/a?b"),
            driver.delete("/a?b"),
            driver.list("/a?b"),
            driver.write("/a?b", stream(b"")),
        ):
            with pytest.raises(InvalidName):
                await call
        assert driver.capabilities.not_in_paths == "?"
        assert [request.method for request in server.requests] == ["PROPFIND"]
        assert "a%3Fb" not in server.requests[0].target

    run(script, scenario)


# Redirections and tokens.


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


def test_redirections_are_followed() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if "%3F" in request.target:
            return reply(404)
        if request.target.startswith("/pool"):
            return reply(207, multistatus(member("/pool/x/"), member("/pool/x/a", size=1)))
        return reply(307, Location="/pool/x?ticket=1")

    listing = run(script, lambda driver, _: driver.list("/"))
    assert [entry.name for entry in listing.entries] == ["a"]


@pytest.mark.parametrize("location", ["/d", "/d?again", "/e"])
def test_redirections_without_end_are_not(location: str) -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(PeerError, match="on and on") as caught:
            await driver.stat("/")
        assert "again" not in str(caught.value)
        assert len(server.requests) == 6

    run(always(reply(302, Location=location)), scenario)


@pytest.mark.parametrize("location", ["ftp://host/x", "", "http://", "http://[::1/x"])
def test_redirections_to_nowhere_are_told(location: str) -> None:
    with pytest.raises(PeerError):
        run(always(reply(307, Location=location)), lambda driver, _: asyncio.wait_for(driver.stat("/"), 10))


@pytest.mark.parametrize("status", [301, 302, 303])
def test_what_changes_something_is_not_sent_elsewhere_without_being_told_so(status: int) -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        if request.method == "PROPFIND":
            return reply(207, multistatus(member("/d/a", size=1)))
        return reply(status, Location="/d/other")

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(PeerError):
            await driver.delete("/a")
        assert [request.target for request in server.requests if request.method == "DELETE"] == ["/d/a"]

    run(script, scenario)


def test_a_token_is_never_shown_without_tls(token: Path) -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(NotAllowed, match="https only"):
            await driver.stat("/")
        assert all("authorization" not in request.headers for request in server.requests)

    run(always(reply(401)), scenario, token=token)


@pytest.mark.real("xrootd")  # For openssl, which makes the certificates.
@pytest.mark.parametrize(("host", "shown"), [("localhost", True), ("127.0.0.1", False)])
def test_a_token_is_shown_to_the_doors_own_host_only(tmp_path: Path, token: Path, host: str, shown: bool) -> None:
    from holdfast.testing.servers.test_authority import TestAuthority

    authority = TestAuthority(tmp_path / "authority")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(authority.host_certificate, authority.host_key)

    async def scenario() -> None:
        async with ScriptedServer(always(DIRECTORY), tls=tls) as disk:
            elsewhere = always(reply(307, Location=f"https://{host}:{disk.port}/d?ticket=1"))
            async with ScriptedServer(elsewhere, tls=tls) as door:
                driver = WebdavDriver(f"{door.url}/d", access=access(token=token, authorities=authority.bundle))
                assert (await driver.stat("/")).kind is Kind.DIRECTORY
                await driver.close()
            assert [request.headers.get("authorization") for request in door.requests] == [f"Bearer {TOKEN}"]
            expected = f"Bearer {TOKEN}" if shown else None
            assert [request.headers.get("authorization") for request in disk.requests] == [expected]

    asyncio.run(scenario())


# Silence, and connections that end.


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        async def scenario() -> None:
            driver = WebdavDriver(f"http://127.0.0.1:{taken.getsockname()[1]}/d", access=access())
            for call in (driver.stat("/"), driver.list("/"), driver.write("/x", stream(b"x"))):
                with pytest.raises(PeerError, match="connection refused"):
                    await call
            await driver.close()

        begun = time.monotonic()
        asyncio.run(scenario())
        assert time.monotonic() - begun < 2


def test_a_name_nobody_knows_is_told() -> None:
    async def scenario() -> None:
        driver = WebdavDriver("https://no-such-host.invalid/d", access=access(connect_timeout_s=3.0))
        with pytest.raises(PeerError, match="cannot be reached"):
            await asyncio.wait_for(driver.stat("/"), 10)
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 207 OK\r\n", reply(207, multistatus(), Content_Length="9999")])
def test_a_server_that_falls_silent_costs_the_time_limit(begin: bytes) -> None:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        await writer.drain()
        await asyncio.Event().wait()

    async def scenario(driver: WebdavDriver, _: ScriptedServer) -> None:
        with pytest.raises(PeerError, match=r"silent for 0\.3 s"):
            await asyncio.wait_for(driver.stat("/"), 5)

    run(script, scenario, call_timeout_s=0.3)


def test_a_server_that_takes_no_more_bytes_costs_the_time_limit() -> None:
    async def scenario() -> None:
        async with ScriptedServer(Shelf(), deaf_to="PUT") as server:
            driver = WebdavDriver(f"{server.url}/d", access=access(call_timeout_s=0.3))
            with pytest.raises(PeerError, match="silent"):
                await asyncio.wait_for(driver.write("/file", stream(pattern(MEMORY_BYTES_MAX * 2))), 10)
            await driver.close()

    asyncio.run(scenario())


def test_a_connection_closed_while_it_lay_idle_is_no_failure() -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes | None:
        served[request.connection] = served.get(request.connection, 0) + 1
        # The second request on any connection meets a server that has just closed it.
        return None if served[request.connection] > 1 else DIRECTORY

    served: dict[int, int] = {}

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        for _ in range(4):
            assert (await driver.stat("/")).kind is Kind.DIRECTORY

    run(script, scenario)


def test_a_server_that_always_closes_is_asked_twice_and_no_more() -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(PeerError, match="closed the connection"):
            await driver.stat("/")
        assert server.methods() == ["PROPFIND"] * 2

    run(one_by_one(None), scenario)


@pytest.mark.parametrize("method", ["DELETE", "MOVE"])
def test_what_must_not_be_done_twice_is_asked_once(method: str) -> None:
    async def script(request: Request, _: asyncio.StreamWriter) -> bytes | None:
        if request.method == "PROPFIND":
            known = {"/d": member("/d/"), "/d/a": member("/d/a", size=1)}
            return reply(207, multistatus(known[request.target])) if request.target in known else reply(404)
        return None

    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        with pytest.raises(PeerError):
            await (driver.delete("/a") if method == "DELETE" else driver.rename("/a", "/b"))
        assert server.methods().count(method) <= (2 if method == "DELETE" else 1)

    run(script, scenario)


def test_a_move_whose_answer_got_lost_is_looked_after() -> None:
    files = {"/d/a"}

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes | None:
        if request.method == "MOVE":
            files.remove("/d/a")
            files.add("/d/b")
            return None
        known = {"/d": member("/d/")} | {path: member(path, size=1) for path in files}
        return reply(207, multistatus(known[request.target])) if request.target in known else reply(404)

    run(script, lambda driver, _: driver.rename("/a", "/b"))
    assert files == {"/d/b"}


def test_a_closed_driver_is_a_bug_to_use() -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        await driver.close()
        for call in (driver.stat("/"), driver.write("/a", stream(b"")), driver.names("/"), driver.delete("/a")):
            with pytest.raises(BrokenInvariant):
                await call
        assert server.requests == []

    run(always(DIRECTORY), scenario)
