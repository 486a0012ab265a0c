"""Walk: list a whole tree, one directory at a time, several at once.

Workers take directories from a common stack, ask the driver, collect what
they got for the sink and push what they found below. Taking the newest first keeps
the stack as small as the tree is deep and broad along one branch, not as big
as the tree.

Rules
  * Every directory met is in the result exactly once: listed, failed with a
    reason, or skipped with a reason. What is below a directory that was not
    listed is unknown, never absent; the walk goes on beside it.
  * That holds for the top, too: a storage that cannot be listed gives a
    summary that says so, not an empty listing.
  * Only errors that say of themselves that they are retryable are tried
    again, a few times, with growing pauses.
  * Names are never believed: each is validated before it is joined to a path,
    a name given twice is taken once, and every doubt is recorded.
  * With ``concurrency`` 1 the order of directories is depth first, by the
    bytes of their names; with more it is that of their being finished.
  * ``sink.add`` gets directories in batches of about ``BATCH_ROWS`` rows, one
    batch at a time, in a thread; a slow sink slows the walk down instead of
    filling the memory.

Raises what the sink raises, and whatever a driver raises against its
contract; the sink is then abandoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast import logs
from holdfast.model import names
from holdfast.model.errors import HoldfastError, InvalidName
from holdfast.storage.driver import DirectoryListing, Entry, Kind, Stat, StorageDriver
from holdfast.storage.listing.tables import Directory, Odd, Oddity, State
from holdfast.storage.settled import settled

_log = logs.get("storage")

ATTEMPTS = 3
"""How often a directory is asked for before it counts as failed."""

PAUSE_S = 0.2
"""The first pause before asking again; each further one is four times as long."""


BATCH_ROWS = 4096
"""How many rows to collect before a trip to the sink: a trip costs more than a small directory."""


class Sink(Protocol):
    """Where the walk puts what it found; ``listing.ParquetSink`` is one."""

    def add(self, directories: Sequence[Directory]) -> None:
        """Take some directories, never twice the same."""

    def finish(self) -> None:
        """All is in: complete the result."""

    def abandon(self) -> None:
        """The walk failed: leave nothing behind."""


@dataclass(frozen=True, slots=True)
class WalkProgress:
    """How far a walk is: counts so far, and how many directories are known but not done."""

    directories: int
    files: int
    bytes: int
    failed: int
    queue: int


@dataclass(frozen=True, slots=True)
class WalkSummary:
    """What a walk found. ``failures`` are the first few directories not listed, with reasons."""

    top: str
    top_listed: bool
    listed: int
    failed: int
    skipped: int
    files: int
    bytes: int
    oddities: int
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every directory was listed."""
        return self.failed == 0 and self.skipped == 0


FAILURES_SHOWN = 20

INT64_MAX = 2**63 - 1
"""What the tables can hold."""

Skip = Callable[[str], str]
"""Why a directory is not to be entered; "" to enter it."""


def enter_all(path: str) -> str:
    """Skip nothing."""
    return ""


