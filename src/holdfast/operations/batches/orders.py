"""The requests that are worked on: known, planned step by step, given up, closed. Functions on a connection.

Rules
  * A step that was planned from another point than the present one, or before files were withdrawn, adds nothing.
  * A file that is in a batch already is not added again.
  * Of requests that are closed, only the newest CLOSED_MAX are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from holdfast.model.fileset import FileSet
from holdfast.model.records import CopyRequest, Request
from holdfast.operations.batch import FINAL, Batch, BatchState, NewBatch, QueuedRequest, RequestKind
from holdfast.operations.batches import joining, rows, tables, unwanted
from holdfast.operations.batches.rows import BatchRow

CLOSED_MAX = 10_000

_request = tables.request.c
_batch = tables.batch.c

_UNPLANNED: Mapping[str, Any] = {"planned_to": "", "is_planned": False}
_NOTHING: Mapping[str, int] = {"n_files": 0, "size": 0, "n_done": 0, "size_done": 0, "n_found": 0}


def known(connection: Connection, *, only_open: bool = True) -> list[QueuedRequest]:
    """The requests, oldest first."""
    return rows.requests(connection, "NOT is_closed" if only_open else "number > 0")


def find(connection: Connection, id: str) -> QueuedRequest | None:
    """A request by its id, closed ones too; None if the queue has never seen it."""
    return next(iter(rows.requests(connection, "id = ?", (id,))), None)


def take_in(connection: Connection, wanted: Sequence[Request]) -> None:
    """Know these open requests. Those that are known as closed begin anew: an inventory from before was restored."""
    seen = {known.id: known for known in _named(connection, [request.id for request in wanted])}
    # What is open here, too, another worker has taken in a moment ago.
    again = [known.number for known in seen.values() if known.is_closed]
    if again:
        connection.execute(delete(tables.batch).where(_batch.request.in_(again)))
        anew = {**_UNPLANNED, **_NOTHING, "plan": _request.plan + 1, "on_hold": "", "ending": "", "is_closed": False}
        connection.execute(update(tables.request).where(_request.number.in_(again)).values(anew))
    new = [_row(request) for request in wanted if request.id not in seen]
    if new:
        connection.execute(insert(tables.request), new)
        _forget_closed(connection)


def _named(connection: Connection, ids: Sequence[str]) -> Iterator[QueuedRequest]:
    for start in range(0, len(ids), rows.INSERT_ROWS):
        some = tuple(ids[start : start + rows.INSERT_ROWS])
        yield from rows.requests(connection, f"id IN ({','.join('?' * len(some))})", some)


def _forget_closed(connection: Connection) -> None:
    newest = select(_request.number).where(_request.is_closed).order_by(_request.number.desc())
    last = connection.scalar(newest.offset(CLOSED_MAX).limit(1))
    if last is not None:
        going = select(_request.number).where(_request.is_closed, _request.number <= last)
        connection.execute(delete(tables.batch).where(_batch.request.in_(going)))
        connection.execute(delete(tables.request).where(_request.is_closed, _request.number <= last))


def _row(request: Request) -> dict[str, Any]:
    kind = (
        RequestKind.COPY
        if isinstance(request, CopyRequest)
        else RequestKind.REPLICAS
        if request.dataset
        else RequestKind.ORPHANS
    )
    name, version = request.dataset or (None, None)
    return {
        "id": request.id,
        "kind": kind,
        "dataset_name": name,
        "dataset_version": version,
        "site": request.site,
        "owner": request.owner,
        "priority": request.priority,
        "deadline_us": request.deadline_us if isinstance(request, CopyRequest) else None,
        "created_us": request.created_us,
        "is_replacing": isinstance(request, CopyRequest) and request.replace,
    }


def add(
    connection: Connection, request: QueuedRequest, batches: Iterable[NewBatch], planned_to: str, *, is_last: bool
) -> QueuedRequest:
    """Write a step of a plan; returns the request as it is then."""
    now = rows.numbered(connection, [request.number]).get(request.number)
    if (
        now is None
        or now.is_closed
        or now.is_planned
        or (now.plan, now.planned_to) != (request.plan, request.planned_to)
    ):
        return now or request
    new = _put(connection, now.number, batches)
    planned = {"planned_to": planned_to, "is_planned": is_last}
    planned |= {
        "n_files": now.n_files + sum(row.n_files for row in new),
        "size": now.size + sum(row.size for row in new),
    }
    connection.execute(update(tables.request).where(_request.number == now.number).values(planned))
    return rows.numbered(connection, [now.number])[now.number]


def add_again(connection: Connection, id: str, batches: Iterable[NewBatch]) -> int:
    """Queue what an open copy still lacks behind the point to which it is planned; returns how many files that are.

    They were brought, or there when it was planned, and are not there any more.
    """
    now = find(connection, id)
    if now is None or now.is_closed:
        return 0
    new = _put(connection, now.number, [each for each in batches if now.is_planned or each.block <= now.planned_to])
    n_files = sum(row.n_files for row in new)
    rows.add_totals(connection, {now.number: {"n_files": n_files, "size": sum(row.size for row in new)}})
    return n_files


def has_all(connection: Connection, id: str, batches: Iterable[NewBatch]) -> bool:
    """Whether there would be nothing to add again: all of these files are in batches, or will be."""
    now = find(connection, id)
    if now is None or now.is_closed:
        return True
    new = _rows(now.number, [each for each in batches if now.is_planned or each.block <= now.planned_to])
    return not _without(new, rows.of_blocks(connection, {(row.request, row.block) for row in new}))


def _put(connection: Connection, number: int, batches: Iterable[NewBatch]) -> list[BatchRow]:
    """Add what is in no batch of the request; returns it."""
    new = _rows(number, batches)
    there = rows.of_blocks(connection, {(row.request, row.block) for row in new})
    new = _without(new, there)
    joining.put(connection, new, there=there)
    return new


def _rows(number: int, batches: Iterable[NewBatch]) -> list[BatchRow]:
    return [BatchRow(0, number, each.block, each.files.to_bytes(), len(each.files), each.size) for each in batches]


def _without(new: Iterable[BatchRow], there: Iterable[BatchRow]) -> list[BatchRow]:
    """What is new, without the files that are there."""
    by_block: dict[str, list[BatchRow]] = {}
    for row in there:
        by_block.setdefault(row.block, []).append(row)
    left = []
    for row in new:
        files, size = row.fileset, row.size
        for other in by_block.get(row.block, ()):
            both = files & other.fileset
            # Exact where all of the other's files are asked for, as they are but for what was withdrawn meanwhile.
            size -= other.size if both == other.fileset else rows.share(other, both)
            files -= both
        if files:
            left.append(row.having(files, max(0, size)))
    return left


def end(connection: Connection, number: int, why: str) -> None:
    """Nothing more of a deletion is planned or claimed: it was cancelled when it had begun."""
    values = {"ending": rows.words(why) or "cancelled", "is_planned": True, "plan": _request.plan + 1}
    connection.execute(update(tables.request).where(_request.number == number, _request.ending == "").values(values))


def drop(connection: Connection, number: int, *, now_us: int) -> list[Batch]:
    """Others have closed a request: forget its batches; returns those that may have left something behind.

    What was begun of a deletion of replicas is not forgotten: it may be gone, and nobody has told (``begun``).
    """
    gone = rows.batches(connection, "request = ? AND (claim <> '' OR left_behind <> '')", (number,))
    unwanted.note(connection, gone, now_us=now_us)
    left = rows.with_requests(connection, sorted(gone))
    of_request = _batch.request == number
    if any(each.request.kind is RequestKind.REPLICAS for each in left):
        of_request &= (_batch.claim == "") & (_batch.left_behind == "")
    connection.execute(delete(tables.batch).where(of_request))
    connection.execute(update(tables.request).where(_request.number == number).values(is_closed=True))
    return left


def close(connection: Connection, number: int) -> None:
    """A request has its outcome: keep it and what failed, forget the rest."""
    over = (_batch.request == number) & _batch.state.not_in(FINAL)
    connection.execute(delete(tables.batch).where(over))
    connection.execute(update(tables.request).where(_request.number == number).values(is_closed=True))


def is_idle(connection: Connection, number: int) -> bool:
    """Whether a request is planned to its end and nothing of it is left to try, nor to be looked at (``begun``)."""
    return number in idle(connection, [number])


def idle(connection: Connection, numbers: Sequence[int]) -> set[int]:
    """Those of some requests that are planned to their end, and of which nothing is left."""
    is_undone = _batch.state.not_in(FINAL)
    is_begun = (_request.kind == RequestKind.REPLICAS) & (_batch.left_behind != "")
    is_busy = exists().where(_batch.request == _request.number, is_undone | is_begun)
    found: set[int] = set()
    for start in range(0, len(numbers), rows.INSERT_ROWS):
        some = numbers[start : start + rows.INSERT_ROWS]
        query = select(_request.number).where(_request.number.in_(some), _request.is_planned, ~is_busy)
        found.update(connection.scalars(query))
    return found


def withdraw(connection: Connection, number: int, files: Mapping[str, FileSet]) -> dict[str, FileSet]:
    """Take files out that nobody has claimed, by their blocks; returns those that were there.

    What is claimed stays (``claimed`` tells), and what was of a deletion, for it may be gone. Steps that were planned
    before add nothing any more. Of what was taken nothing is known any more, and its bytes are those of its share of a
    batch.
    """
    taken: dict[str, FileSet] = {}
    left: list[BatchRow] = []
    n_files = size = 0
    request = rows.numbered(connection, [number]).get(number)
    is_deletion = request is not None and request.kind.is_deletion
    for row in rows.of_blocks(connection, [(number, block) for block in files]):
        going = row.fileset & files[row.block]
        if going and row.state != BatchState.ACTIVE and not (is_deletion and row.left_behind):
            left.append(row.having(row.fileset - going, row.size - rows.share(row, going)))
            taken[row.block] = taken.get(row.block, FileSet()) | going
            n_files, size = n_files + len(going), size + rows.share(row, going)
    rows.remove(connection, [row.id for row in left if not row.n_files])
    rows.change(connection, [row for row in left if row.n_files], rows.CONTENT)
    rows.add_totals(connection, {number: {"n_files": -n_files, "size": -size}})
    connection.execute(update(tables.request).where(_request.number == number).values(plan=_request.plan + 1))
    return taken
