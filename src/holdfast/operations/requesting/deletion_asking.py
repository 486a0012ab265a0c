"""DeletionAsking: one asker for a deletion of replicas, what he sees and what he makes of it.

A request that covers what is wanted is joined; copies of the same files to
there that nobody has begun are taken back in the same transaction, in which the
brake is pulled, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from holdfast.inventory.store import Snapshot
from holdfast.model.changes import Change, RequestDeletion
from holdfast.model.errors import Conflict
from holdfast.model.names import DatasetKey
from holdfast.model.records import BlockFiles, DeletionRequest, RequestState
from holdfast.model.requirements import DatasetUnchanged
from holdfast.operations.batches import begun, tables
from holdfast.operations.requesting import asking, brake, needs, opposites, scopes
from holdfast.operations.requesting.asking import Asked, Asker
from holdfast.operations.requesting.brake import BrakeLimits
from holdfast.operations.requesting.needs import Loss
from holdfast.operations.requesting.opposites import Opposition


@dataclass(frozen=True, slots=True)
class DeletionSeen:
    """What there is, and what was asked for already."""

    loss: Loss
    joined: DeletionRequest | None
    meets: Opposition
    site: brake.SiteHolding


class DeletionAsking:
    """``wanted`` has no scope yet: it is that of what is seen. ``limits`` None: somebody has said that it is meant."""

    def __init__(
        self,
        asker: Asker,
        wanted: DeletionRequest,
        dataset: DatasetKey,
        scope: Sequence[BlockFiles] | None,
        limits: BrakeLimits | None,
    ) -> None:
        self._asker, self._wanted, self._dataset, self._scope, self._limits = asker, wanted, dataset, scope, limits
        self._queue = asker.store.room(tables.metadata)
        asker.store.room(brake.metadata)

    def look(self, snapshot: Snapshot) -> DeletionSeen:
        """What the site holds of the dataset, and what was asked for there already."""
        wanted, dataset = self._wanted, self._dataset
        loss = needs.loss_of(snapshot, dataset, wanted.site, self._scope, now_us=wanted.created_us)
        there = snapshot.deletion_requests(site=wanted.site)
        alike = [each for each in there if each.dataset == dataset]
        earlier = snapshot.copy_requests(dataset=dataset, site=wanted.site)
        with self._queue.read() as connection:
            claimed = opposites.claimed_of(connection, earlier)
            ending = {request.id for request in begun.ending(connection)}
        n_files = needs.n_files_of(snapshot, dataset)
        meets = opposites.opposition(earlier, scopes.files_of(loss.scope, n_files), claimed, n_files)
        # One that is being cancelled is joined by nobody.
        alike = [each for each in meets.later_than_all(alike, earlier) if each.id not in ending]
        joined = next((each for each in alike if scopes.covers(each.scope, loss.scope)), None)
        if joined is None and alike and loss.held and not loss.n_files:
            joined = alike[0]  # Several ask for it together.
        n_held = sum(each.n_files for each in snapshot.sums() if each.site == wanted.site)
        n_open = {each.id: needs.n_to_delete(snapshot, each) for each in there}
        return DeletionSeen(loss, joined, meets, brake.SiteHolding(wanted.site, n_held, n_open))

    def ask(self, seen: DeletionSeen, unchanged: DatasetUnchanged) -> Asked[DeletionRequest]:
        """One transaction, or none if all is so already."""
        loss, meets, wanted = seen.loss, seen.meets, self._wanted
        request = seen.joined or replace(wanted, scope=loss.scope)
        if seen.joined is None and not loss.held:
            _refuse_waiting(wanted.site, meets)
            detail = f"{wanted.site} holds none of these files"
            request = replace(request, id="", state=RequestState.DONE, detail=detail, created_us=0)
        is_new = seen.joined is None and request.state is RequestState.OPEN

        def write(connection: Connection) -> None:
            opposites.withdraw(connection, meets)
            if is_new:
                brake.pull(connection, request.id, seen.site, loss.n_files, self._limits, now_us=wanted.created_us)

        changes: list[Change] = [*meets.changes(f"taken back by a deletion at {wanted.site}")]
        changes += [RequestDeletion(request)] if is_new else []
        if changes:
            head = self._asker.commit(changes, cause=wanted.reason, requirements=(unchanged,), also=(write,))
            if is_new and head is not None:
                request = replace(request, created_us=head.at_us)
        otherwise = asking.otherwise(wanted, seen.joined)
        return Asked(request, seen.joined is not None, *meets.told, otherwise=otherwise)


def _refuse_waiting(site: str, meets: Opposition) -> None:
    """Where nothing is held yet, there is nothing to delete; what is being brought just now cannot be taken back."""
    if meets.waiting:
        message = f"{site} holds none of these files, and {scopes.count(meets.waiting)} are just being copied there"
        raise Conflict(message, rows=meets.against, hint="cancel that copy, or ask again when they have arrived")