async def walk(
    driver: StorageDriver,
    *,
    top: str = "/",
    concurrency: int,
    sink: Sink,
    progress: Callable[[WalkProgress], None] | None = None,
    skip: Skip = enter_all,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> WalkSummary:
    """List everything below ``top`` into ``sink``; ``progress`` is called after each directory."""
    names.directory(top)
    if concurrency < 1:
        raise ValueError(f"concurrency {concurrency}")
    state = _Walk(driver, top, sink, progress, skip, sleep)
    try:
        await state.run(concurrency)
        await settled(sink.finish)
    except BaseExceptionGroup as several:
        sink.abandon()
        # Workers fail for the same cause; the first error is the one to show.
        raise several.exceptions[0] from several
    except BaseException:
        sink.abandon()
        raise
    return state.summary()


@dataclass
class _Counts:
    listed: int = 0
    failed: int = 0
    skipped: int = 0
    files: int = 0
    bytes: int = 0
    oddities: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


class _Walk:
    """The stack and the counts that the workers of one walk share."""

    def __init__(
        self,
        driver: StorageDriver,
        top: str,
        sink: Sink,
        progress: Callable[[WalkProgress], None] | None,
        skip: Skip,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._driver = driver
        self._top = top
        self._top_listed = False
        self._sink = sink
        self._progress = progress
        self._skip = skip
        self._sleep = sleep
        # None tells a worker to go home.
        self._stack: asyncio.LifoQueue[tuple[str, int | None] | None] = asyncio.LifoQueue()
        self._busy = 0
        self._batch: list[Directory] = []
        self._batch_rows = 0
        self._sinking = asyncio.Lock()
        self._counts = _Counts()

    async def run(self, concurrency: int) -> None:
        """Walk to the end with so many workers."""
        self._stack.put_nowait((self._top, None))
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(self._work())
            await self._stack.join()
            for _ in range(concurrency):
                self._stack.put_nowait(None)
        await self._hand_over()

    async def _work(self) -> None:
        while (item := await self._stack.get()) is not None:
            self._busy += 1
            directory = await self._visit(*item)
            self._note(directory)
            if self._batch_rows >= BATCH_ROWS:
                await self._hand_over()
            self._busy -= 1
            if self._progress is not None:
                self._progress(self._now())
            self._stack.task_done()

    async def _hand_over(self) -> None:
        async with self._sinking:
            batch, self._batch, self._batch_rows = self._batch, [], 0
            if batch:
                await settled(self._sink.add, batch)

    async def _visit(self, path: str, mtime_ns: int | None) -> Directory:
        reason = self._skip(path)
        if reason:
            return Directory(path, State.SKIPPED, reason, mtime_ns)
        try:
            listing = await self._list(path)
        except HoldfastError as error:
            # What the far side had to say may hold anything; the tables hold UTF-8.
            reason = error.message.encode(errors="backslashreplace").decode()
            _log.info("directory not listed", place=error.place or path, reason=reason)
            return Directory(path, State.FAILED, reason, mtime_ns)
        return sort_out(path, listing, mtime_ns)

    async def _list(self, path: str) -> DirectoryListing:
        for attempt in range(ATTEMPTS - 1):
            try:
                return await self._driver.list(path)
            except HoldfastError as error:
                if not error.retryable:
                    raise
            await self._sleep(PAUSE_S * 4**attempt)
        return await self._driver.list(path)

    def _note(self, directory: Directory) -> None:
        self._batch.append(directory)
        self._batch_rows += 1 + len(directory.files) + len(directory.oddities)
        counts = self._counts
        if directory.state is State.LISTED:
            counts.listed += 1
            self._top_listed = self._top_listed or directory.dir == self._top
        elif directory.state is State.SKIPPED:
            counts.skipped += 1
        else:
            counts.failed += 1
            if len(counts.failures) < FAILURES_SHOWN:
                counts.failures.append((directory.dir, directory.reason))
        counts.files += len(directory.files)
        counts.bytes += sum(entry.stat.size for entry in directory.files)
        counts.oddities += len(directory.oddities)
        # Reversed, because the last one pushed is taken first.
        for entry in reversed(directory.directories):
            mtime_ns = entry.stat.mtime_ns if _fits(entry.stat.mtime_ns) else None
            self._stack.put_nowait((names.join(directory.dir, entry.name), mtime_ns))

    def _now(self) -> WalkProgress:
        counts = self._counts
        done = counts.listed + counts.failed + counts.skipped
        return WalkProgress(done, counts.files, counts.bytes, counts.failed, self._stack.qsize() + self._busy)

    def summary(self) -> WalkSummary:
        counts = self._counts
        return WalkSummary(
            top=self._top,
            top_listed=self._top_listed,
            listed=counts.listed,
            failed=counts.failed,
            skipped=counts.skipped,
            files=counts.files,
            bytes=counts.bytes,
            oddities=counts.oddities,
            failures=tuple(counts.failures),
        )


def sort_out(path: str, listing: DirectoryListing, mtime_ns: int | None = None) -> Directory:
    """What a driver said of one directory, each entry where it belongs; pure."""
    files: list[Entry] = []
    directories: list[Entry] = []
    oddities = [Oddity(entry.raw, Odd.UNNAMEABLE, entry.reason) for entry in listing.unnameable]
    seen: set[str] = set()
    room = names.LFN_BYTES_MAX - len(names.join(path, "").encode())
    for entry in listing.entries:
        problem = _problem(entry, room, seen)
        seen.add(entry.name)
        if problem:
            oddities.append(Oddity(_raw(entry.name), Odd.REFUSED, problem))
        elif entry.stat.kind is Kind.FILE:
            files.append(entry)
        elif entry.stat.kind is Kind.DIRECTORY:
            directories.append(entry)
        else:
            oddities.append(Oddity(entry.name.encode(), Odd.OTHER, "a link, socket, device or pipe"))
    # Sorted here and not only by the driver: order is our promise, and this costs next to nothing if it is kept.
    files.sort(key=_by_bytes)
    directories.sort(key=_by_bytes)
    return Directory(path, State.LISTED, "", mtime_ns, tuple(files), tuple(directories), tuple(oddities))


def _raw(name: str) -> bytes:
    """The bytes of any text a driver may hand over, lone surrogates included."""
    try:
        return name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return name.encode(errors="surrogatepass")


def _by_bytes(entry: Entry) -> bytes:
    return entry.name.encode()


def _problem(entry: Entry, room: int, seen: set[str]) -> str:
    """Why an entry cannot be taken at its word; "" if it can."""
    try:
        names.file_name(entry.name)
    except InvalidName as error:
        return error.message
    if entry.name in seen:
        return "the listing names it twice"
    if len(entry.name.encode()) > room:
        return f"its path is longer than {names.LFN_BYTES_MAX} bytes"
    return _problem_of(entry.stat) if entry.stat.kind is Kind.FILE else ""


def _problem_of(stat: Stat) -> str:
    """Why the numbers of a file cannot be true, or not be written down; "" if they can."""
    if not 0 <= stat.size <= INT64_MAX:
        return f"the listing gives it {stat.size} bytes"
    # File systems keep moments far beyond the year 2262, where 64 bits of nanoseconds end.
    if not (_fits(stat.mtime_ns) and (stat.changed_ns is None or _fits(stat.changed_ns))):
        return "the listing gives it a time too far from now"
    return ""


def _fits(number: int) -> bool:
    return -INT64_MAX <= number <= INT64_MAX
