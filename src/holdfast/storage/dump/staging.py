"""DumpStaging: rows in any order into a store in which each directory is one range.

    rows --> parts by the first bits of the directory's hash --> each sorted --> the store

What fits into memory is sorted there. More goes to disk first, in 256 parts; a
part that is still too large is divided again, and one that is large because a
single directory is, by the hash of the names: then the directory is several
ranges of the store.

Rules
  * A directory is in the store if a row is in it or below it, or names it: once
    in its parent, and once itself.
  * What is named twice is there twice; only directories, which paths imply
    again and again, are there once.
  * Memory does not grow with the dump: about ``ROWS_HELD`` rows at a time.
  * All temporary files are in one folder, which goes whatever happens, but for
    a killed process.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute
from xxhash import xxh3_64_intdigest

from holdfast.model.checksums import DIGITS
from holdfast.storage.dump.reading import Column
from holdfast.storage.dump.rows import DIRECTORY, FILE, HERE, MARK, NUMBERS, TEXTS, UNNAMEABLE
from holdfast.storage.dump.store import StoreWriter

pc: Any = compute

ROWS_HELD = 100_000
PART_BITS = 8

_HASH_BITS = 64
_SEEN = 1 << 20
_IPC = pa.ipc.IpcWriteOptions()


def schema_of(columns: Iterable[str]) -> pa.Schema:
    """The rows on their way, with those of the columns that can be missing which this dump has."""
    wanted = set(columns)
    fields: list[pa.Field[Any]] = [
        pa.field("key", pa.uint64()),
        pa.field("dir", pa.binary()),
        pa.field("name", pa.binary()),
        pa.field("kind", pa.int8()),
    ]
    fields += [pa.field(name, pa.int64()) for name in NUMBERS if name in wanted]
    fields += [pa.field(name, pa.string()) for name in (*TEXTS, *DIGITS) if name in wanted]
    return pa.schema(fields)


class Stager:
    """Takes tables of rows (``rows``) and writes the store; ``folder`` is for what does not fit into memory."""

    def __init__(self, folder: Path, schema: pa.Schema, *, rows_held: int = ROWS_HELD) -> None:
        self._folder = folder
        self._schema = schema
        self._rows_held = rows_held
        self._held: list[pa.Table] = []
        self._held_rows = 0
        self._parts: _Parts | None = None
        self._directories = _Directories(schema)

    def add(self, rows: pa.Table) -> None:
        """Take some rows."""
        self._hold(self._directories.keyed(rows))
        if self._held_rows > self._rows_held:
            self._spill()

    def finish(self, writer: StoreWriter) -> None:
        """Sort everything and write it."""
        self._hold(self._directories.implied([b""]))
        if self._parts is None:
            self._write(pa.concat_tables(self._held), writer)
        else:
            self._spill()
            self._finish_parts(self._parts, 1, writer)
        self._held.clear()

    def _hold(self, tables: Iterable[pa.Table]) -> None:
        for table in tables:
            self._held.append(table)
            self._held_rows += table.num_rows

    def _spill(self) -> None:
        if self._parts is None:
            self._parts = _Parts(self._folder / "parts", self._schema, shift=_HASH_BITS - PART_BITS)
        if self._held:
            self._parts.add(pa.concat_tables(self._held).combine_chunks())
        self._held.clear()
        self._held_rows = 0

    def _finish_parts(self, parts: _Parts, level: int, writer: StoreWriter) -> None:
        parts.close()
        for path, rows in parts.written():
            if rows <= self._rows_held:
                with pa.ipc.open_stream(pa.OSFile(str(path), "rb")) as source:
                    self._write(source.read_all(), writer)
            else:
                self._divide(path, rows, level, writer)
            path.unlink()

    def _divide(self, path: Path, rows: int, level: int, writer: StoreWriter) -> None:
        """A part that is too large, in parts of its own: by further bits of the hash, or at last by names."""
        shift = _HASH_BITS - (level + 1) * PART_BITS
        folder = path.with_name(f"{path.name}.d")
        with pa.ipc.open_stream(pa.OSFile(str(path), "rb")) as source:
            if level < 3:
                parts = _Parts(folder, self._schema, shift=shift)
                for batch in source:
                    parts.add(pa.Table.from_batches([batch]))
                self._finish_parts(parts, level + 1, writer)
                return
            by_name = _Parts(folder, self._schema, count=rows // self._rows_held + 1)
            for batch in source:
                by_name.add(pa.Table.from_batches([batch]))
        by_name.close()
        for piece, _ in by_name.written():
            with pa.ipc.open_stream(pa.OSFile(str(piece), "rb")) as source:
                self._write(source.read_all(), writer)
            piece.unlink()

    def _write(self, rows: pa.Table, writer: StoreWriter) -> None:
        rows = _without_repeated(_ordered(rows))
        writer.add(rows)


class _Directories:
    """Gives rows the hash of their directory, and adds the rows of the directories that they imply."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        # The hashes of the directories seen last, each in the one place it can have. Forgetting one costs only that
        # the directory is named again; this takes 8 MB where a set of names has no bound.
        self._seen = array("Q", bytes(8 * _SEEN))

    def keyed(self, rows: pa.Table) -> Iterator[pa.Table]:
        """The rows with the hashes of their directories, and the rows that they imply."""
        encoded: Column = pc.dictionary_encode(rows["dir"].combine_chunks())
        dirs = encoded.dictionary.to_pylist()
        hashes = np.fromiter(map(xxh3_64_intdigest, dirs), np.uint64, len(dirs))
        keys = hashes[encoded.indices.to_numpy()] if len(dirs) else hashes
        yield _fitted({"key": pa.array(keys), **{name: rows[name] for name in rows.column_names}}, self._schema)
        named = rows.filter(pc.equal(rows["kind"], DIRECTORY))
        pairs: Iterable[tuple[Any, ...]] = zip(named["dir"].to_pylist(), named["name"].to_pylist(), strict=True)
        dirs += [dir + b"/" + name if dir else name for dir, name in pairs]
        yield from self.implied(dirs)

    def implied(self, dirs: list[bytes]) -> Iterator[pa.Table]:
        """The rows of these directories, of all above them, and the names of all in their parents."""
        rows = self._implied(dirs)
        if rows:
            above, own, kinds = zip(*rows, strict=True)
            found = {
                "key": pa.array(np.fromiter(map(xxh3_64_intdigest, above), np.uint64, len(above))),
                "dir": pa.array(above, pa.binary()),
                "name": pa.array(own, pa.binary()),
                "kind": pa.array(kinds, pa.int8()),
            }
            yield _fitted(found, self._schema)

    def _implied(self, dirs: list[bytes]) -> list[tuple[bytes, bytes, int]]:
        """Directory, name and kind of these rows, but for what was seen before."""
        found: list[tuple[bytes, bytes, int]] = []
        seen = self._seen
        for each in dirs:
            directory = each
            while seen[(key := xxh3_64_intdigest(directory)) % _SEEN] != key:
                seen[key % _SEEN] = key
                found.append((directory, b"", HERE))
                if not directory:
                    break
                above, _, name = directory.rpartition(b"/")
                found.append((above, name, DIRECTORY))
                directory = above
        return found


