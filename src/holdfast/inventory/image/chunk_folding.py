"""Several chunks made one: dead files left out, files of a block brought together.

Rules
  * ``folded`` numbers rows anew and puts the files of each block beside each
    other, in order; it says which row each was before.
  * ``joined`` leaves every row its number, so that the index stays as it is.
  * Segments that follow each other in block, ordinal and place become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.inventory.image import arrays, directories
from holdfast.inventory.image.arrays import I64, Numbers
from holdfast.inventory.image.file_chunk import FileChunk, checksum_columns
from holdfast.inventory.image.packed_names import PackedNames
from holdfast.inventory.image.segments import NO_BLOCK, Segments


@dataclass(frozen=True, slots=True, eq=False)
class LiveSegments:
    """Segments of several chunks: the table's rows, slots of all columns laid end to end."""

    rows: I64
    slots: I64
    counts: I64
    blocks: I64
    ordinals: I64

    @classmethod
    def of(cls, chunks: Sequence[FileChunk]) -> LiveSegments:
        """All that are not dead, by row."""
        columns: list[list[Numbers]] = [[], [], [], [], []]
        before = 0
        for chunk in chunks:
            segments = chunk.segments
            live = segments.live()
            found = (
                segments.first_rows[live].astype("<i8") + chunk.start,
                segments.first_slots[live].astype("<i8") + before,
                segments.lengths(live),
                segments.blocks[live].astype("<i8"),
                segments.first_ordinals[live].astype("<i8"),
            )
            for column, values in zip(columns, found, strict=True):
                column.append(values)
            before += chunk.n_slots
        return cls(*(np.concatenate(column) for column in columns))

    def taken(self, places: Numbers) -> LiveSegments:
        """Some of them."""
        return LiveSegments(
            self.rows[places], self.slots[places], self.counts[places], self.blocks[places], self.ordinals[places]
        )

    def by_block(self) -> LiveSegments:
        """In the order of blocks and ordinals."""
        follows = (self.blocks[1:] > self.blocks[:-1]) | (
            (self.blocks[1:] == self.blocks[:-1]) & (self.ordinals[1:] > self.ordinals[:-1])
        )
        return self if follows.all() else self.taken(np.lexsort((self.ordinals, self.blocks)))

    def every_slot(self, n_slots: int) -> I64 | None:
        """The slots, one after the other; None: all there are, as they stand."""
        slots = arrays.spread(self.slots, self.counts)
        return None if len(slots) == n_slots and (slots[1:] > slots[:-1]).all() else slots

    def merged(self) -> LiveSegments:
        """Those that follow each other as one."""
        follows = (
            (self.blocks[1:] == self.blocks[:-1])
            & (self.ordinals[1:] == (self.ordinals + self.counts)[:-1])
            & (self.rows[1:] == (self.rows + self.counts)[:-1])
        )
        if not follows.any():
            return self
        first = np.concatenate(([True], ~follows))
        counts = np.add.reduceat(self.counts, np.flatnonzero(first))
        found = self.taken(np.flatnonzero(first))
        return LiveSegments(found.rows, found.slots, counts, found.blocks, found.ordinals)


def folded(chunks: Sequence[FileChunk]) -> tuple[FileChunk, I64]:
    """One chunk whose rows begin where the first of ``chunks`` does, and the rows that its files had before."""
    live = LiveSegments.of(chunks).by_block()
    slots = live.every_slot(sum(chunk.n_slots for chunk in chunks))
    before = arrays.spread(live.rows, live.counts)
    ends = arrays.offsets_of(live.counts)
    renumbered = LiveSegments(ends[:-1], ends[:-1], live.counts, live.blocks, live.ordinals).merged()
    segments = Segments.of(renumbered.counts, renumbered.blocks, renumbered.ordinals)
    return _chunk(chunks, slots, segments), before


def joined(chunks: Sequence[FileChunk]) -> FileChunk:
    """One chunk in which every file keeps its row."""
    live = LiveSegments.of(chunks)
    slots = live.every_slot(sum(chunk.n_slots for chunk in chunks))
    ends = arrays.offsets_of(live.counts)
    start, n_rows = chunks[0].start, chunks[-1].end - chunks[0].start
    placed = LiveSegments(live.rows - start, ends[:-1], live.counts, live.blocks, live.ordinals).merged()
    return _chunk(chunks, slots, _with_gaps(placed, n_rows))


def _with_gaps(live: LiveSegments, n_rows: int) -> Segments:
    """Segments over all rows: dead ones where there are none."""
    ends = np.concatenate(([0], live.rows + live.counts))
    begins = np.concatenate((live.rows, [n_rows]))
    gaps = ends[begins > ends]
    rows = np.concatenate((live.rows, gaps))
    order = np.argsort(rows, kind="stable")
    none = np.zeros(len(gaps), "<i8")
    return Segments.checked(
        n_rows,
        rows[order],
        np.concatenate((live.slots, none))[order],
        np.concatenate((live.blocks, none + NO_BLOCK))[order],
        np.concatenate((live.ordinals, none))[order],
        np.repeat(np.array([0, 1], "<u1"), (len(live.rows), len(gaps)))[order],
    )


def _chunk(chunks: Sequence[FileChunk], slots: I64 | None, segments: Segments) -> FileChunk:
    names = PackedNames.joined([chunk.names for chunk in chunks])
    known_directories, directory = directories.joined([(chunk.directories, chunk.directory) for chunk in chunks])
    sizes = np.concatenate([chunk.sizes for chunk in chunks])
    checksums = [chunk.adler32_of(np.arange(chunk.n_slots)) for chunk in chunks]
    adler32, known = (np.concatenate(columns) for columns in zip(*checksums, strict=True))
    if slots is not None:
        names, sizes, adler32, known = names.taken(slots), sizes[slots], adler32[slots], known[slots]
        known_directories, directory = directories.joined([(known_directories, directory[slots])])
    numbers, bits = checksum_columns(adler32, known)
    return FileChunk(
        start=chunks[0].start,
        segments=segments,
        directories=known_directories,
        directory=directory,
        names=names,
        sizes=sizes,
        adler32=numbers,
        known=bits,
    )
