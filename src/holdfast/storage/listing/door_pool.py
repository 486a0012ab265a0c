"""DoorPool: the doors of a site, how much each is asked at once, and which of them answer.

Rules
  * A door has no more requests under way than its window and its driver allow,
    and all doors together no more than the site's limit.
  * Requests go to the door that has the most room for its size; one that is
    asked again goes to another door where there is one.
  * A door that fails ``door_down_after`` times in a row is *questioned*: it gets
    one request that it could answer before. If it answers, the failures were
    those of the directories; if not, it is down: nobody asks it anything, but
    for one such request each ``door_retry_s``.
  * An error that is not retryable is an answer.
  * When all doors are down and nothing was answered for ``give_up_s``, the one
    who asks hears NotFinished.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, TypeVar, cast

from holdfast import logs
from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.abilities import PagingDriver
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.window import Window

_log = logs.get("storage")

T = TypeVar("T")


class NotFinished(PeerError):
    """A listing stopped before its end; what was found is saved, and it can be gone on with."""


class DoorState(NamedTuple):
    """One door, for those who watch."""

    label: str
    down: bool
    window: int
    in_flight: int
    errors: int


@dataclass(eq=False)
class PooledDoor:
    """One door and how it does."""

    driver: StorageDriver
    window: Window
    in_flight: int = 0
    errors: int = 0
    failed_in_a_row: int = 0
    down: bool = False
    downs: int = 0
    """How often it was found to be down."""
    good: str = "/"
    """A directory that it has answered for, or else might."""
    questioned: asyncio.Future[None] | None = None
    """Done when it is known whether it answers."""

    def __post_init__(self) -> None:
        """What the driver can do is asked once."""
        self.pages = self.driver.capabilities.pages
        self.second_look = self.driver.capabilities.second_look
        self.live = self.driver.capabilities.live

    @property
    def open(self) -> bool:
        """Whether it may be asked."""
        return self.questioned is None and not self.down


@dataclass(eq=False)
class _Waiter:
    future: asyncio.Future[PooledDoor]
    avoid: PooledDoor | None


@dataclass(eq=False)
class Surroundings:
    """What a listing lends to its parts: time, chance, and a place for tasks."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    chance: Random
    room: Callable[[], None]
    """Called when there is room for more requests."""


