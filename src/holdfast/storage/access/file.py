"""SecretFile: a file that holds a credential, read again whenever it has changed.

Rules
  * It is read only if it is a regular file, of at most FILE_BYTES_MAX, and not
    open to more people than its kind of credential bears.
  * What was read counts as long as the file is the same: inode, size, times.
  * Whatever is wrong is OperatorError with the file as its place; what stands
    in the file is in no message, nor behind it as a cause.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from holdfast.model.clock import SECOND_US, show_time
from holdfast.model.errors import OperatorError

FILE_BYTES_MAX = 1 << 20
CLOCK_SKEW_US = 60 * SECOND_US
"""By how much the clocks of those who issue credentials may be ahead of ours."""

_SHOWN_MAX_US = 253_402_300_799 * SECOND_US

Seal = tuple[int, ...]
"""What changes with a file."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Credential(Generic[Value]):
    """What a file holds, and from when until when it counts; None: it does not say."""

    value: Value = field(repr=False)
    from_us: int | None = None
    until_us: int | None = None

    def lasts_until(self, at_us: int) -> bool:
        """Whether it will not have expired at that moment."""
        return self.until_us is None or self.until_us > at_us

    def has_begun(self, now_us: int) -> bool:
        """Whether it counts already."""
        return self.from_us is None or self.from_us <= now_us + CLOCK_SKEW_US

    def holds(self, now_us: int) -> bool:
        """Whether it counts now."""
        return self.lasts_until(now_us) and self.has_begun(now_us)

    def shown_end(self) -> str:
        """When it expires, for people."""
        return _shown(self.until_us)


def _shown(at_us: int | None) -> str:
    return "never" if at_us is None else show_time(max(0, min(at_us, _SHOWN_MAX_US)))


class SecretFile(Generic[Value]):
    """One file. ``parse`` makes a credential of its bytes, or raises ValueError with a reason that may be shown.

    ``forbidden`` are the mode bits that must not be set.
    """

    def __init__(self, what: str, path: Path, parse: Callable[[bytes], Credential[Value]], *, forbidden: int) -> None:
        self.what = what
        self.path = path
        self._parse = parse
        self._forbidden = forbidden
        self._name = os.fspath(path)  # Looked at for each request; a Path would be made text each time.
        self.seal: Seal | None = None
        self.last: Credential[Value] | None = None

    def look(self) -> Credential[Value]:
        """What is in it now."""
        seal = seal_of(self._name)
        if self.last is None or seal != self.seal:
            seal, data = self._read()
            try:
                self.last = self._parse(data)
            # Without the cause: some libraries put what they could not read into their errors.
            except ValueError as error:
                self.last = None
                raise OperatorError(f"holds no {self.what}: {error}", place=str(self.path)) from None
            self.seal = seal
        return self.last

    def check(self, found: Credential[Value], now_us: int) -> None:
        """OperatorError unless it counts now."""
        if not found.lasts_until(now_us):
            raise OperatorError(
                f"the {self.what} has expired at {_shown(found.until_us)}",
                place=str(self.path),
                hint="renew it, or have renew_command of holdfast.toml do so",
            )
        if not found.has_begun(now_us):
            raise OperatorError(
                f"the {self.what} does not count before {_shown(found.from_us)}",
                place=str(self.path),
                hint="look at the clock of this machine",
            )

    @property
    def is_there(self) -> bool:
        """Whether there is anything of that name."""
        return self.path.exists()

    def _read(self) -> tuple[Seal, bytes]:
        try:
            # Without O_NONBLOCK a named pipe in its place would hold us up for ever.
            with open(self.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
                status = os.fstat(stream.fileno())
                self._check_file(status)
                return _seal(status), stream.read(FILE_BYTES_MAX)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _check_file(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise OperatorError("is not a file", place=str(self.path))
        if status.st_size > FILE_BYTES_MAX:
            raise OperatorError(f"is too long for a {self.what}: {status.st_size} bytes", place=str(self.path))
        if status.st_mode & self._forbidden:
            mode = stat.S_IMODE(status.st_mode)
            raise OperatorError(
                f"others can get at the {self.what}: its mode is {mode:04o}",
                place=str(self.path),
                hint=f"chmod {mode & ~self._forbidden & 0o700 or 0o400:o} {self.path}",
            )


def seal_of(path: Path | str) -> Seal:
    """The seal of a file or folder that has to be there."""
    try:
        return _seal(os.stat(path))
    except OSError as error:
        raise _unreadable(path, error) from error


def _seal(status: os.stat_result) -> Seal:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)


def _unreadable(path: Path | str, error: OSError) -> OperatorError:
    return OperatorError(f"cannot be read: {error.strerror}", place=str(path), hint="holdfast.toml names it")
