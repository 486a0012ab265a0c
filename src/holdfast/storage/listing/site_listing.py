"""Site listing: a site's whole tree in a folder on disk, in the way that fits its doors.

A folder that the operating system shows us is walked by processes of our own
(``local_walk``); every other door is asked (``engine``). Both keep the same
ledger, so that a listing can be gone on with by the other, too.

Rules
  * A listing that was broken off is gone on with, if it was begun with the same
    plan; else Conflict, as of ``DiskLedger.open``.
  * Cancelled, it stops soon and keeps what it has found.

Raises what ledger, engine and local walk raise.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import BrokenInvariant
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.asking import Expected
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.engine import list_tree, unknown
from holdfast.storage.listing.limits import DEFAULTS, Limits
from holdfast.storage.listing.local_walk import LocalProgress, walk_local
from holdfast.storage.listing.progress import Progress, Rate
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import Plan
from holdfast.storage.posix import PosixDriver
from holdfast.storage.settled import settled

OnProgress = Callable[[Progress], None]


async def list_site(
    doors: Sequence[StorageDriver],
    folder: Path,
    plan: Plan,
    *,
    limits: Limits = DEFAULTS,
    expected: Expected = unknown,
    workers: int | None = None,
    progress: OnProgress | None = None,
    clock: Clock = system_clock,
) -> Listing:
    """List a site through ``doors``, which show the same tree, into ``folder``.

    ``workers`` are the processes of a local walk, as many as there are cores if it is not given.
    """
    ledger = DiskLedger.open(folder, plan, clock=clock)
    try:
        first = doors[0]
        if isinstance(first, PosixDriver):
            await _walk(first.root, ledger, workers, progress)
        else:
            await list_tree(doors, ledger, limits=limits, expected=expected, progress=progress)
    finally:
        ledger.close()
    return Listing.open(folder)


async def _walk(root: Path, ledger: DiskLedger, workers: int | None, progress: OnProgress | None) -> None:
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    rate = Rate()

    def tell(so_far: LocalProgress) -> None:
        if progress is not None:
            loop.call_soon_threadsafe(progress, _shown(so_far, rate.at(loop.time(), so_far.counts.directories)))

    walking = asyncio.ensure_future(
        settled(walk_local, root, ledger, workers=workers, progress=tell, stopped=stop.is_set)
    )
    try:
        summary = await asyncio.shield(walking)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([walking])
        raise
    if summary is None:
        raise BrokenInvariant("a local walk stopped that nobody had stopped", place=str(root))


def _shown(so_far: LocalProgress, rate: float) -> Progress:
    counts = so_far.counts
    return Progress(
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
