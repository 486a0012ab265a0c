"""Site listing: a site's whole tree in a folder on disk, in the way that fits its doors.

A folder that the operating system shows us is walked by processes of our own
(``local_walk``); every other door is asked (``engine``). Both keep the same
ledger, so that a listing can be gone on with by the other, too.

Rules
  * A listing that was broken off is gone on with, and one that is complete is
    given as it is, if it was begun with the same plan; else Conflict, as of
    ``DiskLedger.open``.
  * A top that cannot be listed is no listing: its error is raised, and the same
    call asks again. One that is not there leaves nothing in the folder.
  * Our own processes enter every directory: where some are not to be entered, the
    door of a folder is asked as others are.
  * The limits hold for a local walk as far as they can: the time of the whole, and
    how often a directory is tried. Nobody can break off a call of the system.
  * Cancelled, it stops soon and keeps what it has found.

Raises what ledger, engine and local walk raise.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

from holdfast.model.clock import Clock, system_clock
from holdfast.storage.carried_out import settled
from holdfast.storage.driver import NotThere, StorageDriver
from holdfast.storage.listing.asking import Expected
from holdfast.storage.listing.disk_ledger import DiskLedger, ListingComplete
from holdfast.storage.listing.door_pool import NotFinished
from holdfast.storage.listing.engine import list_tree, unknown
from holdfast.storage.listing.limits import DEFAULTS, ListingLimits
from holdfast.storage.listing.local_walk import LocalProgress, walk_local
from holdfast.storage.listing.progress import ListingProgress, Rate
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.skipping import Skip, enter_all
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.posix.driver import PosixDriver

OnProgress = Callable[[ListingProgress], None]


async def list_site(
    doors: Sequence[StorageDriver],
    folder: Path,
    plan: ListingPlan,
    *,
    limits: ListingLimits = DEFAULTS,
    expected: Expected = unknown,
    skip: Skip = enter_all,
    workers: int | None = None,
    progress: OnProgress | None = None,
    clock: Clock = system_clock,
) -> Listing:
    """List a site through ``doors``, which show the same tree, into ``folder``.

    For a local walk ``expected`` goes to other processes: a function of a module, or a value that can be called.
    ``workers`` are the processes of a local walk, as many as there are cores if it is not given. What ``skip`` is
    about, ``plan.skip`` says in words.
    """
    try:
        ledger = DiskLedger.open(folder, plan, clock=clock)
    except ListingComplete:
        return Listing.open(folder)
    try:
        first = doors[0]
        if isinstance(first, PosixDriver) and skip is enter_all:
            await _walk(first.root, ledger, limits, None if expected is unknown else expected, workers, progress)
        else:
            await list_tree(
                doors, ledger, limits=limits, expected=expected, skip=skip, progress=progress, top_required=True
            )
    except NotThere:
        ledger.forsake()
        raise
    finally:
        ledger.close()
    return Listing.open(folder)


async def _walk(
    root: Path,
    ledger: DiskLedger,
    limits: ListingLimits,
    expected: Expected | None,
    workers: int | None,
    progress: OnProgress | None,
) -> None:
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    limit_s = limits.overall_timeout_s
    ends_at = inf if limit_s is None else time.monotonic() + limit_s
    rate = Rate()

    def tell(so_far: LocalProgress) -> None:
        if progress is not None:
            loop.call_soon_threadsafe(progress, _shown(so_far, rate.at(loop.time(), so_far.counts.directories)))

    walking = asyncio.ensure_future(
        settled(
            walk_local,
            root,
            ledger,
            workers=workers,
            progress=tell,
            stopped=lambda: stop.is_set() or time.monotonic() >= ends_at,
            attempts=limits.attempts,
            expected=expected,
        )
    )
    try:
        summary = await asyncio.shield(walking)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([walking])
        raise
    if summary is None:
        raise NotFinished(
            f"not finished within {limit_s:g} s: {ledger.waiting} known directories are left",
            place=str(root),
            hint="what was found is saved; go on with it later",
        )


def _shown(so_far: LocalProgress, rate: float) -> ListingProgress:
    counts = so_far.counts
    return ListingProgress(
        directories=counts.directories,
        files=counts.files,
        bytes=counts.bytes,
        failed=counts.failed,
        doubted=counts.doubted,
        queue=so_far.waiting,
        in_flight=0,
        rate=rate,
        retries=0,
        doors=(),
    )
