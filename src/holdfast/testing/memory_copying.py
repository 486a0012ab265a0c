"""CopyingMemoryDriver: storages in memory that copy from and to each other, past whoever asks them to.

A MemoryDriver with the ability of third-party copy. Those that are given one
``network`` reach each other by their labels.

Rules, beside those of MemoryDriver
  * ``faults`` hears of ``pull``, ``push`` and ``told``, too; and of what a pull
    does at both ends: ``read`` and ``read.chunk`` there, ``write`` and all that
    follows here.
  * What is ``told`` is of the last honest writing, whatever has become of the
    bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import BadInput, HoldfastError, PeerError
from holdfast.storage.abilities import FarFile, Progress
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import (
    CHUNK_BYTES,
    Capabilities,
    Digest,
    FarNotAllowed,
    NotAFile,
    NotAllowed,
    NotThere,
    Unsupported,
)
from holdfast.testing.memory_driver import FULL, Faults, MemoryDriver
from holdfast.testing.memory_tree import MemoryTree

COPYING = replace(FULL, told=frozenset({"adler32", "crc32c"}), third_party_copy=True, outlives_caller=True)
"""What such a storage can do."""

_SCHEME = "memory://"

Network = dict[str, "CopyingMemoryDriver"]
"""Who reaches whom, by label."""


class CopyingMemoryDriver(MemoryDriver):
    """One door of an invented storage that copies; ``fetches`` and ``sends`` say in which directions."""

    def __init__(
        self,
        network: Network,
        clock: Clock = system_clock,
        *,
        label: str,
        capabilities: Capabilities = COPYING,
        faults: Faults | None = None,
        tree: MemoryTree | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        fetches: bool = True,
        sends: bool = True,
    ) -> None:
        super().__init__(
            clock, label=label, capabilities=capabilities, faults=faults, tree=tree, chunk_bytes=chunk_bytes
        )
        self._network = network
        self._fetches, self._sends = fetches, sends
        network[label] = self

    @property
    def copies_over(self) -> str:
        """A protocol of its own."""
        return "memory"

    async def far_file(self, path: str) -> FarFile:
        """The label and the path."""
        with self._call("far_file", path):
            return FarFile(f"{_SCHEME}{self.label}\0{path}")

    async def told(self, path: str, algorithms: Sequence[str], *, size: int = 0) -> Digest:
        """The first of the algorithms that this storage tells."""
        await asyncio.sleep(0)
        with self._call("told", path):
            node = self.tree.find_file(path)
            known = [each for each in algorithms if each in self.capabilities.told][:1]
            return Digest(digests_of(node.written, known), self._stat_of(node), frozenset(known))

    async def pull(
        self,
        path: str,
        source: FarFile,
        *,
        size: int | None = None,
        wanted: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Digest:
        """Read there, and write here."""
        await asyncio.sleep(0)
        with self._call("pull", path, writing=True):
            if not self._fetches:
                raise Unsupported("this storage fetches nothing")
            self._refuse_taken(path)
        with self._errors_at(path):
            return Digest({}, await self.write(path, self._fetched(source, size, progress)))

    async def push(self, path: str, destination: FarFile, *, progress: Progress | None = None) -> None:
        """Read here, and write there."""
        await asyncio.sleep(0)
        with self._call("push", path):
            if not self._sends:
                raise Unsupported("this storage sends nothing")
            self.tree.find_file(path)
        far, there = self._reached(destination)
        own = await self.far_file(path)
        with self._errors_at(path):
            await far.write(there, self._fetched(own, None, progress))

    async def _fetched(self, source: FarFile, size: int | None, progress: Progress | None) -> AsyncIterator[bytes]:
        far, there = self._reached(source)
        count = 0
        try:
            async for chunk in far.read(there):
                count += len(chunk)
                if progress is not None:
                    progress(count)
                yield chunk
        except HoldfastError as error:
            raise _of_the_other(error) from error
        if size not in (None, count):
            raise PeerError(f"{count} of {size} bytes have arrived")

    def _reached(self, far: FarFile) -> tuple[CopyingMemoryDriver, str]:
        label, _, path = far.url.removeprefix(_SCHEME).partition("\0")
        if label not in self._network:
            raise BadInput("the other storage is not reached from here")
        return self._network[label], path


def _of_the_other(error: HoldfastError) -> HoldfastError:
    message = f"the other storage: {error.message}"
    if isinstance(error, NotThere | NotAFile):
        return type(error)(message)
    return FarNotAllowed(message) if isinstance(error, NotAllowed) else PeerError(message)
