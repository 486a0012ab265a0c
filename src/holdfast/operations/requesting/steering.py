"""Steering: what people say to a request that is there: hold it back, let it go on, try again.

Requests are the inventory's and closed in its journal (``requests.cancel``);
these words are about how they are carried out, and stay in the queue.

Rules
  * A request that is held back is not claimed any more; what is claimed goes on to its end.
  * Trying again forgets the failures of what is held, has failed or waits: every source is asked anew, at once.
  * A dry run goes through the whole transaction, which is then undone.

Raises Conflict if the request is over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from holdfast.inventory.dry_run import undone_if
from holdfast.inventory.store import Store
from holdfast.model.errors import Conflict, UnknownName
from holdfast.model.records import Request, RequestState
from holdfast.operations.batches import orders
from holdfast.operations.batches.queue import Queue


def hold(store: Store, id: str, *, actor: str, reason: str = "", dry_run: bool = False) -> None:
    """Hold a request back until it is released; the last word counts."""
    why = f"{actor}: {reason}" if reason else actor
    _say(store, id, partial(Queue.hold, why=why), dry_run=dry_run)


def release(store: Store, id: str, *, dry_run: bool = False) -> None:
    """Let a request go on; nothing is done about one that nobody holds back."""
    _say(store, id, Queue.unhold, dry_run=dry_run)


def retry(store: Store, id: str, *, dry_run: bool = False) -> int:
    """Try again what does not move of a request; returns how many files that are."""
    return _say(store, id, Queue.retry, dry_run=dry_run) or 0


def require_open(request: Request) -> None:
    """Conflict if it has its outcome."""
    if request.state is not RequestState.OPEN:
        message = f"request {request.id} is {request.state.value} already"
        raise Conflict(message, rows=(request.id,), hint=request.detail)


def _say(store: Store, id: str, word: Callable[[Connection, int], int | None], *, dry_run: bool) -> int | None:
    with store.snapshot() as snapshot:
        request = snapshot.request(id)
    if request is None:
        raise UnknownName(f"there is no request {id}")
    require_open(request)
    queue = Queue(store)
    with undone_if(dry_run, queue.write()) as connection:
        orders.take_in(connection, [request])
        known = orders.find(connection, request.id)
        assert known is not None
        return word(connection, known.number)
