"""LocalPacket: some directories of a local tree and what is below them, listed by directory handles.

What a worker of the local walk does with what it is given. The result is that
of the engine over a PosixDriver: entries, oddities, reasons, down to the word.

Rules
  * Nothing is opened but by the handle of the directory above it, or from the
    root component by component, and never through a link.
  * Depth first, the packet in its order. It ends after ``rows_max`` rows or
    ``seconds_max`` seconds, or soon after somebody asks to hurry, and says what
    it has met and not got to.
  * A directory is in the result whole or not at all; one that cannot be listed
    is failed, with the reason. What may pass is tried again, so often as the task
    says. If it is the top, its error is raised.
  * A directory that is gone is listed, with nothing in it, if the one above it
    says so and nothing was expected in it; else it is failed.
  * One that has much less in it than expected is looked at again at the end of
    the packet, after a pause that all such have in common (``local_doubt``); one
    that comes in pieces, and where much more was expected, is doubted at once.
  * A packet that is stopped ends soon, in the midst of a huge directory, too, of
    which nothing is kept; hurrying does not break one off, or it would never end.
  * Names are bytes of UTF-8, whatever the locale makes of them.
  * Memory is bounded: a directory of ``HUGE_ENTRIES`` comes in pieces, and of
    directories that are met and not listed at most ``LEFT_MAX`` are not on disk.
"""

from __future__ import annotations

import os
import stat as modes
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path

from holdfast.model import names
from holdfast.model.errors import HoldfastError
from holdfast.storage.listing import doubt
from holdfast.storage.listing.answer import sort_out
from holdfast.storage.listing.disk_spool import DiskSpool
from holdfast.storage.listing.found import RowPiece, Walked, WrittenPart
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.local_columns import LocalColumns, listing_of, sifted
from holdfast.storage.listing.local_doubt import LocalDoubt
from holdfast.storage.listing.local_handles import LocalHandles
from holdfast.storage.listing.packed_files import WAITING, PackedFiles
from holdfast.storage.listing.pieces import Pieces
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.skipping import Skip, enter_all
from holdfast.storage.listing.tables import Directory, DirectoryState, Oddity, told_time
from holdfast.storage.posix.rooted import Rooted, meaning

Expected = Callable[[str], int | None]
"""How many names are to be expected in a directory; None if that is not known."""

ATTEMPTS = 3
PAUSE_S = 0.2
"""The first pause before a directory is tried again; each further one is four times as long."""

DOUBT_PAUSE_S = 0.25
"""Before directories in doubt are looked at again."""

HUGE_ENTRIES = 1 << 14
LEFT_MAX = 20_000

HURRY_S = 0.02
"""So long a packet goes on in any hurry: going back and forth has a price."""

LOOK_S = 0.005
"""How often to look whether there is a hurry: looking takes longer than a small directory."""

_KIND, _FILE, _DIRECTORY = 0o170000, modes.S_IFREG, modes.S_IFDIR
_ORDINARY = {_FILE, _DIRECTORY}
_SURELY_FITS = names.LFN_BYTES_MAX - names.COMPONENT_BYTES_MAX
"""Below a directory whose path, with a slash, has at most so many bytes, no name makes too long a path."""

_name_of, _mode_of = attrgetter("name"), itemgetter(modes.ST_MODE)

_DECODES = sys.getfilesystemencoding() == "utf-8"
"""Whether the system's names are decoded as ours are; under some locales they are not."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all packets of a walk have in common. ``folder`` is the listing's."""

    folder: Path
    top: str
    skip: Skip
    rows_max: int
    seconds_max: float
    attempts: int = ATTEMPTS
    expected: Expected | None = None


