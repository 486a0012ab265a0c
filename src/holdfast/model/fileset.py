"""FileSet: which files of a block, by their ordinals; the bitmap of a partial replica."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress

from holdfast.model.errors import BadInput

_DENSE = 16
"""Where more than one of so many are there, going through the digits is faster than through the bytes."""
_ONE = ord("1")
_VALUES = bytes.maketrans(b"01", b"\0\1")


@dataclass(frozen=True, slots=True)
class FileSet:
    """An immutable set of ordinals (0, 1, 2 ...), kept as the bits of one integer."""

    bits: int = 0

    @staticmethod
    def of(ordinals: Iterable[int]) -> FileSet:
        """The set of ``ordinals``; BadInput if one is negative."""
        wanted = tuple(ordinals)
        if not wanted:
            return FileSet()
        if min(wanted) < 0:
            raise BadInput(f"an ordinal cannot be negative: {min(wanted)}")
        greatest = max(wanted)
        if greatest < _DENSE * len(wanted):
            digits = bytearray(b"0") * (greatest + 1)
            for ordinal in wanted:
                digits[greatest - ordinal] = _ONE
            return FileSet(int(digits, 2))
        marks = bytearray(greatest // 8 + 1)
        for ordinal in wanted:
            marks[ordinal >> 3] |= 1 << (ordinal & 7)
        return FileSet(int.from_bytes(marks, "little"))

    @staticmethod
    def full(n_files: int) -> FileSet:
        """All of the first ``n_files`` ordinals."""
        return FileSet((1 << n_files) - 1)

    @staticmethod
    def from_bytes(data: bytes) -> FileSet:
        """Read ``to_bytes`` back."""
        return FileSet(int.from_bytes(data, "little"))

    def to_bytes(self) -> bytes:
        """Little-endian bits, ordinal 0 first, without trailing zero bytes."""
        return self.bits.to_bytes((self.bits.bit_length() + 7) // 8, "little")

    def __or__(self, other: FileSet) -> FileSet:
        return FileSet(self.bits | other.bits)

    def __and__(self, other: FileSet) -> FileSet:
        return FileSet(self.bits & other.bits)

    def __sub__(self, other: FileSet) -> FileSet:
        return FileSet(self.bits & ~other.bits)

    def __len__(self) -> int:
        return self.bits.bit_count()

    def __bool__(self) -> bool:
        return self.bits != 0

    def __contains__(self, ordinal: int) -> bool:
        return ordinal >= 0 and self.bits >> ordinal & 1 == 1

    def __iter__(self) -> Iterator[int]:
        if self.bits.bit_length() < _DENSE * len(self):
            digits = f"{self.bits:b}".encode()[::-1].translate(_VALUES)
            return compress(range(len(digits)), digits)
        return self._few()

    def _few(self) -> Iterator[int]:
        for number, byte in enumerate(self.to_bytes()):
            if byte:
                yield from (number * 8 + bit for bit in range(8) if byte >> bit & 1)

    def within(self, n_files: int) -> bool:
        """Whether every ordinal is below ``n_files``."""
        return self.bits.bit_length() <= n_files
