"""Storages that do not let everybody in: what tokens and proxies open, and what happens when they end.

Method: real XRootD servers that go by tokens, or by proxies with VOMS attributes;
our drivers over https and root://; credentials that are right, wrong, expired, and
renewed while work goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.model.clock import SECOND_US
from holdfast.model.errors import OperatorError
from holdfast.storage import doors
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.driver import NotAllowed, StorageDriver
from holdfast.testing.servers.delay_proxy import delay_proxy
from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.test_user import TestUser, put
from storage.visiting import DEEDS, visit, visited
from support import real

if TYPE_CHECKING:
    from holdfast.testing.servers.token_issuer import TokenIssuer
    from holdfast.testing.servers.xrootd_server import XrootdServer

ALL = dict.fromkeys(DEEDS, "yes")


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that the server's user enters, too: what pytest makes is for its own user alone."""
    from holdfast.testing.servers.xrootd_server import guarded_folder

    with guarded_folder("holdfast-authority-") as folder:
        yield folder


@pytest.fixture(scope="module")
def authority(public: Path) -> TestAuthority:
    return TestAuthority(public / "ca")


@pytest.fixture(scope="module")
def alice(authority: TestAuthority) -> TestUser:
    return TestUser(authority, "Alice")


@pytest.fixture(scope="module")
def by_token(authority: TestAuthority) -> Iterator[tuple[XrootdServer, TokenIssuer]]:
    real.require("token authorisation")
    from holdfast.testing.servers.authorised_xrootd import token_xrootd

    with token_xrootd(authority) as (server, issuer):
        server.put("/known", b"hello")
        yield server, issuer


@pytest.fixture(scope="module")
def by_proxy(authority: TestAuthority, alice: TestUser) -> Iterator[XrootdServer]:
    real.require("voms authorisation")
    from holdfast.testing.servers.authorised_xrootd import voms_xrootd

    with voms_xrootd(authority, alice) as server:
        server.put("/known", b"hello")
        yield server


Tried = Callable[[AccessSettings], dict[str, str]]


def tried_by(protocol: str, server: XrootdServer, *, tls: bool = False) -> Tried:
    """What the owner of credentials can do at a server by one of its protocols; ``tls``: over roots://."""
    if protocol == "xroot":
        real.require("xrootd python client")
        # Grid security compares the name of the host, which its certificate has, with the one that was asked for.
        url = (server.roots_url if tls else server.root_url).replace("127.0.0.1", "localhost")
        return lambda settings: visited("xroot", url, settings)[0]
    return lambda settings: asyncio.run(visit("https", server.https_url, Access(settings)))


def kinds(told: dict[str, str]) -> list[str]:
    return [told[deed].partition(":")[0] for deed in DEEDS]


# ---- what other storages are told -------------------------------------------


@pytest.mark.real("xrootd python client")
def test_the_other_end_of_a_copy_is_shown_what_the_site_asks_for(alice: TestUser, tmp_path: Path):
    """And nobody else: neither the repr of it nor the label of the door has any of that."""
    from holdfast.storage.xroot.driver import XrootDriver

    proxy, token = alice.proxy(tmp_path / "proxy"), put(tmp_path / "token", b"abcdef.ghijkl.mnopqr")

    async def shown(root: str, settings: AccessSettings) -> str:
        driver = XrootDriver(root, access=Access(settings))
        far = await driver.far_file("/a/file")
        assert repr(far) == "FarFile()"
        assert not any(secret in driver.label for secret in ("abcdef", str(proxy)))
        await driver.close()
        return far.url

    by_proxy = asyncio.run(shown("root://h.example//base", AccessSettings(proxy=proxy)))
    assert by_proxy.startswith("root://h.example//base/a/file?")
    assert f"xrd.gsiusrpxy={proxy}" in by_proxy
    assert "authz" not in by_proxy
    by_token = asyncio.run(shown("roots://h.example//base", AccessSettings(token=token)))
    assert "authz=Bearer%20abcdef.ghijkl.mnopqr" in by_token
    assert "xrd.gsiusrpxy=/dev/null" in by_token


