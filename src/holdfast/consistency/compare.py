"""Compare two listings: what is expected and what is there.

Method
  1. One pass over each listing checks every row and adds it to the digest of
     its bucket: number of rows and sum of row hashes, by the hash of the path.
     Sums need no order, and unlike XOR they do not cancel a path listed twice.
  2. A bucket whose digests differ is bad. A second pass fetches the rows of bad
     buckets only, and these are compared exactly, by their paths. If more than
     a fifth of the buckets is bad, all rows are compared in the same way; the
     engine then works on disk.
Equal files cost two passes at the speed of decoding, in constant memory.

Rules
  * A hash decides only that two buckets are equal, never that two paths are:
    a difference can go unseen with probability about d x n / 2^64. That is
    chance, not malice: the hash is no cryptographic one.
  * A path listed twice is reported wherever it is, even if both listings have
    it twice. The first pass groups the expected listing by path hash for this;
    what only the actual listing has twice makes its bucket bad.
  * A path listed several times is a size (checksum) mismatch unless all its
    rows, of both sides, agree.
  * An unknown adler32 is never a mismatch, and hides none. Known checksums
    have digests of their own, which count only where both sides know some: equal
    number and sum mean the same checksums of the same paths. Otherwise the
    bucket is compared row by row.
  * Both listings have absolute paths, or both relative ones.
  * Equal input gives an equal table, in equal order.

BadInput, before anything is written, if a listing is not in order;
OperatorError if memory or disk run out. The table appears whole or not at all.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from holdfast.consistency import differences, duckdb_session, listing_file, listing_rows
from holdfast.consistency.differences import Comparison
from holdfast.consistency.duckdb_session import EngineLimits, Progress, literal
from holdfast.consistency.listing_file import Layout, ListingFile
from holdfast.model.errors import BadInput, OperatorError

BUCKET_ROWS = 100
"""Rows a bucket should have: few enough that a difference drags few others along, and the digest stays small."""

_BITS_MIN, _BITS_MAX = 8, 22


@dataclass(frozen=True, slots=True)
class Method:
    """How to compare; the defaults are right, tests set others.

    ``bucket_bits`` is the logarithm of the number of buckets; None: by the
    number of rows. ``bad_part_max`` is the part of bad buckets above which all
    rows are compared.
    """

    bucket_bits: int | None = None
    bad_part_max: float = 0.2


@dataclass(frozen=True, slots=True)
class Carried:
    """Further columns of each side that go into the table, as ``expected_NAME`` and ``actual_NAME``."""

    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns they become in the table."""
        return tuple(f"expected_{name}" for name in self.expected) + tuple(f"actual_{name}" for name in self.actual)


