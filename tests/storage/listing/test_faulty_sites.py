"""Listing real servers through a proxy that breaks what it carries: all is there, or what lacks is named.

Faults are dealt to a share of the pieces or requests, of every kind at once.
Each directory that counts as listed must be exactly what the server holds, and
each that is not, or that nobody came to, must lie at or below one that is
marked. Which requests are hit depends on the machine; what holds does not.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.model import names
from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.site_listing import list_site
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import ENTRIES, DirectoryState
from support import real

if TYPE_CHECKING:
    from holdfast.testing.servers.delay_proxy import DelayProxy, ProxyFaults

DIRECTORIES = 200
FILES = 6
BREAKING = ("cut", "half", "truncate", "stall", "garbage", "cut_sending")
RUNS_MAX = 8
"""How often a listing is gone on with at most, where no door answered any more, or none told of the top."""


@dataclass(frozen=True)
class Site:
    """A server that holds the tree, and the way to it through a proxy."""

    protocol: str
    root: str
    proxy: DelayProxy
    keys: Path | None = None


def tree() -> dict[str, dict[str, int]]:
    """What is there: directories with their files and sizes."""
    made: dict[str, dict[str, int]] = {"/": {}}
    paths = ["/"]
    for number in range(DIRECTORIES):
        path = names.join(paths[number // 5], f"dir {number}")
        paths.append(path)
        made[path] = {f"file é {each}.root": each * 10 + 1 for each in range(FILES)}
    return made


TREE = tree()


def _proxied(port: int) -> DelayProxy:
    from holdfast.testing.servers.delay_proxy import DelayProxy

    return DelayProxy(port, seed=7)


@pytest.fixture(scope="module")
def sites(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    for part in ("xrootd", "xrootd python client", "moto"):
        real.require(part)
    from holdfast.testing.servers.moto_server import KEYS, moto_server
    from holdfast.testing.servers.xrootd_server import EXPORT, xrootd_server
    from support.s3_hooks import client_of, write_keys

    with ExitStack() as stack:
        xrootd, moto = stack.enter_context(xrootd_server()), stack.enter_context(moto_server())
        bucket = moto.new_bucket()
        client = client_of(moto.endpoint, KEYS)
        for dir, files in TREE.items():
            for name, size in files.items():
                xrootd.put(names.join(dir, name), b"x" * size)
                client.put_object(Bucket=bucket, Key=names.join(dir, name)[1:], Body=b"x" * size)
        doors = {
            "xroot": (xrootd.root_port, "xroot", "root://127.0.0.1:{port}/" + EXPORT),
            "http": (xrootd.http_port, "http", "http://127.0.0.1:{port}" + EXPORT),
            "s3": (_port(moto.endpoint), "s3", f"s3://{bucket}?endpoint=http://127.0.0.1:{{port}}&allow_http=true"),
        }
        keys = write_keys(tmp_path_factory.mktemp("keys"), KEYS)
        made = {}
        for name, (port, protocol, root) in doors.items():
            proxy = _proxied(port)
            stack.callback(proxy.close)
            made[name] = Site(protocol, root.format(port=proxy.port), proxy, keys if name == "s3" else None)
        yield made


def _port(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2].strip("/"))


def faults_of(protocol: str, share: float) -> ProxyFaults:
    """Every kind of fault, ``share`` of all together."""
    from holdfast.testing.servers.delay_proxy import ProxyFaults

    kinds = [*BREAKING]
    if protocol != "xroot":
        kinds += ["unavailable", "forbidden", "half_body"]
    return ProxyFaults(**dict.fromkeys(kinds, share / len(kinds)), stall_s=2.0)


def list_through_faults(protocol: str, root: str, keys: Path | None, folder: Path) -> None:
    """List into ``folder``, in a process of its own: time limits of the XRootD library are those of its process."""
    asyncio.run(_list(protocol, root, keys, folder))


async def _list(protocol: str, root: str, keys: Path | None, folder: Path) -> None:
    """The listing, gone on with as long as it says that it could not go on."""
    access = Access(AccessSettings(keys=keys, connect_timeout_s=2.0, call_timeout_s=1.0))
    limits = ListingLimits(in_flight_max=16, attempts=5, pause_s=0.02, door_retry_s=0.2, give_up_s=10.0)
    driver = open_driver(protocol, root, site="SITE", access=access)
    said: HoldfastError = PeerError("not begun")
    try:
        for _ in range(RUNS_MAX):
            try:
                await list_site([driver], folder, ListingPlan("SITE", "/", (driver.label,)), limits=limits)
                return
            except HoldfastError as error:
                said = error
        raise said
    finally:
        await driver.close()


@pytest.mark.slow
@pytest.mark.real("xrootd", "xrootd python client", "moto")
@pytest.mark.parametrize("share", [0.01, 0.1])
@pytest.mark.parametrize("name", ["xroot", "http", "s3"])
def test_nothing_is_silently_absent(name: str, share: float, sites: dict[str, Site], tmp_path: Path) -> None:
    site = sites[name]
    before = dict(site.proxy.counts)
    site.proxy.faults = faults_of(site.protocol, share)
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            process.submit(list_through_faults, site.protocol, site.root, site.keys, tmp_path / "listing").result()
    finally:
        site.proxy.faults = type(site.proxy.faults)()
    listing = Listing.open(tmp_path / "listing")
    injected = {kind: count - before.get(kind, 0) for kind, count in site.proxy.counts.items() if count}
    states = {row.dir: DirectoryState(row.state) for row in listing.directories()}
    found = _found(listing)
    for dir, state in states.items():
        assert dir in TREE, f"{dir!r} was made up"
        if state is DirectoryState.LISTED:
            assert found.get(dir, {}) == TREE[dir], injected
    for dir in TREE.keys() - states.keys():
        assert _hidden(dir, states), f"nobody came to {dir}, and nothing says why: {injected}"
    # One refusal of the top hides all; otherwise most of the tree has to be there.
    if states["/"] is DirectoryState.LISTED:
        assert sum(states.get(dir) is DirectoryState.LISTED for dir in TREE) >= len(TREE) * (1 - 5 * share)
    assert share < 0.1 or sum(injected.get(kind, 0) for kind in BREAKING)


def _hidden(dir: str, states: dict[str, DirectoryState]) -> bool:
    while dir != "/":
        dir = names.split(dir)[0]
        if dir in states:
            return states[dir] in (DirectoryState.FAILED, DirectoryState.DOUBTED)
    return False


def _found(listing: Listing) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for batch in listing.batches(ENTRIES, ["dir", "name", "size"]):
        for row in batch.to_pylist():
            files = found.setdefault(row["dir"], {})
            assert row["name"] not in files
            files[row["name"]] = row["size"]
    return found
