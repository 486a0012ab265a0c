"""Ending: requests that are given up by somebody, at once or as soon as it is known what they have done.

What has arrived or gone stays so. Of a deletion of replicas nobody knows at once
what has gone: files that a worker has claimed, or had begun to delete, may be
gone already, and must not count as copies again before somebody knows.

Rules
  * A deletion of replicas loses, in the one transaction that gives it up, all that nobody has claimed or begun, and is
    closed with it if that was all. Else it stays open with the rest and is marked as ending: nothing more of it is
    claimed, who is at it stops before the next file, and what is told or looked at leaves it, until nothing is left.
  * What does not fit one change set is taken back by the next; until then nobody claims it.
  * The brake gets back what a commit takes out, and nothing else.
  * Copies, and deletions of orphans, are closed at once. Whoever works on them stops, and cleans up.

Raises UnknownName; Conflict if the request is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from holdfast.inventory.store import Snapshot, Store
from holdfast.model.changes import Change, CloseRequest, ReduceRequest
from holdfast.model.errors import Conflict, UnknownName
from holdfast.model.names import DatasetKey
from holdfast.model.records import DeletionRequest, Request, RequestState
from holdfast.model.requirements import DatasetUnchanged, RequestIsOpen
from holdfast.operations.actor import ACTOR
from holdfast.operations.batch import QueuedRequest
from holdfast.operations.batches import claims, orders, tables
from holdfast.operations.requesting import brake, needs, opposites, scopes, steering
from holdfast.operations.requesting.asking import Asker
from holdfast.operations.requesting.opposites import Opposition, TakenBack
from holdfast.operations.requesting.scopes import Files


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of giving up a request: files that are not to go after all, and files that may be gone."""

    n_taken_back: int = 0
    n_begun: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the request is closed."""
        return not self.n_begun


@dataclass(frozen=True, slots=True)
class _Seen:
    taken: TakenBack
    """What is taken back now."""
    n_spared: int
    """Of this: what is there."""
    begun: Files
    n_later: int
    """Files that do not fit this change set."""


def cancel(store: Store, id: str, *, reason: str, actor: str, dry_run: bool = False) -> Ended:
    """Give up an open request."""
    request = _request(store, id)
    asker = Asker(store, actor, dry_run)
    if isinstance(request, DeletionRequest) and request.dataset is not None:
        return _Ending(asker, id, request.dataset, reason).end()
    asker.commit((CloseRequest(id, RequestState.CANCELLED, reason),), cause=reason, requirements=(RequestIsOpen(id),))
    return Ended()


def wind_down(store: Store, queued: QueuedRequest) -> bool:
    """Take back what is not begun any more of a request that is ending, close it if that is all; whether it is."""
    if queued.dataset is None:
        return False
    try:
        return _Ending(Asker(store, ACTOR), queued.id, queued.dataset, queued.ending).end().is_over
    except (Conflict, UnknownName):
        return False  # Closed by somebody else, or its dataset keeps changing: the next look will tell.


def _request(store: Store, id: str) -> Request:
    with store.snapshot() as snapshot:
        request = snapshot.request(id)
    if request is None:
        raise UnknownName(f"there is no request {id}")
    steering.require_open(request)
    return request


class _Ending:
    """One deletion of replicas, and who gives it up."""

    def __init__(self, asker: Asker, id: str, dataset: DatasetKey, reason: str) -> None:
        self._asker, self._id, self._dataset, self._reason = asker, id, dataset, reason
        self._queue = asker.store.room(tables.metadata)
        asker.store.room(brake.metadata)

    def end(self) -> Ended:
        """As many transactions as it takes."""
        n_taken = 0
        while True:
            seen = self._asker.until_still(self._dataset, self._look, self._end)
            n_taken += scopes.count(seen.taken.files)
            if not seen.n_later or self._asker.dry_run:
                return Ended(n_taken + seen.n_later, scopes.count(seen.begun))

    def _look(self, snapshot: Snapshot) -> _Seen:
        request = snapshot.request(self._id)
        if not isinstance(request, DeletionRequest):
            raise UnknownName(f"there is no deletion {self._id}")
        steering.require_open(request)
        with self._queue.read() as connection:
            known = orders.find(connection, self._id)
            claimed = scopes.NO_FILES if known is None else claims.claimed(connection, known.number)
        asked = scopes.files_of(request.scope, needs.n_files_of(snapshot, self._dataset))
        begun = scopes.common(asked, claimed)
        free = scopes.without(asked, begun)
        # Closing takes one row, however many files that are.
        files, parts = opposites.fitting(free, asked) if begun else (free, ())
        spared = scopes.common(files, needs.to_delete(snapshot, request))
        n_later = scopes.count(free) - scopes.count(files)
        return _Seen(TakenBack(self._id, files, parts), scopes.count(spared), begun, n_later)

    def _end(self, seen: _Seen, unchanged: DatasetUnchanged) -> _Seen:
        changes: list[Change] = []
        if not seen.begun:
            changes.append(CloseRequest(self._id, RequestState.CANCELLED, self._reason))
        elif seen.taken.files:
            changes.append(ReduceRequest(self._id, seen.taken.scope, self._reason))

        def write(connection: Connection) -> None:
            opposites.withdraw(connection, Opposition((seen.taken,)))
            known = orders.find(connection, self._id)
            if known is not None and seen.begun:
                orders.end(connection, known.number, self._reason)
            if seen.n_spared:
                brake.take_back(connection, self._id, seen.n_spared)

        required = (unchanged, RequestIsOpen(self._id))
        self._asker.commit(changes, cause=self._reason, requirements=required, also=(write,))
        return seen
