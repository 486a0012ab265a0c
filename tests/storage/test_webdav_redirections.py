"""Where a WebDAV server may send the driver, and what goes along."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.storage.abilities import FarFile
from holdfast.storage.driver import Unsupported
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.driver_hooks import everything, stream
from support.scripted_http import Request, Script, ScriptedServer, member, multistatus, reply
from support.webdav_scripts import DIRECTORY, Shelf, access, run

if TYPE_CHECKING:
    from holdfast.testing.servers.test_authority import TestAuthority

TOKEN = "s3cret.t0ken"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    from holdfast.testing.servers.test_authority import TestAuthority

    return TestAuthority(tmp_path_factory.mktemp("authority"))


def server_tls(authority: TestAuthority) -> ssl.SSLContext:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(authority.host_certificate, authority.host_key)
    return tls


def sends(methods: set[str], where: str, *, otherwise: Script) -> Script:
    """A server that sends what comes by one of ``methods`` to ``where``."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        if request.method in methods and "%3F" not in request.target:
            return reply(307, Location=where + request.target)
        return await otherwise(request, writer)

    return script


async def a_file(request: Request, _: asyncio.StreamWriter) -> bytes:
    """A server that has every file, of 5 bytes, in /d, and does whatever it is told."""
    if request.method != "PROPFIND":
        return reply(204)
    return DIRECTORY if request.target == "/d" else reply(207, multistatus(member(request.target, size=5)))


@pytest.mark.real("xrootd")  # For openssl, which makes the certificates.
@pytest.mark.parametrize("method", ["PROPFIND", "GET", "DELETE", "PUT", "COPY"])
def test_nobody_goes_from_https_to_http(authority: TestAuthority, method: str) -> None:
    async def scenario() -> None:
        async with ScriptedServer(a_file) as plain, ScriptedServer(a_file, tls=server_tls(authority)) as far:
            shelf = Shelf()
            shelf.files["/d/x"] = b"12345"
            script = sends({method}, f"http://localhost:{plain.port}", otherwise=shelf)
            async with ScriptedServer(script, tls=server_tls(authority)) as door:
                driver = WebdavDriver(f"{door.url}/d", access=access(authorities=authority.bundle))
                calls = {
                    "PROPFIND": lambda: driver.stat("/x"),
                    "GET": lambda: everything(driver.read("/x")),
                    "DELETE": lambda: driver.delete("/x"),
                    "PUT": lambda: driver.write("/new", stream(b"data")),
                    "COPY": lambda: driver.pull("/new", FarFile(f"{far.url}/f?sign=SIGNED", TOKEN)),
                }
                with pytest.raises(Unsupported, match="https to http"):
                    await calls[method]()
                await driver.close()
            assert plain.requests == []

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["DELETE", "MOVE", "MKCOL"])
def test_what_changes_something_is_not_sent_to_another_host(method: str) -> None:
    async def scenario() -> None:
        async with ScriptedServer(a_file) as other:
            shelf = Shelf()
            shelf.files["/d/x"] = b"12345"
            door_script = sends({method}, f"http://localhost:{other.port}", otherwise=shelf)
            async with ScriptedServer(door_script) as door:
                driver = WebdavDriver(f"{door.url}/d", access=access())
                calls = {
                    "DELETE": lambda: driver.delete("/x"),
                    "MOVE": lambda: driver.rename("/x", "/y"),
                    "MKCOL": lambda: driver.make_directory("/new"),
                }
                with pytest.raises(Unsupported, match="another host"):
                    await calls[method]()
                await driver.close()
            assert other.requests == []

    asyncio.run(scenario())


@pytest.mark.real("xrootd")
def test_the_other_storages_token_and_address_stay_with_the_door(authority: TestAuthority) -> None:
    async def scenario() -> None:
        tls = server_tls(authority)
        async with ScriptedServer(a_file, tls=tls) as thief, ScriptedServer(a_file, tls=tls) as far:
            script = sends({"COPY"}, f"https://127.0.0.1:{thief.port}", otherwise=Shelf())
            async with ScriptedServer(script, tls=tls) as door:
                driver = WebdavDriver(f"{door.url}/d", access=access(authorities=authority.bundle))
                with pytest.raises(Unsupported, match="another host"):
                    await driver.pull("/new", FarFile(f"{far.url}/f?sign=SIGNED", TOKEN))
                await driver.close()
            assert thief.requests == []

    asyncio.run(scenario())


def test_a_delete_is_sent_on_to_another_port_of_the_same_host() -> None:
    async def scenario() -> None:
        async with ScriptedServer(a_file) as other:
            shelf = Shelf()
            shelf.files["/d/x"] = b"12345"
            async with ScriptedServer(sends({"DELETE"}, other.url, otherwise=shelf)) as door:
                driver = WebdavDriver(f"{door.url}/d", access=access())
                await driver.delete("/x")
                await driver.close()
            assert other.methods() == ["DELETE"]

    asyncio.run(scenario())


@pytest.mark.real("xrootd")
def test_the_bytes_of_a_file_may_go_to_another_host_without_our_token(authority: TestAuthority, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)

    async def scenario() -> None:
        tls, shelf = server_tls(authority), Shelf()
        async with ScriptedServer(shelf, tls=tls) as disk:
            script = sends({"PUT"}, f"https://127.0.0.1:{disk.port}", otherwise=shelf)
            async with ScriptedServer(script, tls=tls) as door:
                driver = WebdavDriver(f"{door.url}/d", access=access(authorities=authority.bundle, token=token))
                assert (await driver.write("/new", stream(b"data"))).size == 4
                await driver.close()
                assert door.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
            assert disk.methods() == ["PUT"]
            assert "authorization" not in disk.requests[0].headers

    asyncio.run(scenario())


def test_looking_goes_wherever_the_server_says() -> None:
    async def scenario(driver: WebdavDriver, server: ScriptedServer) -> None:
        async with ScriptedServer(a_file) as other:
            server.script = sends({"PROPFIND"}, f"http://localhost:{other.port}", otherwise=a_file)
            assert (await driver.stat("/x")).size == 5

    run(a_file, scenario)
