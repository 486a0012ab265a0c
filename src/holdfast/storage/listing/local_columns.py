"""LocalColumns: what the system says of files, as columns of the three tables.

The time of a local walk is spent here and in the system: names and stats are
kept as they came, and looked at all together.

Rules
  * Rows are what the engine would make of what a PosixDriver says.
  * At most ``CHUNK_ROWS`` rows, and one directory, are kept that are not yet columns.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.model import names
from holdfast.model.errors import InvalidName
from holdfast.storage.driver import DirectoryListing, Entry, Unnameable
from holdfast.storage.listing import rows
from holdfast.storage.listing.answer import sort_out
from holdfast.storage.listing.found import RowPiece, WrittenPart
from holdfast.storage.listing.part_files import told_of
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.summary import ListingCounts
from holdfast.storage.listing.table_output import TableOutput
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, ODDITIES, Directory, Oddity
from holdfast.storage.posix.files import stat_of

CHUNK_ROWS = 1 << 12
"""Few enough for their objects to stay in the processor's cache: many more cost a tenth of the time."""

Numbers = npt.NDArray[np.int64]

# By their places rather than by their names, where they have one: half the time.
_inode_of, _size_of = itemgetter(modes.ST_INO), itemgetter(modes.ST_SIZE)
_mtime_ns_of, _changed_ns_of = attrgetter("st_mtime_ns"), attrgetter("st_ctime_ns")


class LocalColumns:
    """The tables of one packet."""

    def __init__(self, folder: Path, top: str) -> None:
        self._folder = folder
        self._top = top
        self._outputs = {table: TableOutput(folder, table) for table in (ENTRIES, DIRECTORIES, ODDITIES)}
        self._rows: list[DirectoryRow] = []
        self._names: list[str] = []
        self._stats: list[os.stat_result] = []
        self._oddities: list[tuple[str, Oddity]] = []
        self._others: list[DirectoryRow] = []
        self.counts = ListingCounts()

    def add(
        self,
        row: DirectoryRow,
        given: Sequence[str],
        stats: Sequence[os.stat_result],
        oddities: Sequence[Oddity] = (),
    ) -> None:
        """Take a directory that was listed, with its files in the order of their names."""
        self._rows.append(row)
        self._names += given
        self._stats += stats
        if oddities:
            self._oddities += [(row.dir, oddity) for oddity in oddities]
        if len(self._rows) + len(self._names) >= CHUNK_ROWS:
            self._flush()

    def add_row(self, row: DirectoryRow, size: int = 0) -> None:
        """Take a directory that was not listed, or whose files, of so many bytes, are kept elsewhere."""
        self._others.append(row)
        self.counts.bytes += size
        if len(self._others) >= CHUNK_ROWS:
            self._flush()

    def done(self) -> list[RowPiece | WrittenPart]:
        """What there is to hand over."""
        self._flush()
        return [done for output in self._outputs.values() if (done := output.done()) is not None]

    def abandon(self) -> None:
        """Remove what has been written."""
        for output in self._outputs.values():
            output.abandon()

    def _flush(self) -> None:
        try:
            sizes, mtimes_ns, changed_ns = _numbers(self._stats)
        except OverflowError:
            # File systems keep moments that 64 bits of nanoseconds do not hold.
            self._sort_out()
            sizes, mtimes_ns, changed_ns = _numbers(self._stats)
        inodes = np.fromiter(map(_inode_of, self._stats), np.uint64, len(self._stats))
        filled = [row for row in self._rows if row.files]
        dirs, counts = [row.dir for row in filled], [row.files for row in filled]
        given, versions = pa.array(self._names, pa.string()), _versions(inodes, changed_ns)
        told = self._rows + self._others
        # At once, or a full disk of ours would be taken for a failure of the storage.
        with told_of(self._folder):
            entries = rows.entry_batch(dirs, counts, given, sizes, mtimes_ns, versions, pa.array(changed_ns))
            self._outputs[ENTRIES].add(entries)
            self._outputs[DIRECTORIES].add(rows.of_directories(told))
            if self._oddities:
                self._outputs[ODDITIES].add(rows.of_oddities(self._oddities))
        self._count(_sum(sizes))
        self._rows, self._others, self._names, self._stats, self._oddities = [], [], [], [], []

    def _count(self, size: int) -> None:
        # The top is a packet of its own, and the first that was listed of it.
        self.counts.note([*self._rows[:1], *self._others], size, self._top)
        rest = self._rows[1:]
        self.counts.listed += len(rest)
        self.counts.files += sum(row.files for row in rest)
        self.counts.oddities += sum(row.oddities for row in rest)

    def _sort_out(self) -> None:
        """Take what is kept again, one by one; what the tables cannot hold becomes an oddity."""
        held, self._rows = self._rows, []
        given, self._names = self._names, []
        stats, self._stats = self._stats, []
        start = 0
        for row in held:
            end = start + row.files
            kept, kept_stats, found = sifted(row.dir, given[start:end], stats[start:end])
            odd = len(found.oddities)
            self._rows.append(row._replace(files=len(kept), oddities=row.oddities + odd))
            self._names += kept
            self._stats += kept_stats
            self._oddities += [(row.dir, oddity) for oddity in found.oddities]
            start = end


def sifted(
    dir: str, given: Sequence[str], stats: Sequence[os.stat_result]
) -> tuple[list[str], list[os.stat_result], Directory]:
    """The names and stats of the files that are fit for the tables, and the whole directory sorted out."""
    found = sort_out(dir, listing_of(given, stats)).directory
    stat_by_name = dict(zip(given, stats, strict=True))
    files = [entry.name for entry in found.files]
    return files, [stat_by_name[name] for name in files], found


def listing_of(given: Sequence[str], stats: Sequence[os.stat_result]) -> DirectoryListing:
    """The same as a driver says it."""
    entries: list[Entry] = []
    unnameable: list[Unnameable] = []
    for name, stat in zip(given, stats, strict=True):
        raw = name.encode(errors="surrogateescape")
        try:
            entries.append(Entry(names.file_name(raw.decode()), stat_of(stat)))
        except UnicodeDecodeError:
            unnameable.append(Unnameable(raw, "the name is not UTF-8"))
        except InvalidName as error:
            unnameable.append(Unnameable(raw, error.message))
    unnameable.sort(key=lambda entry: entry.raw)
    return DirectoryListing(tuple(entries), tuple(unnameable))


def _numbers(stats: Sequence[os.stat_result]) -> tuple[Numbers, Numbers, Numbers]:
    """Sizes, times and times of change, each as a column."""
    n = len(stats)
    return (
        np.fromiter(map(_size_of, stats), np.int64, n),
        np.fromiter(map(_mtime_ns_of, stats), np.int64, n),
        np.fromiter(map(_changed_ns_of, stats), np.int64, n),
    )


def _versions(inodes: npt.NDArray[np.uint64], changed_ns: Numbers) -> pa.Array[Any]:
    """As ``posix_files.stat_of`` writes them."""
    texts: list[Any] = [pc.cast(pa.array(numbers), pa.string()) for numbers in (inodes, changed_ns)]
    joined: pa.Array[Any] = pc.binary_join_element_wise(*texts, "-")
    return joined


def _sum(sizes: Numbers) -> int:
    """The sum of numbers that may be more than 64 bits hold."""
    return (int((sizes >> 32).sum()) << 32) + int((sizes & 0xFFFFFFFF).sum())
