"""Sources of protected paths: files, programs, web servers, plug-ins; and how each of them can fail.

Method: real files, programs and connections; the servers say what a test tells
them to, down to the byte.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from holdfast.config.cleaning import CleaningSettings
from holdfast.consistency.cleaning.protecting import from_plug_in, source
from holdfast.consistency.cleaning.protecting.lists import NotBelieved
from holdfast.model.errors import BadInput, HoldfastError, OperatorError, PeerError
from holdfast.testing.servers.ports import free_port
from support.scripted_http import Request, Script, ScriptedServer, reply

LIST = b"/store/unmerged/run1\n/store/unmerged/run2\n"
PATHS = ("/store/unmerged/run1", "/store/unmerged/run2")
NOW_US = 1_700_000_000_000_000


def paths_of(settings: CleaningSettings, *, now_us: int = NOW_US) -> tuple[str, ...]:
    (found,) = source.sources_of(settings, clock=lambda: now_us)
    return asyncio.run(found.paths("T2_X"))


def refusal(settings: CleaningSettings, kind: type[HoldfastError] = PeerError, **more: int) -> str:
    """What is said of a source that fails; it names the source."""
    with pytest.raises(kind) as caught:
        paths_of(settings, **more)
    assert caught.value.place
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_that_are_configured_are_asked(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nobody says what running workflows need"):
        source.sources_of(CleaningSettings(), clock=lambda: 0)
    settings = CleaningSettings(
        protected_url="http://localhost/x",
        protected_file=tmp_path / "list",
        protected_command=("true",),
        protected_plugin="ours",
    )
    names = [each.name for each in source.sources_of(settings, clock=lambda: 0)]
    assert names == ["http://localhost/x", str(tmp_path / "list"), "protected_command true", "plug-in ours"]


# ---- files ----------------------------------------------------------------------


def file_of(tmp_path: Path, content: bytes = LIST, *, age_s: int = 60) -> Path:
    path = tmp_path / "protected"
    path.write_bytes(content)
    written_s = NOW_US // 1_000_000 - age_s
    os.utime(path, (written_s, written_s))
    return path


def test_a_file(tmp_path: Path) -> None:
    assert paths_of(CleaningSettings(protected_file=file_of(tmp_path))) == PATHS
    keyed = file_of(tmp_path, b'{"result": ["/store/unmerged/run1", "/store/unmerged/run2"]}')
    assert paths_of(CleaningSettings(protected_file=keyed, protected_key="result")) == PATHS


def test_a_file_that_nobody_writes_any_more_is_not_believed(tmp_path: Path) -> None:
    settings = CleaningSettings(protected_file=file_of(tmp_path, age_s=3601), protected_file_age_max_s=3600)
    assert "was written 3,601 s ago, longer than protected_file_age_max_s, 3,600 s" in refusal(settings, NotBelieved)
    settings = CleaningSettings(protected_file=file_of(tmp_path, age_s=3600), protected_file_age_max_s=3600)
    assert paths_of(settings) == PATHS


def test_files_that_cannot_be_read_or_are_too_long(tmp_path: Path) -> None:
    path = file_of(tmp_path)
    short = CleaningSettings(protected_file=path, protected_size_max=len(LIST) - 1)
    assert "more than protected_size_max" in refusal(short, NotBelieved)
    assert paths_of(CleaningSettings(protected_file=path, protected_size_max=len(LIST))) == PATHS
    assert "no such file" in refusal(CleaningSettings(protected_file=tmp_path / "none"), OperatorError)
    assert "is a directory" in refusal(CleaningSettings(protected_file=tmp_path), OperatorError)
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in refusal(CleaningSettings(protected_file=tmp_path / "pipe"), OperatorError)


def test_an_empty_file_is_an_empty_list(tmp_path: Path) -> None:
    assert paths_of(CleaningSettings(protected_file=file_of(tmp_path, b""))) == ()


# ---- programs ---------------------------------------------------------------------


def command(script: str, **more: Any) -> CleaningSettings:
    return CleaningSettings(protected_command=(sys.executable, "-c", script), **more)


def test_a_program_is_told_the_site_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_SECRET", "s3cret")
    script = "import os; print('/' + os.environ['HOLDFAST_SITE']); print('/' + os.environ.get('X_SECRET', 'none'))"
    assert paths_of(command(script)) == ("/T2_X", "/none")


def test_a_program_is_run_without_a_shell() -> None:
    assert paths_of(CleaningSettings(protected_command=("printf", "/%s\\n", "$HOME;x"))) == ("/$HOME;x",)


def test_a_program_that_fails_has_told_nothing() -> None:
    said = refusal(command("import sys; print('/a'); print('first\\nno proxy', file=sys.stderr); sys.exit(3)"))
    assert said.endswith("ended with 3: no proxy")
    assert "-c" not in said  # Arguments may hold secrets.
    assert "ended with -9" in refusal(command("import os; print('/a', flush=True); os.kill(os.getpid(), 9)"))


def test_a_program_that_takes_too_long_is_ended_with_all_it_has_started() -> None:
    began = time.monotonic()
    script = "import subprocess; print('/a', flush=True); subprocess.run(['sleep', '60'])"
    assert "longer than 0.5 s" in refusal(command(script, protected_timeout_s=0.5))
    assert time.monotonic() - began < 30


def test_a_program_that_prints_too_much_is_not_believed() -> None:
    assert "more than 1000 bytes" in refusal(command("print('/a\\n' * 10**6)", protected_size_max=1000))


def test_a_program_that_is_not_there() -> None:
    settings = CleaningSettings(protected_command=("/nonexistent/program",))
    assert "no such file" in refusal(settings, OperatorError)


# ---- web servers --------------------------------------------------------------------


def served(script: Script, *, tls: ssl.SSLContext | None = None, **more: Any) -> tuple[str, ...] | HoldfastError:
    """What a source makes of a server."""

    async def run() -> tuple[str, ...] | HoldfastError:
        async with ScriptedServer(script, tls=tls) as server:
            settings = CleaningSettings(protected_url=f"{server.url}/list", **more)
            (found,) = source.sources_of(settings, clock=lambda: time.time_ns() // 1000)
            try:
                return await found.paths("T2_X")
            except HoldfastError as error:
                return error

    return asyncio.run(run())


def always(answer: bytes) -> Script:
    async def script(request: Request, writer: asyncio.StreamWriter) -> bytes:
        return answer

    return script


def test_a_server() -> None:
    seen: list[Request] = []

    async def script(request: Request, writer: asyncio.StreamWriter) -> bytes:
        seen.append(request)
        return reply(200, LIST, Content_Type="text/plain")

    assert served(script) == PATHS
    assert [(each.method, each.target) for each in seen] == [("GET", "/list")]
    body = b'{"result": ["/store/unmerged/run1", "/store/unmerged/run2"]}'
    assert served(always(reply(200, body)), protected_key="result") == PATHS


def test_a_list_in_chunks() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (LIST[:5], LIST[5:], b""))
    assert served(always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) == PATHS


async def _cut(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(200, LIST[:20], Content_Length=str(len(LIST))))
    await writer.drain()


async def _cut_chunks(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n" + LIST[:21] + b"\r\n")
    await writer.drain()


async def _without_end(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LIST)
    await writer.drain()


async def _slow(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(200, b"", Content_Length=str(len(LIST))))
    for number in range(len(LIST)):  # Never silent for long, and never at the end.
        writer.write(LIST[number : number + 1])
        await writer.drain()
        await asyncio.sleep(0.2)


async def _silent(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _huge(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(200, b"", Content_Length=str(10**12)))
    for _ in range(10_000):
        writer.write(b"/store/unmerged/x\n" * 1000)
        await writer.drain()


async def _hangs_up(request: Request, writer: asyncio.StreamWriter) -> None:
    pass


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (_cut, "its list breaks off"),
        (_cut_chunks, "its list breaks off"),
        (_without_end, "does not say where its list ends"),
        (_slow, "gave no whole list within 1 s"),
        (_silent, "gave no whole list within 1 s"),
        (_huge, "sends more than protected_size_max, 100,000 bytes"),
        (_hangs_up, "gave no answer that makes sense"),
        (always(b"no HTTP at all\r\n\r\n"), "gave no answer that makes sense"),
        (always(reply(500, LIST)), "answered 500"),
        (always(reply(404, LIST)), "answered 404"),
        (always(reply(204)), "answered 204"),
        (always(reply(302, LIST, Location="http://localhost:1/login")), "answered 302 and leads elsewhere"),
        (always(reply(307, LIST, Location="/other")), "answered 307 and leads elsewhere"),
        (always(reply(200, LIST, Content_Type="text/html; charset=utf-8")), "sends a web page, and not a list"),
        (always(reply(200, b"<html><body>Please log in</body></html>\n")), "this is a web page"),
        (always(reply(200, LIST[:-1])), "the list breaks off"),
    ],
)
def test_servers_that_fail_have_told_nothing(
    script: Callable[[Request, asyncio.StreamWriter], Awaitable[bytes | None]], said: str
) -> None:
    error = served(script, protected_timeout_s=1.0, protected_size_max=100_000)
    assert isinstance(error, PeerError)
    assert said in str(error)
    assert error.place.endswith("/list")


def test_a_server_that_is_not_there() -> None:
    said = refusal(CleaningSettings(protected_url=f"http://127.0.0.1:{free_port()}/list"))
    assert "cannot be reached: " in said


@pytest.mark.real("xrootd")  # For openssl, which makes the certificates.
def test_tls_is_verified_and_only_there_a_token_is_shown(tmp_path: Path) -> None:
    from holdfast.testing.servers.test_authority import TestAuthority

    authority = TestAuthority(tmp_path / "authority")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.host_certificate, authority.host_key)
    token = tmp_path / "token"
    token.write_text("s3cret")
    token.chmod(0o600)
    shown: list[str] = []

    async def script(request: Request, writer: asyncio.StreamWriter) -> bytes:
        shown.append(request.headers.get("authorization", ""))
        return reply(200, LIST)

    assert served(script, tls=tls, protected_authorities=authority.certs, protected_token=token) == PATHS
    assert shown == ["Bearer s3cret"]
    error = served(script, tls=tls, protected_token=token)
    assert isinstance(error, OperatorError)
    assert "its certificate is not to be trusted" in str(error)
    assert served(script, protected_token=token) == PATHS
    assert shown == ["Bearer s3cret", ""]


def test_without_its_library_an_address_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> None:
        raise ModuleNotFoundError("No module named 'aiohttp'", name="aiohttp")

    monkeypatch.setattr(source, "import_module", lacking)
    with pytest.raises(OperatorError, match=r"no Python package aiohttp \(pip install"):
        source.sources_of(CleaningSettings(protected_url="http://localhost/x"), clock=lambda: 0)


# ---- plug-ins -------------------------------------------------------------------------


def give(site: str) -> list[str]:
    return [f"/store/unmerged/{site}/"]


def fail(site: str) -> list[str]:
    raise KeyError("no such\nsite")


def hang(site: str) -> list[str]:
    time.sleep(30)
    return []


def give_nonsense(site: str) -> list[object]:
    return ["/a", 3]


@pytest.fixture
def plug_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins that are functions of this file, as if they were installed."""
    here = EntryPoint("", "", from_plug_in.GROUP)
    monkeypatch.setitem(sys.modules, "plug_in_of_a_test", sys.modules[__name__])
    points = [EntryPoint(name, f"plug_in_of_a_test:{name}", here.group) for name in ("give", "fail", "hang", "none")]
    points += [EntryPoint("give_nonsense", "plug_in_of_a_test:give_nonsense", here.group)]
    points += [EntryPoint("twice", f"plug_in_of_a_test:{name}", here.group) for name in ("give", "fail")]

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(from_plug_in, "entry_points", entry_points)


@pytest.mark.usefixtures("plug_ins")
def test_a_plug_in() -> None:
    assert paths_of(CleaningSettings(protected_plugin="give")) == ("/store/unmerged/T2_X",)


@pytest.mark.usefixtures("plug_ins")
@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("fail", PeerError, "failed: KeyError"),
        ("hang", PeerError, "gave no list within 0.5 s"),
        ("give_nonsense", NotBelieved, "entry 2 of the list is no text but 3"),
        ("none", OperatorError, "cannot be loaded"),
        ("twice", OperatorError, "there are several"),
        ("unknown", BadInput, "there is no such plug-in"),
    ],
)
def test_plug_ins_that_fail(name: str, kind: type[HoldfastError], said: str) -> None:
    assert said in refusal(CleaningSettings(protected_plugin=name, protected_timeout_s=0.5), kind)
