"""Tally: what one run of an executor has counted so far, and the telling of it."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.records import CopyRequest
from holdfast.operations.engine import SourceFault
from holdfast.operations.progress import ERRORS_MAX, Listener, Progress, RunReport
from holdfast.operations.task import Counts, Settled, Task, TaskState

TELL_INTERVAL_US = SECOND_US // 10


class Tally:
    """Counters of a run. ``tell`` hands them to the listener, not more often than is of use."""

    def __init__(self, seed: int, clock: Clock, listener: Listener) -> None:
        self._seed = seed
        self._clock = clock
        self._listener = listener
        self._started_us = self._told_us = clock()
        self._files_total = self._bytes_total = 0
        self._files_done = self._bytes_done = 0
        self._n_failed = self._n_failed_before = 0
        self._n_copied = self._bytes_copied = self._n_found = self._n_replaced = self._n_retries = 0
        self._moving: dict[int, int] = {}
        self._errors: list[str] = []
        self._wrong: list[SourceFault] = []
        self._message = ""

    def begin(self, counts: Counts) -> None:
        """A request is worked on; earlier runs may have done some of it."""
        self._files_total += counts.files(*TaskState)
        self._bytes_total += counts.size(*TaskState)
        self._files_done += counts.files(TaskState.DONE, TaskState.REPORTED)
        self._bytes_done += counts.size(TaskState.DONE, TaskState.REPORTED)
        self._n_failed_before += counts.files(TaskState.FAILED)

    def planned(self, n_files: int, size: int) -> None:
        """So many more files are to be brought."""
        self._files_total += n_files
        self._bytes_total += size

    def started(self, task: Task) -> None:
        """A try has begun."""
        self._moving[task.id] = 0

    def moved(self, task: Task, n_bytes: int) -> None:
        """Bytes of a task have passed."""
        self._moving[task.id] = self._moving.get(task.id, 0) + n_bytes
        self.tell()

    def faults(self, faults: Iterable[SourceFault]) -> None:
        """Sources had faults."""
        for fault in faults:
            if fault.is_wrong and len(self._wrong) < ERRORS_MAX:
                self._wrong.append(fault)

    def settled(self, result: Settled, *, copied: bool, has_replaced: bool) -> None:
        """A try has ended."""
        task = result.task
        self._moving.pop(task.id, None)
        if result.state in (TaskState.DONE, TaskState.REPORTED):
            self._files_done += 1
            self._bytes_done += task.size
            self._n_copied += copied
            self._n_found += not copied
            self._n_replaced += has_replaced
            self._bytes_copied += task.size if copied else 0
        elif result.state is TaskState.FAILED:
            self._n_failed += 1
        elif result.attempts > task.attempts:
            self._n_retries += 1
        if result.error:
            self._message = f"{task.lfn}: {result.error}"
            if len(self._errors) < ERRORS_MAX:
                self._errors.append(self._message)

    def tell(self, message: str = "", *, now: bool = False) -> None:
        """Let the listener know; at once if there is a message or ``now`` says so."""
        at_us = self._clock()
        if not message and not now and 0 <= at_us - self._told_us < TELL_INTERVAL_US:
            return
        self._told_us = at_us
        seconds = (at_us - self._started_us) / SECOND_US
        moved = self._bytes_copied + sum(self._moving.values())
        self._listener(
            Progress(
                files_done=self._files_done,
                files_total=self._files_total,
                bytes_done=self._bytes_done + sum(self._moving.values()),
                bytes_total=self._bytes_total,
                files_failed=self._n_failed + self._n_failed_before,
                files_active=len(self._moving),
                bytes_per_s=moved / seconds if seconds > 0 else 0.0,
                retries=self._n_retries,
                message=message or self._message,
            )
        )

    def report(
        self, requests: Iterable[CopyRequest], *, stopped: dict[str, str] | None = None, is_busy: bool = False
    ) -> RunReport:
        """The report of the run."""
        return RunReport(
            seed=self._seed,
            seconds=(self._clock() - self._started_us) / SECOND_US,
            files_copied=self._n_copied,
            bytes_copied=self._bytes_copied,
            files_found=self._n_found,
            files_replaced=self._n_replaced,
            files_failed=self._n_failed,
            retries=self._n_retries,
            requests=tuple(requests),
            stopped=dict(stopped or {}),
            wrong_sources=tuple(self._wrong),
            errors=tuple(self._errors),
            is_busy=is_busy,
        )
