"""LocalEngine: files stream through this process from one driver to another.

What passes is hashed on the way and compared with the inventory, so that a
wrong source is known before the destination has it; then the destination is
asked for size and checksum of what it has stored.

Rules, beside those of the contract
  * Nothing counts without a checksum that both the inventory and the
    destination know; a file without any is refused.
  * A different file that is replaced is still the one that was looked at.
  * A file found in place is read through a cryptographic checksum if the
    inventory has one, whatever cheaper answers the storage offers.
  * Where a storage cannot rename, the source is read and proved first if a
    wrong file must make room; the new one is then written under its final
    name, which the driver gives to whole files only, and removed again if it
    does not prove good.
  * Bytes that arrive wrong are first held against the source's own checksum:
    only if that is wrong too is the source called wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from holdfast.model import checksums, steps
from holdfast.model.clock import Clock
from holdfast.model.errors import BrokenInvariant, HoldfastError, PeerError
from holdfast.operations.engine import Note, Outcome, Place, SourceFault, Transfer, Verdict
from holdfast.storage import parts
from holdfast.storage.digest import ALGORITHMS, Hasher
from holdfast.storage.driver import AlreadyThere, ChangedWhileRead, Kind, NoSpace, NotAFile, NotThere, Stat

THREAD_BYTES = 1 << 18
"""Chunks from this size on are hashed in a thread while the destination writes them."""


class _Wrong(PeerError):
    """Bytes are not those that the inventory knows."""


class _KeptError(HoldfastError):
    """A different file is in the place, and must stay."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is at the destination before we begin; ``stat`` None: nothing."""

    stat: Stat | None = None
    difference: str = ""
    """Why it is not the file; "" if it is."""

    def check_may_go(self, transfer: Transfer) -> None:
        """_KeptError if there is a different file which must stay."""
        if self.stat is not None:
            reason = transfer.replaceable() if transfer.replaceable is not None else "it was not asked to be replaced"
            if reason:
                raise _KeptError(f"a different file is in its place ({self.difference}), and stays: {reason}")

    async def check_is_still(self, place: Place) -> None:
        """ChangedWhileRead if yet another file has come there since; the next try looks at that one."""
        if self.stat is None:
            return
        try:
            found = await place.driver.stat(place.path)
        except NotThere:
            return
        if not found.is_still(self.stat):
            raise ChangedWhileRead("the file in its place has changed meanwhile")


