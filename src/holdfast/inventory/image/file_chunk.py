"""FileChunk: some hundred thousand files as columns, in rows that follow each other.

A chunk stands for itself: it has its own directories and its own patterns of
names. It is a piece of a ``FileTable``, which says what its rows mean.

Rules
  * Its columns are never written again. That a block is gone is all that can
    be said of a chunk later, and makes another chunk with the same columns.
  * A checksum that is not known is told apart from every number.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from holdfast.inventory.image import arrays
from holdfast.inventory.image.arrays import I64, U32, Bools, Bytes, Numbers
from holdfast.inventory.image.directories import Directories
from holdfast.inventory.image.packed_names import PackedNames
from holdfast.inventory.image.part import PartName
from holdfast.inventory.image.segments import Segments


@dataclass(frozen=True, slots=True, eq=False)
class FileChunk:
    """Files. ``adler32`` None: not known of any; ``known`` (bits) None: known of all, or of none."""

    start: int
    """The table's row that is row 0 here."""
    segments: Segments
    directories: Directories
    directory: Numbers
    names: PackedNames
    sizes: I64
    adler32: U32 | None
    known: Bytes | None
    part_name: PartName = field(default_factory=PartName, repr=False)
    directory_view: memoryview = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory_view", self.directory.data)

    @property
    def n_slots(self) -> int:
        """How many files the columns hold, dead ones included."""
        return len(self.sizes)

    @property
    def end(self) -> int:
        """The table's row after the last one."""
        return self.start + self.segments.n_rows

    def place(self, row: int, lfn: bytes) -> tuple[int, int] | None:
        """Block and ordinal of the table's row ``row``, if that is alive and its LFN is ``lfn``."""
        row -= self.start
        segments = self.segments
        at = segments.find_one(row)
        if segments.dead_view[at]:
            return None
        inside = row - segments.rows_view[at]
        slot = segments.slots_view[at] + inside
        prefix = self.directories.prefix(self.directory_view[slot])
        if not lfn.startswith(prefix) or lfn[len(prefix) :] != self.names.name(slot):
            return None
        return segments.blocks_view[at], segments.ordinals_view[at] + inside

    def slots(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Segment and slot of each of the table's rows; a dead one's slot means nothing."""
        inside = (rows - self.start).astype("<i8")
        found = self.segments.find(inside)
        return found, inside - self.segments.first_rows[found] + self.segments.first_slots[found]

    def blocks_below(self, prefix: bytes) -> set[int]:
        """The blocks with a file whose directory has this prefix."""
        is_below = np.array([each.startswith(prefix) for each in self.directories.prefixes()], "?")
        if not is_below.any():
            return set()
        live = self.segments.live()
        counts = self.segments.lengths(live)
        slots = arrays.spread(self.segments.first_slots[live], counts)
        found = np.repeat(self.segments.blocks[live], counts)[is_below[self.directory[slots]]]
        return set(np.unique(found).tolist())

    def without(self, blocks: Collection[int]) -> FileChunk:
        """The same without some blocks; self if it has none of them."""
        segments = self.segments.without(blocks)
        return self if segments is self.segments else replace(self, segments=segments)

    def adler32_of(self, slots: Numbers) -> tuple[U32, Bools]:
        """The adler32 of some files, and of which of them it is known."""
        if self.adler32 is None:
            return np.zeros(len(slots), "<u4"), np.zeros(len(slots), "?")
        if self.known is None:
            return self.adler32[slots], np.ones(len(slots), "?")
        return self.adler32[slots], (self.known[slots >> 3] >> (slots & 7).astype("<u1") & 1).astype("?")

    def columns(self) -> dict[str, Numbers]:
        """All arrays but the marks of dead segments, by name."""
        own: dict[str, Numbers | None] = {
            "directory": self.directory,
            "sizes": self.sizes,
            "adler32": self.adler32,
            "known": self.known,
            "directories.offsets": self.directories.offsets,
            "directories.blob": self.directories.blob,
        }
        inner = {f"segments.{name}": array for name, array in self.segments.columns().items()}
        inner |= {f"names.{name}": array for name, array in self.names.columns().items()}
        return {name: array for name, array in own.items() if array is not None} | inner


def checksum_columns(adler32: U32, known: Bools) -> tuple[U32 | None, Bytes | None]:
    """The columns ``adler32`` and ``known`` of a chunk."""
    if not known.any():
        return None, None
    if known.all():
        return adler32, None
    return np.where(known, adler32, np.uint32(0)), np.packbits(known, bitorder="little")
