"""Progress: how far a listing is, and what it has come to.

Counts are those of one run of the engine; a listing that was gone on with has
those of all its runs in its ledger.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from holdfast.storage.listing.answer import bytes_in
from holdfast.storage.listing.door_pool import DoorState
from holdfast.storage.listing.tables import Directory, DirectoryState

SHOWN_MAX = 20
"""So many failures and doubts are told with their reasons; all are in the tables."""

RATE_OVER_S = 5.0


@dataclass(frozen=True, slots=True)
class ListingProgress:
    """A moment of a listing. ``rate`` is directories done per second, of late."""

    directories: int
    files: int
    bytes: int
    failed: int
    doubted: int
    queue: int
    in_flight: int
    rate: float
    retries: int
    doors: tuple[DoorState, ...]


@dataclass(frozen=True, slots=True)
class ListingOutcome:
    """What a run of the engine has found. ``merged`` names were given more than once, ``retries`` calls repeated."""

    listed: int
    doubted: int
    failed: int
    skipped: int
    files: int
    bytes: int
    oddities: int
    merged: int = 0
    retries: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every directory was listed and believed."""
        return not (self.failed or self.skipped or self.doubted)


@dataclass
class ListingTally:
    """The counts of a run as it goes."""

    listed: int = 0
    doubted: int = 0
    failed: int = 0
    skipped: int = 0
    files: int = 0
    bytes: int = 0
    oddities: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many directories."""
        return self.listed + self.doubted + self.failed + self.skipped

    def note(self, directory: Directory) -> None:
        """Count a directory."""
        state = directory.state
        if state is DirectoryState.LISTED:
            self.listed += 1
        elif state is DirectoryState.SKIPPED:
            self.skipped += 1
        elif state is DirectoryState.DOUBTED:
            self.doubted += 1
            self._show(self.doubts, directory)
        else:
            self.failed += 1
            self._show(self.failures, directory)
        self.add(len(directory.files), bytes_in(directory), len(directory.oddities))

    def add(self, files: int, size: int, oddities: int) -> None:
        """Count what is in a directory."""
        self.files += files
        self.bytes += size
        self.oddities += oddities

    def _show(self, shown: list[tuple[str, str]], directory: Directory) -> None:
        if len(shown) < SHOWN_MAX:
            shown.append((directory.dir, directory.reason))

    def outcome(self, *, merged: int, retries: int) -> ListingOutcome:
        """The counts at the end."""
        return ListingOutcome(
            listed=self.listed,
            doubted=self.doubted,
            failed=self.failed,
            skipped=self.skipped,
            files=self.files,
            bytes=self.bytes,
            oddities=self.oddities,
            merged=merged,
            retries=retries,
            failures=tuple(self.failures),
            doubts=tuple(self.doubts),
        )


class Rate:
    """Directories per second over the last moments."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, done: int) -> float:
        """The rate, now that so many are done."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_OVER_S:
            self._seen.popleft()
        then, done_then = self._seen[0]
        return (done - done_then) / (now - then) if now > then else 0.0
