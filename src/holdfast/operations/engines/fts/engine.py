"""FtsEngine: jobs of files that FTS3 brings from storage to storage.

    handle kept -> job made -> polled, with all others -> each file proved by us, and named

Rules, beside those of the contract
  * There is one job for a claim. Its id is known, and kept, before it is made,
    and the service makes none twice; so whoever dies in between leaves either
    no job, which is then made, or one, which is taken up.
  * A job that others have begun has parts with their tokens. They are read from
    the job, so that what it has brought is used. Whoever takes a handle up does
    not discard these tokens before ``carry`` is over.
  * The service never overwrites: it writes parts, where the storage can rename,
    and their names are given by us when they are proved.
  * EngineDown: the service does not answer (``patience_s`` for what begins, and
    ``away_s`` for jobs under way), does not want us, or there is nothing to show
    to it. Jobs go on there, to be taken up by their handles.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from holdfast.config.engines import FtsSettings
from holdfast.model.clock import Clock
from holdfast.model.errors import PeerError
from holdfast.operations.engine import Desk, EngineDown, Job, Outcome, Place, Transfer
from holdfast.operations.engines import placing
from holdfast.operations.engines.fts import addresses, replies
from holdfast.operations.engines.fts.api import Timing
from holdfast.operations.engines.fts.replies import JobReport
from holdfast.operations.engines.fts.round import Appeared, Round, RoundPlan
from holdfast.operations.engines.fts.service import Service
from holdfast.operations.engines.fts.submission import Handle
from holdfast.storage import parts


class FtsEngine:
    """The TransferEngine of one service; used within one event loop. ``settings.url`` has to be there.

    ``reads``: files may be read through this process for a proof where a storage tells no checksum.
    """

    name = "fts"

    def __init__(
        self,
        settings: FtsSettings,
        clock: Clock,
        *,
        reads: bool = True,
        patience_s: float = 10.0,
        away_s: float = 120.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._reads = reads
        timing = Timing(sleep, monotonic, chance)
        self._service = Service(settings, clock, timing, patience_s=patience_s, away_s=away_s)

    @property
    def outlives_caller(self) -> bool:
        """Its jobs do, and are found again by their handle."""
        return False

    def can(self, source: Place, destination: Place) -> str:
        """All but what is no server's, and what the service does not stage."""
        if source.is_tape and self._service.shows_token:
            return "FTS stages files from tape only for who shows it a proxy"
        return addresses.obstacle(source) or addresses.obstacle(destination)

    async def carry(self, job: Job, desk: Desk) -> None:
        """Bring the files of one job."""
        settled: set[int] = set()

        def settle(ordinal: int, outcome: Outcome) -> None:
            settled.add(ordinal)
            desk.settle(ordinal, outcome)

        handle = job.handle
        while True:
            try:
                plan = await self._planned(job, handle, settled)
                return await Round(self._service, plan, desk, settle, self._clock, reads=self._reads).run()
            except Appeared:
                handle = str(plan.handle)
            except EngineDown:
                raise
            except PeerError as error:
                # Of sites nothing comes this far.
                raise EngineDown(error.message, place=error.place, hint=error.hint) from error

    async def cancel(self, handle: str) -> None:
        """End a job at the service, if it is not over."""
        try:
            await self._service.cancel(Handle.parse(handle))
        except EngineDown:
            raise
        except PeerError as error:
            raise EngineDown(error.message, place=error.place, hint=error.hint) from error

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        await placing.discard(destination, token)

    async def close(self) -> None:
        """Let go of connections; jobs go on."""
        await self._service.close()

    async def _planned(self, job: Job, kept: str, settled: set[int]) -> RoundPlan:
        """What is to be done by which job: the one that was begun, or a new one."""
        transfers = [each for each in job.transfers if each.ordinal not in settled]
        if kept:
            handle = Handle.parse(kept)
            report = await self._service.look(handle)
            if isinstance(report, JobReport):
                return RoundPlan(job, _as_begun(transfers, report), handle, is_kept=True, is_made=True)
            if report.status == replies.NOT_FOUND and await self._service.handle(handle.name) == handle:
                return RoundPlan(job, transfers, handle, is_kept=True, is_made=False)
            # A job that we may not see: it was made when we were somebody else.
        return RoundPlan(job, transfers, await self._service.handle(job.claim), is_kept=False, is_made=False)


def _as_begun(transfers: Sequence[Transfer], report: JobReport) -> list[Transfer]:
    """The transfers with the tokens of those who have begun the job."""
    names = {file.ordinal: addresses.name_in(file.destination) for file in report.files}
    tokens = {ordinal: parts.token_of(name) for ordinal, name in names.items()}
    return [replace(each, token=tokens.get(each.ordinal) or each.token) for each in transfers]
