"""Listing a whole site to disk, beside the tools that people list sites with.

250,000 files in 29,000 directories (``trees``), listed by ``list_site`` into
Parquet files, each time by a process of its own:

  * XRootD behind a round trip of 100 ms, over one connection. What is wanted is
    2,500 directories a second: 18 times the best site of the runs that are on
    record, 4.5 times 64 threads that ask one after the other.
  * XRootD on loopback, beside ``xrdfs ls -l -R``, which holds all in memory and
    gives all or nothing.
  * WebDAV on loopback: entries a second of the client's CPU.
  * A folder of this machine, beside ``find -printf``: files per second of CPU
    with one process, and what a second process adds.

The best of ROUNDS counts for each, in turn. Memory is the peak of the process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.row import Row
from bench.trees import Tree, tree
from holdfast.testing.servers.delay_proxy import delay_proxy
from holdfast.testing.servers.xrootd_server import EXPORT, XrootdServer, xrootd_server

ROUND_TRIP_S = 0.1
WANTED_DIRECTORIES_S = 2500
WANTED_ENTRIES_S = 25_000
MEMORY_MB_MAX = 200
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Taken:
    """What one listing took."""

    seconds: float
    cpu_s: float
    directories: int
    files: int
    peak_kb: int


def run(workdir: Path, rows: int) -> list[Row]:
    """The rows of the table for a tree of so many files."""
    local = tree(workdir, rows)
    found = _local(workdir, local)
    if shutil.which("xrootd") is None:
        raise SystemExit("no xrootd here: tools/system-packages.sh installs it")
    with xrootd_server() as server:
        served = tree(server.data, rows)
        found += _xrootd(workdir, server, served)
        found += _webdav(workdir, server, served)
    return found


def _local(workdir: Path, local: Tree) -> list[Row]:
    def find() -> tuple[float, float]:
        return _timed(["find", str(local.top), "-printf", "%P\\t%s\\t%T@\\n"], workdir / "find.out")

    def ours(workers: int) -> Callable[[], Taken]:
        return lambda: _listed(workdir, "posix", str(local.top), "/", local, workers=workers)

    finds, ones, twos = _in_turn(find, ours(1), ours(2))
    find_cpu = min(cpu for _, cpu in finds)
    one, two = min(ones, key=lambda each: each.cpu_s), min(each.seconds for each in twos)
    rate = local.files / one.cpu_s
    wall = min(each.seconds for each in ones)
    peak = max(each.peak_kb for each in (*ones, *twos))
    return [
        Row(
            "local walk, written out, per CPU second",
            f"{rate:,.0f} files/s",
            f"find -printf {local.files / find_cpu:,.0f}",
            find_cpu / one.cpu_s,
            0.55,
        ),
        Row("local walk, two processes", f"{two:.2f} s", f"{wall:.2f} s with one", wall / two, 1.4),
        _memory("local walk", peak),
    ]


def _xrootd(workdir: Path, server: XrootdServer, served: Tree) -> list[Row]:
    root, top = server.root_url, f"/{served.top.name}"
    host = root.removesuffix(f"/{EXPORT}")

    def recursive() -> float:
        return _timed(["xrdfs", host, "ls", "-l", "-R", f"{EXPORT}{top}"], workdir / "xrdfs.out")[0]

    def ours() -> Taken:
        return _listed(workdir, "xroot", root, top, served)

    theirs, near = _in_turn(recursive, ours)
    best = min(near, key=lambda each: each.seconds)
    with delay_proxy(int(host.rpartition(":")[2]), round_trip_s=ROUND_TRIP_S) as proxy:
        far = min(
            (_listed(workdir, "xroot", f"root://127.0.0.1:{proxy.port}/{EXPORT}", top, served) for _ in range(ROUNDS)),
            key=lambda each: each.seconds,
        )
    rate = far.directories / far.seconds
    return [
        Row(
            "XRootD behind 100 ms, one connection",
            f"{rate:,.0f} directories/s, {far.files / far.seconds:,.0f} files/s",
            f"{WANTED_DIRECTORIES_S:,} directories/s",
            rate / WANTED_DIRECTORIES_S,
            1.0,
        ),
        Row(
            "XRootD on loopback",
            f"{best.files / best.seconds:,.0f} files/s, {best.cpu_s:.1f} s CPU",
            f"xrdfs ls -l -R {served.files / min(theirs):,.0f} files/s",
            min(theirs) / best.seconds,
            1.0,
        ),
        _memory("XRootD", max(far.peak_kb, *(each.peak_kb for each in near))),
    ]


def _webdav(workdir: Path, server: XrootdServer, served: Tree) -> list[Row]:
    top = f"/{served.top.name}"

    def listed(root: str, protocol: str) -> Callable[[], Taken]:
        return lambda: _listed(workdir, protocol, root, top, served, in_flight=32, certs=str(server.authority.certs))

    plain, secret = _in_turn(listed(server.http_url, "http"), listed(server.https_url, "davs"))
    rows = []
    for what, runs in (("http", plain), ("https", secret)):
        best = min(runs, key=lambda each: each.cpu_s)
        rate = (best.files + best.directories) / best.cpu_s
        rows.append(
            Row(
                f"WebDAV over {what}, written out, per CPU second",
                f"{rate:,.0f} entries/s",
                f"{WANTED_ENTRIES_S:,} wanted",
                rate / WANTED_ENTRIES_S,
                1.0,
            )
        )
    return [*rows, _memory("WebDAV", max(each.peak_kb for each in (*plain, *secret)))]


def _memory(what: str, peak_kb: int) -> Row:
    return Row(
        f"{what}: memory",
        f"{peak_kb / 1024:,.0f} MB",
        "",
        None,
        bound=f"{MEMORY_MB_MAX} MB at most",
        is_within=peak_kb <= MEMORY_MB_MAX * 1024,
    )


def _in_turn(*works: Callable[[], object]) -> list[list]:  # type: ignore[type-arg]
    """What each gives, ROUNDS times, one after the other: whatever slows the machine meets them all."""
    found: list[list[object]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, results in zip(works, found, strict=True):
            results.append(work())
    return found


def _listed(
    workdir: Path,
    protocol: str,
    root: str,
    top: str,
    expected: Tree,
    *,
    in_flight: int = 512,
    workers: int = 1,
    certs: str = "",
) -> Taken:
    folder = workdir / "listing"
    shutil.rmtree(folder, ignore_errors=True)
    arguments = [protocol, root, top, str(folder), str(in_flight), str(workers), certs]
    done = subprocess.run(
        [sys.executable, "-m", "bench.listing_child", *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    taken = Taken(**json.loads(done.stdout))
    if (taken.files, taken.directories) != (expected.files, expected.directories):
        raise RuntimeError(f"listed {taken.files} files, {taken.directories} directories of {expected}")
    return taken


def _timed(command: list[str], out: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    began, before = time.perf_counter(), os.times()
    with open(out, "wb") as file:
        subprocess.run(command, stdout=file, check=True, env={**os.environ, "LC_ALL": "C"})
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, cpu
