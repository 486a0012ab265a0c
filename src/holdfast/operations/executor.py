"""Carry out what is asked for: a worker that runs until nothing is left to do, or for ever.

As many as are wanted, on as many machines: they share the queue. One may be
killed at any moment; the others, or the next one, take over what it had
claimed, remove the parts that were left, and find in place what was finished.

Time, sleep and chance are arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

from holdfast import logs
from holdfast.config import OperationsSettings
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock
from holdfast.model.errors import WorkerStuck
from holdfast.model.records import CopyRequest, DeletionRequest
from holdfast.operations.batch import BatchState, RequestKind
from holdfast.operations.batches.lease import Monotonic, monotonic_s
from holdfast.operations.batches.queue import Queue
from holdfast.operations.carrying.outside import Outside, Sleep, Tools
from holdfast.operations.engines.choosing import Engines
from holdfast.operations.engines.in_place import InPlaceEngine
from holdfast.operations.engines.local import LocalEngine
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.operations.places import Drivers, Places
from holdfast.operations.progress import Listener, RunProgress, RunReport
from holdfast.operations.requests import random_id
from holdfast.operations.tally import RunTally
from holdfast.operations.work import reporting
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.operations.work.presence import Presence
from holdfast.operations.work.worker import Worker, WorkerEnd

_log = logs.get("operations")


async def run(
    store: Store,
    drivers: Drivers,
    *,
    settings: OperationsSettings,
    clock: Clock,
    workers_dir: Path,
    progress: Listener | None = None,
    only: Collection[str] | None = None,
    kinds: Collection[RequestKind] | None = None,
    wait: bool = True,
    waiting: Callable[[str], None] | None = None,
    forever: bool = False,
    engines: Engines | None = None,
    monotonic: Monotonic = monotonic_s,
    sleep: Sleep = asyncio.sleep,
    seed: int = 0,
    new_id: Callable[[], str] = random_id,
) -> RunReport:
    """Work until nothing is left to do, on the requests named by ``only``, of some ``kinds``, or on all.

    What other workers are at is waited for, after a word to ``waiting``; or, with
    ``wait`` false, the report says so. With ``forever``, wait for new requests
    until cancelled. ``workers_dir`` has the lock files of this machine's workers.
    What is held at the beginning is tried once more, unless it runs for ever.
    Engines, and drivers as ``Places`` says, are closed in the end. WorkerStuck: a
    storage hangs, and what was asked of it may still be carried out until the
    process ends.
    """
    outside = Outside(clock, monotonic, sleep, seed, new_id)
    if engines is None:
        own = [OneByOne(LocalEngine(clock)), OneByOne(InPlaceEngine(clock))]
        engines = Engines(own, settings.for_link, monotonic=monotonic)
    tally = RunTally(seed, clock, progress or _ignore, keeps_names=not forever)
    tools = Tools(store, Queue(store), Places(drivers), engines, settings, outside, tally, is_service=forever)
    asked = OpenRequests(tools, only=only, kinds=kinds)
    worker = Worker(tools, asked, Presence(tools, workers_dir), waiting=waiting)
    _log.info("worker begun", concurrency=settings.concurrency, seed=seed, forever=forever)
    is_stuck = False
    try:
        end = await worker.run(wait=wait)
    except WorkerStuck:
        is_stuck = True
        raise
    finally:
        # Nothing is closed under the hands of what is stuck.
        if not is_stuck:
            await engines.close()
            await tools.places.close()
    report = _report(tools, asked, end)
    _log.info(
        "worker ended",
        copied=report.files_copied,
        size=report.bytes_copied,
        found=report.files_found,
        replaced=report.files_replaced,
        failed=report.files_failed,
        held=report.files_held,
        retries=report.retries,
        seconds=report.seconds,
    )
    return report


def _ignore(progress: RunProgress) -> None:
    pass


def _report(tools: Tools, asked: OpenRequests, end: WorkerEnd) -> RunReport:
    """What was done, with every request that was worked on as it is now."""
    with tools.store.snapshot() as view:
        found = [request for id in asked.seen if (request := view.request(id)) is not None]
    held, on_hold, n_held = _held(tools, asked.seen)
    copies = [request for request in found if isinstance(request, CopyRequest)]
    deletions = [request for request in found if isinstance(request, DeletionRequest)]
    reports = [
        reporting.report(
            tools,
            request,
            tools.tally.removed_of(request.id),
            error=end.stopped.get(request.site, "") or held.get(request.id, ""),
            is_busy=end.is_busy and RequestKind.of(request).is_deletion,
        )
        for request in deletions
    ]
    return tools.tally.report(
        copies, reports, n_held=n_held, held=held, on_hold=on_hold, stopped=end.stopped, is_busy=end.is_busy
    )


def _held(tools: Tools, ids: Collection[str]) -> tuple[dict[str, str], frozenset[str], int]:
    """Why requests have files that do not move, which of them somebody holds back, and how many files that are."""
    held: dict[str, str] = {}
    on_hold: set[str] = set()
    n_held = 0
    for request in tools.queue.known_open():
        if request.id not in ids:
            continue
        n_held += tools.queue.counts(request).files(BatchState.HELD)
        first = next((batch for batch in tools.queue.problems(request, 20) if batch.state is BatchState.HELD), None)
        if request.on_hold:
            held[request.id] = f"on hold by {request.on_hold}"
            on_hold.add(request.id)
        elif first is not None:
            held[request.id] = f"{first.held.value}: {first.error}" if first.error else first.held.value
    return held, frozenset(on_hold), n_held
