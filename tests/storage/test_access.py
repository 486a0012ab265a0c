"""holdfast.storage.access: what is handed out, what is refused, and what is renewed by whom.

Method: real certificates, proxies and tokens of the tests' own authority; a clock
that the test moves; renewal commands that are real scripts and count their runs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import textwrap
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.config import parse
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import HoldfastError, OperatorError
from holdfast.storage.access import Access, AccessSettings, Keys, access_settings
from holdfast.storage.access import certificate as access_certificate
from holdfast.storage.access import keys as access_keys
from holdfast.storage.access import token as access_token
from holdfast.storage.access import voms as access_voms
from holdfast.storage.access.renewal import scrubbed
from holdfast.testing.servers.test_authority import TestAuthority, new_key
from holdfast.testing.servers.test_user import TestUser, key_text, put
from support.logged import logged

NOW_S = 1_700_000_000
HOUR_S = 3600


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self, at_s: float = NOW_S) -> None:
        self.at_us = round(at_s * SECOND_US)

    def __call__(self) -> int:
        return self.at_us

    def pass_s(self, seconds: float) -> None:
        self.at_us += round(seconds * SECOND_US)


def jwt(lifetime_s: float = HOUR_S, **claims: object) -> str:
    """A token of the usual form; nobody here looks at its signature."""
    parts = ({"alg": "ES256"}, {"sub": "me", "exp": NOW_S + lifetime_s, **claims})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return f"{encoded[0]}.{encoded[1]}.c2lnbmF0dXJl"


def token_file(folder: Path, text: str | None = None) -> Path:
    return put(folder / "token", (jwt() if text is None else text).encode())


def refused(what: Awaitable[object]) -> OperatorError:
    """The error, of which nothing but the message is to be said, not even by its causes."""

    async def ask() -> None:
        await what

    with pytest.raises(OperatorError) as caught:
        asyncio.run(ask())
    assert not caught.value.retryable
    return caught.value


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="module")
def alice(authority: TestAuthority) -> TestUser:
    return TestUser(authority, "Alice")


# ---- without anything, and from the configuration ---------------------------


def test_a_site_that_asks_for_nothing_gets_nothing():
    async def ask() -> None:
        access = Access()
        assert (await access.token(), await access.proxy(), await access.keys()) == ("", None, None)
        context = await access.tls()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    asyncio.run(ask())


def test_settings_come_from_the_configuration_of_the_site():
    text = """
    [storage]
    call_timeout_s = 7
    renew_before_s = 30
    [storage.sites.A]
    token = "a.token"
    proxy = "a.pem"
    keys = "a.keys"
    profile = "mine"
    authorities = "certs"
    connect_timeout_s = 3
    renew_timeout_s = 9
    renew_command = ["./renew", "A"]
    """
    config = parse(textwrap.dedent(text), Path("/etc/h/holdfast.toml"), {})
    assert access_settings(config.storage.for_site("A")) == AccessSettings(
        proxy=Path("/etc/h/a.pem"),
        token=Path("/etc/h/a.token"),
        keys=Path("/etc/h/a.keys"),
        profile="mine",
        authorities=Path("/etc/h/certs"),
        renew_command=("/etc/h/renew", "A"),
        renew_before_s=30,
        renew_timeout_s=9,
        connect_timeout_s=3,
        call_timeout_s=7,
    )
    assert access_settings(parse("", Path("h.toml"), {}).storage) == AccessSettings()


# ---- tokens -----------------------------------------------------------------


def test_a_token_is_read_again_when_its_file_changes(tmp_path: Path):
    file = token_file(tmp_path)
    access = Access(AccessSettings(token=file), clock=Time())
    assert asyncio.run(access.token()) == jwt()
    token_file(tmp_path, "opaque-token_of~another+kind/==\n")
    assert asyncio.run(access.token()) == "opaque-token_of~another+kind/=="


def test_an_opaque_token_has_no_known_end():
    for text in ("abc", "a.b.c", f"{jwt()}.x.y", "MDAxY2xvY2F0aW9uIFRlc3QK"):
        found = access_token.parse(text.encode())
        assert (found.value, found.from_us, found.until_us) == (text, None, None)
    found = access_token.parse(jwt(nbf=NOW_S - 5).encode())
    assert (found.from_us, found.until_us) == ((NOW_S - 5) * SECOND_US, (NOW_S + HOUR_S) * SECOND_US)


def test_an_expired_token_is_refused_with_file_time_and_remedy(tmp_path: Path):
    clock = Time()
    access = Access(AccessSettings(token=token_file(tmp_path)), clock=clock)
    clock.pass_s(HOUR_S - 1)
    assert asyncio.run(access.token())
    clock.pass_s(1)
    error = refused(access.token())
    assert error.place == str(tmp_path / "token")
    assert error.message == "the token has expired at 2023-11-14T23:13:20Z"
    assert "renew_command" in error.hint


def test_a_token_of_the_future_is_refused_but_for_clocks_that_differ(tmp_path: Path):
    clock = Time()
    access = Access(AccessSettings(token=token_file(tmp_path, jwt(nbf=NOW_S + 61))), clock=clock)
    assert "does not count before 2023-11-14T22:14:21Z" in str(refused(access.token()))
    clock.pass_s(1)
    assert asyncio.run(access.token())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("Bearer SECRET", "more than one word"),
        ("SECRET\nSECRET", "more than one word"),
        ("SECRET\0", "characters in it that no token has"),
        ("SECRÈT", "other than ASCII"),
        (jwt(exp="SECRET"), "its claim exp is not a number"),
        (jwt(exp=True), "its claim exp is not a number"),
        (jwt(exp=float("nan")), "its claim exp is not a number"),
        (jwt(nbf=["SECRET"]), "its claim nbf is not a number"),
    ],
)
def test_what_is_no_token_is_refused_without_showing_it(tmp_path: Path, text: str, said: str):
    error = refused(Access(AccessSettings(token=token_file(tmp_path, text)), clock=Time()).token())
    assert said in error.message
    told = "".join(traceback.format_exception(error))
    assert "SECR" not in told
    assert not text.strip() or text not in told


def test_ends_beyond_all_dates_are_borne():
    for at in (1e300, -1e300, float("inf"), 10**400):
        assert access_token.parse(jwt(exp=at).encode()).shown_end()


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: jwt(extra=text).encode()))
def test_whatever_a_file_holds_is_a_token_or_a_reason(data: bytes):
    for parse_file in (access_token.parse, access_certificate.parse, access_keys.parse):
        try:
            assert parse_file(data)
        except ValueError as error:
            if not str(error):
                raise


# ---- files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "mode", "is_open"),
    [
        ("token", 0o644, True),
        ("token", 0o602, True),
        ("token", 0o640, False),
        ("keys", 0o604, True),
        ("keys", 0o660, False),
        ("proxy", 0o640, True),
        ("proxy", 0o604, True),
        ("proxy", 0o610, True),
        ("proxy", 0o400, False),
    ],
)
def test_a_file_that_others_can_get_at_is_refused(tmp_path: Path, alice: TestUser, what: str, mode: int, is_open: bool):
    file = alice.credentials(tmp_path / what)
    if what != "proxy":
        put(file, {"token": b"abc", "keys": b"access_key_id=a\nsecret_access_key=b\n"}[what])
    file.chmod(mode)
    access = Access(AccessSettings(**{what: file}))
    if not is_open:
        assert asyncio.run(getattr(access, what)())
        return
    error = refused(getattr(access, what)())
    shown = {"keys": "access key"}.get(what, what)
    assert error.message == f"others can get at the {shown}: its mode is {mode:04o}"
    os.chmod(file, int(error.hint.split()[1], 8))
    assert asyncio.run(getattr(access, what)())


def test_what_is_no_file_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    put(tmp_path / "long", b"x" * 1_048_577)
    (tmp_path / "loop").symlink_to("loop")
    for name, said in (
        ("pipe", "is not a file"),
        ("folder", "cannot be read: Is a directory"),
        ("long", "is too long for a token: 1048577 bytes"),
        ("loop", "cannot be read"),
        ("none", "cannot be read: No such file or directory"),
    ):
        error = refused(Access(AccessSettings(token=tmp_path / name)).token())
        assert said in error.message
        assert error.place == str(tmp_path / name)


def test_links_to_files_are_followed_and_their_change_is_seen(tmp_path: Path):
    """That is how clusters mount secrets."""
    for name in ("one", "two"):
        put(tmp_path / name, name.encode())
    link = tmp_path / "link"
    link.symlink_to("one")
    access = Access(AccessSettings(token=link))
    assert asyncio.run(access.token()) == "one"
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(link)
    assert asyncio.run(access.token()) == "two"


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path):
    file = token_file(tmp_path, "")

    async def ask() -> str:
        asyncio.get_running_loop().call_later(0.05, file.write_text, "whole")
        return await Access(AccessSettings(token=file)).token()

    assert asyncio.run(ask()) == "whole"


# ---- renewal ----------------------------------------------------------------


class Renewing:
    """A token of a site and the script that renews it; each run adds a line to ``runs``."""

    def __init__(self, folder: Path, *, lifetime_s: float = HOUR_S) -> None:
        self.folder = folder
        self.clock = Time()
        self.file = token_file(folder, jwt(lifetime_s))
        self.script = folder / "renew"
        self.runs_file = folder / "runs"

    def does(self, *lines: str) -> None:
        head = ["#!/bin/sh", f'echo run >> "{self.runs_file}"']
        put(self.script, "\n".join([*head, *lines, ""]).encode(), mode=0o700)

    def renews_to(self, lifetime_s: float, *more: str) -> None:
        new = put(self.folder / "renewed", jwt(lifetime_s).encode())
        self.does(*more, f'cp -p "{new}" "{new}.copy"', f'mv "{new}.copy" "{self.file}"')

    @property
    def runs(self) -> int:
        return len(self.runs_file.read_text().splitlines()) if self.runs_file.exists() else 0

    def access(self, **settings: float) -> Access:
        chosen = AccessSettings(token=self.file, renew_command=(str(self.script), "--password=marker"), **settings)
        return Access(chosen, site="T2_Here", clock=self.clock)


@pytest.fixture
def renewing(tmp_path: Path) -> Renewing:
    return Renewing(tmp_path)


def test_a_token_is_renewed_before_it_expires(renewing: Renewing):
    renewing.renews_to(3 * HOUR_S)
    access = renewing.access(renew_before_s=600)
    renewing.clock.pass_s(HOUR_S - 601)
    assert asyncio.run(access.token()) == jwt()
    assert renewing.runs == 0
    renewing.clock.pass_s(1)
    assert asyncio.run(access.token()) == jwt(3 * HOUR_S)
    assert asyncio.run(access.token()) == jwt(3 * HOUR_S)
    assert renewing.runs == 1


def test_a_hundred_waiters_have_it_renewed_once(renewing: Renewing):
    renewing.renews_to(3 * HOUR_S, "sleep 0.2")
    renewing.clock.pass_s(HOUR_S + 1)
    access = renewing.access()

    async def ask() -> list[str]:
        return await asyncio.gather(*(access.token() for _ in range(100)))

    assert asyncio.run(ask()) == [jwt(3 * HOUR_S)] * 100
    assert renewing.runs == 1


def test_somebody_else_may_renew_it(renewing: Renewing):
    renewing.does("exit 1")
    access = renewing.access()
    renewing.clock.pass_s(HOUR_S - 1)
    token_file(renewing.folder, jwt(5 * HOUR_S))
    assert asyncio.run(access.token()) == jwt(5 * HOUR_S)
    assert renewing.runs == 0


def test_a_file_that_is_not_there_yet_is_made(renewing: Renewing):
    renewing.renews_to(HOUR_S)
    renewing.file.unlink()
    assert asyncio.run(renewing.access().token()) == jwt()
    assert renewing.runs == 1


def test_where_renewing_fails_work_goes_on_with_what_holds(renewing: Renewing):
    renewing.does("echo no ticket >&2; exit 3")
    renewing.clock.pass_s(HOUR_S - 60)
    access = renewing.access()
    with logged("warning") as events:
        for _ in range(3):
            assert asyncio.run(access.token()) == jwt()
    assert renewing.runs == 1
    assert [event["event"] for event in events] == ["the token expires soon"]
    assert events[0]["reason"] == f"{renewing.script} ended with exit code 3: no ticket"
    assert events[0]["site"] == "T2_Here"
    assert events[0]["until"] == "2023-11-14T23:13:20Z"


def test_what_fails_is_tried_again_beside_the_work_and_told_once_in_a_while(renewing: Renewing):
    renewing.does("exit 3")
    renewing.clock.pass_s(HOUR_S - 590)
    access = renewing.access()

    async def ask() -> None:
        assert await access.token() == jwt()
        renewing.renews_to(3 * HOUR_S, "sleep 0.2")
        renewing.clock.pass_s(11)
        assert await access.token() == jwt()  # The new one is not waited for.
        await access._renewal.run()  # Waits for the run there is.
        assert await access.token() == jwt(3 * HOUR_S)
        assert renewing.runs == 2

    with logged("warning") as events:
        asyncio.run(ask())
    assert len(events) == 1

    renewing.does("exit 4")
    renewing.clock.pass_s(2 * HOUR_S + 1)

    async def ask_often() -> None:
        for _ in range(20):
            assert await access.token() == jwt(3 * HOUR_S)
            await access._renewal.run()
            renewing.clock.pass_s(29)

    with logged("warning") as events:
        asyncio.run(ask_often())
    assert [event["reason"].partition(" ended")[2] for event in events] == [" with exit code 4"] * 2


def test_where_renewing_fails_and_nothing_holds_all_is_said(renewing: Renewing):
    renewing.does('echo "no ticket for you" >&2', "echo", "exit 3")
    renewing.clock.pass_s(HOUR_S)
    access = renewing.access()
    error = refused(access.token())
    ended = f"{renewing.script} ended with exit code 3: no ticket for you"
    assert error.message == f"the token has expired at 2023-11-14T23:13:20Z, and {ended}"
    assert "run renew_command of holdfast.toml by hand" in error.hint
    # Thousands of requests do not run it thousands of times.
    assert str(refused(access.token())) == str(error)
    assert renewing.runs == 1
    renewing.renews_to(2 * HOUR_S)
    renewing.clock.pass_s(10)
    assert asyncio.run(access.token()) == jwt(2 * HOUR_S)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["exit 0"], "has not renewed it"),
        (["kill -9 $$"], "ended with signal 9"),
        (["exit 7"], "ended with exit code 7"),
    ],
)
def test_how_the_command_ended_is_said(renewing: Renewing, lines: list[str], said: str):
    renewing.does(*lines)
    renewing.clock.pass_s(HOUR_S)
    assert f", and {renewing.script} {said}" in refused(renewing.access().token()).message


def test_a_command_that_cannot_be_run_is_named(renewing: Renewing):
    renewing.clock.pass_s(HOUR_S)
    error = refused(renewing.access().token())
    assert error.message.endswith(f"and {renewing.script} cannot be run: No such file or directory")


def test_a_command_that_hangs_is_killed_with_all_it_started(renewing: Renewing):
    child = renewing.folder / "child"
    renewing.does(f'sleep 300 & echo $! > "{child}.new"; mv "{child}.new" "{child}"; wait')
    renewing.clock.pass_s(HOUR_S)
    begun = time.monotonic()
    error = refused(renewing.access(renew_timeout_s=0.5).token())
    assert time.monotonic() - begun < 10
    assert error.message.endswith(f"{renewing.script} was ended because it took longer than 0.5 s")
    assert is_gone(int(child.read_text()))


def is_gone(pid: int) -> bool:
    """Whether a process ends within a few seconds, or has."""
    for _ in range(500):
        try:
            # One that nobody waits for yet is as good as gone.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_helper_that_the_command_leaves_behind_holds_nobody_up(renewing: Renewing):
    child = renewing.folder / "child"
    renewing.renews_to(2 * HOUR_S, f'sleep 300 & echo $! > "{child}"')
    renewing.clock.pass_s(HOUR_S)
    try:
        assert asyncio.run(renewing.access(renew_timeout_s=20).token()) == jwt(2 * HOUR_S)
        assert not Path(f"/proc/{child.read_text().strip()}/none").exists()
    finally:
        os.kill(int(child.read_text()), 9)


def test_who_gives_up_waiting_ends_nothing(renewing: Renewing):
    renewing.renews_to(2 * HOUR_S, "sleep 0.4")
    renewing.clock.pass_s(HOUR_S)
    access = renewing.access()

    async def ask() -> str:
        waiting = [asyncio.create_task(access.token()) for _ in range(5)]
        await asyncio.sleep(0.1)
        for task in waiting[:3]:
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results[:3]] == [asyncio.CancelledError] * 3
        assert results[3] == results[4]
        return str(results[3])

    assert asyncio.run(ask()) == jwt(2 * HOUR_S)
    assert renewing.runs == 1


def test_nothing_is_left_behind_when_the_loop_ends(renewing: Renewing):
    own = renewing.folder / "own"
    renewing.does(f'echo $$ > "{own}.new"; mv "{own}.new" "{own}"; exec sleep 300')
    renewing.clock.pass_s(HOUR_S)
    access = renewing.access(renew_timeout_s=200)

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await access.token()
        while not own.exists():
            await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert is_gone(int(own.read_text()))
    # The next loop begins anew.
    renewing.renews_to(2 * HOUR_S)
    renewing.clock.pass_s(11)
    assert asyncio.run(access.token()) == jwt(2 * HOUR_S)


def test_tokens_that_live_shorter_than_the_margin_are_not_renewed_for_each_request(renewing: Renewing):
    renewing.renews_to(HOUR_S + 100)
    renewing.clock.pass_s(HOUR_S)
    access = renewing.access(renew_before_s=600)
    for _ in range(5):
        assert asyncio.run(access.token()) == jwt(HOUR_S + 100)
        renewing.clock.pass_s(1)
    assert renewing.runs == 1


def test_the_command_knows_the_site_and_has_nothing_to_read(renewing: Renewing):
    told = renewing.folder / "told"
    renewing.renews_to(2 * HOUR_S, f'printf "%s %s" "$HOLDFAST_SITE" "$1" > "{told}"; cat >> "{told}"')
    renewing.clock.pass_s(HOUR_S)
    assert asyncio.run(renewing.access().token())
    assert told.read_text() == "T2_Here --password=marker"


def test_one_run_renews_all_that_expires(tmp_path: Path, renewing: Renewing):
    put(tmp_path / "keys", b"access_key_id=a\nsecret_access_key=b\nexpiration=2023-11-14T22:14:00Z\n")
    new = put(tmp_path / "new.keys", b"access_key_id=a\nsecret_access_key=c\n")
    renewing.renews_to(9 * HOUR_S, f'cp -p "{new}" "{tmp_path}/keys"', "sleep 0.1")
    settings = AccessSettings(token=renewing.file, keys=tmp_path / "keys", renew_command=(str(renewing.script),))
    renewing.clock.pass_s(HOUR_S)
    access = Access(settings, clock=renewing.clock)

    async def ask() -> tuple[str, Keys | None]:
        return await asyncio.gather(access.token(), access.keys())

    assert asyncio.run(ask()) == [jwt(9 * HOUR_S), Keys("a", "c")]
    assert renewing.runs == 1


# ---- certificates and proxies -----------------------------------------------


def test_a_proxy_counts_as_long_as_its_whole_chain(tmp_path: Path, authority: TestAuthority, alice: TestUser):
    short = TestUser(authority, "Short", lifetime_s=1000)
    now_us = time.time_ns() // 1000
    for file, left_s in (
        (alice.credentials(tmp_path / "certificate"), 86_400),
        (alice.proxy(tmp_path / "proxy", lifetime_s=5000), 5000),
        (short.proxy(tmp_path / "of-short", lifetime_s=5000), 1000),
    ):
        found = access_certificate.parse(file.read_bytes())
        assert found.until_us is not None
        assert abs((found.until_us - now_us) / SECOND_US - left_s) < 60
        assert found.holds(now_us)
        assert asyncio.run(Access(AccessSettings(proxy=file)).proxy()) == file


def test_an_expired_proxy_is_refused(tmp_path: Path, alice: TestUser):
    file = alice.proxy(tmp_path / "proxy", lifetime_s=-5)
    assert refused(Access(AccessSettings(proxy=file)).proxy()).message.startswith("the proxy has expired at 20")
    assert refused(Access(AccessSettings(proxy=file)).tls()).message.startswith("the proxy has expired at 20")


@pytest.mark.real("voms")
def test_a_proxy_does_not_count_longer_than_its_attributes(tmp_path: Path, alice: TestUser):
    file = alice.voms_proxy(tmp_path / "proxy", "/cms/Role=production", hours=10, attribute_hours=2)
    found = access_certificate.parse(file.read_bytes())
    assert found.until_us is not None
    assert abs(found.until_us / SECOND_US - time.time() - 2 * HOUR_S) < 60


@given(st.binary(max_size=80))
@example(bytes.fromhex("3015301330113000 3008 1800 1800".replace(" ", "")))
def test_attributes_that_make_no_sense_have_no_end(data: bytes):
    class Told:
        """As much of a certificate as is looked at."""

        @property
        def extensions(self) -> Told:
            return self

        def get_extension_for_oid(self, oid: object) -> Told:
            return self

        @property
        def value(self) -> object:
            from cryptography.x509 import ObjectIdentifier, UnrecognizedExtension

            return UnrecognizedExtension(ObjectIdentifier(access_voms.EXTENSION), data)

    assert access_voms.end_us(Told()) is None  # type: ignore[arg-type]


def test_pem_files_that_cannot_be_used_are_told_apart(tmp_path: Path, alice: TestUser):
    whole = alice.credentials(tmp_path / "whole").read_bytes()
    end = whole.index(b"-----BEGIN RSA")
    locked = alice.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    for data, said in (
        (whole[:end], "there is no private key in it"),
        (whole[end:], "there is no certificate in it"),
        (whole[:end] + key_text(new_key()), "key and certificate do not belong together"),
        (whole[:end] + locked, "its private key has a password"),
        (whole[:100] + whole[120:], "its certificates cannot be read"),
        (whole[: end + 100] + whole[end + 120 :], "its private key cannot be read"),
        (b"SECRET", "there is no certificate in it"),
    ):
        file = put(tmp_path / "proxy", data)
        error = refused(Access(AccessSettings(proxy=file)).proxy())
        assert said in error.message
        assert "SECRET" not in str(error)
        assert error.place == str(file)
    other = alice.proxy(tmp_path / "other", key=new_key())
    assert "do not belong together" in refused(Access(AccessSettings(proxy=other)).proxy()).message


# ---- TLS --------------------------------------------------------------------


class Greeter:
    """A TLS server that tells each client who it takes it for, or closes the line."""

    def __init__(self, authority: TestAuthority) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.host_certificate, authority.host_key)
        context.load_verify_locations(authority.bundle)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VerifyFlags.VERIFY_ALLOW_PROXY_CERTS
        self._context = context
        self.port = 0

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = writer.get_extra_info("peercert") or {}
        names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
        writer.write(("/".join(names) or "nobody").encode())
        writer.close()

    async def greeted(self, access: Access, name: str = "localhost") -> str:
        """Whom the server takes ``access`` for."""
        server = await asyncio.start_server(self.greet, "127.0.0.1", 0, ssl=self._context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=await access.tls(), server_hostname=name
            )
            said = (await reader.read()).decode()
            writer.close()
            return said


def test_the_far_side_is_verified_by_the_sites_authorities(tmp_path: Path, authority: TestAuthority):
    greeter, other = Greeter(authority), TestAuthority(tmp_path / "other")
    for good in (authority.certs, authority.bundle):
        assert asyncio.run(greeter.greeted(Access(AccessSettings(authorities=good)))) == "nobody"
    for bad in (None, other.certs, other.bundle):
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            asyncio.run(greeter.greeted(Access(AccessSettings(authorities=bad))))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        asyncio.run(greeter.greeted(Access(AccessSettings(authorities=authority.certs)), "elsewhere"))


def test_our_certificate_or_proxy_is_shown(tmp_path: Path, authority: TestAuthority, alice: TestUser):
    greeter = Greeter(authority)
    certificate, proxy = alice.credentials(tmp_path / "certificate"), alice.proxy(tmp_path / "proxy")

    def shown(file: Path) -> str:
        return asyncio.run(greeter.greeted(Access(AccessSettings(authorities=authority.certs, proxy=file))))

    assert shown(certificate) == "Alice"
    assert shown(proxy).startswith("Alice/")


@pytest.mark.real("voms")
def test_a_proxy_with_attributes_is_shown(tmp_path: Path, authority: TestAuthority, alice: TestUser):
    proxy = alice.voms_proxy(tmp_path / "proxy", "/cms")
    access = Access(AccessSettings(authorities=authority.certs, proxy=proxy))
    assert asyncio.run(Greeter(authority).greeted(access)).startswith("Alice/")


def test_the_context_is_the_same_until_something_changes(tmp_path: Path, authority: TestAuthority, alice: TestUser):
    proxy = alice.proxy(tmp_path / "proxy")
    certs = tmp_path / "certs"
    certs.mkdir()
    for file in authority.certs.iterdir():
        (certs / file.name).write_bytes(file.read_bytes())
    access = Access(AccessSettings(authorities=certs, proxy=proxy))

    def context() -> ssl.SSLContext:
        return asyncio.run(access.tls())

    first = context()
    assert context() is first
    TestUser(authority, "Bob").proxy(proxy)
    second = context()
    assert second is not first
    assert context() is second
    assert asyncio.run(Greeter(authority).greeted(access)).startswith("Bob/")
    (certs / "00000000.0").write_bytes(authority.bundle.read_bytes())
    assert context() is not second


def test_authorities_that_cannot_be_used_are_refused(tmp_path: Path, authority: TestAuthority):
    (tmp_path / "unhashed").mkdir()
    (tmp_path / "unhashed" / "ca.pem").write_bytes(authority.bundle.read_bytes())
    (tmp_path / "rubbish").write_text("rubbish")
    for name, said in (
        ("unhashed", "has no authorities under their hashed names"),
        ("rubbish", "holds no certificates of authorities"),
        ("none", "cannot be read: No such file or directory"),
    ):
        error = refused(Access(AccessSettings(authorities=tmp_path / name)).tls())
        assert said in error.message
        assert error.place == str(tmp_path / name)


# ---- keys -------------------------------------------------------------------

AWS = """
# mine
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = d/e+f=
region = eu
s3 =
    aws_access_key_id = NESTED
    max_concurrent_requests = 20