class LocalPacket:
    """One packet; ``hurried``, asked now and then, says whether somebody waits for what is left.

    ``stopped`` says whether all is to end.
    """

    def __init__(self, rooted: Rooted, task: Task, hurried: Callable[[], bool], stopped: Callable[[], bool]) -> None:
        self._task = task
        self._skip = None if task.skip is enter_all else task.skip
        self._hurried = hurried
        self._stopped = stopped
        self._broken_off = False
        self._expected = task.expected
        self._doubts: list[LocalDoubt] = []
        self._handles = LocalHandles(rooted)
        self._columns = LocalColumns(task.folder, task.top)
        self._stack: list[tuple[str, str, int | None]] = []
        """What is above a directory, with a slash; its name; its time. The newest is last."""
        self._left = PackedFiles(task.folder)
        self._files: list[PackedFiles] = []
        self._pieces: list[RowPiece] = []
        self._rows = 0

    def walk(self, packet: Sequence[WaitingDirectory]) -> Walked:
        """List as much as is due; nothing is left behind of a packet that fails."""
        try:
            touched = self._walk(packet)
            while self._doubts:
                self._look_again()
            done = self._columns.done()
            left = [(above + name, mtime_ns) for above, name, mtime_ns in self._stack]
            return Walked(
                untouched=len(packet) - touched,
                counts=self._columns.counts,
                pieces=[*self._pieces, *(each for each in done if isinstance(each, RowPiece))],
                written=[each for each in done if isinstance(each, WrittenPart)],
                left=left,
                files=[*([self._left] if self._left.counts else []), *self._files],
            )
        except BaseException:
            self._columns.abandon()
            for files in (self._left, *self._files):
                files.remove()
            raise
        finally:
            self._handles.close()

    def _walk(self, packet: Sequence[WaitingDirectory]) -> int:
        begun = time.monotonic()
        look = HURRY_S
        stack = self._stack
        for touched, (path, mtime_ns) in enumerate(packet, 1):
            above, slash, name = path.rpartition("/")
            stack.append((above + slash, name, mtime_ns))
            while stack:
                self._visit(*stack.pop())
                took = time.monotonic() - begun
                if self._broken_off or self._rows >= self._task.rows_max or took > self._task.seconds_max:
                    return touched
                if took > look:
                    if self._hurried() or self._stopped():
                        return touched
                    look = took + LOOK_S
                if len(stack) > LEFT_MAX:
                    self._set_aside()
        return len(packet)

    def _visit(self, above: str, name: str, mtime_ns: int | None) -> None:
        path = above + name
        if self._skip is not None and (reason := self._skip(path)):
            return self._tell(path, DirectoryState.SKIPPED, reason, mtime_ns)
        attempt = 0
        while True:
            try:
                return self._list(above, name, path, mtime_ns)
            except FileNotFoundError as error:
                if path != self._task.top and not self._expects(path) and self._handles.is_gone(above, name):
                    return self._tell(path, DirectoryState.LISTED, "", mtime_ns)
                return self._fail(path, meaning(error, path), mtime_ns)
            except OSError as error:
                told: HoldfastError = meaning(error, path)
            attempt += 1
            if not told.retryable or attempt == self._task.attempts:
                return self._fail(path, told, mtime_ns)
            time.sleep(PAUSE_S * 4 ** (attempt - 1))

    def _fail(self, path: str, error: HoldfastError, mtime_ns: int | None) -> None:
        if path == self._task.top:
            raise error
        self._tell(path, DirectoryState.FAILED, error.message, mtime_ns)

    def _tell(self, path: str, state: DirectoryState, reason: str, mtime_ns: int | None) -> None:
        self._columns.add_row(DirectoryRow(path, state.value, reason, 0, 0, 0, mtime_ns))
        self._rows += 1

    def _list(self, above: str, name: str, path: str, mtime_ns: int | None) -> None:
        handle = self._handles.open(above, name)
        entered = False
        try:
            with os.scandir(handle) as scan:
                found = list(islice(scan, HUGE_ENTRIES))
                if len(found) < HUGE_ENTRIES:
                    entered = self._take(path, *_looked_at(found), mtime_ns)
                else:
                    self._broken_off = not self._take_huge(path, found, scan, mtime_ns)
                    if self._broken_off:
                        self._stack.append((above, name, mtime_ns))
        finally:
            if entered:
                self._handles.keep(path, handle)
            else:
                os.close(handle)

    def _take(self, path: str, given: list[str], stats: list[os.stat_result], mtime_ns: int | None) -> bool:
        """Take a whole directory; whether there are directories in it, which are next."""
        if self._expected is not None and doubt.falls_short(len(given), self._expected(path)):
            self._doubt(path, given, stats, mtime_ns)
            return False
        prefix = path if path == "/" else f"{path}/"
        kinds = {mode & _KIND for mode in set(map(_mode_of, stats))}
        below: list[tuple[str, int]] = []
        oddities: Sequence[Oddity] = ()
        if kinds and not (kinds <= _ORDINARY and _plain(prefix, given)):
            given, stats, directory = sifted(path, given, stats)
            oddities = directory.oddities
            below = [(entry.name, entry.stat.mtime_ns) for entry in directory.directories]
        elif _DIRECTORY in kinds:
            pairs = [*zip(given, stats, strict=True)]
            below = [(name, stat.st_mtime_ns) for name, stat in pairs if stat.st_mode & _KIND == _DIRECTORY]
            pairs = [pair for pair in pairs if pair[1].st_mode & _KIND == _FILE]
            given, stats = [name for name, _ in pairs], [stat for _, stat in pairs]
        row = DirectoryRow(path, "listed", "", len(given), len(below), len(oddities), mtime_ns)
        self._columns.add(row, given, stats, oddities)
        self._rows += 1 + len(given) + len(oddities)
        if below:
            below.reverse()
            self._stack += [(prefix, name, told_time(own_ns)) for name, own_ns in below]
        return bool(below)

    def _take_huge(
        self, path: str, found: list[os.DirEntry[str]], scan: Iterator[os.DirEntry[str]], mtime_ns: int | None
    ) -> bool:
        """Take a directory in pieces, as the engine does; False if it was stopped, and nothing is taken.

        What is below it is left for another packet.
        """
        pieces = Pieces(path, mtime_ns)
        spool = DiskSpool(self._task.folder, WaitingDirectory(path, mtime_ns), self._kept)
        try:
            while found:
                spool.add(pieces.take(listing_of(*_looked_at(found))))
                self._hurried()  # For what it does: our own process looks after the others by it.
                if self._stopped():
                    spool.drop()
                    return False
                found = list(islice(scan, HUGE_ENTRIES))
            why = doubt.suspicion(pieces.names, 0, "", self._expects(path))
            spool.keep(Directory(path, DirectoryState.DOUBTED if why else DirectoryState.LISTED, why, mtime_ns))
            return True
        except BaseException:
            spool.drop()
            raise

    # Less than expected.

    def _expects(self, path: str) -> int | None:
        return None if self._expected is None else self._expected(path)

    def _doubt(self, path: str, given: list[str], stats: list[os.stat_result], mtime_ns: int | None) -> None:
        above, slash, name = path.rpartition("/")
        case = LocalDoubt(above + slash, name, mtime_ns, self._expects(path) or 0)
        case.hear(sort_out(path, listing_of(given, stats), mtime_ns))
        self._doubts.append(case)

    def _look_again(self) -> None:
        """Look once at all directories in doubt."""
        cases, self._doubts = self._doubts, []
        if self._stopped():
            self._stack += [(case.above, case.name, case.mtime_ns) for case in cases]
            return
        time.sleep(DOUBT_PAUSE_S)
        for case in cases:
            path = case.above + case.name
            try:
                self._look(case, path)
            except FileNotFoundError as error:
                self._fail(path, meaning(error, path), case.mtime_ns)
            except OSError as error:
                self._keep(case.give_up(meaning(error, path).message))

    def _look(self, case: LocalDoubt, path: str) -> None:
        handle = self._handles.open(case.above, case.name)
        try:
            with os.scandir(handle) as scan:
                found = list(islice(scan, HUGE_ENTRIES))
                if len(found) == HUGE_ENTRIES:
                    if not self._take_huge(path, found, scan, case.mtime_ns):
                        self._stack.append((case.above, case.name, case.mtime_ns))
                    return
                directory = case.hear(sort_out(path, listing_of(*_looked_at(found)), case.mtime_ns))
        finally:
            os.close(handle)
        if directory is None:
            self._doubts.append(case)
        else:
            self._keep(directory)

    def _keep(self, directory: Directory) -> None:
        """Take a directory that was sorted out; what is below it is left for another packet."""
        waiting = WaitingDirectory(directory.dir, directory.mtime_ns)
        DiskSpool(self._task.folder, waiting, self._kept).keep(directory)

    def _kept(self, row: DirectoryRow, size: int, files: PackedFiles) -> None:
        self._columns.add_row(row, size)
        self._files.append(files)
        self._pieces += [RowPiece(table, n, files.path(table)) for table, n in files.counts.items() if table != WAITING]
        self._rows += 1 + row.files + row.directories

    def _set_aside(self) -> None:
        """Put the older half of what is met and not listed on disk."""
        half = len(self._stack) // 2
        older, self._stack[:half] = self._stack[:half], []
        self._left.append_waiting([above + name for above, name, _ in older], [mtime_ns for _, _, mtime_ns in older])


