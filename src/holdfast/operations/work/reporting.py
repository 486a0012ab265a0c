"""Reporting: what became of deletions, for whoever has asked for them and waits.

What this run has seen of single files is told exactly; of earlier runs and other
workers, what the queue has kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from holdfast.model.records import DeletionRequest, RequestState
from holdfast.operations.batch import FINAL, BatchState, QueuedRequest
from holdfast.operations.batches import rows
from holdfast.operations.batches.queue import Queue
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.deletion_report import DeletionReport, PathOutcome, PathState, Removed, what
from holdfast.operations.work import closing

PROBLEMS_MAX = 1000
"""So many files of a deletion of replicas are named that are still there."""


def report(
    tools: Tools, asked: DeletionRequest, seen: Mapping[str, Removed], *, error: str = "", is_busy: bool = False
) -> DeletionReport:
    """What became of one request, as the inventory has it now. ``seen``: what this run knows, by name."""
    queued = tools.queue.find(asked.id)
    if queued is None:
        bare = DeletionReport(asked.id, asked.site, (), error, is_busy, asked.state, asked.detail)
        return replace(bare, dataset=asked.dataset, what=what(asked), into=asked.into)
    counts = closing.counts_of(queued, tools.queue.counts(queued), asked)
    if asked.dataset is None:
        outcomes = _of_orphans(tools.queue, asked, queued, seen)
    else:
        outcomes = _of_replicas(tools, asked, queued)
    if not error and asked.state is RequestState.CANCELLED:
        error = f"cancelled: {asked.detail}"
    told = DeletionReport(asked.id, asked.site, outcomes, error, is_busy, asked.state, asked.detail, counts)
    return replace(told, dataset=asked.dataset, what=what(asked), into=asked.into)


def _of_orphans(
    queue: Queue, asked: DeletionRequest, queued: QueuedRequest, seen: Mapping[str, Removed]
) -> tuple[PathOutcome, ...]:
    """A line for each path that has an outcome, in the order in which they were asked for."""
    with queue.read() as connection:
        batches = rows.with_requests(connection, rows.batches(connection, "request = ?", (queued.number,)))
    there = {ordinal: batch for batch in batches for ordinal in batch.files}
    found = []
    done = PathState.MOVED if asked.into else PathState.DELETED
    for ordinal in range(asked.n_paths):
        path = asked.path(ordinal)
        batch, removed = there.get(ordinal), seen.get(path)
        if batch is None:
            if queued.is_planned:
                state = removed.state if removed is not None else done
                found.append(PathOutcome(path, state, removed.reason if removed is not None else ""))
        elif batch.state in FINAL or batch.state is BatchState.HELD:
            reason = removed.reason if removed is not None and removed.reason else batch.error
            found.append(PathOutcome(path, closing.state_of(batch), reason))
    return tuple(found)


def _of_replicas(tools: Tools, asked: DeletionRequest, queued: QueuedRequest) -> tuple[PathOutcome, ...]:
    found: list[PathOutcome] = []
    with tools.store.snapshot() as view:
        for batch in tools.queue.problems(queued, PROBLEMS_MAX):
            if batch.state not in FINAL and batch.state is not BatchState.HELD:
                continue
            names = closing.names_of(view, asked, batch, batch.files)
            found += (PathOutcome(name, closing.state_of(batch), batch.error) for name in names)
            if len(found) >= PROBLEMS_MAX:
                break
    return tuple(found[:PROBLEMS_MAX])
