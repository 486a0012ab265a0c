"""FileSource: protected paths from a file of this machine, which somebody writes again and again.

Rules
  * A file that was not written lately is not believed: whoever should write it
    may have died long ago.
  * A file that changes while it is read is not believed.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency.cleaning.protecting import lists
from holdfast.consistency.cleaning.protecting.lists import NotBelieved
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.errors import OperatorError


@dataclass(frozen=True, slots=True)
class FileSource:
    """The list in ``path``, at most ``age_s_max`` old and ``bytes_max`` long."""

    path: Path
    age_s_max: int
    bytes_max: int
    key: str
    clock: Clock

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    async def paths(self, site: str) -> tuple[str, ...]:
        """What stands in the file."""
        return lists.parse(self._read(), key=self.key)

    def _read(self) -> bytes:
        try:
            # Without waiting for anybody to write into it, should it be a pipe.
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(handle, "rb") as file:
                before = os.fstat(handle)
                self._check(before)
                data = file.read(self.bytes_max + 1)
                after = os.fstat(handle)
        except OSError as error:
            raise OperatorError(f"cannot be read: {(error.strerror or '').lower()}") from error
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or len(data) != after.st_size:
            raise NotBelieved("was changed while it was read", hint="write another file, and rename it to this one")
        return data

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise OperatorError("is no file")
        if found.st_size > self.bytes_max:
            raise NotBelieved(f"has {found.st_size:,} bytes, more than protected_size_max, {self.bytes_max:,}")
        age_s = self.clock() // SECOND_US - found.st_mtime_ns // 1_000_000_000
        if age_s > self.age_s_max:
            message = f"was written {age_s:,} s ago, longer than protected_file_age_max_s, {self.age_s_max:,} s"
            raise NotBelieved(message, hint="look at what should write it")