class LocalEngine:
    """The TransferEngine that needs nothing but two drivers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def transfer(self, transfer: Transfer, note: Note) -> Outcome:
        """Bring one file, or say why not."""
        if not _algorithms(transfer):
            return Outcome(Verdict.FAILED, error="the inventory has no checksum of it, so no copy could be proved")
        try:
            return await self._transfer(transfer, note)
        except BrokenInvariant:
            raise
        except NoSpace as error:
            return Outcome(Verdict.FULL, error=_at(transfer.destination, error))
        except HoldfastError as error:
            # AlreadyThere: somebody was quicker; the next try looks at what he has left.
            passing = error.retryable or isinstance(error, AlreadyThere)
            verdict = Verdict.RETRY if passing else Verdict.FAILED
            return Outcome(verdict, error=_at(transfer.destination, error))

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        try:
            await destination.driver.delete(parts.part_path(destination.path, token))
        except NotThere:
            pass

    async def _transfer(self, transfer: Transfer, note: Note) -> Outcome:
        verified_us = self._clock()
        standing = await _look(transfer)
        if standing.stat is not None and not standing.difference:
            return Outcome(Verdict.FOUND, verified_us=verified_us)
        standing.check_may_go(transfer)
        faults: list[SourceFault] = []
        for source in transfer.sources:
            stream = _Stream(transfer, source, note)
            try:
                verified_us = await self._bring(transfer, stream, standing)
            except HoldfastError as error:
                if stream.failure is None:
                    raise
                faults.append(await _blame(transfer, source, stream.failure))
                if isinstance(error, BrokenInvariant):
                    raise
                continue
            has_replaced = standing.stat is not None
            return Outcome(Verdict.COPIED, source.site, verified_us, faults=tuple(faults), has_replaced=has_replaced)
        verdict = Verdict.FAILED if all(fault.is_permanent for fault in faults) else Verdict.RETRY
        return Outcome(verdict, error="; ".join(fault.error for fault in faults) or "no source", faults=tuple(faults))

    async def _bring(self, transfer: Transfer, stream: _Stream, standing: _Standing) -> int:
        if transfer.destination.driver.capabilities.rename:
            return await self._by_part(transfer, stream, standing)
        return await self._in_place(transfer, stream, standing)

    async def _by_part(self, transfer: Transfer, stream: _Stream, standing: _Standing) -> int:
        place = transfer.destination
        part = parts.part_path(place.path, transfer.token)
        await self._write_part(transfer, part, stream)
        steps.reach("copy.part-written")
        try:
            verified_us = self._clock()
            await _prove(transfer, part)
            await standing.check_is_still(place)
            standing.check_may_go(transfer)
            await place.driver.rename(part, place.path, replace=standing.stat is not None)
        except (Exception, asyncio.CancelledError):
            await _remove_quietly(place, part)
            raise
        steps.reach("copy.renamed")
        if not place.driver.capabilities.atomic_rename:
            # Such storages copy and delete; what was proved is not what lies there now.
            verified_us = self._clock()
            await _prove_or_remove(transfer)
        elif await _size_of(place) != transfer.size:
            raise _Wrong("is not there in its size after renaming, though the storage says so")
        return verified_us

    async def _write_part(self, transfer: Transfer, part: str, stream: _Stream) -> None:
        driver = transfer.destination.driver
        try:
            async with aclosing(stream.chunks()) as chunks:
                await driver.write(part, chunks)
        except AlreadyThere:
            if stream.failure is not None:
                raise
            # Left by an interrupted try with our token; nobody else uses that name.
            await self.discard(transfer.destination, transfer.token)
            async with aclosing(stream.chunks()) as chunks:
                await driver.write(part, chunks)

    async def _in_place(self, transfer: Transfer, stream: _Stream, standing: _Standing) -> int:
        place = transfer.destination
        if standing.stat is not None:
            async with aclosing(stream.chunks()) as chunks:
                async for _ in chunks:
                    pass
            standing.check_may_go(transfer)
            await place.driver.delete(place.path, expected=standing.stat)
        async with aclosing(stream.chunks()) as chunks:
            await place.driver.write(place.path, chunks)
        steps.reach("copy.part-written")
        verified_us = self._clock()
        await _prove_or_remove(transfer)
        steps.reach("copy.renamed")
        return verified_us


class _Stream:
    """The bytes of one source, held against the inventory as they pass."""

    def __init__(self, transfer: Transfer, source: Place, note: Note) -> None:
        self._transfer = transfer
        self._source = source
        self._note = note
        self.failure: HoldfastError | None = None
        """What the source did wrong. Destinations wrap what their writer raises; this tells the ends apart."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The chunks; raises if the source fails or is not what the inventory knows."""
        hasher = Hasher(_algorithms(self._transfer))
        loop = asyncio.get_running_loop()
        count = 0
        try:
            async with _closing(self._source.driver.read(self._source.path)) as chunks:
                async for chunk in chunks:
                    count += len(chunk)
                    if count > self._transfer.size:
                        raise _Wrong(f"has more than {self._transfer.size} bytes")
                    self._note(len(chunk))
                    if len(chunk) < THREAD_BYTES:
                        hasher.update(chunk)
                        yield chunk
                    else:
                        hashing = loop.run_in_executor(None, hasher.update, chunk)
                        yield chunk
                        await hashing
            _compare(self._transfer, count, hasher.hexdigests())
        except HoldfastError as error:
            self.failure = error
            raise


@asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Let a driver's reader close its file when we stop early, not when the garbage is collected."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _algorithms(transfer: Transfer) -> tuple[str, ...]:
    return tuple(algorithm for algorithm in transfer.checksums if algorithm in ALGORITHMS)


