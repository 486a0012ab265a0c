"""MoverBatch: one run of a mover for many files, none of which waits for the others longer than it must.

Each file goes its own way (``placing``): look what is there, have the bytes
brought, prove them, rename. Where its bytes are to be brought it waits here,
until all others of the job wait, too, or have turned out to need nothing; then
the program is run, once. What it reports while it runs is taken up at once.

Rules
  * At most ``Job.streams`` files are looked at, proved and renamed at once;
    those that wait for the program do not count.
  * The program is run only while the job is ours, and never for no file.
  * Whoever closes a batch ends its program.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from holdfast.operations.engine import Desk, Job
from holdfast.operations.engines.mover import Mover, Said
from holdfast.operations.engines.mover_files import FileToMove, MoverReport, list_text
from holdfast.storage.carried_out import carried_out, settled

LOOK_S = 1.0
"""How often the report is looked at while the program runs."""
_NOBODY = -1
"""Comes never, so that nothing begins any more."""


class MoverBatch:
    """The files of one job; ``list_format`` is how their list is written."""

    def __init__(self, mover: Mover, job: Job, desk: Desk, *, list_format: str) -> None:
        self._mover = mover
        self._job = job
        self._desk = desk
        self._list_format = list_format
        self._permits = asyncio.Semaphore(max(1, job.streams))
        self._coming = {transfer.ordinal for transfer in job.transfers}
        """Those that may still come to wait for the program."""
        self._inside: set[int] = set()
        """Those that have a permit."""
        self._wanted: dict[int, FileToMove] = {}
        self._waiting: dict[int, asyncio.Future[Said]] = {}
        self._running: asyncio.Task[None] | None = None

    async def enter(self, ordinal: int) -> None:
        """Wait until there is room for one more file that is looked at, or proved."""
        await self._permits.acquire()
        self._inside.add(ordinal)

    def leave(self, ordinal: int) -> None:
        """A file is over."""
        self._make_room(ordinal)
        self._comes_no_more(ordinal)

    async def bring(self, wanted: FileToMove) -> Said:
        """Wait until the program has been run for this file, too; what became of it."""
        transfer = wanted.transfer
        waiting: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._wanted[transfer.ordinal] = wanted
        self._waiting[transfer.ordinal] = waiting
        self._make_room(transfer.ordinal)
        self._comes_no_more(transfer.ordinal)
        try:
            said = await waiting
        except asyncio.CancelledError:
            # Before anybody cleans up behind it.
            await carried_out(self.close())
            raise
        await self.enter(transfer.ordinal)
        return said

    async def close(self) -> None:
        """End the program, if it runs."""
        self._coming.add(_NOBODY)
        if self._running is not None:
            if not self._running.cancelling():
                self._running.cancel()
            await asyncio.wait([self._running])

    def _make_room(self, ordinal: int) -> None:
        if ordinal in self._inside:
            self._inside.discard(ordinal)
            self._permits.release()

    def _comes_no_more(self, ordinal: int) -> None:
        self._coming.discard(ordinal)
        if not self._coming and self._running is None and any(not each.done() for each in self._waiting.values()):
            self._running = asyncio.ensure_future(self._run())
            self._running.add_done_callback(self._pass_on)

    def _pass_on(self, running: asyncio.Future[None]) -> None:
        """Whoever still waits hears what has ended the run."""
        error = None if running.cancelled() else running.exception()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.cancel() if error is None else waiting.set_exception(error)

    async def _run(self) -> None:
        await self._desk.check()
        # A name of our own, so that it is known in any case what is to be removed.
        folder = Path(tempfile.gettempdir(), f"holdfast-mover-{secrets.token_hex(16)}")
        try:
            await settled(folder.mkdir, mode=0o700)
            report = MoverReport(folder / "report")
            wanted = [each for number, each in sorted(self._wanted.items()) if not self._waiting[number].done()]
            await settled((folder / "list").write_text, list_text(wanted, self._list_format), encoding="utf-8")
            following = asyncio.ensure_future(self._follow(report))
            try:
                said = await self._mover.run(self._link[0], self._link[1], self._values(folder))
            finally:
                following.cancel()
                await asyncio.wait([following])
            self._tell(await settled(report.fresh))
            self._tell(dict.fromkeys(self._waiting, said))
        finally:
            await settled(shutil.rmtree, folder, ignore_errors=True)

    async def _follow(self, report: MoverReport) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._tell(await settled(report.fresh))

    def _tell(self, told: Mapping[int, Said]) -> None:
        for ordinal, said in told.items():
            waiting = self._waiting.get(ordinal)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)

    def _values(self, folder: Path) -> dict[str, str]:
        source, destination = self._link
        return {
            "list": str(folder / "list"),
            "report": str(folder / "report"),
            "source_site": source,
            "destination_site": destination,
            "streams": str(self._job.streams),
        }

    @property
    def _link(self) -> tuple[str, str]:
        first = self._job.transfers[0]
        return first.source.site, first.destination.site
