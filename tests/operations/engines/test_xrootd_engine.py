"""The xrootd engine: copies between two real servers over their own protocol; and what only servers can do to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from between import BetweenFolders
from engine_servers import Folder, two_xrootd_servers

from holdfast.model.clock import system_clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import Outcome, Place, Transfer, TransferEngine, Verdict
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.operations.engines.third_party import xrootd_engine
from holdfast.storage.abilities import Progress
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import StorageDriver
from holdfast.storage.parts import part_path
from holdfast.testing.driver_hooks import pattern
from holdfast.testing.engine_hooks import DATA, Ends, MemoryDesk
from support import real

if TYPE_CHECKING:
    from holdfast.storage.xroot.driver import XrootDriver
    from holdfast.testing.servers.xrootd_cluster import XrootdCluster
    from holdfast.testing.servers.xrootd_server import XrootdServer

LARGE_BYTES = 2 << 30
"""Of a file with nothing in it, which takes a second to copy."""
LIMIT_S = 2.0
COSTS_S_MAX = 15.0
"""What a frozen server may cost: the limit of the copy, those of looking at both ends, and a busy machine."""

pytestmark = [pytest.mark.timeout(120), pytest.mark.real("xrootd", "xrootd python client")]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[XrootdServer, XrootdServer]]:
    for part in ("xrootd", "xrootd python client"):
        real.require(part)
    with two_xrootd_servers() as both:
        yield both


class TestBetweenXrootdServers(BetweenFolders):
    """Names with ``&`` cannot be told to another server."""

    here: Folder
    there: Folder
    names = ("with blank", "per%41cent", "grüße", "plus+", "hash#")

    @pytest.fixture(autouse=True)
    def _folders(self, servers: tuple[XrootdServer, XrootdServer], request: pytest.FixtureRequest) -> None:
        self.request = request
        self.here, self.there = (Folder(server) for server in servers)

    def make_engine(self) -> TransferEngine:
        return OneByOne(xrootd_engine(system_clock))

    def make_source(self) -> StorageDriver:
        return driver_of(self.here, "SOURCE")

    def make_destination(self) -> StorageDriver:
        return driver_of(self.there, "DESTINATION")

    def test_a_name_that_cannot_be_told_to_another_server_is_no_name_there(self) -> None:
        self.put_source("/a/x&y", DATA)
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcomes = await ends.carry(ends.transfer("/a/x&y"), ends.transfer(), streams=1)
            assert [outcome.code for outcome in outcomes] == [Code.UNNAMEABLE, None]

        self.run(scenario)
        assert self.paths() == ["/a/file"]


def driver_of(folder: Folder, site: str, *, call_timeout_s: float = 20.0) -> XrootDriver:
    # The library is loaded where it is needed only.
    from holdfast.storage.xroot.driver import XrootDriver

    access = Access(AccessSettings(call_timeout_s=call_timeout_s), site=site)
    return XrootDriver(folder.server.root_url + folder.name, label=site, access=access)


# What only servers can do.


def test_the_source_knows_the_key_before_the_destination_begins(
    servers: tuple[XrootdServer, XrootdServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the other order XRootD 5.5 now and then forgets who came before his key, and no byte is ever copied."""
    from holdfast.storage.xroot.copying import CopyTarget
    from holdfast.storage.xroot.files import Opened

    steps: list[str] = []
    open_with, sync, fetched = Opened.open_with, CopyTarget.sync, CopyTarget.fetched

    async def opening(self: Opened, flags: int) -> None:
        await open_with(self, flags)
        steps.append("source told" if "tpc.dst=" in self._url else "opened")

    async def syncing(self: CopyTarget) -> None:
        steps.append("destination begins")
        await sync(self)

    async def fetching(self: CopyTarget, size: int, progress: Progress | None) -> None:
        steps.append("waiting")
        await fetched(self, size, progress)

    monkeypatch.setattr(Opened, "open_with", opening)
    monkeypatch.setattr(CopyTarget, "sync", syncing)
    monkeypatch.setattr(CopyTarget, "fetched", fetching)
    here, there = (Folder(server) for server in servers)
    data = pattern(100_000)
    here.put("/file", data)
    outcome = outcome_of(
        driver_of(here, "SOURCE"), driver_of(there, "DESTINATION"), "/file", len(data), digests_of(data, ["adler32"])
    )
    assert (outcome.verdict, there.get("/file")) == (Verdict.COPIED, data)
    assert [step for step in steps if step != "opened"] == ["source told", "destination begins", "waiting"]


def outcome_of(
    source: XrootDriver,
    destination: XrootDriver,
    path: str,
    size: int,
    checksums: dict[str, str],
    *,
    while_under_way: Callable[[], None] = lambda: None,
) -> Outcome:
    """Bring one file; ``while_under_way`` is called in a thread when something of it has arrived, or the copy begun."""

    async def scenario() -> Outcome:
        engine = xrootd_engine(system_clock)
        places = Place("SOURCE", source, path, ""), Place("DESTINATION", destination, path, "")
        transfer = Transfer(1, "token1", size, checksums, *places)
        copying = asyncio.ensure_future(engine.transfer(transfer, MemoryDesk().check, lambda _: None))
        try:
            await asyncio.to_thread(while_under_way)
            return await copying
        finally:
            for each in (engine, source, destination):
                await each.close()

    return asyncio.run(scenario())


@pytest.fixture
def mortals() -> Iterator[tuple[XrootdServer, XrootdServer]]:
    """Two servers of the test's own, which it may freeze."""
    with two_xrootd_servers() as both:
        yield both


