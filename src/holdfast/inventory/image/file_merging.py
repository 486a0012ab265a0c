"""Merging: the work that keeps a FileTable fast and small, in bounded pieces.

A piece of work is found (``next_work``), carried out on its own, by any
thread, and then brought into the table as it is by then: that last part costs
nothing and is the only one that must not meet another writer.

In this order: small deltas are folded into one; enough of them are brought into
the index, one partition at a time; dead rows leave the index in the same way;
chunks with many dead files are written anew, small neighbours joined.

Rules
  * What the table answers does not change.
  * Work whose ingredients are no longer in the table is dropped, and found anew.
  * At any time, work needs room for one chunk or one partition beside the table.
  * After finitely many pieces there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from holdfast.inventory.image import chunk_folding
from holdfast.inventory.image.arrays import U32, U64, Bools, Numbers
from holdfast.inventory.image.delta import Delta
from holdfast.inventory.image.file_chunk import FileChunk
from holdfast.inventory.image.hash_run import HASHES, HashRun
from holdfast.inventory.image.lfn_index import LfnIndex

if TYPE_CHECKING:
    from holdfast.inventory.image.file_table import FileTable

FOLD_COUNT = 4
"""So many deltas of about the same size are folded while files are appended."""
DELTA_FRACTION = 16
"""Deltas go into the index when they are one part in so many of it."""
DEAD_FRACTION = 8
"""Dead rows are dropped when they are one part in so many."""


class Result(Protocol):
    """Work that was carried out."""

    def applied(self, table: FileTable) -> FileTable | None:
        """``table`` with it; None if it does not fit any more."""


class Work(Protocol):
    """Work to carry out: reads only what it holds itself."""

    def run(self) -> Result:
        """Carry it out."""


def next_work(table: FileTable) -> Work | None:
    """What should be done next; None: nothing."""
    if table.merged_to is not None:
        return _partition_merge(table)
    return _fold(table) or _start(table) or _join(table)


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Deltas that follow each other made one."""

    old: tuple[Delta, ...]

    def run(self) -> FoldDone:
        """Carry it out."""
        return FoldDone(self.old, folded(self.old))


@dataclass(frozen=True, slots=True, eq=False)
class FoldDone:
    """Deltas and what they became; None: nothing was left of them."""

    old: tuple[Delta, ...]
    new: Delta | None

    def applied(self, table: FileTable) -> FileTable | None:
        """The table with the new delta."""
        at = _position(self.old, table.deltas)
        if at is None or at < table.n_merging:
            return None
        new = () if self.new is None else (self.new,)
        return replace(table, deltas=(*table.deltas[:at], *new, *table.deltas[at + len(self.old) :]))


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Begin to bring the first deltas into the index."""

    runs: tuple[HashRun, ...]

    def run(self) -> Start:
        """Nothing needs to be made."""
        return self

    def applied(self, table: FileTable) -> FileTable | None:
        """The table with the mark."""
        if table.merged_to is not None or _position(self.runs, [delta.run for delta in table.deltas]) != 0:
            return None
        return replace(table, n_merging=len(self.runs), merged_to=0)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A partition that will get too many hashes, cut beforehand."""

    number: int
    first: int
    last: int
    depth: int
    old: HashRun

    def run(self) -> SplitDone:
        """Carry it out."""
        width = (self.last - self.first) >> self.depth
        bounds = tuple(range(self.first, self.last, width))
        ranges = [(bound, None if bound + width == HASHES else bound + width) for bound in bounds]
        runs = [HashRun(*self.old.between(*each)).in_buckets(each[0], each[0] + width) for each in ranges]
        return SplitDone(self.number, self.old, LfnIndex(bounds, tuple(runs)))


@dataclass(frozen=True, slots=True, eq=False)
class SplitDone:
    """A partition and those it was cut into."""

    number: int
    old: HashRun
    new: LfnIndex

    def applied(self, table: FileTable) -> FileTable | None:
        """The table with the new partitions."""
        if self.number >= len(table.index.runs) or table.index.runs[self.number] is not self.old:
            return None
        return replace(table, index=table.index.replaced(self.number, self.new))


@dataclass(frozen=True, slots=True, eq=False)
class PartitionMerge:
    """One partition of the index, with the hashes of deltas and without dead rows."""

    number: int
    first: int
    last: int
    rows_max: int
    old: HashRun
    added: tuple[tuple[U64, U32], ...]
    chunks: tuple[FileChunk, ...]

    def run(self) -> PartitionDone:
        """Carry it out."""
        hashes = np.concatenate([self.old.hashes, *(added[0] for added in self.added)])
        rows = np.concatenate([self.old.rows, *(added[1] for added in self.added)])
        dead = are_dead(self.chunks, rows)
        if dead is not None and dead.any():
            hashes, rows = hashes[~dead], rows[~dead]
        order = np.argsort(hashes, kind="stable")
        run = HashRun(hashes[order], rows[order])
        return PartitionDone(self.number, self.old, LfnIndex.cut(self.first, self.last, run, self.rows_max))


@dataclass(frozen=True, slots=True, eq=False)
class PartitionDone:
    """A partition and what it became."""

    number: int
    old: HashRun
    new: LfnIndex

    def applied(self, table: FileTable) -> FileTable | None:
        """The table with the new partition; after the last one, the deltas belong to the base."""
        index = table.index
        if table.merged_to is None or self.number >= len(index.runs) or index.runs[self.number] is not self.old:
            return None
        end = index.end(self.number)
        merged = replace(table, index=index.replaced(self.number, self.new), merged_to=end)
        if end is not None:
            return merged
        chunks = (*table.chunks, *(delta.chunk for delta in table.deltas[: table.n_merging]))
        return replace(merged, chunks=chunks, deltas=table.deltas[table.n_merging :], n_merging=0)


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """Chunks that follow each other made one, without what is dead."""

    old: tuple[FileChunk, ...]

    def run(self) -> JoinDone:
        """Carry it out."""
        return JoinDone(self.old, chunk_folding.joined(self.old))


