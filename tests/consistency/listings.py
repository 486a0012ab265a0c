"""Write listings in every form they may come in."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = ("tsv", "csv", "ndjson", "parquet")
PACKINGS = ("none", "gzip", "zstd")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a listing."""

    path: str
    size: int
    adler32: str | None = None


def split(path: str) -> tuple[str, str]:
    """Directory and name; the directory of a relative path without one is empty."""
    head, slash, tail = path.rpartition("/")
    return head or slash, tail


def write(
    file: Path,
    entries: Iterable[Entry],
    format: str,
    *,
    packing: str = "none",
    in_two: bool = False,
    adler32: bool = False,
) -> Path:
    """Write entries as a listing; ``in_two`` with dir and name, ``adler32`` with that column."""
    rows = []
    for entry in entries:
        dir, name = split(entry.path)
        row: dict[str, object] = {"dir": dir, "name": name} if in_two else {"path": entry.path}
        rows.append(row | {"size": entry.size} | ({"adler32": entry.adler32} if adler32 else {}))
    columns = [*(("dir", "name") if in_two else ("path",)), "size", *(("adler32",) if adler32 else ())]
    file.write_bytes(pack(encode(columns, rows, format), packing))
    return file


def encode(columns: Sequence[str], rows: Sequence[dict[str, object]], format: str) -> bytes:
    """The bytes of a listing."""
    if format == "parquet":
        types = {"size": pa.int64()}
        fields = [pa.field(name, types.get(name, pa.string())) for name in columns]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(fields)), sink)
        return sink.getvalue()
    if format == "ndjson":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    texts = [["" if row[name] is None else str(row[name]) for name in columns] for row in rows]
    if format == "tsv":
        return "".join("\t".join(fields) + "\n" for fields in [list(columns), *texts]).encode()
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([list(columns), *texts])
    return written.getvalue().encode()


def pack(data: bytes, packing: str) -> bytes:
    """The same bytes, packed."""
    if packing == "gzip":
        return gzip.compress(data, mtime=0)
    if packing == "zstd":
        return pa.compress(data, codec="zstd", asbytes=True)
    return data
