"""Shift: one executor's run, under the lock: plan, claim, let the engine move, settle, report, until nothing is left.

Rules
  * Requests take turns: each claim divides what it takes among all that have
    something due, so a huge one does not keep a small one waiting.
  * The queue is written once for many files: when what was claimed is used up,
    or enough has gathered. What a crash forgets is found at the destination.
  * One place is written by one transfer at a time, however many requests ask
    for its file.
  * A full or unavailable destination stops work for itself only; its tasks
    stay queued and its requests open.
  * Whatever the inventory says next counts at the next turn: requests that are
    closed, or that a restored inventory does not know, are given up. Turns
    come at least every LOOK_INTERVAL_S while something is under way.
  * Bugs (BrokenInvariant, what is not of our family) end the run at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from holdfast import logs
from holdfast.config import OperationsSettings
from holdfast.inventory.store import Store
from holdfast.model import steps
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.model.records import CopyRequest, SiteStatus
from holdfast.operations import outcomes, plan, recovery, replacing
from holdfast.operations.engine import Outcome, TransferEngine, Verdict
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

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class Outside:
    """Time and chance as they come from outside."""

    clock: Clock
    sleep: Sleep = asyncio.sleep
    seed: int = 0
    new_token: Callable[[], str] = random_id


class Shift:
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
        self._wait_us_max = int(settings.retry_delay_s_max * SECOND_US)
        self._is_forever = False
        self._looked: tuple[str, int] | None = None
        """The point of the inventory's history (epoch and position) that we know."""
        self._asked: dict[str, CopyRequest] = {}
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
        self._is_forever = forever
        try:
            await self._refresh()
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
            if self._flying and not await self._land(forever=forever):
                await self._refresh()  # Nothing ends for long: is it still asked for?
            if not self._is_turn_due():
                continue
            await self._refresh()
            claimed = self._turn()
            planned = self._plan_some()
            self._report(force=not (claimed or planned or self._flying))
            if not (claimed or planned or self._flying or self._settled) and not await self._pause(forever=forever):
                return

    def _is_turn_due(self) -> bool:
        if not self._waiting and len(self._flying) < self._settings.concurrency:
            return True
        return len(self._settled) >= SETTLE_FILES or (
            bool(self._settled) and self._is_past(self._settled_us, SETTLE_INTERVAL_US)
        )

    def _is_past(self, since_us: int, interval_us: int) -> bool:
        # A clock that went back does not tell how long ago it was: long enough.
        return not 0 <= self._clock() - since_us < interval_us

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

    async def _land(self, *, forever: bool) -> bool:
        """Wait for at least one transfer; if there are free slots, not longer than until something else may be due.

        False if for long nothing has happened at all.
        """
        waited: set[asyncio.Future[Any]] = set(self._flying)
        tick: asyncio.Future[None] | None = None
        if not self._waiting and len(self._flying) < self._settings.concurrency and (forever or self._is_any_queued()):
            tick = asyncio.ensure_future(self._outside.sleep(LOOK_INTERVAL_S))
            waited.add(tick)
        try:
            # By the machine's time, whatever ``sleep`` is: this is only about looking up.
            done, _ = await asyncio.wait(waited, timeout=LOOK_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if tick is not None:
                tick.cancel()
        for running in [each for each in self._flying if each.done()]:
            prepared = self._flying.pop(running)
            if running.cancelled():
                self._settle(outcomes.released(prepared.task))
            else:
                self._take(prepared, running.result())
        return bool(done)

    def _take(self, prepared: Prepared, outcome: Outcome) -> None:
        task = prepared.task
        outcome = outcomes.with_faults(outcome, prepared.faults)
        for fault in outcome.faults:
            self._failures[fault.site, task.site] = self._failures.get((fault.site, task.site), 0) + 1
            if fault.is_wrong:
                self._warn("source is wrong", site=fault.site, file=task.lfn, error=fault.error)
        if outcome.verdict is Verdict.COPIED:
            self._failures.pop((outcome.source, task.site), None)
        if outcome.verdict is Verdict.FULL:
            self._stop(task.site, outcome.error)
        self._tally.faults(outcome.faults)
        result = outcomes.settled(task, outcome, self._settings, now_us=self._clock(), seed=self._outside.seed)
        self._settle(result, copied=outcome.verdict is Verdict.COPIED, has_replaced=outcome.has_replaced)

    def _settle(self, result: Settled, *, copied: bool = False, has_replaced: bool = False) -> None:
        self._settled.append(result)
        self._n_unreported += result.state is TaskState.DONE
        if result.state is TaskState.FAILED:
            task = result.task
            self._warn("copy failed", file=task.lfn, site=task.site, request=task.request.id, error=result.error)
        self._tally.settled(result, copied=copied, has_replaced=has_replaced)
        self._tally.tell()

    def _stop(self, site: str, why: str) -> None:
        if site not in self._stopped:
            self._warn("destination stopped", site=site, error=why)
        self._stopped[site] = why

    def _warn(self, event: str, **facts: str) -> None:
        # Who waits for the report reads it there; of one that runs for ever there is only the log.
        (_log.warning if self._is_forever else _log.info)(event, **facts)

    # ---- turns: everything that touches the disk -----------------------------------

    async def _refresh(self) -> None:
        """Look what the inventory asks for, if it has changed."""
        before, head = self._looked, self._store.head()
        if before == (head.epoch, head.position):
            return
        with self._store.snapshot() as snapshot:
            self._looked = (snapshot.head.epoch, snapshot.head.position)
            self._sourcing.sites = {site.name: site for site in snapshot.sites()}
            self._asked = asked = {request.id: request for request in snapshot.copy_requests()}
            gone = [
                (request, snapshot.request(request.id) is None)
                for request in self._queue.known_open()
                if request.id not in asked
            ]
        if before is None or before[0] != self._looked[0]:
            await self._recover(is_restored=before is not None)
        for request, is_unknown in gone:
            await self._drop(request, is_unknown=is_unknown)
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

    async def _drop(self, request: QueuedRequest, *, is_unknown: bool) -> None:
        """Somebody has closed the request, or it never was: stop what is under way for it, and clean up."""
        self._forget(request.id)
        left = self._queue.drop(request, done_too=is_unknown)
        flying = set()
        for running, prepared in self._flying.items():
            if prepared.task.request.id == request.id:
                running.cancel()  # The engine cleans up behind itself.
                flying.add(prepared.task.token)
        await recovery.discard((each for each in left if each.token not in flying), self._sourcing, self._engine)
        _log.info("request given up", request=request.id, site=request.site, is_unknown=is_unknown)

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
        flying = [prepared.transfer for prepared in self._flying.values() if prepared.transfer is not None]
        busy = {(transfer.destination.site, transfer.destination.path) for transfer in flying}
        n_bytes = 0
        chosen: list[tuple[QueuedRequest, Row[Any]]] = []
        for number, request in enumerate(candidates):
            share = -(-room // (len(candidates) - number))
            due = self._queue.due(connection, request, now_us=now_us, wait_us_max=self._wait_us_max, limit=share)
            for row in due:
                place = (request.site, self._sourcing.path(request.site, row.lfn) or row.lfn)
                is_much = len(chosen) >= self._settings.concurrency and n_bytes + row.size > CLAIM_BYTES
                if place in busy or is_much:
                    continue
                busy.add(place)
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
                self._stop(site, str(error))
        able = []
        for task in tasks:
            if self._obstacle(task.site):
                self._settle(outcomes.released(task))
            else:
                able.append(task)
        with self._store.snapshot() as snapshot:
            prepared = self._sourcing.prepare(able, snapshot, self._failures, self._replaceable)
        for each in prepared:
            if each.error:
                self._settle(outcomes.refused(each.task, each.error))
            elif each.transfer is None:
                self._settle(outcomes.held_already(each.task))
            else:
                self._waiting.append(each)

    def _replaceable(self, task: Task) -> Callable[[], str] | None:
        asked = self._asked.get(task.request.id)
        if asked is None or not asked.replace:
            return None
        path = self._sourcing.path(task.site, task.lfn)
        return replacing.asking(self._store, self._clock, task.site, task.lfn, path)

    def _report(self, *, force: bool) -> None:
        """Tell the inventory what is done, if it is time."""
        is_late = self._is_past(self._reported_us, REPORT_INTERVAL_US)
        if not force and self._n_unreported < REPORT_FILES and not is_late:
            return
        self._reported_us = self._clock()
        self._n_unreported = 0
        for request in self._reporter.report(list(self._requests.values())):
            self._forget(request.id)
        self._tally.tell(now=force)

    async def _pause(self, *, forever: bool) -> bool:
        """Wait until something may be due; false if nothing ever will be."""
        if forever and self._is_past(self._stopped_us, STOP_INTERVAL_US):
            self._stopped, self._stopped_us = {}, self._clock()
        able = [request for request in self._requests.values() if not self._obstacle(request.site)]
        due_us = self._next_due_us(able)
        if due_us is None and not forever:
            return False
        wait_us = LOOK_INTERVAL_S * SECOND_US if due_us is None else due_us - self._clock()
        # In slices: new requests may come, and a clock that jumps should not make us oversleep.
        await self._outside.sleep(min(max(wait_us / SECOND_US, 0.001), LOOK_INTERVAL_S))
        self._tally.tell()
        return True

    # ---- beginning and end ----------------------------------------------------------

    async def _recover(self, *, is_restored: bool) -> None:
        """Make good what a dead executor has left, or we ourselves before the inventory was restored under us."""
        if is_restored:
            # The queue is another, too: nothing that we know of it holds.
            _log.warning("the inventory was restored; beginning anew")
            await self._abandon()
            for known in (self._flying, self._waiting, self._requests, self._turns, self._unplanned, self._settled):
                known.clear()
            self._n_unreported = 0
        await recovery.discard(self._queue.recover(), self._sourcing, self._engine)
        n_gone = await recovery.look_again(self._queue, self._sourcing, at_once=self._settings.concurrency)
        if n_gone:
            _log.warning("files that had arrived were gone again, and are queued again", files=n_gone)

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
                self._stop(site, f"site {site} is {status.value}")
        return self._stopped.get(site, "")

    def _is_any_due(self, now_us: int) -> bool:
        due_us = self._next_due_us(self._requests.values())
        return due_us is not None and due_us <= now_us

    def _is_any_queued(self) -> bool:
        return self._next_due_us(self._requests.values()) is not None

    def _next_due_us(self, requests: Iterable[QueuedRequest]) -> int | None:
        return self._queue.next_due_us(requests, now_us=self._clock(), wait_us_max=self._wait_us_max)
