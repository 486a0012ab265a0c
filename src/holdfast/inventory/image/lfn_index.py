"""LfnIndex: the large part of the index over LFNs, cut by hash into partitions.

Newer files are in runs of their own, beside it; they come in one partition
after the other, so that no more than one has to be held twice.

Rules
  * Partition i holds the hashes from ``bounds[i]`` to before ``bounds[i + 1]``.
  * A partition that grew too large is cut where its hashes' next bit changes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.inventory.image.hash_run import HashRun


@dataclass(frozen=True, slots=True, eq=False)
class LfnIndex:
    """Partitions by hash."""

    bounds: tuple[int, ...]
    runs: tuple[HashRun, ...]

    @classmethod
    def empty(cls) -> LfnIndex:
        """One partition without hashes."""
        return cls((0,), (HashRun.empty(),))

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    def number(self, hash: int) -> int:
        """The partition that a hash lies in."""
        return bisect_right(self.bounds, hash) - 1

    def rows_of(self, hash: int) -> Sequence[int]:
        """The rows with this hash."""
        return self.runs[bisect_right(self.bounds, hash) - 1].rows_of(hash)

    def end(self, number: int) -> int | None:
        """Where a partition ends; None: nothing follows."""
        return self.bounds[number + 1] if number + 1 < len(self.bounds) else None

    def replaced(self, number: int, new: LfnIndex) -> LfnIndex:
        """The same with partition ``number`` replaced by those of ``new``."""
        return LfnIndex(
            (*self.bounds[:number], *new.bounds, *self.bounds[number + 1 :]),
            (*self.runs[:number], *new.runs, *self.runs[number + 1 :]),
        )

    @classmethod
    def cut(cls, first: int, last: int, run: HashRun, rows_max: int) -> LfnIndex:
        """The partitions of a part of all hashes."""
        return cls(*_cut(first, last, run, rows_max))


def _cut(first: int, last: int, run: HashRun, rows_max: int) -> tuple[tuple[int, ...], tuple[HashRun, ...]]:
    middle = (first + last) // 2
    if len(run) <= rows_max or middle == first:
        return (first,), (run.in_buckets(first, last),)
    left = _cut(first, middle, HashRun(*run.between(first, middle)), rows_max)
    right = _cut(middle, last, HashRun(*run.between(middle, None)), rows_max)
    return (*left[0], *right[0]), (*left[1], *right[1])
