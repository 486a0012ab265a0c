"""Rows of the queue's tables as values, and the few statements that write them, always many at a time.

Statements of the driver, because building them out of expressions costs
several times what the database takes to carry them out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection

from holdfast.inventory.sql_many import fetched, joined, listed, mark
from holdfast.model.fileset import FileSet
from holdfast.model.names import DatasetKey
from holdfast.operations.batch import Batch, BatchState, Held, QueuedRequest, RequestKind
from holdfast.operations.batches import tables
from holdfast.operations.codes import Code

INSERT_ROWS = 500
"""Rows of one insert statement; SQLite allows 32,766 values in one."""
ERROR_CHARS = 1000
"""As much of an error as is kept."""
LEFT_MAX = 16
"""So many earlier claims are remembered; parts of older ones are found when the site is compared."""


class BatchRow(NamedTuple):
    """A row of the table of batches, in the order of its columns. ``id`` 0: not there yet."""

    id: int
    request: int
    block: str
    files: bytes
    n_files: int
    size: int
    state: str = BatchState.QUEUED
    attempts: int = 0
    not_before_us: int = 0
    held: str = ""
    code: str = ""
    error: str = ""
    since_us: int = 0
    worker: str = ""
    claim: str = ""
    source: str = ""
    engine: str = ""
    handle: str = ""
    left_behind: str = ""
    bad_sources: str = ""

    @property
    def fileset(self) -> FileSet:
        """The files."""
        return FileSet.from_bytes(self.files)

    def having(self, files: FileSet, size: int) -> BatchRow:
        """The same with other files."""
        return self._replace(files=files.to_bytes(), n_files=len(files), size=size)


BATCH = ",".join(f"operations_batch.{name}" for name in BatchRow._fields)
"""The columns of a batch, for a query."""
CONTENT = ("files", "n_files", "size")
_INSERTED = BatchRow._fields[1:]
REQUEST_COLUMNS = tuple(tables.request.columns.keys())
REQUEST = ",".join(f"operations_order.{name}" for name in REQUEST_COLUMNS)
"""The columns of a request, for a query."""


# ---- reading --------------------------------------------------------------------


def batches(connection: Connection, condition: str, values: tuple[Any, ...] = ()) -> list[BatchRow]:
    """The rows that fit a condition of the driver's own, in which "?" stands for a value; in no order."""
    query = f"SELECT {BATCH} FROM operations_batch WHERE {condition}".replace("?", mark(connection))
    return [*map(BatchRow._make, fetched(connection, query, values))]


def of_blocks(connection: Connection, blocks: Collection[tuple[int, str]]) -> list[BatchRow]:
    """All rows of these blocks of requests (by their numbers)."""
    states = ",".join(f"'{state}'" for state in BatchState)  # Named, so that the index serves.
    query = f"""SELECT {BATCH} FROM wanted CROSS JOIN operations_batch WHERE operations_batch.state IN ({states})
        AND operations_batch.request = wanted.request AND operations_batch.block = wanted.block"""
    return [*map(BatchRow._make, joined(connection, ("request", "block"), sorted(set(blocks)), query))]


def requests(connection: Connection, condition: str, values: tuple[Any, ...] = ()) -> list[QueuedRequest]:
    """The requests that fit a condition of the driver's own, oldest first."""
    query = f"SELECT {REQUEST} FROM operations_order WHERE {condition} ORDER BY operations_order.number"
    return [*map(request_of, fetched(connection, query.replace("?", mark(connection)), values))]


def numbered(connection: Connection, numbers: Iterable[int]) -> dict[int, QueuedRequest]:
    """Requests by their numbers."""
    found = chain.from_iterable(requests(connection, f"number IN ({some})") for some in listed(numbers))
    return {request.number: request for request in found}


def request_of(row: Sequence[Any]) -> QueuedRequest:
    """The value of a row of requests, in the order of its columns."""
    values: dict[str, Any] = dict(zip(REQUEST_COLUMNS, row, strict=True))
    name, version = values.pop("dataset_name"), values.pop("dataset_version")
    dataset = None if name is None else DatasetKey(name, version)
    values |= {flag: bool(values[flag]) for flag in ("is_planned", "is_closed", "is_replacing")}
    return QueuedRequest(kind=RequestKind(values.pop("kind")), dataset=dataset, **values)