# ---- tokens -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.real("xrootd", "token authorisation")
@pytest.mark.parametrize("protocol", ["https", "xroot"])
def test_a_token_opens_what_its_scope_says(
    protocol: str, by_token: tuple[XrootdServer, TokenIssuer], authority: TestAuthority, tmp_path: Path
):
    server, issuer = by_token
    tried = tried_by(protocol, server, tls=True)
    file = tmp_path / "token"
    nobody = AccessSettings(authorities=authority.certs)
    holder = AccessSettings(authorities=authority.certs, token=file)

    assert kinds(tried(nobody)) == ["NotAllowed"] * 3
    issuer.write(file)
    assert tried(holder) == ALL
    issuer.write(file, "storage.read:/")
    assert kinds(tried(holder)) == ["yes", "yes", "NotAllowed"]
    issuer.write(file, "storage.read:/elsewhere storage.modify:/elsewhere")
    assert kinds(tried(holder)) == ["NotAllowed"] * 3
    other = issuer.token(iss="https://localhost:1/")
    put(file, other.encode())
    told = tried(holder)
    assert kinds(told) == ["NotAllowed"] * 3
    assert other not in str(told)
    signed_wrongly = issuer.token()
    put(file, f"{signed_wrongly[:-20]}{'A' * 20}".encode())
    assert kinds(tried(holder)) == ["NotAllowed"] * 3


