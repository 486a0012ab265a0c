"""HashRun: hashes of LFNs in order, each with the row it belongs to.

Rules
  * Equal hashes stand beside each other, the smaller row first. Which of them
    is meant, only the LFNs themselves say.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast.inventory.image.arrays import U32, U64, Bools, Numbers
from holdfast.inventory.image.part import PartName

WINDOW = 8
"""So many hashes are looked at together."""
BUCKETS_FROM = 1 << 10
"""Runs of so many hashes and more have buckets."""
HASHES = 1 << 64
_PLACE = np.uint64(0x0001020304050607)
"""Multiplied with one byte of eight that is 1, gives in the highest byte which one it was."""


@dataclass(frozen=True, slots=True, eq=False)
class HashRun:
    """A sorted piece of the index. Bucket i begins at ``buckets[i]``; its hashes are ``first`` + i * 2**shift on."""

    hashes: U64
    rows: U32
    buckets: U32 | None = None
    first: int = 0
    shift: int = 0
    part_name: PartName = field(default_factory=PartName, repr=False)
    _hashes: memoryview = field(init=False, repr=False)
    _rows: memoryview = field(init=False, repr=False)
    _buckets: memoryview | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hashes", self.hashes.data)
        object.__setattr__(self, "_rows", self.rows.data)
        object.__setattr__(self, "_buckets", None if self.buckets is None else self.buckets.data)

    @classmethod
    def of(cls, hashes: U64, rows: Numbers) -> HashRun:
        """Hashes in any order; ``rows`` rise where hashes are equal."""
        if len(hashes) == 1:
            return cls(hashes, rows.astype("<u4"))
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], rows[order].astype("<u4")).in_buckets(0, HASHES)

    @classmethod
    def by_hash_and_row(cls, hashes: U64, rows: Numbers) -> HashRun:
        """Hashes and rows in any order."""
        order = np.lexsort((rows, hashes))
        return cls(hashes[order], rows[order].astype("<u4")).in_buckets(0, HASHES)

    @classmethod
    def empty(cls) -> HashRun:
        """No hashes."""
        return cls(np.empty(0, "<u8"), np.empty(0, "<u4"))

    def in_buckets(self, first: int, last: int) -> HashRun:
        """The same in arrays of its own, with buckets if that helps; all hashes lie from ``first`` to before ``last``.

        The width of that range is a power of two.
        """
        hashes = self.hashes if self.hashes.base is None else self.hashes.copy()
        rows = self.rows if self.rows.base is None else self.rows.copy()
        n_bits = len(hashes).bit_length() - 2
        shift = (last - first).bit_length() - 1 - n_bits
        if len(hashes) < BUCKETS_FROM or shift < 0:
            return HashRun(hashes, rows)
        counts = np.bincount(((hashes - np.uint64(first)) >> np.uint64(shift)).astype("<i8"), minlength=1 << n_bits)
        buckets = np.zeros(len(counts) + 1, "<u4")
        np.cumsum(counts, out=buckets[1:])
        return HashRun(hashes, rows, buckets, first, shift)

    def __len__(self) -> int:
        return len(self.hashes)

    def columns(self) -> dict[str, U32 | U64]:
        """The arrays, by name."""
        found: dict[str, U32 | U64] = {"hashes": self.hashes, "rows": self.rows}
        return found if self.buckets is None else {**found, "buckets": self.buckets}

    def between(self, first: int, last: int | None) -> tuple[U64, U32]:
        """The hashes from ``first`` to before ``last`` and their rows, views."""
        begin = int(np.searchsorted(self.hashes, np.uint64(first), "left")) if first else 0
        end = len(self) if last is None else int(np.searchsorted(self.hashes, np.uint64(last), "left"))
        return self.hashes[begin:end], self.rows[begin:end]

    def rows_of(self, hash: int) -> Sequence[int]:
        """The rows with this hash."""
        hashes = self._hashes
        end = len(hashes)
        if self._buckets is None:
            first = bisect_left(hashes, hash)
        else:
            bucket = (hash - self.first) >> self.shift
            first = bisect_left(hashes, hash, self._buckets[bucket], self._buckets[bucket + 1])
        last = first
        while last < end and hashes[last] == hash:
            last += 1
        return () if first == last else self._rows[first:last].tolist()

    def candidates(self, hashes: U64) -> tuple[Bools, U32]:
        """Which of ``hashes``, in order, are here, and for these the first row."""
        places = np.minimum(self._places(hashes), len(self) - 1)
        here: Bools = self.hashes[places] == hashes
        return here, self.rows[places if here.all() else places[here]]

    def _places(self, hashes: U64) -> Numbers:
        """Where each hash stands for the first time, if it is here."""
        if self.buckets is None:
            return np.searchsorted(self.hashes, hashes, "left")
        bucket = ((hashes - np.uint64(self.first)) >> np.uint64(self.shift)).astype("<i8")
        begin = np.minimum(self.buckets[bucket].astype("<i8"), len(self) - WINDOW)
        windows = np.ndarray((len(self) - WINDOW + 1,), f"V{8 * WINDOW}", buffer=self.hashes, strides=(8,))
        same = (windows[begin].view("<u8").reshape(-1, WINDOW) == hashes[:, None]).view("<u8").reshape(-1)
        first = same & (~same + np.uint64(1))
        places: Numbers = begin + (first * _PLACE >> np.uint64(56)).astype("<i8")
        if not same.all():
            late = np.flatnonzero((same == 0) & (self.buckets[bucket + 1] > begin + WINDOW))
            places[late] = np.searchsorted(self.hashes, hashes[late], "left")
        return places