def _looked_at(found: list[os.DirEntry[str]]) -> tuple[list[str], list[os.stat_result]]:
    """Names, sorted, and stats."""
    if not _DECODES:
        return _decoded(found)
    found.sort(key=_name_of)
    try:
        stats = [each.stat(follow_symlinks=False) for each in found]
    except FileNotFoundError:
        # A name that vanished between the scan and this look is no longer there: nothing to report.
        there = []
        for each in found:
            with suppress(FileNotFoundError):
                there.append((each.name, each.stat(follow_symlinks=False)))
        return [name for name, _ in there], [stat for _, stat in there]
    return [each.name for each in found], stats


def _decoded(found: list[os.DirEntry[str]]) -> tuple[list[str], list[os.stat_result]]:
    """The same where the system's names come decoded in another way."""
    there: list[tuple[str, os.stat_result]] = []
    for each in found:
        with suppress(FileNotFoundError):
            there.append((os.fsencode(each.name).decode(errors="surrogateescape"), each.stat(follow_symlinks=False)))
    there.sort(key=lambda pair: pair[0])
    return [name for name, _ in there], [stat for _, stat in there]


def _plain(prefix: str, given: list[str]) -> bool:
    """Whether all are surely names that can be ours, each given once; if not, one by one will tell.

    The system gives no name that is empty, a dot name, or has a slash in it.
    """
    text = "".join(given)
    length_max = names.COMPONENT_BYTES_MAX if text.isascii() else names.COMPONENT_BYTES_MAX // 4
    return (
        text.isprintable()
        and (len(text) <= length_max or max(map(len, given)) <= length_max)
        and len(set(given)) == len(given)
        and (len(prefix) <= _SURELY_FITS if prefix.isascii() else len(prefix) <= _SURELY_FITS // 4)
    )
