"""Round: files that go through one job of FTS3, from the first look to the last proof.

Every file goes its own way through ``placing``: what is there is looked at,
the service writes a part, the part is proved and gets its name. These ways meet
in the job: it is made when all files that need it wait for it.

Rules
  * The handle is kept before the job is made.
  * A file is proved as soon as the service says that it is there; how many at a
    time are looked at or proved is the job's ``streams``.
  * A job that nobody needs any more is cancelled, and so is one that takes too
    long: its files are to be tried again.
  * A job that has vanished, or ended without a word of some file, has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from holdfast.model import steps
from holdfast.model.clock import Clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import ClaimLost, Desk, Job, Outcome, Transfer, Verdict
from holdfast.operations.engines import placing, standing
from holdfast.operations.engines.fts import addresses, replies, submission
from holdfast.operations.engines.fts.errors import Rejected
from holdfast.operations.engines.fts.replies import FileReport, Hidden, JobReport
from holdfast.operations.engines.fts.service import Service
from holdfast.operations.engines.fts.submission import FileToBring, Handle
from holdfast.operations.engines.fts.way import FtsWay
from holdfast.operations.engines.proving import AskingPatience, EngineFault

PROOF_PAUSES_S = (0.3, 1.0, 3.0)
"""After which pauses a storage is asked again that gives no answer when a file is to be proved."""
CANCEL_S = 60.0
"""How long a job that was cancelled may take to be over."""

End = FileReport | EngineFault


class Appeared(Exception):
    """The job was made by somebody else meanwhile, with other parts than ours."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a round is to do: these files of ``job``, by the job at the service that has this handle."""

    job: Job
    transfers: Sequence[Transfer]
    handle: Handle
    is_kept: bool
    is_made: bool


