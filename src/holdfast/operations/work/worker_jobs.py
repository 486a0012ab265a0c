"""Worker jobs: everything that is claimed, waiting for room or under way, each under way in a task of its own.

Rules
  * No more files are under way at once than ``streams_max`` for copies; of
    deletions the schedule says how many.
  * What has ended is found with all that was said of it.
  * What is to end is waited for, but not for ever: a storage may hang.
  * An exception of a job that is no failure of a site is a bug: it is raised
    where jobs are waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.model.errors import WorkerStuck
from holdfast.operations.batch import Batch
from holdfast.operations.carrying.claimed import Claimed
from holdfast.operations.tally import RunTally

WAKE_S = 1.0
"""How often one who waits for jobs looks up."""


@dataclass(eq=False, slots=True)
class WorkerJob:
    """A claimed batch and what carries it out. ``stop``: begin nothing further of it."""

    claimed: Claimed
    streams: int
    carry: Callable[[], Awaitable[None]]
    drop: Callable[[], None] = lambda: None
    """Told when it is given up before it was begun."""
    begun_s: float = 0.0
    """When its time was measured last."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def batch(self) -> Batch:
        """What was claimed."""
        return self.claimed.batch

    @property
    def is_copy(self) -> bool:
        """Whether files are to be brought."""
        return not self.batch.request.kind.is_deletion


class WorkerJobs:
    """The jobs of one worker."""

    def __init__(self, tally: RunTally, monotonic: Callable[[], float], streams_max: int) -> None:
        self._tally = tally
        self._monotonic = monotonic
        self._streams_max = streams_max
        self._ready: deque[WorkerJob] = deque()
        self._running: dict[asyncio.Task[None], WorkerJob] = {}
        self._ended: list[WorkerJob] = []

    def __iter__(self) -> Iterator[WorkerJob]:
        """All that is claimed and not written down to its end."""
        yield from (*self._running.values(), *self._ready, *self._ended)

    def __len__(self) -> int:
        return len(self._running) + len(self._ready) + len(self._ended)

    @property
    def is_anything_under_way(self) -> bool:
        """Whether anything runs or could run."""
        return bool(self._running or self._ready)

    @property
    def streams_left(self) -> int:
        """How many more copies could be under way."""
        claimed = (*self._running.values(), *self._ready)
        return self._streams_max - sum(job.streams for job in claimed if job.is_copy)

    @property
    def has_room(self) -> bool:
        """Whether more copies are wanted: nothing waits, and not all streams are in use."""
        return not any(job.is_copy for job in self._ready) and self.streams_left > 0

    @property
    def has_ended(self) -> bool:
        """Whether anything has ended that is not written down."""
        return bool(self._ended)

    def streams(self) -> dict[str, int]:
        """How many files are under way under each claim of ours; 0 of those that have ended."""
        known = {job.batch.claim: job.streams for job in self}
        return known | {job.batch.claim: 0 for job in self._ended}

    def add(self, job: WorkerJob) -> None:
        """It may begin."""
        self._ready.append(job)
        self._tally.started(job.batch.claim)

    def begin(self) -> None:
        """Begin what there is room for; the first one in any case."""
        in_use = sum(job.streams for job in self._running.values() if job.is_copy)
        waiting: deque[WorkerJob] = deque()
        while self._ready:
            job = self._ready.popleft()
            if job.is_copy and in_use and in_use + job.streams > self._streams_max:
                waiting.append(job)
                continue
            in_use += job.streams if job.is_copy else 0
            job.begun_s = self._monotonic()
            job.task = asyncio.ensure_future(_carried(job))
            self._running[job.task] = job
        self._ready = waiting

    async def wait(self, tick: Awaitable[None] | None = None) -> bool:
        """Wait until a job has ended, or ``tick`` has, or for long nothing has; whether anything has ended."""
        waited: set[asyncio.Future[None]] = set(self._running)
        ticking = None if tick is None else asyncio.ensure_future(tick)
        try:
            # By the machine's time, whatever the tick is: this is only about looking up.
            done, _ = await asyncio.wait(
                waited if ticking is None else {*waited, ticking},
                timeout=WAKE_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if ticking is not None:
                ticking.cancel()
        self._collect()
        return bool(done - {ticking})

    def _collect(self) -> None:
        """Take in what has ended; raises the bug of one that ended with one."""
        for task in [each for each in self._running if each.done()]:
            job = self._running.pop(task)
            self._ended.append(job)
            self._tally.ended(job.batch.claim)
            if task.cancelled():
                job.claimed.interrupted()
            else:
                task.result()

    def settled(self) -> None:
        """What has ended is written down."""
        self._ended.clear()

    def cancel(self, is_meant: Callable[[WorkerJob], bool]) -> list[WorkerJob]:
        """End some jobs, which clean up behind themselves; returns them."""
        meant = [job for job in self if is_meant(job)]
        for job in meant:
            if job.task is not None:
                job.task.cancel()
        for job in [job for job in self._ready if is_meant(job)]:
            self._ready.remove(job)
            self._give_up(job)
        return meant

    async def abandon(self, limit_s: float) -> None:
        """End everything, and wait until it has cleaned up; WorkerStuck if that takes longer."""
        for job in self._ready:
            self._give_up(job)
        self._ready.clear()
        running, self._running = self._running, {}
        stuck = await cancelled(running, limit_s)
        for task, job in running.items():
            self._ended.append(job)
            self._tally.ended(job.batch.claim)
            if task in stuck:
                # Nobody knows what it still does: so nobody says anything of it.
                job.claimed.ends_early("it does not end", is_lost=True)
            elif task.cancelled():
                job.claimed.interrupted()
        if stuck:
            sites = sorted({running[task].batch.site for task in running if task in stuck})
            told = f"what was begun at {', '.join(sites)} does not end within {limit_s:g} s"
            raise WorkerStuck(told, hint="start the worker anew, and see whether that storage answers")

    def _give_up(self, job: WorkerJob) -> None:
        job.drop()
        job.claimed.interrupted()
        self._ended.append(job)
        self._tally.ended(job.batch.claim)


async def cancelled(tasks: Iterable[asyncio.Task[Any]], limit_s: float) -> set[asyncio.Task[Any]]:
    """Cancel tasks and wait for their end; returns those that do not end in time."""
    waited = set(tasks)
    for task in waited:
        task.cancel()
    if not waited:
        return set()
    over, stuck = await asyncio.wait(waited, timeout=limit_s)
    for task in over:
        if not task.cancelled():
            task.exception()  # Looked at, so that it is not reported as lost.
    return stuck


async def _carried(job: WorkerJob) -> None:
    await job.carry()
