"""A small world for the tests of operations: sites on invented storages, a real SQLite inventory, a clock that is told.

Storages outlive "processes": a crash is a BaseException out of a named step,
after which the store is opened anew and the executor run again. ``Recorder``
stands between engine and storage and keeps what was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from holdfast.config import OperationsSettings
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model import names, steps
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import (
    BlockReplica,
    CopyRequest,
    Dataset,
    Door,
    FileColumns,
    Group,
    Orphan,
    Site,
    SiteStatus,
    StorageType,
)
from holdfast.operations import executor, requests
from holdfast.operations.batch import RequestKind
from holdfast.operations.deletion_report import DeletionReport
from holdfast.operations.progress import RunReport
from holdfast.storage import parts
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import Capabilities, Digest, DirectoryListing, Stat, StorageDriver
from holdfast.testing.memory_driver import FULL, MemoryDriver
from holdfast.testing.memory_store import MemoryStore

DATASET = DatasetKey("/sky/survey", "1")
START_US = 1_700_000_000_000_000
SETTINGS = OperationsSettings(concurrency=3, attempts_max=4, retry_delay_s_min=1.0, retry_delay_s_max=60.0)


class Crash(BaseException):
    """The process dies here."""


@dataclass
class TestClock:
    """A clock that moves when it is told to, and a little at each look; and one that goes on while somebody waits."""

    __test__ = False

    now_us: int = START_US
    slept_s: list[float] = field(default_factory=list)
    waited_s: float = 0.0

    def __call__(self) -> int:
        self.now_us += 10
        return self.now_us

    def monotonic(self) -> float:
        """Nobody sets it: jumps of the other one are not seen here."""
        return self.waited_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_us += int(seconds * 1_000_000)
        self.waited_s += seconds
        await asyncio.sleep(0)


class Recorder:
    """A StorageDriver that keeps what was done through it, and lies when told to."""

    def __init__(self, inner: StorageDriver) -> None:
        self.inner = inner
        self.done: list[tuple[str, str]] = []
        self.after_write: Callable[[str], None] | None = None
        """Called with the path after each write: where a storage that lies does its work."""

    def count(self, operation: str, path: str) -> int:
        return self.done.count((operation, path))

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, blocking=False)  # Nothing passes by here unseen.

    @property
    def label(self) -> str:
        return self.inner.label

    async def list(self, path: str) -> DirectoryListing:
        return await self.inner.list(path)

    async def stat(self, path: str) -> Stat:
        return await self.inner.stat(path)

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        return await self.inner.checksum(path, algorithms, read=read)

    def read(self, path: str) -> AsyncIterator[bytes]:
        self.done.append(("read", path))
        return self.inner.read(path)

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        stat = await self.inner.write(path, chunks)
        self.done.append(("write", path))
        if self.after_write is not None:
            self.after_write(path)
        return stat

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        await self.inner.rename(source, target, replace=replace)
        self.done.append(("rename", target))

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        await self.inner.delete(path, expected=expected)
        self.done.append(("delete", path))

    async def make_directory(self, path: str) -> None:
        await self.inner.make_directory(path)

    async def remove_directory(self, path: str) -> None:
        await self.inner.remove_directory(path)
        self.done.append(("remove directory", path))

    async def close(self) -> None:
        await self.inner.close()


class World:
    """Sites A (has everything), B and C, and an inventory in ``folder``."""

    def __init__(
        self, folder: Path, make: Callable[[str], StorageDriver] | None = None, *, store: Store | None = None
    ) -> None:
        self.folder = folder
        self.clock = TestClock()
        self.store: Store = store or SqlStore.create(folder / "inventory.db", clock=self.clock)
        make = make or (lambda site: MemoryDriver(self.clock, label=site))
        self.drivers = {site: Recorder(make(site)) for site in "ABC"}
        self.sites = {site: Site(site, (Door("memory", f"memory:{site}"),)) for site in "ABC"}
        self.commit(*(c.PutSite(site) for site in self.sites.values()))
        self.data: dict[str, bytes] = {}
        self.n_ids = self.n_restores = self.n_before = 0

    def memory(self, site: str) -> MemoryDriver:
        inner = self.drivers[site].inner
        assert isinstance(inner, MemoryDriver)
        return inner

    def commit(self, *changes: c.Change) -> None:
        self.store.commit(c.ChangeSet(changes, actor="test", cause="test"))

    def change_site(self, name: str, **changes: Any) -> None:
        site = self.sites[name]
        values = {"doors": site.doors, "storage_type": site.storage_type, "status": site.status} | changes
        self.sites[name] = Site(name, **values)
        self.commit(c.PutSite(self.sites[name]))

    def publish(
        self,
        n_files: int = 6,
        *,
        dataset: DatasetKey = DATASET,
        n_blocks: int = 1,
        at: str = "A",
        size: int = 40,
        digests: Sequence[str] = ("adler32", "sha256"),
    ) -> list[str]:
        """A dataset whose files lie at the sites ``at``; returns the LFNs."""
        self.commit(
            c.CreateDataset(Dataset(dataset, is_open=not dataset.version)) if not dataset.version else _staged(dataset)
        )
        lfns = []
        per_block = -(-n_files // n_blocks)
        for start in range(0, n_files, per_block):
            block = BlockKey(dataset, f"{start // per_block}")
            chosen = [f"/data{dataset.name}/f{number:04}" for number in range(start, min(start + per_block, n_files))]
            contents = [f"{lfn} ".encode() * (1 + size // 20) for lfn in chosen]
            self.data |= dict(zip(chosen, contents, strict=True))
            self.commit(c.RegisterFiles(block, 0, _columns(chosen, contents, digests), at[0], "", self.clock()))
            lfns += chosen
        if dataset.version:
            self.commit(c.RevealDataset(dataset, n_files, sum(len(self.data[lfn]) for lfn in lfns)))
        for lfn in lfns:
            self.put(at[0], lfn, self.data[lfn])
        for site in at[1:]:
            self.run(self.ask(site, dataset=dataset))
        return lfns

    def put(self, site: str, path: str, data: bytes) -> None:
        inner = self.drivers[site].inner
        if isinstance(inner, MemoryDriver):
            inner.put(path, data)
        else:
            place = self.folder / site / path[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)

    def get(self, site: str, path: str) -> bytes | None:
        inner = self.drivers[site].inner
        if isinstance(inner, MemoryDriver):
            return inner.get(path)
        place = self.folder / site / path[1:]
        return place.read_bytes() if place.is_file() else None

    def paths(self, site: str) -> list[str]:
        inner = self.drivers[site].inner
        if isinstance(inner, MemoryDriver):
            return inner.paths()
        root = self.folder / site
        return sorted(f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file())

    def new_id(self) -> str:
        self.n_ids += 1
        return f"id{self.n_ids}"

    def ask(self, site: str = "B", **given: Any) -> CopyRequest:
        given = {
            "dataset": DATASET,
            "reason": "test",
            "actor": "test",
            "clock": self.clock,
            "new_id": self.new_id,
        } | given
        return requests.request_copy(self.store, given.pop("dataset"), site, **given).request

    def run(self, *only: CopyRequest, **given: Any) -> RunReport:
        return asyncio.run(self.running(*only, **given))

    async def running(self, *only: CopyRequest, **given: Any) -> RunReport:
        defaults: dict[str, Any] = {
            "settings": SETTINGS,
            "clock": self.clock,
            "workers_dir": self.folder / "workers",
            "monotonic": self.clock.monotonic,
            "sleep": self.clock.sleep,
            "new_id": self.new_id,
            "only": [request.id for request in only] or None,
            "kinds": [RequestKind.COPY],
        }
        return await executor.run(self.store, self.drivers, **(defaults | given))

    def orphan(self, site: str, path: str, data: bytes = b"dark") -> Orphan:
        self.put(site, path, data)
        stat = asyncio.run(self.drivers[site].stat(path))
        return Orphan(path, stat.size, stat.mtime_ns, stat.version)

    def ask_deletion(self, *orphans: Orphan, site: str = "B", **given: Any) -> str:
        defaults: dict[str, Any] = {"reason": "test", "actor": "test", "clock": self.clock, "new_id": self.new_id}
        return requests.request_deletion(self.store, site, orphans, **(defaults | given)).id

    def ask_replica_deletion(self, site: str = "B", **given: Any) -> str:
        defaults: dict[str, Any] = {"reason": "test", "actor": "test", "clock": self.clock, "new_id": self.new_id}
        dataset = given.pop("dataset", DATASET)
        asked = requests.request_replica_deletion(self.store, dataset, site, **(defaults | given))
        return asked.request.id

    def delete(self, **given: Any) -> tuple[DeletionReport, ...]:
        return asyncio.run(self.running(**({"kinds": [RequestKind.REPLICAS, RequestKind.ORPHANS]} | given))).deletions

    def reopen(self) -> None:
        """What a new process finds."""
        if isinstance(self.store, MemoryStore):
            self.store = self.store.reopen()
            return
        self.store.close()
        self.store = SqlStore.open(self.folder / "inventory.db", clock=self.clock)

    def replica(self, site: str, dataset: DatasetKey = DATASET) -> list[BlockReplica]:
        with self.store.snapshot() as snapshot:
            return snapshot.replicas(dataset=dataset, site=site)

    def request(self, id: str) -> Any:
        with self.store.snapshot() as snapshot:
            everything = [*snapshot.copy_requests(only_open=False), *snapshot.deletion_requests(only_open=False)]
        return next(request for request in everything if request.id == id)

    def assert_copied(self, lfns: Sequence[str], site: str = "B", dataset: DatasetKey = DATASET) -> None:
        """All there, nothing else there, and the inventory says so."""
        assert self.paths(site) == sorted(lfns)
        assert all(self.get(site, lfn) == self.data[lfn] for lfn in lfns)
        assert all(replica.is_complete and replica.verified_us for replica in self.replica(site, dataset))
        assert sum(replica.n_files for replica in self.replica(site, dataset)) == len(lfns)

    def parts(self, site: str) -> list[str]:
        return [path for path in self.paths(site) if parts.is_part_name(names.split(path)[1])]


def _staged(dataset: DatasetKey) -> c.CreateDataset:
    from holdfast.model.records import Staging

    return c.CreateDataset(Dataset(dataset, staging=Staging("A", "/nowhere")))


def _columns(lfns: Sequence[str], contents: Sequence[bytes], digests: Sequence[str]) -> FileColumns:
    dirs = tuple(dict.fromkeys(names.split(lfn)[0] for lfn in lfns))
    taken = [digests_of(data, digests) for data in contents]
    return FileColumns(
        dirs,
        tuple(dirs.index(names.split(lfn)[0]) for lfn in lfns),
        tuple(names.split(lfn)[1] for lfn in lfns),
        tuple(len(data) for data in contents),
        {algorithm: tuple(each[algorithm] for each in taken) for algorithm in digests},
    )


@contextmanager
def crashing_at(step: str, nth: int = 1) -> Iterator[list[str]]:
    """Die at the nth time a step is reached; the list tells whether it came to that."""
    reached: list[str] = []

    def observe(name: str) -> None:
        if name == step:
            reached.append(name)
            if len(reached) == nth:
                raise Crash(name)

    with steps.observed(observe):
        yield reached


__all__ = [
    "DATASET",
    "FULL",
    "SETTINGS",
    "START_US",
    "BlockKey",
    "Crash",
    "DatasetKey",
    "Group",
    "PfnRules",
    "Recorder",
    "SiteStatus",
    "StorageType",
    "TestClock",
    "World",
    "crashing_at",
]