[profile other]
aws_access_key_id=AKOTHER
aws_secret_access_key=o
aws_session_token=session==
"""


@pytest.mark.parametrize(
    ("text", "profile", "keys"),
    [
        (AWS, "default", Keys("AKDEFAULT", "d/e+f=")),
        (AWS, "other", Keys("AKOTHER", "o", "session==")),
        ("access_key_id=a\nsecret_access_key=b#c;d\n", "default", Keys("a", "b#c;d")),
        ("access_key = a\r\nsecret_key = b\r\n", "default", Keys("a", "b")),
        ("\ufeffexport AWS_ACCESS_KEY_ID=a\nexport AWS_SECRET_ACCESS_KEY='b'", "default", Keys("a", "b")),
        ('["my.site"]\naccess_key_id = "a" # mine\nsecret_access_key = "b"', "my.site", Keys("a", "b")),
    ],
)
def test_keys_are_read_from_the_files_that_people_have(tmp_path: Path, text: str, profile: str, keys: Keys):
    file = put(tmp_path / "keys", text.encode())
    assert asyncio.run(Access(AccessSettings(keys=file, profile=profile)).keys()) == keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no profile 'default' in it; there are: none"),
        ("[a]\naccess_key_id=SECRET\n[b]", "there is no profile 'default' in it; there are: a"),
        ("access_key_id=SECRET", "the profile 'default' has no aws_secret_access_key"),
        ("secret_access_key=SECRET", "the profile 'default' has no aws_access_key_id"),
        ("access_key_id=a\nsecret_access_key=SECRET two", "characters in it that no key has"),
        ("access_key_id=a\nsecret_access_key=SECRÈT", "characters in it that no key has"),
        ("access_key_id=a\nsecret_access_key=b\nexpiration=SECRET", "does not say in ISO 8601 when the keys expire"),
    ],
)
def test_keys_that_are_not_there_are_refused_without_showing_the_file(tmp_path: Path, text: str, said: str):
    error = refused(Access(AccessSettings(keys=put(tmp_path / "keys", text.encode()))).keys())
    assert said in error.message
    assert "SECR" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("end", ["2023-11-14T22:13:20Z", "2023-11-14 22:13:20", "2023-11-14T23:13:20+01:00"])
def test_session_keys_expire_when_their_file_says_so(tmp_path: Path, end: str):
    text = f"aws_access_key_id=a\naws_secret_access_key=b\naws_expiration = {end}\n"
    access = Access(AccessSettings(keys=put(tmp_path / "keys", text.encode())), clock=(clock := Time(NOW_S - 1)))
    assert asyncio.run(access.keys())
    clock.pass_s(1)
    assert refused(access.keys()).message == "the access key has expired at 2023-11-14T22:13:20Z"


# ---- no secret anywhere -----------------------------------------------------

SECRETS = st.one_of(
    st.binary(min_size=24, max_size=48).map(lambda data: base64.b64encode(data).decode()),
    st.binary(min_size=24, max_size=48).map(lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")),
    st.binary(min_size=16, max_size=32).map(bytes.hex),
)
WORDS = st.sampled_from(["token", "the key:", "password =", "Authorization: Bearer", "got", "refused", "'", '"', "("])


@given(SECRETS, st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=3), st.booleans())
def test_what_a_command_says_of_secrets_is_not_repeated(
    secret: str, before: list[str], after: list[str], is_known: bool
):
    line = " ".join([*before, secret, *after])
    kinds = sum(any(map(kind, secret)) for kind in (str.islower, str.isupper, str.isdigit))
    if is_known or kinds == 3:
        shown = scrubbed(line, [secret] if is_known else [])
        assert secret not in shown
        assert not any(secret[start : start + 16] in shown for start in range(len(secret) - 15))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("kinit: Cannot find KDC for realm EXAMPLE.ORG", "kinit: Cannot find KDC for realm EXAMPLE.ORG"),
        ("cannot open /etc/grid-security/hostcert.pem", "cannot open /etc/grid-security/hostcert.pem"),
        ("password: hunter2", "password: ***"),
        ("client_secret=abc rest", "client_secret=*** rest"),
        ("GET https://me:pw@host/x", "GET https://***@host/x"),
        (f"got {jwt()}", "got ***"),
        ("a\x1b[2Jb", "a?[2Jb"),
        ("x " * 200, "x " * 98 + "x..."),
    ],
)
def test_how_a_last_line_is_shown(line: str, shown: str):
    assert scrubbed(line) == shown


def test_no_secret_is_in_any_repr_error_or_log(tmp_path: Path, alice: TestUser, renewing: Renewing):
    """Everything that is said while credentials are read, renewed, refused and used, searched for all of them."""
    token, secret, session = jwt(jti="marker"), "Marker/Secret+1234567890abcdefXYZ", "markersession"
    put(renewing.file, token.encode())
    keys = put(tmp_path / "keys", f"access_key_id=a\nsecret_access_key={secret}\nsession_token={session}\n".encode())
    proxy = alice.credentials(tmp_path / "proxy")
    said = f"{token} {secret} {session}"
    renewing.does(f"echo '{said}'; cat '{proxy}' '{renewing.file}' '{keys}'; echo '{said}' >&2; exit 1")
    settings = AccessSettings(
        token=renewing.file,
        keys=keys,
        proxy=proxy,
        renew_command=(str(renewing.script), "--password", "marker-of-the-command"),
    )
    access = Access(settings, site="T2_Here", clock=renewing.clock)
    heard: list[object] = [access, vars(access), vars(access).values()]

    async def use(ask: Callable[[], Awaitable[object]]) -> None:
        try:
            given = await ask()
            heard.append("" if ask == access.token else given)
        except HoldfastError as error:
            heard.extend([error, error.hint, *traceback.format_exception(error)])

    async def use_all() -> None:
        for ask in (access.token, access.keys, access.proxy, access.tls):
            await use(ask)

    with logged("debug") as events:
        asyncio.run(use_all())
        renewing.clock.pass_s(HOUR_S - 10)
        asyncio.run(use_all())
        renewing.clock.pass_s(HOUR_S)
        asyncio.run(use_all())
    text = " ".join(map(repr, [*heard, *events])) + " ".join(map(str, heard))
    key_lines = [line for line in proxy.read_text().splitlines() if len(line) > 40]
    for each in (token, secret, session, "marker-of-the-command", *key_lines):
        assert each not in text
    assert "the token has expired" in text
    assert events


def test_the_renewal_of_one_site_does_not_hold_up_the_loop(renewing: Renewing):
    renewing.renews_to(2 * HOUR_S, "sleep 0.5")
    renewing.clock.pass_s(HOUR_S)
    access = renewing.access()

    async def ask() -> int:
        asking = asyncio.create_task(access.token())
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns

    assert asyncio.run(ask()) > 10


def test_keys_have_their_secrets_left_out_of_their_repr():
    assert repr(Keys("id", "hidden", "hidden")) == "Keys(access_key_id='id')"
