"""Overview: what was asked for, how far it is and why it does not move. Reads, never writes.

Requests and outcomes are the inventory's; what lies between is the queue's,
which knows a request only once a worker has seen it.

Rules
  * The state of a request follows from its batches: the one that moves furthest counts.
  * What is not known is None, never 0.
  * All requests cost a handful of queries together, and one each for what is wrong with it; of a few that are not
    planned the inventory is asked for their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection

from holdfast.inventory.store import Snapshot, Store
from holdfast.model.errors import BadInput, UnknownName, unknown_name
from holdfast.model.names import DatasetKey
from holdfast.model.records import Request, RequestState
from holdfast.operations.batch import Batch, BatchState, QueuedRequest, RequestKind
from holdfast.operations.batches import counting, links
from holdfast.operations.batches.counting import FileCounts
from holdfast.operations.batches.queue import Queue
from holdfast.operations.requesting import needs
from holdfast.operations.showing import worker_overview
from holdfast.operations.showing.worker_overview import WorkerStatus

COPIES = frozenset({RequestKind.COPY})
DELETIONS = frozenset({RequestKind.REPLICAS, RequestKind.ORPHANS})

Kinds = frozenset[RequestKind]

Streams = Callable[[str, str], int]
"""How many files of a batch may be under way at once from a site to another."""

NOTHING = FileCounts()

COUNTED_MAX = 100
"""Of so many requests that are not planned yet the files are counted."""


class Condition(StrEnum):
    """Where a request stands, as people see it."""

    NEW = "new"
    """Nobody has looked at it yet."""
    QUEUED = "queued"
    ACTIVE = "active"
    RETRY = "retry"
    HELD = "held"
    """By somebody, or because nothing of it can move."""
    CANCELLING = "cancelling"
    """Cancelled, but it is not known yet what has gone of it."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """A request and what the queue knows of it. What failed is remembered after the end, the rest is forgotten."""

    request: Request
    kind: RequestKind
    queued: QueuedRequest | None = None
    counts: FileCounts = NOTHING
    worst: Batch | None = None
    """What people should look at first, if anything has failed or is held."""
    rate_bytes_s: float | None = None
    """Of what is under way, by what its links have shown before."""
    n_workers: int = 0
    """Workers that are alive, as far as is known."""
    lost: WorkerStatus | None = None
    """Who has claimed something of it and is lost, if nobody else is at it."""
    asked: tuple[int, int] | None = None
    """Of one that is not planned: the files that are lacking, or to go, and their bytes."""

    @property
    def condition(self) -> Condition:
        """Where it stands."""
        if self.request.state is not RequestState.OPEN:
            return Condition(self.request.state.value)
        if self.queued is None or self.queued.is_closed:
            return Condition.NEW
        if self.queued.ending:
            return Condition.CANCELLING
        if self.counts.files(BatchState.ACTIVE):
            return Condition.ACTIVE
        if self.queued.on_hold:
            return Condition.HELD
        if not self.queued.is_planned:
            return Condition.NEW
        waiting = (BatchState.QUEUED, BatchState.RETRY, BatchState.HELD)
        found = next((state for state in waiting if self.counts.files(state)), BatchState.QUEUED)
        return Condition(found.value)

    @property
    def is_known(self) -> bool:
        """Whether its files have been counted."""
        return self.queued is not None and (self.queued.is_planned or self.queued.is_closed)

    @property
    def n_files(self) -> int | None:
        """All its files; those that are there already when it is planned are not counted."""
        if self.queued is not None and self.is_known:
            return self.queued.n_files
        return None if self.asked is None else self.asked[0]

    @property
    def size(self) -> int | None:
        """Their bytes."""
        if self.queued is not None and self.is_known:
            return self.queued.size
        return None if self.asked is None else self.asked[1]

    @property
    def n_done(self) -> int:
        """Files that are in place, or gone."""
        return 0 if self.queued is None else self.queued.n_done

    @property
    def size_done(self) -> int:
        """Their bytes."""
        return 0 if self.queued is None else self.queued.size_done

    @property
    def n_failed(self) -> int:
        """Files that were given up."""
        return self.counts.files(BatchState.FAILED)

    @property
    def n_left(self) -> int | None:
        """Files that are still to be brought or deleted."""
        if self.n_files is None:
            return None
        return max(0, self.n_files - self.n_done - self.counts.files(BatchState.FAILED, BatchState.SKIPPED))

    @property
    def size_left(self) -> int | None:
        """Their bytes."""
        if self.size is None:
            return None
        return max(0, self.size - self.size_done - self.counts.size(BatchState.FAILED, BatchState.SKIPPED))

    @property
    def left_s(self) -> float | None:
        """How much longer it takes at this rate."""
        return None if not self.rate_bytes_s or self.size_left is None else self.size_left / self.rate_bytes_s


def requests_of(
    snapshot: Snapshot,
    kinds: Kinds,
    *,
    only_open: bool = True,
    site: str | None = None,
    dataset: DatasetKey | None = None,
) -> list[Request]:
    """Requests of these kinds, oldest first."""
    found: list[Request] = []
    if RequestKind.COPY in kinds:
        found += snapshot.copy_requests(only_open=only_open, dataset=dataset, site=site)
    if kinds & DELETIONS:
        found += snapshot.deletion_requests(only_open=only_open, dataset=dataset, site=site)
    return [request for request in found if RequestKind.of(request) in kinds]


def find(snapshot: Snapshot, id: str, kinds: Kinds) -> Request:
    """One request by its id or the beginning of it; UnknownName, BadInput if several begin so."""
    exact = snapshot.request(id) if id else None
    if exact is not None and RequestKind.of(exact) in kinds:
        return exact
    known = {request.id: request for request in requests_of(snapshot, kinds, only_open=False)}
    found = [request for name, request in known.items() if id and name.startswith(id)]
    if not found:
        raise _unknown(snapshot, id, kinds, known)
    if len(found) > 1:
        raise BadInput(f"{len(found)} requests begin with {id!r}", hint="give more of the id")
    return found[0]


def _unknown(snapshot: Snapshot, id: str, kinds: Kinds, known: Iterable[str]) -> UnknownName:
    """The error for an id that none of these kinds has; it tells of those of the other kind that begin so."""
    others = requests_of(snapshot, (COPIES | DELETIONS) - kinds, only_open=False)
    what = "transfer" if RequestKind.COPY in kinds else "deletion"
    if not id or not any(request.id.startswith(id) for request in others):
        return unknown_name(what, id, known)
    kind, group = ("deletion", "deletions") if RequestKind.COPY in kinds else ("copy", "transfers")
    return UnknownName(f"there is no {what} {id!r}", hint=f"it is a {kind}: `holdfast {group} show {id}`")


def statuses(
    store: Store,
    requests: Iterable[Request],
    *,
    streams: Streams = lambda source, site: 1,
    now_us: int = 0,
    is_alive: worker_overview.IsAlive = lambda row: None,
) -> list[RequestStatus]:
    """How far these requests are, in the same order. ``now_us`` and ``is_alive`` tell who of the workers is lost."""
    wanted = list(requests)
    if not wanted:
        return []
    queue = Queue(store)
    are_open = all(request.state is RequestState.OPEN for request in wanted)
    known = {request.id: request for request in (queue.known_open() if are_open else queue.known_all())}
    found = []
    with queue.read() as connection:
        counts, active = counting.all_counts(connection), queue.active(connection)
        workers = worker_overview.look(store, active, now_us=now_us, is_alive=is_alive)
        lost = {worker.id: worker for worker in workers.values() if worker.is_lost}
        rates = _rates(connection, [batch for batch in active if batch.worker not in lost], streams)
        at_work: dict[int, set[str]] = {}
        for batch in active:
            at_work.setdefault(batch.request.number, set()).add(batch.worker)
        for request in wanted:
            status = RequestStatus(
                request, RequestKind.of(request), known.get(request.id), n_workers=len(workers) - len(lost)
            )
            if status.queued is not None:
                number = status.queued.number
                worst = next(iter(counting.problems(connection, number, 1)), None)
                names = at_work.get(number, set())
                status = replace(
                    status,
                    counts=counts.get(number, NOTHING),
                    worst=worst,
                    rate_bytes_s=rates.get(number),
                    lost=lost[min(names)] if names and names <= lost.keys() else None,
                )
            found.append(status)
    return _counted(store, found)


def _counted(store: Store, statuses: Sequence[RequestStatus]) -> list[RequestStatus]:
    """With the files of those that are not planned, as far as looking is no trouble."""
    unplanned = [each for each in statuses if each.request.state is RequestState.OPEN and not each.is_known]
    if not unplanned:
        return list(statuses)
    with store.snapshot() as snapshot:
        asked = {each.request.id: _asked(snapshot, each.request) for each in unplanned[:COUNTED_MAX]}
    return [replace(each, asked=asked.get(each.request.id)) for each in statuses]


def _asked(snapshot: Snapshot, request: Request) -> tuple[int, int] | None:
    try:
        return needs.asked_of(snapshot, request)
    except UnknownName:
        return None  # Something of it is there no more; the planner says so.


def _rates(connection: Connection, active: Iterable[Batch], streams: Streams) -> Mapping[int, float]:
    """By request, the rate of what is under way where all of it is on links that were measured."""
    measured = links.read_links(connection)
    rates: dict[int, float | None] = {}
    for batch in active:
        link = measured.get((batch.source, batch.site))
        rate = None if link is None else link.rate_bytes_s
        so_far = rates.get(batch.request.number, 0.0)
        at_once = min(batch.n_files, streams(batch.source, batch.site))
        rates[batch.request.number] = None if rate is None or so_far is None else so_far + rate * at_once
    return {number: rate for number, rate in rates.items() if rate is not None}
