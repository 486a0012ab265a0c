"""Bringing files, beside the simplest means that move the same bytes.

  * Large files by the local engine, beside ``cp``, an fsync and one reading of
    the copy for the same checksum. Ours hashes on the way as well, writes a
    part, and renames it.
  * Small files between two XRootD servers over HTTP third-party copy, beside
    bare COPY requests by the same HTTP library, as many at once, which look at
    nothing before and nothing after. Over https, as these copies are made:
    tokens are shown to nobody without. Ours asks five times for each file: COPY,
    digest of the part, whether the name is free, MOVE, digest of the file. The
    third is the dear one: XRootD 5.5 hangs up after each 404 and resumes no TLS
    session, so that each file takes a new connection. Where servers and client
    share two cores, the sum of their work is the limit (7 to 12 ms a file).
  * The same files over XRootD's own protocol, beside ``xrdcp --tpc only``.

The best of ROUNDS counts for each, in turn.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from zlib_ng import zlib_ng

from bench.row import Row
from holdfast.model.clock import system_clock
from holdfast.operations.engine import FileEngine, Job, Outcome, Place, Transfer, Verdict
from holdfast.operations.engines.local import LocalEngine
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.operations.engines.third_party import http_engine, xrootd_engine
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import CHUNK_BYTES, StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.storage.webdav.driver import WebdavDriver
from holdfast.testing.servers.xrootd_server import EXPORT, XrootdServer, xrootd_server

LARGE_FILES, LARGE_BYTES = 4, 256 << 20
SMALL_BYTES = 10_000
AT_ONCE = 16
TPC_FILES = 32
TPC_AT_ONCE = 8
ROUNDS = 3
TRIES = 6
CHECKSUMS = "max 64 adler32"
"""Of the servers: small files are proved faster than two at a time."""

_FOLDERS = itertools.count(1)


def run(workdir: Path, rows: int) -> list[Row]:
    """The rows of the table; ``rows`` small files."""
    if shutil.which("xrootd") is None:
        raise SystemExit("no xrootd here: tools/system-packages.sh installs it")
    found = [_large(workdir)]
    with (
        xrootd_server(checksums=CHECKSUMS) as source,
        xrootd_server(authority=source.authority, checksums=CHECKSUMS) as target,
    ):
        files = {f"file{number}": os.urandom(SMALL_BYTES) for number in range(rows)}
        for name, data in files.items():
            source.put(f"/{name}", data)
        found.append(_small(source, target, files))
        found.append(_over_root(source, target, dict(itertools.islice(files.items(), TPC_FILES))))
    return found


# Large files on this machine.


def _large(workdir: Path) -> Row:
    source = workdir / "source"
    source.mkdir(exist_ok=True)
    names = [f"file{number}" for number in range(LARGE_FILES)]
    known = {name: _made(source / name) for name in names}

    def cp() -> float:
        with _folder(workdir) as folder, _timed() as taken:
            for name in names:
                subprocess.run(["cp", str(source / name), str(folder / name)], check=True)
                _synchronised(folder / name)
                if _adler32(folder / name) != known[name]:
                    raise RuntimeError("cp made another file")
        return taken[0]

    def ours() -> float:
        wanted = [(name, LARGE_BYTES, {"adler32": known[name]}) for name in names]
        with _folder(workdir) as folder, _timed() as taken:
            here, there = PosixDriver(source, label="SOURCE"), PosixDriver(folder, label="TARGET")
            asyncio.run(_bring(LocalEngine(system_clock), here, there, "/", wanted, at_once=1))
        return taken[0]

    simple, engine = _in_turn(cp, ours)
    size = LARGE_FILES * LARGE_BYTES / 1e6
    return Row(
        f"local engine, {LARGE_FILES} files of {LARGE_BYTES >> 20} MB",
        f"{size / engine:,.0f} MB/s",
        f"cp, fsync, adler32 {size / simple:,.0f} MB/s",
        simple / engine,
        0.8,
    )


def _made(path: Path) -> str:
    """A file of random bytes, kept from an earlier run; its checksum."""
    if not path.exists() or path.stat().st_size != LARGE_BYTES:
        with path.open("wb") as file:
            for _ in range(LARGE_BYTES // CHUNK_BYTES):
                file.write(os.urandom(CHUNK_BYTES))
    return _adler32(path)


def _adler32(path: Path) -> str:
    value = 1
    with path.open("rb", buffering=0) as file:
        while data := file.read(CHUNK_BYTES):
            value = zlib_ng.adler32(data, value)
    return f"{value:08x}"


def _synchronised(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _folder(workdir: Path) -> Iterator[Path]:
    folder = workdir / "target"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# Small files between servers.


def _small(source: XrootdServer, target: XrootdServer, files: dict[str, bytes]) -> Row:
    def bare() -> float:
        folder = _new_folder(target)
        with _timed() as taken:
            asyncio.run(_bare_copies(source, target, folder, list(files)))
        _require_all(target, folder, files)
        return taken[0]

    def ours() -> float:
        folder = _new_folder(target)

        async def scenario() -> None:
            here, there = (
                WebdavDriver(server.https_url, site=site, access=_access(server))
                for server, site in ((source, "SOURCE"), (target, "TARGET"))
            )
            await _bring(http_engine(system_clock), here, there, folder, _wanted(files), at_once=AT_ONCE)

        with _timed() as taken:
            asyncio.run(scenario())
        _require_all(target, folder, files)
        return taken[0]

    simple, engine = _in_turn(bare, ours, servers=(source, target))
    return Row(
        f"http third-party copies, {len(files):,} files of {SMALL_BYTES // 1000} kB, {AT_ONCE} at once",
        f"{len(files) / engine:,.0f} files/s",
        f"bare COPY {len(files) / simple:,.0f} files/s",
        simple / engine,
        0.6,
    )


async def _bare_copies(source: XrootdServer, target: XrootdServer, folder: str, names: Sequence[str]) -> None:
    waiting = iter(names)
    tls = ssl.create_default_context(cafile=str(source.authority.bundle))

    async def stream(session: aiohttp.ClientSession) -> None:
        for name in waiting:
            headers = {"Source": f"{source.https_url}/{name}", "Overwrite": "F", "Credential": "none"}
            url = f"{target.https_url}{folder}/{name}"
            async with session.request("COPY", url, headers=headers, ssl=tls) as reply:
                if b"success" not in await reply.read():
                    raise RuntimeError(f"COPY was answered with {reply.status}")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(stream(session) for _ in range(AT_ONCE)))


def _over_root(source: XrootdServer, target: XrootdServer, files: dict[str, bytes]) -> Row:
    # The client library is loaded here only.
    from holdfast.storage.xroot.driver import XrootDriver

    def program() -> float:
        folder = _new_folder(target)

        def one(name: str) -> None:
            urls = [f"{source.root_url}/{name}", f"{target.root_url}{folder}/{name}"]
            subprocess.run(["xrdcp", "--silent", "--tpc", "only", *urls], check=True, capture_output=True)

        with _timed() as taken, ThreadPoolExecutor(TPC_AT_ONCE) as threads:
            list(threads.map(one, files))
        _require_all(target, folder, files)
        return taken[0]

    def ours() -> float:
        folder = _new_folder(target)

        async def scenario() -> None:
            here, there = XrootDriver(source.root_url, label="SOURCE"), XrootDriver(target.root_url, label="TARGET")
            await _bring(xrootd_engine(system_clock), here, there, folder, _wanted(files), at_once=TPC_AT_ONCE)

        with _timed() as taken:
            asyncio.run(scenario())
        _require_all(target, folder, files)
        return taken[0]

    simple, engine = _in_turn(program, ours, rounds=1, servers=(source, target))
    return Row(
        f"XRootD third-party copies, {len(files):,} files of {SMALL_BYTES // 1000} kB, {TPC_AT_ONCE} at once",
        f"{len(files) / engine:,.1f} files/s",
        f"xrdcp --tpc only {len(files) / simple:,.1f} files/s",
        simple / engine,
    )


def _new_folder(server: XrootdServer) -> str:
    folder = f"/t{next(_FOLDERS)}"
    server.make_directory(folder)
    return folder


def _require_all(server: XrootdServer, folder: str, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        if server.get(f"{folder}/{name}") != data:
            raise RuntimeError(f"{EXPORT}{folder}/{name} has not arrived")


def _access(server: XrootdServer) -> Access:
    # Shorter than by default: a request that the server has forgotten is asked again.
    return Access(AccessSettings(authorities=server.authority.bundle, call_timeout_s=10.0))


def _wanted(files: dict[str, bytes]) -> list[tuple[str, int, dict[str, str]]]:
    return [(name, len(data), digests_of(data, ["adler32"])) for name, data in files.items()]


# What they share.


class _Desk:
    """Nobody takes the claim away, and every file has to be copied."""

    async def check(self) -> None:
        """Always ours."""

    async def keep(self, handle: str) -> None:
        """No engine here has any."""

    def moved(self, ordinal: int, n_bytes: int) -> None:
        """Nobody watches."""

    def settle(self, ordinal: int, outcome: Outcome) -> None:
        """Only good outcomes are measured."""
        if outcome.verdict is not Verdict.COPIED:
            raise RuntimeError(f"{outcome.verdict}: {outcome.error}")


async def _bring(
    engine: FileEngine,
    source: StorageDriver,
    target: StorageDriver,
    folder: str,
    wanted: Sequence[tuple[str, int, dict[str, str]]],
    *,
    at_once: int,
) -> None:
    transfers = [
        Transfer(
            number,
            f"bench{number}",
            size,
            checksums,
            Place("SOURCE", source, f"/{name}", ""),
            Place("TARGET", target, f"{folder.rstrip('/')}/{name}", ""),
        )
        for number, (name, size, checksums) in enumerate(wanted)
    ]
    try:
        await OneByOne(engine).carry(Job("bench", transfers, streams=at_once), _Desk())
    finally:
        for each in (engine, source, target):
            await each.close()


def _in_turn(*works: Callable[[], float], rounds: int = ROUNDS, servers: Sequence[XrootdServer] = ()) -> list[float]:
    """The best time of each, in turn: whatever slows the machine meets them all."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for number, work in enumerate(works):
            best[number] = min(best[number], _tried(work, servers))
    return best


def _tried(work: Callable[[], float], servers: Sequence[XrootdServer]) -> float:
    """What a work takes; servers of this version die now and then under either of them, and then it begins anew."""
    for _ in range(TRIES):
        try:
            return work()
        except (RuntimeError, aiohttp.ClientError) as error:
            if not servers:
                raise
            print(f"again: {error}", file=sys.stderr)
            for server in servers:
                server.restart()
    return work()


@contextmanager
def _timed() -> Iterator[list[float]]:
    """A list that has the seconds of the block when it is over."""
    taken: list[float] = []
    began = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - began)