def _fitted(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """The columns in the order of the schema; those that are missing are null."""
    count = len(columns["key"])
    return pa.table(
        [columns[field.name] if field.name in columns else pa.nulls(count, field.type) for field in schema],
        schema=schema,
    )


class _Parts:
    """Rows by the part they belong to, a file each: by bits of the directory's hash, or by the hash of the name."""

    def __init__(self, folder: Path, schema: pa.Schema, *, shift: int = -1, count: int = 1 << PART_BITS) -> None:
        folder.mkdir()
        self._folder = folder
        self._schema = schema
        self._shift = shift
        self._count = count
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._files = ExitStack()
        self._rows = dict.fromkeys(range(count), 0)

    def add(self, rows: pa.Table) -> None:
        if self._shift >= 0:
            bits = rows["key"].to_numpy() >> np.uint64(self._shift)
            numbers = (bits & np.uint64(self._count - 1)).astype(np.int64)
        else:
            numbers = _by_name(rows, self._count)
            every = rows.filter(pc.equal(rows["kind"], HERE))
            for number in range(self._count):
                self._write(number, every)
        order = np.argsort(numbers, kind="stable")
        ordered = rows.take(order)
        bounds = np.searchsorted(numbers[order], np.arange(self._count + 1))
        for number in range(self._count):
            self._write(number, ordered.slice(bounds[number], bounds[number + 1] - bounds[number]))

    def _write(self, number: int, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        if number not in self._writers:
            file = self._files.enter_context(pa.OSFile(str(self._path(number)), "wb"))
            self._writers[number] = self._files.enter_context(pa.ipc.new_stream(file, self._schema, options=_IPC))
        self._writers[number].write_table(rows.combine_chunks())
        self._rows[number] += rows.num_rows

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:05d}"

    def written(self) -> Iterator[tuple[Path, int]]:
        """The parts that have rows, in order."""
        for number in range(self._count):
            if self._rows[number]:
                yield self._path(number), self._rows[number]

    def close(self) -> None:
        self._files.close()


def _by_name(rows: pa.Table, count: int) -> NDArray[np.int64]:
    names: list[Any] = rows["name"].to_pylist()
    return np.fromiter((xxh3_64_intdigest(name) % count for name in names), np.int64, len(names))


def _ordered(rows: pa.Table) -> pa.Table:
    """By directory, itself first and then what is said against it; in it by the bytes of the name."""
    rank = pc.min_element_wise(rows["kind"], pa.scalar(FILE, pa.int8()))
    sortable = pa.table(
        {"key": rows["key"], "dir": rows["dir"], "rank": rank, "name": rows["name"], "kind": rows["kind"]}
    )
    order = pc.sort_indices(sortable, [(name, "ascending") for name in sortable.column_names])
    return rows.take(order).combine_chunks()


def _without_repeated(rows: pa.Table) -> pa.Table:
    """Without what paths imply again: the directory itself, names of directories, names that are none of ours."""
    if rows.num_rows < 2:
        return rows
    same = np.ones(rows.num_rows - 1, np.bool_)
    for column in ("key", "kind", "name", "dir"):
        values = rows[column].combine_chunks()
        same &= pc.equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    kinds = rows["kind"].to_numpy()[1:]
    same &= np.isin(kinds, (HERE, MARK, DIRECTORY, UNNAMEABLE))
    return rows.filter(pa.array(np.concatenate((np.ones(1, np.bool_), ~same)))) if same.any() else rows
