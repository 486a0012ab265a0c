"""Troubles: what does not go well with one request, and what was asked to the opposite. Reads, never writes."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.inventory.store import Snapshot, Store
from holdfast.model.names import BlockKey
from holdfast.model.records import CopyRequest, DeletionRequest, Request, RequestState
from holdfast.operations.batch import Batch, BatchState, Held
from holdfast.operations.batches.queue import Queue
from holdfast.operations.codes import Code
from holdfast.operations.requesting import needs, scopes
from holdfast.operations.showing import overview


@dataclass(frozen=True, slots=True)
class BatchTrouble:
    """Files of one block that fare alike, and not well."""

    n_files: int
    example: str
    """The LFN or path of one of them."""
    state: BatchState
    held: Held
    tries: int | None
    """Tries that have failed; None: none was counted."""
    code: Code | None
    error: str
    since_us: int
    not_before_us: int
    """When it is tried again; 0: not by itself."""


@dataclass(frozen=True, slots=True)
class Opposite:
    """A request for the opposite of the same files at the same site."""

    id: str
    n_files: int


def problems(store: Store, request: Request, limit: int = 20) -> list[BatchTrouble]:
    """What does not go well with a request, the worst first."""
    queue = Queue(store)
    queued = queue.find(request.id)
    if queued is None:
        return []
    batches = queue.problems(queued, limit)
    with store.snapshot() as snapshot:
        return [_problem(snapshot, request, batch) for batch in batches]


def _problem(snapshot: Snapshot, request: Request, batch: Batch) -> BatchTrouble:
    return BatchTrouble(
        batch.n_files,
        _example(snapshot, request, batch),
        batch.state,
        batch.held,
        batch.attempts + len(batch.bad_sources) or None,
        batch.code,
        batch.error,
        batch.since_us,
        batch.not_before_us if batch.state is BatchState.RETRY else 0,
    )


def _example(snapshot: Snapshot, request: Request, batch: Batch) -> str:
    first = next(iter(batch.files), 0)
    if request.dataset is None:
        return request.path(first) if isinstance(request, DeletionRequest) and first < request.n_paths else ""
    key = BlockKey(request.dataset, batch.block)
    files = snapshot.files(key) if key in snapshot.find_blocks([key]) else None
    return files.lfn(first) if files is not None and first < len(files) else batch.block


def opposites_of(snapshot: Snapshot, request: Request) -> list[Opposite]:
    """The open requests for the opposite of the same files at the same site; one of the two waits for the other."""
    if request.dataset is None or request.state is not RequestState.OPEN:
        return []
    others = overview.DELETIONS if isinstance(request, CopyRequest) else overview.COPIES
    found = overview.requests_of(snapshot, others, site=request.site, dataset=request.dataset)
    n_files = needs.n_files_of(snapshot, request.dataset) if found else {}
    mine = scopes.files_of(getattr(request, "scope", ()), n_files)
    both = {each.id: scopes.count(scopes.common(mine, scopes.files_of(each.scope, n_files))) for each in found}
    return [Opposite(id, count) for id, count in both.items() if count]