def compare_files(
    expected: Path,
    actual: Path,
    table: Path,
    *,
    limits: EngineLimits,
    carried: Carried | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two listing files and write the differences to ``table``, a Parquet file.

    Its columns: class, path, dir, name, expected_size, actual_size,
    expected_adler32, actual_adler32, actual_mtime, expected_rows, actual_rows,
    and those ``carried``.
    """
    with duckdb_session.work_folder(limits) as folder, duckdb_session.session(limits, folder) as connection:
        if progress:
            progress("Opening", None)
        opened = listing_file.open_listing(expected, folder / "expected.listing", connection)
        found = listing_file.open_listing(actual, folder / "actual.listing", connection)
        return compare(opened, found, table, connection, carried=carried, progress=progress)


def compare(
    expected: ListingFile,
    actual: ListingFile,
    table: Path,
    connection: duckdb.DuckDBPyConnection,
    *,
    method: Method | None = None,
    carried: Carried | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two opened listings and write the differences to ``table``."""
    started = time.monotonic()
    run = _Run(expected, actual, connection, method or Method(), carried or Carried(), progress)
    run.check_kinds()
    n_expected, n_actual = run.digest(expected, "expected"), run.digest(actual, "actual")
    bad_part = run.find_bad_buckets()
    _write(run, bad_part, table)
    found = differences.totals(table, connection)
    return Comparison(n_expected, n_actual, found, table, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Run:
    expected: ListingFile
    actual: ListingFile
    connection: duckdb.DuckDBPyConnection
    method: Method
    carried: Carried
    progress: Progress | None

    @property
    def key(self) -> tuple[str, ...]:
        """What names a file: two columns where both listings have two, which is cheaper than one long one."""
        both_split = self.expected.layout is Layout.SPLIT and self.actual.layout is Layout.SPLIT
        return ("dir", "name") if both_split else ("path",)

    @property
    def sides(self) -> tuple[tuple[ListingFile, str], tuple[ListingFile, str]]:
        """Both listings with their names in the table."""
        return (self.expected, "expected"), (self.actual, "actual")

    @property
    def checksums(self) -> bool:
        """Whether both sides may know checksums."""
        return self.expected.has("adler32") and self.actual.has("adler32")

    @property
    def shift(self) -> int:
        """How far to the right a path's hash is shifted to become its bucket."""
        bits = self.method.bucket_bits
        if bits is None:
            rows = max(self.expected.rows_about, self.actual.rows_about)
            bits = min(max(math.ceil(math.log2(rows / BUCKET_ROWS + 1)), _BITS_MIN), _BITS_MAX)
        return 64 - bits

    def check_kinds(self) -> None:
        """BadInput if one listing has absolute paths and the other relative ones."""
        kinds = (self.expected.absolute, self.actual.absolute)
        if None not in kinds and kinds[0] != kinds[1]:
            words = ["absolute" if kind else "relative" for kind in kinds]
            raise BadInput(
                f"has {words[1]} paths, but {self.expected.place} has {words[0]} ones",
                place=self.actual.place,
                hint="put the same prefix before both, or take it off both",
            )

    def digest(self, listing: ListingFile, side: str) -> int:
        """Make the table ``digest_SIDE`` and return how many rows the listing has."""
        rows = f"SELECT hp, hash(hp, size) AS h, adler32 FROM ({listing_rows.checked(listing, self.key)})"
        aggregates = {"n": "count(*)", "s": "sum(h)"}
        if listing.has("adler32"):  # Also where the other side has none: a bad one is bad input anyway.
            aggregates |= {"k": "count(adler32)", "c": "sum(hash(hp, adler32)) FILTER (adler32 IS NOT NULL)"}
        selected = ", ".join(f"{expression} AS {name}" for name, expression in aggregates.items())
        if side == "expected":
            rows = f"SELECT hp, {selected} FROM ({rows}) GROUP BY hp"
            selected = ", ".join(f"sum({name}) AS {name}" for name in aggregates) + ", max(n) > 1 AS doubled"
        statement = f"SELECT hp >> {self.shift} AS b, {selected} FROM ({rows}) GROUP BY b"
        self._read(listing, f"CREATE TEMP TABLE digest_{side} AS {statement}", f"Reading what is {side}")
        counted = self.connection.execute(f"SELECT sum(n)::BIGINT FROM digest_{side}").fetchone()
        return int(counted[0] or 0) if counted else 0

    def find_bad_buckets(self) -> float:
        """Make the table ``bad`` and return the part of the buckets that is in it."""
        differ = "(e.n, e.s) IS DISTINCT FROM (a.n, a.s) OR e.doubled"
        if self.checksums:
            differ += " OR (e.k > 0 AND a.k > 0 AND (e.k, e.c) IS DISTINCT FROM (a.k, a.c))"
        self.connection.execute(
            "CREATE TEMP TABLE bad AS SELECT coalesce(e.b, a.b) AS b "
            f"FROM digest_expected e FULL JOIN digest_actual a ON e.b = a.b WHERE {differ}"
        )
        counted = self.connection.execute(
            "SELECT (SELECT count(*) FROM bad), "
            "(SELECT count(*) FROM (SELECT b FROM digest_expected UNION SELECT b FROM digest_actual))"
        ).fetchone()
        bad, every = counted or (0, 0)
        return bad / every if every else 0.0

    def _read(self, listing: ListingFile, statement: str, stage: str) -> None:
        try:
            duckdb_session.run(self.connection, statement, stage=stage, progress=self.progress)
        except duckdb.Error as error:
            if duckdb_session.is_shortage(error) or not listing_rows.is_bad_row(error):
                raise
            raise listing_rows.explain(listing, error, self.connection) from error

    def write_differences(self, table: Path, *, bad_only: bool) -> None:
        """Compare rows exactly, those of bad buckets or all, and write what differs."""
        query = _differences(self, bad_only)
        statement = f"COPY ({query}) TO {literal(str(table))} (FORMAT parquet, COMPRESSION zstd)"
        duckdb_session.run(self.connection, statement, stage="Comparing", progress=self.progress)

    def rows(self, listing: ListingFile, side: str, *, bad_only: bool) -> str:
        """A query for one side's rows in the form both sides have; the other side's columns are NULL."""
        carried = self.carried.expected if side == "expected" else self.carried.actual
        where = f"{{hp}} >> {self.shift} IN (SELECT b FROM bad)" if bad_only else "true"
        source = listing_rows.plain(listing, self.key, carried, where=where)
        own = {f"{side}_{name}": name for name in ("size", "adler32", "mtime")}
        own |= {f"{side}_{name}": f'"extra_{name}"' for name in carried}
        columns = [f'{own.get(name, "NULL")} AS "{name}"' for name in (*_VALUES, "actual_mtime", *self.carried.names)]
        return f"SELECT {', '.join(self.key)}, {', '.join(columns)} FROM ({source})"


_VALUES = ("expected_size", "actual_size", "expected_adler32", "actual_adler32")


def _write(run: _Run, bad_part: float, table: Path) -> None:
    part = table.with_name(f".{table.name}.part-{os.getpid()}")
    try:
        run.write_differences(part, bad_only=bad_part <= run.method.bad_part_max)
        for listing, _ in run.sides:
            listing.staged.check_unchanged()
        os.replace(part, table)
    except (OSError, duckdb.Error) as error:
        if isinstance(error, duckdb.Error) and part.name not in str(error):
            raise
        raise OperatorError(
            f"the table of differences cannot be written: {duckdb_session.reason(error)}",
            place=str(table),
            hint="name a writable folder with free space",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _differences(run: _Run, bad_only: bool) -> str:
    """The query for every difference, one row each, in order of class and path."""
    key = ", ".join(run.key)
    sides = [run.rows(listing, side, bad_only=bad_only) for listing, side in run.sides]
    bounds = [f"min({name}) AS {name}_least, max({name}) AS {name}_most" for name in _VALUES]
    others = [f"max({name}) AS {name}" for name in ("actual_mtime", *(f'"{each}"' for each in run.carried.names))]
    path, dir, name = _names(run.key)
    return f"""
        WITH judged AS (
            SELECT *, {_class_of(run.checksums)} AS cls FROM (
                SELECT {key}, count(expected_size) AS expected_rows, count(actual_size) AS actual_rows,
                       {", ".join((*bounds, *others))}
                FROM ({" UNION ALL ".join(sides)}) GROUP BY {key})
            WHERE cls IS NOT NULL OR expected_rows > 1 OR actual_rows > 1),
        said AS (
            SELECT *, unnest([cls, CASE WHEN expected_rows > 1 THEN 'duplicate_expected' END,
                              CASE WHEN actual_rows > 1 THEN 'duplicate_actual' END]) AS class
            FROM judged)
        SELECT class, {path} AS path, {dir} AS dir, {name} AS name,
               {_pair("size", "{}")}, {_pair("adler32", "printf('%08x', {})")},
               actual_mtime, expected_rows, actual_rows{"".join(f', "{each}"' for each in run.carried.names)}
        FROM said WHERE class IS NOT NULL ORDER BY class, path"""


def _class_of(checksums: bool) -> str:
    def disagree(value: str) -> str:
        # All rows of both sides agree if the least and the most of each are one and the same.
        sides = (f"expected_{value}_least <> expected_{value}_most", f"actual_{value}_least <> actual_{value}_most")
        return f"({' OR '.join(sides)} OR expected_{value}_least <> actual_{value}_least)"

    known = "expected_adler32_least IS NOT NULL AND actual_adler32_least IS NOT NULL"
    mismatch = f"WHEN {known} AND {disagree('adler32')} THEN 'checksum_mismatch'" if checksums else ""
    return (
        "CASE WHEN actual_rows = 0 THEN 'missing' WHEN expected_rows = 0 THEN 'orphan' "
        f"WHEN {disagree('size')} THEN 'size_mismatch' {mismatch} END"
    )


def _pair(value: str, shown: str) -> str:
    """Both sides' values: two that differ, if any of a path's rows do."""
    expected, actual = f"expected_{value}", f"actual_{value}"
    differ = f"{expected}_least IS DISTINCT FROM {actual}_most"
    return (
        f"CASE WHEN {differ} THEN {shown.format(expected + '_least')} "
        f"ELSE {shown.format(expected + '_most')} END AS {expected}, "
        f"CASE WHEN {differ} THEN {shown.format(actual + '_most')} "
        f"ELSE {shown.format(actual + '_least')} END AS {actual}"
    )


def _names(key: tuple[str, ...]) -> tuple[str, str, str]:
    """Path, directory and name out of the key."""
    if key == ("dir", "name"):
        return "CASE WHEN dir IN ('', '/') THEN dir ELSE dir || '/' END || name", "dir", "name"
    name = "split_part(path, '/', -1)"
    head = f"left(path, length(path) - length({name}) - 1)"
    return "path", f"CASE WHEN {head} = '' AND starts_with(path, '/') THEN '/' ELSE {head} END", name
