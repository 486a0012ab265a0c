"""Directories: the texts of the directories that a chunk's files lie in.

Each chunk has its own, so that a chunk stands for itself; a directory is kept
with the slash that stands between it and a name. Zeros follow the last one, so
that many can be compared at once.

Rules
  * A directory occurs once, in the order in which it was first seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast.inventory.image import arrays
from holdfast.inventory.image.arrays import U32, Bytes, Numbers


def prefix_of(text: str) -> bytes:
    """What stands before the name in the LFNs of a directory."""
    return b"/" if text == "/" else f"{text}/".encode()


def text_of(prefix: bytes) -> str:
    """The directory whose LFNs begin with ``prefix``."""
    return "/" if prefix == b"/" else prefix[:-1].decode()


@dataclass(frozen=True, slots=True, eq=False)
class Directories:
    """Directories by number."""

    offsets: U32
    blob: Bytes
    _offsets: memoryview = field(init=False, repr=False)
    _blob: memoryview = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_offsets", self.offsets.data)
        object.__setattr__(self, "_blob", self.blob.data)

    @classmethod
    def of(cls, prefixes: Sequence[bytes]) -> Directories:
        """The directories with these prefixes."""
        blob = arrays.as_bytes(b"".join((*prefixes, bytes(arrays.PAD_BYTES))))
        offsets = np.zeros(len(prefixes) + 1, "<u4")
        np.cumsum(np.fromiter(map(len, prefixes), "<u4", len(prefixes)), out=offsets[1:])
        return cls(offsets, blob)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def prefix(self, number: int) -> bytes:
        """The prefix of one directory."""
        return bytes(self._blob[self._offsets[number] : self._offsets[number + 1]])

    def prefixes(self, numbers: Sequence[int] | None = None) -> list[bytes]:
        """The prefixes of several directories, or of all."""
        return [self.prefix(number) for number in (range(len(self)) if numbers is None else numbers)]


def joined(parts: Sequence[tuple[Directories, Numbers]]) -> tuple[Directories, Numbers]:
    """One set of directories for columns of numbers that stand one after the other; those not used are dropped."""
    known: dict[bytes, int] = {}
    columns: list[Numbers] = []
    for directories, column in parts:
        used, first, inverse = np.unique(column, return_index=True, return_inverse=True)
        order = np.argsort(first)
        renamed = np.empty(len(used), "<u4")
        for place in order.tolist():
            renamed[place] = known.setdefault(directories.prefix(int(used[place])), len(known))
        columns.append(renamed[inverse])
    numbers = np.concatenate(columns) if columns else np.empty(0, "<u4")
    return Directories.of(list(known)), narrow(numbers, len(known))


def narrow(numbers: Numbers, n_directories: int) -> Numbers:
    """A column of directories' numbers, in two bytes each where they fit."""
    return numbers.astype("<u2" if n_directories <= 1 << 16 else "<u4")
