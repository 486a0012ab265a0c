"""Copying: from a claimed batch to a job for an engine, and how that ends.

Rules
  * What the destination holds by the inventory's word is not transferred.
  * A source that has no path for a file is no source of it; a destination that
    has none fails it for good.
  * Of two files that have the same place at the destination only one is under
    way at a time.
  * Parts that earlier claims may have left are removed before anything is begun
    anew. One that cannot be removed then is tried again in the end; should it
    stay, the next check of the site finds it.
  * However a job ends, every file has an outcome, or is given back untried, or
    is not ours any more. Bugs are raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from holdfast import logs
from holdfast.model.errors import BrokenInvariant, DatabaseAway, HoldfastError, InvalidName, OutcomeUnknown
from holdfast.model.fileset import FileSet
from holdfast.model.records import FileColumns
from holdfast.operations.batch import Batch, token_of
from holdfast.operations.carrying import outcomes
from holdfast.operations.carrying.claimed import Claimed
from holdfast.operations.carrying.fence import Fence
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.codes import Code
from holdfast.operations.engine import ClaimLost, EngineDown, Job, Place, Transfer, TransferEngine
from holdfast.operations.places import OpenDoor
from holdfast.operations.work.desk import CopyDesk
from holdfast.operations.work.stops import Stops

AWAY_S_MAX = 3600.0
"""For how long a service that has taken a job and does not answer is waited for, before its files go another way."""
COLLISION_S = 1.0
"""For how long a file rests whose place at the destination another one is being brought to."""

_log = logs.get("operations")

Spot = tuple[str, str]
"""A site, and a path there."""
Replaceable = Callable[[str, str], Callable[[], str] | None]
"""What ``Transfer.replaceable`` is for a file, by LFN and path."""


@dataclass(frozen=True, slots=True)
class Route:
    """The two ends of a batch, and who brings it."""

    source: OpenDoor
    destination: OpenDoor
    engine: TransferEngine
    streams: int
    picked_s: float | None = None
    """When the engine was picked, by its clock; None: it had begun the job before, for somebody else."""


class BusyPlaces:
    """The places at destinations, site and path, that this worker is writing to: each by one job at a time."""

    def __init__(self) -> None:
        self._places: set[Spot] = set()

    def take(self, place: Spot) -> bool:
        """Whether it was free; from here on it is not."""
        if place in self._places:
            return False
        self._places.add(place)
        return True

    def leave(self, places: Iterable[Spot]) -> None:
        """They are free again."""
        self._places.difference_update(places)


class CopyJob:
    """One claimed batch of copies. ``stops``: told of a site that takes nothing for now."""

    def __init__(
        self,
        tools: Tools,
        fence: Fence,
        stops: Stops,
        claimed: Claimed,
        route: Route,
        files: FileColumns,
        *,
        held: FileSet,
        replaceable: Replaceable,
        busy: BusyPlaces,
    ) -> None:
        self._claimed = claimed
        self._route = route
        self._names = {ordinal: files.lfn(ordinal) for ordinal in claimed.batch.files}
        self._tools = tools
        self._files = files
        self._replaceable = replaceable
        self._busy = busy
        self._mine: dict[int, Spot] = {}
        for ordinal in claimed.batch.files & held:
            if claimed.done(ordinal, is_found=True, is_known=True):
                tools.tally.copied(claimed.batch.claim, claimed.sizes[ordinal], is_found=True)
        self._desk = CopyDesk(tools, fence, stops, claimed, self._names, over=self._over)
        self._transfers = [each for ordinal in sorted(claimed.left) if (each := self._transfer(ordinal)) is not None]

    def _over(self, ordinal: int) -> None:
        """The file's place is free again."""
        place = self._mine.pop(ordinal, None)
        if place is not None:
            self._busy.leave([place])

    def ended(self) -> None:
        """Nothing of the job is under way any more."""
        self._busy.leave(self._mine.values())
        self._mine.clear()

    async def carry(self) -> None:
        """Let the engine bring the files; returns when all is said of them that ever will be."""
        try:
            await self._carry()
        except ClaimLost as lost:
            # If the claim is lost indeed, that is found when this is written down.
            self._claimed.ends_early(str(lost))
        except EngineDown as error:
            self._tools.tally.say(f"engine {self._route.engine.name}: {error}")
            self._claimed.ends_early(str(error))
        except (DatabaseAway, OutcomeUnknown) as error:
            # Neither an end nor the engine has anything to do with that: no try is counted.
            self._claimed.ends_early(str(error))
        except asyncio.CancelledError:
            self._claimed.interrupted()
            raise
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            self._rest_failed(str(error))
        else:
            self._rest_failed(f"the engine {self._route.engine.name} said nothing of it")
        finally:
            self.ended()

    async def _carry(self) -> None:
        engine, engines = self._route.engine, self._tools.engines
        stays = await self._clean(engine, self._left_parts())
        picked_s, waited_s = self._route.picked_s, 0.0
        while self._claimed.left:
            transfers = [each for each in self._transfers if each.ordinal in self._claimed.left]
            batch = self._claimed.batch
            job = Job(batch.claim, transfers, batch.request.priority, self._route.streams, batch.handle)
            try:
                await engine.carry(job, self._desk)
                self._claimed.carried()
                break
            except EngineDown as error:
                rest_s = engines.went_down(engine.name, str(error), picked_s=picked_s)
                waited_s += rest_s
                if not self._claimed.batch.handle or waited_s > AWAY_S_MAX:
                    raise
                # The service has the job, and may be bringing the files while it does not answer.
                await self._tools.outside.sleep(rest_s)
                picked_s = None
        engines.went_well(engine.name)
        await self._clean(engine, stays)

    def _rest_failed(self, error: str) -> None:
        for ordinal in sorted(self._claimed.left):
            self._desk.fail(ordinal, Code.ENGINE_FAILED, error)

    def _left_parts(self) -> list[tuple[Place, str]]:
        """What earlier claims may have left of these files."""
        batch = self._claimed.batch
        if batch.handle:
            return []  # The job goes on, and what it has left is its own.
        return [
            (transfer.destination, token_of(claim, transfer.ordinal))
            for claim in batch.left
            for transfer in self._transfers
        ]

    async def _clean(self, engine: TransferEngine, parts: Sequence[tuple[Place, str]]) -> list[tuple[Place, str]]:
        """Remove parts; returns those that cannot be removed now."""
        if not parts:
            return []
        await self._desk.check()
        stays = await discard(engine, parts, at_once=self._route.streams)
        if not stays:
            self._claimed.cleaned()
        return stays

    def _transfer(self, ordinal: int) -> Transfer | None:
        batch, lfn = self._claimed.batch, self._names[ordinal]
        try:
            destination = self._route.destination.place(lfn)
        except InvalidName as error:
            self._refuse(ordinal, Code.UNNAMEABLE, str(error))
            return None
        try:
            source = self._route.source.place(lfn)
        except InvalidName as error:
            self._refuse(ordinal, Code.SOURCE_MISSING, str(error))
            return None
        place = (destination.site, destination.path)
        if not self._busy.take(place):
            now_us, one = self._tools.outside.clock(), FileSet.of([ordinal])
            why = f"another file is being brought to {destination.path}"
            self._claimed.decided(outcomes.later(batch, one, 0, why, now_us=now_us, wait_s=COLLISION_S))
            return None
        self._mine[ordinal] = place
        return Transfer(
            ordinal,
            batch.token(ordinal),
            self._files.sizes[ordinal],
            self._files.checksums_of(ordinal),
            source,
            destination,
            self._replaceable(lfn, destination.path),
        )

    def _refuse(self, ordinal: int, code: Code, error: str) -> None:
        if self._claimed.failed(ordinal, code, error):
            batch = self._claimed.batch
            self._tools.tally.failed(batch.claim, self._names[ordinal], error, site=batch.site, code=code)


async def discard(
    engine: TransferEngine, parts: Sequence[tuple[Place, str]], *, at_once: int
) -> list[tuple[Place, str]]:
    """Remove parts, a few at once; returns those that may still be there."""
    gate = asyncio.Semaphore(max(1, at_once))

    async def one(place: Place, token: str) -> bool:
        async with gate:
            try:
                await engine.discard(place, token)
            except BrokenInvariant:
                raise
            except HoldfastError as error:
                _log.info("a part stays for now", place=str(place), token=token, reason=str(error))
                return False
        return True

    gone = await asyncio.gather(*(one(place, token) for place, token in parts))
    return [part for part, is_gone in zip(parts, gone, strict=True) if not is_gone]


def parts_of(door: OpenDoor, files: FileColumns, batch: Batch) -> list[tuple[Place, str]]:
    """Where a batch may have left parts: at places that have a path, under all of its claims."""
    found = []
    for ordinal in batch.files:
        try:
            place = door.place(files.lfn(ordinal))
        except (InvalidName, IndexError):
            continue
        found += [(place, token_of(claim, ordinal)) for claim in (*batch.left, batch.claim) if claim]
    return found
