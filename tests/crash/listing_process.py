"""A process that lists, to be killed: ``listing_process.py WAY ROOT FOLDER AT TRACE``.

It goes on with the listing in FOLDER, or begins it, and ends when it is
complete. WAY is how: ``local`` with three processes, or ``engine``. It dies AT
the step STEP:COUNT, or does not. All amounts are small, so that a small tree
passes every step many times.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from holdfast.model import steps
from holdfast.storage.listing import disk_ledger, local_packet, parts, table_output, waiting_stack
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.local_walk import walk_local
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.killer import killing

PLAN = ListingPlan("bern")


def main(way: str, root: Path, folder: Path, at: str, trace: Path) -> None:
    disk_ledger.ROWS_DUE = 100
    parts.PART_ROWS = 300
    table_output.PART_ROWS = 40
    local_packet.HURRY_S = local_packet.LOOK_S = 0.0005
    waiting_stack.HELD_MAX = disk_ledger.HELD_MAX = 100
    waiting_stack.HELD_MIN = 30
    step, _, count = at.partition(":")
    with steps.observed(killing(step, int(count or 1), trace)):
        ledger = DiskLedger.open(folder, PLAN)
        if way == "local":
            walk_local(root, ledger, workers=3, rows_max=60)
        else:
            asyncio.run(list_all(root, ledger))
        ledger.close()


async def list_all(root: Path, ledger: DiskLedger) -> None:
    driver = PosixDriver(root)
    await list_tree([driver], ledger)
    await driver.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
