"""FolderLock: one process at a time works on a folder: that of a listing, or another one.

The system lets go of the lock when its holder dies, however it dies. The file
stays where it is as long as the work goes on; whoever removes it holds it.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from holdfast.model.errors import Conflict
from holdfast.storage.listing.part_files import told_of

LOCK = "ledger.lock"
LOOKS_S = (0.005, 0.02)
"""So long is waited for somebody who only looks."""


class FolderLock:
    """Taken at once, or Conflict that says what is ``busy`` and names who has it."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = LOCK,
        busy: str = "the listing is going on already",
        hint: str = "wait for it, or list into another folder",
    ) -> None:
        self._path = folder / name
        self._busy, self._hint = busy, hint
        self._handle = -1
        with told_of(self._path):
            while self._handle < 0:
                self._handle = self._take()

    def _take(self) -> int:
        """The lock; -1 if its file was removed by its last holder just before we had it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(handle)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(self._path)):
                    # For people who wonder who it is; nothing reads it to decide.
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
                    return handle
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise Conflict(f"{self._busy}: {holder} has it", place=str(self._path.parent), hint=self._hint) from None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        return -1

    def release(self, *, remove: bool = False) -> None:
        """Let go; calling twice does no harm."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            if remove:
                with suppress(FileNotFoundError):
                    self._path.unlink()
            os.close(handle)


def _lock(handle: int) -> None:
    """Take the lock; BlockingIOError if it is held. Whoever only looks whether it is, has it for an instant."""
    for wait_s in LOOKS_S:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(wait_s)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
