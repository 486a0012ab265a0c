"""Lease: how a worker knows that it may go on, and how the others know that it is dead.

No clock is compared with another one, and none that can be set is asked: each
measures how long nothing has changed, by a clock of its own that only goes on,
while the machine sleeps, too.

Rules
  * A worker may go on for less than its lease after it began the last beat that succeeded. Whoever watches it sees
    that beat later than it began, and waits a whole lease from then: so nobody takes over while it may go on.
  * One that could not beat in time has lost its lease for good; it stops, and begins anew as another worker.
  * A worker of this machine whose lock file is there and not locked is dead at once: the system lets go of the lock
    when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from holdfast.model.errors import OperatorError
from holdfast.operations.batches.workers import WorkerRow
from holdfast.storage import lock_file

Monotonic = Callable[[], float]
"""Seconds since whenever; never set, never behind."""

FOLDER = "workers"
"""What the folder of the lock files is called, below the one of the inventory."""

CAUTION = 0.02
"""By this share of it a lease ends earlier for its holder: no two clocks go exactly alike."""


def monotonic_s() -> float:
    """The machine's clock that goes on while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Lease:
    """A worker's own view: may I go on? ``beat`` is its ``Workers.beat``; the lease begins with the first ``renew``."""

    def __init__(self, beat: Callable[[], bool], lease_s: float, monotonic: Monotonic = monotonic_s) -> None:
        self.lease_s = lease_s
        self._beat = beat
        self._good_s = lease_s * (1 - CAUTION)
        self._monotonic = monotonic
        self._since_s: float | None = None
        self._is_lost = False

    def renew(self) -> bool:
        """Beat; False: the lease is lost. What the database raises is raised: then the lease runs on as it was."""
        begun_s = self._monotonic()
        if self._is_over(begun_s) or not self._beat():
            self._is_lost = True
        else:
            self._since_s = begun_s
        return self.is_held()

    def is_held(self) -> bool:
        """Whether the worker may go on. To be asked right before everything that changes something outside."""
        if self._is_over(self._monotonic()):
            self._is_lost = True
        return self._since_s is not None and not self._is_lost

    @property
    def is_due(self) -> bool:
        """Whether a third of the lease has passed since the last beat: time for the next."""
        return self._since_s is None or self._monotonic() - self._since_s >= self.lease_s / 3

    def _is_over(self, now_s: float) -> bool:
        return self._is_lost or (self._since_s is not None and now_s - self._since_s >= self._good_s)


class Watch:
    """How long the others have not moved, by our clock, since we looked first."""

    def __init__(
        self,
        host: str,
        monotonic: Monotonic = monotonic_s,
        is_alive: Callable[[str], bool | None] = lambda id: None,
    ) -> None:
        self._host = host
        self._monotonic = monotonic
        self._is_alive = is_alive
        self._seen: dict[str, tuple[int, float]] = {}
        """Of each worker its beat, and when we saw it first."""
        self._dead_since_s: dict[str, float] = {}
        self._proven: set[str] = set()

    def dead(self, rows: Iterable[WorkerRow]) -> list[str]:
        """Who of all workers is dead, or was declared so; to be asked more often than a lease lasts, with all rows."""
        now_s = self._monotonic()
        known = {row.id: row for row in rows}
        self._seen = {id: seen for id, seen in self._seen.items() if id in known}
        self._dead_since_s = {id: since_s for id, since_s in self._dead_since_s.items() if id in known}
        self._proven &= known.keys()
        for row in known.values():
            if row.id not in self._seen or self._seen[row.id][0] != row.beat:
                self._seen[row.id] = (row.beat, now_s)
            if self._is_dead(row, now_s):
                self._dead_since_s.setdefault(row.id, now_s)
        return sorted(self._dead_since_s)

    def dead_for_s(self, id: str) -> float:
        """How long we have known that a worker is dead; 0 if it is not."""
        since_s = self._dead_since_s.get(id)
        return 0.0 if since_s is None else self._monotonic() - since_s

    def is_proven(self, id: str) -> bool:
        """Whether the process of a dead worker is known to have ended; else its machine may be asleep."""
        return id in self._proven

    def _is_dead(self, row: WorkerRow, now_s: float) -> bool:
        if row.host == self._host and self._is_alive(row.id) is False:
            self._proven.add(row.id)
        return row.is_dead or row.id in self._proven or now_s - self._seen[row.id][1] >= row.lease_s


class WorkerFile:
    """A worker's lock file: held as long as the process lives, known by the worker's id."""

    def __init__(self, folder: Path, id: str) -> None:
        self._path = lock_path(folder, id)
        self._handle = -1

    def acquire(self) -> None:
        """Make and lock the file, before the worker is known; OperatorError if that cannot be."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            reason = (error.strerror or str(error)).lower()
            message = f"the worker's lock file cannot be made: {reason}"
            raise OperatorError(message, place=str(self._path), hint="is the folder writable?") from error
        # For people who wonder who it is; nothing reads it to decide.
        os.write(self._handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Remove the file and let go; calling twice does no harm."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            self._path.unlink(missing_ok=True)
            os.close(handle)

    def let_go(self) -> None:
        """Let go as the system does when the process ends: the file stays, and tells everybody here who is dead."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def lock_path(folder: Path, id: str) -> Path:
    """Where the lock file of a worker lies."""
    return folder / f"{id}.lock"


def is_alive(folder: Path, id: str) -> bool | None:
    """Whether the worker holds its lock file; None: there is none here that we may look at."""
    try:
        return lock_file.is_held(lock_path(folder, id))
    except FileNotFoundError:
        return None


def remove_file(folder: Path, id: str) -> None:
    """Remove the lock file of a worker that is buried; no error if there is none, or we may not."""
    try:
        lock_path(folder, id).unlink(missing_ok=True)
    except OSError:
        pass
