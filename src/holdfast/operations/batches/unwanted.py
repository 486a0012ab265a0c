"""Unwanted: jobs at services whose claims are over, until they are cancelled. Functions on a connection.

A service goes on with a job when its claim is given back, or its request is
closed. So that it does not bring files which somebody else is bringing by then,
or nobody wants any more, its handle is kept here until the service was told.

Rules
  * A handle leaves its batch and comes here in one transaction.
  * What a claim that is here may have left is not tried again before the job is cancelled, for GATE_US at most:
    a service that nobody can reach does not keep files from going another way for ever.
  * After FORGET_US nobody asks for it any more: no service keeps a job for so long.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from holdfast.model.clock import SECOND_US
from holdfast.operations.batches import rows, tables
from holdfast.operations.batches.rows import BatchRow

GATE_US = 900 * SECOND_US
FORGET_US = 7 * 86_400 * SECOND_US

_job = tables.unwanted.c


@dataclass(frozen=True, slots=True)
class UnwantedJob:
    """A job that is to be cancelled. ``claim``: under which it was last known."""

    claim: str
    engine: str
    handle: str
    since_us: int

    def is_in_the_way(self, now_us: int) -> bool:
        """Whether what its claim has left waits for it. A clock that was set back is no reason to wait longer."""
        return 0 <= now_us - self.since_us < GATE_US

    def is_forgotten(self, now_us: int) -> bool:
        """Whether it is too long ago for anything to be going on."""
        return abs(now_us - self.since_us) >= FORGET_US


def note(connection: Connection, over: Iterable[BatchRow], *, now_us: int) -> None:
    """Keep the handles of batches as they were claimed; those without one have nothing to keep."""
    values = [
        {"claim": row.claim, "engine": row.engine, "handle": row.handle, "since_us": now_us}
        for row in over
        if row.handle
    ]
    if values:
        connection.execute(insert(tables.unwanted), values)


def jobs(connection: Connection) -> list[UnwantedJob]:
    """All that are to be cancelled, the oldest first."""
    columns = (_job.claim, _job.engine, _job.handle, _job.since_us)
    return [UnwantedJob(*row) for row in connection.execute(select(*columns).order_by(_job.since_us, _job.claim))]


def forget(connection: Connection, claims: Collection[str]) -> None:
    """These were cancelled."""
    known = sorted(claims)
    for start in range(0, len(known), rows.INSERT_ROWS):
        some = known[start : start + rows.INSERT_ROWS]
        connection.execute(delete(tables.unwanted).where(_job.claim.in_(some)))
