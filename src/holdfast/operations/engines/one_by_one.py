"""OneByOne: a FileEngine as a TransferEngine, a few files at a time.

Rules
  * At most ``Job.streams`` files are under way at once; they begin in the
    order of the job.
  * The desk is asked whether the job is still ours before each file, and by the
    engine before each call that changes anything.
  * ClaimLost, and whatever else an engine raises, ends the others: they are
    cancelled, clean up behind themselves, and then it is raised. The first of
    several counts, but what is no ClaimLost counts more.
  * A cancellation is passed on when all files have cleaned up.
  * There is no service: ``cancel`` has nothing to do, and no handle is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from holdfast.operations.engine import ClaimLost, Desk, FileEngine, Job, Place, Transfer
from holdfast.operations.engines.ending import ended


class OneByOne:
    """The TransferEngine of ``engine``."""

    def __init__(self, engine: FileEngine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        """The engine's."""
        return self._engine.name

    @property
    def outlives_caller(self) -> bool:
        """No: what the drivers have begun, their capabilities say."""
        return False

    def can(self, source: Place, destination: Place) -> str:
        """The engine's."""
        return self._engine.can(source, destination)

    async def carry(self, job: Job, desk: Desk) -> None:
        """Bring the files of one job."""
        waiting = iter(job.transfers)
        streams = max(1, min(job.streams, len(job.transfers)))
        running = [asyncio.ensure_future(self._stream(waiting, desk)) for _ in range(streams)]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await ended(running)
        errors = [error for each in running if not each.cancelled() and (error := each.exception()) is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, ClaimLost)):
            raise error

    async def cancel(self, handle: str) -> None:
        """Nothing: there is no service."""

    async def discard(self, destination: Place, token: str) -> None:
        """The engine's."""
        await self._engine.discard(destination, token)

    async def close(self) -> None:
        """The engine's."""
        await self._engine.close()

    async def _stream(self, waiting: Iterator[Transfer], desk: Desk) -> None:
        """One file after the other, as long as there are any."""
        for transfer in waiting:
            await desk.check()

            def note(n_bytes: int, ordinal: int = transfer.ordinal) -> None:
                desk.moved(ordinal, n_bytes)

            desk.settle(transfer.ordinal, await self._engine.transfer(transfer, desk.check, note))
