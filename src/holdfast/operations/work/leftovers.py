"""Leftovers: what is left behind of requests that others have closed; done beside everything else.

Rules
  * Jobs at services are cancelled, and parts of whatever claim are removed.
  * A job that nobody waits for any more is cancelled by whoever has its engine;
    one whose service does not answer, again every CANCEL_INTERVAL_S.
  * Nothing here fails: what cannot be removed now is a part that nobody owns,
    and found by the next check of the site. While the database is away it is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from holdfast import logs
from holdfast.model.errors import BrokenInvariant, DatabaseAway, HoldfastError, OutcomeUnknown, UnknownName
from holdfast.operations.batch import Batch, RequestKind
from holdfast.operations.batches.unwanted import UnwantedJob
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.engine import Place
from holdfast.operations.engines import placing
from holdfast.operations.work.copying import parts_of
from holdfast.operations.work.kept_columns import KeptColumns
from holdfast.operations.work.worker_jobs import cancelled

AT_ONCE = 20
CANCEL_INTERVAL_S = 30.0
AWAY_INTERVAL_S = 1.0
"""How often a database that is away is asked again."""

_log = logs.get("operations")


class Leftovers:
    """The cleaners of one worker."""

    def __init__(self, tools: Tools, columns: KeptColumns) -> None:
        self._tools = tools
        self._columns = columns
        self._running: set[asyncio.Task[None]] = set()
        self._cancelled_s: dict[str, float] = {}
        """When each job was told to end last, by its claim."""

    @property
    def is_at_work(self) -> bool:
        """Whether anything is still being removed."""
        over = {task for task in self._running if task.done()}
        self._running -= over
        for task in over:
            if not task.cancelled():
                task.result()
        return bool(self._running)

    def begin(self, given_up: Iterable[Batch], *, ours: Collection[str]) -> None:
        """Clean up after batches as they were when they were given up; what is ``ours`` does that itself."""
        given_up = list(given_up)
        copies = [batch for batch in given_up if batch.request.kind is RequestKind.COPY]
        parts = [part for batch in copies if batch.claim not in ours for part in self._parts(batch)]
        jobs = [UnwantedJob(batch.claim, batch.engine, batch.handle, 0) for batch in copies if batch.handle]
        self._cancelled_s |= {job.claim: self._tools.outside.monotonic() for job in jobs}
        if parts or jobs:
            self._running.add(asyncio.ensure_future(self._clean(parts, jobs)))

    def cancel(self, unwanted: Collection[UnwantedJob]) -> None:
        """Cancel jobs at services, if it is time; forget those that are over since long."""
        if not unwanted:
            return
        now_us, now_s = self._tools.outside.clock(), self._tools.outside.monotonic()
        forgotten = [job.claim for job in unwanted if job.is_forgotten(now_us)]
        if forgotten:
            _log.warning("jobs that could not be cancelled are forgotten", jobs=len(forgotten))
            self._forget(forgotten)
        due = [
            job for job in unwanted if now_s - self._cancelled_s.get(job.claim, -CANCEL_INTERVAL_S) >= CANCEL_INTERVAL_S
        ]
        due = [job for job in due if self._tools.engines.named(job.engine) is not None and job.claim not in forgotten]
        known = {job.claim for job in unwanted}
        self._cancelled_s = {claim: at_s for claim, at_s in self._cancelled_s.items() if claim in known}
        if due:
            self._cancelled_s |= {job.claim: now_s for job in due}
            self._running.add(asyncio.ensure_future(self._clean([], due)))

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do what may be done twice, and wait for the database while it is away."""
        while True:
            try:
                await work()
                return
            except (DatabaseAway, OutcomeUnknown):
                await self._tools.outside.sleep(AWAY_INTERVAL_S)

    async def finish(self) -> None:
        """Wait for the end of it; raises bugs."""
        await asyncio.gather(*self._running)
        self._running.clear()

    async def abandon(self, limit_s: float) -> None:
        """Stop it; what is not removed stays, and what does not stop is left alone."""
        running, self._running = self._running, set()
        await cancelled(running, limit_s)

    def _parts(self, batch: Batch) -> list[tuple[Place, str, str]]:
        """Where a batch may have left parts: place, token, and the engine that knows best."""
        try:
            with self._tools.store.snapshot() as view:
                files = self._columns.of(view, batch)
            door = self._tools.places.door(batch.site)
        except UnknownName:
            return []
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            _log.info("parts stay behind", site=batch.site, reason=str(error))
            return []
        return [(place, token, batch.engine) for place, token in parts_of(door, files, batch)]

    async def _clean(self, parts: list[tuple[Place, str, str]], jobs: list[UnwantedJob]) -> None:
        for job in jobs:
            await self._cancel(job)
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._remove(gate, *part) for part in parts))

    async def _cancel(self, job: UnwantedJob) -> None:
        engine = self._tools.engines.named(job.engine)
        if engine is None:
            return
        try:
            await engine.cancel(job.handle)
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            _log.warning("a job goes on that nobody waits for", engine=job.engine, job=job.handle, reason=str(error))
            return
        _log.info("a job is cancelled that nobody waits for", engine=job.engine, job=job.handle)

        async def forget() -> None:
            self._forget([job.claim])

        await self._patiently(forget)

    def _forget(self, claims: Collection[str]) -> None:
        with self._tools.queue.write() as connection:
            self._tools.queue.forget_unwanted(connection, claims)

    async def _remove(self, gate: asyncio.Semaphore, place: Place, token: str, name: str) -> None:
        async with gate:
            engine = self._tools.engines.named(name)
            try:
                await (placing.discard(place, token) if engine is None else engine.discard(place, token))
            except BrokenInvariant:
                raise
            except HoldfastError as error:
                _log.info("a part stays behind", place=str(place), reason=str(error))
