"""Tell the inventory what has arrived, and close requests of which nothing is left to try.

One transaction a batch: files arrived, tasks marked as reported and, with the
last of them, the outcome of the request.

Rules
  * The inventory learns of a file only after its task is done on disk; a crash
    in between reports it again, which changes nothing.
  * A request is closed only once it is planned to its end and none of its
    tasks is queued, active or unreported.
  * What the inventory refuses in a batch is tried alone; what it refuses alone
    becomes a failed task, and holds nothing else up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection

from holdfast import logs
from holdfast.inventory.store import Store
from holdfast.model import steps
from holdfast.model.changes import Change, ChangeSet, CloseRequest, FilesArrived
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.names import BlockKey
from holdfast.model.records import RequestState
from holdfast.operations.queue import Queue, close, mark_refused, mark_reported
from holdfast.operations.task import Arrived, QueuedRequest, TaskState

BATCH_FILES = 10_000
ACTOR = "operations"

_log = logs.get("operations")


class Reporter:
    """Carries results from the queue to the inventory."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue

    def report(self, requests: Collection[QueuedRequest]) -> list[QueuedRequest]:
        """Report all that is done and close what can be; returns the requests that were closed."""
        while True:
            arrived = self._queue.arrived(BATCH_FILES)
            is_last = len(arrived) < BATCH_FILES
            closing = [request for request in requests if is_last and self._may_close(request)]
            if arrived or closing:
                self._commit(arrived, closing)
            if is_last:
                return closing

    def _may_close(self, request: QueuedRequest) -> bool:
        return request.is_planned and self._queue.is_idle(request)

    def _commit(self, arrived: Sequence[Arrived], closing: Sequence[QueuedRequest]) -> None:
        changes: list[Change] = [_change(group) for group in _groups(arrived)]
        changes += [self._outcome(request) for request in closing]

        def also(connection: Connection) -> None:
            mark_reported(connection, [each.id for each in arrived])
            for request in closing:
                close(connection, request.number)

        try:
            self._send(changes, also, [*(each.request for each in arrived), *(request.id for request in closing)])
        except (Conflict, BadInput):
            self._one_by_one(arrived, closing)

    def _one_by_one(self, arrived: Sequence[Arrived], closing: Sequence[QueuedRequest]) -> None:
        for group in _groups(arrived):
            ids = [each.id for each in group]
            try:
                self._send([_change(group)], partial(mark_reported, ids=ids), [each.request for each in group])
            except (Conflict, BadInput) as error:
                _log.warning("the inventory refuses what has arrived", block=str(group[0].block), error=str(error))
                with self._queue.write() as connection:
                    mark_refused(connection, ids, f"the inventory refuses it: {error}")
        for request in closing:
            try:
                self._send([self._outcome(request)], partial(close, number=request.number), [request.id])
            except (Conflict, BadInput):
                # Somebody has closed it meanwhile; his word stands.
                self._queue.drop(request)

    def _send(self, changes: Sequence[Change], also: Callable[[Connection], None], requests: Iterable[str]) -> None:
        first, *others = dict.fromkeys(requests)
        cause = f"copy {first}" + (f" and {len(others)} more" if others else "")
        self._store.commit(ChangeSet(tuple(changes), actor=ACTOR, cause=cause), also=also)
        steps.reach("copy.reported")
        for change in changes:
            if isinstance(change, CloseRequest):
                _log.info("request closed", request=change.id, state=change.state.value, detail=change.detail)

    def _outcome(self, request: QueuedRequest) -> CloseRequest:
        counts = self._queue.counts(request)
        failed = counts.files(TaskState.FAILED)
        good = (TaskState.DONE, TaskState.REPORTED)
        detail = f"{counts.files(*good)} files, {counts.size(*good)} bytes"
        if not failed:
            return CloseRequest(request.id, RequestState.DONE, detail)
        lfn, _, error = next(
            (each for each in self._queue.problems(request) if each[1] is TaskState.FAILED), ("", None, "")
        )
        return CloseRequest(request.id, RequestState.FAILED, f"{detail}; {failed} failed, first {lfn}: {error}")


def _groups(arrived: Iterable[Arrived]) -> list[list[Arrived]]:
    """By block and site, in the order of their first file."""
    groups: dict[tuple[BlockKey, str], list[Arrived]] = {}
    for each in arrived:
        groups.setdefault((each.block, each.site), []).append(each)
    return list(groups.values())


def _change(group: Sequence[Arrived]) -> FilesArrived:
    ordinals = tuple(sorted({each.ordinal for each in group}))
    # The oldest proof among them: younger would be claiming too much.
    return FilesArrived(group[0].block, group[0].site, ordinals, min(each.verified_us for each in group))
