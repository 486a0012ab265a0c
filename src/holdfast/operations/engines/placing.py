"""Placing: how one file comes to its place, for engines that choose under which name it is written.

The engine gives a ``Way``: how bytes are made a new file of the destination.
All else is the same for all: look, write a part, prove it, give it its name.

Rules
  * Where the storage can rename, the file is written as a part with the
    transfer's token, proved there, and gets its name in one step. What must
    make room goes with that step, and not before.
  * Where renaming copies, what lies there afterwards is proved once more.
  * Where the storage cannot rename, the source is tried and proved first if a
    wrong file must make room; the new one is then written under its final
    name, which drivers give to whole files only, and removed again if it does
    not prove good. What may be good after all stays.
  * Whatever ends a try but success removes the part, unless somebody else goes
    on writing it (``Way.goes_on``). What lies under the final name is removed
    only while the claim is ours: others may have found it good since, and told
    so.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from holdfast.model import steps
from holdfast.model.clock import Clock
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.engine import Check, ClaimLost, EngineDown, Outcome, Place, Transfer, Verdict
from holdfast.operations.engines import proving, standing
from holdfast.operations.engines.glances import Glances
from holdfast.operations.engines.proving import NO_PATIENCE, AskingPatience, Depth, EngineFault, ProvenFile
from holdfast.operations.engines.standing import Standing
from holdfast.storage import parts
from holdfast.storage.carried_out import carried_out
from holdfast.storage.driver import NotThere


class Way(ABC):
    """How the bytes of one transfer become a file of the destination.

    What the source does wrong is a Fault; anything else is taken to be of the destination.
    """

    depth: Depth = Depth.CHEAP
    """How deep the destination's word is proved after writing."""
    reads: bool = True
    """Whether files may be read through this process at all."""
    past_us: bool = False
    """Whether the bytes go past this process, so that large files are not read for a proof."""
    goes_on: bool = False
    """Whether somebody else goes on writing when we stop: then only a Fault removes the part, and whoever takes the
    transfer up finds it."""
    patience: AskingPatience = NO_PATIENCE
    """With a destination that gives no answer when it is to be proved."""
    glances: Glances | None = None
    """Spares looks, where many files come to one directory."""

    @abstractmethod
    async def write(self, path: str) -> ProvenFile | None:
        """Make the new file ``path`` at the destination; AlreadyThere if anything has the name.

        What the destination says of it, checksums included, if it said so while it was made: then it is not asked.
        """

    @abstractmethod
    async def rehearse(self) -> None:
        """Fault unless the source has the right bytes now."""

    @abstractmethod
    async def blame(self, fault: EngineFault) -> EngineFault:
        """Whose fault it is that wrong bytes have arrived."""


async def place(transfer: Transfer, check: Check, clock: Clock, way: Way) -> Outcome:
    """Bring one file its way. Raises ClaimLost, BrokenInvariant, and what is not of our family."""
    try:
        proving.require_checksum(transfer)
        verified_us = clock()
        depth = standing.depth_for(transfer, reads=way.reads, past_us=way.past_us)
        there = await standing.look(transfer, depth=depth, glances=way.glances)
        if there.is_found:
            return Outcome(Verdict.FOUND, verified_us)
        there.require_room(transfer)
        bring = _by_part if transfer.destination.driver.capabilities.rename else _in_place
        verified_us = await bring(transfer, check, clock, way, there)
    except EngineFault as fault:
        if way.glances is not None:
            way.glances.forget(transfer.destination)
        return fault.outcome
    if way.glances is not None:
        way.glances.arrived(transfer.destination)
    return Outcome(Verdict.COPIED, verified_us, has_replaced=there.stat is not None)


async def discard(destination: Place, token: str) -> None:
    """Remove the part of an interrupted transfer.

    A server that gets to a given-up call only afterwards may make it anew: then it is an orphan, once it is old enough.
    """
    with suppress(NotThere):
        await destination.driver.delete(parts.part_path(destination.path, token))


