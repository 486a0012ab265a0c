"""What is done to a request from outside: held back, tried again. Functions on a connection."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from holdfast.operations.batches import joining, rows, tables

_request = tables.request.c


def hold(connection: Connection, number: int, why: str) -> None:
    """Nothing more of a request is claimed until ``unhold``; what is claimed goes on."""
    connection.execute(
        update(tables.request).where(_request.number == number).values(on_hold=rows.words(why) or "on hold")
    )


def unhold(connection: Connection, number: int) -> None:
    """A request goes on."""
    connection.execute(update(tables.request).where(_request.number == number).values(on_hold=""))


def retry(connection: Connection, number: int) -> int:
    """Queue again what is held, has failed or waits of an open request, as if never tried; returns how many files."""
    is_open = select(_request.number).where(_request.number == number, _request.is_closed.is_(False))
    if connection.scalar(is_open) is None:
        return 0
    found = rows.batches(connection, "request = ? AND state IN ('held', 'failed', 'retry')", (number,))
    joining.queue_again(connection, [row._replace(attempts=0, bad_sources="") for row in found])
    return sum(row.n_files for row in found)
