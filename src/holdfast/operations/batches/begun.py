"""Begun: files of deletions of replicas that may be gone, of which nobody has told. Functions on a connection.

Whoever claims a batch may have deleted of it when he dies, loses the claim or is
told to stop. Until somebody has looked, such files stand here, whatever has
become of their request: nobody takes them back, and nobody counts them as a copy.

Rules
  * A batch that is not claimed and has been is begun. Deleting it again, or a look at the storage, ends that.
  * A look counts only if the batch is still as it was seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from holdfast.inventory.sql_many import fetched
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import Batch, BatchState, QueuedRequest, RequestKind
from holdfast.operations.batches import joining, rows
from holdfast.operations.batches.rows import BatchRow


def begun(connection: Connection) -> list[Batch]:
    """All that is begun and not claimed, of closed requests, too; by request, then by number."""
    query = f"""SELECT {rows.BATCH} FROM operations_batch
        JOIN operations_order ON operations_order.number = operations_batch.request
        WHERE operations_batch.left_behind <> '' AND operations_batch.state <> '{BatchState.ACTIVE}'
        AND operations_order.kind = '{RequestKind.REPLICAS}'"""
    found = [*map(BatchRow._make, fetched(connection, query, ()))]
    return rows.with_requests(connection, sorted(found, key=lambda row: (row.request, row.id)))


def ending(connection: Connection) -> list[QueuedRequest]:
    """The open requests that are to be closed as soon as it is known what has gone, oldest first."""
    return rows.requests(connection, "NOT is_closed AND ending <> ''")


def looked(connection: Connection, batch: Batch, gone: FileSet, there: FileSet, *, sizes: Mapping[int, int]) -> bool:
    """Somebody has looked: what is gone is done, what is there is as if never begun. ``sizes``: by ordinal.

    What is in neither could not be asked and stays. False, and nothing changed: the batch is not as it was any more.
    """
    row = next(iter(rows.batches(connection, "id = ?", (batch.id,))), None)
    if row is None or row.state == BatchState.ACTIVE or rows.batch_of(row, batch.request) != batch:
        return False
    size_gone, size_there = (sum(sizes.get(ordinal, 0) for ordinal in files) for files in (gone, there))
    rest = row.fileset - gone - there
    left = row.having(rest, max(0, row.size - size_gone - size_there) if rest else 0)
    if rest:
        rows.change(connection, [left], rows.CONTENT)
    else:
        rows.remove(connection, [row.id])
    if there and not rows.numbered(connection, [row.request])[row.request].is_closed:
        joining.put(connection, [row.having(there, size_there)._replace(id=0, left_behind="")])
    more = size_gone + size_there + left.size - row.size
    done = {"n_done": len(gone), "n_found": len(gone), "size_done": size_gone, "size": more}
    rows.add_totals(connection, {batch.request.number: done})
    return True
