"""Scan: the files below a directory, as a publish wants them, or all the reasons why not.

Rules
  * Files are told by LFN, through the rules of the site's door. A name that
    none of ours can be, a file without an LFN, a link or a device is a
    problem; nothing is silently left out but Holdfast's own parts.
  * A directory that cannot be listed is an error, never an empty directory.
  * Files are handed on as they are found; what is kept is the number of
    problems and the first few of them, told at the end together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from holdfast.model import names, pfn
from holdfast.model.errors import BadInput, InvalidName, PeerError
from holdfast.replication.publication import OnProgress, Phase, Publication, PublishProgress
from holdfast.replication.scan_table import ScannedFile
from holdfast.storage import parts
from holdfast.storage.driver import NotThere, StorageDriver
from holdfast.storage.listing import engine
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.memory_ledger import MemoryLedger
from holdfast.storage.listing.tables import Directory, show_raw

LIST_CONCURRENCY = 8
KEEP_ROWS = 10_000
PROBLEMS_SHOWN = 5

Keep = Callable[[Sequence[ScannedFile]], None]


def nothing_there(publication: Publication) -> BadInput:
    """The error for a tree without files: most likely another one was meant."""
    return BadInput(f"there is no file below {publication.directory} at {publication.site.name}")


async def require_directory(driver: StorageDriver, publication: Publication) -> None:
    """BadInput if there is no such directory; what the driver raises if it cannot be listed."""
    try:
        await driver.list(publication.directory)
    except NotThere as error:
        raise BadInput(
            f"there is no directory {publication.directory} at {publication.site.name}",
            place=driver.label,
            hint="give a directory below the root of the site",
        ) from error


async def scan(
    driver: StorageDriver, publication: Publication, keep: Keep, *, phase: Phase, progress: OnProgress
) -> None:
    """Give ``keep`` every file below the directory; then BadInput or PeerError if there was anything else.

    ``keep`` is called in worker threads, one call at a time.
    """
    sink = ScanSink(publication.site.first_door.rules, keep)
    with closing(MemoryLedger(sink, publication.directory)) as ledger:
        outcome = await engine.list_tree(
            [driver],
            ledger,
            limits=ListingLimits(in_flight_max=LIST_CONCURRENCY),
            progress=lambda now: progress(PublishProgress(phase, now.files, now.bytes)),
        )
    if not outcome.complete:
        problems = [f"{path}: {reason}" for path, reason in (*outcome.failures, *outcome.doubts)[:PROBLEMS_SHOWN]]
        number = outcome.failed + outcome.skipped + outcome.doubted
        raise PeerError(
            f"not listed: {_shown(problems, number)}",
            place=driver.label,
            hint="nothing is published while a part of the tree cannot be seen",
        )
    sink.require_clean(place=driver.label)


class ScanSink:
    """Takes the directories of a walk."""

    def __init__(self, rules: pfn.PfnRules, keep: Keep) -> None:
        self._rules = rules
        self._keep = keep
        self._unfit: list[str] = []
        self._n_unfit = 0

    def add(self, directories: Sequence[Directory]) -> None:
        """Take some directories with everything in them."""
        found = [each for directory in directories for each in self._take(directory)]
        # One directory may be larger than a transaction should be.
        for start in range(0, len(found), KEEP_ROWS):
            self._keep(found[start : start + KEEP_ROWS])

    def finish(self) -> None:
        """Nothing to do: everything has been handed over."""

    def abandon(self) -> None:
        """Nothing to do: what was handed over is the next listing's to renew."""

    def require_clean(self, *, place: str) -> None:
        """BadInput if there was anything that cannot be published."""
        if self._n_unfit:
            raise BadInput(
                f"cannot be published: {_shown(self._unfit, self._n_unfit)}",
                place=place,
                hint="rename or remove what is named, or publish a directory without it",
            )

    def _take(self, directory: Directory) -> Iterator[ScannedFile]:
        prefix = "" if directory.dir == "/" else directory.dir
        for oddity in directory.oddities:
            self._refuse(f"{show_raw(prefix.encode() + b'/' + oddity.raw)}: {oddity.reason}")
        for entry in directory.files:
            if parts.is_part_name(entry.name):
                continue
            try:
                lfn = self._lfn(f"{prefix}/{entry.name}")
            except InvalidName as error:
                self._refuse(error.message)
                continue
            stat = entry.stat
            yield ScannedFile(lfn.dir, lfn.name, stat.size, stat.mtime_ns, stat.version)

    def _lfn(self, path: str) -> names.Lfn:
        text = pfn.lfn_of(self._rules, path)
        if text is None:
            raise InvalidName(f"{path}: the rules of the site's door give it no LFN")
        return names.lfn(text)

    def _refuse(self, problem: str) -> None:
        self._n_unfit += 1
        if len(self._unfit) < PROBLEMS_SHOWN:
            self._unfit.append(problem)


def _shown(problems: Sequence[str], number: int) -> str:
    more = number - len(problems)
    return "; ".join(problems) + (f"; and {more} more" if more else "")
