"""FileRows: files on their way into the table, as loose columns.

Rules
  * Runs say which rows belong to which block: ``counts[i]`` rows of
    ``blocks[i]``, with ordinals from ``first_ordinals[i]`` on.
  * Nothing is checked here; names and numbers have been when they were
    accepted into the inventory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.inventory.image import arrays
from holdfast.inventory.image.arrays import I64, U32, U64, Bools, Bytes, Numbers
from holdfast.inventory.image.directories import Directories, narrow, prefix_of
from holdfast.inventory.image.file_chunk import FileChunk, checksum_columns
from holdfast.inventory.image.packed_names import PackedNames
from holdfast.inventory.image.segments import Segments
from holdfast.model.records import FileColumns

Hash = Callable[[bytes], int]


@dataclass(frozen=True, slots=True, eq=False)
class FileRows:
    """Files of any number of blocks. ``has_adler32`` None: known of all."""

    blocks: Numbers
    first_ordinals: Numbers
    counts: Numbers
    dirs: Sequence[str]
    dir_index: Numbers
    names: Bytes
    name_offsets: Numbers
    sizes: I64
    adler32: U32
    has_adler32: Bools | None = None

    @classmethod
    def of(cls, block: int, first_ordinal: int, files: FileColumns) -> FileRows:
        """Files of one block."""
        names, offsets = arrays.blob_of(files.names)
        adler32, known = _checksums(files.checksums.get("adler32"), len(files))
        return cls(
            blocks=np.array([block], "<u4"),
            first_ordinals=np.array([first_ordinal], "<u4"),
            counts=np.array([len(files)], "<i8"),
            dirs=files.dirs,
            dir_index=np.array(files.dir_index, "<u4"),
            names=names,
            name_offsets=offsets,
            sizes=np.array(files.sizes, "<i8"),
            adler32=adler32,
            has_adler32=known,
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, first: int, last: int) -> FileRows:
        """The rows from ``first`` to before ``last``."""
        if (first, last) == (0, len(self)):
            return self
        ends = arrays.offsets_of(self.counts)
        run, end = int(np.searchsorted(ends, first, "right")) - 1, int(np.searchsorted(ends, last, "left"))
        begins = np.maximum(ends[run:end], first)
        offsets = self.name_offsets[first : last + 1]
        return FileRows(
            blocks=self.blocks[run:end],
            first_ordinals=self.first_ordinals[run:end] + (begins - ends[run:end]),
            counts=np.minimum(ends[run + 1 : end + 1], last) - begins,
            dirs=self.dirs,
            dir_index=self.dir_index[first:last],
            names=self.names[int(offsets[0]) : int(offsets[-1])],
            name_offsets=offsets - offsets[0],
            sizes=self.sizes[first:last],
            adler32=self.adler32[first:last],
            has_adler32=None if self.has_adler32 is None else self.has_adler32[first:last],
        )

    def chunk(self, start: int, hash: Hash) -> tuple[FileChunk, U64]:
        """The files as a chunk that begins at the table's row ``start``, and the hashes of their LFNs."""
        prefixes, directory = self._directories()
        known = np.ones(len(self), "?") if self.has_adler32 is None else self.has_adler32
        some = self.counts > 0
        adler32, bits = checksum_columns(self.adler32.astype("<u4"), known)
        chunk = FileChunk(
            start=start,
            segments=Segments.of(self.counts[some], self.blocks[some], self.first_ordinals[some]),
            directories=Directories.of(prefixes),
            directory=directory,
            names=PackedNames.of(self.names, self.name_offsets),
            sizes=self.sizes.astype("<i8"),
            adler32=adler32,
            known=bits,
        )
        return chunk, self._hashes(prefixes, directory, hash)

    def _directories(self) -> tuple[list[bytes], Numbers]:
        """The prefixes that occur here and the column of their numbers."""
        if len(self.dirs) == 1:
            return [prefix_of(self.dirs[0])], np.zeros(len(self), "<u2")
        used, first, inverse = np.unique(self.dir_index, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), "<u4")
        rank[order] = np.arange(len(order))
        prefixes = [prefix_of(self.dirs[number]) for number in used[order].tolist()]
        return prefixes, narrow(rank[inverse], len(used))

    def _hashes(self, prefixes: list[bytes], directory: Numbers, hash: Hash) -> U64:
        data = self.names.tobytes()
        ends: list[int] = self.name_offsets.tolist()
        rows = zip(directory.tolist(), ends, ends[1:], strict=False)
        return np.fromiter((hash(prefixes[at] + data[first:last]) for at, first, last in rows), "<u8", len(self))


def _checksums(column: Sequence[str | None] | None, n_rows: int) -> tuple[U32, Bools | None]:
    if column is None:
        return np.zeros(n_rows, "<u4"), np.zeros(n_rows, "?")
    numbers = np.array([0 if text is None else int(text, 16) for text in column], "<u4")
    return numbers, np.array([text is not None for text in column], "?") if None in column else None
