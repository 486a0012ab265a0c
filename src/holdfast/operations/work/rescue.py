"""Rescue: what is not going on by itself any more is put back into the queue.

What the dead had claimed, what is held and may go on, what is claimed in our own
name and known to nobody.

Rules
  * Requests that were sent to a storage may still be carried out after their
    sender's death: what such deletions are about waits for ``call_limit_s``. So
    does what one is about who deletes replicas and may only be asleep: he may
    wake up in the middle of a call. So do copies by an engine that starts what
    may go on without us (``TransferEngine.outlives_caller``).
  * A job at a service is taken up with its handle, under a claim of ours. What
    nobody can take up goes another way after ``call_limit_s``.
  * Whoever takes over removes the parts of the claims before his (``copying``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from holdfast import logs
from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model import steps
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.operations.batch import Batch, RequestKind, Settled
from holdfast.operations.batches.workers import Workers
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.planning.holders import read_holders
from holdfast.operations.work import holding
from holdfast.operations.work.copying import Route
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.operations.work.presence import DeadWorker, Presence
from holdfast.operations.work.stops import Stops

HELD_INTERVAL_S = 30.0
"""How often what is held is looked at, if nothing is heard of the inventory."""

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What the dead had claimed: what is in the queue again, as it was, and what is ours now, with its job."""

    requeued: Sequence[Batch]
    adopted: Sequence[tuple[Batch, Route]]


