"""Queue: the requests that are worked on and their batches, on disk, in the store's own turn.

Everything that must not be forgotten goes through here. What to do, when, and
in which order is decided elsewhere. What is given a connection runs in that
transaction (of ``write`` or of a commit's ``also``; what only reads, of
``read``, too); the others have one of their own.

Rules
  * Every file of an open request that is planned and not finished is in
    exactly one batch, whatever is done in whatever order.
  * ``n_files`` and ``size`` of a request are those of its batches and of what is done.
  * A claim that does not stand any more settles nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from holdfast.inventory.store import Store
from holdfast.model.records import Request
from holdfast.operations.batch import Batch, NewBatch, QueuedRequest, claim_of
from holdfast.operations.batches import begun, by_hand, claims, counting, due, orders, tables, unwanted
from holdfast.operations.batches.counting import FileCounts


class Queue:
    """The queue in one store."""

    def __init__(self, store: Store) -> None:
        self._room = store.room(tables.metadata)

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view of the queue."""
        return self._room.read()

    def write(self) -> AbstractContextManager[Connection]:
        """One transaction."""
        return self._room.write()

    # ---- in a transaction of the caller's; the functions say what they do -----------

    close = staticmethod(orders.close)

    waiting = staticmethod(due.waiting)
    next_due_us = staticmethod(due.next_due_us)
    held = staticmethod(due.held)
    requeue = staticmethod(due.requeue)

    hold = staticmethod(by_hand.hold)
    unhold = staticmethod(by_hand.unhold)
    retry = staticmethod(by_hand.retry)
    withdraw = staticmethod(orders.withdraw)

    claim = staticmethod(claims.claim)
    claim_whole = staticmethod(claims.claim_whole)
    active = staticmethod(claims.active)
    claimed = staticmethod(claims.claimed)
    keep_handle = staticmethod(claims.keep_handle)
    adopt = staticmethod(claims.adopt)
    settle = staticmethod(claims.settle)
    finish = staticmethod(claims.finish)
    fail = staticmethod(claims.fail)
    release = staticmethod(claims.release)

    ending = staticmethod(begun.ending)
    looked = staticmethod(begun.looked)
    begun = staticmethod(begun.begun)

    unwanted_jobs = staticmethod(unwanted.jobs)
    forget_unwanted = staticmethod(unwanted.forget)

    all_counts = staticmethod(counting.all_counts)

    # ---- requests, each call a transaction of its own -----------------------------------

    def take_in(self, requests: Iterable[Request]) -> list[QueuedRequest]:
        """Know these open requests; returns them as queued, oldest first. Plan on a snapshot taken after that."""
        wanted = {request.id: request for request in requests}
        known = [request for request in self.known_open() if request.id in wanted]
        seen = {request.id for request in known}
        new = [request for id, request in wanted.items() if id not in seen]
        if not new:
            return known
        with self._room.write() as connection:
            orders.take_in(connection, new)
            return [request for request in orders.known(connection) if request.id in wanted]

    def known_open(self) -> list[QueuedRequest]:
        """The requests that are worked on, as far as the queue knows, oldest first."""
        with self._room.read() as connection:
            return orders.known(connection)

    def known_all(self) -> list[QueuedRequest]:
        """Closed ones, too, as many as are remembered."""
        with self._room.read() as connection:
            return orders.known(connection, only_open=False)

    def find(self, id: str) -> QueuedRequest | None:
        """A request by its id, closed ones too; None if the queue does not know it."""
        with self._room.read() as connection:
            return orders.find(connection, id)

    def add(self, request: QueuedRequest, batches: Sequence[NewBatch], planned_to: str, is_last: bool) -> QueuedRequest:
        """Write a step of a plan, and how far it has come then; returns the request as it is now.

        The step was planned from ``request.planned_to`` on, with a snapshot that
        was taken after ``request`` was read here. Nothing is added if somebody
        else has written a step since, or withdrawn files (``plan``): then a new
        snapshot is taken, and planning goes on from what is returned.
        """
        (after,) = self.add_all([(request, batches, planned_to, is_last)])
        return after

    def add_all(self, steps: Iterable[tuple[QueuedRequest, Sequence[NewBatch], str, bool]]) -> list[QueuedRequest]:
        """``add`` for many steps in one transaction; returns the requests as they are then, each once.

        Of one request the first step says from where on it was planned; the others go on from the one before.
        """
        after: dict[int, QueuedRequest] = {}
        with self._room.write() as connection:
            for request, batches, planned_to, is_last in steps:
                known = after.get(request.number, request)
                after[request.number] = orders.add(connection, known, batches, planned_to, is_last=is_last)
        return list(after.values())

    def drop(self, request: QueuedRequest, *, now_us: int) -> list[Batch]:
        """Others have closed it: forget all its batches. Returns those that may have left something behind."""
        with self._room.write() as connection:
            return orders.drop(connection, request.number, now_us=now_us)

    # ---- looking, each call a transaction of its own --------------------------------------

    def standing(self, wanted: Collection[str], worker: str) -> frozenset[str]:
        """Which of some claims stand, of a worker who was not declared dead. Cheap: to be asked before every call."""
        with self._room.read() as connection:
            return claims.standing(connection, wanted, worker)

    def is_live_part(self, token: str) -> bool:
        """Whether a temporary part of this name belongs to something that is not over."""
        with self._room.read() as connection:
            return claims.is_live_part(connection, claim_of(token))

    def is_idle(self, request: QueuedRequest) -> bool:
        """Whether a request is planned to its end and nothing of it is left to try."""
        return bool(self.idle([request]))

    def idle(self, requests: Collection[QueuedRequest]) -> list[QueuedRequest]:
        """Those of some requests that are planned to their end, and of which nothing is left to try."""
        with self._room.read() as connection:
            found = orders.idle(connection, [request.number for request in requests])
        return [request for request in requests if request.number in found]

    def counts(self, request: QueuedRequest) -> FileCounts:
        """How many files of a request stand where."""
        with self._room.read() as connection:
            return counting.counts(connection, request.number)

    def problems(self, request: QueuedRequest, limit: int = 20) -> list[Batch]:
        """Batches of a request of which a failure is known, the worst and newest first."""
        with self._room.read() as connection:
            return counting.problems(connection, request.number, limit)
