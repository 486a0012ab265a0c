"""Worker: one process's share of the work, turn by turn: look, take over, plan, settle, claim, wait.

Rules
  * What the inventory says next counts at the next turn. Turns come at least
    every ``worker_jobs.WAKE_S`` while something is under way.
  * The queue and the inventory are written once for many files: when nothing is
    under way, when enough has gathered, or after a while.
  * A worker that has lost its lease ends all that it does, and begins anew under
    another name. So does one whose inventory was restored under it.
  * While the database is away, one that runs for ever waits for it; so it does
    where nobody knows whether a commit stands, and then looks what it finds.
  * Bugs (BrokenInvariant, what is not of our family) end the run at once.
  * What is under way is waited for, when it is to end, for ``call_limit_s``. What
    does not end then (a storage that hangs) ends only with the process: the
    worker ends with WorkerStuck, and whoever runs it has to end the process.
  * An interrupted worker gives back what it has not done, so that nobody has to
    wait for the end of its lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from holdfast import logs
from holdfast.model.errors import DatabaseAway, OutcomeUnknown, WorkerStuck
from holdfast.model.names import DatasetKey
from holdfast.operations.batch import QueuedRequest, RequestKind
from holdfast.operations.batches.links import LinkBook
from holdfast.operations.carrying.fence import Fence
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.requesting import reconciling
from holdfast.operations.work.bookkeeping import Bookkeeping
from holdfast.operations.work.kept_columns import KeptColumns
from holdfast.operations.work.leftovers import Leftovers
from holdfast.operations.work.looking import Looking
from holdfast.operations.work.open_requests import News, OpenRequests
from holdfast.operations.work.pauses import Pauses
from holdfast.operations.work.preparing import Preparing
from holdfast.operations.work.presence import Presence
from holdfast.operations.work.rescue import Rescue
from holdfast.operations.work.scheduling import Scheduler
from holdfast.operations.work.stops import Stops
from holdfast.operations.work.taker import Taker
from holdfast.operations.work.worker_jobs import WAKE_S, WorkerJobs

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a run ended: whether others are at what is left, and sites that could not be used, with the reason."""

    is_busy: bool
    stopped: Mapping[str, str]


