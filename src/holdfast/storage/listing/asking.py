"""Asking: from one waiting directory to what became of it, whatever the doors say meanwhile.

Rules
  * Only errors that say of themselves that they are retryable are asked again,
    ``attempts`` times, with growing pauses, at another door where there is one.
    What failed because a door was down does not count, up to twice as often.
  * What is not retryable fails the directory at once. But if it is our own
    installation that is at fault (credentials that have expired, a full disk of
    ours), every directory would fail alike: the listing ends, to be gone on with.
  * A suspicious answer is judged by ``doubt`` before it is believed. A listing that
    was made earlier says the same however often it is asked: it is doubted if
    it doubts itself, else believed.
  * A directory that is not there any more is listed, with nothing in it, only if
    nothing was expected in it, and if at every door the directory above it, asked
    again, has other names and no longer this one: a door may lag behind the one
    that named it. Else it is failed.
  * The top is failed like any other, unless it is ``top_required``: then its error
    ends the listing.
  * What comes in more than one piece goes to the ledger piece by piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar, cast

from holdfast import logs
from holdfast.model import names
from holdfast.model.errors import BrokenInvariant, HoldfastError, OperatorError
from holdfast.storage.abilities import PagingDriver, SecondLookDriver
from holdfast.storage.carried_out import settled
from holdfast.storage.driver import DirectoryListing, NoSpace, NotAllowed, NotThere
from holdfast.storage.listing import doubt
from holdfast.storage.listing.answer import sort_out
from holdfast.storage.listing.case import Case, Found, Spooled, doubted, shown
from holdfast.storage.listing.door_pool import DoorPool, PooledDoor, left
from holdfast.storage.listing.doubt import DoubtStep, Look
from holdfast.storage.listing.ledger import Ledger, WaitingDirectory
from holdfast.storage.listing.pieces import Pieces, seen_whole
from holdfast.storage.listing.tables import Directory, DirectoryState

_log = logs.get("storage")

T = TypeVar("T")

Expected = Callable[[str], int | None]
"""How many names are to be expected in a directory; None if that is not known."""

DOUBT_PAUSE_S = 1.0
"""Before the same door is asked the same question again, because its answer was suspicious."""

GOOD_NAMES_MAX = 1000
"""A directory of at most so many names is quickly listed again, to see whether a door answers."""

LOOKED_AT_MAX = 200_000
"""Of a larger directory nobody asks for all names at once: it is listed again, piece by piece."""


class DoorAsker:
    """Asks the doors of one listing."""

    def __init__(self, pool: DoorPool, ledger: Ledger, expected: Expected, *, top_required: bool = False) -> None:
        self._pool = pool
        self._ledger = ledger
        self._expected = expected
        self._required = ledger.top if top_required else None
        self._limits = pool.limits
        self._around = pool.around
        self._names_can_be_asked = any(door.second_look for door in pool.doors)
        self.merged = 0

    async def ask(self, waiting: WaitingDirectory, door: PooledDoor) -> Directory | Spooled:
        """What became of a directory; ``door`` was entered for it."""
        try:
            found, door = await self._persist(self._list, waiting, door)
            expected = self._expected(waiting.dir)
            why = doubt.suspicion(found.names, found.contradictions, found.doubt, expected)
            if not why or (not door.live and not found.doubt and not found.contradictions):
                return self._believed(found, door)
            case = Case(waiting, why, expected, door)
            case.hear(found, door)
            return await self._judge(case) if door.live else doubted(case)
        except NotThere as error:
            return await self._not_there(waiting, error)
        except HoldfastError as error:
            return self._failed(waiting, error)

    def _believed(self, found: Found, door: PooledDoor) -> Directory | Spooled:
        self.merged += found.merged
        if isinstance(found, Spooled):
            return found
        if found.names <= GOOD_NAMES_MAX:
            door.good = found.directory.dir
        return found.directory

    # One question, until it is answered.

    async def _persist(
        self,
        question: Callable[[WaitingDirectory, PooledDoor], Awaitable[T]],
        waiting: WaitingDirectory,
        door: PooledDoor | None = None,
        avoid: PooledDoor | None = None,
    ) -> tuple[T, PooledDoor]:
        """The answer and the door that gave it."""
        failures = forgiven = 0
        while True:
            if door is None:
                door = await self._pool.enter(avoid)
            downs = door.downs
            try:
                return await question(waiting, door), door
            except HoldfastError as error:
                if not error.retryable:
                    raise
                if forgiven < 2 * self._limits.attempts and await self._pool.is_to_blame(door, downs):
                    forgiven += 1
                else:
                    failures += 1
                    if failures >= self._limits.attempts:
                        raise
            self._pool.retries += 1
            self._around.room()
            await self._around.sleep(self._pause_s(failures))
            avoid, door = door, None

    def _pause_s(self, failures: int) -> float:
        return float(self._limits.pause_s * 3 ** max(0, failures - 1) * self._around.chance.uniform(0.75, 1.25))

    async def _list(self, waiting: WaitingDirectory, door: PooledDoor) -> Found:
        if door.pages:
            stopped: list[float] = []
            return await self._pool.call(door, self._page(waiting, door, stopped), stopped)
        listing = await self._pool.call(door, door.driver.list(waiting.dir))
        return sort_out(waiting.dir, listing, waiting.mtime_ns)

    # What comes in pieces.

    async def _page(self, waiting: WaitingDirectory, door: PooledDoor, stopped: list[float]) -> Found:
        pieces = cast(PagingDriver, door.driver).pages(waiting.dir)
        try:
            first = await self._next(pieces)
            second = await self._next(pieces) if first is not None else None
            if second is None:
                return sort_out(waiting.dir, first or DirectoryListing(()), waiting.mtime_ns)
            stopped.append(self._around.now())
            assert first is not None
            return await self._spool(waiting, pieces, first, second)
        finally:
            await left(pieces)

    async def _next(self, pieces: AsyncIterator[DirectoryListing]) -> DirectoryListing | None:
        async with asyncio.timeout(self._limits.call_timeout_s):
            return await anext(pieces, None)

    async def _spool(
        self,
        waiting: WaitingDirectory,
        more: AsyncIterator[DirectoryListing],
        first: DirectoryListing,
        second: DirectoryListing | None,
    ) -> Spooled:
        spool = self._ledger.spool(waiting)
        pieces = Pieces(waiting.dir, waiting.mtime_ns)
        try:
            await settled(spool.add, pieces.take(first))
            while second is not None:
                await settled(spool.add, pieces.take(second))
                second = await self._next(more)
        except BaseException:
            spool.drop()
            raise
        return Spooled(spool, Directory(waiting.dir, DirectoryState.LISTED, "", waiting.mtime_ns), pieces)

    # Doubt.

    async def _judge(self, case: Case) -> Directory | Spooled:
        """Look again until it is clear what to believe; ``doubt`` says how."""
        try:
            while True:
                can_look = self._names_can_be_asked and case.looks[-1].names <= LOOKED_AT_MAX
                step = doubt.next_step(case.looks, case.expected, names_can_be_asked=can_look)
                if step is DoubtStep.BELIEVE:
                    case.end(case.found[-1])
                    return self._believed(case.found[-1], case.door)
                if step is DoubtStep.DOUBT:
                    return doubted(case)
                await self._look_again(case, by_names=step is DoubtStep.LOOK)
        except NotThere:
            case.end(None)
            raise
        except HoldfastError as error:
            if _is_ours(error):
                case.end(None)
                raise
            return doubted(case, error.message)
        except BaseException:
            case.end(None)
            raise

    async def _look_again(self, case: Case, *, by_names: bool) -> None:
        alone = len(self._pool.doors) == 1
        if not by_names:
            asks_the_same = alone and not case.looks[-1].named_only
            self._around.room()
            # Nothing speaks for anything in a directory that is empty the first time: no reason to wait long.
            worth_waiting = asks_the_same and (case.looks[-1].names or case.expected)
            await self._around.sleep(DOUBT_PAUSE_S if worth_waiting else self._limits.pause_s)
        question = self._look if by_names else self._list
        found, door = await self._persist(question, case.waiting, avoid=case.door)
        if isinstance(found, frozenset):
            case.looks.append(Look(seen_whole(found), len(found), named_only=True, otherwise=True))
            case.named |= found
        else:
            case.hear(found, door)

    async def _look(self, waiting: WaitingDirectory, door: PooledDoor) -> Found | frozenset[bytes]:
        if not door.second_look:
            return await self._list(waiting, door)
        found = await self._pool.call(door, cast(SecondLookDriver, door.driver).names(waiting.dir))
        return doubt.seen_by_names(found)

    def _failed(self, waiting: WaitingDirectory, error: HoldfastError) -> Directory:
        """A directory of which nothing is known; raises the error if it is not the directory's, or is the end."""
        if _is_ours(error) or waiting.dir == self._required:
            raise error
        reason = shown(error.message)
        _log.info("directory not listed", place=error.place or waiting.dir, reason=reason)
        return Directory(waiting.dir, DirectoryState.FAILED, reason, waiting.mtime_ns)

    # Gone meanwhile.

    async def _not_there(self, waiting: WaitingDirectory, error: NotThere) -> Directory:
        # Nobody told us of the top.
        if waiting.dir == self._ledger.top or self._expected(waiting.dir) or await self._is_named(waiting.dir):
            return self._failed(waiting, error)
        return Directory(waiting.dir, DirectoryState.LISTED, "", waiting.mtime_ns)

    async def _is_named(self, dir: str) -> bool:
        """Whether any door still has the name of a directory, or cannot tell: any of them may have named it."""
        above, name = names.split(dir)
        for door in self._pool.doors:
            if await self._is_named_at(door, above, name):
                return True
        return False

    async def _is_named_at(self, door: PooledDoor, above: str, name: str) -> bool:
        for attempt in range(self._limits.attempts):
            if attempt:
                self._pool.retries += 1
                await self._around.sleep(self._pause_s(attempt))
            await self._pool.enter_at(door)
            stopped: list[float] = []
            try:
                return await self._pool.call(door, self._has(door, above, name, stopped), stopped)
            except HoldfastError as error:
                if _is_ours(error):
                    raise
                if not error.retryable:
                    break
        return True

    async def _has(self, door: PooledDoor, above: str, name: str, stopped: list[float]) -> bool:
        async def whole() -> AsyncIterator[DirectoryListing]:
            yield await door.driver.list(above)

        pieces = cast(PagingDriver, door.driver).pages(above) if door.pages else whole()
        others = 0
        try:
            while (piece := await self._next(pieces)) is not None:
                stopped.append(self._around.now())
                others += len(piece.entries)
                if piece.doubt or any(entry.name == name for entry in piece.entries):
                    return True
            return not others
        finally:
            await left(pieces)


def _is_ours(error: HoldfastError) -> bool:
    """Whether it is no directory's fault, nor the storage's."""
    if isinstance(error, OperatorError):
        return not isinstance(error, NotAllowed | NoSpace)
    return isinstance(error, BrokenInvariant)
