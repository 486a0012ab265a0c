"""Queue: the tasks that are to be done, on disk, in the store's own turn.

Everything the executor must not forget goes through here, always many rows at
a time. SQL only: what to do, when and in which order is decided elsewhere.

Rules
  * A task is claimed by one executor at a time: the one that holds the lock
    (``lockfile.py``). Whoever starts finds every active task orphaned.
  * Claiming writes the token before anything is written at the destination,
    and a task keeps its token: whoever takes it up finds what was left behind.
  * Settling a try that is not the present one (another token, no longer
    active) changes nothing.
  * Reporting marks tasks in the transaction that tells the inventory.
  * A retry that would have to wait longer than any wait lasts was noted under
    a clock that was ahead, and is due at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, select, update

from holdfast.inventory.store import Store
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import CopyRequest
from holdfast.operations import tables
from holdfast.operations.plan import Batch
from holdfast.operations.task import Arrived, Counts, QueuedRequest, Settled, Task, TaskState

_task = tables.task.c
_request = tables.request.c

ERROR_CHARS = 1000
"""As much of an error as is kept with a task."""


class Left(NamedTuple):
    """Where a temporary part may be left."""

    site: str
    lfn: str
    token: str


class Queue:
    """The operations room's tables in one store."""

    def __init__(self, store: Store) -> None:
        self._room = store.room(tables.metadata)

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view of the queue."""
        return self._room.read()

    def write(self) -> AbstractContextManager[Connection]:
        """One transaction."""
        return self._room.write()

    # ---- requests ---------------------------------------------------------------

    def take_in(self, requests: Iterable[CopyRequest]) -> list[QueuedRequest]:
        """Know these open requests; returns them as queued, oldest first."""
        wanted = {request.id: request for request in requests}
        with self._room.read() as connection:
            known = self._requests(connection, wanted)
        new = [request for request in wanted.values() if request.id not in {each.id for each in known}]
        if not new:
            return known
        with self._room.write() as connection:
            tables.insert_new(connection, tables.request, [_request_row(request) for request in new])
            # Closed here, open there: the inventory was restored from before. Its word counts; plan anew.
            again = update(tables.request).where(_request.id == bindparam("known_id"), _request.is_closed)
            again = again.values(is_closed=False, is_planned=False, n_parts=0)
            connection.execute(again, [{"known_id": request.id} for request in new])
            return self._requests(connection, wanted)

    def known_open(self) -> list[QueuedRequest]:
        """Requests that are worked on, as far as the queue knows."""
        query = select(tables.request).where(_request.is_closed.is_(False)).order_by(_request.number)
        with self._room.read() as connection:
            return [_queued_request(row) for row in connection.execute(query)]

    def _requests(self, connection: Connection, ids: Collection[str]) -> list[QueuedRequest]:
        # Open requests are few; asking by id would need a list of parameters without bound.
        query = select(tables.request).where(_request.is_closed.is_(False)).order_by(_request.number)
        return [_queued_request(row) for row in connection.execute(query) if row.id in ids]

    def add(self, request: QueuedRequest, batch: Batch) -> QueuedRequest:
        """Write a batch of planned tasks and how far the plan has come."""
        rows = [_task_row(request.number, task) for task in batch.tasks]
        with self._room.write() as connection:
            tables.insert_new(connection, tables.task, rows)
            n_files, size = connection.execute(
                select(func.count(), func.coalesce(func.sum(_task.size), 0)).where(_task.request == request.number)
            ).one()
            values = {"n_parts": batch.n_parts, "is_planned": batch.is_last, "n_files": n_files, "size": size}
            connection.execute(update(tables.request).where(_request.number == request.number).values(values))
            row = connection.execute(select(tables.request).where(_request.number == request.number)).one()
            return _queued_request(row)

    def drop(self, request: QueuedRequest, *, done_too: bool = False) -> list[Left]:
        """Forget what is queued for a request that others have closed; returns what may be left of it.

        What is done stays to be reported, except with ``done_too``: where the
        inventory knows of no such request.
        """
        states = [TaskState.QUEUED, TaskState.ACTIVE, *([TaskState.DONE] if done_too else [])]
        going = (_task.request == request.number) & _task.state.in_(states)
        query = select(_task.lfn, _task.token).where(going, _task.token != "", _task.state != TaskState.DONE)
        with self._room.write() as connection:
            left = [Left(request.site, row.lfn, row.token) for row in connection.execute(query.order_by(_task.id))]
            connection.execute(delete(tables.task).where(going))
            close(connection, request.number)
        return left

    # ---- tasks ------------------------------------------------------------------

    def recover(self) -> list[Left]:
        """Queue again what a dead executor had claimed; returns what may be left of it."""
        active = _task.state == TaskState.ACTIVE
        query = select(_request.site, _task.lfn, _task.token).join(tables.request, _request.number == _task.request)
        with self._room.write() as connection:
            rows = connection.execute(query.where(active).order_by(_task.id))
            left = [Left(row.site, row.lfn, row.token) for row in rows]
            if left:
                connection.execute(update(tables.task).where(active).values(state=TaskState.QUEUED))
        return left

    def again(self, ids: Collection[int]) -> None:
        """These files were done and are not there any more: queue them again, if anybody still asks for them."""
        done = (_task.id == bindparam("task_id")) & (_task.state == TaskState.DONE)
        closed = select(_request.number).where(_request.is_closed)
        rows = [{"task_id": id} for id in ids]
        if rows:
            with self._room.write() as connection:
                connection.execute(delete(tables.task).where(done, _task.request.in_(closed)), rows)
                connection.execute(update(tables.task).where(done).values(state=TaskState.QUEUED), rows)

    def due(
        self, connection: Connection, request: QueuedRequest, *, now_us: int, wait_us_max: int, limit: int
    ) -> list[Row[Any]]:
        """Queued tasks of a request that may be tried now, longest due first."""
        queued = (_task.request == request.number) & (_task.state == TaskState.QUEUED)
        query = select(tables.task).order_by(_task.not_before_us, _task.id)
        found = list(connection.execute(query.where(queued, _task.not_before_us <= now_us).limit(limit)))
        if len(found) < limit:
            # Apart from the others, so that each query walks the index and stops.
            beyond = query.where(queued, _task.not_before_us > now_us + wait_us_max)
            found += connection.execute(beyond.limit(limit - len(found)))
        return found

    def next_due_us(self, requests: Iterable[QueuedRequest], *, now_us: int, wait_us_max: int) -> int | None:
        """When the first queued task of these requests is due; None if nothing is queued."""
        first, last = func.min(_task.not_before_us), func.max(_task.not_before_us)
        moments: list[int] = []
        with self._room.read() as connection:
            for request in requests:
                # A query for each end: SQLite looks up one of them in the index, but walks it all for both.
                queued = (_task.request == request.number) & (_task.state == TaskState.QUEUED)
                moment = connection.scalar(select(first).where(queued))
                if moment is None:
                    continue
                if moment > now_us and connection.scalar(select(last).where(queued)) > now_us + wait_us_max:
                    moment = now_us
                moments.append(moment)
        return min(moments, default=None)

    def claim(
        self, connection: Connection, rows: Sequence[tuple[QueuedRequest, Row[Any]]], new_token: Callable[[], str]
    ) -> list[Task]:
        """Make tasks found by ``due`` active, each with a token."""
        tasks = [_claimed(request, row, row.token or new_token()) for request, row in rows]
        if tasks:
            change = update(tables.task).where(_task.id == bindparam("task_id"))
            change = change.values(state=TaskState.ACTIVE, token=bindparam("task_token"))
            connection.execute(change, [{"task_id": task.id, "task_token": task.token} for task in tasks])
        return tasks

    def settle(self, connection: Connection, results: Sequence[Settled]) -> None:
        """Write down what tries have led to."""
        if results:
            change = update(tables.task).where(
                _task.id == bindparam("task_id"),
                _task.token == bindparam("task_token"),
                _task.state == TaskState.ACTIVE,
            )
            columns = ("state", "attempts", "not_before_us", "source", "error", "verified_us")
            connection.execute(
                change.values({name: bindparam(f"new_{name}") for name in columns}), [*map(_settled_row, results)]
            )

    def is_live_part(self, token: str) -> bool:
        """Whether a temporary part of this name belongs to a task that is not over."""
        over = _task.state.in_((TaskState.REPORTED, TaskState.FAILED))
        with self._room.read() as connection:
            return bool(connection.scalar(select(exists().where(_task.token == token, ~over))))

    # ---- results ----------------------------------------------------------------

    def arrived(self, limit: int, *, after: int = 0) -> list[Arrived]:
        """Tasks that are done and not reported, from the one behind ``after`` on, in the order of their blocks."""
        query = (
            select(tables.task, _request.id.label("request_id"), _request.dataset_name, _request.dataset_version)
            .add_columns(_request.site)
            .join(tables.request, _request.number == _task.request)
            .where(_task.state == TaskState.DONE, _task.id > after)
            .order_by(_task.id)
            .limit(limit)
        )
        with self._room.read() as connection:
            return [_arrived(row) for row in connection.execute(query)]

    def counts(self, request: QueuedRequest) -> Counts:
        """How many tasks of a request stand where."""
        query = (
            select(_task.state, func.count().label("n_files"), func.sum(_task.size).label("size"))
            .where(_task.request == request.number)
            .group_by(_task.state)
        )
        with self._room.read() as connection:
            rows = connection.execute(query).all()
        return Counts(
            {TaskState(row.state): row.n_files for row in rows}, {TaskState(row.state): int(row.size) for row in rows}
        )

    def is_idle(self, request: QueuedRequest) -> bool:
        """Whether nothing of a request is left to try."""
        undone = _task.state.in_((TaskState.QUEUED, TaskState.ACTIVE))
        with self._room.read() as connection:
            return not connection.scalar(select(exists().where(_task.request == request.number, undone)))

    def problems(self, request: QueuedRequest, limit: int = 20) -> list[tuple[str, TaskState, str]]:
        """Files of a request whose last try failed: LFN, state and error."""
        query = select(_task.lfn, _task.state, _task.error).where(_task.request == request.number, _task.error != "")
        with self._room.read() as connection:
            rows = connection.execute(query.order_by(_task.id).limit(limit)).all()
        return [(row.lfn, TaskState(row.state), row.error) for row in rows]

    def find(self, id: str) -> QueuedRequest | None:
        """A request by its id, closed ones too; None if the queue has never seen it."""
        with self._room.read() as connection:
            row = connection.execute(select(tables.request).where(_request.id == id)).one_or_none()
        return None if row is None else _queued_request(row)


def mark_reported(connection: Connection, ids: Iterable[int]) -> None:
    """The inventory knows these files now."""
    _mark(connection, ids, TaskState.REPORTED, "")


def mark_refused(connection: Connection, ids: Iterable[int], error: str) -> None:
    """The inventory will not have these files."""
    _mark(connection, ids, TaskState.FAILED, error)


def _mark(connection: Connection, ids: Iterable[int], state: TaskState, error: str) -> None:
    change = update(tables.task).where(_task.id == bindparam("task_id"), _task.state == TaskState.DONE)
    rows = [{"task_id": id} for id in ids]
    if rows:
        connection.execute(change.values(state=state, error=error[:ERROR_CHARS]), rows)


def close(connection: Connection, number: int) -> None:
    """A request has its outcome: keep it and what failed, forget the rest."""
    over = (_task.request == number) & (_task.state == TaskState.REPORTED)
    connection.execute(delete(tables.task).where(over))
    connection.execute(update(tables.request).where(_request.number == number).values(is_closed=True))


def _request_row(request: CopyRequest) -> dict[str, Any]:
    name, version = request.dataset
    return {"id": request.id, "dataset_name": name, "dataset_version": version, "site": request.site}


def _task_row(number: int, task: Any) -> dict[str, Any]:
    return {
        "request": number,
        "block": task.block,
        "ordinal": task.ordinal,
        "lfn": task.lfn,
        "size": task.size,
        "checksums": " ".join(f"{algorithm}:{digest}" for algorithm, digest in task.checksums.items()),
        "state": TaskState.QUEUED,
    }


def _settled_row(result: Settled) -> dict[str, Any]:
    return {
        "task_id": result.task.id,
        "task_token": result.task.token,
        "new_state": result.state,
        "new_attempts": result.attempts,
        "new_not_before_us": result.not_before_us,
        "new_source": result.source,
        "new_error": result.error[:ERROR_CHARS],
        "new_verified_us": result.verified_us,
    }


def _queued_request(row: Row[Any]) -> QueuedRequest:
    return QueuedRequest(
        number=row.number,
        id=row.id,
        dataset=DatasetKey(row.dataset_name, row.dataset_version),
        site=row.site,
        n_parts=row.n_parts,
        is_planned=row.is_planned,
        n_files=row.n_files,
        size=int(row.size),
    )


def _claimed(request: QueuedRequest, row: Row[Any], token: str) -> Task:
    checksums = dict(pair.split(":", 1) for pair in row.checksums.split())
    return Task(
        id=row.id,
        request=request,
        block=row.block,
        ordinal=row.ordinal,
        lfn=row.lfn,
        size=row.size,
        checksums=checksums,
        attempts=row.attempts,
        token=token,
    )


def _arrived(row: Row[Any]) -> Arrived:
    return Arrived(
        id=row.id,
        request=row.request_id,
        block=BlockKey(DatasetKey(row.dataset_name, row.dataset_version), row.block),
        ordinal=row.ordinal,
        lfn=row.lfn,
        site=row.site,
        size=row.size,
        verified_us=row.verified_us,
    )
