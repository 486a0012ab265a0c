"""Publish a directory of a site as a dataset version: list, read, list again, register, reveal.

    holdfast publish DIR --dataset NAME[#VERSION] --site SITE

Rules
  * Others see the dataset when all of it is in, and never a part of it.
  * Interrupted anywhere, the next run of the same publish goes on: a file
    whose checksums are kept is not read again while its size, mtime and
    version are the same.
  * A file that changes or vanishes while it is read, or between reading and
    registering, is reported and not registered. The others are finished,
    nothing is revealed, and the next run reads only what is left.
  * Of two publishers of the same dataset and place the later one goes on; the
    earlier one fails with TakenOver at its next write (``scan_table``).
  * A dataset that is published already is read and compared; the same content
    is ALREADY_PUBLISHED, other content a Conflict. Nothing is changed.
  * A file that changes after the second listing is not noticed here: finding
    that is the business of ``holdfast check``.

A publish that fails before it begins to read takes back what it has staged.
Later failures leave what is staged for the next run; ``give_up`` ends it.

The store's calls are short and run where they are called; the driver's are
awaited, ``workers`` of them at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

from holdfast import logs
from holdfast.inventory.store import Store
from holdfast.model import pfn, steps
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.errors import Conflict, HoldfastError
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset, Site
from holdfast.replication import plan, scan
from holdfast.replication.publication import (
    PROBLEMS_MAX,
    Description,
    OnProgress,
    Phase,
    Publication,
    PublishOutcome,
    PublishProblem,
    PublishProgress,
    PublishReport,
    no_progress,
)
from holdfast.replication.reading import BatchLimits, Reader, ReadSummary
from holdfast.replication.registration import Registered, Registration
from holdfast.replication.scan_table import ScanTable, TakenOver, Totals
from holdfast.storage.driver import StorageDriver

COMPARE_ROWS = 5000

_log = logs.get("replication")


async def publish(
    store: Store,
    driver: StorageDriver,
    site: Site,
    directory: str,
    dataset: DatasetKey,
    *,
    clock: Clock,
    actor: str,
    digest: str = "sha256",
    description: Description | None = None,
    workers: int | None = None,
    limits: BatchLimits | None = None,
    progress: OnProgress = no_progress,
) -> PublishReport:
    """Publish all files below ``directory``, a path within ``site``, whose first door ``driver`` serves.

    ``workers`` files are read at the same time, by default one per processor.
    """
    publication = Publication(dataset, site, directory, digest, description or Description())
    publication.check()
    work = _Work(
        store,
        driver,
        publication,
        clock=clock,
        actor=actor,
        workers=workers or os.cpu_count() or 1,
        limits=limits or BatchLimits(),
        progress=progress,
    )
    return await work.run()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What came of listing, reading and listing again."""

    before: Totals
    summary: ReadSummary
    n_problems: int
    problems: tuple[PublishProblem, ...]


