"""The writer's turn: one writer at a time over all threads and processes, first come first served.

SQLite's own waiting is a lottery; ``flock`` on a file of its own queues the
waiting in order, threads included, because each turn opens the file anew. A
process that dies gives its turn back. PostgreSQL queues the waiting in order
itself; there a Line keeps the threads of one process from taking a connection
each only to wait.

Rules
  * Who has the turn of a place, or waits for it, and asks for it again gets BrokenInvariant: he would wait for
    himself for ever.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast import logs
from holdfast.model.errors import BrokenInvariant, OperatorError

_log = logs.get("inventory")

_held: set[tuple[str, int]] = set()
"""Places and the threads of this process that have their turns or wait for them."""


def refuse_again(place: str) -> None:
    """BrokenInvariant if this thread has the turn of ``place`` already."""
    if (place, threading.get_ident()) in _held:
        raise BrokenInvariant("a writer who has the turn asks for it again", place=place)


def is_held_here() -> bool:
    """Whether this thread has the turn of any place."""
    mine = threading.get_ident()
    return any(thread == mine for _, thread in tuple(_held))


@contextmanager
def held(place: str) -> Iterator[None]:
    """What this thread does is in the turn of ``place``; BrokenInvariant if it is already."""
    refuse_again(place)
    mine = place, threading.get_ident()
    _held.add(mine)
    try:
        yield
    finally:
        _held.discard(mine)


def turn_path(inventory: Path) -> Path:
    """The lock file that belongs to an inventory's file."""
    return inventory.with_name(f"{inventory.name}.writer")


def _wait(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.info("waiting for the writer's turn", file=str(path))
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def writer_turn(path: Path) -> Iterator[None]:
    """Wait for the turn that belongs to the lock file ``path`` and hold it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OperatorError(error.strerror or str(error), place=str(path), hint="nothing was changed") from error
    try:
        _wait(descriptor, path)
        yield
    finally:
        os.close(descriptor)


class Line:
    """Threads of one process, one at a time, first come first served."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_held = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn and hold it."""
        mine = threading.Lock()
        mine.acquire()
        with self._mutex:
            if self._is_held:
                self._waiting.append(mine)
            else:
                self._is_held = True
                mine.release()
        try:
            mine.acquire()
        except BaseException:
            self._leave(mine)
            raise
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_held = False

    def _leave(self, mine: threading.Lock) -> None:
        """Somebody stops waiting; if it has just become his turn, the next one has it."""
        with self._mutex:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return
        self._next()
