"""Giving a file its name without ever replacing another.

POSIX ``rename`` replaces silently, so "move, unless the name is taken" needs
one of three ways, tried in this order; a way the file system does not have is
recognised by its error and the next one is taken.

  * ``renameat2(RENAME_NOREPLACE)``: one atomic step and never two names for
    one file. Linux; not on NFS, nor on many user-space file systems.
  * hard link, then unlink: atomic as to not replacing. A crash in between
    leaves both names of one whole file. Anything POSIX, but not FAT or some
    user-space file systems.
  * claim the name with an empty file made exclusively, then rename over the
    claim: never replaces, but a crash in between leaves the empty claim, and
    others may see it for an instant. The last resort.

Rules
  * A taken name gives FileExistsError and changes nothing.
  * Any other error leaves the source where it was.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from functools import lru_cache

_RENAME_NOREPLACE = 1
_OPEN_CLAIM = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# EPERM and EINVAL are how file systems without hard links, or without flags for rename, decline.
_CANNOT = frozenset({errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK})

Way = Callable[[int, bytes, int, bytes], None]


def move_new(
    source_handle: int, source: bytes, target_handle: int, target: bytes, *, ways: Sequence[Way] | None = None
) -> None:
    """Move the file ``source`` to ``target``, names within directory handles; FileExistsError if it is taken."""
    *others, last = WAYS if ways is None else ways
    for way in others:
        try:
            return way(source_handle, source, target_handle, target)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
    return last(source_handle, source, target_handle, target)


@lru_cache(maxsize=1)
def _renameat2() -> Callable[..., int] | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
        function.restype = ctypes.c_int
    return function


def by_flag(source_handle: int, source: bytes, target_handle: int, target: bytes) -> None:
    """Move with ``renameat2``."""
    function = _renameat2()
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(source_handle, source, target_handle, target, _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def by_link(source_handle: int, source: bytes, target_handle: int, target: bytes) -> None:
    """Move with a hard link."""
    try:
        os.link(source, target, src_dir_fd=source_handle, dst_dir_fd=target_handle, follow_symlinks=False)
    except FileExistsError:
        # NFS may repeat a call whose answer was lost: then the name is taken by our own file.
        if source_handle == target_handle and source == target:
            raise
        if not _same(source_handle, source, target_handle, target):
            raise
    os.unlink(source, dir_fd=source_handle)


def by_claim(source_handle: int, source: bytes, target_handle: int, target: bytes) -> None:
    """Move over an empty file that was made exclusively."""
    os.close(os.open(target, _OPEN_CLAIM, 0o600, dir_fd=target_handle))
    try:
        os.rename(source, target, src_dir_fd=source_handle, dst_dir_fd=target_handle)
    except OSError:
        os.unlink(target, dir_fd=target_handle)
        raise


def _same(source_handle: int, source: bytes, target_handle: int, target: bytes) -> bool:
    first = os.stat(source, dir_fd=source_handle, follow_symlinks=False)
    second = os.stat(target, dir_fd=target_handle, follow_symlinks=False)
    return os.path.samestat(first, second)


WAYS: tuple[Way, ...] = (by_flag, by_link, by_claim)