async def _look(transfer: Transfer) -> _Standing:
    """What is at the destination: NotAFile if nothing that may be replaced."""
    place = transfer.destination
    try:
        found = await place.driver.stat(place.path)
    except NotThere:
        return _Standing()
    if found.kind is not Kind.FILE:
        raise NotAFile(
            f"is a {found.kind.value}, and stays" if found.kind is Kind.DIRECTORY else "is no file, and stays"
        )
    if found.size != transfer.size:
        return _Standing(found, f"has {found.size} bytes, not {transfer.size}")
    try:
        await _prove(transfer, place.path, strongly=True)
    except _Wrong as error:
        return _Standing(found, error.message)
    return _Standing(found)


async def _prove(transfer: Transfer, path: str, *, strongly: bool = False) -> None:
    """Ask the destination what it has stored; _Wrong unless it is the file."""
    place = replace(transfer.destination, path=path)
    try:
        size, digests = await _stored(place, _algorithms(transfer), strongly=strongly)
    except NotThere as error:
        raise _Wrong("has nothing there, though it says that it took the file", place=str(place)) from error
    _compare(transfer, size, digests)


async def _stored(place: Place, algorithms: Collection[str], *, strongly: bool) -> tuple[int, dict[str, str]]:
    offered = [algorithm for algorithm in algorithms if algorithm in place.driver.capabilities.checksums]
    strong = checksums.CRYPTOGRAPHIC.intersection(algorithms)
    if offered and (not strongly or not strong or strong.intersection(offered)):
        digest = await place.driver.checksum(place.path, offered)
        return digest.stat.size, dict(digest.checksums)
    hasher = Hasher(tuple(algorithms))
    async for chunk in place.driver.read(place.path):
        hasher.update(chunk)
    return hasher.size, hasher.hexdigests()


async def _prove_or_remove(transfer: Transfer) -> None:
    place = transfer.destination
    try:
        await _prove(transfer, place.path)
    except (HoldfastError, asyncio.CancelledError):
        await _remove_quietly(place, place.path)
        raise


def _compare(transfer: Transfer, size: int, digests: dict[str, str]) -> None:
    if size != transfer.size:
        raise _Wrong(f"has {size} bytes, not {transfer.size}")
    if checksums.compare(transfer.checksums, digests) is checksums.Comparison.EQUAL:
        return
    for algorithm, digest in digests.items():
        known = transfer.checksums.get(algorithm)
        if known is not None and known != digest:
            raise _Wrong(f"has {algorithm} {digest}, not {known}")
    raise _Wrong(f"has no checksum that the inventory knows, but {', '.join(digests) or 'none'}")


async def _size_of(place: Place) -> int:
    try:
        return (await place.driver.stat(place.path)).size
    except NotThere:
        return -1


async def _blame(transfer: Transfer, source: Place, failure: HoldfastError) -> SourceFault:
    """Whether a source is wrong for good, by asking it once more if bytes arrived wrong."""
    error = _at(source, failure)
    if not isinstance(failure, _Wrong):
        return SourceFault(source.site, error, is_permanent=not failure.retryable)
    try:
        size, digests = await _stored(source, _algorithms(transfer), strongly=True)
        _compare(transfer, size, digests)
    except _Wrong as again:
        return SourceFault(source.site, f"source is wrong: {_at(source, again)}", is_permanent=True, is_wrong=True)
    except HoldfastError as unknown:
        return SourceFault(source.site, f"{error}; {_at(source, unknown)}", is_permanent=not unknown.retryable)
    return SourceFault(source.site, f"damaged on the way: {error}", is_permanent=False)


async def _remove_quietly(place: Place, path: str) -> None:
    """Clean up; what cannot be removed now is found by its token later, and the first error says more."""
    try:
        await place.driver.delete(path)
    except HoldfastError:
        pass


def _at(place: Place, error: HoldfastError) -> str:
    """An error with the site it happened at, once."""
    return f"{place.site}: {error}" if error.place else f"{place}: {error}"