@dataclass(frozen=True, slots=True, eq=False)
class JoinDone:
    """Chunks and what they became."""

    old: tuple[FileChunk, ...]
    new: FileChunk

    def applied(self, table: FileTable) -> FileTable | None:
        """The table with the new chunk."""
        at = _position(self.old, table.chunks)
        if at is None:
            return None
        return replace(table, chunks=(*table.chunks[:at], self.new, *table.chunks[at + len(self.old) :]))


def folded(deltas: Sequence[Delta]) -> Delta | None:
    """Deltas as one; None if all their files are dead."""
    if not any(delta.chunk.segments.n_live for delta in deltas):
        return None
    chunk, before = chunk_folding.folded([delta.chunk for delta in deltas])
    start = chunk.start
    after = np.full(deltas[-1].chunk.end - start, -1, "<i8")
    after[before - start] = np.arange(start, chunk.end)
    hashes = np.concatenate([delta.run.hashes for delta in deltas])
    rows = after[np.concatenate([delta.run.rows for delta in deltas]).astype("<i8") - start]
    if len(hashes) != len(before):
        hashes, rows = hashes[rows >= 0], rows[rows >= 0]
    return Delta(chunk, HashRun.by_hash_and_row(hashes, rows))


def folded_tail(deltas: list[Delta], first: int, rows_max: int) -> None:
    """Fold the last of some new deltas, small ones only, while there are many of about the same size."""
    while True:
        level = _level(deltas[-1]) if len(deltas) > first else 0
        at = len(deltas)
        while at > first and _level(deltas[at - 1]) <= level and len(deltas[at - 1].run) <= rows_max:
            at -= 1
        if len(deltas) - at < FOLD_COUNT:
            return
        new = folded(deltas[at:])
        deltas[at:] = [] if new is None else [new]


def _level(delta: Delta) -> int:
    return (len(delta.run).bit_length() + 1) // 2


def _fold(table: FileTable) -> Work | None:
    sizes = [len(delta.run) for delta in table.deltas]
    left = sum(sizes)
    for at, size in enumerate(sizes):
        left -= size
        if left and size <= 2 * left and size + left <= table.sizes.chunk:
            return Fold(table.deltas[at:])
    for delta in table.deltas:
        if 2 * delta.chunk.segments.n_live < len(delta.run):
            return Fold((delta,))
    return None


def _start(table: FileTable) -> Work | None:
    indexed = len(table.index)
    sizes = [len(delta.run) for delta in table.deltas]
    dead = indexed - sum(chunk.segments.n_live for chunk in table.chunks)
    enough = max(table.sizes.merge_from, indexed // DELTA_FRACTION)
    if sum(sizes) < enough and dead * DEAD_FRACTION <= indexed:
        return None
    large = [at for at, size in enumerate(sizes, 1) if size * FOLD_COUNT >= table.sizes.merge_from]
    count = large[-1] if large else len(sizes)
    return Start(tuple(delta.run for delta in table.deltas[:count]))


def _partition_merge(table: FileTable) -> Work:
    begin = table.merged_to or 0
    number = table.index.number(begin)
    end = table.index.end(number)
    last = HASHES if end is None else end
    added = tuple(delta.run.between(begin, end) for delta in table.deltas[: table.n_merging])
    old, rows_max = table.index.runs[number], table.sizes.partition
    n_rows = len(old) + sum(len(hashes) for hashes, _ in added)
    if n_rows > 2 * rows_max and last - begin > 1:
        depth = min((n_rows // rows_max).bit_length() - 1, (last - begin).bit_length() - 1)
        return Split(number, begin, last, depth, old)
    return PartitionMerge(number, begin, last, rows_max, old, added, table.every_chunk)


def _join(table: FileTable) -> Work | None:
    chunks = table.chunks
    for chunk in chunks:
        if (chunk.n_slots - chunk.segments.n_live) * DEAD_FRACTION > chunk.n_slots:
            return Join((chunk,))
    for left, right in pairwise(chunks):
        small, large = sorted((left.n_slots, right.n_slots))
        if small + large <= table.sizes.chunk and (large <= FOLD_COUNT * small or not small):
            return Join((left, right))
    return None


def are_dead(chunks: Sequence[FileChunk], rows: Numbers) -> Bools | None:
    """Which rows are dead; None: there are no dead rows at all."""
    begins: list[Numbers] = []
    ends: list[Numbers] = []
    for chunk in chunks:
        if chunk.segments.n_live < chunk.segments.n_rows:
            dead = np.flatnonzero(chunk.segments.dead)
            first = chunk.segments.first_rows[dead].astype("<i8") + chunk.start
            begins.append(first)
            ends.append(first + chunk.segments.lengths(dead))
    if not begins:
        return None
    first, last = np.concatenate(begins), np.concatenate(ends)
    at = np.searchsorted(first, rows, "right") - 1
    found: Bools = (at >= 0) & (rows < last[at])
    return found


def _position(pieces: Sequence[object], among: Sequence[object]) -> int | None:
    """Where ``pieces`` stand one after the other, the very same objects."""
    if not pieces:
        return 0
    for at, piece in enumerate(among):
        if piece is pieces[0]:
            same = len(among) - at >= len(pieces) and all(
                one is other for one, other in zip(pieces, among[at : at + len(pieces)], strict=True)
            )
            return at if same else None
    return None
