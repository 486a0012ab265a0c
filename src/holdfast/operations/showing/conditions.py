"""Conditions: where requests stand, by their ids alone.

Rules
  * What the inventory does not know, any more or at all, is left out.
  * Few requests are in memory at a time: one may have thousands of files. The queue is asked twice for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.inventory.store import Store
from holdfast.operations.batch import RequestKind
from holdfast.operations.batches import counting
from holdfast.operations.batches.queue import Queue
from holdfast.operations.showing.overview import NOTHING, Condition, RequestStatus

REQUESTS_AT_ONCE = 10


def conditions(store: Store, ids: Iterable[str]) -> dict[str, Condition]:
    """Where each of these requests stands, of those that there are."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    queue = Queue(store)
    known = {request.id: request for request in queue.known_open()}
    with queue.read() as connection:
        counts = counting.all_counts(connection)
    found: dict[str, Condition] = {}
    for start in range(0, len(wanted), REQUESTS_AT_ONCE):
        with store.snapshot() as snapshot:  # Which keeps what was read from it.
            for id in wanted[start : start + REQUESTS_AT_ONCE]:
                request, queued = snapshot.request(id), known.get(id)
                if request is not None:
                    counted = NOTHING if queued is None else counts.get(queued.number, NOTHING)
                    found[id] = RequestStatus(request, RequestKind.of(request), queued, counted).condition
    return found