@dataclass(slots=True)
class _Waiting:
    """A file that the service is to bring."""

    wanted: FileToBring
    end: asyncio.Future[End] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Round:
    """One round; ``run`` once. ``settle`` is told of each file that is over."""

    def __init__(
        self,
        service: Service,
        plan: RoundPlan,
        desk: Desk,
        settle: Callable[[int, Outcome], None],
        clock: Clock,
        *,
        reads: bool,
    ) -> None:
        self._service = service
        self._plan = plan
        self._desk = desk
        self._settle = settle
        self._clock = clock
        self._reads = reads
        self._patience = AskingPatience(PROOF_PAUSES_S, service.timing.sleep)
        self._slots = asyncio.Semaphore(max(1, plan.job.streams))
        self._waiting: dict[int, _Waiting] = {}
        self._looking = {each.ordinal for each in plan.transfers}
        """Those that neither wait for the service nor are over."""
        self._all_looked = asyncio.Event()

    async def run(self) -> None:
        """Bring the files; Appeared, or what went wrong first."""
        await _together(self._serve(), *(self._bring(each) for each in self._plan.transfers))

    async def _bring(self, transfer: Transfer) -> None:
        """One file's whole way."""
        way = FtsWay(transfer, self._brought, reads=self._reads, patience=self._patience)
        await self._slots.acquire()
        try:
            outcome = await placing.place(transfer, self._desk.check, self._clock, way)
            if way.was_occupied:
                outcome = await self._second_look(transfer, outcome)
        finally:
            self._slots.release()
            self._looked(transfer)
        self._settle(transfer.ordinal, outcome)

    async def _brought(self, wanted: FileToBring) -> End:
        """Wait, without holding up others, until the service has done with a file."""
        transfer = wanted.transfer
        waiting = self._waiting[transfer.ordinal] = _Waiting(wanted)
        self._looked(transfer)
        self._slots.release()
        try:
            return await waiting.end
        finally:
            await self._slots.acquire()

    async def _second_look(self, transfer: Transfer, outcome: Outcome) -> Outcome:
        """What came into the place while the job waited may be the file."""
        verified_us = self._clock()
        try:
            depth = standing.depth_for(transfer, reads=self._reads, past_us=True)
            there = await standing.look(transfer, depth=depth)
            if there.is_found:
                return Outcome(Verdict.FOUND, verified_us)
            there.require_room(transfer)
        except EngineFault as fault:
            return fault.outcome
        return outcome

    def _looked(self, transfer: Transfer) -> None:
        self._looking.discard(transfer.ordinal)
        if not self._looking:
            self._all_looked.set()

    async def _serve(self) -> None:
        """See to the job, as soon as all files wait for it that need it."""
        await self._all_looked.wait()
        if not self._waiting:
            if self._plan.is_made:
                await self._cancel()
        elif self._plan.is_made or await self._submitted():
            await self._watch()

    async def _submitted(self) -> bool:
        """Make the job; False if the service does not want it, and all that wait for it have been told so."""
        plan = self._plan
        if not plan.is_kept:
            await self._desk.check()
            await self._desk.keep(str(plan.handle))
        steps.reach("fts.kept")
        waiting = [found for each in plan.transfers if (found := self._waiting.get(each.ordinal))]
        files = [each.wanted for each in waiting]
        bearer = await self._service.bearer()
        document = submission.document(
            plan.handle, files, self._service.settings, priority=plan.job.priority, bearer=bearer
        )
        try:
            await self._service.submit(plan.handle, document, self._desk.check)
        except Rejected as rejected:
            self._end_all(Code.ENGINE_FAILED, str(rejected))
            return False
        steps.reach("fts.submitted")
        return True

    async def _watch(self) -> None:
        """Tell those who wait how their files have ended, until none does."""
        monotonic = self._service.timing.monotonic
        end_s = monotonic() + self._time_s()
        is_cancelled = False
        async with self._service.poller.watching(self._plan.handle.job_id) as reports:
            async for report in reports():
                if isinstance(report, Hidden):
                    self._end_all(
                        Code.STOPPED, f"FTS does not show the job any more: {report.message or report.status}"
                    )
                    return
                self._take_in(report)
                if not self._waiting:
                    return
                if monotonic() < end_s:
                    continue
                if is_cancelled:
                    self._end_all(
                        Code.STOPPED, "FTS does not end the job, which was cancelled because it took too long"
                    )
                    return
                await self._cancel()
                is_cancelled, end_s = True, monotonic() + CANCEL_S

    def _take_in(self, report: JobReport) -> None:
        for file in report.files:
            waiting = self._waiting.get(-1 if file.ordinal is None else file.ordinal)
            if waiting is None:
                continue
            if addresses.name_in(file.destination) != addresses.name_in(waiting.wanted.destination.url):
                if not self._plan.is_made:
                    raise Appeared
                # The storage could not rename then, and can now, or the other way round.
                self._end(file.ordinal or 0, EngineFault(Code.STOPPED, "the job was begun for another name"))
            elif file.is_over:
                transfer = waiting.wanted.transfer
                if file.state == replies.FINISHED:
                    self._desk.moved(transfer.ordinal, transfer.size)
                self._end(transfer.ordinal, file)
        if report.is_over:
            self._end_all(
                Code.STOPPED, f"FTS has ended the job ({report.state}): {report.reason or 'it gives no reason'}"
            )

    def _end(self, ordinal: int, end: End) -> None:
        waiting = self._waiting.pop(ordinal)
        if not waiting.end.done():  # Else whoever waited was cancelled.
            waiting.end.set_result(end)

    def _end_all(self, code: Code, error: str) -> None:
        for ordinal in list(self._waiting):
            self._end(ordinal, EngineFault(code, error))

    async def _cancel(self) -> None:
        await self._desk.check()
        await self._service.cancel(self._plan.handle)

    def _time_s(self) -> float:
        """How long the job may take."""
        settings = self._service.settings
        is_staged = any(each.source.is_tape for each in self._plan.transfers)
        return settings.job_timeout_s + (settings.bring_online_s if is_staged else 0)


async def _together(*ways: Coroutine[None, None, None]) -> None:
    """All of them; the first that fails ends the others, and what it raised is raised when they have cleaned up."""
    try:
        async with asyncio.TaskGroup() as group:
            for way in ways:
                group.create_task(way)
    except BaseExceptionGroup as errors:
        # What is more than that somebody else is at it counts more.
        raise min(errors.exceptions, key=lambda error: isinstance(error, (ClaimLost, Appeared))) from None
