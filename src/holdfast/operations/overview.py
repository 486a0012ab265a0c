"""Overview: what was asked for, how far it is and why it does not move. Reads, never writes.

Requests and outcomes are the inventory's; counts and the errors of single
files are the queue's, which knows a request only once an executor has seen it.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.inventory.store import Store
from holdfast.model.errors import BadInput, unknown_name
from holdfast.model.records import CopyRequest, DeletionRequest
from holdfast.operations.queue import Queue
from holdfast.operations.task import Counts, TaskState

NOTHING = Counts({}, {})


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """A copy request and its tasks. Tasks of a request that is done are forgotten; what failed stays."""

    request: CopyRequest
    counts: Counts = NOTHING
    n_files: int = 0
    size: int = 0
    is_planned: bool = False

    @property
    def n_done(self) -> int:
        """Files that are in place."""
        if self.request.state == "open":
            return self.counts.files(TaskState.DONE, TaskState.REPORTED)
        return self.n_files - self.counts.files(TaskState.FAILED, TaskState.QUEUED, TaskState.ACTIVE)

    @property
    def n_failed(self) -> int:
        """Files that were given up."""
        return self.counts.files(TaskState.FAILED)


@dataclass(frozen=True, slots=True)
class Problem:
    """A file whose last try failed."""

    lfn: str
    state: TaskState
    error: str


def copies(store: Store, *, only_open: bool = True) -> list[CopyStatus]:
    """Copy requests in the order in which they were made."""
    with store.snapshot() as snapshot:
        requests = snapshot.copy_requests(only_open=only_open)
    if not requests:
        return []
    queue = Queue(store)
    return [_status(queue, request) for request in requests]


def deletions(store: Store, *, only_open: bool = True) -> list[DeletionRequest]:
    """Deletion requests in the order in which they were made."""
    with store.snapshot() as snapshot:
        return snapshot.deletion_requests(only_open=only_open)


def find(store: Store, id: str) -> CopyStatus | DeletionRequest:
    """One request by its id or the beginning of it; UnknownName, BadInput if several begin so."""
    with store.snapshot() as snapshot:
        copying, deleting = snapshot.copy_requests(only_open=False), snapshot.deletion_requests(only_open=False)
    known: dict[str, CopyRequest | DeletionRequest] = {request.id: request for request in copying}
    known |= {request.id: request for request in deleting}
    found = [known[id]] if id in known else [request for name, request in known.items() if id and name.startswith(id)]
    if not found:
        raise unknown_name("request", id, known)
    if len(found) > 1:
        raise BadInput(f"{len(found)} requests begin with {id!r}", hint="give more of the id")
    return _status(Queue(store), found[0]) if isinstance(found[0], CopyRequest) else found[0]


def problems(store: Store, id: str, limit: int = 20) -> list[Problem]:
    """Files of a copy request whose last try failed, at most ``limit``."""
    queue = Queue(store)
    queued = queue.find(id)
    return [] if queued is None else [Problem(*each) for each in queue.problems(queued, limit)]


def _status(queue: Queue, request: CopyRequest) -> CopyStatus:
    queued = queue.find(request.id)
    if queued is None:
        return CopyStatus(request)
    return CopyStatus(request, queue.counts(queued), queued.n_files, queued.size, queued.is_planned)
