"""The writer's turn: one writer at a time over all threads and processes, first come first served.

SQLite's own waiting is a lottery; ``flock`` on a file of its own queues the
waiting in order, threads included, because each turn opens the file anew. A
process that dies gives its turn back.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast import logs
from holdfast.model.errors import OperatorError

_log = logs.get("inventory")


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
