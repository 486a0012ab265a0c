"""Engine: list a whole tree, one directory at a time, many at once.

Directories that wait come from a ledger; each is asked for at one of the site's
doors (``door_pool``), again if need be (``asking``), and what became of it goes
back to the ledger, which lets what is below it wait. The newest come first, so
that what waits is as small as the tree is deep and broad along one branch.

Rules
  * Every directory met is in the result exactly once: listed, doubted, failed
    with a reason, or skipped with a reason. What is below a directory that was
    not listed is unknown, never absent; the listing goes on beside it.
  * That holds for the top, too: a storage that cannot be listed gives an outcome
    that says so, not an empty listing; or, with ``top_required``, the error.
  * With a limit of one request, and nothing failing, the order of directories is
    depth first, by the bytes of their names; else that of their being finished.
  * The ledger saves in a thread, once at a time. If it cannot keep up, no new
    directory is taken until it has: memory does not fill.
  * What was found is saved whatever ends the listing, unless the ledger itself
    does. What had not been found waits for the next run.
  * Progress is told at most every ``TOLD_EACH_S``, and at the end.

Raises NotFinished when the time is up or no door answers any more; what the
ledger raises; an OperatorError of a driver that is no directory's fault; and
whatever a driver raises against its contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any

from holdfast import logs
from holdfast.storage.carried_out import settled
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.asking import DoorAsker, Expected
from holdfast.storage.listing.case import Spooled
from holdfast.storage.listing.door_pool import DoorPool, NotFinished, PooledDoor, Surroundings
from holdfast.storage.listing.ledger import Ledger, WaitingDirectory
from holdfast.storage.listing.limits import DEFAULTS, ListingLimits
from holdfast.storage.listing.progress import ListingOutcome, ListingProgress, ListingTally, Rate
from holdfast.storage.listing.skipping import Skip, enter_all
from holdfast.storage.listing.tables import Directory, DirectoryState

_log = logs.get("storage")

TOLD_EACH_S = 0.2

HELD_FOR_EACH = 4
"""So many directories are in work at most for each request that may be under way: the others pause before they
are asked again."""


def unknown(path: str) -> int | None:
    """Expect nothing in particular."""
    return None


async def list_tree(
    doors: Sequence[StorageDriver],
    ledger: Ledger,
    *,
    limits: ListingLimits = DEFAULTS,
    expected: Expected = unknown,
    skip: Skip = enter_all,
    progress: Callable[[ListingProgress], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    now: Callable[[], float] | None = None,
    seed: int = 0,
    top_required: bool = False,
) -> ListingOutcome:
    """List all that waits in ``ledger`` and all below it, and finish the ledger.

    ``now`` is the loop's time if it is not given; ``seed`` makes the jitter of pauses. The ledger stays the
    caller's to close.
    """
    now = now or asyncio.get_running_loop().time
    listing = _Listing(ledger, skip, progress, now)
    around = Surroundings(now, sleep, listing.spawn, Random(seed), listing.fill)
    listing.use(DoorPool.of(doors, limits, around), expected, top_required=top_required)
    try:
        await listing.run()
    except BaseException:
        await listing.save_what_there_is()
        raise
    await settled(ledger.finish)
    listing.tell(at_end=True)
    return listing.outcome()


class _Listing:
    """What the workers of one listing share."""

    def __init__(
        self, ledger: Ledger, skip: Skip, progress: Callable[[ListingProgress], None] | None, now: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._skip = skip
        self._progress = progress
        self._now = now
        self._told_at = now()
        self._rate = Rate()
        self._tally = ListingTally()
        self._held = 0
        self._saving = False
        self._save_failed = False
        self._group: asyncio.TaskGroup
        self._watchers: list[asyncio.Task[None]] = []

    def use(self, pool: DoorPool, expected: Expected, *, top_required: bool) -> None:
        """Go in by these doors."""
        self._pool = pool
        self._asker = DoorAsker(pool, self._ledger, expected, top_required=top_required)
        self._held_max = HELD_FOR_EACH * pool.limits.in_flight_max

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the workers that ends with them at the latest."""
        self._watchers = [task for task in self._watchers if not task.done()]
        self._watchers.append(self._group.create_task(work))

    async def run(self) -> None:
        """List until nothing waits and nothing is in work."""
        limit_s = self._pool.limits.overall_timeout_s
        try:
            async with asyncio.timeout(limit_s), asyncio.TaskGroup() as self._group:
                self.fill()
        except TimeoutError:
            raise NotFinished(
                f"not finished within {limit_s:g} s: {self._ledger.waiting + self._held} known directories are left",
                place=", ".join(door.driver.label for door in self._pool.doors),
                hint="what was found is saved; go on with it later",
            ) from None
        except BaseExceptionGroup as several:
            # Workers fail for the same cause; the first error is the one to show.
            raise several.exceptions[0] from several

    def fill(self) -> None:
        """Put to work whom there is room for."""
        while (found := self._next()) is not None:
            self._group.create_task(self._work(*found))
        if not self._held and not self._ledger.waiting and not self._saving:
            for task in self._watchers:
                task.cancel()

    def _next(self) -> tuple[WaitingDirectory, PooledDoor] | None:
        """A directory and the door to ask, already entered; None if there is no work now, or no room for it."""
        ledger = self._ledger
        if self._held >= self._held_max or (self._saving and ledger.due) or not ledger.waiting:
            return None
        door = self._pool.try_enter()
        if door is None:
            return None
        while taken := ledger.take(1):
            waiting = taken[0]
            reason = self._skip(waiting.dir)
            if not reason:
                self._held += 1
                return waiting, door
            self._note(Directory(waiting.dir, DirectoryState.SKIPPED, reason, waiting.mtime_ns))
        self._pool.leave(door)
        return None

    async def _work(self, waiting: WaitingDirectory, door: PooledDoor) -> None:
        """List directories as long as there are some and a door has room."""
        while True:
            found = await self._asker.ask(waiting, door)
            self._held -= 1
            self._note(found)
            next_one = self._next()
            if next_one is None:
                break
            if self._pool.has_room and self._ledger.waiting:
                self.fill()
            waiting, door = next_one
        self.fill()

    def _note(self, found: Directory | Spooled) -> None:
        if isinstance(found, Spooled):
            found.spool.keep(found.last)
            self._tally.note(found.last)
            pieces = found.pieces
            self._tally.add(pieces.files, pieces.bytes, pieces.oddities)
        else:
            self._ledger.found(found)
            self._tally.note(found)
        if self._ledger.due and not self._saving:
            self._saving = True
            self._group.create_task(self._save())
        if self._progress is not None:
            self.tell()

    async def _save(self) -> None:
        try:
            await settled(self._ledger.save)
        except Exception:
            self._save_failed = True
            raise
        finally:
            self._saving = False
        self.fill()

    async def save_what_there_is(self) -> None:
        """Keep what was found so far, whatever ends the listing."""
        if self._save_failed:
            return
        try:
            await settled(self._ledger.save)
        except Exception as error:  # noqa: BLE001
            # What ended the listing is what its caller has to hear of.
            _log.error("what was found last was not saved", reason=str(error))

    # What there is to tell.

    def tell(self, *, at_end: bool = False) -> None:
        """Tell of the progress, not too often."""
        now = self._now()
        if self._progress is None or (now - self._told_at < TOLD_EACH_S and not at_end):
            return
        self._told_at = now
        tally, pool = self._tally, self._pool
        self._progress(
            ListingProgress(
                directories=tally.done,
                files=tally.files,
                bytes=tally.bytes,
                failed=tally.failed,
                doubted=tally.doubted,
                queue=self._ledger.waiting + self._held,
                in_flight=pool.in_flight,
                rate=self._rate.at(now, tally.done),
                retries=pool.retries,
                doors=pool.state(),
            )
        )

    def outcome(self) -> ListingOutcome:
        """What it has come to."""
        return self._tally.outcome(merged=self._asker.merged, retries=self._pool.retries)
