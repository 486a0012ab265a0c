"""Workers: who is at work on the queue, on whatever machine, and what becomes of the claims of the dead.

A worker is a row with a number, its beat, that it raises while it lives. When
it is dead, is for others to judge (``lease.Watch``).

Rules
  * Who was declared dead stays dead: it claims nothing more, its claims are not to be worked on, its beat fails.
  * What a dead worker had claimed is queued again, its claim known as one that may have left parts behind. A batch of
    which a call may still be carried out stays claimed, in everybody's way, until that is over.
  * A worker that goes of its own accord while it has claims stays, to be declared dead when its lease is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from sqlalchemy import Connection, delete, exists, insert, select, update

from holdfast.inventory.store import Store
from holdfast.operations.batch import Batch, Settled
from holdfast.operations.batches import claims, rows, tables

_worker = tables.worker.c
_batch = tables.batch.c


@dataclass(frozen=True, slots=True)
class NewWorker:
    """Who works. ``id`` is never used again."""

    id: str
    host: str
    pid: int
    lease_s: float


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as the others see it."""

    id: str
    host: str
    pid: int
    lease_s: float
    """After so long without a beat it is dead."""
    beat: int
    is_dead: bool
    """Declared dead; some of its claims are waited for."""
    seen_us: int = 0
    """When it beat last, by its own clock: for people to look at, nothing is decided by it."""


class Workers:
    """The workers on one store's queue."""

    def __init__(self, store: Store) -> None:
        self._room = store.room(tables.metadata)

    def register(self, worker: NewWorker, *, now_us: int = 0) -> None:
        """Be known as a worker; its lock file is held already (``WorkerFile``)."""
        values = {"id": worker.id, "host": worker.host, "pid": worker.pid, "lease_s": worker.lease_s}
        values |= {"seen_us": now_us}
        with self._room.write() as connection:
            connection.execute(insert(tables.worker).values(values))

    def beat(self, id: str, *, now_us: int = 0) -> bool:
        """Show a sign of life; False: it was declared dead."""
        mine = update(tables.worker).where(_worker.id == id, _worker.is_dead.is_(False))
        with self._room.write() as connection:
            return bool(connection.execute(mine.values(beat=_worker.beat + 1, seen_us=now_us)).rowcount)

    def gone(self, id: str) -> None:
        """A worker has ended its work."""
        has_claims = exists().where(_batch.worker != "", _batch.worker == id)
        with self._room.write() as connection:
            connection.execute(delete(tables.worker).where(_worker.id == id, ~has_claims))

    def known(self) -> list[WorkerRow]:
        """All that are known, by their ids."""
        columns = [tables.worker.columns[field.name] for field in fields(WorkerRow)]
        with self._room.read() as connection:
            return [WorkerRow(*row) for row in connection.execute(select(*columns).order_by(_worker.id))]

    @staticmethod
    def bury(
        connection: Connection, id: str, *, now_us: int, waits: Callable[[Batch], bool] = lambda batch: False
    ) -> list[Batch]:
        """Declare a worker dead and queue again what it had claimed; returns that, as it was claimed.

        ``waits``: whether a call for this batch may still be carried out. Such
        batches stay as they are; bury is called again later. When nothing is left
        the worker is forgotten. An id that nobody knows has nothing.
        """
        found = rows.with_requests(connection, sorted(rows.batches(connection, "worker <> '' AND worker = ?", (id,))))
        taken = [batch for batch in found if not waits(batch)]
        claims.settle(connection, [Settled(batch.claim, gives_back=True) for batch in taken], now_us=now_us)
        if len(taken) == len(found):
            connection.execute(delete(tables.worker).where(_worker.id == id))
        else:
            connection.execute(update(tables.worker).where(_worker.id == id).values(is_dead=True))
        return taken
