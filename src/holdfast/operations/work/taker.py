"""Taker: claims what the scheduler chose, and makes jobs of it.

Rules
  * Copies and what is decided without a try are written in one transaction;
    deletions pass the check in theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
from holdfast.operations.work.scheduling import Next, WantedCopy, WantedDeletion
from holdfast.operations.work.worker_jobs import WorkerJob


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Jobs for what was claimed, and what was written down without a try."""

    jobs: Sequence[WorkerJob] = ()
    decided: Sequence[Decided] = ()

    def __bool__(self) -> bool:
        return bool(self.jobs or self.decided)


class Taker:
    """Takes for one worker."""

    def __init__(self, tools: Tools, asked: OpenRequests, preparing: Preparing, columns: KeptColumns) -> None:
        self._tools = tools
        self._asked = asked
        self._preparing = preparing
        self._columns = columns

    def take(self, chosen: Next, worker: str, fence: Fence) -> Iterator[TakenUp]:
        """Claim what is still to be had; each answer comes as soon as what it says stands."""
        if chosen.copies or chosen.decided:
            yield from self._take_copies(chosen.copies, chosen.decided, worker, fence)
        if chosen.deletions:
            yield from self._take_deletions(chosen.deletions, worker, fence)

    def take_up(self, adopted: Sequence[tuple[Batch, Route]], fence: Fence) -> list[WorkerJob]:
        """Go on with jobs at services that dead workers had begun."""
        if not adopted:
            return []
        with self._tools.store.snapshot() as view:
            return self._preparing.copies(view, adopted, self._asked.copies, fence)

    def _take_copies(
        self, wanted: Sequence[WantedCopy], decided: Iterable[Decided], worker: str, fence: Fence
    ) -> Iterator[TakenUp]:
        queue, outside = self._tools.queue, self._tools.outside
        with queue.write() as connection:
            taking = Taking(connection, queue, worker, now_us=outside.clock(), new_id=outside.new_id)
            routes = {id(each.wanted): each.route for each in wanted}
            taken = taking.take([each.wanted for each in wanted])
            written = taking.decide(decided)
        yield TakenUp(decided=written)
        if taken:
            steps.reach("copy.claimed")
            with self._tools.store.snapshot() as view:
                claimed = [(batch, routes[id(each)]) for each, batch in taken]
                jobs = self._preparing.copies(view, claimed, self._asked.copies, fence)
            yield TakenUp(jobs)

    def _take_deletions(self, wanted: Sequence[WantedDeletion], worker: str, fence: Fence) -> Iterator[TakenUp]:
        with self._tools.store.snapshot() as view:
            sizes = self._columns.sizes(view, self._asked.deletions)
            claims = DeletionClaims(self._tools, worker, self._asked.deletions, sizes)
            passed, decided = claims.claim([each.wanted for each in wanted])
        yield TakenUp(decided=decided)
        # Of one batch several pieces may be taken; all of them are at one site, at as many streams.
        ways = {(each.wanted.batch.request.number, each.wanted.batch.block): each for each in wanted}
        found = []
        for each in passed:
            way = ways[each.batch.request.number, each.batch.block]
            found.append((each, way.door, min(way.streams, each.batch.n_files)))
        if found:
            with self._tools.store.snapshot() as view:
                jobs = self._preparing.deletions(view, found, self._asked.deletions, fence)
            yield TakenUp(jobs)
