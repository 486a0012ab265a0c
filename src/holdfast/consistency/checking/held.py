"""Held: what of copies that were asked for does not come by itself, and why, by the queue of operations.

A copy that fails is held, and its request stays open until it succeeds or
somebody gives it up; so what is held is awaited still.

Rules
  * A request that somebody holds back is held with all its files.
  * Only what somebody says (``retry``) makes operations try again here; what people hold back stays so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from holdfast.inventory.store import Store
from holdfast.model.errors import Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.records import CopyRequest
from holdfast.operations.batch import Batch
from holdfast.operations.batches.queue import Queue
from holdfast.operations.requesting import steering
from holdfast.operations.showing import overview
from holdfast.operations.showing.why import why


class HeldCopies:
    """What is held of some open copies, at one moment."""

    def __init__(self, store: Store, requests: Sequence[CopyRequest], *, now_us: int) -> None:
        statuses = {each.request.id: each for each in overview.statuses(store, requests)}
        self._batches: dict[tuple[str, str], list[tuple[FileSet, str]]] = {}
        self._on_hold = {
            id: f"on hold by {each.queued.on_hold}"
            for id, each in statuses.items()
            if each.queued is not None and each.queued.on_hold
        }
        for batch in _held(store) if statuses else ():
            if batch.request.id in statuses:
                told = f"{batch.held.value}: {batch.error}" if batch.error else batch.held.value
                self._batches.setdefault((batch.request.id, batch.block), []).append((batch.files, told))
        self._why = {id: why(each, now_us=now_us) for id, each in statuses.items()}

    @property
    def may_be_retried(self) -> frozenset[str]:
        """The requests with files that are held, and not by somebody's word."""
        return frozenset(id for id, _ in self._batches) - self._on_hold.keys()

    def reason(self, request: str, block: str, ordinal: int) -> str:
        """Why a file of a request is held; "" if it is not."""
        if request in self._on_hold:
            return self._on_hold[request]
        held = self._batches.get((request, block), ())
        return next((told for files, told in held if ordinal in files), "")

    def why(self, request: str) -> str:
        """In a few words, why a request does not move, or moves with difficulty."""
        return self._why.get(request, "")


def retry(store: Store, requests: Collection[str], *, dry_run: bool = False) -> dict[str, int]:
    """Ask operations to try again what is held of open requests; returns how many files that are, by request."""
    tried: dict[str, int] = {}
    for id in sorted(requests):
        try:
            n_files = steering.retry(store, id, dry_run=dry_run)
        except Conflict:
            continue  # It has come to its end meanwhile.
        if n_files:
            tried[id] = n_files
    return tried


def _held(store: Store) -> list[Batch]:
    queue = Queue(store)
    with queue.read() as connection:
        return queue.held(connection)
