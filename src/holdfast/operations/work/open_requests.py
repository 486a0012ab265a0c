"""Open requests: what the inventory asks for now, as far as this worker is to see to it.

Rules
  * The inventory is looked at when its head has moved, and its word counts:
    what it does not ask for any more is given up, what it does is taken in.
    What we have said ourselves is no news.
  * ``known`` are requests that the inventory has open and the queue knows; of
    those named by ``only`` or of the wanted ``kinds``, if either is given.
  * A look counts once it was heard to its end: if the database goes away in
    between, the same is told again.
  * Requests are planned a step at a time, in turns; what is written together
    ``planning.lacking`` says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.inventory.store import Head, Snapshot
from holdfast.model import steps
from holdfast.model.records import CopyRequest, DeletionRequest, Request, RequestState
from holdfast.operations.batch import QueuedRequest, RequestKind
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.planning import lacking


@dataclass(frozen=True, slots=True)
class News:
    """What a look has found."""

    fresh: tuple[QueuedRequest, ...] = ()
    """Requests that were not known to this worker."""
    gone: tuple[QueuedRequest, ...] = ()
    """Requests that the queue works on and the inventory does not ask for any more."""
    is_restored: bool = False
    """The inventory is another than before: nothing that we remember holds."""


class OpenRequests:
    """The requests that are to be worked on."""

    def __init__(
        self, tools: Tools, *, only: Collection[str] | None = None, kinds: Collection[RequestKind] | None = None
    ):
        self.seen: dict[str, None] = dict.fromkeys(only or ())
        """All that this worker has had to do with, in the order in which it heard of them, to be told of in the end.

        Nobody waits for the end of a service, which would remember for ever.
        """
        self.known: dict[str, QueuedRequest] = {}
        self.copies: dict[str, CopyRequest] = {}
        """All that are open, known here or not."""
        self.deletions: dict[str, DeletionRequest] = {}
        self._tools = tools
        self._only = None if only is None else frozenset(only)
        self._kinds = None if kinds is None else frozenset(kinds)
        self._looked: tuple[str, int] | None = None
        """The point of the inventory's history (epoch and position) that we know."""
        self._seen: tuple[str, int] | None = None
        """Where the last look was, heard or not."""
        self._greeted: set[str] = set()
        """Those of the known ones that whoever looks has heard of."""
        self._unplanned: deque[str] = deque()

    @property
    def epoch(self) -> str:
        """The inventory's history that we know; "" before the first look."""
        return "" if self._looked is None else self._looked[0]

    def look(self) -> News | None:
        """See what the inventory asks for; None if nothing has happened there since the last time.

        To be confirmed with ``heard`` when the news have had their effect.
        """
        store, queue = self._tools.store, self._tools.queue
        before, head = self._looked, store.head()
        if before == (head.epoch, head.position):
            return None
        with store.snapshot() as view:
            self._seen = (view.head.epoch, view.head.position)
            is_restored = before is not None and before[0] != view.head.epoch
            self._tools.places.take_in(view.sites())
            self.copies = {request.id: request for request in view.copy_requests()}
            self.deletions = {request.id: request for request in view.deletion_requests()}
        if is_restored:
            self.known.clear()
            self._greeted.clear()
            self._unplanned.clear()
        gone = tuple(each for each in queue.known_open() if each.id not in self.copies | self.deletions)
        for each in gone:
            self.forget(each.id)
        fresh = []
        for each in queue.take_in(request for request in self._requests() if self._is_wanted(request)):
            if each.id not in self._greeted:
                fresh.append(each)
                if not self._tools.is_service:
                    self.seen[each.id] = None
            if each.id not in self.known and not each.is_planned:
                self._unplanned.append(each.id)
            self.known[each.id] = each
        return News(tuple(fresh), gone, is_restored)

    def heard(self) -> None:
        """The news of the last look have had their effect."""
        self._looked = self._seen
        self._greeted.update(self.known)

    def saw(self, head: Head) -> None:
        """We have just told the inventory something ourselves, and it was at ``head`` then."""
        before, now = (head.epoch, head.position - 1), (head.epoch, head.position)
        self._looked = now if self._looked == before else self._looked
        self._seen = now if self._seen == before else self._seen

    def forget(self, id: str) -> None:
        """A request has its outcome."""
        self.known.pop(id, None)
        self._greeted.discard(id)
        if id in self._unplanned:
            self._unplanned.remove(id)

    def numbers(self) -> list[int] | None:
        """The queue's numbers of all that is known, None where that is all there is."""
        if self._only is None and self._kinds is None:
            return None
        return [request.number for request in self.known.values()]

    def request(self, id: str) -> Request | None:
        """An open request as the inventory had it when we looked."""
        return self.copies.get(id) or self.deletions.get(id)

    @property
    def is_planned(self) -> bool:
        """Whether all that is known was planned to its end."""
        return not self._unplanned

    def plan(self) -> list[QueuedRequest]:
        """Plan a step of the requests whose turn it is; returns them as they are then."""
        if not self._unplanned:
            return []
        with self._tools.store.snapshot() as view:
            group = _steps(view, [self.known[id] for id in self._unplanned])
        if not group:
            return []  # Closed meanwhile: the next look will tell.
        planned = self._tools.queue.add_all(
            (queued, step.batches, step.planned_to, step.is_last) for queued, step in group
        )
        for step_name in sorted({_STEPS[each.kind] for each in planned}):
            steps.reach(step_name)
        for after in planned:
            self._tools.tally.planned(self.known[after.id], after)
            self.known[after.id] = after
            self._unplanned.remove(after.id)
            if not after.is_planned and not after.is_closed:
                self._unplanned.append(after.id)
        return planned

    def _requests(self) -> list[Request]:
        return sorted((*self.copies.values(), *self.deletions.values()), key=lambda each: (each.created_us, each.id))

    def _is_wanted(self, request: Request) -> bool:
        if self._only is not None and request.id not in self._only:
            return False
        return self._kinds is None or RequestKind.of(request) in self._kinds


_STEPS = {
    RequestKind.COPY: "copy.planned",
    RequestKind.REPLICAS: "deletion.planned",
    RequestKind.ORPHANS: "deletion.planned",
}


def _steps(view: Snapshot, turn: Iterable[QueuedRequest]) -> Sequence[tuple[QueuedRequest, lacking.PlanStep]]:
    """What is planned together of those whose turn it is, as far as they are open."""
    gone: list[tuple[QueuedRequest, lacking.PlanStep]] = []

    def still_open() -> Iterator[tuple[QueuedRequest, Request]]:
        for queued in turn:
            request = view.request(queued.id)
            if request is None or request.state is not RequestState.OPEN:
                continue
            if request.dataset is not None and not view.find_datasets([request.dataset]):
                # Its dataset is gone, so nothing of it can be brought or be there.
                gone.append((queued, lacking.PlanStep((), queued.planned_to, True, 0)))
                continue
            yield queued, request

    return next(lacking.together(still_open(), view), None) or gone
