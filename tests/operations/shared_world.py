"""A world for several workers at once, in simulated time: calls take as long as they are told, machines fall asleep.

Workers that are awake share one loop. One whose machine sleeps is held in the
middle of a call of a driver, and all of it with it, while others work in a
thread and a loop of their own: nothing of it moves until they are done.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from operations_world import SETTINGS, World

from holdfast.config import OperationsSettings
from holdfast.model.records import Site
from holdfast.operations import executor
from holdfast.operations.batch import RequestKind
from holdfast.operations.engines.choosing import Engines
from holdfast.operations.progress import RunReport
from holdfast.storage.driver import Capabilities, Digest, DirectoryListing, Stat, StorageDriver
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.simulation import timeless
from holdfast.testing.simulation.timeless import SimulatedClock

T = TypeVar("T")


@dataclass
class Seat:
    """One worker's place: where it runs, and how long its calls take."""

    name: str
    machine: str = "here"
    call_s: float = 0.0


class SlowDriver:
    """A StorageDriver whose calls take time, as one seat sees them."""

    def __init__(self, inner: StorageDriver, call_s: float) -> None:
        self.inner = inner
        self._call_s = call_s

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    @property
    def label(self) -> str:
        return self.inner.label

    async def list(self, path: str) -> DirectoryListing:
        return await self.inner.list(path)

    async def stat(self, path: str) -> Stat:
        await asyncio.sleep(self._call_s)
        return await self.inner.stat(path)

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        await asyncio.sleep(self._call_s)
        return await self.inner.checksum(path, algorithms, read=read)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        await asyncio.sleep(self._call_s)
        async for chunk in self.inner.read(path):
            yield chunk

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        await asyncio.sleep(self._call_s)
        return await self.inner.write(path, chunks)

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        await asyncio.sleep(self._call_s)
        await self.inner.rename(source, target, replace=replace)

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        await asyncio.sleep(self._call_s)
        await self.inner.delete(path, expected=expected)

    async def make_directory(self, path: str) -> None:
        await self.inner.make_directory(path)

    async def remove_directory(self, path: str) -> None:
        await asyncio.sleep(self._call_s)
        await self.inner.remove_directory(path)

    async def close(self) -> None:
        pass


class SharedWorld(World):
    """Sites A, B and C in memory, and workers that share the queue, in simulated time."""

    def __init__(self, folder: Path) -> None:
        self.time = SimulatedClock()
        super().__init__(folder, store=MemoryStore(clock=self.time), make=self._make)
        self.clock.now_us = self.time.now_us

    def _make(self, site: str) -> StorageDriver:
        return MemoryDriver(self.time, label=site)

    def drivers_of(self, seat: Seat) -> Callable[[Site], StorageDriver]:
        return lambda site: SlowDriver(self.drivers[site.name], seat.call_s)

    async def work(
        self,
        seat: Seat,
        *,
        settings: OperationsSettings = SETTINGS,
        only: Collection[str] | None = None,
        kinds: Collection[RequestKind] | None = None,
        engines: Engines | None = None,
        **given: Any,
    ) -> RunReport:
        """One worker."""
        return await executor.run(
            self.store,
            self.drivers_of(seat),
            settings=settings,
            clock=self.time,
            workers_dir=self.folder / seat.machine,
            only=only,
            kinds=kinds,
            engines=engines,
            monotonic=self.time.monotonic,
            new_id=self.new_id,
            **given,
        )

    def together(self, *works: Coroutine[Any, Any, T]) -> list[T]:
        """Run workers, and whoever else there is, side by side in no time."""

        async def all_of_them() -> list[T]:
            return list(await asyncio.gather(*works))

        return timeless.run(all_of_them(), self.time)

    def falls_asleep(
        self, site: str, operation: str, path: str, *meanwhile: Callable[[], Coroutine[Any, Any, Any]]
    ) -> list[str]:
        """In the next call of ``operation`` at a site (on ``path``, if given), whoever calls falls asleep; others work.

        Returns a list that has the path when it has happened.
        """
        happened: list[str] = []

        def fault(called: str, at: str) -> None:
            if called == operation and path in ("", at) and not happened:
                happened.append(at)
                thread = threading.Thread(target=lambda: self.together(*(make() for make in meanwhile)))
                thread.start()
                thread.join()

        self.memory(site).faults = fault
        return happened
