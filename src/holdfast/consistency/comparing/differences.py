"""Differences of two listings: their classes and totals, and the rows of their table.

Classes
  * ``missing``: expected, not there. ``orphan``: there, not expected.
    ``size_mismatch``: on both sides, sizes differ. ``checksum_mismatch``: sizes
    agree, both adler32 are known and differ. A path is in one of these at most.
  * ``duplicate_expected``, ``duplicate_actual``: a listing has the path more
    than once, and the other not in the same way. This is said of the listing,
    beside the class the file is in.
  * ``unlisted``: a listing folder tells that it could not see whether the file is
    there (``listing_folder.py``).

Columns of the class files: ``path``, then ``expected_size``, ``actual_size``,
``expected_adler32``, ``actual_adler32``, ``actual_mtime``, ``expected_rows``,
``actual_rows``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from holdfast.consistency.comparing.difference_table import Compared, Form

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


FORM = Form(DifferenceClass, ("expected", "actual"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Compared):
    """What comparing two listings found; ``expected`` and ``actual`` count their rows."""

    form: ClassVar[Form] = FORM

    expected: int
    actual: int


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
