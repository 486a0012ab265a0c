"""The parts of a FileTable: as files that other processes map, and back.

A part for each chunk and each run of hashes, and one named ``files-...`` that
says how they belong together and which segments are dead.

Rules
  * Nothing is copied and nothing done per file, either way; so opening takes
    as long for a million files as for a hundred.
  * Chunks and runs keep their parts until they are merged; after a small
    commit only the small new parts are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.inventory.image.arrays import Numbers
from holdfast.inventory.image.delta import Delta
from holdfast.inventory.image.directories import Directories
from holdfast.inventory.image.file_chunk import FileChunk
from holdfast.inventory.image.hash_run import HashRun
from holdfast.inventory.image.lfn_index import LfnIndex
from holdfast.inventory.image.packed_names import PackedNames
from holdfast.inventory.image.part import Part, PartName
from holdfast.inventory.image.segments import Segments

if TYPE_CHECKING:
    from holdfast.inventory.image.file_table import FileTable

ROOT = "files"
"""The kind of the part that names the others."""


def parts_of(table: FileTable) -> list[Part]:
    """All parts; the last one names the others."""
    chunks = [_chunk_part(chunk) for chunk in table.every_chunk]
    runs = [_run_part(run) for run in (*table.index.runs, *(delta.run for delta in table.deltas))]
    dead = [np.flatnonzero(chunk.segments.dead) for chunk in table.every_chunk]
    meta = {
        "chunks": [part.name for part in chunks],
        "runs": [part.name for part in runs],
        "bounds": [f"{bound:016x}" for bound in table.index.bounds],
        "n_deltas": len(table.deltas),
        "n_merging": table.n_merging,
        "merged_to": None if table.merged_to is None else f"{table.merged_to:016x}",
        "next_row": table.next_row,
        "n_files": table.n_files,
    }
    arrays: dict[str, Numbers] = {
        "starts": np.array(table.starts, "<u4"),
        "n_dead": np.array([len(places) for places in dead], "<u4"),
        "dead": np.concatenate([np.empty(0, "<u4"), *dead]).astype("<u4"),
    }
    unique = {part.name: part for part in (*chunks, *runs)}
    return [*unique.values(), PartName().part(ROOT, arrays, meta)]


def table_of(parts: Iterable[Part], empty: FileTable) -> FileTable:
    """The table that ``parts`` are of, which may hold others, too, but only one root."""
    by_name = {part.name: part for part in parts}
    (root,) = (part for part in by_name.values() if part.name.startswith(f"{ROOT}-"))
    meta = root.meta
    ends = np.cumsum(root.arrays["n_dead"])
    dead = np.split(root.arrays["dead"], ends[:-1]) if len(ends) else []
    starts = root.arrays["starts"].tolist()
    chunks = [
        _chunk(by_name[name], start, places) for name, start, places in zip(meta["chunks"], starts, dead, strict=True)
    ]
    runs = [_run(by_name[name]) for name in meta["runs"]]
    n_base, n_partitions = len(chunks) - meta["n_deltas"], len(meta["bounds"])
    return replace(
        empty,
        chunks=tuple(chunks[:n_base]),
        index=LfnIndex(tuple(int(bound, 16) for bound in meta["bounds"]), tuple(runs[:n_partitions])),
        deltas=tuple(map(Delta, chunks[n_base:], runs[n_partitions:])),
        n_merging=meta["n_merging"],
        merged_to=None if meta["merged_to"] is None else int(meta["merged_to"], 16),
        next_row=meta["next_row"],
        n_files=meta["n_files"],
    )


def _run_part(run: HashRun) -> Part:
    return run.part_name.part("hashes", run.columns(), {"first": f"{run.first:016x}", "shift": run.shift})


def _run(part: Part) -> HashRun:
    arrays, meta = part.arrays, part.meta
    first, shift = int(meta["first"], 16), meta["shift"]
    return HashRun(arrays["hashes"], arrays["rows"], arrays.get("buckets"), first, shift, PartName(part.name))


def _chunk_part(chunk: FileChunk) -> Part:
    patterns = [[prefix.decode(), suffix.decode()] for prefix, suffix in chunk.names.patterns]
    return chunk.part_name.part("chunk", chunk.columns(), {"n_rows": chunk.segments.n_rows, "patterns": patterns})


def _chunk(part: Part, start: int, places: Numbers) -> FileChunk:
    arrays = part.arrays
    dead = np.zeros(len(arrays["segments.blocks"]), "<u1")
    dead[places] = 1
    return FileChunk(
        start=start,
        segments=Segments(
            part.meta["n_rows"],
            arrays["segments.first_rows"],
            arrays["segments.first_slots"],
            arrays["segments.blocks"],
            arrays["segments.first_ordinals"],
            dead,
            arrays.get("segments.order"),
            arrays["segments.steps"],
        ),
        directories=Directories(arrays["directories.offsets"], arrays["directories.blob"]),
        directory=arrays["directory"],
        names=_names(arrays, part.meta["patterns"]),
        sizes=arrays["sizes"],
        adler32=arrays.get("adler32"),
        known=arrays.get("known"),
        part_name=PartName(part.name),
    )


def _names(arrays: Mapping[str, Numbers], patterns: Sequence[Sequence[str]]) -> PackedNames:
    return PackedNames(
        tuple((prefix.encode(), suffix.encode()) for prefix, suffix in patterns),
        arrays.get("names.kinds"),
        arrays.get("names.offsets"),
        arrays["names.blob"],
    )


def bytes_by_column(table: FileTable) -> dict[str, int]:
    """How many bytes the arrays of each column take, over all chunks and runs."""
    found: dict[str, int] = {}
    pieces: list[Mapping[str, Any]] = [chunk.columns() for chunk in table.every_chunk]
    pieces += [{"segments.dead": chunk.segments.dead} for chunk in table.every_chunk]
    pieces += [_indexed(run) for run in (*table.index.runs, *(delta.run for delta in table.deltas))]
    for piece in pieces:
        for name, array in piece.items():
            found[name] = found.get(name, 0) + array.nbytes
    return found


def _indexed(run: HashRun) -> dict[str, Numbers]:
    return {f"index.{name}": array for name, array in run.columns().items()}
