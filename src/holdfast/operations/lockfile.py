"""Lockfile: one executor at a time, by a lock that dies with its holder.

The system lets go of the lock when the process ends, however it ends. Whoever
gets it knows that no other executor on this machine is alive, and that what is
marked active belongs to nobody.

A second asker is told so and tries again, or goes away.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from holdfast.model.errors import OperatorError

COPIES = "copies.lock"
DELETIONS = "deletions.lock"
"""What the lock files are called in the folder of the inventory: all who work on one have to agree."""


class Lockfile:
    """An exclusive lock on a file, held until ``release``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def acquire(self) -> bool:
        """Take the lock if it is free; whether we have it. OperatorError if the file cannot be used."""
        if self._handle >= 0:
            return True
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OperatorError(
                f"the lock cannot be opened: {reason}", place=str(self._path), hint="is the folder writable?"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError as error:
            os.close(handle)
            raise OperatorError(f"the lock cannot be taken: {error.strerror}", place=str(self._path)) from error
        # For people who wonder who it is; nothing reads it to decide.
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle = handle
        return True

    def holder(self) -> str:
        """Who has the lock, for people; "" if unknown."""
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""
        return f"process {text}" if text else ""

    def release(self) -> None:
        """Let go; calling twice does no harm."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
