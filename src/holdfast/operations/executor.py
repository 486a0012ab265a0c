"""Carry out copy requests: one executor at a time, by a lock that dies with it.

It may be killed at any moment: the next one finds what was claimed, removes
the parts that were left, and finds in place what was finished. What it does
under the lock is a shift (``shift.py``).

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
from holdfast.model.records import CopyRequest
from holdfast.operations.engine import TransferEngine
from holdfast.operations.local_engine import LocalEngine
from holdfast.operations.lockfile import Lockfile
from holdfast.operations.progress import Listener, Progress, RunReport
from holdfast.operations.requests import random_id
from holdfast.operations.shift import Outside, Shift, Sleep
from holdfast.operations.sourcing import Drivers
from holdfast.operations.tally import Tally

LOOK_INTERVAL_S = 1.0
"""How often one who waits for another executor looks up."""

_log = logs.get("operations")


async def run(
    store: Store,
    drivers: Drivers,
    *,
    settings: OperationsSettings,
    clock: Clock,
    lock_path: Path,
    progress: Listener | None = None,
    only: Collection[str] | None = None,
    wait: bool = True,
    waiting: Callable[[str], None] | None = None,
    forever: bool = False,
    engine: TransferEngine | None = None,
    sleep: Sleep = asyncio.sleep,
    seed: int = 0,
    new_token: Callable[[], str] = random_id,
) -> RunReport:
    """Work until nothing is left to do, on the requests named by ``only``, or on all.

    If another executor is at work: wait for it (and return as soon as it has
    closed all of ``only``), after a word to ``waiting``; or with ``wait`` false
    return a report that says so. With ``forever``, wait for new requests until
    cancelled. Drivers are closed as ``Sourcing`` says.
    """
    lock = Lockfile(lock_path)
    tally = Tally(seed, clock, progress or _ignore)
    try:
        while not lock.acquire():
            if not wait:
                return tally.report((), is_busy=True)
            if only is not None and not any(request.id in only for request in _requests(store)):
                return tally.report(_named(store, only))
            message = f"waiting for another executor ({lock.holder() or 'unknown'})"
            tally.tell(message)
            if waiting is not None:
                waiting(message)
                waiting = None
            await sleep(LOOK_INTERVAL_S)
        outside = Outside(clock, sleep, seed, new_token)
        shift = Shift(store, drivers, engine or LocalEngine(clock), settings, outside, tally=tally, only=only)
        _log.info("executor begun", concurrency=settings.concurrency, seed=seed, forever=forever)
        stopped = await shift.run(forever=forever)
        report = tally.report(_named(store, shift.seen), stopped=stopped)
        _log.info(
            "executor ended",
            copied=report.files_copied,
            size=report.bytes_copied,
            found=report.files_found,
            replaced=report.files_replaced,
            failed=report.files_failed,
            retries=report.retries,
            seconds=report.seconds,
        )
        return report
    finally:
        lock.release()


def _ignore(progress: Progress) -> None:
    pass


def _requests(store: Store, *, only_open: bool = True) -> list[CopyRequest]:
    with store.snapshot() as snapshot:
        return snapshot.copy_requests(only_open=only_open)


def _named(store: Store, ids: Collection[str]) -> list[CopyRequest]:
    return [request for request in _requests(store, only_open=False) if request.id in ids]
