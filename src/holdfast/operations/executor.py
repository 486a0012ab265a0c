"""Carry out copy requests: plan, claim, let the engine move, settle, report; until nothing is left to do.

One executor works at a time, by a lock that dies with it. It may be killed at
any moment: the next one finds what was claimed, removes the parts that were
left, and finds in place what was finished.

Rules
  * Requests take turns: each claim divides what it takes among all that have
    something due, so a huge one does not keep a small one waiting.
  * The queue is written once for many files: when what was claimed is used up,
    or enough has gathered. What a crash forgets is found at the destination.
  * One file is never moved twice at once, however many requests ask for it.
  * A full or unavailable destination stops work for itself only; its tasks
    stay queued and its requests open.
  * Bugs (BrokenInvariant, what is not of our family) end the run at once.

Time, sleep and chance are arguments.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from holdfast.config import OperationsSettings
from holdfast.inventory.store import Store
from holdfast.model import steps
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.model.records import CopyRequest, SiteStatus
from holdfast.operations import outcomes, plan
from holdfast.operations.engine import Outcome, TransferEngine, Verdict
from holdfast.operations.local_engine import LocalEngine
from holdfast.operations.lockfile import Lockfile
from holdfast.operations.progress import Listener, Progress, RunReport
from holdfast.operations.queue import Queue
from holdfast.operations.reporting import Reporter
from holdfast.operations.requests import random_id
from holdfast.operations.sourcing import Drivers, Prepared, Sourcing
from holdfast.operations.tally import Tally
from holdfast.operations.task import QueuedRequest, Settled, Task, TaskState

CLAIM_FILES = 128
"""How many tasks are claimed at a time, if there are not more slots than that."""
CLAIM_BYTES = 256_000_000
"""Beyond one task for each slot, no more than this is claimed: big files should not be hoarded."""
SETTLE_FILES = 64
"""Write down what has gathered when it is so many files, whatever else is going on ..."""
SETTLE_INTERVAL_US = 2 * SECOND_US
"""... or after this time."""
REPORT_FILES = 1000
"""Tell the inventory when so many files are done ..."""
REPORT_INTERVAL_US = 2 * SECOND_US
"""... or after this time."""
STOP_INTERVAL_US = 60 * SECOND_US
"""An executor that runs for ever tries a destination again after this time."""
LOOK_INTERVAL_S = 1.0
"""How often a waiting executor looks up."""

Sleep = Callable[[float], Awaitable[None]]


async def run(
    store: Store,
    drivers: Drivers,
    *,
    settings: OperationsSettings,
    clock: Clock,
    lock_path: Path,
    progress: Listener | None = None,
    only: Collection[str] | None = None,
    wait: bool = True,
    forever: bool = False,
    engine: TransferEngine | None = None,
    sleep: Sleep = asyncio.sleep,
    seed: int = 0,
    new_token: Callable[[], str] = random_id,
) -> RunReport:
    """Work until nothing is left to do, on the requests named by ``only``, or on all.

    If another executor is at work: wait for it (and return as soon as it has
    closed all of ``only``), or with ``wait`` false return a report that says
    so. With ``forever``, wait for new requests until cancelled. Drivers are
    closed as ``Sourcing`` says.
    """
    lock = Lockfile(lock_path)
    tally = Tally(seed, clock, progress or _ignore)
    try:
        while not lock.acquire():
            if not wait:
                return tally.report((), is_busy=True)
            if only is not None and not any(request.id in only for request in _requests(store)):
                return tally.report(_named(store, only))
            tally.tell(f"waiting for another executor ({lock.holder() or 'unknown'})")
            await sleep(LOOK_INTERVAL_S)
        outside = Outside(clock, sleep, seed, new_token)
        executor = Executor(store, drivers, engine or LocalEngine(clock), settings, outside, tally=tally, only=only)
        stopped = await executor.run(forever=forever)
        return tally.report(_named(store, executor.seen), stopped=stopped)
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class Outside:
    """Time and chance as they come from outside."""

    clock: Clock
    sleep: Sleep = asyncio.sleep
    seed: int = 0
    new_token: Callable[[], str] = random_id


class Executor:
    """One run, under the lock. ``queue`` is on disk; everything else here may be lost."""

    def __init__(
        self,
        store: Store,
        drivers: Drivers,
        engine: TransferEngine,
        settings: OperationsSettings,
        outside: Outside,
        *,
        tally: Tally,
        only: Collection[str] | None,
    ) -> None:
        self.seen: set[str] = set(only or ())
        self._store = store
        self._engine = engine
        self._settings = settings
        self._outside = outside
        self._clock = outside.clock
        self._tally = tally
        self._only = only
        self._queue = Queue(store)
        self._reporter = Reporter(store, self._queue)
        self._sourcing = Sourcing(drivers)
        self._position = -1
        self._requests: dict[str, QueuedRequest] = {}
        self._turns: deque[str] = deque()
        """The open requests, the one whose turn is next first."""
        self._unplanned: deque[CopyRequest] = deque()
        self._waiting: deque[Prepared] = deque()
        self._flying: dict[asyncio.Task[Outcome], Prepared] = {}
        self._settled: list[Settled] = []
        self._failures: dict[tuple[str, str], int] = {}
        self._stopped: dict[str, str] = {}
        self._stopped_us = 0
        self._n_unreported = 0
        self._settled_us = self._reported_us = self._clock()

    async def run(self, *, forever: bool) -> dict[str, str]:
        """Recover, then work; returns the destinations that were given up for now, and why."""
        try:
            await self._recover()
            await self._work(forever=forever)
        except asyncio.CancelledError:
            await self._abandon()
            self._give_back()
            raise
        except BaseException:
            await self._abandon()
            raise
        finally:
            await self._sourcing.close()
        return self._stopped

    # ---- the loop ---------------------------------------------------------------

    async def _work(self, *, forever: bool) -> None:
        while True:
            self._launch()
            if self._flying:
                await self._land(forever=forever)
            if not self._is_turn_due():
                continue
            self._refresh()
            claimed = self._turn()
            planned = self._plan_some()
            self._report(force=not (claimed or planned or self._flying))
            if not (claimed or planned or self._flying or self._settled) and not await self._pause(forever=forever):
                return

    def _is_turn_due(self) -> bool:
        if not self._waiting and len(self._flying) < self._settings.concurrency:
            return True
        late = self._clock() - self._settled_us >= SETTLE_INTERVAL_US
        return len(self._settled) >= SETTLE_FILES or (bool(self._settled) and late)

    def _launch(self) -> None:
        while self._waiting and len(self._flying) < self._settings.concurrency:
            prepared = self._waiting.popleft()
            task, transfer = prepared.task, prepared.transfer
            if transfer is None or self._obstacle(task.site) or task.request.id not in self._requests:
                self._settle(outcomes.released(task))
                continue
            self._tally.started(task)
            note = self._noting(task)
            self._flying[asyncio.ensure_future(self._engine.transfer(transfer, note))] = prepared

    def _noting(self, task: Task) -> Callable[[int], None]:
        return lambda n_bytes: self._tally.moved(task, n_bytes)

    async def _land(self, *, forever: bool) -> None:
        """Wait for at least one transfer; if there are free slots, not longer than until something else may be due."""
        waited: set[asyncio.Future[Any]] = set(self._flying)
        tick: asyncio.Future[None] | None = None
        if not self._waiting and len(self._flying) < self._settings.concurrency and (forever or self._is_any_queued()):
            tick = asyncio.ensure_future(self._outside.sleep(LOOK_INTERVAL_S))
            waited.add(tick)
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if tick is not None:
                tick.cancel()
        for running in [each for each in self._flying if each.done()]:
            prepared = self._flying.pop(running)
            if running.cancelled():
                self._settle(outcomes.released(prepared.task))
            else:
                self._take(prepared, running.result())

    def _take(self, prepared: Prepared, outcome: Outcome) -> None:
        task = prepared.task
        outcome = outcomes.with_faults(outcome, prepared.faults)
        for fault in outcome.faults:
            self._failures[fault.site, task.site] = self._failures.get((fault.site, task.site), 0) + 1
        if outcome.verdict is Verdict.COPIED:
            self._failures.pop((outcome.source, task.site), None)
        if outcome.verdict is Verdict.FULL:
            self._stopped[task.site] = outcome.error
        self._tally.faults(outcome.faults)
        result = outcomes.settled(task, outcome, self._settings, now_us=self._clock(), seed=self._outside.seed)
        self._settle(result, copied=outcome.verdict is Verdict.COPIED)

    def _settle(self, result: Settled, *, copied: bool = False) -> None:
        self._settled.append(result)
        self._n_unreported += result.state is TaskState.DONE
        self._tally.settled(result, copied=copied)
        self._tally.tell()

    # ---- turns: everything that touches the disk -----------------------------------

    def _refresh(self) -> None:
        """Look what the inventory asks for, if it has changed."""
        if self._store.head().position == self._position:
            return
        with self._store.snapshot() as snapshot:
            self._position = snapshot.head.position
            self._sourcing.sites = {site.name: site for site in snapshot.sites()}
            asked = {request.id: request for request in snapshot.copy_requests()}
        for request in self._queue.known_open():
            if request.id not in asked:
                self._drop(request)
        wanted = [request for request in asked.values() if self._only is None or request.id in self._only]
        if all(request.id in self._requests for request in wanted):
            return
        for queued in self._queue.take_in(wanted):
            if queued.id not in self._requests:
                self._requests[queued.id] = queued
                self._turns.append(queued.id)
                self.seen.add(queued.id)
                self._tally.begin(self._queue.counts(queued))
                if not queued.is_planned:
                    self._unplanned.append(asked[queued.id])

    def _drop(self, request: QueuedRequest) -> None:
        """Somebody has closed the request: stop what is under way for it."""
        self._forget(request.id)
        self._queue.drop(request)
        for running, prepared in self._flying.items():
            if prepared.task.request.id == request.id:
                running.cancel()

    def _forget(self, id: str) -> None:
        if self._requests.pop(id, None) is not None:
            self._turns.remove(id)
        self._unplanned = deque(request for request in self._unplanned if request.id != id)

    def _plan_some(self) -> bool:
        """Plan a batch of the request whose turn it is; whether there was one."""
        if not self._unplanned:
            return False
        request = self._unplanned.popleft()
        before = self._requests[request.id]
        with self._store.snapshot() as snapshot:
            batch = next(plan.batches(request, snapshot, before.n_parts))
        after = self._queue.add(before, batch)
        steps.reach("copy.planned")
        self._requests[request.id] = after
        self._tally.planned(after.n_files - before.n_files, after.size - before.size)
        if not batch.is_last:
            self._unplanned.append(request)
        return True

    def _turn(self) -> bool:
        """Write down what has ended and claim what is next, at once; whether anything was claimed."""
        settled, self._settled = self._settled, []
        self._settled_us = now_us = self._clock()
        if not settled and not self._is_any_due(now_us):
            return False
        with self._queue.write() as connection:
            self._queue.settle(connection, settled)
            tasks = self._claim(connection, now_us)
        if any(result.state is TaskState.DONE for result in settled):
            steps.reach("copy.task-done")
        if tasks:
            steps.reach("copy.claimed")
            self._prepare(tasks)
        return bool(tasks)

    def _claim(self, connection: Connection, now_us: int) -> list[Task]:
        if self._waiting:
            return []
        room = max(CLAIM_FILES, 2 * self._settings.concurrency)
        candidates = [self._requests[id] for id in self._turns if not self._obstacle(self._requests[id].site)]
        self._turns.rotate(-1)
        busy = {(prepared.task.site, prepared.task.lfn) for prepared in self._flying.values()}
        n_bytes = 0
        chosen: list[tuple[QueuedRequest, Row[Any]]] = []
        for number, request in enumerate(candidates):
            share = -(-room // (len(candidates) - number))
            for row in self._queue.due(connection, request, now_us=now_us, limit=share):
                is_much = len(chosen) >= self._settings.concurrency and n_bytes + row.size > CLAIM_BYTES
                if (request.site, row.lfn) in busy or is_much:
                    continue
                busy.add((request.site, row.lfn))
                chosen.append((request, row))
                n_bytes += row.size
                room -= 1
            if room <= 0:
                break
        return self._queue.claim(connection, chosen, self._outside.new_token)

    def _prepare(self, tasks: list[Task]) -> None:
        for site in sorted({task.site for task in tasks}):
            try:
                self._sourcing.driver(self._sourcing.sites[site])
            except BrokenInvariant:
                raise
            except HoldfastError as error:
                self._stopped[site] = str(error)
        able = []
        for task in tasks:
            if self._obstacle(task.site):
                self._settle(outcomes.released(task))
            else:
                able.append(task)
        with self._store.snapshot() as snapshot:
            prepared = self._sourcing.prepare(able, snapshot, self._failures)
        for each in prepared:
            if each.error:
                self._settle(outcomes.refused(each.task, each.error))
            elif each.transfer is None:
                self._settle(outcomes.held_already(each.task))
            else:
                self._waiting.append(each)

    def _report(self, *, force: bool) -> None:
        """Tell the inventory what is done, if it is time."""
        is_late = self._clock() - self._reported_us >= REPORT_INTERVAL_US
        if not force and self._n_unreported < REPORT_FILES and not is_late:
            return
        self._reported_us = self._clock()
        self._n_unreported = 0
        for request in self._reporter.report(list(self._requests.values())):
            self._forget(request.id)
        self._tally.tell(now=force)

    async def _pause(self, *, forever: bool) -> bool:
        """Wait until something may be due; false if nothing ever will be."""
        if forever and self._clock() - self._stopped_us >= STOP_INTERVAL_US:
            self._stopped, self._stopped_us = {}, self._clock()
        able = [request for request in self._requests.values() if not self._obstacle(request.site)]
        due_us = self._queue.next_due_us(able)
        if due_us is None and not forever:
            return False
        wait_us = LOOK_INTERVAL_S * SECOND_US if due_us is None else due_us - self._clock()
        # In slices: new requests may come, and a clock that jumps should not make us oversleep.
        await self._outside.sleep(min(max(wait_us / SECOND_US, 0.001), LOOK_INTERVAL_S))
        self._tally.tell()
        return True

    # ---- beginning and end ----------------------------------------------------------

    async def _recover(self) -> None:
        """Queue again what a dead executor had claimed, and remove the parts it left."""
        left = self._queue.recover()
        self._refresh()
        for site, lfn, token in left:
            try:
                await self._engine.discard(self._sourcing.place(self._sourcing.sites[site], lfn), token)
            except BrokenInvariant:
                raise
            except (HoldfastError, KeyError):
                # The task keeps its token: the next try removes the part before it writes.
                continue

    async def _abandon(self) -> None:
        """Stop everything under way; the engine cleans up behind itself."""
        for running in self._flying:
            running.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)

    def _give_back(self) -> None:
        """Write down what has ended and let go of the rest, so that the next executor need not guess."""
        prepared = [*self._flying.values(), *self._waiting]
        with self._queue.write() as connection:
            self._queue.settle(connection, [*self._settled, *(outcomes.released(each.task) for each in prepared)])
        self._reporter.report(())

    def _obstacle(self, site: str) -> str:
        """Why nothing is brought to a site now; "" if nothing stands in the way."""
        if site not in self._stopped:
            status = self._sourcing.sites[site].status if site in self._sourcing.sites else SiteStatus.UNKNOWN
            if status is not SiteStatus.READY:
                self._stopped[site] = f"site {site} is {status.value}"
        return self._stopped.get(site, "")

    def _is_any_due(self, now_us: int) -> bool:
        due_us = self._queue.next_due_us(self._requests.values())
        return due_us is not None and due_us <= now_us

    def _is_any_queued(self) -> bool:
        return self._queue.next_due_us(self._requests.values()) is not None


def _ignore(progress: Progress) -> None:
    pass


def _requests(store: Store, *, only_open: bool = True) -> list[CopyRequest]:
    with store.snapshot() as snapshot:
        return snapshot.copy_requests(only_open=only_open)


def _named(store: Store, ids: Collection[str]) -> list[CopyRequest]:
    return [request for request in _requests(store, only_open=False) if request.id in ids]
