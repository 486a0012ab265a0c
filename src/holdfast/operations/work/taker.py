"""Taker: claims what the scheduler chose, and makes jobs of it.

Rules
  * Copies and what is decided without a try are written in one transaction;
    deletions pass the check in theirs.
  * Whoever was given something is charged with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast import logs
from holdfast.model import steps
from holdfast.operations.batch import Batch
from holdfast.operations.carrying.fence import Fence
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.carrying.taking import Decided, Taking
from holdfast.operations.deleting.claiming import DeletionClaims
from holdfast.operations.work.copying import Route
from holdfast.operations.work.kept_columns import KeptColumns
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.operations.work.preparing import Preparing
from holdfast.operations.work.scheduling import Next, Scheduler, WantedCopy, WantedDeletion
from holdfast.operations.work.worker_jobs import WorkerJob

_log = logs.get("operations")


class Taker:
    """Takes for one worker."""

    def __init__(
        self, tools: Tools, asked: OpenRequests, scheduler: Scheduler, preparing: Preparing, columns: KeptColumns
    ) -> None:
        self._tools = tools
        self._asked = asked
        self._scheduler = scheduler
        self._preparing = preparing
        self._columns = columns
        self.decided: list[Decided] = []
        """What was written down without a try, since the last time that somebody looked."""

    def take(self, chosen: Next, worker: str, fence: Fence) -> list[WorkerJob]:
        """Claim what is still to be had."""
        jobs: list[WorkerJob] = []
        if chosen.copies or chosen.decided:
            copies = self._take_copies(chosen.copies, chosen.decided, worker)
            if copies:
                steps.reach("copy.claimed")
                with self._tools.store.snapshot() as view:
                    jobs += self._preparing.copies(view, copies, self._asked.copies, fence)
        if chosen.deletions:
            jobs += self._take_deletions(chosen.deletions, worker, fence)
        for job in jobs:
            self._scheduler.served.charge(job.batch.request, job.batch.n_files, job.batch.size)
        return jobs

    def take_up(self, adopted: list[tuple[Batch, Route]], fence: Fence) -> list[WorkerJob]:
        """Go on with jobs at services that dead workers had begun."""
        if not adopted:
            return []
        with self._tools.store.snapshot() as view:
            return self._preparing.copies(view, adopted, self._asked.copies, fence)

    def _take_copies(
        self, wanted: Sequence[WantedCopy], decided: Iterable[Decided], worker: str
    ) -> list[tuple[Batch, Route]]:
        queue, outside = self._tools.queue, self._tools.outside
        with queue.write() as connection:
            taking = Taking(connection, queue, worker, now_us=outside.clock(), new_id=outside.new_id)
            links = {id(each.wanted): each.link for each in wanted}
            taken = taking.take([each.wanted for each in wanted])
            written = taking.decide(decided)
        self.decided += written
        return [(batch, links[id(each)]) for each, batch in taken]

    def _take_deletions(self, wanted: list[WantedDeletion], worker: str, fence: Fence) -> list[WorkerJob]:
        with self._tools.store.snapshot() as view:
            sizes = self._columns.sizes(view, self._asked.deletions)
            claims = DeletionClaims(self._tools, worker, self._asked.deletions, sizes)
            passed = claims.claim([each.wanted for each in wanted])
        self.decided += claims.decided
        # Of one batch several pieces may be taken; all of them are at one site, at as many streams.
        ways = {(each.wanted.batch.request.number, each.wanted.batch.block): each for each in wanted}
        found = []
        for each in passed:
            way = ways[each.batch.request.number, each.batch.block]
            found.append((each, way.door, min(way.streams, each.batch.n_files)))
        if not found:
            return []
        with self._tools.store.snapshot() as view:
            return self._preparing.deletions(view, found, self._asked.deletions, fence)
