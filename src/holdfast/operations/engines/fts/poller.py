"""Poller: how all jobs at one FTS3 are, asked for together.

Rules
  * A turn is one request for the states of all jobs that are watched, and at
    most one more for the files of those that have ended, or whose files have
    not been looked at for FILES_TURNS turns (but for ``api.IDS_MAX`` jobs at a
    time). The number of requests does not grow with the jobs.
  * Nothing is asked while nobody watches. Each turn begins with ``tend``: what
    the service needs of us as long as it has jobs of ours.
  * While the service does not answer, pauses grow; when that has lasted for
    the patience, everybody who watches gets Away. Whatever else goes wrong they
    get at once. A job that is not shown is told as Hidden, to its watcher only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from holdfast.operations.engine import EngineDown
from holdfast.operations.engines.fts.api import FtsApi, Timing
from holdfast.operations.engines.fts.replies import Hidden, JobReport

FILES_TURNS = 6
"""Files that are done wait for so many turns until somebody looks at them, while others of their job go on."""

Report = JobReport | Hidden


@dataclass
class _Watch:
    """One job that somebody watches."""

    reports: asyncio.Queue[Report | Exception] = field(default_factory=asyncio.Queue)
    n_turns: int = 0
    """Since its files were looked at."""


class Poller:
    """See the module's docstring; used within one event loop."""

    def __init__(
        self, api: FtsApi, timing: Timing, tend: Callable[[], Awaitable[None]], *, interval_s: float, patience_s: float
    ) -> None:
        self._api = api
        self._tend = tend
        self._timing = timing
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._watched: dict[str, _Watch] = {}
        self._turning: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watching(self, id: str) -> AsyncIterator[Callable[[], AsyncIterator[Report]]]:
        """While the context lasts, what it gives makes the reports of one job, each with its files."""
        watch = self._watched[id] = _Watch()
        if self._turning is None or self._turning.done():
            self._turning = asyncio.create_task(self._turn_on())

        async def reports() -> AsyncIterator[Report]:
            while True:
                found = await watch.reports.get()
                if isinstance(found, Exception):
                    raise found
                yield found

        try:
            yield reports
        finally:
            self._watched.pop(id, None)

    async def close(self) -> None:
        """Ask nothing any more."""
        if self._turning is not None:
            self._turning.cancel()
            await asyncio.wait([self._turning])

    async def _turn_on(self) -> None:
        """Turn after turn, as long as anybody watches."""
        try:
            while self._watched:
                for id, report in (await self._api.patiently(self._turn, self._patience_s)).items():
                    if id in self._watched:
                        self._watched[id].reports.put_nowait(report)
                await self._timing.sleep(self._interval_s)
        except asyncio.CancelledError:
            self._tell(EngineDown("we ask FTS nothing any more", place=self._api.place))
            raise
        except Exception as error:  # noqa: BLE001  It is raised in those who watch.
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Nobody may wait for what will not come."""
        for watch in self._watched.values():
            watch.reports.put_nowait(error)
        self._watched.clear()

    async def _turn(self) -> dict[str, Report]:
        """The reports that are to be handed on now."""
        await self._tend()
        watches = dict(self._watched)
        reports = await self._api.jobs(list(watches))
        found: dict[str, Report] = {id: report for id, report in reports.items() if isinstance(report, Hidden)}
        looked = [
            id
            for id, watch in watches.items()
            if id not in found and (_is_over(reports[id]) or watch.n_turns % FILES_TURNS == FILES_TURNS - 1)
        ]
        if looked:
            found |= await self._api.jobs(looked, with_files=True)
        for watch in watches.values():
            watch.n_turns += 1
        return found


def _is_over(report: Report) -> bool:
    return isinstance(report, JobReport) and report.is_over