class _Work:
    """One run of a publish."""

    def __init__(
        self,
        store: Store,
        driver: StorageDriver,
        publication: Publication,
        *,
        clock: Clock,
        actor: str,
        workers: int,
        limits: BatchLimits,
        progress: OnProgress,
    ) -> None:
        self._store = store
        self._driver = driver
        self._publication = publication
        self._rules = publication.site.first_door.rules
        self._clock = clock
        self._workers = workers
        self._limits = limits
        self._progress = progress
        self._registration = Registration(store, publication, actor=actor)
        self._began_us = clock()
        self._log = _log.bind(dataset=str(publication.dataset), place=publication.place)

    async def run(self) -> PublishReport:
        """Do it, from wherever an earlier run has come to."""
        await scan.require_directory(self._driver, self._publication)
        self._registration.find()  # Asked before the claim, so that a mistaken call stops nobody.
        self._table = ScanTable(self._store)
        self._claim = self._table.claim(self._publication)
        dataset = self._registration.find()
        state = "new" if dataset is None else "published" if dataset.is_visible else "staged"
        self._log.info("publish begun", state=state, digest=self._publication.algorithm, workers=self._workers)
        if dataset is not None and dataset.is_visible:
            return await self._compare()
        return await self._publish(dataset)

    async def _publish(self, dataset: Dataset | None) -> PublishReport:
        self._registration.stage(dataset, self._guard())
        try:
            await self._list(Phase.SCAN)
            self._check_free()
        except HoldfastError as error:
            if dataset is None and not isinstance(error, TakenOver):
                self._registration.abandon(self._guard())
                self._table.forget(self._claim)
                self._log.info("publish taken back", reason=error.message)
            raise
        reading = await self._read()
        if reading.n_problems:
            return self._incomplete(reading)
        registered = self._register()
        head = self._registration.reveal(registered, self._guard())
        self._forget()
        return self._report(PublishOutcome.PUBLISHED, registered, reading, head.position)

    async def _compare(self) -> PublishReport:
        """Nobody believes a second publish on its word: the files are read, unless a run that died had read them."""
        await self._list(Phase.SCAN)
        totals = self._table.totals(self._claim)
        try:
            registered = self._registration.check_totals(totals.n_files, totals.size)
            reading = await self._read()
            if reading.n_problems:
                return self._incomplete(reading)
            for rows in _batches(self._table.read_files(self._claim)):
                self._registration.check_content(rows)
        except Conflict as error:
            if not isinstance(error, TakenOver):
                self._forget()  # What is published does not change: nobody will go on with this.
            raise
        self._forget()
        return self._report(PublishOutcome.ALREADY_PUBLISHED, registered, reading, self._store.head().position)

    async def _list(self, phase: Phase) -> tuple[int, list[str]]:
        """List the directory into the table; how many files have gone since the listing before, and some of them."""
        keep = partial(self._table.keep, self._claim)
        await scan.scan(self._driver, self._publication, keep, phase=phase, progress=self._progress)
        gone = self._table.drop_unseen(self._claim)
        totals = self._table.totals(self._claim)
        if not totals.n_files:
            raise scan.nothing_there(self._publication)
        self._log.info("publish listed", phase=phase.value, files=totals.n_files, size=totals.size, read=totals.n_read)
        steps.reach("publish.scanned" if phase is Phase.SCAN else "publish.rechecked")
        return gone

    def _check_free(self) -> None:
        for page in self._table.listed(self._claim):
            self._registration.check_free([found.lfn for found in page])

    async def _read(self) -> _Reading:
        before = self._table.totals(self._claim)
        reader = Reader(
            self._driver,
            self._rules,
            self._publication.algorithm,
            self._table,
            self._claim,
            workers=self._workers,
            clock=self._clock,
            limits=self._limits,
            progress=self._progress,
        )
        summary = await reader.run()
        failed = len(summary.failures)
        self._log.info("publish read", files=summary.n_files, size=summary.size, reused=before.n_read, failed=failed)
        # Listing is cheap beside reading. It finds what has changed behind the reader, and drops those digests.
        self._claim = self._table.next_turn(self._claim)
        n_gone, gone = await self._list(Phase.RECHECK)
        totals = self._table.totals(self._claim)
        problems = [PublishProblem(self._path(lfn), "vanished") for lfn in gone]
        problems += self._unread(summary)
        for problem in problems[:PROBLEMS_MAX]:  # Not a warning: the report names them, too.
            self._log.info("publish problem", path=problem.path, reason=problem.reason)
        n_problems = n_gone + totals.n_files - totals.n_read
        return _Reading(before, summary, n_problems, tuple(problems[:PROBLEMS_MAX]))

    def _unread(self, summary: ReadSummary) -> Iterator[PublishProblem]:
        """The files that have no valid digests after the second listing, as many as a report may name."""
        page = next(self._table.listed(self._claim, unread_only=True), [])
        for found in page[:PROBLEMS_MAX]:
            late = "appeared after it was listed" if found.is_new else "changed after it was read"
            yield PublishProblem(self._path(found.lfn), summary.failures.get(found.lfn, late))

    def _register(self) -> Registered:
        algorithm = self._publication.algorithm
        totals = self._table.totals(self._claim)

        def planned() -> Iterator[plan.PlannedBlock]:
            return plan.blocks(self._table.read_files(self._claim), algorithm)

        def tell(done: Registered) -> None:
            self._progress(PublishProgress(Phase.REGISTER, done.n_files, done.size, totals.n_files, totals.size))

        try:
            return self._registration.register(planned, self._guard(), progress=tell)
        except TakenOver:
            raise
        except Conflict:
            self._abandon_if_taken()
            raise

    def _abandon_if_taken(self) -> None:
        """A name that another dataset took meanwhile is for good; other conflicts (an open deletion) pass."""
        try:
            self._check_free()
        except Conflict:
            self._registration.abandon(self._guard())
            self._log.info("publish taken back", reason="a name was taken meanwhile")
            raise

    def _forget(self) -> None:
        # All is done; whoever has taken over meanwhile finds it so, and clears up himself.
        with suppress(TakenOver):
            self._table.forget(self._claim)

    def _guard(self) -> Callable[..., None]:
        return self._table.guard(self._claim)

    def _path(self, lfn: str) -> str:
        return pfn.path_of(self._rules, lfn) or lfn

    def _incomplete(self, reading: _Reading) -> PublishReport:
        totals = self._table.totals(self._claim)
        listed = Registered(totals.n_files, totals.size, n_blocks=0)
        return self._report(PublishOutcome.INCOMPLETE, listed, reading, self._store.head().position)

    def _report(
        self, outcome: PublishOutcome, registered: Registered, reading: _Reading, position: int
    ) -> PublishReport:
        publication = self._publication
        seconds = (self._clock() - self._began_us) / SECOND_US
        self._log.info(
            "publish ended",
            outcome=outcome.value,
            files=registered.n_files,
            size=registered.size,
            blocks=registered.n_blocks,
            problems=reading.n_problems,
            seconds=round(seconds, 3),
            position=position,
        )
        return PublishReport(
            dataset=publication.dataset,
            site=publication.site.name,
            directory=publication.directory,
            outcome=outcome,
            n_files=registered.n_files,
            size=registered.size,
            n_blocks=registered.n_blocks,
            read_files=reading.summary.n_files,
            read_bytes=reading.summary.size,
            reused_files=reading.before.n_read,
            reused_bytes=reading.before.size_read,
            n_problems=reading.n_problems,
            problems=reading.problems,
            seconds=seconds,
            position=position,
        )


def _batches(rows: Iterator[plan.ReadFile]) -> Iterator[list[plan.ReadFile]]:
    while batch := list(islice(rows, COMPARE_ROWS)):
        yield batch
