"""The listings that ``bench.compare`` compares, and what differs between them.

Two listings of the same files in different order: LFNs of 141 bytes ending in
UUIDs, 100 files a directory, in no order of directories; one file in 10,000
differs, a third each missing, orphan and of another size. Everything is made
in pieces, whatever the number of rows, and once: the next run finds it there.
The Parquet files are as pyarrow writes them (zstd).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

DIRECTORY_FILES = 100
PLANTED_EVERY = 30_000
BATCH_ROWS = 200_000

# Offsets within every 30,000 files at which one kind of difference is planted.
MISSING, ORPHAN, RESIZED = 7, 11, 13

FACTORS = (6_180_339_923, 7_548_776_687)
"""Primes that divide no number of rows; each side's order of files is a multiple of one."""


def _schema(*fields: pa.Field[Any]) -> pa.Schema:
    return pa.schema(list(fields))


SPLIT = _schema(pa.field("dir", pa.string()), pa.field("name", pa.string()), pa.field("size", pa.int64()))
WHOLE = _schema(pa.field("path", pa.string()), pa.field("size", pa.int64()))
FORMS = ("parquet", "split.parquet", "tsv")

Planted = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Data:
    """The listings of one size, in several forms, and what differs."""

    folder: Path
    rows: int

    def file(self, side: str, form: str) -> Path:
        """One listing: ``side`` is expected or actual, ``form`` a suffix."""
        return self.folder / f"{side}.{form}"

    def planted(self) -> Planted:
        """The paths that differ, by class."""
        with open(self.folder / "planted.json", encoding="utf-8") as file:
            return {name: set(paths) for name, paths in json.load(file).items()}


def prepare(folder: Path, rows: int, forms: tuple[str, ...] = FORMS) -> Data:
    """The listings of ``rows`` files a side, made in ``folder`` unless they are there."""
    data = Data(folder, rows)
    if (folder / "planted.json").exists():
        return data
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2; SET memory_limit = '1GB'; SET enable_progress_bar = false")
        for side in ("expected", "actual"):
            _write_side(connection, data, side, forms)
        numbers = f"SELECT number FROM range({rows}) r(number)"
        planted: Planted = {"missing": set(), "orphan": set(), "size_mismatch": set()}
        names = {MISSING: "missing", ORPHAN: "orphan", RESIZED: "size_mismatch"}
        wanted = f"{numbers} WHERE number % {PLANTED_EVERY} IN ({', '.join(map(str, names))})"
        paths = f"SELECT dir || '/' || name, number % {PLANTED_EVERY} FROM ({_files(wanted)})"
        for path, place in connection.execute(paths).fetchall():
            planted[names[place]].add(path)
    (folder / "planted.json").write_text(json.dumps({name: sorted(paths) for name, paths in planted.items()}))
    return data


def one_directory(folder: Path, rows: int) -> Data:
    """Listings of one directory with ``rows`` files, one of which has another size, unless they are there."""
    data = Data(folder, rows)
    if (folder / "planted.json").exists():
        return data
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dir, names = "/store/mc/flat", [f"file-{number:08}.root" for number in range(rows)]
    for side in ("expected", "actual"):
        sizes = [number + (side == "actual" and number == rows // 2) for number in range(rows)]
        batch = pa.record_batch({"dir": [dir] * rows, "name": names, "size": pa.array(sizes, pa.int64())})
        _write(data, side, FORMS, [batch])
    planted = {"missing": [], "orphan": [], "size_mismatch": [f"{dir}/{names[rows // 2]}"]}
    (folder / "planted.json").write_text(json.dumps(planted))
    return data


def _files(numbers: str) -> str:
    """A query for the files with these numbers, a query with the column ``number``."""
    return f"""
        SELECT '/store/mc/Summer20UL' || (16 + d % 3) || '/TTToSemiLeptonic_TuneCP5_13TeV-pythia8_ext'
               || lpad((d // 997)::VARCHAR, 4, '0') || '/NANOAODSIM/106X_v' || (d % 7) || '-v1/'
               || lpad(d::VARCHAR, 7, '0') AS dir,
               md5('file' || number)::UUID::VARCHAR || '.root' AS name,
               ('0x' || left(md5('size' || number), 8))::BIGINT AS size, number
        FROM (SELECT number, number // {DIRECTORY_FILES} AS d FROM ({numbers}))"""


def _write_side(connection: duckdb.DuckDBPyConnection, data: Data, side: str, forms: tuple[str, ...]) -> None:
    # The primes scramble the order of files: neighbours differ in directory.
    left_out, factor, offset = (ORPHAN, FACTORS[0], 3) if side == "expected" else (MISSING, FACTORS[1], 17)
    place = f"(place::HUGEINT * {factor} + {offset}) % {data.rows}"
    numbers = f"SELECT ({place})::BIGINT AS number FROM range({data.rows}) r(place)"
    changed = f"(number % {PLANTED_EVERY} = {RESIZED})::INTEGER" if side == "actual" else "0"
    query = f"""SELECT dir, name, (size + {changed})::BIGINT AS size FROM ({_files(numbers)})
                WHERE number % {PLANTED_EVERY} <> {left_out}"""
    _write(data, side, forms, connection.sql(query).to_arrow_reader(BATCH_ROWS))


def _write(data: Data, side: str, forms: tuple[str, ...], batches: Iterable[pa.RecordBatch]) -> None:
    """Write one listing in every form, at the same time."""
    with ExitStack() as stack:
        writers = {form: _writer(data.file(side, form), form, stack) for form in forms}
        for batch in batches:
            dirs, names, sizes = (batch.column(place) for place in range(3))
            paths = pc.binary_join_element_wise(dirs, names, pa.scalar("/"))  # type: ignore[call-overload]
            split = pa.table([dirs, names, sizes], schema=SPLIT)
            whole = pa.table([paths, sizes], schema=WHOLE)
            for form, writer in writers.items():
                writer.write_table(split if form == "split.parquet" else whole)


def _writer(file: Path, form: str, stack: ExitStack) -> pyarrow.csv.CSVWriter | pq.ParquetWriter:
    """What writes a form of a listing until ``stack`` closes it."""
    if form != "tsv":
        return stack.enter_context(
            pq.ParquetWriter(file, SPLIT if form == "split.parquet" else WHOLE, compression="zstd")
        )
    opened = stack.enter_context(pa.OSFile(str(file), mode="wb"))
    opened.write(b"path\tsize\n")
    options = pyarrow.csv.WriteOptions(delimiter="\t", quoting_style="none", include_header=False)
    # The stubs do not know that it takes such a file.
    return stack.enter_context(pyarrow.csv.CSVWriter(opened, WHOLE, write_options=options))  # type: ignore[arg-type]