@pytest.mark.slow
@pytest.mark.parametrize("is_source", [True, False], ids=["source", "destination"])
def test_a_server_that_freezes_in_the_middle_costs_some_time_limits_and_leaves_nothing(
    mortals: tuple[XrootdServer, XrootdServer], is_source: bool
) -> None:
    here, there = (Folder(server) for server in mortals)
    with (here.root / "file").open("wb") as file:
        file.truncate(LARGE_BYTES)
    frozen = mortals[0 if is_source else 1]

    frozen_at: list[float] = []

    def freeze() -> None:
        deadline = time.monotonic() + 30
        while not there.paths() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert there.paths()
        frozen.pause()
        frozen_at.append(time.monotonic())

    try:
        outcome = outcome_of(
            driver_of(here, "SOURCE", call_timeout_s=LIMIT_S),
            driver_of(there, "DESTINATION", call_timeout_s=LIMIT_S),
            "/file",
            LARGE_BYTES,
            {"adler32": "00000001"},
            while_under_way=freeze,
        )
        costs_s = time.monotonic() - frozen_at[0]
    finally:
        frozen.resume()
    assert outcome.verdict is Verdict.FAILED
    assert outcome.code is not None
    assert not outcome.code.is_permanent
    assert costs_s < COSTS_S_MAX
    assert there.get("/file") is None
    if is_source:
        assert there.paths() == []


def test_a_copy_that_is_called_off_stops_at_the_destination(mortals: tuple[XrootdServer, XrootdServer]) -> None:
    here, there = (Folder(server) for server in mortals)
    with (here.root / "file").open("wb") as file:
        file.truncate(LARGE_BYTES)

    async def scenario() -> None:
        source, destination = driver_of(here, "SOURCE"), driver_of(there, "DESTINATION")
        far = await source.far_file("/file")
        pulling = asyncio.ensure_future(destination.pull(part_path("/file", "token"), far))
        while not there.paths():
            await asyncio.sleep(0.001)
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
        for _ in range(100):
            if not copies_of(mortals[1]):
                break
            await asyncio.sleep(0.05)
        assert copies_of(mortals[1]) == []
        assert there.paths() == []
        await source.close()
        await destination.close()

    asyncio.run(scenario())


def copies_of(server: XrootdServer) -> list[str]:
    """The programs that copy something into a server's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "--server" in words and any(str(server.data) in word for word in words):
            found.append(" ".join(words))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("is_source", [True, False], ids=["from", "to"])
def test_servers_behind_a_redirector_copy_too(servers: tuple[XrootdServer, XrootdServer], is_source: bool) -> None:
    from holdfast.storage.xroot.driver import XrootDriver
    from holdfast.testing.servers.xrootd_cluster import xrootd_cluster

    folder, data = Folder(servers[0]), pattern(100_000)
    with xrootd_cluster(servers=2, shared=not is_source) as cluster:
        behind = XrootDriver(cluster.root_url, label="CLUSTER")
        alone = driver_of(folder, "ALONE")
        if is_source:
            (cluster.data[1] / "file").write_bytes(data)
        else:
            folder.put("/file", data)
        source, destination = (behind, alone) if is_source else (alone, behind)
        outcome = outcome_of(source, destination, "/file", len(data), digests_of(data, ["adler32"]))
        assert (outcome.verdict, outcome.error) == (Verdict.COPIED, "")
        arrived = folder.get("/file") if is_source else next(filter(Path.is_file, _files(cluster))).read_bytes()
        assert arrived == data


def _files(cluster: XrootdCluster) -> list[Path]:
    return [each / "file" for each in cluster.data]


@pytest.mark.slow
@pytest.mark.real("token authorisation")
def test_servers_that_ask_for_tokens_and_tls_copy_too(tmp_path: Path) -> None:
    from holdfast.testing.servers.authorised_xrootd import token_xrootd
    from holdfast.testing.servers.test_authority import TestAuthority

    data = pattern(100_000)
    folder = Path(tempfile.mkdtemp(prefix="holdfast-authority-"))
    folder.chmod(0o755)
    try:
        authority = TestAuthority(folder / "authority")
        with token_xrootd(authority) as (one, first), token_xrootd(authority) as (other, second):
            one.put("/file", data)
            tokens = [str(issuer.write(tmp_path / f"token{number}")) for number, issuer in enumerate((first, second))]
            end = ["/file", str(len(data)), digests_of(data, ["adler32"])["adler32"]]
            roots = [one.roots_url, other.roots_url, str(authority.certs)]
            refused = copied_apart([*roots, "-", tokens[1], *end])
            assert (refused["verdict"], refused["code"]) == ("failed", "source-refused"), refused
            with watched_commands() as commands:
                told = copied_apart([*roots, *tokens, *end])
            assert (told["verdict"], told["error"]) == ("copied", "")
            assert other.get("/file") == data
            secrets = [Path(token).read_text().strip() for token in tokens]
            assert any("copying_process.py" in command for command in commands)
            assert any("--server" in command and str(other.data) in command for command in commands)
            shown = [*commands, json.dumps([refused, told]), one.log(), other.log()]
            assert not any(secret in text for secret in secrets for text in shown)
    finally:
        shutil.rmtree(folder)


@contextmanager
def watched_commands() -> Iterator[set[str]]:
    """Every command line that was to be seen on this machine meanwhile, once the block is over."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.003):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_bytes().decode(errors="replace").replace("\0", " "))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def copied_apart(arguments: list[str]) -> dict[str, str]:
    """What another process says."""
    command = [sys.executable, str(Path(__file__).with_name("copying_process.py")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    told: dict[str, str] = json.loads(done.stdout)
    return told
