"""A site in memory that fails and lies as it is told to, listed in no time; and what came of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from holdfast.model import names
from holdfast.model.errors import HoldfastError
from holdfast.storage.driver import DirectoryListing, DirectoryNames, Entry, Kind, Stat, StorageDriver
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.memory_ledger import MemoryLedger
from holdfast.storage.listing.progress import ListingOutcome
from holdfast.storage.listing.tables import Directory, DirectoryState
from holdfast.testing.memory_driver import FULL, MemoryDriver
from holdfast.testing.memory_tree import MemoryTree
from holdfast.testing.simulation.timeless import SimulatedClock, run

FILE = Stat(Kind.FILE, 1, 5)
FOLDER = Stat(Kind.DIRECTORY, 0, 5)


class ListSink:
    """Keeps what the ledger hands on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.directories: list[Directory] = []
        self.ended: list[str] = []
        self.error = error

    def add(self, directories: Sequence[Directory]) -> None:
        if self.error:
            raise self.error
        self.directories.extend(directories)

    def finish(self) -> None:
        self.ended.append("finish")

    def abandon(self) -> None:
        self.ended.append("abandon")

    @property
    def states(self) -> dict[str, tuple[str, str]]:
        """State and reason by directory."""
        found = {directory.dir: (directory.state.value, directory.reason) for directory in self.directories}
        assert len(found) == len(self.directories), "a directory twice"
        return found

    @property
    def files(self) -> list[str]:
        """The paths of all files, sorted."""
        return sorted(names.join(d.dir, entry.name) for d in self.directories for entry in d.files)


async def listing(doors: Sequence[StorageDriver] | StorageDriver, sink: Any, **options: Any) -> ListingOutcome:
    """One run of the engine; the sink is told to abandon it if it fails."""
    top = options.pop("top", "/")
    concurrency = options.pop("concurrency", None)
    if concurrency is not None:
        options["limits"] = replace(options.get("limits", ListingLimits()), in_flight_max=concurrency)
    ledger = MemoryLedger(sink, top)
    try:
        return await list_tree(doors if isinstance(doors, Sequence) else [doors], ledger, **options)
    finally:
        ledger.close()


def listed(doors: Sequence[StorageDriver] | StorageDriver, sink: Any, **options: Any) -> ListingOutcome:
    """The same, in no time."""
    return run(listing(doors, sink, **options), SimulatedClock())


def a_site(**capabilities: Any) -> MemoryDriver:
    """Eight directories with six files."""
    driver = MemoryDriver(SimulatedClock(), capabilities=replace(FULL, **capabilities))
    for path in ("/top", "/a/one", "/a/two", "/a/deep/er/file", "/b/file", "/c/x/y/z"):
        driver.put(path, path.encode())
    return driver


DIRECTORIES = {"/", "/a", "/a/deep", "/a/deep/er", "/b", "/c", "/c/x", "/c/x/y"}


def a_big_tree(seed: int, directories: int = 120) -> MemoryTree:
    """A random tree with some empty directories."""
    chance = random.Random(seed)
    tree = MemoryTree(SimulatedClock())
    paths = [""]
    for number in range(directories):
        above = chance.choice(paths[-20:])
        paths.append(f"{above}/d{number:03}")
        tree.make_directory(paths[-1])
        for file in range(chance.choice([0, 1, 3, 9, 20])):
            tree.put(f"{paths[-1]}/f{file:02}", b"x" * file)
    return tree


Lie = Callable[[random.Random, DirectoryListing], DirectoryListing]


def says_nothing(chance: random.Random, told: DirectoryListing) -> DirectoryListing:
    """An empty answer."""
    return DirectoryListing(())


