"""Rows: directories as columns of Arrow, and columns as bytes that a file or a database can hold.

Pure. Columns are built whole, never row by row: a listing of a hundred million
files spends its time here.

Rules
  * The columns are those of ``tables.SCHEMAS``; only ``dir`` of the entries,
    which says the same thousands of times, is a dictionary until it is in Parquet.
  * Packed rows are streams of Arrow IPC; several one after the other are one, so
    that a file of them is written by appending.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from holdfast.storage.driver import NOT_TOLD, Entry
from holdfast.storage.listing.tables import (
    DIRECTORIES,
    ENTRIES,
    ODDITIES,
    SCHEMAS,
    SECOND_NS,
    Directory,
    Oddity,
    show_raw,
)

# Arrow's own allocator keeps what it once had: a listing that goes on for days would hold half as much memory again.
pa.set_memory_pool(pa.system_memory_pool())

DIR_TYPE = pa.dictionary(pa.int32(), pa.string())

IN_MEMORY: dict[str, pa.Schema] = {
    **SCHEMAS,
    ENTRIES: SCHEMAS[ENTRIES].set(0, pa.field("dir", DIR_TYPE, nullable=False)),
}
"""The tables as they are before they are in Parquet."""

_OPTIONS = ipc.IpcWriteOptions(compression="zstd")


class DirectoryRow(NamedTuple):
    """A row of the directories."""

    dir: str
    state: str
    reason: str
    files: int
    directories: int
    oddities: int
    mtime_ns: int | None


def row_of(directory: Directory) -> DirectoryRow:
    """What the table says of a directory."""
    counts = (len(directory.files), len(directory.directories), len(directory.oddities))
    mtime_ns = None if directory.mtime_ns == NOT_TOLD else directory.mtime_ns
    return DirectoryRow(directory.dir, directory.state.value, directory.reason, *counts, mtime_ns)


def of_directories(rows: Sequence[DirectoryRow]) -> pa.RecordBatch:
    """Rows of the directories."""
    schema = SCHEMAS[DIRECTORIES]
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(held, field.type) for held, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def of_entries(dirs: Sequence[str], files: Sequence[Sequence[Entry]]) -> pa.RecordBatch:
    """Rows of the entries: the files in each of some directories."""
    entries = [entry for held in files for entry in held]
    if not entries:
        return pa.RecordBatch.from_pylist([], IN_MEMORY[ENTRIES])
    names, stats = zip(*entries, strict=True)
    _, sizes, mtimes, versions, changed = zip(*stats, strict=True)
    return entry_batch(
        dirs,
        [len(held) for held in files],
        pa.array(names, pa.string()),
        np.array(sizes, np.int64),
        np.array(mtimes, np.int64),
        pa.array(versions, pa.string()),
        pa.array(changed, pa.int64()),
    )


def entry_batch(
    dirs: Sequence[str],
    counts: Sequence[int],
    names: pa.Array[Any],
    sizes: npt.NDArray[np.int64],
    mtimes_ns: npt.NDArray[np.int64],
    versions: pa.Array[Any],
    changed_ns: pa.Array[Any],
) -> pa.RecordBatch:
    """Rows of the entries from whole columns; ``counts`` says how many rows in turn are in each of ``dirs``."""
    index = np.repeat(np.arange(len(dirs), dtype=np.int32), counts)
    columns: list[pa.Array[Any]] = [
        pa.DictionaryArray.from_arrays(index, pa.array(dirs, pa.string())),
        names,
        pa.array(sizes, mask=sizes == NOT_TOLD),
        pa.array(mtimes_ns // SECOND_NS, mask=mtimes_ns == NOT_TOLD),
        pa.array(mtimes_ns, mask=mtimes_ns == NOT_TOLD),
        versions,
        changed_ns,
    ]
    return pa.record_batch(columns, schema=IN_MEMORY[ENTRIES])


def of_oddities(found: Iterable[tuple[str, Oddity]]) -> pa.RecordBatch:
    """Rows of the oddities, each with the directory it is in."""
    rows = [(dir, show_raw(odd.raw), odd.raw, odd.kind.value, odd.reason) for dir, odd in found]
    schema = SCHEMAS[ODDITIES]
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(held, field.type) for held, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def of(directories: Sequence[Directory], directory_rows: Sequence[DirectoryRow]) -> dict[str, pa.RecordBatch]:
    """The rows of some directories in each table; ``directory_rows`` are theirs in that of the directories."""
    filled = [directory for directory in directories if directory.files]
    odd = ((directory.dir, oddity) for directory in directories for oddity in directory.oddities)
    return {
        ENTRIES: of_entries([directory.dir for directory in filled], [directory.files for directory in filled]),
        DIRECTORIES: of_directories(directory_rows),
        ODDITIES: of_oddities(odd),
    }


def pack(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> bytes:
    """Rows as bytes."""
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, schema, options=_OPTIONS) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def unpack(source: BufferedIOBase | pa.NativeFile) -> Iterator[pa.RecordBatch]:
    """The rows of a file, or of bytes, to which packed rows were written one after the other.

    Raises pyarrow's errors, and OSError, where the bytes are no such thing.
    """
    file = source if isinstance(source, pa.NativeFile) else pa.PythonFile(source, "r")
    size = file.size()
    while file.tell() < size:
        with ipc.open_stream(file) as reader:
            yield from reader
