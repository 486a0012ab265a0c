"""A worker in a process of its own: ``worker_process.py PLACE FOLDER [STEP:COUNT]``.

The sites A, B and C are folders in FOLDER; it waits for the file FOLDER/go, and
works until nothing is left. At a step it stops itself, and all of it, until
somebody lets it go on. Prints how many files it has copied.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

from holdfast.config import OperationsSettings
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import steps
from holdfast.model.clock import system_clock
from holdfast.operations import executor
from holdfast.operations.work import scheduling
from holdfast.storage.posix.driver import PosixDriver

LEASE_S = 3.0
SETTINGS = OperationsSettings(concurrency=2, lease_s=LEASE_S, retry_delay_s_min=0.1, retry_delay_s_max=1.0)


def main(place: str, folder: Path, at: str = "") -> None:
    scheduling.ROOM_FILES = 3
    step, _, count = at.partition(":")
    passed = 0

    def observe(name: str) -> None:
        nonlocal passed
        passed += name == step
        if name == step and passed == int(count):
            os.kill(os.getpid(), signal.SIGSTOP)

    (folder / f"ready{os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.005)
    with closing(SqlStore.open(place)) as store, steps.observed(observe):
        drivers = {site: PosixDriver(folder / site, label=site) for site in "ABC"}
        running = executor.run(store, drivers, settings=SETTINGS, clock=system_clock, workers_dir=folder / "workers")
        sys.stdout.write(f"{asyncio.run(running).files_copied}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
