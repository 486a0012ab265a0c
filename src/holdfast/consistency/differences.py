"""Differences of two listings: classes, totals, and the table they are kept in.

The table is a Parquet file, one row a difference, sorted by class and path;
nothing here holds all rows at once. The class files are the same rows as TSV,
one file a class.

Classes
  * ``missing``: expected, not there. ``orphan``: there, not expected.
    ``size_mismatch``: on both sides, sizes differ. ``checksum_mismatch``: sizes
    agree, both adler32 are known and differ. A path is in one of these at most.
  * ``duplicate_expected``, ``duplicate_actual``: a listing has the path more
    than once, and the other not in the same way. This is said of the listing,
    beside the class the file is in.
  * ``unlisted``: a listing folder tells that it could not see whether the file is
    there (``listing_folder.py``).

Class files: TSV without quoting, header ``path``, then ``expected_size``,
``actual_size``, ``expected_adler32``, ``actual_adler32``, ``actual_mtime``,
``expected_rows``, ``actual_rows``; empty where nothing is known. Paths are as in
the listings: one with a control character is never reported. Every class has its
file, if only a header, so that no file of an earlier run is taken for news.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from holdfast.consistency import duckdb_session
from holdfast.consistency.duckdb_session import EngineLimits, literal
from holdfast.model.errors import OperatorError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000


class DifferenceClass(StrEnum):
    """What is said of a path."""

    MISSING = "missing"
    ORPHAN = "orphan"
    SIZE_MISMATCH = "size_mismatch"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    DUPLICATE_EXPECTED = "duplicate_expected"
    DUPLICATE_ACTUAL = "duplicate_actual"
    UNLISTED = "unlisted"


@dataclass(frozen=True, slots=True)
class ClassTotal:
    """How many paths a class has, and their bytes: the expected size, the actual one where none is expected."""

    files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing two listings found.

    ``expected`` and ``actual`` count the rows of the listings. The rows
    themselves are in the table ``differences``. ``unlisted_places`` counts what
    listing folders could not see into.
    """

    expected: int
    actual: int
    totals: Mapping[DifferenceClass, ClassTotal]
    differences: Path
    seconds: float
    unlisted_places: int = 0

    @property
    def equal(self) -> bool:
        """Whether the listings say the same, each path once, and all was seen."""
        return not self.unlisted_places and not any(total.files for total in self.totals.values())


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of the table; None where nothing is known. ``expected_rows`` and ``actual_rows`` count its rows."""

    cls: DifferenceClass
    path: str
    expected_size: int | None
    actual_size: int | None
    expected_adler32: str | None
    actual_adler32: str | None
    expected_rows: int
    actual_rows: int


def batches(table: Path, *classes: DifferenceClass, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The differences of some classes (of all, if none is named) as Arrow batches with the table's columns."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array([str(cls) for cls in classes or DifferenceClass], pa.string())
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(rows):
            kept = batch.filter(pc.is_in(batch.column("class"), value_set=wanted))
            if kept.num_rows:
                yield kept


def read(table: Path, *classes: DifferenceClass) -> Iterator[Difference]:
    """The differences of some classes (of all, if none is named), by class and path."""
    names = [field for field in Difference.__slots__ if field != "cls"]
    for batch in batches(table, *classes):
        for row in batch.to_pylist():
            yield Difference(DifferenceClass(row["class"]), *(row[name] for name in names))


def samples(table: Path, limits: EngineLimits, folder: Path, *, n_max: int) -> dict[DifferenceClass, list[str]]:
    """The first few paths of every class that has any."""
    source = f"read_parquet({literal(str(table))})"
    found: dict[DifferenceClass, list[str]] = {}
    with duckdb_session.session(limits, folder) as connection:
        for cls in DifferenceClass:
            query = f"SELECT path FROM {source} WHERE class = '{cls}' ORDER BY path LIMIT {n_max}"
            paths = [path for (path,) in connection.execute(query).fetchall()]
            if paths:
                found[cls] = paths
    return found


def totals(table: Path, connection: duckdb.DuckDBPyConnection) -> dict[DifferenceClass, ClassTotal]:
    """Files and bytes of every class, those without a file included."""
    found = connection.execute(
        "SELECT class, count(*), coalesce(sum(coalesce(expected_size, actual_size)), 0) "
        f"FROM read_parquet({literal(str(table))}) GROUP BY class"
    ).fetchall()
    counted = {DifferenceClass(cls): ClassTotal(int(files), int(size)) for cls, files, size in found}
    return {cls: counted.get(cls, ClassTotal()) for cls in DifferenceClass}


def write_class_files(table: Path, target: Path, limits: EngineLimits, folder: Path) -> dict[DifferenceClass, Path]:
    """Write one TSV a class into ``target``, made if need be; each appears whole, and all or (if it fails) none."""
    part = target / f".part-{os.getpid()}"
    written = {cls: target / f"{cls}.tsv" for cls in DifferenceClass}
    unfinished = {cls: target / f"{part.name}-{cls}.tsv" for cls in DifferenceClass}
    try:
        target.mkdir(parents=True, exist_ok=True)
        with duckdb_session.session(limits, folder) as connection:
            # One thread keeps the order of the table without buffering.
            connection.execute("SET preserve_insertion_order = true; SET threads = 1")
            for cls, file in unfinished.items():
                connection.execute(_class_file(table, cls, file))
        for cls, file in written.items():
            os.replace(unfinished[cls], file)
    except (OSError, duckdb.Error) as error:
        raise OperatorError(
            f"the class files cannot be written: {duckdb_session.reason(error)}",
            place=str(target),
            hint="name a writable folder with free space",
        ) from error
    finally:
        for file in unfinished.values():
            with contextlib.suppress(OSError):
                file.unlink()
    return written


def _class_file(table: Path, cls: DifferenceClass, file: Path) -> str:
    # A modification time may come as any text; here it must not end the line.
    return (
        "COPY (SELECT path, expected_size, actual_size, expected_adler32, actual_adler32, "
        r"regexp_replace(actual_mtime::VARCHAR, '[\x00-\x1f\x7f]', ' ', 'g') AS actual_mtime, "
        f"expected_rows, actual_rows FROM read_parquet({literal(str(table))}) WHERE class = '{cls}') "
        f"TO {literal(str(file))} (FORMAT csv, DELIMITER E'\\t', HEADER true, QUOTE '', ESCAPE '', NULLSTR '')"
    )
