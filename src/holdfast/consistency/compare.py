"""Compare two listings: what is expected and what is there.

Method
  1. One pass over each listing checks every row and adds it to the digest of
     its bucket: number of rows and sum of row hashes, by the hash of the path.
     Sums need no order, and unlike XOR they do not cancel a path listed twice.
  2. A bucket whose digests differ is bad. Rows of bad buckets only are fetched
     by another pass and compared exactly, by their paths.
  3. If more than a fifth of the buckets is bad, they are narrowed down first:
     one more pass groups their rows by path hash and keeps the hashes whose rows
     differ. Only if those are most of the rows, all rows of bad buckets are
     compared; that works on disk.
Files that agree cost one pass at the speed of decoding, in constant memory.

Rules
  * A hash decides only that two buckets are equal, never that two paths are:
    a difference can go unseen with probability about d x n / 2^64. That is
    chance, not malice: the hash is no cryptographic one.
  * What both listings have equally often, row for row, is equal; so a listing
    equals itself. A path that one of them has more often is reported, and so
    are all differing rows of a path listed several times: nothing cancels.
  * A path listed several times, and not alike, is a size (checksum) mismatch
    unless all its rows, of both sides, agree.
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

from holdfast.consistency import difference_query, differences, duckdb_session, listing_file, listing_rows
from holdfast.consistency.difference_query import Side
from holdfast.consistency.differences import Comparison
from holdfast.consistency.duckdb_session import EngineLimits, Progress, literal
from holdfast.consistency.listing_file import Format, Layout, ListingFile
from holdfast.model.errors import BadInput, OperatorError

BUCKET_ROWS = 150
"""Rows a bucket should have: few enough that a difference drags few others along, and the digest stays small."""

_BITS_MIN, _BITS_MAX = 8, 22
_DIRECT_BITS = 16


@dataclass(frozen=True, slots=True)
class Method:
    """How to compare; the defaults are right, tests set others.

    ``bucket_bits`` is the logarithm of the number of buckets; None: by the
    number of rows. Above ``bad_buckets_max``, a part of all buckets, they are
    narrowed down to path hashes; above ``bad_paths_max``, a part of all rows,
    these are not used either.
    """

    bucket_bits: int | None = None
    bad_buckets_max: float = 0.2
    bad_paths_max: float = 0.3


@dataclass(frozen=True, slots=True)
class Carried:
    """Further columns of each side that go into the table, as ``expected_NAME`` and ``actual_NAME``."""

    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] = ()


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
        return compare(opened, found, table, connection, limits=limits, carried=carried, progress=progress)


def compare(
    expected: ListingFile,
    actual: ListingFile,
    table: Path,
    connection: duckdb.DuckDBPyConnection,
    *,
    limits: EngineLimits,
    method: Method | None = None,
    carried: Carried | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two opened listings and write the differences to ``table``."""
    started = time.monotonic()
    run = _Run(expected, actual, connection, limits, method or Method(), carried or Carried(), progress)
    run.check_kinds()
    n_expected, n_actual = run.digest()
    where = run.narrow_down(n_expected + n_actual)
    _write(run, where, table)
    found = differences.totals(table, connection)
    return Comparison(n_expected, n_actual, found, table, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Run:
    expected: ListingFile
    actual: ListingFile
    connection: duckdb.DuckDBPyConnection
    limits: EngineLimits
    method: Method
    carried: Carried
    progress: Progress | None

    @property
    def key(self) -> tuple[str, ...]:
        """What names a file: two columns where both listings have two, which is cheaper than one long one."""
        both_split = self.expected.layout is Layout.SPLIT and self.actual.layout is Layout.SPLIT
        return ("dir", "name") if both_split else ("path",)

    @property
    def checksums(self) -> bool:
        """Whether both sides may know checksums."""
        return self.expected.has("adler32") and self.actual.has("adler32")

    @property
    def sizes(self) -> bool:
        """Whether both sides tell sizes."""
        return self.expected.tells_sizes and self.actual.tells_sizes

    @property
    def shift(self) -> int:
        """How far to the right a path's hash is shifted to become its bucket."""
        bits = self.method.bucket_bits
        if bits is None:
            rows = max(self.expected.rows_about, self.actual.rows_about)
            bits = min(max(round(math.log2(rows / BUCKET_ROWS + 1)), _BITS_MIN), _BITS_MAX)
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

    def digest(self) -> tuple[int, int]:
        """Make the table ``digest`` of every bucket and return how many rows each listing has.

        One statement for both, so that they are read at the same time.
        """
        as_text = Format.PARQUET not in (self.expected.format, self.actual.format)
        rows = []
        for listing, expected in ((self.expected, True), (self.actual, False)):
            each = listing_rows.digestible(listing, self.key, thorough=expected, as_text=as_text, sizes=self.sizes)
            rows.append(f"SELECT hp, hash(hp, size) AS h, adler32, {expected} AS e FROM ({each})")
        # By a number of 16 bits the engine groups without hashing it once more.
        bucket = f"(hp >> {self.shift})::{'USMALLINT' if 64 - self.shift <= _DIRECT_BITS else 'UINTEGER'}"
        statement = (
            f"CREATE TEMP TABLE digest AS SELECT {bucket} AS b, {_aggregates(self)} "
            f"FROM ({' UNION ALL '.join(rows)}) GROUP BY b"
        )
        try:
            self._run(statement, "Reading")
        except duckdb.Error as error:
            if listing_rows.is_unreadable(error) and not duckdb_session.is_shortage(error):
                raise listing_rows.explain(error, self.connection, self.expected, self.actual) from error
            raise
        found = self.connection.execute("SELECT sum(e_n)::BIGINT, sum(a_n)::BIGINT FROM digest").fetchone()
        return (int(found[0] or 0), int(found[1] or 0)) if found else (0, 0)

    def narrow_down(self, n_rows: int) -> str:
        """The condition on a row's hash ``{hp}`` for being looked at again."""
        in_bad_bucket = f"{{hp}} >> {self.shift} IN (SELECT b FROM bad_buckets)"
        if self._find_bad_buckets() <= self.method.bad_buckets_max:
            return in_bad_bucket
        # From here on there is more than fits into memory.
        duckdb_session.spread_memory(self.connection, self.limits)
        if self._find_bad_paths(in_bad_bucket) <= self.method.bad_paths_max * n_rows:
            return "{hp} IN (SELECT hp FROM bad_paths)"
        return in_bad_bucket

    def _find_bad_buckets(self) -> float:
        """Make the table ``bad_buckets`` and return the part of all buckets that is in it."""
        differ = "e_n <> a_n OR e_s IS DISTINCT FROM a_s"
        if self.checksums:
            differ += " OR (e_k > 0 AND a_k > 0 AND (e_k <> a_k OR e_c <> a_c))"
        self.connection.execute(f"CREATE TEMP TABLE bad_buckets AS SELECT b FROM digest WHERE {differ}")
        every = self._count("digest")
        return self._count("bad_buckets") / every if every else 0.0

    def _find_bad_paths(self, where: str) -> int:
        """Make the table ``bad_paths`` of path hashes that are not once on both sides with the same values."""
        key = ", ".join(self.key)
        rows = " UNION ALL ".join(
            f"SELECT hash({key}) AS hp, {place} AS e, size, adler32 "
            f"FROM ({listing_rows.plain(listing, self.key, where=where, check=not place)})"
            for listing, place in ((self.expected, 1), (self.actual, 0))
        )
        sizes_differ = "OR min(size) <> max(size)" if self.sizes else ""
        sums_differ = "OR min(adler32) <> max(adler32)" if self.checksums else ""
        statement = (
            f"CREATE TEMP TABLE bad_paths AS SELECT hp FROM ({rows}) GROUP BY hp "
            f"HAVING count(*) <> 2 OR sum(e) <> 1 {sizes_differ} {sums_differ}"
        )
        self._run_checking(statement, "Narrowing down")
        return self._count("bad_paths")

    def _count(self, table: str) -> int:
        found = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(found[0]) if found else 0

    def write_differences(self, table: Path, where: str) -> None:
        """Compare the rows that meet ``where`` exactly, and write what differs."""
        expected = Side("expected", self.expected, self.carried.expected, check=False)
        actual = Side("actual", self.actual, self.carried.actual, check=True)
        query = difference_query.differences(expected, actual, self.key, where)
        statement = f"COPY ({query}) TO {literal(str(table))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)"
        self._run_checking(statement, "Comparing")

    def _run_checking(self, statement: str, stage: str) -> None:
        try:
            self._run(statement, stage)
        except duckdb.Error as error:
            if listing_rows.is_bad_row(error):
                raise listing_rows.explain(error, self.connection, self.actual, self.expected) from error
            raise

    def _run(self, statement: str, stage: str) -> None:
        duckdb_session.run(self.connection, statement, stage=stage, progress=self.progress)


def _aggregates(run: _Run) -> str:
    """Count and sum of each side, and the same of the checksums that are known, if a side has any."""
    found = []
    for listing, side, place in ((run.expected, "e", "e"), (run.actual, "a", "NOT e")):
        found.append(f"count(*) FILTER ({place}) AS {side}_n, sum(h) FILTER ({place}) AS {side}_s")
        if listing.has("adler32"):  # Also where the other side has none: a bad one is bad input anyway.
            known = f"FILTER ({place} AND adler32 IS NOT NULL)"
            found.append(f"count(adler32) {known} AS {side}_k, sum(hash(hp, adler32)) {known} AS {side}_c")
    return ", ".join(found)


def _write(run: _Run, where: str, table: Path) -> None:
    part = table.with_name(f".{table.name}.part-{os.getpid()}")
    try:
        run.write_differences(part, where)
        for listing in (run.expected, run.actual):
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