@pytest.mark.slow
@pytest.mark.real("xrootd", "token authorisation")
def test_an_expired_token_is_not_even_shown(
    by_token: tuple[XrootdServer, TokenIssuer], authority: TestAuthority, tmp_path: Path
):
    server, issuer = by_token
    file = issuer.write(tmp_path / "token", lifetime_s=-30)
    with delay_proxy(server.http_port) as proxy:
        url = f"https://127.0.0.1:{proxy.port}/data"
        settings = AccessSettings(authorities=authority.certs, token=file)
        told = asyncio.run(visit("https", url, Access(settings)))
        assert {text.split(" at ")[0] for text in told.values()} == {f"OperatorError: {file}: the token has expired"}
        assert proxy.counts.get("connections", 0) == 0
        # By a clock that is wrong it is shown; the storage knows better.
        late = Access(settings, clock=lambda: time.time_ns() // 1000 - 60 * SECOND_US)
        refused = kinds(asyncio.run(visit("https", url, late)))
        # This server hangs up with its refusal; what it says is lost if our request was still on its way.
        assert "NotAllowed" in refused
        assert set(refused) <= {"NotAllowed", "PeerError"}
        assert proxy.counts["connections"] > 0
    if not real.PARTS["xrootd python client"]():
        told, written = visited("xroot", server.roots_url, settings)
        assert {text.split(" at ")[0] for text in told.values()} == {f"OperatorError: {file}: the token has expired"}
        assert kinds(told) == ["OperatorError"] * 3
        assert file.read_text() not in written


@pytest.mark.slow
@pytest.mark.real("xrootd", "token authorisation")
def test_a_token_is_renewed_while_work_goes_on(
    by_token: tuple[XrootdServer, TokenIssuer], authority: TestAuthority, tmp_path: Path
):
    """The new one has a scope that the old one has not: it is seen to be used on a door that is open already."""
    server, issuer = by_token
    file = issuer.write(tmp_path / "token", "storage.read:/", lifetime_s=3600)
    fresh = issuer.write(tmp_path / "fresh", lifetime_s=9000)
    settings = AccessSettings(authorities=authority.certs, token=file, **renewed_by(file, fresh))
    assert worked(server.https_url, settings, ahead_s=3000) > 0
    assert (server.data / "renewed").is_dir()
    assert file.read_text() == fresh.read_text()


def renewed_by(file: Path, fresh: Path) -> dict[str, Any]:
    """Settings with a command that puts ``fresh`` in the place of ``file``, and fails if it is run twice."""
    script = f'#!/bin/sh\nset -e\nmkdir "{file}.once"\ncp -p "{fresh}" "{file}.new"\nmv "{file}.new" "{file}"\n'
    command = put(file.parent / "renew", script.encode(), mode=0o700)
    return {"renew_command": (str(command),), "renew_before_s": 1000}


def worked(url: str, settings: AccessSettings, *, ahead_s: float) -> int:
    """How many listings went well around the moment from which on a directory may be made.

    That moment is when our clock goes ahead, so that what the site has been shown will expire soon.
    """
    ahead_us = 0

    async def list_all(driver: StorageDriver, over: asyncio.Event) -> int:
        done = 0
        while not over.is_set():
            await asyncio.gather(*(driver.list("/") for _ in range(4)))
            done += 4
        return done

    async def work() -> int:
        nonlocal ahead_us
        access = Access(settings, clock=lambda: time.time_ns() // 1000 + ahead_us)
        driver = doors.open_driver("https", url, site="T2_Far", access=access)
        over = asyncio.Event()
        listing = asyncio.create_task(list_all(driver, over))
        try:
            with pytest.raises(NotAllowed):
                await driver.make_directory("/renewed")
            ahead_us = round(ahead_s * SECOND_US)
            await driver.make_directory("/renewed")
        finally:
            over.set()
            done = await listing
            await driver.close()
        return done

    return asyncio.run(work())


# ---- proxies ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.real("xrootd", "voms authorisation")
@pytest.mark.parametrize("protocol", ["https", "xroot"])
def test_a_proxy_opens_what_its_name_and_attributes_say(
    protocol: str, by_proxy: XrootdServer, authority: TestAuthority, alice: TestUser, tmp_path: Path
):
    tried = tried_by(protocol, by_proxy)

    def holder(file: Path | None) -> AccessSettings:
        return AccessSettings(authorities=authority.certs, proxy=file)

    bob = TestUser(authority, "Bob")
    assert kinds(tried(holder(None))) == ["NotAllowed"] * 3
    assert tried(holder(alice.voms_proxy(tmp_path / "voms", "/cms/Role=production"))) == ALL
    assert tried(holder(bob.voms_proxy(tmp_path / "bobs", "/cms/Role=NULL"))) == ALL
    assert kinds(tried(holder(alice.proxy(tmp_path / "plain")))) == ["yes", "yes", "NotAllowed"]
    assert kinds(tried(holder(bob.proxy(tmp_path / "unknown")))) == ["NotAllowed"] * 3
    assert kinds(tried(holder(bob.voms_proxy(tmp_path / "other", "/atlas")))) == ["NotAllowed"] * 3


@pytest.mark.slow
@pytest.mark.real("xrootd", "voms authorisation")
def test_a_certificate_does_as_well_as_a_proxy(
    by_proxy: XrootdServer, authority: TestAuthority, alice: TestUser, tmp_path: Path
):
    settings = AccessSettings(authorities=authority.certs, proxy=alice.credentials(tmp_path / "certificate"))
    assert kinds(tried_by("https", by_proxy)(settings)) == ["yes", "yes", "NotAllowed"]


@pytest.mark.slow
@pytest.mark.real("xrootd", "voms authorisation")
def test_an_expired_proxy_or_attribute_is_not_even_shown(
    by_proxy: XrootdServer, authority: TestAuthority, alice: TestUser, tmp_path: Path
):
    file = alice.proxy(tmp_path / "proxy", lifetime_s=-30)
    with delay_proxy(by_proxy.http_port) as proxy:
        url = f"https://127.0.0.1:{proxy.port}/data"
        settings = AccessSettings(authorities=authority.certs, proxy=file)
        assert kinds(asyncio.run(visit("https", url, Access(settings)))) == ["OperatorError"] * 3
        attributed = alice.voms_proxy(tmp_path / "voms", "/cms", hours=12, attribute_hours=2)
        settings = AccessSettings(authorities=authority.certs, proxy=attributed)
        later = Access(settings, clock=lambda: time.time_ns() // 1000 + 3 * 3600 * SECOND_US)
        assert kinds(asyncio.run(visit("https", url, later))) == ["OperatorError"] * 3
        assert proxy.counts.get("connections", 0) == 0


@pytest.mark.slow
@pytest.mark.real("xrootd", "voms authorisation")
def test_a_proxy_is_renewed_while_work_goes_on(
    by_proxy: XrootdServer, authority: TestAuthority, alice: TestUser, tmp_path: Path
):
    """The new one has attributes that the old one has not."""
    file = alice.proxy(tmp_path / "proxy", lifetime_s=3600)
    fresh = alice.voms_proxy(tmp_path / "fresh", "/cms", hours=3)
    settings = AccessSettings(authorities=authority.certs, proxy=file, **renewed_by(file, fresh))
    assert worked(by_proxy.https_url, settings, ahead_s=3000) > 0
    assert (by_proxy.data / "renewed").is_dir()
    assert file.read_bytes() == fresh.read_bytes()


@pytest.mark.slow
@pytest.mark.real("xrootd", "voms authorisation")
def test_an_authority_that_the_site_does_not_name_is_not_trusted(by_proxy: XrootdServer, tmp_path: Path):
    other = TestAuthority(tmp_path / "other")
    told = asyncio.run(visit("https", by_proxy.https_url, Access(AccessSettings(authorities=other.certs))))
    assert not {"yes"} & set(told.values())
    assert all("certificate" in text for text in told.values())


def test_no_door_is_opened_with_a_credential_that_is_not_there(tmp_path: Path):
    settings = AccessSettings(token=tmp_path / "none")

    async def ask() -> None:
        driver = doors.open_driver("https", "https://127.0.0.1:1/", site="T2_Far", access=Access(settings))
        try:
            await driver.list("/")
        finally:
            await driver.close()

    with pytest.raises(OperatorError, match="cannot be read: No such file"):
        asyncio.run(ask())
