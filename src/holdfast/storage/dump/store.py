"""DumpStore: a staged dump on disk, and what is in one of its directories.

``rows.arrow`` has the rows, each directory's together and sorted by the bytes
of the names, in batches of equal length, so that a range is read by reading the
few batches it touches. ``index`` has the hash, first row and number of rows of
every directory, in the order of the hashes.

Rules
  * Two directories with one hash are told apart: the first row of a range, the
    directory itself, has its full path as the name.
  * Nothing of it stays when it is closed, nor when the process dies: once it is
    open, its files have no names any more.
"""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute
from xxhash import xxh3_64_intdigest

from holdfast.model.errors import BrokenInvariant
from holdfast.storage.dump.rows import FILE, HERE

pc: Any = compute

BATCH_ROWS = 2048

_ROWS, _INDEX = "rows.arrow", "index"
_ON_THE_WAY = ("key", "dir")
_BATCHES_KEPT = 8
# On disk: the hash of the directory, its first row, and how many rows there are.
_RANGE = np.dtype([("key", "<u8"), ("start", "<i8"), ("count", "<i8")])


class RowRange(NamedTuple):
    """Rows that stand together."""

    start: int
    rows: int


class StoreWriter:
    """Writes a store into ``folder``; tables are added in the order of ``key``, where that is possible."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = pa.schema([field for field in schema if field.name not in _ON_THE_WAY])
        self._file = pa.OSFile(str(folder / _ROWS), "wb")
        self._writer = pa.ipc.new_file(self._file, self._schema)
        self._index = pa.OSFile(str(folder / _INDEX), "wb")
        self._left = self._schema.empty_table()
        self._rows = 0

    def add(self, rows: pa.Table) -> None:
        """Take sorted rows. Each directory's first row is itself."""
        if not rows.num_rows:
            return
        starts = np.flatnonzero(rows["kind"].to_numpy() == HERE)
        if len(starts) != _directories(rows):
            raise BrokenInvariant("a directory of the dump is not there itself, only what is in it")
        ranges = np.zeros(len(starts), _RANGE)
        ranges["key"] = rows["key"].to_numpy()[starts]
        ranges["start"] = starts + self._rows
        ranges["count"] = np.diff(np.append(starts, rows.num_rows))
        self._index.write(ranges.tobytes())
        self._rows += rows.num_rows
        self._write(_with_paths(rows).select(self._schema.names))

    def _write(self, rows: pa.Table) -> None:
        together = pa.concat_tables([self._left, rows])
        whole = together.num_rows // BATCH_ROWS * BATCH_ROWS
        # Batches must be of one length, whatever the lengths of what came.
        for batch in together.slice(0, whole).combine_chunks().to_batches(max_chunksize=BATCH_ROWS):
            self._writer.write_batch(batch)
        self._left = together.slice(whole).combine_chunks()

    def finish(self) -> None:
        """Complete the files."""
        if self._left.num_rows:
            self._writer.write_table(self._left)
        self.close()

    def close(self) -> None:
        """Let go of the files; calling twice does no harm."""
        if not self._index.closed:
            self._writer.close()
            self._file.close()
            self._index.close()


def _directories(rows: pa.Table) -> int:
    """How many directories sorted rows are in."""
    dirs = rows["dir"].combine_chunks()
    return 1 + int(pc.sum(pc.not_equal(dirs[1:], dirs[:-1])).as_py() or 0)


def _with_paths(rows: pa.Table) -> pa.Table:
    """The row of a directory itself gets its path as the name."""
    own = pc.if_else(pc.equal(rows["kind"], HERE), rows["dir"], rows["name"])
    return rows.set_column(rows.schema.get_field_index("name"), "name", own)


class DumpStore:
    """An open store. ``folder`` is removed at once; may be used by several threads."""

    def __init__(self, folder: Path) -> None:
        self._source = pa.OSFile(str(folder / _ROWS), "rb")
        self._reader = pa.ipc.open_file(self._source)
        size = (folder / _INDEX).stat().st_size
        index = np.memmap(folder / _INDEX, _RANGE, "r") if size else np.zeros(0, _RANGE)
        keys = index["key"]
        # Only where a directory had to be divided do the ranges not come in order.
        self._order = None if bool(np.all(keys[1:] >= keys[:-1])) else np.argsort(keys, kind="stable")
        self._index = index
        self._keys: NDArray[np.uint64] = keys if self._order is None else keys[self._order]
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, pa.RecordBatch] = OrderedDict()
        shutil.rmtree(folder)

    @property
    def columns(self) -> list[str]:
        """What a row may tell."""
        return list(self._reader.schema.names)

    def ranges(self, dir: str) -> list[RowRange]:
        """Where the rows of a directory are; none if it is not in the dump."""
        raw = dir.removeprefix("/").encode()
        key = np.uint64(xxh3_64_intdigest(raw))
        first, last = (int(np.searchsorted(self._keys, key, side)) for side in ("left", "right"))
        found = []
        for place in range(first, last):
            _, start, count = self._index[place if self._order is None else self._order[place]].tolist()
            if self._row(start)["name"] == raw:
                found.append(RowRange(start, count))
        return found

    def rows(self, start: int, count: int) -> list[dict[str, Any]]:
        """So many rows from there on."""
        found: list[dict[str, Any]] = []
        while count > 0:
            batch = self._batch(start // BATCH_ROWS).slice(start % BATCH_ROWS, count)
            found.extend(batch.to_pylist())
            start, count = start + batch.num_rows, count - batch.num_rows
        return found

    def named(self, place: RowRange, name: bytes) -> list[dict[str, Any]]:
        """The rows of one name in a range, found by halving it: what is named is sorted."""

        def before(row: int) -> bool:
            found = self._row(row)
            return bool(found["kind"] < FILE or found["name"] < name)

        low, high = place.start, place.start + place.rows
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if before(middle) else (low, middle)
        found = []
        while low < place.start + place.rows and (row := self._row(low))["name"] == name:
            found.append(row)
            low += 1
        return found

    def _row(self, number: int) -> dict[str, Any]:
        return self.rows(number, 1)[0]

    def _batch(self, number: int) -> pa.RecordBatch:
        with self._lock:
            if self._source.closed:
                raise BrokenInvariant("the driver has been closed")
            batch = self._kept.pop(number, None)
            if batch is None:
                batch = self._reader.get_batch(number)
            self._kept[number] = batch
            if len(self._kept) > _BATCHES_KEPT:
                self._kept.popitem(last=False)
            return batch

    def close(self) -> None:
        """Let go of the files, which then are no more."""
        with self._lock:
            self._kept.clear()
            self._source.close()
