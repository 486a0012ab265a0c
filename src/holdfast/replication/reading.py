"""Reader: take the checksums of many files at the same time, and keep them in durable batches.

Rules
  * A digest is kept only if the driver says that it was taken of the very
    file that the listing saw; everything else is a failure of that one file,
    told with its reason, and the others go on.
  * Batches are small enough that a kill loses little, and large enough that
    writing them down costs little beside reading.
  * If the storage fails many files in a row, it is the storage that is broken:
    its last error ends the work instead of a million failures.
  * However it ends, cancelled too, the digests that are complete are kept;
    only a dying process loses its last batch.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain, islice

from holdfast.model import checksums, pfn, steps
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.replication.publication import PROBLEMS_MAX, OnProgress, Phase, PublishProgress
from holdfast.replication.scan_table import Claim, Read, ScannedFile, ScanTable
from holdfast.storage.digest import Hasher
from holdfast.storage.driver import ChangedWhileRead, Digest, NotThere, Stat, StorageDriver

FAILURES_IN_A_ROW_MAX = 100

_Outcome = tuple[ScannedFile, Digest | HoldfastError]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a kill may cost at most: a batch is kept when it reaches one of these."""

    n_files: int = 500
    size: int = 1 << 30
    seconds: float = 2.0


@dataclass(slots=True)
class ReadSummary:
    """What was read: files and bytes whose digests are kept, and why other files failed, by LFN."""

    n_files: int = 0
    size: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Of the first PROBLEMS_MAX."""


class Reader:
    """Reads all files of a publication that nobody has read."""

    def __init__(
        self,
        driver: StorageDriver,
        rules: pfn.PfnRules,
        algorithm: str,
        table: ScanTable,
        claim: Claim,
        *,
        workers: int,
        clock: Clock,
        limits: BatchLimits,
        progress: OnProgress,
    ) -> None:
        self._driver = driver
        self._rules = rules
        self._algorithms = ("adler32", algorithm)
        self._table = table
        self._claim = claim
        self._workers = workers
        self._clock = clock
        self._limits = limits
        self._progress = progress
        self._totals = table.totals(claim)
        self._summary = ReadSummary()
        self._batch: list[Read] = []
        self._batch_size = 0
        self._batch_began_us = 0
        self._failed_in_a_row = 0
        self._broken: HoldfastError | None = None

    async def run(self) -> ReadSummary:
        """Read them; the summary tells which could not be."""
        unread = chain.from_iterable(self._table.listed(self._claim, unread_only=True))
        pending: set[asyncio.Task[_Outcome]] = set()
        try:
            while self._broken is None:
                for found in islice(unread, self._workers - len(pending)):
                    pending.add(asyncio.create_task(self._read(found)))
                if not pending:
                    break
                # The time limit wakes us while large files are being read, so that small ones are kept meanwhile.
                done, pending = await asyncio.wait(
                    pending, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    self._take(*task.result())
                if not done or self._is_batch_due():
                    self._keep_batch()
        except asyncio.CancelledError:
            self._keep_batch()
            raise
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        self._keep_batch()
        if self._broken is not None:
            raise self._broken
        return self._summary

    async def _read(self, found: ScannedFile) -> _Outcome:
        path = pfn.path_of(self._rules, found.lfn)
        if path is None:
            raise BrokenInvariant(f"{found.lfn} was listed and has no path")
        try:
            digest = await self._digest(path)
            taken = checksums.normalise_all(digest.checksums)
        except HoldfastError as error:
            return found, error
        return found, Digest(taken, digest.stat)

    async def _digest(self, path: str) -> Digest:
        """What the storage says, or where it cannot say, what its bytes say."""
        if self._driver.capabilities.checksums.issuperset(self._algorithms):
            return await self._driver.checksum(path, self._algorithms)
        hasher = Hasher(self._algorithms)
        async for piece in self._driver.read(path):
            await asyncio.to_thread(hasher.update, piece)
        # ``read`` has seen that the file held still; that it is the file of the listing, its stat has to say.
        return Digest(hasher.hexdigests(), await self._driver.stat(path))

    def _take(self, found: ScannedFile, outcome: Digest | HoldfastError) -> None:
        if isinstance(outcome, HoldfastError):
            self._fail(found, _reason(outcome))
            # A file that changes or vanishes says nothing about the storage.
            self._failed_in_a_row += not isinstance(outcome, ChangedWhileRead | NotThere)
            if self._failed_in_a_row >= FAILURES_IN_A_ROW_MAX:
                self._broken = outcome
            return
        self._failed_in_a_row = 0
        if _stamp(outcome.stat) != (found.size, found.mtime_ns, found.version):
            self._fail(found, "changed after it was listed")
            return
        if not self._batch:
            self._batch_began_us = self._clock()
        strong = outcome.checksums[self._algorithms[1]]
        self._batch.append(Read(found, outcome.checksums["adler32"], strong, self._clock()))
        self._batch_size += found.size
        self._tell()

    def _fail(self, found: ScannedFile, reason: str) -> None:
        if len(self._summary.failures) < PROBLEMS_MAX:
            self._summary.failures[found.lfn] = reason

    def _is_batch_due(self) -> bool:
        limits = self._limits
        return bool(self._batch) and (
            len(self._batch) >= limits.n_files
            or self._batch_size >= limits.size
            or self._clock() - self._batch_began_us >= limits.seconds * SECOND_US
        )

    def _keep_batch(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        self._table.keep_digests(self._claim, batch)
        self._summary.n_files += len(batch)
        self._summary.size += self._batch_size
        self._batch_size = 0
        steps.reach("publish.hashed")

    def _tell(self) -> None:
        totals, summary = self._totals, self._summary
        self._progress(
            PublishProgress(
                Phase.READ,
                n_files=totals.n_read + summary.n_files + len(self._batch),
                size=totals.size_read + summary.size + self._batch_size,
                n_files_total=totals.n_files,
                size_total=totals.size,
            )
        )


def _stamp(stat: Stat) -> tuple[int, int, str]:
    return stat.size, stat.mtime_ns, stat.version


def _reason(error: HoldfastError) -> str:
    if isinstance(error, ChangedWhileRead):
        return "changed while it was read"
    return "vanished before it was read" if isinstance(error, NotThere) else error.message
