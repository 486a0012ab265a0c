"""Recovery: what an executor finds that another one has left, and makes good before it begins.

Rules
  * What was claimed belongs to nobody and is queued again; temporary parts
    that were left for it are removed. One that cannot be removed now is known
    by its task's token, and the next try removes it before it writes.
  * What is said to be done is looked at once, at its destination, before the
    inventory is told: nobody knows how long ago that was. What is not there in
    its size, or cannot be asked for, is queued again.

BrokenInvariant, and what is not of our family, is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations.engine import TransferEngine
from holdfast.operations.queue import Left, Queue
from holdfast.operations.sourcing import Sourcing
from holdfast.operations.task import Arrived
from holdfast.storage.driver import Kind

LOOK_FILES = 10_000
"""How many tasks that are done are read at a time."""


async def discard(left: Iterable[Left], sourcing: Sourcing, engine: TransferEngine) -> None:
    """Remove what may be left of transfers that are over."""
    for site, lfn, token in left:
        try:
            await engine.discard(sourcing.place(sourcing.sites[site], lfn), token)
        except BrokenInvariant:
            raise
        except (HoldfastError, KeyError):
            continue


async def look_again(queue: Queue, sourcing: Sourcing, *, at_once: int) -> int:
    """Look at everything that is done and not reported; returns how many files were gone and are queued again."""
    gate = asyncio.Semaphore(at_once)
    n_gone = last = 0
    while arrived := queue.arrived(LOOK_FILES, after=last):
        last = arrived[-1].id
        there = await asyncio.gather(*(_is_there(each, sourcing, gate) for each in arrived))
        gone = [each.id for each, is_there in zip(arrived, there, strict=True) if not is_there]
        queue.again(gone)
        n_gone += len(gone)
    return n_gone


async def _is_there(arrived: Arrived, sourcing: Sourcing, gate: asyncio.Semaphore) -> bool:
    async with gate:
        try:
            place = sourcing.place(sourcing.sites[arrived.site], arrived.lfn)
            found = await place.driver.stat(place.path)
        except BrokenInvariant:
            raise
        except (HoldfastError, KeyError):
            return False
    return (found.kind, found.size) == (Kind.FILE, arrived.size)