class Worker:
    """One run. What is on disk is in ``tools.queue``; everything else here may be lost."""

    def __init__(
        self, tools: Tools, asked: OpenRequests, presence: Presence, *, waiting: Callable[[str], None] | None = None
    ) -> None:
        self._stops = Stops(tools.outside.monotonic, tools.settings.held_retry_s if tools.is_service else 0)
        self._tools = tools
        self._asked = asked
        self._presence = presence
        self._columns = KeptColumns()
        self._jobs = WorkerJobs(tools.tally, tools.outside.monotonic, tools.settings.concurrency)
        links = LinkBook()
        self._books = Bookkeeping(tools, asked, self._jobs, links)
        self._scheduler = Scheduler(tools, asked, links, self._stops)
        self._rescue = Rescue(tools, asked, self._stops, presence)
        self._leftovers = Leftovers(tools, self._columns)
        self._looking = Looking(tools, asked)
        self._pauses = Pauses(tools, asked, presence, waiting)
        self._taker = Taker(tools, asked, Preparing(tools, self._columns, self._stops), self._columns)
        self._blocked: Collection[tuple[DatasetKey, str]] = ()
        """Datasets and sites of which copies wait for deletions there, as it was when something was last chosen."""
        self._may_take = True
        self._expired: set[str] = set()

    async def run(self, *, wait: bool = True) -> WorkerEnd:
        """Work until nothing is left to do, or for ever.

        ``wait``: for others, too, while they are at something that we know of.
        """
        try:
            self._register()
            while True:
                try:
                    is_over, is_busy = await self._turn(wait=wait)
                except (DatabaseAway, OutcomeUnknown) as error:
                    if not self._tools.is_service:
                        raise
                    _log.warning("the database is away", reason=str(error))
                    await self._tools.outside.sleep(WAKE_S)
                    continue
                if is_over:
                    await self._leftovers.finish()
                    self._presence.leave()
                    self._tools.tally.tell(now=True)
                    return WorkerEnd(is_busy, self._stops.told)
        except asyncio.CancelledError:
            try:
                await self._abandon()
            except WorkerStuck:
                self._books.settle()
                raise
            has_jobs = any(job.batch.handle and job.claimed.left for job in self._jobs)
            try:
                self._books.settle()
                if not has_jobs:
                    self._presence.leave()
            finally:
                self._presence.die()  # So that the next one takes up at once what is left.
            raise
        except WorkerStuck:
            # What is stuck may still do something. The system shows our death when that is over, with the process.
            await self._leftovers.abandon(0)
            await self._looking.abandon(0)
            raise
        except BaseException:
            await self._abandon()
            self._presence.die()
            raise

    async def _abandon(self) -> None:
        """End all that is under way, within the limit of a call; WorkerStuck if it does not end."""
        limit_s = self._tools.settings.call_limit_s
        await self._leftovers.abandon(limit_s)
        await self._looking.abandon(limit_s)
        await self._jobs.abandon(limit_s)

    # ---- a turn -----------------------------------------------------------------

    async def _turn(self, *, wait: bool) -> tuple[bool, bool]:
        """Everything once; whether all is over, and whether others are at what is left."""
        if not self._presence.beat():
            await self._begin_anew("its lease has run out")
        await self._look()
        await self._tools.places.tidy()
        self._take_over()
        self._may_take |= self._looking.turn()
        is_planned = self._plan()
        is_settled = self._books.is_due and self._books.settle()
        self._may_take |= is_settled
        is_closed = self._books.close()
        if self._books.took_failures():
            self._may_take |= reconciling.reconcile(self._tools.store) > 0
        is_taken = self._take()
        self._jobs.begin()
        if self._jobs.is_anything_under_way:
            if not await self._wait_for_jobs():
                self._may_take = True
            return False, False
        if is_planned or is_settled or is_closed or is_taken or self._books.is_waiting:
            self._pauses.went_on()
            return False, False
        return await self._pause(wait=wait)

    async def _wait_for_jobs(self) -> bool:
        """Until something has ended, or may be due."""
        tick = None
        if self._jobs.has_room and (self._tools.is_service or self._pauses.is_anything_queued()):
            tick = self._tools.outside.sleep(WAKE_S)
        return await self._jobs.wait(tick)

    async def _pause(self, *, wait: bool) -> tuple[bool, bool]:
        if self._leftovers.is_at_work:
            await asyncio.sleep(0)
            await self._leftovers.finish()
            return False, False
        self._may_take = True
        if self._looking.turn(at_once=True):
            return False, False
        if self._looking.is_at_work:
            await self._looking.wait()
            return False, False
        self._pauses.tell(self._looking.waited_for(self._blocked))
        is_in_vain = self._looking.is_unanswered(self._blocked)
        pause = self._pauses.next(wait=wait, is_looked_for=self._looking.is_awaited, is_in_vain=is_in_vain)
        if pause.seconds is None:
            return True, pause.is_busy
        await self._tools.outside.sleep(pause.seconds)
        self._tools.tally.tell()
        return False, False

    async def _look(self) -> None:
        news = self._asked.look()
        if news is not None:
            if news.is_restored:
                await self._begin_anew("the inventory was restored", is_restored=True)
            self._drop(news)
            self._greet(news)
            reconciling.reconcile(self._tools.store)
            self._asked.heard()
            self._may_take = True
        has_told = self._books.took_news()
        self._may_take |= self._rescue.requeue(has_news=has_told or news is not None)
        self._may_take |= self._expire()

    def _drop(self, news: News) -> None:
        """What the inventory does not ask for any more: count what was done, stop the rest, clean up."""
        if not news.gone:
            return
        # Who deletes replicas finds his claim fallen before the next file, and what he has done is looked at.
        ids = {request.id for request in news.gone if news.is_restored or request.kind is not RequestKind.REPLICAS}
        if not news.is_restored:
            self._books.settle()
        for request in news.gone:
            given_up = self._tools.queue.drop(request, now_us=self._tools.outside.clock())
            self._leftovers.begin(given_up, ours={job.batch.claim for job in self._jobs})
            _log.info("request given up", request=request.id, site=request.site)
        for job in self._jobs.cancel(lambda job: job.batch.request.id in ids):
            job.claimed.ends_early("its request was closed", is_lost=True)

    def _greet(self, news: News) -> None:
        for request in news.fresh:
            self._tools.tally.begin(request, self._tools.queue.counts(request))
        self._books.may_be_over(request.id for request in news.fresh)
        if news.fresh and not self._tools.is_service:
            self._rescue.requeue_all()

    def _plan(self) -> bool:
        planned = self._asked.plan()
        self._books.may_be_over(each.id for each in planned if each.is_planned)
        self._may_take |= bool(planned)
        return bool(planned)

    def _take_over(self) -> None:
        """What the dead had begun."""
        dead = self._rescue.bury()
        self._looking.are_over(dead.requeued)
        self._may_take |= bool(dead.requeued)
        for job in self._taker.take_up(dead.adopted, self._fence):
            self._jobs.add(job)

    def _expire(self) -> bool:
        """Deadlines that have passed."""
        now_us = self._tools.outside.clock()
        passed = {id for id, request in self._asked.known.items() if _is_late(request, now_us)} - self._expired
        self._expired = (self._expired & self._asked.known.keys()) | passed
        return self._rescue.expire(passed) if passed else False

    def _take(self) -> bool:
        """Claim what comes next; whether there was anything."""
        has_deletions = any(request.kind.is_deletion for request in self._asked.known.values())
        if not self._may_take or not (self._jobs.has_room or has_deletions):
            return False
        self._may_take = False
        with self._tools.store.snapshot() as view:
            sizes = self._columns.sizes(view, self._asked.deletions)
            chosen = self._scheduler.choose(
                view, sizes, self._presence.id, self._jobs.streams(), has_room=self._jobs.has_room
            )
        self._blocked = chosen.blocked
        self._rescue.give_back(chosen.adrift)
        self._leftovers.cancel(chosen.unwanted)
        is_anything = False
        for taken in self._taker.take(chosen, self._presence.id, self._fence):
            self._scheduler.charge(taken.jobs)
            for job in taken.jobs:
                self._jobs.add(job)
            self._books.decided(taken.decided)
            is_anything |= bool(taken)
        # What was decided may have made room for others, or be held only after what was claimed.
        self._may_take = is_anything
        return is_anything

    # ---- beginning anew -----------------------------------------------------------

    async def _begin_anew(self, why: str, *, is_restored: bool = False) -> None:
        """Nothing that is under way is ours any more. What was done counts as far as its claims still stand."""
        _log.warning("a worker begins anew", worker=self._presence.id, reason=why)
        await self._jobs.abandon(self._tools.settings.call_limit_s)
        if is_restored:
            self._books.forget()
            self._columns.forget()
        else:
            self._books.settle()
        self._register()
        self._books.may_be_over(self._asked.known)
        self._may_take = True

    def _register(self) -> None:
        self._presence.register()
        queue, id = self._tools.queue, self._presence.id
        self._fence = Fence(lambda wanted: queue.standing(wanted, id), self._presence.lease, self._tools.outside.sleep)


def _is_late(request: QueuedRequest, now_us: int) -> bool:
    return request.deadline_us is not None and request.deadline_us <= now_us
