"""Bookkeeping: what jobs have led to, gathered and written down many files at a time; and requests that are over.

Rules
  * What was taken from the jobs and could not be written, because the database
    was away, is written before anything else is.
  * A job whose claim was lost is ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast import logs
from holdfast.operations.batch import Batch, BatchFailure, BatchState
from holdfast.operations.batches.links import LinkBook
from holdfast.operations.carrying.claimed import Gathered
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.carrying.taking import Decided
from holdfast.operations.codes import Code
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.operations.work.settling import FILES_MAX, Settler, Settling, first_of
from holdfast.operations.work.worker_jobs import WorkerJob, WorkerJobs

SETTLE_FILES = 1000
"""Write down what has gathered when it is so many files ..."""
SETTLE_PAUSE_S = 0.2
"""... and the last time was so long ago, for a transaction has its price ..."""
SETTLE_INTERVAL_S = 2.0
"""... or after this time, however few they are."""

_OF_THE_LINK = frozenset(
    {
        Code.SOURCE_MISSING,
        Code.SOURCE_WRONG,
        Code.SOURCE_REFUSED,
        Code.SOURCE_FAILED,
        Code.DAMAGED,
        Code.UNSUPPORTED,
        Code.ENGINE_FAILED,
    }
)
"""Failures that lie in the link or its source."""

_log = logs.get("operations")


class Bookkeeping:
    """The books of one worker."""

    def __init__(self, tools: Tools, asked: OpenRequests, jobs: WorkerJobs, links: LinkBook) -> None:
        self._tools = tools
        self._asked = asked
        self._jobs = jobs
        self._links = links
        self._settler = Settler(tools, asked, links)
        self._unwritten: list[Gathered] = []
        self._settled_s = tools.outside.monotonic()
        self._may_be_over: dict[str, None] = {}
        self._has_told = False
        self._has_failures = False

    @property
    def is_due(self) -> bool:
        """Whether it is time to write down what has gathered."""
        if self._unwritten or not self._jobs.is_anything_under_way:
            return True
        n_files = sum(job.claimed.n_waiting for job in self._jobs)
        passed_s = self._tools.outside.monotonic() - self._settled_s
        if passed_s >= SETTLE_INTERVAL_S:
            return n_files > 0 or self._jobs.has_ended
        return n_files >= FILES_MAX or (n_files >= SETTLE_FILES and passed_s >= SETTLE_PAUSE_S)

    @property
    def is_waiting(self) -> bool:
        """Whether anything is not written down yet."""
        return bool(self._unwritten) or self._jobs.has_ended

    def took_news(self) -> bool:
        """Whether the inventory was told anything since this was asked last."""
        has_told, self._has_told = self._has_told, False
        return has_told

    def took_failures(self) -> bool:
        """Whether anything goes on otherwise than it was asked for since this was asked last."""
        has_failures, self._has_failures = self._has_failures, False
        return has_failures

    def settle(self) -> bool:
        """Write down all that has gathered; whether there was anything."""
        self._settled_s = self._tools.outside.monotonic()
        if not self._unwritten:
            self._unwritten = self._gather()
        has_any = bool(self._unwritten)
        while self._unwritten:
            some = first_of(self._unwritten)
            result = self._settler.settle(some)
            del self._unwritten[: len(some)]
            self._take_in(some, result)
        self._jobs.settled()
        return has_any

    def _take_in(self, gathered: Sequence[Gathered], result: Settling) -> None:
        for job in self._jobs.cancel(lambda job: job.batch.claim in result.lost):
            job.claimed.ends_early("its claim was lost", is_lost=True)
        for each in gathered:
            self._has_told |= bool(each.told)
            if each.batch.claim not in result.lost:
                self._tell(each.batch, each.settled.failures, is_try=True)
                self._may_be_over[each.batch.request.id] = None
        self._over(result.closed)

    def decided(self, decided: Iterable[Decided]) -> None:
        """Something was written down without a try."""
        for each in decided:
            self._tell(each.batch, (each.failure,), is_try=False)
            self._may_be_over[each.batch.request.id] = None

    def may_be_over(self, ids: Iterable[str]) -> None:
        """Perhaps nothing of these requests is left to try."""
        self._may_be_over.update(dict.fromkeys(ids))

    def close(self) -> bool:
        """Close the requests of which nothing is left to try; whether there was one."""
        wanted = [self._asked.known[id] for id in self._may_be_over if id in self._asked.known]
        closed = self._settler.close(wanted) if wanted else []
        self._may_be_over.clear()
        self._over(closed)
        return bool(closed)

    def forget(self) -> None:
        """What has gathered is of no use any more, nor is what is under way."""
        for job in self._jobs:
            job.claimed.ends_early("the inventory is another", is_lost=True)
        self._jobs.settled()
        self._unwritten = []
        self._may_be_over.clear()

    def _over(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._asked.forget(id)
            self._may_be_over.pop(id, None)

    def _gather(self) -> list[Gathered]:
        found = []
        for job in self._jobs:
            gathered = self._gather_from(job)
            if gathered is not None:
                found.append(gathered)
        return found

    def _gather_from(self, job: WorkerJob) -> Gathered | None:
        outside, now_s = self._tools.outside, self._tools.outside.monotonic()
        seconds = max(0.0, now_s - job.begun_s) * job.streams if job.begun_s else 0.0
        gathered = job.claimed.take(self._tools.settings, now_us=outside.clock(), seed=outside.seed, seconds=seconds)
        if gathered is None:
            return None
        if gathered.n_copied:
            job.begun_s = now_s
        if job.is_copy:
            self._note(gathered, outside.clock())
        return gathered

    def _note(self, gathered: Gathered, now_us: int) -> None:
        """What is learnt of the link."""
        batch, links = gathered.batch, self._links
        if not batch.is_over_link:
            return
        if gathered.n_copied:
            links.note_success(
                batch.source,
                batch.site,
                n_files=gathered.n_copied,
                size=gathered.size_copied,
                seconds=gathered.seconds,
                now_us=now_us,
            )
        for failure in gathered.settled.failures:
            if failure.code in _OF_THE_LINK:
                links.note_failure(
                    batch.source,
                    batch.site,
                    n_files=len(failure.files),
                    code=failure.code,
                    error=failure.error,
                    now_us=now_us,
                )

    def _tell(self, batch: Batch, failures: Sequence[BatchFailure], *, is_try: bool) -> None:
        """Who waits is told in the report; of one that runs for ever there is only the log."""
        for failure in failures:
            n_files, is_new = len(failure.files), failure.attempts > batch.attempts
            self._tools.tally.leads_to(
                failure.state, n_files, is_deletion=batch.request.kind.is_deletion, is_try=is_try and is_new
            )
            if failure.state is BatchState.QUEUED:
                continue
            self._has_failures = True
            if failure.state is not BatchState.RETRY:
                say = _log.warning if self._tools.is_service else _log.info
                about = {"request": batch.request.id, "site": batch.site, "block": batch.block, "files": n_files}
                say(f"files {failure.state.value}", **about, error=failure.error)
        self._tools.tally.tell()