@dataclass(eq=False)
class DoorPool:
    """See the module's docstring."""

    doors: Sequence[PooledDoor]
    limits: ListingLimits
    around: Surroundings
    in_flight: int = 0
    retries: int = 0
    answered_at: float = 0.0
    _waiters: deque[_Waiter] = field(default_factory=deque)

    @staticmethod
    def of(drivers: Sequence[StorageDriver], limits: ListingLimits, around: Surroundings) -> DoorPool:
        """The doors of ``drivers``, none of them asked yet."""
        if not drivers:
            raise ValueError("a site without doors")
        doors = [
            PooledDoor(driver, Window(min(limits.in_flight_max, driver.capabilities.calls_max), limits.in_flight_start))
            for driver in drivers
        ]
        return DoorPool(doors, limits, around, answered_at=around.now())

    @property
    def has_room(self) -> bool:
        """Whether one more request may be made somewhere."""
        if self._waiters or self.in_flight >= self.limits.in_flight_max:
            return False
        return any(door.open and door.in_flight < door.window.size for door in self.doors)

    # In and out.

    def try_enter(self, avoid: PooledDoor | None = None) -> PooledDoor | None:
        """A door that may be asked one thing now, if there is one; nobody who waits is overtaken."""
        return None if self._waiters else self._enter(avoid)

    async def enter(self, avoid: PooledDoor | None = None) -> PooledDoor:
        """A door that may be asked one thing, when there is one; another than ``avoid`` if another answers at all."""
        door = self.try_enter(avoid)
        if door is not None:
            return door
        waiter = _Waiter(asyncio.get_running_loop().create_future(), avoid)
        self._waiters.append(waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                self.leave(waiter.future.result())
            raise

    async def enter_at(self, door: PooledDoor) -> None:
        """Enter this door and no other, beyond its window if need be, but never beyond the site's limit."""
        if door.questioned is not None:
            await asyncio.shield(door.questioned)
        (await self.enter()).in_flight -= 1
        door.in_flight += 1

    def leave(self, door: PooledDoor) -> None:
        """What was asked at the door is over."""
        door.in_flight -= 1
        self.in_flight -= 1
        self._let_in()

    def _enter(self, avoid: PooledDoor | None) -> PooledDoor | None:
        if self.in_flight >= self.limits.in_flight_max:
            return None
        best: PooledDoor | None = None
        fullest = 1.0
        for door in self.doors:
            if not door.open or (door is avoid and self._others_open(door)):
                continue
            full = door.in_flight / door.window.size
            if full < fullest:
                best, fullest = door, full
        if best is not None:
            best.in_flight += 1
            self.in_flight += 1
        return best

    def _others_open(self, door: PooledDoor) -> bool:
        return any(other.open for other in self.doors if other is not door)

    def _let_in(self) -> None:
        while self._waiters:
            waiter = self._waiters[0]
            if waiter.future.done():
                self._waiters.popleft()
                continue
            door = self._enter(waiter.avoid)
            if door is None:
                return
            self._waiters.popleft()
            waiter.future.set_result(door)

    # Asking.

    async def call(self, door: PooledDoor, answer: Awaitable[T], stopped: Sequence[float] | None = None) -> T:
        """Wait for what was asked at ``door``, which was entered for it, and leave it.

        With ``stopped``, ``answer`` keeps the time limit itself, and puts there the moment of the first answer if
        more follow.
        """
        around = self.around
        started = around.now()
        try:
            async with asyncio.timeout(self.limits.call_timeout_s if stopped is None else None):
                result = await answer
        except TimeoutError as error:
            self._failed(door, started)
            raise PeerError(f"no answer within {self.limits.call_timeout_s:g} s", place=door.driver.label) from error
        except HoldfastError as error:
            if error.retryable:
                self._failed(door, started)
            else:
                self._answered(door, started, around.now())
            raise
        except BaseException:
            self.leave(door)
            raise
        self._answered(door, started, stopped[0] if stopped else around.now())
        return result

    def _answered(self, door: PooledDoor, started: float, now: float) -> None:
        self.answered_at = now
        door.failed_in_a_row = 0
        door.window.answered(started, now, door.in_flight)
        self.leave(door)

    def _failed(self, door: PooledDoor, started: float) -> None:
        door.errors += 1
        door.failed_in_a_row += 1
        door.window.failed(started, self.around.now(), door.in_flight)
        if door.failed_in_a_row >= self.limits.door_down_after and door.open:
            door.questioned = asyncio.get_running_loop().create_future()
            self.around.spawn(self._question(door))
        self.leave(door)

    async def is_to_blame(self, door: PooledDoor, downs: int) -> bool:
        """Whether the door was found to be down since it had been so ``downs`` times."""
        if door.questioned is not None:
            await asyncio.shield(door.questioned)
        return door.downs > downs

    # Doors that do not answer.

    async def _question(self, door: PooledDoor) -> None:
        while not await self._answers(door):
            if not door.down:
                door.down, door.downs = True, door.downs + 1
                _log.warning("door does not answer", place=door.driver.label)
                self._settle(door)
                self._let_in()  # Who waits for another door than one that is down now may go on.
            self._give_up_in_the_end()
            await self.around.sleep(self.limits.door_retry_s * self.around.chance.uniform(0.8, 1.2))
        if door.down:
            _log.info("door answers again", place=door.driver.label)
        door.down, door.failed_in_a_row = False, 0
        self._settle(door)
        self._let_in()
        self.around.room()

    def _settle(self, door: PooledDoor) -> None:
        if door.questioned is not None and not door.questioned.done():
            door.questioned.set_result(None)
        door.questioned = None

    async def _answers(self, door: PooledDoor) -> bool:
        try:
            async with asyncio.timeout(self.limits.call_timeout_s):
                await _begin_of(door, door.good)
        except TimeoutError:
            return False
        except HoldfastError as error:
            if error.retryable:
                return False
        self.answered_at = self.around.now()
        return True

    def _give_up_in_the_end(self) -> None:
        silent_s = self.around.now() - self.answered_at
        if silent_s >= self.limits.give_up_s and all(door.down for door in self.doors):
            raise NotFinished(
                f"no door has answered for {silent_s:.0f} s",
                place=", ".join(door.driver.label for door in self.doors),
                hint="what was found is saved; go on with it when the site answers again",
            )

    def state(self) -> tuple[DoorState, ...]:
        """The doors, for those who watch."""
        return tuple(
            DoorState(door.driver.label, door.down, door.window.size, door.in_flight, door.errors)
            for door in self.doors
        )


async def _begin_of(door: PooledDoor, path: str) -> None:
    """See that a door lists a directory, of which the first entries are enough."""
    if not door.pages:
        await door.driver.list(path)
        return
    pieces = cast(PagingDriver, door.driver).pages(path)
    try:
        await anext(pieces, None)
    finally:
        await left(pieces)


async def left(pieces: AsyncIterator[object]) -> None:
    """Close what nobody reads on: a generator that is only dropped is closed some time, by nobody knows whom."""
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()
