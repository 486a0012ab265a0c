"""Tally: what one run of a worker has counted so far, and the telling of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.model import wording
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.records import CopyRequest
from holdfast.operations.batch import BatchState, QueuedRequest
from holdfast.operations.batches.counting import FileCounts
from holdfast.operations.codes import Code
from holdfast.operations.deletion_report import DeletionReport, Removed
from holdfast.operations.progress import ERRORS_MAX, LIKEWISE, BadSource, Listener, RunProgress, RunReport

TELL_INTERVAL_US = SECOND_US // 10


@dataclass(slots=True)
class _Trouble:
    """Files that have failed alike, and what was said of the first."""

    text: str
    name: str
    has_others: bool = False

    @property
    def line(self) -> str:
        return f"{self.text}{LIKEWISE}" if self.has_others else self.text


class RunTally:
    """Counters of a run. ``tell`` hands them to the listener, not more often than is of use.

    ``keeps_names``: what became of single paths is kept to the end; a run without an end would remember for ever.
    """

    def __init__(self, seed: int, clock: Clock, listener: Listener, *, keeps_names: bool = True) -> None:
        self._seed = seed
        self._clock = clock
        self._listener = listener
        self._started_us = self._told_us = clock()
        self._files_total = self._bytes_total = self._deletions_total = 0
        self._files_done = self._bytes_done = self._deletions_done = 0
        self._n_failed = self._n_failed_before = self._n_held = 0
        self._n_copied = self._bytes_copied = self._n_found = self._n_replaced = self._n_retries = 0
        self._moving: dict[str, int] = {}
        self._errors: dict[tuple[str, ...], _Trouble] = {}
        self._bad: dict[tuple[str, str], BadSource] = {}
        self._keeps_names = keeps_names
        self._removed: dict[str, dict[str, Removed]] = {}
        self._message = ""

    # ---- requests ---------------------------------------------------------------

    def begin(self, request: QueuedRequest, counts: FileCounts) -> None:
        """A request is worked on; earlier runs may have done some of it."""
        n_over = counts.files(BatchState.FAILED, BatchState.SKIPPED)
        if request.kind.is_deletion:
            self._deletions_total += request.n_files
            self._deletions_done += request.n_done + n_over
            return
        self._files_total += request.n_files
        self._bytes_total += request.size
        self._files_done += request.n_done
        self._bytes_done += request.size_done
        self._n_failed_before += n_over

    def planned(self, before: QueuedRequest, after: QueuedRequest) -> None:
        """More files are to be brought or deleted."""
        if after.kind.is_deletion:
            self._deletions_total += after.n_files - before.n_files
        else:
            self._files_total += after.n_files - before.n_files
            self._bytes_total += after.size - before.size

    # ---- files ------------------------------------------------------------------

    def started(self, claim: str) -> None:
        """Files are under way under one claim."""
        self._moving[claim] = 0

    def ended(self, claim: str) -> None:
        """Nothing is under way any more under a claim."""
        self._moving.pop(claim, None)

    def moved(self, claim: str, n_bytes: int) -> None:
        """Bytes have passed."""
        if claim in self._moving:
            self._moving[claim] += n_bytes
        self.tell()

    def copied(self, claim: str, size: int, *, is_found: bool, has_replaced: bool = False) -> None:
        """A file has arrived, or was there."""
        self._over(claim, size)
        self._files_done += 1
        self._bytes_done += size
        if is_found:
            self._n_found += 1
        else:
            self._n_copied += 1
            self._bytes_copied += size
            self._n_replaced += has_replaced
        self.tell()

    def deleted(self, claim: str) -> None:
        """A file is gone."""
        self._over(claim, 0)
        self._deletions_done += 1
        self.tell()

    def removed(self, request: str, name: str, removed: Removed) -> None:
        """What became of a path that a request names itself; kept for whoever waits for the end."""
        if self._keeps_names:
            self._removed.setdefault(request, {})[name] = removed

    def removed_of(self, request: str) -> Mapping[str, Removed]:
        """What became of the paths of a request in this run, as far as that is kept."""
        return self._removed.get(request, {})

    def failed(self, claim: str, name: str, error: str, *, site: str, code: Code) -> None:
        """A try has ended badly; what that leads to is told with ``leads_to``."""
        self._over(claim, 0)
        if code.stops_site:
            self._message = error  # Said once, of the site.
        else:
            self._note((site, code), wording.about(name, error), name)
        self.tell()

    def _note(self, key: tuple[str, ...], text: str, name: str = "") -> None:
        self._message = text
        if key in self._errors:
            self._errors[key].has_others |= self._errors[key].name != name
        elif len(self._errors) < ERRORS_MAX:
            self._errors[key] = _Trouble(text, name)

    def _over(self, claim: str, size: int) -> None:
        if claim in self._moving:
            self._moving[claim] = max(0, self._moving[claim] - size)

    def bad_source(self, fault: BadSource) -> None:
        """A site has not the file that the inventory knows."""
        if len(self._bad) < ERRORS_MAX:
            self._bad[fault.site, fault.lfn] = fault

    def leads_to(self, state: BatchState, n_files: int, *, is_deletion: bool, is_try: bool) -> None:
        """So many files go on in this state."""
        if is_deletion:
            self._deletions_done += n_files if state in (BatchState.SKIPPED, BatchState.FAILED) else 0
        elif state is BatchState.FAILED:
            self._n_failed += n_files
        if state is BatchState.HELD:
            self._n_held += n_files
        if is_try and state is BatchState.RETRY:
            self._n_retries += n_files

    def say(self, error: str) -> None:
        """Something that is no matter of one file goes wrong."""
        self._note((error,), error)

    # ---- telling ----------------------------------------------------------------

    def tell(self, message: str = "", *, now: bool = False) -> None:
        """Let the listener know; at once if there is a message or ``now`` says so."""
        at_us = self._clock()
        if not message and not now and 0 <= at_us - self._told_us < TELL_INTERVAL_US:
            return
        self._told_us = at_us
        seconds = (at_us - self._started_us) / SECOND_US
        moving = sum(self._moving.values())
        self._listener(
            RunProgress(
                files_done=self._files_done,
                files_total=self._files_total,
                bytes_done=self._bytes_done + moving,
                bytes_total=self._bytes_total,
                files_failed=self._n_failed + self._n_failed_before,
                files_held=self._n_held,
                bytes_per_s=(self._bytes_copied + moving) / seconds if seconds > 0 else 0.0,
                retries=self._n_retries,
                deletions_done=self._deletions_done,
                deletions_total=self._deletions_total,
                message=message or self._message,
            )
        )

    def report(
        self,
        requests: Sequence[CopyRequest] = (),
        deletions: Sequence[DeletionReport] = (),
        *,
        n_held: int = 0,
        held: Mapping[str, str] | None = None,
        on_hold: frozenset[str] = frozenset(),
        stopped: Mapping[str, str] | None = None,
        is_busy: bool = False,
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
            files_held=n_held,
            retries=self._n_retries,
            requests=tuple(requests),
            deletions=tuple(deletions),
            held=dict(held or {}),
            stopped=dict(stopped or {}),
            on_hold=on_hold,
            bad_sources=tuple(self._bad.values()),
            errors=tuple({each.line: None for each in self._errors.values()}),
            is_busy=is_busy,
        )
