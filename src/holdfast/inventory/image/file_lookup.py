"""Look-up of many LFNs at once.

The hashes are looked up in order, then the files that have them are compared
with the LFNs, byte by byte, all of one chunk together.

Rules
  * The answer is the same as of one ``find`` after the other, whatever the
    order of the LFNs and however often one occurs among them.
  * LFNs are taken in batches, so that the room needed does not grow with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.inventory.image import arrays
from holdfast.inventory.image.arrays import I64, U64, Bools, Bytes, Numbers
from holdfast.inventory.image.block_files import adler32_texts
from holdfast.inventory.image.file_chunk import FileChunk
from holdfast.inventory.image.file_rows import Hash

if TYPE_CHECKING:
    from holdfast.inventory.image.file_table import FileTable

BATCH = 1 << 17
FEW = 8
"""So few LFNs are looked up one by one."""
NOT_FOUND = -1
_PAD = "\0" * arrays.PAD_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """LFNs that are looked for. ``blob`` has their bytes, and zeros at its end."""

    lfns: Sequence[str]
    blob: Bytes
    starts: I64
    lengths: I64
    hashes: U64

    @classmethod
    def of(cls, lfns: Sequence[str], hash: Hash) -> Queries:
        """Some LFNs; what cannot be one is found nowhere."""
        joined = "".join((*lfns, _PAD))
        if joined.isascii():
            # To keep each one's bytes would cost more than all else here.
            data = joined.encode()
            lengths = np.fromiter(map(len, lfns), "<i8", len(lfns))
            hashes = np.fromiter(map(hash, map(str.encode, lfns)), "<u8", len(lfns))
        else:
            texts = list(map(encoded, lfns))
            data = b"".join((*texts, _PAD.encode()))
            lengths = np.fromiter(map(len, texts), "<i8", len(lfns))
            hashes = np.fromiter(map(hash, texts), "<u8", len(lfns))
        return cls(lfns, arrays.as_bytes(data), arrays.offsets_of(lengths)[:-1], lengths, hashes)


def encoded(lfn: str) -> bytes:
    """The bytes of an LFN; of what is not UTF-8, bytes that no LFN has."""
    return lfn.encode(errors="surrogatepass")


@dataclass(frozen=True, slots=True, eq=False)
class FoundFiles:
    """For each LFN the row, the block and the ordinal; -1 where there is none."""

    rows: I64
    blocks: I64
    ordinals: I64

    @classmethod
    def none(cls, rows: I64) -> FoundFiles:
        """No blocks and ordinals yet."""
        return cls(rows, np.full(len(rows), NOT_FOUND, "<i8"), np.full(len(rows), NOT_FOUND, "<i8"))

    def put(self, at: int, table: FileTable, lfn: str) -> None:
        """Note what a single look-up finds."""
        found = table.found(encoded(lfn))
        row, (block, ordinal) = (NOT_FOUND, (NOT_FOUND, NOT_FOUND)) if found is None else found
        self.rows[at], self.blocks[at], self.ordinals[at] = row, block, ordinal


def find(table: FileTable, lfns: Sequence[str]) -> FoundFiles:
    """Where each LFN is."""
    found = [_find_batch(table, lfns[first : first + BATCH]) for first in range(0, len(lfns), BATCH)]
    if len(found) == 1:
        return found[0]
    none = np.empty(0, "<i8")
    return FoundFiles(
        np.concatenate([none, *(each.rows for each in found)]),
        np.concatenate([none, *(each.blocks for each in found)]),
        np.concatenate([none, *(each.ordinals for each in found)]),
    )


def _find_batch(table: FileTable, lfns: Sequence[str]) -> FoundFiles:
    if len(lfns) <= FEW:
        found = FoundFiles.none(np.full(len(lfns), NOT_FOUND, "<i8"))
        doubtful: Sequence[int] = range(len(lfns))
    else:
        queries = Queries.of(lfns, table.hash)
        found = FoundFiles.none(_candidates(table, queries.hashes))
        # Another LFN with the same hash, or a dead row of this one: seldom, so one by one.
        doubtful = np.flatnonzero(~_matched(table, queries, found)).tolist()
    for at in doubtful:
        found.put(at, table, lfns[at])
    return found


def _candidates(table: FileTable, hashes: U64) -> I64:
    """For each hash a row that has it, -1 if there is none."""
    rows = np.full(len(hashes), NOT_FOUND, "<i8")
    order = np.argsort(hashes)
    sorted_hashes = hashes[order]
    cuts = np.searchsorted(sorted_hashes, np.array(table.index.bounds, "<u8"), "left").tolist()
    for run, first, last in zip(table.index.runs, cuts, [*cuts[1:], len(order)], strict=True):
        if last > first and len(run):
            here, found = run.candidates(sorted_hashes[first:last])
            rows[order[first:last][here]] = found
    for delta in reversed(table.deltas):
        order = order[rows[order] == NOT_FOUND]
        if len(order) and len(delta.run):
            here, found = delta.run.candidates(hashes[order])
            rows[order[here]] = found
    return rows


def _matched(table: FileTable, queries: Queries, found: FoundFiles) -> Bools:
    """Which of the rows found are alive and have the LFN beside them, or are none; their places are noted."""
    right: Bools = found.rows == NOT_FOUND
    for chunk, asked in by_chunk(table, found.rows):
        segments, slots = chunk.slots(found.rows[asked])
        alive = chunk.segments.dead[segments] == 0
        if not alive.all():
            asked, segments, slots = asked[alive], segments[alive], slots[alive]
        found.blocks[asked] = chunk.segments.blocks[segments]
        found.ordinals[asked] = chunk.segments.first_ordinals[segments] + (slots - chunk.segments.first_slots[segments])
        for first in range(0, len(asked), arrays.COMPARE_ROWS):
            batch = asked[first : first + arrays.COMPARE_ROWS]
            right[batch] = _same(chunk, slots[first : first + arrays.COMPARE_ROWS], queries, batch)
    return right


def _same(chunk: FileChunk, slots: Numbers, queries: Queries, asked: I64) -> Bools:
    """Which slots hold the LFN of the query beside them."""
    directory = chunk.directory[slots].astype("<i8")
    offsets = chunk.directories.offsets
    begin = offsets[directory].astype("<i8")
    length = offsets[directory + 1] - begin
    starts = queries.starts[asked]
    same: Bools = queries.lengths[asked] == length + chunk.names.lengths(slots)
    if not same.all():
        # Lengths that differ would have bytes of the next text compared.
        at = np.flatnonzero(same)
        same[at] = _same(chunk, slots[at], queries, asked[at])
        return same
    same = arrays.equal(chunk.directories.blob, begin, queries.blob, starts, length)
    return same & chunk.names.are(slots, queries.blob, starts + length)


def by_chunk(table: FileTable, rows: I64) -> Iterator[tuple[FileChunk, I64]]:
    """The chunks that ``rows`` lie in, and where among ``rows`` those of each are; rows of -1 are in none."""
    numbers = np.searchsorted(np.array(table.starts, "<i8"), rows, "right") - 1
    order = np.argsort(numbers.astype("<i2") if len(table.starts) < 1 << 15 else numbers, kind="stable")
    cuts = np.searchsorted(numbers[order], np.arange(len(table.starts) + 1)).tolist()
    for chunk, first, last in zip(table.every_chunk, cuts, cuts[1:], strict=False):
        if last > first:
            yield chunk, order[first:last]


def records(table: FileTable, rows: I64) -> tuple[I64, list[str | None]]:
    """Sizes and adler32 texts, -1 and None where the row is -1 or the checksum not known."""
    sizes, adler32 = np.full(len(rows), NOT_FOUND, "<i8"), np.zeros(len(rows), "<u4")
    known = np.zeros(len(rows), "?")
    for chunk, at in by_chunk(table, rows):
        _, slots = chunk.slots(rows[at])
        sizes[at] = chunk.sizes[slots]
        adler32[at], known[at] = chunk.adler32_of(slots)
    return sizes, adler32_texts(adler32, known)
