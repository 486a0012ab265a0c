"""Rooted: directory handles that cannot leave a root.

A path is walked component by component, each opened relative to the handle of
the one before it and never through a symbolic link. The kernel therefore
decides on what is there at the moment of opening: a directory exchanged for a
link between two calls, or between two steps of one, gives an error and never
a way out.

Rules
  * Nothing here follows a symbolic link; the root's own path is resolved once,
    by whoever makes the handle.
  * Handles handed out are closed when the ``with`` block ends.
  * Closing the root while others work does them no harm: they hold copies, so
    that a descriptor's number is never used again under their hands.
  * Paths have been validated before they come here.

Raises OSError as the kernel gives it; ``meaning`` turns that into the family
of ``holdfast.model.errors``.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from holdfast.model import names
from holdfast.model.errors import BrokenInvariant, HoldfastError, InvalidName, PeerError
from holdfast.storage.driver import (
    AlreadyThere,
    DirectoryNotEmpty,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
)

_NO_LINK = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Passing through a directory needs only its x bit; O_PATH asks for no more, where the system has it.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | _NO_LINK
_READ = os.O_RDONLY | _NO_LINK

_FAMILY: dict[int, type[HoldfastError]] = {
    errno.ENOENT: NotThere,
    errno.EEXIST: AlreadyThere,
    errno.ENOTDIR: NotADirectory,
    errno.ELOOP: NotADirectory,
    errno.EISDIR: NotAFile,
    errno.ENOTEMPTY: DirectoryNotEmpty,
    errno.EACCES: NotAllowed,
    errno.EPERM: NotAllowed,
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.EFBIG: NoSpace,
    errno.EROFS: NoSpace,
    errno.ENAMETOOLONG: InvalidName,
}

_HINTS: dict[type[HoldfastError], str] = {
    NotAllowed: "the user of this process may not; look at owner and mode",
    NoSpace: "free space, raise the quota, or mount it writable",
}

# Some network and user-space file systems have nothing to synchronise in a directory and say so.
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def meaning(error: OSError, place: str) -> HoldfastError:
    """``error`` of the operating system in the words of the StorageDriver contract."""
    family = _FAMILY.get(error.errno or 0, PeerError)
    text = os.strerror(error.errno).lower() if error.errno else str(error)
    return family(text, place=place, hint=_HINTS.get(family, ""))


def sync_directory(handle: int) -> None:
    """Make the names in the directory ``handle`` durable."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


class Rooted:
    """The root of a tree, held open."""

    def __init__(self, root: Path) -> None:
        self._handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Let go of the root; calling twice does no harm."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._handle)

    def __del__(self) -> None:
        # A constructor that failed has no lock; a forgotten driver must not hold a file system busy.
        with suppress(AttributeError, OSError):
            self.close()

    @contextmanager
    def directory(self, path: str, *, make: bool = False, readable: bool = False) -> Iterator[int]:
        """A handle of the directory ``path``.

        ``make`` makes what is missing of it; a ``readable`` handle can be listed and synchronised, others only
        serve to reach what is in it.
        """
        # "." opens the root anew: a copy of its handle would share one reading position with all others.
        *passed, last = [component.encode() for component in path.split("/") if component] or [b"."]
        handle = self._enter()
        try:
            for component in passed:
                handle = _exchange(handle, _step(handle, component, _PASS, make))
            handle = _exchange(handle, _step(handle, last, _READ if readable else _PASS, make))
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def parent(self, path: str, *, make: bool = False, readable: bool = False) -> Iterator[tuple[int, bytes]]:
        """A handle of the directory in which ``path`` lies, and its name there."""
        above, name = names.split(path)
        if not name:
            raise NotAFile("is the root directory")
        with self.directory(above, make=make, readable=readable) as handle:
            yield handle, name.encode()

    def _enter(self) -> int:
        with self._lock:
            if self._closed:
                raise BrokenInvariant("the driver has been closed")
            return os.dup(self._handle)


def _exchange(old: int, new: int) -> int:
    os.close(old)
    return new


def _step(handle: int, component: bytes, flags: int, make: bool) -> int:
    try:
        return os.open(component, flags, dir_fd=handle)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(component, 0o777, dir_fd=handle)
        _sync_passed(handle)
    return os.open(component, flags, dir_fd=handle)


def _sync_passed(handle: int) -> None:
    """Synchronise a directory that was only opened to pass through."""
    readable = os.open(b".", _READ, dir_fd=handle)
    try:
        sync_directory(readable)
    finally:
        os.close(readable)
