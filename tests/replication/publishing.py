"""What the tests of publishing share: one site in memory, an inventory in a file, and a count of what was read."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from holdfast.inventory.store import Store
from holdfast.model import names
from holdfast.model.changes import ChangeSet, PutGroup, PutSite
from holdfast.model.names import DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import BlockReplica, Dataset, Door, Group, Site
from holdfast.replication.publication import PublishReport
from holdfast.replication.publish import publish
from holdfast.replication.reading import BatchLimits
from holdfast.storage.driver import StorageDriver
from holdfast.testing.memory_driver import MemoryDriver

SITE = Site("T2_A", (Door("memory", "memory:a"),))
KEY = names.dataset_key("run/raw#1")


def ticking() -> Callable[[], int]:
    """A clock that goes on by a millisecond whenever it is looked at."""
    return itertools.count(1_000_000_000_000_000, 1000).__next__


class Crash(BaseException):
    """The process ends here. Not an Exception: nothing that handles errors may handle it."""


@dataclass
class World:
    """One site and one inventory; ``reads`` counts the files whose bytes were asked for."""

    store: Store
    driver: MemoryDriver
    site: Site = SITE
    clock: Callable[[], int] = field(default_factory=ticking)
    reads: Counter[str] = field(default_factory=Counter)
    on_call: Callable[[str, str], None] | None = None
    """Also called with each operation and path; may raise, or damage the tree."""

    def __post_init__(self) -> None:
        self.driver.faults = self._hear
        self.commit(
            PutSite(self.site), PutSite(Site("T2_B", (Door("memory", "memory:b"),))), PutGroup(Group("physics"))
        )

    def _hear(self, operation: str, path: str) -> None:
        if operation in ("checksum", "read"):
            self.reads[path] += 1
        if self.on_call is not None:
            self.on_call(operation, path)

    def commit(self, *changes: Any) -> None:
        self.store.commit(ChangeSet(changes, "tester", "test"))

    def fill(self, n_files: int, *, top: str = "/data", per_dir: int = 5) -> list[str]:
        """Make files of different contents; returns their paths, sorted."""
        paths = [f"{top}/d{number // per_dir:03d}/f{number:04d}" for number in range(n_files)]
        for path in paths:
            self.driver.put(path, f"content of {path}\n".encode() * 3)
        return paths

    async def publish_async(
        self, directory: str = "/data", *, driver: StorageDriver | None = None, **given: Any
    ) -> Any:
        key: DatasetKey = given.pop("key", KEY)
        given.setdefault("limits", BatchLimits(n_files=5))
        given.setdefault("workers", 3)
        return await publish(
            self.store,
            driver or self.driver,
            given.pop("site", self.site),
            directory,
            key,
            clock=self.clock,
            actor="tester",
            **given,
        )

    def publish(self, directory: str = "/data", **given: Any) -> PublishReport:
        """Publish, and count the reads of this run alone."""
        self.reads.clear()
        report: PublishReport = asyncio.run(self.publish_async(directory, **given))
        return report

    def dataset(self, key: DatasetKey = KEY) -> Dataset | None:
        with self.store.snapshot() as snapshot:
            return next((each for each in snapshot.datasets(staged=True) if each.key == key), None)

    def visible(self) -> list[str]:
        with self.store.snapshot() as snapshot:
            return [str(each.key) for each in snapshot.datasets()]

    def files(self, key: DatasetKey = KEY) -> dict[str, dict[str, str]]:
        """The registered files by LFN, with their checksums."""
        found: dict[str, dict[str, str]] = {}
        with self.store.snapshot() as snapshot:
            for block in snapshot.blocks(key):
                columns = snapshot.files(block.key)
                found |= {lfn: columns.checksums_of(row) for row, lfn in enumerate(columns.lfns())}
        return found

    def replicas(self, key: DatasetKey = KEY) -> list[BlockReplica]:
        with self.store.snapshot() as snapshot:
            return snapshot.replicas(dataset=key)

    def position(self) -> int:
        return self.store.head().position


def ruled_site(lfn_prefix: str, path_prefix: str) -> Site:
    """The site, with a door whose rules exchange a prefix."""
    return Site("T2_A", (Door("memory", "memory:a", PfnRules.prefix(lfn_prefix, path_prefix)),))
