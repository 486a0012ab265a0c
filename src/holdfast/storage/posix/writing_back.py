"""Writing back: letting the system bring bytes to the disk while more of them come.

Else all of a large file waits in memory until it is synchronised at its end,
and the disk rests as long as we copy, and we as long as the disk writes.

Rules
  * It is a hint. Where there is no such call (only Linux has it), or it fails,
    the synchronisation at the end does all; only that one says what is durable.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

STEP_BYTES = 8 << 20
"""How many bytes are brought on their way at a time; a smaller file is left to its end."""

_WRITE = 2
"""Begin, and wait for nothing."""


class WritingBack:
    """The bytes of one file that is written from its beginning to its end."""

    def __init__(self) -> None:
        self._begun = 0
        self._written = 0

    def wrote(self, handle: int, count: int) -> None:
        """So many bytes more have been written; blocking."""
        self._written += count
        size = self._written - self._begun
        if size >= STEP_BYTES:
            begin = _sync_file_range()
            if begin is not None:
                begin(handle, self._begun, size, _WRITE)
            self._begun = self._written


@lru_cache(maxsize=1)
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
        function.restype = ctypes.c_int
    return function