class Rescue:
    """What one worker does for those that cannot."""

    def __init__(self, tools: Tools, asked: OpenRequests, stops: Stops, presence: Presence) -> None:
        self._tools = tools
        self._asked = asked
        self._stops = stops
        self._presence = presence
        self._looked_s: float | None = None

    def bury(self) -> TakenOver:
        """Take over from the dead."""
        requeued: list[Batch] = []
        adopted: list[Batch] = []
        for dead in self._presence.dead():
            found, ours = self._bury(dead)
            steps.reach("work.buried")
            if found or ours:
                _log.warning("a worker is dead", worker=dead.id, batches=len(found), jobs_taken_up=len(ours))
            self._presence.forget(dead)
            requeued += found
            adopted += ours
        return TakenOver(requeued, [(batch, self._route(batch)) for batch in adopted])

    def _bury(self, dead: DeadWorker) -> tuple[list[Batch], list[Batch]]:
        """Its batches that are queued again, and those that are ours now."""
        queue, outside, me = self._tools.queue, self._tools.outside, self._presence.id
        with queue.write() as connection:
            adopted = []
            for batch in queue.active(connection):
                if batch.worker == dead.id and batch.handle and self._can_adopt(batch):
                    claim = outside.new_id()
                    mine = queue.adopt(connection, batch, worker=me, claim=claim, now_us=outside.clock())
                    adopted += [mine] if mine is not None else []
            requeued = Workers.bury(
                connection, dead.id, now_us=outside.clock(), waits=lambda batch: self._may_still_run(batch, dead)
            )
        return requeued, adopted

    def _route(self, batch: Batch) -> Route:
        """The ends and the engine of a batch that was taken over with its job."""
        engine = self._tools.engines.named(batch.engine)
        if engine is None:
            raise BrokenInvariant(f"the engine {batch.engine} is not there any more")
        streams = self._tools.settings.for_link(batch.source, batch.site).streams
        places = self._tools.places
        return Route(places.door(batch.source), places.door(batch.site), engine, min(streams, batch.n_files))

    def give_back(self, adrift: Collection[Batch]) -> None:
        """Claims in our name that nobody works on."""
        if adrift:
            _log.warning("claims that nobody knows are given back", claims=len(adrift))
            settled = [Settled(batch.claim, gives_back=True) for batch in adrift]
            with self._tools.queue.write() as connection:
                self._tools.queue.settle(connection, settled, now_us=self._tools.outside.clock())

    def requeue(self, *, has_news: bool) -> bool:
        """Queue again what is held and may go on, if it is time to look; whether there was anything."""
        now_s = self._tools.outside.monotonic()
        if not has_news and self._looked_s is not None and now_s - self._looked_s < HELD_INTERVAL_S:
            return False
        self._looked_s = now_s
        queue, settings = self._tools.queue, self._tools.settings
        with queue.read() as connection:
            held = self._ours(queue.held(connection))
        if not held:
            return False
        with self._tools.store.snapshot() as view:
            copies = {batch.block_key: None for batch in held if batch.request.kind is RequestKind.COPY}
            again = holding.again(
                held,
                read_holders(view, copies),
                self._tools.places.sites,
                self._stops.reasons(),
                may_go=self._may_go(view, [batch for batch in held if batch.held.is_refused]),
                attempts_max=settings.attempts_max,
                held_retry_s=settings.held_retry_s,
                now_us=self._tools.outside.clock(),
            )
        # What was seen not to be in its own place is not looked for there by the hour: of very many files without a
        # source that would be more work than all others make.
        return self._requeue(again.as_is, again.anew, {batch.id: batch.site for batch in held})

    def requeue_all(self) -> bool:
        """Somebody wants it done now: queue again all that is held of what we know, with sources that failed, too."""
        with self._tools.queue.read() as connection:
            held = self._ours(self._tools.queue.held(connection))
        return self._requeue((), tuple(batch.id for batch in held if not batch.held.is_refused), {})

    def expire(self, expired: Collection[str]) -> bool:
        """What is held of requests whose deadline has passed waits no longer: it is given up with the rest."""
        with self._tools.queue.read() as connection:
            held = [batch for batch in self._tools.queue.held(connection) if batch.request.id in expired]
        return self._requeue(tuple(batch.id for batch in held), (), {})

    def _may_go(self, view: Snapshot, refused: Iterable[Batch]) -> set[int]:
        """The batches of which the check lets something go now; made once for each request."""
        batches: dict[str, list[Batch]] = {}
        for batch in refused:
            batches.setdefault(batch.request.id, []).append(batch)
        found: set[int] = set()
        for id, some in batches.items():
            blocks = view.find_blocks({batch.block_key: None for batch in some})
            wanted: dict[BlockKey, FileSet] = {}
            for batch in some:
                if batch.block_key in blocks:
                    wanted[batch.block_key] = wanted.get(batch.block_key, FileSet()) | batch.files
            now_us, asked_us = self._tools.outside.clock(), self._asked.deletions[id].created_us
            against = deletion.replica_obstacles_of_blocks(view, some[0].site, wanted, now_us=now_us, asked_us=asked_us)
            staying = {key: reduce(or_, (each.files for each in obstacles)) for key, obstacles in against.items()}
            found |= {batch.id for batch in some if batch.files - staying.get(batch.block_key, FileSet())}
        return found

    def _requeue(self, as_is: tuple[int, ...], anew: tuple[int, ...], but: Mapping[int, str]) -> bool:
        if as_is or anew:
            with self._tools.queue.write() as connection:
                self._tools.queue.requeue(connection, as_is)
                self._tools.queue.requeue(connection, anew, forget_sources=True, but=but)
        return bool(as_is or anew)

    def _ours(self, batches: Iterable[Batch]) -> list[Batch]:
        return [batch for batch in batches if batch.request.id in self._asked.known]

    def _may_still_run(self, batch: Batch, dead: DeadWorker) -> bool:
        """Whether what a dead worker has begun for a batch may still be carried out, by somebody else or himself."""
        if dead.dead_for_s >= self._tools.settings.call_limit_s:
            return False
        if batch.handle:
            return True  # A worker that has this engine takes the job up.
        if not batch.request.kind.is_deletion:
            return self._may_still_come(batch)
        if batch.request.kind is RequestKind.REPLICAS and not dead.is_proven:
            return True
        return self._tools.places.outlives_caller(batch.site)

    def _may_still_come(self, batch: Batch) -> bool:
        """Whether a file of a copy may still be written by something that a dead worker has begun."""
        engine = self._tools.engines.named(batch.engine)
        # Of an engine that is not ours nobody here knows.
        return bool(batch.engine) and (engine is None or engine.outlives_caller)

    def _can_adopt(self, batch: Batch) -> bool:
        """Whether we can go on with a job at a service."""
        if self._tools.engines.named(batch.engine) is None or batch.request.id not in self._asked.known:
            return False
        try:
            self._tools.places.door(batch.source)
            self._tools.places.door(batch.site)
        except BrokenInvariant:
            raise
        except HoldfastError:
            return False
        return True
