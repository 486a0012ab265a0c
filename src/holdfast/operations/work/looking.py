"""Looking: what deletions had done with which nobody goes on is looked at, and those that are ending come to their end.

Every worker does it, whatever else it is there for: what is begun keeps copies
waiting, and a request that was cancelled open.

Rules
  * Looked at is what is begun (``batches.begun``) and will not be carried out by this worker in its turn.
  * Nothing is looked at while a call for it may still be carried out: where requests outlive who has sent them, that
    is for ``call_limit_s`` since we have seen it first. (A dead worker's claims are not given back before that.)
  * An interrupted look is nothing: the next one looks, whoever that is.
  * What could not be asked is asked again after UNANSWERED_S.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable

from holdfast import logs
from holdfast.model.errors import BrokenInvariant, DatabaseAway, HoldfastError, OutcomeUnknown
from holdfast.model.fileset import FileSet
from holdfast.model.names import DatasetKey
from holdfast.operations.batch import FINAL, Batch, BatchState, QueuedRequest
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.deleting import aftermath
from holdfast.operations.requesting import ending, reconciling
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.operations.work.worker_jobs import cancelled

LOOK_INTERVAL_S = 1.0
"""How often it is seen what there is to be looked at, while other things are under way."""
UNANSWERED_S = 30.0

_Key = tuple[int, tuple[str, ...]]

_log = logs.get("operations")


class Looking:
    """The looks of one worker."""

    def __init__(self, tools: Tools, asked: OpenRequests) -> None:
        self._tools = tools
        self._asked = asked
        self._task: asyncio.Task[bool] | None = None
        self._turn_s = -math.inf
        self._begun: list[Batch] = []
        self._ending: list[QueuedRequest] = []
        self._left: dict[int, dict[str, FileSet]] = {}
        """By request that is ending, what was claimed or begun of it when that was seen to last."""
        self._seen_s: dict[str, float] = {}
        """When each claim was first seen that may have deleted something."""
        self._asked_s: dict[_Key, float] = {}
        """When batches were last looked at, without an answer."""

    @property
    def is_at_work(self) -> bool:
        """Whether a look is under way."""
        return self._task is not None

    @property
    def is_awaited(self) -> bool:
        """Whether requests that we know of wait for a look that is still to come."""
        return any(
            batch.request.id in self._asked.known
            and (batch.request.ending or batch.state in FINAL)
            and _key(batch) not in self._asked_s
            for batch in self._begun
        )

    def is_unanswered(self, places: Collection[tuple[DatasetKey, str]]) -> bool:
        """Whether copies of these datasets to these sites wait for nothing but looks that had no answer."""
        begun = [batch for batch in self._begun if (batch.request.dataset, batch.request.site) in places]
        of_others = [batch for batch in begun if not self._is_carried_out(batch)]
        waited_for = {(batch.request.dataset, batch.request.site) for batch in of_others}
        return bool(places) and waited_for >= set(places) and all(_key(batch) in self._asked_s for batch in of_others)

    def are_over(self, batches: Iterable[Batch]) -> None:
        """The calls of these claims of the dead have been waited for."""
        self._seen_s |= {batch.claim: -math.inf for batch in batches if batch.claim}

    def turn(self, *, at_once: bool = False) -> bool:
        """See what there is, and begin what is due; whether anything has changed since the last time."""
        has_changed = self._collect()
        now_s = self._tools.outside.monotonic()
        if not (at_once or has_changed) and now_s - self._turn_s < LOOK_INTERVAL_S:
            return has_changed
        self._turn_s = now_s
        queue = self._tools.queue
        with queue.read() as connection:
            self._begun, self._ending = queue.begun(connection), queue.ending(connection)
            left = {request.number: queue.claimed(connection, request.number) for request in self._ending}
        claims = {claim for batch in self._begun for claim in batch.left}
        self._seen_s = {claim: self._seen_s.get(claim, now_s) for claim in claims}
        known = {_key(batch) for batch in self._begun}
        self._asked_s = {key: at_s for key, at_s in self._asked_s.items() if key in known}
        for request in self._ending:
            if self._left.get(request.number) != left[request.number]:
                has_changed |= ending.wind_down(self._tools.store, request)
        self._left = left
        due = [batch for batch in self._begun if self._is_due(batch)]
        if due and self._task is None:
            self._task = asyncio.ensure_future(self._look(due))
        if has_changed:
            reconciling.reconcile(self._tools.store)
        return has_changed

    async def wait(self) -> None:
        """Until the look that is under way has ended, for a while."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=LOOK_INTERVAL_S)

    async def abandon(self, limit_s: float) -> None:
        """Stop it, or leave it alone if it does not stop; what was not told yet is looked at by the next one."""
        task, self._task = self._task, None
        if task is not None:
            await cancelled([task], limit_s)

    def waited_for(self, places: Collection[tuple[DatasetKey, str]]) -> str:
        """What copies of these datasets to these sites wait for, in words; "" if there are none."""
        for batch in self._begun:
            request = batch.request
            if (request.dataset, request.site) in places and not self._is_carried_out(batch):
                wait_s = max(0.0, self._due_s(batch) - self._tools.outside.monotonic())
                when = f"in {wait_s:.0f} s" if wait_s else "now"
                told = f"waiting for deletion {request.id} at {request.site}, which somebody had begun"
                return f"{told}: it is looked at {when}"
        sites = ", ".join(sorted({site for _, site in places}))
        return f"waiting for a deletion of the same files at {sites}" if places else ""

    def _is_carried_out(self, batch: Batch) -> bool:
        """Whether deleting it again will tell."""
        request = batch.request
        if request.is_closed or request.ending or request.on_hold or request.id not in self._asked.known:
            return False
        return batch.state in (BatchState.QUEUED, BatchState.RETRY)

    def _is_due(self, batch: Batch) -> bool:
        return not self._is_carried_out(batch) and self._due_s(batch) <= self._tools.outside.monotonic()

    def _due_s(self, batch: Batch) -> float:
        """When it may be looked at, by our clock."""
        due_s = self._asked_s.get(_key(batch), -math.inf) + UNANSWERED_S
        if self._tools.places.outlives_caller(batch.site):
            first_s = max(self._seen_s.get(claim, math.inf) for claim in batch.left)
            due_s = max(due_s, first_s + self._tools.settings.call_limit_s)
        return due_s

    def _collect(self) -> bool:
        """Take in what has ended; raises bugs."""
        if self._task is None or not self._task.done():
            return False
        task, self._task = self._task, None
        return not task.cancelled() and task.result()

    async def _look(self, batches: Collection[Batch]) -> bool:
        """Look at these, one after the other; whether anything was told."""
        has_told = False
        store, queue = self._tools.store, self._tools.queue
        for batch in batches:
            self._asked_s[_key(batch)] = self._tools.outside.monotonic()
            try:
                looked = await aftermath.look(store, self._tools.places, batch)
                has_told |= bool(looked) and aftermath.tell(store, queue, batch, looked)
            except (DatabaseAway, OutcomeUnknown) as error:
                _log.warning("the database is away", reason=str(error))
            except BrokenInvariant:
                raise
            except HoldfastError as error:
                about = {"request": batch.request.id, "site": batch.site}
                _log.warning("what a deletion had done cannot be looked at", **about, reason=str(error))
        return has_told


def _key(batch: Batch) -> _Key:
    return batch.id, batch.left  # Numbers of batches are given again; with the claims, they are not.
