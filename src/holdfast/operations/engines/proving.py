"""Proving: whether a file lies where it was to be brought, and whose fault it is if it does not.

Shared by all engines, whoever has moved the bytes.

    look            what is in the place before anything is done (``standing``)
    prove           Fault unless the file lies there
    prove_source    Fault unless the source has it
    blame           what a Fault DAMAGED really was, the source having been asked

Rules
  * Nothing counts without its size and one checksum at least that the
    inventory knows, and that the storage has told or that was taken of the
    bytes read back.
  * One disagreeing algorithm makes a file wrong, whatever the others say.
  * A destination that has nothing, though whoever moved the bytes says that
    they are there, is DESTINATION_EMPTY.
  * Bytes that arrived wrong are held against the source: only if that is wrong
    too, by its own word or by its bytes, is the source called wrong. A storage
    may remember a checksum from before its bytes went bad, so what it merely
    tells does not acquit it.
  * A storage that is asked for a checksum and says nothing, though its files can
    be read, is read: some never answer once they have lost the question.
  * Each error names the end it is about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum

from holdfast.model import checksums
from holdfast.model.checksums import Checksums
from holdfast.model.errors import BrokenInvariant, HoldfastError, PeerError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.engine import Outcome, Place, Transfer, Verdict
from holdfast.storage.abilities import copying
from holdfast.storage.digest import ALGORITHMS, Hasher
from holdfast.storage.driver import NotThere, Stat

CHEAPEST_FIRST = ("adler32", "crc32c", "md5", "sha256", "blake3")
"""The order in which a storage is asked for what it may tell: what most of them know comes first."""


REFUSAL_S_MAX = 5.0
"""Who says within this time that he cannot tell now may tell later; who is silent for longer is not asked again."""


class EngineFault(PeerError):
    """A try that failed for the reason of ``code``. Raised inside engines; outside it is an Outcome."""

    def __init__(self, code: Code, error: str, *, stat: Stat | None = None) -> None:
        super().__init__(error)
        self.code = code
        self.stat = stat
        """Of what lies in the place and is wrong; None if nothing was seen."""

    @property
    def outcome(self) -> Outcome:
        """The same for the desk."""
        return Outcome(Verdict.FAILED, code=self.code, error=self.message)


class Depth(Enum):
    """How sure a proof is to be, and what it may cost."""

    TOLD = "what the storage tells; nothing is read, and nothing counts that it does not tell"
    CHEAP = "what the storage tells; read only if it tells nothing"
    ALL = "every checksum that the inventory has, read where it is not told"
    STRONG = "with a cryptographic checksum, if the inventory has one, told or read"
    READ = "every byte, whatever the storage remembers"


@dataclass(frozen=True, slots=True)
class AskingPatience:
    """How often one asks again who gives no answer, and with which pauses between."""

    pauses_s: tuple[float, ...] = ()
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


NO_PATIENCE = AskingPatience()


@dataclass(frozen=True, slots=True)
class ProvenFile:
    """What a storage has: checksums, and the Stat that they were taken of."""

    checksums: Checksums
    stat: Stat


def algorithms(transfer: Transfer) -> tuple[str, ...]:
    """Those that a proof can go by, the cheapest first."""
    return tuple(each for each in CHEAPEST_FIRST if each in transfer.checksums and each in ALGORITHMS)


def require_checksum(transfer: Transfer) -> None:
    """Fault NO_CHECKSUM if no copy of it could be proved."""
    if not algorithms(transfer):
        raise EngineFault(Code.NO_CHECKSUM, "the inventory has no checksum of it, so no copy could be proved")


async def prove(
    transfer: Transfer, path: str = "", depth: Depth = Depth.CHEAP, patience: AskingPatience = NO_PATIENCE
) -> ProvenFile:
    """What the destination has under ``path``, its final one by default; Fault unless it is the file.

    The Fault is DESTINATION_EMPTY, DAMAGED (``blame`` tells whose fault that is), NO_CHECKSUM, or of_destination.
    """
    place = replace(transfer.destination, path=path or transfer.destination.path)
    try:
        found = await _asked(transfer, place, depth, patience)
    except BrokenInvariant:
        raise
    except NotThere as error:
        raise EngineFault(
            Code.DESTINATION_EMPTY, f"{place}: has nothing there, though it says that it has taken it"
        ) from error
    except HoldfastError as error:
        raise EngineFault(codes.of_destination(error), at(place, error)) from error
    return require(transfer, path, found)


def require(transfer: Transfer, path: str, found: ProvenFile) -> ProvenFile:
    """``found``, if it is the file; else Fault DAMAGED, or NO_CHECKSUM."""
    place = replace(transfer.destination, path=path or transfer.destination.path)
    why = difference(transfer, found)
    if why:
        raise EngineFault(Code.DAMAGED, f"{place}: {why}", stat=found.stat)
    if not found.checksums:
        raise EngineFault(Code.NO_CHECKSUM, f"{place}: tells no checksum, and is not read", stat=found.stat)
    return found


async def prove_source(transfer: Transfer, depth: Depth = Depth.CHEAP) -> None:
    """Fault unless the source has the file, as far as it tells; SOURCE_WRONG, or of_source."""
    source = transfer.source
    try:
        found = await ask(source, algorithms(transfer), depth, transfer.size)
    except BrokenInvariant:
        raise
    except HoldfastError as error:
        raise EngineFault(codes.of_source(error), at(source, error)) from error
    if why := difference(transfer, found):
        raise EngineFault(Code.SOURCE_WRONG, f"source is wrong: {source}: {why}")


async def blame(transfer: Transfer, fault: EngineFault, depth: Depth = Depth.READ) -> EngineFault:
    """Why bytes arrived wrong: SOURCE_WRONG, DAMAGED, or why the source cannot be asked. Other faults as they are.

    With ``Depth.TOLD`` the source is not read, and acquitted if it tells the right checksum.
    """
    if fault.code is not Code.DAMAGED:
        return fault
    try:
        told = await ask(transfer.source, algorithms(transfer), Depth.TOLD, transfer.size)
        why = difference(transfer, told)
        if not why and depth is not Depth.TOLD:
            why = difference(transfer, await ask(transfer.source, algorithms(transfer), depth))
    except BrokenInvariant:
        raise
    except HoldfastError as error:
        return EngineFault(codes.of_source(error), f"{fault.message}; {at(transfer.source, error)}", stat=fault.stat)
    if why:
        return EngineFault(Code.SOURCE_WRONG, f"source is wrong: {transfer.source}: {why}", stat=fault.stat)
    return EngineFault(Code.DAMAGED, f"damaged on the way, the source is right: {fault.message}", stat=fault.stat)


async def _asked(transfer: Transfer, place: Place, depth: Depth, patience: AskingPatience) -> ProvenFile:
    """What the destination has; asked again if it refuses to say, and read at last if that is allowed."""
    wanted = algorithms(transfer)
    clock = asyncio.get_running_loop().time
    for pause_s in (*patience.pauses_s, None):
        began_s = clock()
        try:
            return await ask(place, wanted, depth, transfer.size)
        except PeerError:
            if pause_s is not None and clock() - began_s < REFUSAL_S_MAX:
                await patience.sleep(pause_s)
            elif depth is Depth.CHEAP:
                break
            else:
                raise
    return await ask(place, wanted, Depth.READ, transfer.size)


async def ask(place: Place, wanted: Sequence[str], depth: Depth, size: int = 0) -> ProvenFile:
    """Size and checksums of one file, asked of its storage or taken of its bytes; the errors of the driver.

    ``size``: how large it should be; a storage that has to read it first is waited for accordingly.
    """
    driver = place.driver
    if depth in (Depth.TOLD, Depth.CHEAP):
        able = copying(driver)
        if able is not None:
            told = await able.told(place.path, wanted, size=size)
            if told.checksums or depth is Depth.TOLD:
                return ProvenFile(told.checksums, told.stat)
        if depth is Depth.TOLD:
            return ProvenFile({}, await driver.stat(place.path))
        likely = [each for each in wanted if each in driver.capabilities.told]
        return await _taken(place, likely[:1] or wanted, reads=False)
    strong = checksums.CRYPTOGRAPHIC.intersection(wanted)
    must_be_strong = depth is Depth.STRONG or (depth is Depth.READ and driver.capabilities.readable)
    if must_be_strong and strong and not strong.intersection(driver.capabilities.checksums):
        return await _read_here(place, wanted)
    return await _taken(place, wanted, reads=depth is Depth.READ)


async def _taken(place: Place, wanted: Sequence[str], *, reads: bool) -> ProvenFile:
    offered = [each for each in wanted if each in place.driver.capabilities.checksums]
    if not offered:
        return await _read_here(place, wanted)
    digest = await place.driver.checksum(place.path, offered, read=reads)
    return ProvenFile(digest.checksums, digest.stat)


async def _read_here(place: Place, wanted: Sequence[str]) -> ProvenFile:
    hasher = Hasher(wanted)
    stat = await place.driver.stat(place.path)
    async with closing(place.driver.read(place.path)) as chunks:
        async for chunk in chunks:
            hasher.update(chunk)
    return ProvenFile(hasher.hexdigests(), stat._replace(size=hasher.size))


@asynccontextmanager
async def closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Let a driver's reader close its file when we stop early, not when the garbage is collected."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def difference(transfer: Transfer, found: ProvenFile) -> str:
    """Why what was found is not the file; "" if nothing speaks against it."""
    return compared(transfer, found.stat.size, found.checksums)


def compared(transfer: Transfer, size: int, digests: Checksums) -> str:
    """Why a size and checksums are not those of the file; "" if none differs."""
    if size != transfer.size:
        return f"has {size} bytes, not {transfer.size}"
    for algorithm, digest in digests.items():
        known = transfer.checksums.get(algorithm)
        if known is not None and known != digest:
            return f"has {algorithm} {digest}, not {known}"
    return ""


def at(place: Place, error: HoldfastError) -> str:
    """An error of a site with the path of the file, whatever part of it the driver was at: each once."""
    if error.place and not error.place.startswith(f"{place.driver.label}:"):
        return f"{place.site}: {error}"
    return f"{place}: {error.advised}"
