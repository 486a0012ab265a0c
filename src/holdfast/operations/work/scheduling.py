"""Scheduling: what this worker takes next, of all that waits; and what goes on in another way without a try.

Reads the queue and the inventory, lets ``planning.schedule`` decide, and finds
the ends and the engine of each copy. Takes nothing itself.

Rules
  * A door that does not open stops its site, and nothing else.
  * A link that no engine can serve is no way to get these files: the source
    counts as failed for them. One whose engines rest is tried when they do not.
  * What is to be deleted at its destination by an open request is not brought
    there: the later word waits for the earlier.
  * What a job at a service may still be bringing, though its claim is over, waits until that was cancelled.
  * A request whose deadline has passed loses all that nobody works on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.operations.batch import Batch, BatchFailure, BatchState, Held, QueuedRequest, RequestKind
from holdfast.operations.batches.links import LinkBook, read_links
from holdfast.operations.batches.unwanted import UnwantedJob
from holdfast.operations.carrying import outcomes
from holdfast.operations.carrying.outcomes import Setback
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.carrying.taking import NOTHING, Decided, WantedFiles
from holdfast.operations.codes import Code
from holdfast.operations.engines.choosing import Unserved
from holdfast.operations.places import OpenDoor
from holdfast.operations.planning import limits as planning_limits
from holdfast.operations.planning.assignment import Assignment, HeldBatch
from holdfast.operations.planning.holders import read_holders
from holdfast.operations.planning.schedule import Schedule, schedule
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.sizes import Sizes
from holdfast.operations.planning.usage import busy_of, usage_of
from holdfast.operations.work.copying import Route
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.operations.work.stops import Stops
from holdfast.operations.work.worker_jobs import WorkerJob

ROOM_FILES = 20_000
"""How many files are claimed at a time, of copies and of deletions."""
HELD_MAX = 1000
"""How many batches come to be held in one turn; the others do in the next."""
LATE_US = 1 << 62
"""A moment at which every wait is over."""


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """Files to be brought, and how."""

    wanted: WantedFiles
    route: Route


@dataclass(frozen=True, slots=True)
class WantedDeletion:
    """Files to be deleted, and how many at once."""

    wanted: WantedFiles
    door: OpenDoor
    streams: int


@dataclass(slots=True)
class Next:
    """What is to be taken now, and what was seen on the way to it. False: nothing is to be taken."""

    copies: list[WantedCopy] = field(default_factory=list)
    deletions: list[WantedDeletion] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    adrift: list[Batch] = field(default_factory=list)
    """Claims in our name that no job of ours knows: the answer to what claimed or settled them was lost."""
    unwanted: list[UnwantedJob] = field(default_factory=list)
    """Jobs at services that are to be cancelled."""
    blocked: set[tuple[DatasetKey, str]] = field(default_factory=set)
    """Datasets and sites of which copies wait for deletions there."""

    def __bool__(self) -> bool:
        return bool(self.copies or self.deletions or self.decided)


class Scheduler:
    """Chooses for one worker."""

    def __init__(self, tools: Tools, asked: OpenRequests, links: LinkBook, stops: Stops) -> None:
        self._tools = tools
        self._asked = asked
        self._links = links
        self._stops = stops
        self._limits = planning_limits.of_settings(tools.settings)
        self._served = Served()

    def charge(self, jobs: Iterable[WorkerJob]) -> None:
        """These were taken: whoever was given something has had his turn."""
        for job in jobs:
            self._served.charge(job.batch.request, job.batch.n_files, job.batch.size)

    def choose(
        self, view: Snapshot, sizes: Sizes, worker: str, ours: Mapping[str, int], *, has_room: bool = True
    ) -> Next:
        """What comes next. ``ours``: files under way by our claims; ``has_room``: whether copies are wanted."""
        queue, outside = self._tools.queue, self._tools.outside
        now_us = outside.clock()
        with queue.read() as connection:
            unwanted = queue.unwanted_jobs(connection)
            waiting = self._waiting(connection, unwanted, now_us)
            active = queue.active(connection)
            links = read_links(connection)
        adrift = [batch for batch in active if batch.worker == worker and batch.claim not in ours]
        found = Next(adrift=adrift, unwanted=unwanted)
        if not has_room:
            waiting = [batch for batch in waiting if batch.request.kind is not RequestKind.COPY]
        if not waiting:
            return found

        def streams(batch: Batch) -> int:
            known = ours.get(batch.claim)
            return self._limits.of_link(batch.source, batch.site).streams if known is None else known

        waiting, doomed = self._without_doomed(view, waiting, found.blocked)
        copies = {batch.block_key: None for batch in waiting if batch.request.kind is RequestKind.COPY}
        chosen = schedule(
            waiting,
            usage=usage_of(active, worker, streams),
            limits=self._limits,
            holders=read_holders(view, copies),
            sizes=sizes,
            links=self._links.applied(links),
            sites=self._tools.places.sites,
            served=self._served,
            room_files=ROOM_FILES,
            now_us=now_us,
            busy=busy_of(active),
            doomed=doomed,
            stopped=self._stops.reasons(),
        )
        self._fill(found, chosen, now_us)
        return found

    def _waiting(self, connection: Connection, unwanted: Iterable[UnwantedJob], now_us: int) -> list[Batch]:
        found = self._tools.queue.waiting(connection, now_us=now_us, wait_us_max=self._tools.wait_us_max)
        running = {job.claim for job in unwanted if job.is_in_the_way(now_us)}
        return [batch for batch in found if batch.request.id in self._asked.known and running.isdisjoint(batch.left)]

    def _without_doomed(
        self, view: Snapshot, waiting: Sequence[Batch], blocked: set[tuple[DatasetKey, str]]
    ) -> tuple[list[Batch], dict[tuple[BlockKey, str], FileSet]]:
        """Without copies of what is all to be deleted where they go (``blocked``); and what of the others is."""
        places = {(each.dataset, each.site) for each in self._asked.deletions.values() if each.dataset is not None}
        doomed: dict[tuple[BlockKey, str], FileSet] = {}
        copies = (batch.request for batch in waiting if batch.request.kind is RequestKind.COPY)
        for dataset in {request.dataset for request in copies if (request.dataset, request.site) in places}:
            if dataset is not None:
                for (block, site), files in deletion.condemned(view, dataset).items():
                    doomed[BlockKey(dataset, block), site] = files
        free = []
        for batch in waiting:
            if batch.request.kind is RequestKind.COPY and not batch.files - doomed.get(
                (batch.block_key, batch.site), NOTHING
            ):
                blocked.add((batch.block_key.dataset, batch.site))
            else:
                free.append(batch)
        return free, doomed

    def _fill(self, found: Next, chosen: Schedule, now_us: int) -> None:
        for assignment in chosen.assignments:
            if assignment.batch.request.kind.is_deletion:
                self._delete(found, assignment)
            else:
                self._copy(found, assignment, now_us)
        for held in chosen.held[:HELD_MAX]:
            found.decided.append(self._held(held))
        if chosen.overdue:
            found.decided += self._overdue(chosen.overdue)

    def _delete(self, found: Next, assignment: Assignment) -> None:
        door = self._door(assignment.batch.site, Code.STORAGE_FAILED)
        if door is not None:
            wanted = WantedFiles(assignment.batch, assignment.files, assignment.size)
            found.deletions.append(WantedDeletion(wanted, door, assignment.streams))

    def _copy(self, found: Next, assignment: Assignment, now_us: int) -> None:
        batch = assignment.batch
        source = self._door(assignment.source, Code.SOURCE_FAILED)
        destination = self._door(batch.site, Code.DESTINATION_FAILED)
        if source is None or destination is None:
            return  # The next schedule knows of it.
        picked = self._tools.engines.pick(source.top, destination.top)
        if isinstance(picked, Unserved):
            found.decided.append(Decided(batch, self._unserved(assignment, picked, now_us)))
            return
        wanted = WantedFiles(batch, assignment.files, assignment.size, assignment.source, picked.engine.name)
        found.copies.append(
            WantedCopy(wanted, Route(source, destination, picked.engine, assignment.streams, picked.picked_s))
        )

    def _unserved(self, assignment: Assignment, unserved: Unserved, now_us: int) -> BatchFailure:
        batch, files, size = assignment.batch, assignment.files, assignment.size
        if unserved.rest_s is not None:
            failure = outcomes.later(batch, files, size, unserved.reason, now_us=now_us, wait_s=unserved.rest_s)
            return replace(failure, code=Code.ENGINE_FAILED)
        self._tools.tally.say(f"{batch.block_key} to {batch.site}: {unserved.reason}")
        setback = Setback(files, size, Code.UNSUPPORTED, unserved.reason)
        tried = replace(batch, source=assignment.source)
        return outcomes.failure(tried, setback, self._tools.settings, now_us=now_us, seed=self._tools.outside.seed)

    def _door(self, site: str, code: Code) -> OpenDoor | None:
        try:
            return self._tools.places.door(site)
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            self._stops.stop(site, str(error), code)
            return None

    def _held(self, held: HeldBatch) -> Decided:
        batch = held.batch
        code: Code | None = None
        if held.held is Held.SITE_UNAVAILABLE:
            self._stops.tell(batch.site, held.reason)
            stopped = [site for site in self._stops.reasons() if site == batch.site or f"{site}: " in held.reason]
            code = next((self._stops.code(site) for site in stopped), None)
        what = (
            f"{batch.block_key} to {batch.site}"
            if batch.request.kind is RequestKind.COPY
            else f"deletion at {batch.site}"
        )
        self._tools.tally.tell(f"{what}: {held.held.value}: {held.reason}")
        failure = outcomes.held(batch, batch.files, batch.size, held.held, held.reason, code)
        return Decided(batch, failure)

    def _overdue(self, overdue: Iterable[QueuedRequest]) -> list[Decided]:
        numbers = {request.number for request in overdue}
        with self._tools.queue.read() as connection:
            waiting = self._tools.queue.waiting(connection, now_us=LATE_US, wait_us_max=0)
        why = "its deadline has passed"
        return [
            Decided(batch, outcomes.given_up(batch, batch.files, batch.size, Code.STOPPED, why))
            for batch in waiting
            if batch.request.number in numbers and batch.state in (BatchState.QUEUED, BatchState.RETRY)
        ]
