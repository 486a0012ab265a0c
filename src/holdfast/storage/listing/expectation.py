"""Expectation: how many names a directory had the last time, for tens of millions of directories in memory.

Each directory is one 64-bit number: the upper bits of the digest of its path, and
the number of names in it below that. Eight bytes a directory, sorted.

Rules
  * What was not listed then, or cannot be told from another directory, is not
    known: None.
  * A number of names too large to be held counts as the largest that can be.
  * It is a hint: one unknown directory in a million may be taken for a known one.
    A wrong hint costs a second look, or saves one of an empty directory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

COUNT_MAX = (1 << 20) - 1
_DIGEST_MASK = (1 << 64) - 1 - COUNT_MAX

_BATCH_ROWS = 1 << 16

Numbers = npt.NDArray[np.uint64]


class Expectation:
    """Call it with a directory: how many names to expect there, or None."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        # Of one number after the other, plain bisection is several times as fast as numpy's.
        self._plain = numbers.data

    def __call__(self, path: str) -> int | None:
        """How many names are expected in ``path``."""
        digest = _digest(path)
        plain = self._plain
        place = bisect_left(plain, digest)
        if place == len(plain) or plain[place] & _DIGEST_MASK != digest:
            return None
        if place + 1 < len(plain) and plain[place + 1] & _DIGEST_MASK == digest:
            return None
        return plain[place] & COUNT_MAX

    def __reduce__(self) -> tuple[type[Expectation], tuple[Numbers]]:
        """For other processes; each has its own copy."""
        return Expectation, (self._numbers,)

    def __len__(self) -> int:
        """Of how many directories something is known."""
        return len(self._numbers)

    @staticmethod
    def of(counts: Iterable[tuple[str, int]]) -> Expectation:
        """From directories with the number of names in each, each directory once."""
        return Expectation(_sorted(np.fromiter((_number(dir, count) for dir, count in counts), dtype=np.uint64)))

    @staticmethod
    def of_parts(parts: Sequence[Path]) -> Expectation:
        """From the parts of the directories' table of an earlier listing."""
        import pyarrow.parquet as pq

        sizes = [pq.read_metadata(part).num_rows for part in parts]
        numbers = np.empty(sum(sizes), dtype=np.uint64)
        end = 0
        for part in parts:
            with pq.ParquetFile(part) as source:
                for batch in source.iter_batches(_BATCH_ROWS, columns=_COLUMNS):
                    found = [_number(dir, sum(counts)) for dir, state, *counts in _rows(batch) if state in _SEEN]
                    numbers[end : end + len(found)] = found
                    end += len(found)
        return Expectation(_sorted(numbers[:end]))


_COLUMNS = ["dir", "state", "files", "directories", "oddities"]
_SEEN = ("listed", "doubted")


def _rows(batch: object) -> Iterable[tuple[str, str, int, int, int]]:
    columns = [batch.column(name).to_pylist() for name in _COLUMNS]  # type: ignore[attr-defined]
    return zip(*columns, strict=True)


def _digest(path: str) -> int:
    return int(xxh3_64_intdigest(path.encode())) & _DIGEST_MASK


def _number(path: str, names: int) -> int:
    return _digest(path) | min(names, COUNT_MAX)


def _sorted(numbers: Numbers) -> Numbers:
    numbers.sort()
    return numbers
