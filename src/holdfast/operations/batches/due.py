"""What waits: queued, due again, held. Functions on a connection.

Rules
  * Of a request that is on hold, or ending, nothing may be tried.
  * A wait that is longer than any wait lasts was noted under a clock that was ahead, and is over.
  * If more waits than is asked for, each request shows its first batches before any shows more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from sqlalchemy import Connection, func, select

from holdfast.inventory.sql_many import fetched, listed, mark
from holdfast.operations.batch import Batch, BatchState
from holdfast.operations.batches import joining, rows, tables
from holdfast.operations.batches.rows import BatchRow

_request = tables.request.c
_batch = tables.batch.c

_MAY_GO = "NOT operations_order.is_closed AND operations_order.on_hold = '' AND operations_order.ending = ''"
_OF_REQUEST = "operations_batch JOIN operations_order ON operations_order.number = operations_batch.request"
# The states by themselves, too, so that the index serves.
_DUE = "state IN ('queued', 'retry') AND (state = 'queued' OR not_before_us <= ? OR not_before_us > ?)"


def waiting(connection: Connection, *, now_us: int, wait_us_max: int, limit: int = 100_000) -> list[Batch]:
    """Batches of open requests, not on hold, that may be tried now; at most so many. By request, then by number."""
    moments = (now_us, now_us + wait_us_max)
    query = f"SELECT {rows.BATCH} FROM {_OF_REQUEST} WHERE {_MAY_GO} AND {_DUE}"
    found = _fetched(connection, f"{query} LIMIT {limit + 1}", moments)
    if len(found) > limit:
        turn = "ROW_NUMBER() OVER (PARTITION BY operations_batch.request ORDER BY operations_batch.id)"
        found = _fetched(connection, f"{query} ORDER BY {turn}, operations_batch.request LIMIT {limit}", moments)
    return rows.with_requests(connection, sorted(found, key=lambda row: (row.request, row.id)))


def _fetched(connection: Connection, query: str, values: tuple[int, ...]) -> list[BatchRow]:
    return [*map(BatchRow._make, fetched(connection, query.replace("?", mark(connection)), values))]


def next_due_us(
    connection: Connection, *, now_us: int, wait_us_max: int, only: Collection[int] | None = None
) -> int | None:
    """When the next batch of an open request, not on hold, may be tried: now, later, or None: nothing waits.

    ``only``: the numbers of the requests that are meant; None: all.
    """
    may_go = (_request.number == _batch.request) & _request.is_closed.is_(False)
    may_go &= (_request.on_hold == "") & (_request.ending == "")
    if only is not None:
        may_go &= _request.number.in_(sorted(only))
    first, last = func.min(_batch.not_before_us), func.max(_batch.not_before_us)
    if connection.scalar(select(_batch.id).where(may_go, _batch.state == BatchState.QUEUED).limit(1)) is not None:
        return now_us
    soonest, latest = connection.execute(select(first, last).where(may_go, _batch.state == BatchState.RETRY)).one()
    if soonest is None:
        return None
    return now_us if latest > now_us + wait_us_max else max(now_us, int(soonest))


def held(connection: Connection) -> list[Batch]:
    """Batches of open requests that are held, by request, then by number."""
    query = f"SELECT {rows.BATCH} FROM {_OF_REQUEST} WHERE NOT operations_order.is_closed AND state = 'held'"
    return rows.with_requests(
        connection, sorted(_fetched(connection, query, ()), key=lambda row: (row.request, row.id))
    )


def requeue(
    connection: Connection,
    ids: Collection[int],
    *,
    forget_sources: bool = False,
    but: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """What is held of these batches is queued again, with the tries that it has had.

    ``forget_sources``: sites that failed for good may be asked once more, ``but`` for one of a batch, by its id.
    """
    for some in listed(ids):
        found = rows.batches(connection, f"id IN ({some}) AND state = 'held'")
        if forget_sources:
            found = [row._replace(bad_sources=_only(but.get(row.id, ""), row.bad_sources)) for row in found]
        joining.queue_again(connection, found)


def _only(site: str, bad_sources: str) -> str:
    return site if site in bad_sources.split() else ""
