"""Asking: the one transaction in which something is asked for, taken back or given up, and what comes of it.

Rules
  * A dry run goes through the whole transaction, which is then undone.
  * Whoever asks about a dataset that changes meanwhile, or about files that
    somebody begins to carry out meanwhile, asks anew, up to TRIES times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from holdfast.inventory import dry_run
from holdfast.inventory.dry_run import Also
from holdfast.inventory.store import Head, Snapshot, Store
from holdfast.model.changes import Change, ChangeSet
from holdfast.model.errors import Conflict
from holdfast.model.names import DatasetKey
from holdfast.model.records import CopyRequest, DeletionRequest, Request
from holdfast.model.requirements import DatasetUnchanged, Requirement
from holdfast.operations.requesting.opposites import ClaimedMeanwhile

TRIES = 20
"""How often asking starts anew before the asker is told."""

RequestT = TypeVar("RequestT", CopyRequest, DeletionRequest)
Seen = TypeVar("Seen")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Something that was asked for, and that the request which was joined has otherwise."""

    what: str
    """The name of the field of the request."""
    asked: int | str | None
    stands: int | str | None
    """What the request has, and keeps."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[RequestT]):
    """What came of asking. A request that was not needed is DONE and has no id."""

    request: RequestT
    is_joined: bool = False
    """It was there already, and covers what was asked for."""
    n_taken_back: int = 0
    """Files that opposite requests do not ask for any more."""
    n_waiting: int = 0
    """Files that opposite requests are carrying out; this one waits for them."""
    opposites: tuple[str, ...] = ()
    """The ids of the requests that this one takes something back of, or waits for."""
    otherwise: tuple[Otherwise, ...] = ()
    """Of a request that was joined: what it does not have as it was asked for now."""


def otherwise(asked: Request, joined: Request | None) -> tuple[Otherwise, ...]:
    """What a request that is joined has otherwise."""
    if joined is None:
        return ()
    pairs = [(name, getattr(asked, name, None), getattr(joined, name, None)) for name in _SAID]
    return tuple(Otherwise(name, wanted, stands) for name, wanted, stands in pairs if wanted != stands)


_SAID = ("priority", "deadline_us", "owner")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks where, in earnest or not."""

    store: Store
    actor: str
    dry_run: bool = False

    def commit(
        self,
        changes: Sequence[Change],
        *,
        cause: str,
        requirements: Sequence[Requirement] = (),
        also: Sequence[Also] = (),
    ) -> Head | None:
        """Commit, with what else belongs to it; returns the head after it, None after a dry run."""
        change_set = ChangeSet(tuple(changes), actor=self.actor, cause=cause, requirements=tuple(requirements))
        return dry_run.commit(self.store, change_set, dry_run=self.dry_run, also=also)

    def until_still(
        self,
        dataset: DatasetKey,
        look: Callable[[Snapshot], Seen],
        ask: Callable[[Seen, DatasetUnchanged], Result],
    ) -> Result:
        """What ``ask`` makes of what ``look`` has seen, as soon as nobody comes in between."""
        for _ in range(TRIES):
            with self.store.snapshot() as snapshot:
                seen, head = look(snapshot), snapshot.head
            try:
                # Without the requirement two askers at once would both be first.
                return ask(seen, DatasetUnchanged(dataset, head.position, head.epoch))
            except ClaimedMeanwhile:
                continue
            except Conflict:
                if not self._has_changed(dataset, head):
                    raise
        raise Conflict(f"dataset {dataset} keeps changing", rows=(str(dataset),), hint="try again later")

    def _has_changed(self, dataset: DatasetKey, seen: Head) -> bool:
        with self.store.snapshot() as snapshot:
            return snapshot.head.epoch != seen.epoch or dataset in snapshot.changed_since(seen.position)[0]
