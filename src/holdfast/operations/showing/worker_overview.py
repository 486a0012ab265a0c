"""Worker overview: who is at work on what, and who has not been seen for long. Reads, never writes.

For people only: moments of several machines are compared here, by which
nothing is decided (``batches.lease`` does that, without).

Rules
  * Of this machine the lock file of a worker tells whether it lives.
  * Of other machines, and where there is no such file, one that has not been
    seen for its lease counts as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.inventory.store import Store
from holdfast.model.clock import SECOND_US
from holdfast.operations.batch import Batch
from holdfast.operations.batches.queue import Queue
from holdfast.operations.batches.workers import WorkerRow, Workers

IsAlive = Callable[[WorkerRow], bool | None]
"""Whether a worker of this machine lives; None: not to be seen from here."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker, and what it has claimed."""

    id: str
    host: str
    pid: int
    seen_us: int | None
    """When it showed a sign of life last, by its own clock."""
    unseen_s: float | None
    """For how long it has shown none, by ours; None: not known."""
    is_lost: bool
    """It is dead, or not seen for its lease: others take over what it has claimed."""
    n_batches: int = 0
    n_files: int = 0
    """Of these batches."""


def statuses(store: Store, *, now_us: int, is_alive: IsAlive = lambda row: None) -> list[WorkerStatus]:
    """Every worker that is known, those that have claimed most first."""
    queue = Queue(store)
    with queue.read() as connection:
        active = queue.active(connection)
    known = look(store, active, now_us=now_us, is_alive=is_alive)
    return sorted(known.values(), key=lambda each: (-each.n_files, each.host, each.pid, each.id))


def look(store: Store, active: list[Batch], *, now_us: int, is_alive: IsAlive) -> Mapping[str, WorkerStatus]:
    """Every worker by its id, with what is active in its name."""
    claims: dict[str, list[Batch]] = {}
    for batch in active:
        claims.setdefault(batch.worker, []).append(batch)
    return {row.id: _status(row, claims.get(row.id, []), now_us, is_alive) for row in Workers(store).known()}


def _status(row: WorkerRow, claims: list[Batch], now_us: int, is_alive: IsAlive) -> WorkerStatus:
    unseen_s = max(0.0, (now_us - row.seen_us) / SECOND_US) if row.seen_us else None
    lives = is_alive(row)
    is_lost = row.is_dead or (lives is False) or (lives is None and unseen_s is not None and unseen_s > row.lease_s)
    n_files = sum(batch.n_files for batch in claims)
    return WorkerStatus(row.id, row.host, row.pid, row.seen_us or None, unseen_s, is_lost, len(claims), n_files)
