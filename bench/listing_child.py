"""One listing of a site in a process of its own, so that nothing else is in its memory and CPU.

    python -m bench.listing_child PROTOCOL ROOT TOP FOLDER IN_FLIGHT WORKERS AUTHORITIES

Prints JSON: seconds (wall) of the listing alone, seconds of CPU of this process and its children, directories,
files. What the whole process takes, its start included, ``process_usage`` tells.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from bench import machine
from holdfast.cli import collecting
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.site_listing import list_site
from holdfast.storage.listing.summary import ListingPlan


async def _list(protocol: str, root: str, top: str, folder: str, in_flight: int, workers: int, certs: str) -> None:
    access = Access(AccessSettings(authorities=Path(certs) if certs else None))
    driver = open_driver(protocol, root, site="BENCH", access=access)
    limits = ListingLimits(in_flight_start=min(8, in_flight), in_flight_max=in_flight)
    began, cpu = time.perf_counter(), _cpu_s()
    try:
        listing = await list_site([driver], Path(folder), ListingPlan("BENCH", top), limits=limits, workers=workers)
    finally:
        await driver.close()
    counts = listing.summary.counts
    taken = {"seconds": time.perf_counter() - began, "cpu_s": _cpu_s() - cpu}
    peak_kb = machine.peak_bytes() // 1024
    print(json.dumps({**taken, "directories": counts.listed, "files": counts.files, "peak_kb": peak_kb}), flush=True)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    protocol, root, top, folder, in_flight, workers, certs = sys.argv[1:]
    collecting.look_seldom()  # As in the command.
    asyncio.run(_list(protocol, root, top, folder, int(in_flight), int(workers), certs))
