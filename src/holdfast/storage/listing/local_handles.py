"""LocalHandles: the open directories above the one that is being listed.

Listing depth first by handles takes one system call to enter a directory,
however deep it lies; from the root it takes one for each component.

Rules
  * At most ``KEPT_MAX`` handles are kept; what lies deeper, or in a branch whose
    handles were let go of, is entered from the root.
  * No link is followed, neither way; see ``rooted``.
"""

from __future__ import annotations

import os

from holdfast.storage.posix.rooted import Rooted

KEPT_MAX = 64

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalHandles:
    """Directories are named by what is above them, with a slash at the end, and their name; the root by "/" and ""."""

    def __init__(self, rooted: Rooted) -> None:
        self._rooted = rooted
        self._kept: list[tuple[str, int]] = []

    def open(self, above: str, name: str) -> int:
        """A handle to read a directory by; give it to ``keep`` or close it. OSError as the system gives it."""
        handle = self._above(above)
        if handle >= 0:
            return os.open(name.encode(), _OPEN, dir_fd=handle)
        with self._rooted.directory(above + name, readable=True) as found:
            # Their common reading position does no harm: the other one is closed now.
            return os.dup(found)

    def keep(self, path: str, handle: int) -> None:
        """Keep the handle of a directory below which more will be opened."""
        if len(self._kept) < KEPT_MAX:
            self._kept.append((path if path == "/" else f"{path}/", handle))
        else:
            os.close(handle)

    def is_gone(self, above: str, name: str) -> bool:
        """Whether the directory above is there and has not, or no longer, such a name."""
        try:
            handle = self._above(above)
            if handle >= 0:
                os.stat(name.encode(), dir_fd=handle, follow_symlinks=False)
            else:
                with self._rooted.directory(above) as found:
                    handle = found
                    os.stat(name.encode(), dir_fd=found, follow_symlinks=False)
        except FileNotFoundError:
            return handle >= 0
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Let go of all."""
        while self._kept:
            os.close(self._kept.pop()[1])

    def _above(self, above: str) -> int:
        """The handle of a directory that was kept, -1 if there is none; lets go of those of branches that were left."""
        kept = self._kept
        while kept:
            path, handle = kept[-1]
            if path == above:
                return handle
            if above.startswith(path):
                return -1
            kept.pop()
            os.close(handle)
        return -1
