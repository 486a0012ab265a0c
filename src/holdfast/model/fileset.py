"""FileSet: which files of a block, by their ordinals; the bitmap of a partial replica."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from holdfast.model.errors import BadInput


@dataclass(frozen=True, slots=True)
class FileSet:
    """An immutable set of ordinals (0, 1, 2 ...), kept as the bits of one integer."""

    bits: int = 0

    @staticmethod
    def of(ordinals: Iterable[int]) -> FileSet:
        """The set of ``ordinals``; BadInput if one is negative."""
        wanted = set(ordinals)
        if not wanted:
            return FileSet()
        if min(wanted) < 0:
            raise BadInput(f"an ordinal cannot be negative: {min(wanted)}")
        marks = bytearray(max(wanted) // 8 + 1)
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
        for number, byte in enumerate(self.to_bytes()):
            if byte:
                yield from (number * 8 + bit for bit in range(8) if byte >> bit & 1)

    def within(self, n_files: int) -> bool:
        """Whether every ordinal is below ``n_files``."""
        return self.bits.bit_length() <= n_files