def leaves_out_most(chance: random.Random, told: DirectoryListing) -> DirectoryListing:
    """A third, or nothing where a third might pass."""
    if len(told.entries) < 9:
        return DirectoryListing(())
    kept = sorted(chance.sample(range(len(told.entries)), len(told.entries) // 3))
    return DirectoryListing(tuple(told.entries[place] for place in kept))


def breaks_off(chance: random.Random, told: DirectoryListing) -> DirectoryListing:
    """The beginning, and the storage says that there was more."""
    return DirectoryListing(told.entries[: len(told.entries) // 2], doubt="the answer broke off")


def says_twice(chance: random.Random, told: DirectoryListing) -> DirectoryListing:
    """Each entry as two servers have it, with times of their own."""
    again = [Entry(name, stat._replace(mtime_ns=stat.mtime_ns + 7)) for name, stat in told.entries]
    return DirectoryListing(tuple(sorted((*told.entries, *again))))


def contradicts_itself(chance: random.Random, told: DirectoryListing) -> DirectoryListing:
    """Each file twice, with two sizes, the last one left out."""
    again = [Entry(name, stat._replace(size=stat.size + 1)) for name, stat in told.entries]
    return DirectoryListing(tuple(sorted((*told.entries, *again)))[:-1])


class Troubled(MemoryDriver):
    """A door that takes ``latency_s``, fails with ``errors`` at a rate of ``p``, and then tells one of ``lies``."""

    def __init__(
        self,
        tree: MemoryTree,
        *,
        seed: int = 0,
        p: float = 0.0,
        errors: Sequence[HoldfastError | float] = (),
        lies: Sequence[Lie] = (),
        latency_s: float = 0.01,
        names_lie: bool = False,
        label: str = "memory",
        **capabilities: Any,
    ) -> None:
        super().__init__(
            SimulatedClock(), tree=tree, label=label, capabilities=replace(FULL, pages=False, **capabilities)
        )
        self.chance = random.Random(seed)
        self.p = p
        self.errors = errors
        self.lies = lies
        self.latency_s = latency_s
        self.names_lie = names_lie
        self.asked: list[str] = []
        self.under_way = self.most_under_way = 0
        self.down = False

    async def list(self, path: str) -> DirectoryListing:
        self.asked.append(path)
        await self._trouble()
        told = await super().list(path)
        if self.lies and self.chance.random() < self.p:
            return self.chance.choice(self.lies)(self.chance, told)
        return told

    async def names(self, path: str) -> DirectoryNames:
        await self._trouble()
        told = await super().names(path)
        if self.names_lie and self.chance.random() < self.p:
            return DirectoryNames(())
        return told

    async def _trouble(self) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.latency_s)
            if self.errors and (self.down or self.chance.random() < self.p):
                trouble = self.chance.choice(self.errors)
                if isinstance(trouble, float):
                    await asyncio.sleep(trouble)
                else:
                    raise type(trouble)(trouble.message)
        finally:
            self.under_way -= 1


async def in_pieces(driver: MemoryDriver, path: str, size: int) -> AsyncIterator[DirectoryListing]:
    """What a driver lists, so many entries at a time."""
    told = await driver.list(path)
    for start in range(0, max(1, len(told.entries)), size):
        yield DirectoryListing(told.entries[start : start + size])


def check_no_silent_gap(tree: MemoryTree, sink: ListSink) -> None:
    """Whatever is in the tree was found, or is in or below a directory that is said not to be known."""
    found = {directory.dir: directory for directory in sink.directories}
    assert len(found) == len(sink.directories), "a directory twice"
    for path, _ in tree.files():
        dir, name = names.split(path)
        while dir not in found:
            dir, name = names.split(dir)
        directory = found[dir]
        seen = {entry.name for entry in (*directory.files, *directory.directories)}
        assert name in seen or directory.state in (DirectoryState.FAILED, DirectoryState.DOUBTED), (path, directory)
    for directory in sink.directories:
        if directory.state is DirectoryState.LISTED:
            assert {e.name for e in (*directory.files, *directory.directories)} == set(tree.entries(directory.dir))
