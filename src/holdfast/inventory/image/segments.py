"""Segments: which rows of a chunk belong to which block, and from which ordinal on.

A segment is a run of rows with following ordinals of one block. *Rows* are
what the index points to; *slots* are places in the chunk's columns. The two
part when dead rows leave the columns: then rows remain that have no slot.

Rows here count from the beginning of the chunk.

Rules
  * A row belongs to exactly one segment; a dead one is found by nobody.
  * Removing a block marks its segments and copies nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from holdfast.inventory.image import arrays
from holdfast.inventory.image.arrays import I64, U32, Bytes, Numbers

NO_BLOCK = 0xFFFFFFFF
"""The block of rows that have no slot any more."""
STEP_BITS = 6
STEP = 1 << STEP_BITS


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The segments of a chunk, by first row. ``order`` sorts them by block; None: they are sorted."""

    n_rows: int
    first_rows: U32
    first_slots: U32
    blocks: U32
    first_ordinals: U32
    dead: Bytes
    order: U32 | None
    steps: U32
    """The segment of each row whose number is a multiple of STEP."""
    block_min: int = field(init=False)
    block_max: int = field(init=False)
    n_live: int = field(init=False)
    rows_view: memoryview = field(init=False, repr=False)
    slots_view: memoryview = field(init=False, repr=False)
    blocks_view: memoryview = field(init=False, repr=False)
    ordinals_view: memoryview = field(init=False, repr=False)
    steps_view: memoryview = field(init=False, repr=False)
    dead_view: memoryview = field(init=False, repr=False)

    def __post_init__(self) -> None:
        order = self.order
        first, last = (0, -1) if order is None else (int(order[0]), int(order[-1]))
        some = len(self.blocks) > 0
        put = object.__setattr__
        put(self, "block_min", int(self.blocks[first]) if some else NO_BLOCK)
        put(self, "block_max", int(self.blocks[last]) if some else 0)
        put(self, "rows_view", self.first_rows.data)
        put(self, "slots_view", self.first_slots.data)
        put(self, "blocks_view", self.blocks.data)
        put(self, "ordinals_view", self.first_ordinals.data)
        put(self, "steps_view", self.steps.data)
        put(self, "dead_view", self.dead.data)
        put(self, "n_live", self.n_rows - int(self.counts()[self.dead != 0].sum()) if some else 0)

    @classmethod
    def of(cls, counts: Numbers, blocks: Numbers, first_ordinals: Numbers) -> Segments:
        """Segments of rows that all have a slot, one after the other."""
        ends = arrays.offsets_of(counts)
        first = ends[:-1].astype("<u4")
        return cls.checked(int(ends[-1]), first, first, blocks, first_ordinals, np.zeros(len(first), "<u1"))

    @classmethod
    def checked(
        cls, n_rows: int, first_rows: Numbers, first_slots: Numbers, blocks: Numbers, ordinals: Numbers, dead: Bytes
    ) -> Segments:
        """Segments whose order by block is found out."""
        blocks = blocks.astype("<u4")
        is_sorted = len(blocks) < 2 or bool((blocks[1:] >= blocks[:-1]).all())
        order = None if is_sorted else np.argsort(blocks, kind="stable").astype("<u4")
        first_rows = first_rows.astype("<u4")
        steps = np.searchsorted(first_rows, np.arange(0, n_rows, STEP, dtype="<u4"), "right") - 1
        return cls(
            n_rows,
            first_rows,
            first_slots.astype("<u4"),
            blocks,
            ordinals.astype("<u4"),
            dead,
            order,
            steps.astype("<u4"),
        )

    def __len__(self) -> int:
        return len(self.blocks)

    def columns(self) -> dict[str, Bytes | U32]:
        """The arrays that never change, by name."""
        found: dict[str, Bytes | U32] = {
            "first_rows": self.first_rows,
            "first_slots": self.first_slots,
            "blocks": self.blocks,
            "first_ordinals": self.first_ordinals,
            "steps": self.steps,
        }
        return found if self.order is None else {**found, "order": self.order}

    def counts(self) -> I64:
        """How many rows each segment has."""
        return np.diff(self.first_rows, append=np.uint32(self.n_rows)).astype("<i8")

    def lengths(self, places: Numbers) -> I64:
        """How many rows some segments have."""
        ends: I64 = self.first_rows[np.minimum(places + 1, len(self) - 1)].astype("<i8")
        ends[places == len(self) - 1] = self.n_rows
        ends -= self.first_rows[places]
        return ends

    def of_block(self, block: int) -> Numbers:
        """The segments of a block that are not dead."""
        key = np.uint32(block)
        first = int(np.searchsorted(self.blocks, key, "left", sorter=self.order))
        last = int(np.searchsorted(self.blocks, key, "right", sorter=self.order))
        found: Numbers = np.arange(first, last) if self.order is None else self.order[first:last]
        alive: Numbers = found[self.dead[found] == 0]
        return alive

    def without(self, blocks: Collection[int]) -> Segments:
        """The same with the segments of some blocks dead; self if there are none."""
        inside = [block for block in blocks if self.block_min <= block <= self.block_max]
        found = [places for places in map(self.of_block, inside) if len(places)]
        if not found:
            return self
        dead = self.dead.copy()
        dead[np.concatenate(found)] = 1
        return replace(self, dead=dead)

    def live(self) -> Numbers:
        """The segments that are not dead."""
        return np.flatnonzero(self.dead == 0)

    def find(self, rows: Numbers) -> Numbers:
        """The segment of each row."""
        found: Numbers = self.steps[rows >> STEP_BITS].astype("<i8")
        last = len(self) - 1
        for _ in range(2):
            after = np.minimum(found + 1, last)
            further = rows >= self.first_rows[after]
            further &= found < last
            if not further.any():
                return found
            found += further
        return np.searchsorted(self.first_rows, rows.astype("<u4"), "right") - 1

    def find_one(self, row: int) -> int:
        """The segment of one row."""
        first = self.steps_view[row >> STEP_BITS]
        return bisect_right(self.rows_view, row, first, min(first + STEP, len(self.rows_view))) - 1
