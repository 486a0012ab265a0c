"""One job at FTS3, carried by a process that may be killed at a named step: ``python fts_process.py FILE STEP``.

FILE is JSON: what the engine is told, the transfers, and where the desk keeps the handle.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from holdfast.config.engines import FtsSettings
from holdfast.model import steps
from holdfast.model.clock import system_clock
from holdfast.operations.engine import Job, Outcome, Place, Transfer
from holdfast.operations.engines.fts.engine import FtsEngine
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.killer import killing


class FileDesk:
    """Keeps the handle in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def check(self) -> None:
        """It is always ours."""

    async def keep(self, handle: str) -> None:
        with self._path.open("w") as stream:
            stream.write(handle)
            stream.flush()
            os.fsync(stream.fileno())

    def moved(self, ordinal: int, n_bytes: int) -> None:
        """Nobody looks."""

    def settle(self, ordinal: int, outcome: Outcome) -> None:
        """Forgotten, as by a process that dies before it could tell."""


async def main(told: dict[str, object], folders: dict[str, str], urls: dict[str, str]) -> None:
    """Carry it."""
    settings = told["settings"]
    assert isinstance(settings, dict)
    engine = FtsEngine(FtsSettings(**settings), system_clock)

    def place(site: str, path: str) -> Place:
        return Place(site, PosixDriver(Path(folders[site]), label=site), path, urls[site] + path)

    rows = told["transfers"]
    assert isinstance(rows, list)
    transfers = [
        Transfer(
            row["ordinal"],
            row["token"],
            row["size"],
            row["checksums"],
            place("bern", row["path"]),
            place("oslo", row["path"]),
        )
        for row in rows
    ]
    await engine.carry(Job(str(told["claim"]), transfers, streams=4), FileDesk(Path(str(told["handle"]))))
    await engine.close()


if __name__ == "__main__":
    document = json.loads(Path(sys.argv[1]).read_text())
    with steps.observed(killing(sys.argv[2], 1)):
        asyncio.run(main(document, document["folders"], document["urls"]))
