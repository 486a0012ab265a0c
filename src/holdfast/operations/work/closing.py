"""Closing: the outcome of a request of which nothing is left to try, in a state and one line.

Rules
  * One of which anything has failed for good has FAILED. Orphans that were
    rightly left alone have not; a deletion of replicas leaves nothing alone, it
    is held until all has gone. One that is ending was CANCELLED.
  * The line has what was done, how much was not, and the first reasons.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.inventory.store import Snapshot
from holdfast.model import wording
from holdfast.model.changes import CloseRequest
from holdfast.model.errors import UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.records import DeletionRequest, Request, RequestState
from holdfast.operations.batch import FINAL, Batch, BatchState, QueuedRequest
from holdfast.operations.batches.counting import FileCounts
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.deletion_report import REASONS_MAX, PathOutcome, PathState, detail_of


def n_undone(counts: FileCounts) -> int:
    """How many files are still to be tried, or are being."""
    return counts.files(*(state for state in BatchState if state not in FINAL))


def outcome(tools: Tools, request: QueuedRequest) -> CloseRequest | None:
    """What is said of a request in the end; None if the inventory does not ask for it any more."""
    counts = tools.queue.counts(request)
    with tools.store.snapshot() as view:
        asked = view.request(request.id)
        if asked is None or asked.state is not RequestState.OPEN:
            return None
        if request.ending:
            return CloseRequest(request.id, RequestState.CANCELLED, request.ending)
        problems = tools.queue.problems(request, REASONS_MAX) if counts.files(*FINAL) else []
        reasons = [
            (name, batch)
            for batch in problems
            for name in names_of(view, asked, batch, _first(batch.files, REASONS_MAX))
        ][:REASONS_MAX]
    n_failed = counts.files(BatchState.FAILED)
    state = RequestState.FAILED if n_failed else RequestState.DONE
    if request.kind.is_deletion:
        told = tuple(PathOutcome(name, state_of(batch), batch.error) for name, batch in reasons)
        return CloseRequest(request.id, state, detail_of(counts_of(request, counts, asked), told))
    detail = f"{wording.plural(request.n_done, 'file')}, {wording.size(request.size_done)}"
    if n_failed:
        name, error = next(((name, batch.error) for name, batch in reasons), ("", ""))
        detail += f"; {wording.number(n_failed)} failed, first {wording.about(name, error)}"
    return CloseRequest(request.id, state, detail)


def counts_of(request: QueuedRequest, counts: FileCounts, asked: Request) -> dict[PathState, int]:
    """How many files of a deletion became what. What is held has failed so far."""
    is_moving = isinstance(asked, DeletionRequest) and bool(asked.into)
    return {
        PathState.MOVED if is_moving else PathState.DELETED: request.n_done - request.n_found,
        PathState.GONE: request.n_found,
        PathState.SKIPPED: counts.files(BatchState.SKIPPED),
        PathState.FAILED: counts.files(BatchState.FAILED, BatchState.HELD),
    }


def state_of(batch: Batch) -> PathState:
    """What the files of a batch of a deletion have become."""
    return PathState.SKIPPED if batch.state is BatchState.SKIPPED else PathState.FAILED


def names_of(view: Snapshot, asked: Request, batch: Batch, files: FileSet) -> Iterator[str]:
    """What people know some files of a batch by: their LFNs, or the paths of orphans and directories."""
    if isinstance(asked, DeletionRequest) and asked.dataset is None:
        yield from (asked.path(ordinal) for ordinal in files)
        return
    try:
        columns = view.files(batch.block_key)
    except UnknownName:
        return
    yield from (columns.lfn(ordinal) for ordinal in files if ordinal < len(columns))


def _first(files: FileSet, most: int) -> FileSet:
    return FileSet.of(ordinal for ordinal, _ in zip(files, range(most), strict=False))
