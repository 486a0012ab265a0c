"""Arrays: how the columns of the image are typed, and bytes of varying length beside each other.

A column of texts is one blob of bytes and the offsets at which they begin.
Everything is little-endian, so that the files of a snapshot mean the same
wherever they are mapped.

Rules
  * No function writes into what it was given.
  * ``gathered`` needs no more room for its own work than a few MB, however
    many texts there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Numbers = NDArray[Any]
"""An array of any whole numbers."""

GATHER_ROWS = 1 << 14
"""So many texts are moved together."""
COMPARE_ROWS = 1 << 12
"""So many texts are best compared together: what that needs stays in the cache."""
WORD = 8
PAD_BYTES = 1032
"""More than the longest LFN has, in whole words."""
_MASKS = np.repeat(np.array([255, 0], "<u1"), PAD_BYTES)
"""From place PAD_BYTES - n on, n bytes to be compared and others not to be."""


def as_bytes(data: bytes) -> Bytes:
    """``data`` as a column, without a copy."""
    return np.frombuffer(data, "<u1")


def offsets_of(lengths: Numbers) -> I64:
    """Where texts of these lengths begin in a blob, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, "<i8")
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def windows(blob: Bytes, width: int) -> Bytes:
    """A view of ``blob`` as overlapping rows of ``width`` bytes, one beginning at each byte."""
    rows = max(len(blob) - width + 1, 0)
    return np.lib.stride_tricks.as_strided(blob, (rows, width), (1, 1), writeable=False)


def items(blob: Bytes, width: int) -> NDArray[np.void]:
    """The same as a column of items, which can be picked much faster than rows."""
    return np.ndarray((max(len(blob) - width + 1, 0),), f"V{width}", buffer=blob, strides=(1,))


def spread(starts: Numbers, lengths: Numbers) -> I64:
    """The numbers start, start + 1, ... of each run, one run after the other."""
    before = offsets_of(lengths)
    return np.repeat(np.asarray(starts, "<i8") - before[:-1], lengths) + np.arange(before[-1], dtype="<i8")


def gathered(blob: Bytes, starts: Numbers, lengths: Numbers) -> tuple[Bytes, I64]:
    """The texts that begin at ``starts``, one after the other, and their offsets."""
    offsets = offsets_of(lengths)
    out = np.empty(int(offsets[-1]), "<u1")
    for first in range(0, len(lengths), GATHER_ROWS):
        last = min(first + GATHER_ROWS, len(lengths))
        places = spread(starts[first:last], lengths[first:last])
        out[int(offsets[first]) : int(offsets[last])] = blob[places]
    return out, offsets


def texts(blob: Bytes, offsets: Numbers) -> list[str]:
    """The texts of a blob as strings."""
    data = blob.tobytes()
    ends: list[int] = offsets.tolist()
    text = data.decode()
    if len(text) == len(data):
        return [text[first:last] for first, last in pairwise(ends)]
    return [data[first:last].decode() for first, last in pairwise(ends)]


def blob_of(items: Sequence[str]) -> tuple[Bytes, I64]:
    """Strings as a blob and its offsets."""
    joined = "".join(items)
    data = joined.encode()
    if len(data) == len(joined):
        lengths = np.fromiter(map(len, items), "<i8", len(items))
    else:
        lengths = np.fromiter((len(item.encode()) for item in items), "<i8", len(items))
    return as_bytes(data), offsets_of(lengths)


def equal(left: Bytes, left_starts: Numbers, right: Bytes, right_starts: Numbers, lengths: Numbers) -> Bools:
    """Which texts are the same on both sides; both sides can be read for PAD_BYTES after each text."""
    if not len(lengths):
        return np.ones(0, "?")
    longest, shortest = int(lengths.max()), int(lengths.min())
    width = max(longest + -longest % WORD, WORD)
    differing = items(left, width)[left_starts].view("<u8") ^ items(right, width)[right_starts].view("<u8")
    if shortest < width:
        differing &= items(_MASKS, width)[PAD_BYTES - lengths].view("<u8")
    if not differing.any():
        return np.ones(len(lengths), "?")
    same: Bools = ~differing.reshape(-1, width // WORD).any(axis=1)
    return same