def batch_of(row: BatchRow, request: QueuedRequest) -> Batch:
    """The value of a row of batches."""
    return Batch(
        row.id,
        request,
        row.block,
        FileSet.from_bytes(row.files),
        row.n_files,
        row.size,
        BatchState(row.state),
        row.attempts,
        row.not_before_us,
        Held(row.held),
        Code(row.code) if row.code else None,
        row.error,
        row.since_us,
        row.worker,
        row.claim,
        row.source,
        row.engine,
        row.handle,
        tuple(row.left_behind.split()),
        tuple(row.bad_sources.split()),
    )


def with_requests(connection: Connection, found: Sequence[BatchRow]) -> list[Batch]:
    """The values of rows of batches, in the order given."""
    known = numbered(connection, {row.request for row in found})
    return [batch_of(row, known[row.request]) for row in found]


# ---- writing --------------------------------------------------------------------


def insert(connection: Connection, new: Sequence[BatchRow]) -> None:
    """Add rows; their numbers are given by the database."""
    row_mark = f"({','.join([mark(connection)] * len(_INSERTED))})"
    for start in range(0, len(new), INSERT_ROWS):
        chunk = new[start : start + INSERT_ROWS]
        text = f"INSERT INTO operations_batch ({','.join(_INSERTED)}) VALUES {','.join([row_mark] * len(chunk))}"
        connection.exec_driver_sql(text, tuple(chain.from_iterable(row[1:] for row in chunk)))


def insert_one(connection: Connection, new: BatchRow) -> int:
    """Add a row; returns its number."""
    marks = ",".join([mark(connection)] * len(_INSERTED))
    text = f"INSERT INTO operations_batch ({','.join(_INSERTED)}) VALUES ({marks}) RETURNING id"
    return int(fetched(connection, text, new[1:])[0][0])


def change(connection: Connection, changed: Iterable[BatchRow], columns: Sequence[str]) -> None:
    """Write these columns of rows that are there."""
    values = [(*(getattr(row, name) for name in columns), row.id) for row in changed]
    if values:
        one = mark(connection)
        settings = ",".join(f"{name}={one}" for name in columns)
        connection.exec_driver_sql(f"UPDATE operations_batch SET {settings} WHERE id = {one}", values)


def remove(connection: Connection, ids: Iterable[int]) -> None:
    """Delete rows by their numbers."""
    for some in listed(ids):
        connection.exec_driver_sql(f"DELETE FROM operations_batch WHERE id IN ({some})")


def add_totals(connection: Connection, totals: Mapping[int, Mapping[str, int]]) -> None:
    """Add to the totals of requests: by number, by column."""
    by_columns: dict[tuple[str, ...], list[tuple[int, ...]]] = {}
    for number, amounts in totals.items():
        columns = tuple(name for name, amount in amounts.items() if amount)
        by_columns.setdefault(columns, []).append((*(amounts[name] for name in columns), number))
    one = mark(connection)
    for columns, values in by_columns.items():
        if columns:
            settings = ",".join(f"{name}={name}+{one}" for name in columns)
            connection.exec_driver_sql(f"UPDATE operations_order SET {settings} WHERE number = {one}", values)


# ---- values ---------------------------------------------------------------------


def words(text: str) -> str:
    """As much of what others say as is kept, in characters that every database can keep."""
    return text[:ERROR_CHARS].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def share(row: BatchRow, files: FileSet) -> int:
    """About how many bytes some of a batch's files have; exact if it is all of them."""
    return row.size * len(files) // row.n_files


def left_behind(row: BatchRow) -> str:
    """The claims that may have left something, once the present one is over: parts, or files that are gone untold."""
    known = row.left_behind.split()
    return " ".join([*known, *([row.claim] if row.claim and row.claim not in known else [])][-LEFT_MAX:])
