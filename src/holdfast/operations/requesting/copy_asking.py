"""CopyAsking: one asker for a copy, what he sees and what he makes of it. ``requests`` says what holds.

A request that covers what is wanted is joined, and brings again what it has
brought and is not there any more; deletions of the same files there that nobody
has begun are taken back in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from holdfast.inventory.store import Snapshot
from holdfast.model.changes import Change, RequestCopy
from holdfast.model.records import BlockFiles, CopyRequest, RequestState
from holdfast.model.requirements import DatasetUnchanged
from holdfast.operations.batch import NewBatch
from holdfast.operations.batches import orders, tables
from holdfast.operations.planning import lacking
from holdfast.operations.requesting import asking, brake, needs, opposites, scopes
from holdfast.operations.requesting.asking import Asked, Asker
from holdfast.operations.requesting.needs import Need
from holdfast.operations.requesting.opposites import Opposition


@dataclass(frozen=True, slots=True)
class CopySeen:
    """What there is, and what was asked for already."""

    need: Need
    joined: CopyRequest | None
    again: tuple[NewBatch, ...]
    """What that one asks for, has brought, and is not there any more."""
    meets: Opposition


class CopyAsking:
    """``wanted`` has no scope yet: it is that of what is seen."""

    def __init__(self, asker: Asker, wanted: CopyRequest, scope: Sequence[BlockFiles] | None) -> None:
        self._asker, self._wanted, self._scope = asker, wanted, scope
        self._queue = asker.store.room(tables.metadata)
        asker.store.room(brake.metadata)

    def look(self, snapshot: Snapshot) -> CopySeen:
        """What there is of the dataset at the site, and what was asked for there already."""
        wanted = self._wanted
        need = needs.need_of(snapshot, wanted.dataset, wanted.site, self._scope)
        copies = snapshot.copy_requests(dataset=wanted.dataset, site=wanted.site)
        earlier = snapshot.deletion_requests(dataset=wanted.dataset, site=wanted.site)
        with self._queue.read() as connection:
            claimed = opposites.claimed_of(connection, earlier)
        n_files = needs.n_files_of(snapshot, wanted.dataset)
        meets = opposites.opposition(earlier, scopes.files_of(need.scope, n_files), claimed, n_files)
        alike = [each for each in meets.later_than_all(copies, earlier) if each.replace == wanted.replace]
        joined = next((each for each in alike if scopes.covers(each.scope, need.scope)), None)
        again = () if joined is None or not need.lacking else lacking.unbrought(joined, snapshot)
        if joined is not None and again:
            with self._queue.read() as connection:
                again = () if orders.has_all(connection, joined.id, again) else again
        return CopySeen(need, joined, again, meets)

    def ask(self, seen: CopySeen, unchanged: DatasetUnchanged) -> Asked[CopyRequest]:
        """One transaction, or none if all is so already."""
        need, meets, wanted = seen.need, seen.meets, self._wanted
        request = seen.joined or replace(wanted, scope=need.scope)
        if seen.joined is None and not need.lacking and not meets.waiting:
            detail = f"{wanted.site} holds all {need.n_held + scopes.count(need.condemned)} files already"
            request = replace(request, id="", state=RequestState.DONE, detail=detail, created_us=0)
        is_new = seen.joined is None and request.state is RequestState.OPEN

        def write(connection: Connection) -> None:
            opposites.withdraw(connection, meets)
            for taken in meets.taken:
                n_spared = scopes.count(scopes.common(taken.files, need.condemned))
                brake.take_back(connection, taken.request, n_spared)
            orders.add_again(connection, request.id, seen.again)

        changes: list[Change] = [*meets.changes(f"taken back by a copy to {wanted.site}")]
        changes += [RequestCopy(request)] if is_new else []
        if changes or seen.again:
            head = self._asker.commit(changes, cause=wanted.reason, requirements=(unchanged,), also=(write,))
            if is_new and head is not None:
                request = replace(request, created_us=head.at_us)
        otherwise = asking.otherwise(wanted, seen.joined)
        return Asked(request, seen.joined is not None, *meets.told, otherwise=otherwise)
