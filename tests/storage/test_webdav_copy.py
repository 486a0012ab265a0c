"""Copies from storage to storage over HTTP: between two real servers, and by a script that lies about them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.model.errors import HoldfastError, OperatorError, PeerError
from holdfast.storage.abilities import FarFile
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.driver import AlreadyThere, Kind, NotAFile, NotAllowed, NotThere, Unsupported
from holdfast.storage.webdav import markers
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.driver_hooks import pattern
from support import real
from support.scripted_http import Request, ScriptedServer, member, multistatus, reply

if TYPE_CHECKING:
    from holdfast.testing.servers.xrootd_server import XrootdServer

_FOLDERS = itertools.count(1)
_SECRET = "s3cret.t0ken"

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[XrootdServer, XrootdServer]]:
    real.require("xrootd")
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as one, xrootd_server(authority=one.authority) as other:
        yield one, other


class Pair:
    """Two directories on two servers: ``here`` has the driver, ``there`` is far."""

    def __init__(self, here: XrootdServer, there: XrootdServer) -> None:
        self.here, self.there = here, there
        self.folder = f"/t{next(_FOLDERS)}"
        here.make_directory(self.folder)
        there.make_directory(self.folder)

    def driver(self) -> WebdavDriver:
        access = Access(AccessSettings(authorities=self.here.authority.bundle, call_timeout_s=20.0), site="SITE")
        return WebdavDriver(self.here.https_url + self.folder, site="SITE", access=access)

    def far(self, name: str) -> FarFile:
        return FarFile(f"{self.there.https_url}{self.folder}/{name}")

    def names_here(self) -> list[str]:
        return sorted(each.name for each in (self.here.data / self.folder[1:]).iterdir())


@pytest.fixture
def pair(servers: tuple[XrootdServer, XrootdServer]) -> Pair:
    return Pair(*servers)


@pytest.mark.real("xrootd")
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_file_is_pulled(pair: Pair, size: int) -> None:
    pair.there.put(f"{pair.folder}/source", pattern(size))

    async def scenario() -> None:
        driver, heard = pair.driver(), list[int]()
        stat = (await driver.pull("/new/target", pair.far("source"), progress=heard.append)).stat
        assert (stat.kind, stat.size) == (Kind.FILE, size)
        assert stat == await driver.stat("/new/target")
        assert heard == sorted(heard)
        await driver.close()

    asyncio.run(scenario())
    assert pair.here.get(f"{pair.folder}/new/target") == pattern(size)
    assert pair.names_here() == ["new"]


@pytest.mark.real("xrootd")
def test_a_file_is_pulled_to_an_odd_name_by_any_word_for_https(pair: Pair) -> None:
    pair.there.put(f"{pair.folder}/so urce%41", b"data")

    async def scenario() -> None:
        driver = pair.driver()
        far = FarFile(pair.far("so%20urce%2541").url.replace("https://", "davs://"))
        await driver.pull("/tar get%41 ü", far)
        await driver.close()

    asyncio.run(scenario())
    assert pair.here.get(f"{pair.folder}/tar get%41 ü") == b"data"


@pytest.mark.real("xrootd")
def test_a_pull_that_cannot_be_leaves_nothing(pair: Pair) -> None:
    pair.there.put(f"{pair.folder}/directory/file", b"data")
    pair.there.put(f"{pair.folder}/file", b"data")
    pair.here.put(f"{pair.folder}/taken", b"somebody else's")

    async def scenario() -> None:
        driver = pair.driver()
        cases: list[tuple[str, FarFile, type[HoldfastError]]] = [
            ("/target", pair.far("none"), NotThere),
            ("/target", pair.far("directory"), NotAFile),
            ("/target", FarFile("https://127.0.0.1:1/file"), PeerError),
            ("/target", FarFile("root://127.0.0.1//file"), Unsupported),
            ("/taken", pair.far("file"), AlreadyThere),
        ]
        for path, far, error in cases:
            with pytest.raises(error) as caught:
                await driver.pull(path, far)
            assert caught.value.place == f"{driver.label}:{path}"
            assert "127.0.0.1:1/" not in caught.value.message
            assert pair.names_here() == ["taken"]
        await driver.close()

    asyncio.run(scenario())
    assert pair.here.get(f"{pair.folder}/taken") == b"somebody else's"


@pytest.mark.real("xrootd")
def test_a_source_that_may_not_be_read_is_told(pair: Pair) -> None:
    pair.there.put(f"{pair.folder}/source", b"data")
    (pair.there.data / pair.folder[1:] / "source").chmod(0o000)

    async def scenario() -> None:
        driver = pair.driver()
        with pytest.raises((NotAllowed, PeerError), match="copy between storages failed"):
            await driver.pull("/target", pair.far("source"))
        await driver.close()

    asyncio.run(scenario())
    assert pair.names_here() == []


@pytest.mark.real("xrootd")
def test_a_file_is_pushed(pair: Pair) -> None:
    pair.here.put(f"{pair.folder}/source", pattern(3_000_000))

    async def scenario() -> None:
        driver = pair.driver()
        await driver.push("/source", pair.far("new/target"))
        await driver.close()

    asyncio.run(scenario())
    assert pair.there.get(f"{pair.folder}/new/target") == pattern(3_000_000)


@pytest.mark.real("xrootd")
def test_a_push_that_cannot_be_changes_nothing(pair: Pair) -> None:
    pair.here.put(f"{pair.folder}/source", b"data")
    pair.here.put(f"{pair.folder}/directory/file", b"data")
    pair.there.put(f"{pair.folder}/taken", b"somebody else's")
    pair.there.put(f"{pair.folder}/folder/file", b"stays")

    async def scenario() -> None:
        driver = pair.driver()
        cases: list[tuple[str, FarFile, type[HoldfastError]]] = [
            ("/source", pair.far("taken"), AlreadyThere),
            ("/source", pair.far("folder"), NotAFile),
            ("/none", pair.far("new"), NotThere),
            ("/directory", pair.far("new"), NotAFile),
            ("/source", FarFile("https://127.0.0.1:1/file"), PeerError),
        ]
        for path, far, error in cases:
            with pytest.raises(error):
                await driver.push(path, far)
        await driver.close()

    asyncio.run(scenario())
    assert pair.there.get(f"{pair.folder}/taken") == b"somebody else's"
    assert pair.there.get(f"{pair.folder}/folder/file") == b"stays"
    assert pair.there.get(f"{pair.folder}/new") is None


# What a server says of a copy, by script.


class Copier:
    """A server whose copies end as ``words`` say; ``arrives`` is what is there afterwards, None for nothing."""

    def __init__(self, words: bytes, *, status: int = 201, arrives: bytes | None = b"data", cut: int = 0) -> None:
        self._words, self._status, self._arrives, self._cut = words, status, arrives, cut
        self.files: dict[str, bytes] = {}
        self.asked: list[Request] = []

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        path = request.target
        if request.method == "COPY":
            self.asked.append(request)
            if self._arrives is not None:
                self.files[path] = self._arrives
            writer.write(reply(self._status, self._words, Content_Length=str(len(self._words) + self._cut)))
            await writer.drain()
            return None
        if request.method == "MOVE":
            self.files["/" + request.headers["destination"].split("/", 3)[3]] = self.files.pop(path)
            return reply(201)
        if request.method == "DELETE":
            return reply(204 if self.files.pop(path, None) is not None else 404)
        if path == "/d":
            return reply(207, multistatus(member("/d/")))
        if path == "/d/source":
            return reply(207, multistatus(member(path, size=4)))
        return reply(207, multistatus(member(path, size=len(self.files[path])))) if path in self.files else reply(404)


def pull_by(copier: Copier, far: FarFile | None = None, *, token: Path | None = None) -> list[int]:
    heard: list[int] = []

    async def scenario() -> None:
        async with ScriptedServer(copier) as server:
            access = Access(AccessSettings(token=token, call_timeout_s=2.0), site="SITE")
            driver = WebdavDriver(f"{server.url}/d", site="SITE", access=access)
            try:
                await driver.pull("/target", far or FarFile(f"{server.url}/d/source"), progress=heard.append)
            finally:
                await driver.close()

    asyncio.run(scenario())
    return heard


def marker(done: int, *, stripe: int = 0) -> bytes:
    return (
        f"Perf Marker\n\tTimestamp: 1\n\tStripe Index: {stripe}\n\tStripe Bytes Transferred: {done}\n"
        "\tTotal Stripe Count: 1\nEnd\n"
    ).encode()


def test_markers_are_heard_and_the_last_line_decides() -> None:
    copier = Copier(marker(1) + marker(2, stripe=1) + marker(3) + b"success: Created\n")
    assert pull_by(copier) == [1, 3, 5]
    assert copier.files == {"/d/target": b"data"}
    (asked,) = copier.asked
    assert (asked.headers["overwrite"], asked.headers["credential"]) == ("F", "none")
    assert "transferheaderauthorization" not in asked.headers


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("last", [b"success: Created", b"Success\r\n\r\n", b"success"])
def test_success_is_what_the_last_line_says(status: int, last: bytes) -> None:
    copier = Copier(marker(4) + last, status=status)
    pull_by(copier)
    assert copier.files == {"/d/target": b"data"}


@pytest.mark.parametrize(
    ("copier", "error"),
    [
        (Copier(marker(4) + b"failure: no route to host"), PeerError),
        (Copier(b"failure: Remote side failed with status code 404; gone"), NotThere),
        (Copier(b"failure: Remote side failed with status code 403"), NotAllowed),
        (Copier(marker(4)), PeerError),
        (Copier(b""), PeerError),
        (Copier(b"success: Created\n" + marker(4)), PeerError),
        (Copier(marker(4) + b"succ", cut=20), PeerError),
        (Copier(marker(4) + b"success: Created", cut=20), PeerError),
        (Copier(b"success: Created", arrives=b""), PeerError),
        (Copier(b"success: Created", arrives=b"da"), PeerError),
        (Copier(b"x" * 200_000), PeerError),
        (Copier(b"", status=403), NotAllowed),
        (Copier(b"", status=500), PeerError),
        (Copier(b"", status=400), Unsupported),
        (Copier(b"", status=405), Unsupported),
        (Copier(b"", status=501), Unsupported),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_copy_that_failed_leaves_nothing(copier: Copier, error: type[HoldfastError]) -> None:
    with pytest.raises(error):
        pull_by(copier)
    assert copier.files == {}


def test_success_without_a_file_is_none() -> None:
    with pytest.raises(PeerError, match="is not there"):
        pull_by(Copier(b"success: Created", arrives=None))


def test_the_storages_words_are_shown_without_secrets() -> None:
    words = f"failure: GET https://h/x?authz=Bearer%20{_SECRET} gave\x1b[31m 500; Bearer {_SECRET}; {'ab12' * 20}"
    with pytest.raises(PeerError, match="gave") as caught:
        pull_by(Copier(words.encode()))
    assert _SECRET not in str(caught.value)
    assert "ab12ab12" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "transfer of {url} refused",
        "GET {path} with {token} refused",
        "GET /elsewhere?x={token} and {query} refused",
        "http://other.host/of/someone was refused; {token}",
        "{quoted} refused",
    ],
)
def test_the_far_files_address_and_token_are_never_shown(words: str) -> None:
    path, query, token = "store/sig-abc/secretpath", "sig=a%2Bshort&x=1", "tok-1/2"
    url = f"https://127.0.0.1:1/{path}?{query}"
    said = words.format(url=url, path=path, query=query, token=token, quoted=url.replace("/", "%2F"))
    hidden = str(markers.failure(said, FarFile(url, token), "own", "SITE:/x"))
    assert not any(secret in hidden for secret in ("secretpath", "short", token, "someone"))
    with pytest.raises(PeerError, match="copy between storages failed") as caught:
        pull_by(Copier(f"failure: {said}".replace(token, "").encode()), FarFile(url))
    assert not any(secret in str(caught.value) for secret in ("secretpath", "short", "someone"))


def test_an_empty_file_is_not_believed_where_nobody_knows_the_size() -> None:
    for arrives, error in ((b"", True), (b"data", False)):
        copier = Copier(b"success: Created", arrives=arrives)
        far = FarFile("http://127.0.0.1:1/only-the-storage-gets-there")
        if error:
            with pytest.raises(PeerError, match="how many bytes"):
                pull_by(copier, far)
        else:
            pull_by(copier, far)
        assert copier.files == ({} if error else {"/d/target": b"data"})


def test_a_far_side_that_tells_without_end_is_not_listened_to() -> None:
    async def endless(request: Request, _: asyncio.StreamWriter) -> bytes:
        return reply(207, multistatus(*[member("/f", size=1)] * 100))

    async def scenario() -> None:
        async with ScriptedServer(endless) as far, ScriptedServer(Copier(b"success: Created")) as server:
            driver = WebdavDriver(f"{server.url}/d", site="SITE", access=Access(AccessSettings(), site="SITE"))
            with pytest.raises(PeerError, match="very many"):
                await driver.push("/source", FarFile(f"{far.url}/f"))
            await driver.close()

    asyncio.run(scenario())


def test_a_token_is_not_handed_on_without_tls() -> None:
    copier = Copier(b"success: Created")
    with pytest.raises(OperatorError, match="https"):
        pull_by(copier, FarFile("http://127.0.0.1:1/file", _SECRET))
    assert copier.asked == []
    assert copier.files == {}
