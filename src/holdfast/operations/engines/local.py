"""LocalEngine: files stream through this process from one driver to another.

What passes is hashed on the way and compared with the inventory, so that a
wrong source is known before the destination has it; then the destination is
asked for size and checksum of what it has stored.

Rules, beside those of the contract
  * Nothing counts without a checksum that both the inventory and the
    destination know; a file without any is refused.
  * A file found in place is read through a cryptographic checksum if the
    inventory has one, whatever cheaper answers the storage offers.
  * Bytes that arrive wrong are first held against the source's own: only if
    these are wrong too is the source called wrong.
  * Destinations wrap what their writer raises; which end has failed is
    remembered where the bytes are read.
  * Between two blocking drivers the bytes pass in one thread (``pumping``), of
    the link's own: a storage that does not answer holds up nobody else's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress

from holdfast.model.clock import Clock
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.engine import Check, Note, Outcome, Place, Transfer
from holdfast.operations.engines import placing, proving
from holdfast.operations.engines.proving import Depth, EngineFault
from holdfast.operations.engines.pumping import FromSource, Pump
from holdfast.storage.abilities import BlockingDriver, blocking
from holdfast.storage.bounded import Bounded, Lane
from holdfast.storage.digest import Hasher
from holdfast.storage.driver import AlreadyThere

LARGE_BYTES = 1 << 18
"""Chunks from this size on are read ahead, and hashed in a thread while the destination writes them."""

QUICK = frozenset({"adler32", "crc32c"})
"""Checksums that take less time than handing a chunk over to a thread."""


class LocalEngine:
    """The FileEngine that needs nothing but two drivers."""

    name = "local"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hashing = ThreadPoolExecutor(os.cpu_count(), "holdfast-hashing")
        self._pumping: dict[tuple[str, str], Bounded] = {}

    def can(self, source: Place, destination: Place) -> str:
        """All but what cannot be read here, or not be written."""
        if not source.driver.capabilities.readable:
            return f"the storage of {source.site} cannot be read through its door"
        if not destination.driver.capabilities.writable:
            return f"the storage of {destination.site} cannot be written through its door"
        return ""

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        """Bring one file, or say why not."""
        way = _Stream(transfer, note, self._hashing, self._between(transfer.source, transfer.destination))
        return await placing.place(transfer, check, self._clock, way)

    def _between(self, source: Place, destination: Place) -> Bounded | None:
        """The threads in which bytes pass over this link; None where they do not pass in one."""
        reads, writes = blocking(source.driver), blocking(destination.driver)
        if reads is None or writes is None:
            return None
        limit_s = max(reads.silence_s, writes.silence_s)
        found = self._pumping.get((source.site, destination.site))
        if found is None or found.limit_s != limit_s:
            found = self._pumping[source.site, destination.site] = Bounded(limit_s)
        return found

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        await placing.discard(destination, token)

    async def close(self) -> None:
        """Let go of the threads that hash."""
        self._hashing.shutdown(wait=False)


class _Stream(placing.Way):
    """The bytes of the source, held against the inventory as they pass."""

    depth = Depth.ALL

    def __init__(self, transfer: Transfer, note: Note, hashing: ThreadPoolExecutor, pumping: Bounded | None) -> None:
        self._transfer = transfer
        self._pumping = pumping
        self._note = note
        self._hashing = hashing
        self._failure: HoldfastError | None = None
        """What the source did wrong."""

    async def write(self, path: str) -> None:
        """Write all; a Fault of the source, or what the destination raises."""
        try:
            await self._write(path)
        except HoldfastError:
            if self._failure is None:
                raise
            raise await self._of_source(self._failure) from self._failure

    async def rehearse(self) -> None:
        """Read all, and throw it away."""
        try:
            async with aclosing(self._chunks()) as chunks:
                async for _ in chunks:
                    pass
        except HoldfastError as error:
            raise await self._of_source(error) from error

    async def blame(self, fault: EngineFault) -> EngineFault:
        """The source's bytes were right when they passed: so nobody asks it again."""
        if fault.code is not Code.DAMAGED:
            return fault
        return EngineFault(Code.DAMAGED, f"damaged by the destination: {fault.message}", stat=fault.stat)

    async def _write(self, path: str) -> None:
        try:
            await self._bring(path)
        except AlreadyThere:
            if self._failure is not None or path == self._transfer.destination.path:
                raise
            # Left by an interrupted try with our token; nobody else uses that name.
            await placing.discard(self._transfer.destination, self._transfer.token)
            await self._bring(path)

    async def _bring(self, path: str) -> None:
        source, destination = self._transfer.source, self._transfer.destination
        reads, writes = blocking(source.driver), blocking(destination.driver)
        if reads is not None and writes is not None and self._pumping is not None:
            await self._pump(self._pumping.lane(), (reads, source.path), (writes, path))
            return
        async with aclosing(self._chunks()) as chunks:
            await destination.driver.write(path, chunks)

    async def _pump(
        self, lane: Lane, source: tuple[BlockingDriver, str], destination: tuple[BlockingDriver, str]
    ) -> None:
        algorithms = proving.algorithms(self._transfer)
        beside = None if QUICK.issuperset(algorithms) else self._hashing
        pump = Pump(source, destination, self._transfer.size, Hasher(algorithms), self._compare, beside)
        try:
            more = True
            while more:
                before = pump.n_bytes
                more = await lane.act(pump.trip, moved=lambda: pump.n_bytes, patience_s=pump.patience_s)
                self._note(pump.n_bytes - before)
        except FromSource as error:
            self._failure = error.error
            raise
        finally:
            await lane.end(pump.discard)

    def _compare(self, size: int, digests: dict[str, str]) -> None:
        why = proving.compared(self._transfer, size, digests)
        if why:
            raise EngineFault(Code.DAMAGED, f"{self._transfer.source}: {why}")

    async def _of_source(self, error: HoldfastError) -> HoldfastError:
        """The Fault that the source's failure is, the source having been asked once more if bytes came wrong."""
        if isinstance(error, BrokenInvariant):
            return error
        if isinstance(error, EngineFault):
            return await proving.blame(self._transfer, error)
        return EngineFault(codes.of_source(error), proving.at(self._transfer.source, error))

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """The chunks; raises if the source fails or is not what the inventory knows."""
        transfer = self._transfer
        hasher = Hasher(proving.algorithms(transfer))
        is_quick = QUICK.issuperset(proving.algorithms(transfer))
        loop = asyncio.get_running_loop()
        count = 0
        try:
            async with (
                proving.closing(transfer.source.driver.read(transfer.source.path)) as read,
                aclosing(_ahead(read)) as chunks,
            ):
                async for chunk in chunks:
                    count += len(chunk)
                    if count > transfer.size:
                        self._compare(count, {})
                    self._note(len(chunk))
                    if is_quick or len(chunk) < LARGE_BYTES:
                        hasher.update(chunk)
                        yield chunk
                    else:
                        hashing = loop.run_in_executor(None, hasher.update, chunk)
                        yield chunk
                        await hashing
            self._compare(count, hasher.hexdigests())
        except HoldfastError as error:
            self._failure = error
            raise


async def _ahead(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same chunks; if they are large, the next is read while one is used."""
    chunk = await _next(chunks)
    while chunk is not None and len(chunk) < LARGE_BYTES:
        yield chunk
        chunk = await _next(chunks)
    while chunk is not None:
        pending = asyncio.ensure_future(_next(chunks))
        try:
            yield chunk
            chunk = await asyncio.shield(pending)
        finally:
            # The reader is closed by whoever has opened it, and not while it still reads.
            while not pending.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([pending])
            if not pending.cancelled():
                pending.exception()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
