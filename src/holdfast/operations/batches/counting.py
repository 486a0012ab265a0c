"""How much of a request stands where, and what is wrong with it. Functions on a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, case, func, select

from holdfast.operations.batch import Batch, BatchState
from holdfast.operations.batches import rows, tables

_batch = tables.batch.c

_WORST_FIRST = (BatchState.FAILED, BatchState.HELD, BatchState.RETRY, BatchState.ACTIVE, BatchState.QUEUED)
"""What people should look at first; what was skipped comes last."""


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How many files of a request stand where, and their bytes. What is done stands in the request."""

    n_files: Mapping[BatchState, int] = field(default_factory=dict)
    sizes: Mapping[BatchState, int] = field(default_factory=dict)

    def files(self, *states: BatchState) -> int:
        """The number of files in ``states``."""
        return sum(self.n_files.get(state, 0) for state in states)

    def size(self, *states: BatchState) -> int:
        """The bytes of the files in ``states``."""
        return sum(self.sizes.get(state, 0) for state in states)


def counts(connection: Connection, number: int) -> FileCounts:
    """Of one request."""
    return _counts(connection, _batch.request == number).get(number, FileCounts())


def all_counts(connection: Connection) -> dict[int, FileCounts]:
    """Of all requests that have anything in the queue, by their numbers."""
    return _counts(connection)


def _counts(connection: Connection, *conditions: object) -> dict[int, FileCounts]:
    columns = (_batch.request, _batch.state, func.sum(_batch.n_files).label("n"), func.sum(_batch.size).label("bytes"))
    query = select(*columns).group_by(_batch.request, _batch.state)
    for condition in conditions:
        query = query.where(condition)  # type: ignore[arg-type]
    n_files: dict[int, dict[BatchState, int]] = {}
    sizes: dict[int, dict[BatchState, int]] = {}
    for number, state, n, size in connection.execute(query):
        n_files.setdefault(number, {})[BatchState(state)] = int(n)
        sizes.setdefault(number, {})[BatchState(state)] = int(size)
    return {number: FileCounts(found, sizes[number]) for number, found in n_files.items()}


def problems(connection: Connection, number: int, limit: int) -> list[Batch]:
    """Batches of a request of which a failure is known, the worst and newest first."""
    worst = case(
        {state: place for place, state in enumerate(_WORST_FIRST)}, value=_batch.state, else_=len(_WORST_FIRST)
    )
    wrong = (_batch.request == number) & ((_batch.error != "") | (_batch.held != ""))
    query = select(_batch.id).where(wrong).order_by(worst, _batch.since_us.desc(), _batch.id).limit(limit)
    ids = list(connection.scalars(query))
    found = rows.batches(connection, f"id IN ({','.join(map(str, ids))})") if ids else []
    place = {id: at for at, id in enumerate(ids)}
    return rows.with_requests(connection, sorted(found, key=lambda row: place[row.id]))