async def _by_part(transfer: Transfer, check: Check, clock: Clock, way: Way, there: Standing) -> int:
    destination = transfer.destination
    part = parts.part_path(destination.path, transfer.token)
    await check()
    try:
        with _of_destination(destination):
            verified_us = clock()
            found = await way.write(part)
        steps.reach("copy.part-written")
        if found is None:
            verified_us = clock()
        await _prove(transfer, part, way, found)
        await there.require_unchanged(transfer)
        await check()
        there.require_room(transfer)
        with _of_destination(destination):
            await destination.driver.rename(part, destination.path, replace=there.stat is not None)
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, EngineFault) or not way.goes_on:
            await carried_out(_remove_quietly(destination, part))
        raise
    steps.reach("copy.renamed")
    if destination.driver.capabilities.atomic_rename:
        await _require_size(transfer)
        return verified_us
    # Such storages copy and delete; what was proved is not what lies there now.
    verified_us = clock()
    await _prove_or_remove(transfer, check, way)
    return verified_us


async def _in_place(transfer: Transfer, check: Check, clock: Clock, way: Way, there: Standing) -> int:
    destination = transfer.destination
    if there.is_unread:
        raise EngineFault(
            Code.DESTINATION_OCCUPIED,
            f"{destination}: what is in its place {there.difference}, and a new copy could not be renamed to it: "
            "take it away if it is wrong, or give the site a door that can be read, then `holdfast transfers retry`",
        )
    if there.stat is not None:
        await way.rehearse()
        await check()
        there.require_room(transfer)
        with _of_destination(destination):
            await destination.driver.delete(destination.path, expected=there.stat)
    await check()
    with _of_destination(destination):
        await way.write(destination.path)
    steps.reach("copy.part-written")
    verified_us = clock()
    await _prove_or_remove(transfer, check, way)
    steps.reach("copy.renamed")
    return verified_us


async def _prove(transfer: Transfer, path: str, way: Way, found: ProvenFile | None = None) -> None:
    try:
        if found is None:
            await proving.prove(transfer, path, way.depth, way.patience)
        else:
            proving.require(transfer, path, found)
    except EngineFault as fault:
        raise await way.blame(fault) from fault


async def _prove_or_remove(transfer: Transfer, check: Check, way: Way) -> None:
    try:
        await _prove(transfer, transfer.destination.path, way)
    except (HoldfastError, asyncio.CancelledError):
        await carried_out(_remove_if_ours(transfer.destination, check))
        raise


async def _require_size(transfer: Transfer) -> None:
    """Fault if a rename has done nothing, though the storage says that it has."""
    destination = transfer.destination
    try:
        with _of_destination(destination, NotThere):
            size = (await destination.driver.stat(destination.path)).size
    except NotThere as error:
        raise EngineFault(Code.DESTINATION_EMPTY, f"{destination}: is not there after it was renamed") from error
    if size != transfer.size:
        raise EngineFault(Code.DESTINATION_FAILED, f"{destination}: has {size} bytes after it was renamed")


@contextmanager
def _of_destination(destination: Place, *passed: type[HoldfastError]) -> Iterator[None]:
    """Errors of the destination become Faults; ``passed`` come through."""
    try:
        yield
    except HoldfastError as error:
        if isinstance(error, (EngineFault, ClaimLost, EngineDown, BrokenInvariant, *passed)):
            raise
        raise EngineFault(codes.of_destination(error), proving.at(destination, error)) from error


async def _remove_if_ours(destination: Place, check: Check) -> None:
    try:
        await check()
    except HoldfastError:
        return
    await _remove_quietly(destination, destination.path)


async def _remove_quietly(destination: Place, path: str) -> None:
    """Clean up; what cannot be removed now is found by its token later, and the first error says more."""
    with suppress(HoldfastError):
        await destination.driver.delete(path)
