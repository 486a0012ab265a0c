"""Reconciling: what a request had begun when the opposite was asked for, and has let go of since, is taken back now.

A copy that fails after a deletion of the same files was asked for must not be
tried again, nor a deletion after a copy. ``opposites`` decides it when the later
one is asked for; this, again and again while both are open.

Rules
  * Of a copy and a deletion of the same files at one site the one asked for earlier gives way; if both say the same
    moment, the deletion does.
  * What is claimed is left alone. A deletion that was cancelled takes nothing back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from holdfast.inventory.store import Snapshot, Store
from holdfast.model.errors import Conflict
from holdfast.model.names import DatasetKey
from holdfast.model.records import CopyRequest, DeletionRequest, Request
from holdfast.model.requirements import DatasetUnchanged
from holdfast.operations.actor import ACTOR
from holdfast.operations.batches import begun, tables
from holdfast.operations.requesting import needs, opposites, scopes
from holdfast.operations.requesting.asking import Asker
from holdfast.operations.requesting.opposites import ClaimedMeanwhile

REASON = "something else was asked for later"


def reconcile(store: Store) -> int:
    """Take back what gives way; returns how many files that were. What changes meanwhile is left for the next time."""
    with store.snapshot() as snapshot:
        places = _places(snapshot)
    return sum(_reconcile_at(store, dataset, site) for dataset, site in places)


def _places(snapshot: Snapshot) -> list[tuple[DatasetKey, str]]:
    """The datasets and sites at which there are copies and deletions."""
    doomed = {(each.dataset, each.site) for each in snapshot.deletion_requests() if each.dataset is not None}
    if not doomed:
        return []
    return sorted({(each.dataset, each.site) for each in snapshot.copy_requests()} & doomed)


def _reconcile_at(store: Store, dataset: DatasetKey, site: str) -> int:
    queue = store.room(tables.metadata)
    with store.snapshot() as snapshot:
        copies = snapshot.copy_requests(dataset=dataset, site=site)
        deletions = snapshot.deletion_requests(dataset=dataset, site=site)
        n_files = needs.n_files_of(snapshot, dataset)
        unchanged = DatasetUnchanged(dataset, snapshot.head.position, snapshot.head.epoch)
        with queue.read() as connection:
            claimed = opposites.claimed_of(connection, [*copies, *deletions])
            ending = {request.id for request in begun.ending(connection)}
    for later, earlier in _opposed(copies, deletions, ending):
        meets = opposites.opposition(earlier, scopes.files_of(later.scope, n_files), claimed, n_files)
        if not meets.taken:
            continue
        write = partial(opposites.withdraw, opposition=meets)
        cause = f"request {later.id}"
        try:
            Asker(store, ACTOR).commit(meets.changes(REASON), cause=cause, requirements=(unchanged,), also=(write,))
        except (ClaimedMeanwhile, Conflict):
            return 0
        return meets.n_taken_back  # The dataset has changed now; the others are for the next time.
    return 0


def _opposed(
    copies: Sequence[CopyRequest], deletions: Sequence[DeletionRequest], ending: Collection[str]
) -> Iterator[tuple[Request, list[Request]]]:
    """Each request with the opposite ones that give way to it."""
    for copy in copies:
        yield copy, [each for each in deletions if each.created_us <= copy.created_us]
    for deletion in (each for each in deletions if each.id not in ending):
        yield deletion, [each for each in copies if each.created_us < deletion.created_us]
