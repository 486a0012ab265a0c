"""FileTable: all files of the inventory in memory, found by LFN and by block.

An immutable value. What changes it returns another table that shares all
arrays that did not change; any number of threads may read one. Files come in
as *deltas*: a chunk of columns and a run of hashes. ``merge_step`` folds
deltas together and brings them into the base, a bounded piece of work at a time.

From outside a file is a block's number and an ordinal. Rows are this table's
own; another table, also one made from this one, may number them anew.

Rules
  * An LFN is found only if each of its bytes is right, whatever its hash.
  * At most one file that is not removed has an LFN; the caller sees to that.
    The LFN of a removed file may come again, and so may a removed block.
  * A table made from another leaves that one as it was.
  * Merging changes nothing that can be read.
  * Equal operations give equal tables, array by array.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xxhash

from holdfast.inventory.image import block_files, file_lookup, file_merging, file_parts
from holdfast.inventory.image.arrays import I64
from holdfast.inventory.image.delta import Delta
from holdfast.inventory.image.file_chunk import FileChunk
from holdfast.inventory.image.file_rows import FileRows, Hash
from holdfast.inventory.image.hash_run import HashRun
from holdfast.inventory.image.lfn_index import LfnIndex
from holdfast.inventory.image.part import Part
from holdfast.model.errors import BrokenInvariant
from holdfast.model.records import FileColumns

ROWS_MAX = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class FileTableSizes:
    """How large pieces grow, in rows."""

    chunk: int = 1 << 19
    partition: int = 1 << 20
    fold_at_once: int = 1 << 8
    """Deltas up to this size are folded while files are appended; larger ones by ``merge_step``."""
    merge_from: int = 1 << 16
    """So many rows at least are brought into the base together."""


@dataclass(frozen=True, slots=True, eq=False)
class FileTable:
    """Files by row.

    ``merged_to`` not None: the first ``n_merging`` deltas are being brought into the index;
    hashes below it are there already.
    """

    hash: Hash
    sizes: FileTableSizes
    chunks: tuple[FileChunk, ...]
    index: LfnIndex
    deltas: tuple[Delta, ...] = ()
    n_merging: int = 0
    merged_to: int | None = None
    next_row: int = 0
    n_files: int = 0
    _all: tuple[FileChunk, ...] = field(init=False, repr=False)
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        every = (*self.chunks, *(delta.chunk for delta in self.deltas))
        object.__setattr__(self, "_all", every)
        object.__setattr__(self, "_starts", tuple([chunk.start for chunk in every]))

    @classmethod
    def empty(cls, hash: Hash = xxhash.xxh3_64_intdigest, sizes: FileTableSizes = FileTableSizes()) -> FileTable:
        """A table without files. ``hash`` is for tests; what is published has the default's."""
        return cls(hash, sizes, (), LfnIndex.empty())

    # Writing

    def appended(self, block: int, first_ordinal: int, files: FileColumns) -> FileTable:
        """With the files of ``block`` from ``first_ordinal`` on; of checksums, adler32 is kept."""
        return self.appended_rows(FileRows.of(block, first_ordinal, files))

    def appended_rows(self, rows: FileRows) -> FileTable:
        """With many files of many blocks."""
        if self.next_row + len(rows) > ROWS_MAX:
            raise BrokenInvariant("the image has numbered all rows it can", hint="open the image anew from the store")
        deltas = list(self.deltas)
        start = self.next_row
        for first in range(0, len(rows), self.sizes.chunk):
            part = rows.part(first, min(first + self.sizes.chunk, len(rows)))
            chunk, hashes = part.chunk(start, self.hash)
            deltas.append(Delta(chunk, HashRun.of(hashes, np.arange(start, chunk.end))))
            start = chunk.end
            file_merging.folded_tail(deltas, self.n_merging, self.sizes.fold_at_once)
        return replace(self, deltas=tuple(deltas), next_row=start, n_files=self.n_files + len(rows))

    def without_block(self, block: int) -> FileTable:
        """Without the files of a block."""
        return self.without_blocks((block,))

    def without_blocks(self, blocks: Collection[int]) -> FileTable:
        """Without the files of some blocks."""
        chunks = tuple([chunk.without(blocks) for chunk in self.chunks])
        deltas = tuple([delta.without(blocks) for delta in self.deltas])
        return self.with_pieces(chunks=chunks, deltas=deltas)

    def with_pieces(self, *, chunks: tuple[FileChunk, ...], deltas: tuple[Delta, ...]) -> FileTable:
        """The same with other pieces, counted anew."""
        n_files = sum(chunk.segments.n_live for chunk in (*chunks, *(delta.chunk for delta in deltas)))
        return replace(self, chunks=chunks, deltas=deltas, n_files=n_files)

    # Merging

    def merge_work(self) -> file_merging.Work | None:
        """What should be done next to keep the table fast and small; None: nothing.

        ``work.run()`` may run in any thread while others append;
        ``result.applied(table)`` then brings it into the table that there is
        by then, at no cost; None if it does not fit any more.
        """
        return file_merging.next_work(self)

    def merge_step(self) -> FileTable | None:
        """The table after one bounded piece of that work; None: there is nothing to do."""
        work = self.merge_work()
        return None if work is None else work.run().applied(self)

    def merged(self) -> FileTable:
        """The table after all of that work."""
        table = self
        while (following := table.merge_step()) is not None:
            table = following
        return table

    # Parts and sizes

    def parts(self) -> list[Part]:
        """The state as immutable parts, each with a name made of its content; the last one names the others."""
        return file_parts.parts_of(self)

    @classmethod
    def from_parts(cls, parts: Iterable[Part], hash: Hash = xxhash.xxh3_64_intdigest) -> FileTable:
        """The table that ``parts`` are of, over the very arrays they hold."""
        return file_parts.table_of(parts, cls.empty(hash))

    @property
    def nbytes_by_column(self) -> dict[str, int]:
        """Bytes of all arrays, index included, by column."""
        return file_parts.bytes_by_column(self)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, index included."""
        return sum(self.nbytes_by_column.values())

    # Reading by LFN

    @property
    def every_chunk(self) -> tuple[FileChunk, ...]:
        """All chunks, by row."""
        return self._all

    @property
    def starts(self) -> tuple[int, ...]:
        """The first row of each of these chunks."""
        return self._starts

    def find(self, lfn: str) -> tuple[int, int] | None:
        """Block and ordinal of a file; None: there is none."""
        try:
            text = lfn.encode()
        except UnicodeEncodeError:
            return None
        found = self.found(text)
        return None if found is None else found[1]

    def found(self, lfn: bytes) -> tuple[int, tuple[int, int]] | None:
        """Row, block and ordinal of a file; None: there is none."""
        hash = self.hash(lfn)
        for row in self.index.rows_of(hash):
            place = self.chunk_of(row).place(row, lfn)
            if place is not None:
                return row, place
        for delta in reversed(self.deltas):
            for row in delta.run.rows_of(hash):
                place = self.chunk_of(row).place(row, lfn)
                if place is not None:
                    return row, place
        return None

    def chunk_of(self, row: int) -> FileChunk:
        """The chunk that a row lies in."""
        return self._all[bisect_right(self._starts, row) - 1]

    def find_all(self, lfns: Sequence[str]) -> tuple[I64, I64]:
        """Blocks and ordinals of many files; -1 where there is none."""
        found = file_lookup.find(self, lfns)
        return found.blocks, found.ordinals

    def located(self, lfns: Sequence[str]) -> file_lookup.FoundFiles:
        """Rows, blocks and ordinals of many files; -1 where there is none. Rows mean something to this table only."""
        return file_lookup.find(self, lfns)

    def records(self, rows: I64) -> tuple[I64, list[str | None]]:
        """Sizes and adler32 texts of ``rows``; -1 and None where a row is -1."""
        return file_lookup.records(self, rows)

    # Reading by block

    def files_of(self, block: int) -> FileColumns:
        """The files of a block, by ordinal; checksums only if one is known."""
        return block_files.files_of(block_files.parts_of(self._all, block))

    def blocks_below(self, prefix: bytes) -> set[int]:
        """The blocks with a file whose directory has this prefix."""
        return set().union(*(chunk.blocks_below(prefix) for chunk in self._all))

    def sizes_of(self, block: int) -> I64:
        """The sizes of a block's files, by ordinal."""
        return block_files.sizes_of(block_files.parts_of(self._all, block))
