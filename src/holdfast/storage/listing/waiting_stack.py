"""WaitingStack: the newest of the directories that wait, in memory; the rest lies on disk.

Every directory gets a number when it begins to wait; the newest has the
highest. Pure: whoever uses it reads the disk and holds the lock.

Rules
  * Of what waits, all with a number of at least ``low`` is here; below, nothing.
  * What was taken is remembered until it is done or given back, so that what is
    read from disk meanwhile is not taken twice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from holdfast.model.errors import BrokenInvariant
from holdfast.storage.listing.ledger import WaitingDirectory

HELD_MAX = 20_000
"""What is more is dropped from memory as soon as it is on disk."""

HELD_MIN = 5_000
"""With fewer it is time to read from disk."""


class Numbered(NamedTuple):
    """A directory that waits, and its number."""

    number: int
    dir: str
    mtime_ns: int | None


class WaitingStack:
    """``count`` directories wait, all on disk, with numbers below ``end``."""

    def __init__(self, count: int, end: int) -> None:
        self.count = count
        self.end = end
        self.low = end
        self._rows: list[Numbered] = []
        self._taken: dict[str, Numbered] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def taken(self) -> int:
        """How many were taken and are not done."""
        return len(self._taken)

    @property
    def lacks(self) -> bool:
        """Whether it should be filled from disk, where there is something to fill it with."""
        return len(self._rows) < HELD_MIN and self.count > len(self._rows)

    def push(self, dirs: Iterable[tuple[str, int | None]]) -> list[Numbered]:
        """Let directories wait, the last of them being the newest."""
        pushed = [Numbered(number, *each) for number, each in enumerate(dirs, self.end)]
        self._rows += pushed
        self.end += len(pushed)
        self.count += len(pushed)
        return pushed

    def reserve(self, count: int) -> int:
        """Let directories wait that come to disk by another way; the number of the first.

        Until they are there and ``forget`` is called, they are not to be had.
        """
        first = self.end
        self.end += count
        self.count += count
        return first

    def take(self, count: int) -> Sequence[WaitingDirectory]:
        """The newest, newest first."""
        if count <= 0:
            return ()
        rows = self._rows[-count:]
        del self._rows[-count:]
        rows.reverse()
        self._taken.update((row.dir, row) for row in rows)
        self.count -= len(rows)
        return [WaitingDirectory(row.dir, row.mtime_ns) for row in rows]

    def done(self, dir: str) -> int:
        """One that was taken is done; its number."""
        try:
            return self._taken.pop(dir).number
        except KeyError:
            raise BrokenInvariant("the directory was not asked for, or is done already", place=dir) from None

    def give_back(self, dirs: Sequence[str]) -> None:
        """Some that were taken wait again."""
        back = [self._taken.pop(dir) for dir in dirs]
        self.count += len(back)
        self._rows += [row for row in back if row.number >= self.low]
        self._rows.sort()

    def forget(self, below: int) -> None:
        """Drop what has a lower number: it is on disk."""
        del self._rows[: bisect_left(self._rows, (below,))]
        self.low = max(self.low, below)

    def shrink(self, saved: int) -> None:
        """Drop the oldest if there are too many; what has a number below ``saved`` is on disk."""
        surplus = len(self._rows) - HELD_MAX
        if surplus > 0:
            self.forget(min(self._rows[surplus + HELD_MAX // 2].number, saved))

    def fill(self, rows: Sequence[Numbered], low: int, done: Collection[int]) -> None:
        """Take what is on disk with numbers from ``low`` to the old ``low``, newest first; ``done`` is not waiting."""
        taken = {row.number for row in self._taken.values()}
        self._rows[:0] = [row for row in reversed(rows) if row.number not in taken and row.number not in done]
        self.low = low
