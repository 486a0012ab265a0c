"""Texts: an immutable column of texts as one run of UTF-8 bytes, to be mapped from a file as it is.

Read by number; sorted columns are searched, too, by bytes, which for UTF-8 is
the order of code points and so that of Python's text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Texts(Sequence[str]):
    """``blob`` holds the bytes of text i from ``ends[i]`` (of the one before) to ``ends[i + 1]``."""

    __slots__ = ("_blob", "_ends", "_view")

    def __init__(self, blob: Array, ends: Array) -> None:
        self._blob, self._ends = blob, ends
        self._view = blob.data

    @staticmethod
    def of(texts: Iterable[str]) -> Texts:
        """The column of ``texts``."""
        encoded = [text.encode() for text in texts]
        ends = np.zeros(len(encoded) + 1, dtype="<u8")
        np.cumsum([len(each) for each in encoded], out=ends[1:], dtype="<u8")
        return Texts(np.frombuffer(b"".join(encoded), dtype="u1"), ends)

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Texts:
        """Read ``arrays`` back."""
        return Texts(arrays["blob"], arrays["ends"])

    def arrays(self) -> dict[str, Array]:
        """What the column is made of."""
        return {"blob": self._blob, "ends": self._ends}

    @property
    def nbytes(self) -> int:
        """Bytes of memory, or of the file."""
        return self._blob.nbytes + self._ends.nbytes

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> str:  # type: ignore[override]
        return str(self._view[int(self._ends[place]) : int(self._ends[place + 1])], "utf-8")

    def __iter__(self) -> Iterator[str]:
        text, ends = bytes(self._blob), self._ends.tolist()
        return (text[start:end].decode() for start, end in pairwise(ends))

    def find(self, text: str) -> int:
        """The place of ``text`` in a sorted column, -1 if it is not there."""
        wanted, low, high = text.encode(), 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if bytes(self._view[int(self._ends[middle]) : int(self._ends[middle + 1])]) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self[low] == text else -1
