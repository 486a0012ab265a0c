"""DiskLedger: a listing in a folder on disk, which can be broken off anywhere and gone on with.

    listing.json                         the summary; there only when the listing is complete
    entries/NNNNNN.parquet               directories/NNNNNN.parquet               oddities/NNNNNN.parquet
    ledger.db, ledger.lock, *.part       while it goes on

Rules, beside those of the interface
  * ``open`` begins a listing, or goes on with the one that is in the folder; a
    complete one (ListingComplete), one that was begun with another plan, and one
    that another process works on are Conflicts.
  * A folder that holds anything and no listing is refused, and nothing in it is
    changed; in a listing's folder, only files with names of ours are removed.
  * What ``save`` has returned from is on disk, and outlasts a crash of the machine.
  * It is time to save after ``ROWS_DUE`` rows, or after ``SECONDS_DUE`` with any.
  * After a save that failed nothing more is saved: open the ledger anew, and
    the listing goes on from the last save that did not.

Steps: listing.part-written, listing.saved, listing.revealed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.model import names, steps
from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import BrokenInvariant, Conflict
from holdfast.storage.listing import ledger_file, rows, summary
from holdfast.storage.listing.answer import bytes_in
from holdfast.storage.listing.disk_spool import DiskSpool, below
from holdfast.storage.listing.folder_lock import FolderLock
from holdfast.storage.listing.found import FoundRows, RowPiece, Walked
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.ledger_file import LEDGER, LedgerFile, LedgerStep
from holdfast.storage.listing.packed_files import WAITING, PackedFiles
from holdfast.storage.listing.part_files import told_of
from holdfast.storage.listing.parts import Parts
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.summary import LISTING, ListingCounts, ListingPlan, Summary
from holdfast.storage.listing.tables import Directory
from holdfast.storage.listing.waiting_stack import HELD_MAX, Numbered, WaitingStack

ROWS_DUE = 1 << 15
SECONDS_DUE = 5.0


class ListingComplete(Conflict):
    """The listing was made already, with the same plan."""


class DiskLedger:
    """See the module's docstring. Made by ``open``."""

    def __init__(self, opened: _Opened, clock: Clock, now: Callable[[], float]) -> None:
        self.folder = opened.folder
        self._plan = opened.plan
        self._file = opened.file
        self._parts = opened.parts
        self._folder_lock = opened.lock
        self._clock = clock
        self._now = now
        self._saved_at = now()
        self._lock = threading.Lock()  # Held for moments: who finds and takes waits for no disk.
        self._saving = threading.RLock()  # Whoever uses the file holds it.
        self._failed = False
        self._new = FoundRows()
        self._counts = self._file.counts
        self._stack = WaitingStack(self._file.waiting, self._file.end)
        self._fill()

    @staticmethod
    def open(
        folder: Path, plan: ListingPlan, *, clock: Clock = system_clock, now: Callable[[], float] = time.monotonic
    ) -> DiskLedger:
        """Begin a listing in the folder, which is made if need be, or go on with the one that is there."""
        names.directory(plan.top)
        opened = _open(folder, plan, clock())
        try:
            return DiskLedger(opened, clock, now)
        except BaseException:
            opened.close()
            raise

    @property
    def plan(self) -> ListingPlan:
        """What the listing was begun with."""
        return self._plan

    @property
    def top(self) -> str:
        """Where the listing began."""
        return self._plan.top

    @property
    def resumed(self) -> int:
        """How often the listing was gone on with, this time included."""
        return self._file.resumed

    @property
    def counts(self) -> ListingCounts:
        """What has been saved so far."""
        return self._counts

    @property
    def waiting(self) -> int:
        """How many directories were neither taken nor done."""
        return self._stack.count

    def take(self, count: int) -> Sequence[WaitingDirectory]:
        """The newest directories that wait."""
        with self._lock:
            if len(self._stack) or not self._stack.count:
                return self._stack.take(count)
        # Only where more was taken between two saves than memory holds, or a spooled directory is all there is.
        with self._saving:
            if self._new.files:
                self._save()
            self._fill()
        with self._lock:
            if not len(self._stack):
                raise BrokenInvariant(f"{self._stack.count} directories wait and are not to be found")
            return self._stack.take(count)

    def found(self, directory: Directory) -> None:
        """One directory is done."""
        waiting = zip(*below(directory.dir, directory.directories), strict=True)
        with self._lock:
            self._done(directory.dir)
            self._wait(waiting)
            self._new.directories.append(directory)
            self._new.rows += 1 + len(directory.files) + len(directory.oddities)

    def spool(self, waiting: WaitingDirectory) -> DiskSpool:
        """Room for a directory that comes in pieces."""
        return DiskSpool(self.folder, waiting, self._kept)

    @property
    def due(self) -> bool:
        """Whether enough was found, or enough time has passed since the last save."""
        rows = self._new.rows
        return rows >= ROWS_DUE or (rows > 0 and self._now() - self._saved_at >= SECONDS_DUE)

    def save(self) -> None:
        """Keep what was found."""
        with self._saving:
            self._save()

    def book(self, packet: Sequence[WaitingDirectory], walked: Walked) -> None:
        """Some directories that were taken are done, their rows written by somebody else; saves at once."""
        touched = len(packet) - walked.untouched
        with self._lock:
            for waiting in packet[:touched]:
                self._done(waiting.dir)
            for files in walked.files:
                self._reserve(files)
            self._wait(walked.left)
            self._stack.give_back([waiting.dir for waiting in packet[touched:]])
            self._new.rows += 1
            self._new.pieces += walked.pieces
            self._new.written += walked.written
            self._new.counts.add(walked.counts)
        self.save()

    def give_back(self, packet: Sequence[WaitingDirectory]) -> None:
        """Directories that were taken are yet to be listed."""
        with self._lock:
            self._stack.give_back([waiting.dir for waiting in packet])

    def finish(self) -> Summary:
        """Complete the listing; what is then in the folder is opened by ``reading``."""
        with self._saving:
            if self._stack.count or self._stack.taken:
                raise BrokenInvariant("the listing is not at its end", place=str(self.folder))
            self._save(last=True)
            ended = Summary(
                plan=self._plan,
                counts=self._counts,
                started_us=self._file.started_us,
                ended_us=self._clock(),
                resumed=self._file.resumed,
                parts=tuple(self._file.parts()),
            )
            with told_of(self.folder):
                summary.write(self.folder, ended)
                steps.reach("listing.revealed")
                self._parts.tidy()
                self._file.close()
                ledger_file.remove(self.folder)
            self._folder_lock.release(remove=True)
            return ended

    def close(self) -> None:
        """Let go of the files."""
        with self._saving:
            self._file.close()
            self._folder_lock.release()

    def forsake(self) -> None:
        """Let go of the files, and remove them if nothing was found yet: there is nothing to go on with."""
        with self._saving:
            self._file.close()
            unused = not self._counts.directories
            if unused:
                ledger_file.remove(self.folder)
            self._folder_lock.release(remove=unused)

    # ---- while the lock is held ---------------------------------------------------

    def _done(self, dir: str) -> None:
        number = self._stack.done(dir)
        if self._new.waiting.pop(number, None) is None:
            self._new.done.add(number)

    def _wait(self, dirs: Iterable[tuple[str, int | None]]) -> None:
        pushed = self._stack.push(dirs)
        self._new.waiting.update((row.number, row) for row in pushed)
        self._new.rows += len(pushed)

    def _reserve(self, files: PackedFiles) -> None:
        self._new.files.append((self._stack.reserve(files.counts.get(WAITING, 0)), files))

    def _kept(self, row: DirectoryRow, size: int, files: PackedFiles) -> None:
        with self._lock:
            self._done(row.dir)
            self._reserve(files)
            self._new.told.append(row)
            self._new.bytes += size
            self._new.pieces += [
                RowPiece(each, n, files.path(each)) for each, n in files.counts.items() if each != WAITING
            ]
            # What waits in the files is to be had only after a save: let it be soon.
            self._new.rows += ROWS_DUE if WAITING in files.counts else 1 + sum(files.counts.values())

    # ---- while the right to save is held ------------------------------------------

    def _save(self, *, last: bool = False) -> None:
        if self._failed:
            raise BrokenInvariant("an earlier save has failed", place=str(self.folder), hint="open the ledger anew")
        with self._lock:
            found, self._new = self._new, FoundRows()
            end = self._stack.end
        if found.rows or last:
            self._failed = True
            self._write(found, last)
            self._failed = False
            with self._lock:
                if any(WAITING in files.counts for _, files in found.files):
                    self._stack.forget(end)
                self._stack.shrink(end)
            for _, files in found.files:
                files.remove()
        self._saved_at = self._now()
        self._fill()

    def _write(self, found: FoundRows, last: bool) -> None:
        counts = ListingCounts()
        counts.add(self._counts)
        pieces = self._pieces(found, counts)
        step = LedgerStep(counts, done=list(found.done))
        step.waiting = [found.waiting.values(), *(_numbered(first, files) for first, files in found.files)]
        with told_of(self.folder):
            self._parts.add(step, pieces, found.written, last=last)
        self._file.save(step)
        self._counts = counts
        steps.reach("listing.saved")

    def _pieces(self, found: FoundRows, counts: ListingCounts) -> list[RowPiece]:
        """What is to be saved of the tables; ``counts`` is told of it."""
        told = [*map(rows.row_of, found.directories), *found.told]
        size = sum(map(bytes_in, found.directories))
        counts.note(told, size + found.bytes, self._plan.top)
        counts.add(found.counts)
        packed = [
            RowPiece(table, batch.num_rows, rows.pack([batch], batch.schema))
            for table, batch in rows.of(found.directories, told).items()
            if batch.num_rows
        ]
        return [*packed, *found.pieces]

    def _fill(self) -> None:
        """Read what waits on disk, as long as there is little in memory."""
        while self._stack.lacks and self._stack.low > 0:
            read = self._file.newest(self._stack.low, HELD_MAX // 2)
            low = read[-1].number if len(read) == HELD_MAX // 2 else 0
            with self._lock:
                self._stack.fill(read, low, self._new.done)


def _numbered(first: int, files: PackedFiles) -> Iterator[Numbered]:
    return (Numbered(number, dir, mtime_ns) for number, (dir, mtime_ns) in enumerate(files.waiting(), first))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A folder in which a listing goes on, and which nobody else works on."""

    folder: Path
    plan: ListingPlan
    lock: FolderLock
    file: LedgerFile
    parts: Parts

    def close(self) -> None:
        self.file.close()
        self.lock.release()


def _open(folder: Path, plan: ListingPlan, now_us: int) -> _Opened:
    with told_of(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_strangers(folder)
    lock = FolderLock(folder)
    try:
        with told_of(folder):
            _refuse_complete(folder, plan, lock)
        file = LedgerFile(folder, plan, now_us)
        try:
            with told_of(folder):
                opened = _Opened(folder, plan, lock, file, Parts(folder, file))
            file.note_resumed()
            return opened
        except BaseException:
            file.close()
            raise
    except BaseException:
        lock.release()
        raise


def _refuse_strangers(folder: Path) -> None:
    """A folder that is not ours: before anything is written to it."""
    if (folder / LEDGER).exists() or (folder / LISTING).exists():
        return
    if others := ledger_file.strangers(folder):
        raise Conflict(
            f"the folder is not empty, and there is no ledger in it to go on by: it has {others}",
            place=str(folder),
            hint="list into a new or an empty folder",
        )


def _refuse_complete(folder: Path, plan: ListingPlan, lock: FolderLock) -> None:
    if not (folder / LISTING).exists():
        return
    differences = summary.read(folder).plan.differences(plan)
    # Whoever completed it may have died before it could tidy up.
    ledger_file.remove(folder)
    lock.release(remove=True)
    if differences:
        raise Conflict(
            f"another listing is complete here: {'; '.join(differences)}",
            place=str(folder),
            hint="list into another folder",
        )
    raise ListingComplete(
        "the listing here is complete", place=str(folder), hint="read it, or list into another folder"
    )
