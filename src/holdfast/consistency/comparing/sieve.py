"""Which rows of two or three listings have to be compared exactly: those that their digests do not show to be alike.

Method
  1. One pass over all listings checks their rows and adds each to the digest of
     its bucket, by the hash of the path: the sum of row hashes, in 128 bits. Sums
     need no order, and unlike XOR they do not cancel a path listed twice.
  2. A bucket is bad if the digests of any two listings differ. Only rows of bad
     buckets are looked at again.
  3. If more than a fifth of the buckets is bad, they are narrowed down first:
     one more pass groups their rows by path hash and keeps the hashes whose rows
     differ. Only if those are most of the rows, all rows of bad buckets are
     compared; that works on disk.
Files that agree cost one pass at the speed of decoding, in constant memory.

Rules
  * A hash decides only that buckets are equal, never that two paths are: a
    difference can go unseen with probability about d x n / 2^64. That is
    chance, not malice: the hash is no cryptographic one.
  * Known checksums have digests of their own, which count between two listings
    only where both know some: equal number and sum mean the same checksums of the
    same paths. Otherwise the bucket is compared row by row.
  * So have sizes if one of three listings tells none: the others still differ by them.
  * Every row of the first listing is checked, and of the others those that are
    compared exactly: each other row equals one that was checked.
  * All listings have absolute paths, or all relative ones.

BadInput if a listing is not in order; shortages are the session's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import duckdb

from holdfast.consistency.comparing import duckdb_session, listing_rows, row_faults
from holdfast.consistency.comparing.duckdb_session import EngineLimits, Progress
from holdfast.consistency.comparing.listing_file import Format, Layout, ListingFile
from holdfast.model.errors import BadInput

BUCKET_ROWS = 150
"""Rows a bucket should have: few enough that a difference drags few others along, and the digest stays small."""

_BITS_MIN, _BITS_MAX = 8, 22
_DIRECT_BITS, _FURTHER_BITS_MAX = 16, 3
_SUM_BYTES, _SUMS_OF_CHECKSUMS_BYTES = 32, 72
_TOLD = f"nullif(size, {listing_rows.NOT_TOLD})"


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
class Sieve:
    """Finds in ``listings``, within one session, the rows that may differ."""

    listings: Sequence[ListingFile]
    connection: duckdb.DuckDBPyConnection
    limits: EngineLimits
    method: Method
    progress: Progress | None

    @property
    def key(self) -> tuple[str, ...]:
        """What names a file: two columns where all listings have two, which is cheaper than one long one."""
        all_split = all(listing.layout is Layout.SPLIT for listing in self.listings)
        return ("dir", "name") if all_split else ("path",)

    def sift(self) -> tuple[tuple[int, ...], str]:
        """How many rows each listing has, and the condition on a row's hash ``{hp}`` for being compared exactly."""
        self._check_kinds()
        counts = self._digest()
        return counts, self._narrow_down(sum(counts))

    def run_exactly(self, statement: str) -> None:
        """Run the statement that compares rows exactly, and with that checks those that are not checked yet."""
        self._run_checking(statement, "Comparing")

    def _check_kinds(self) -> None:
        """BadInput if one listing has absolute paths and another relative ones."""
        known = [listing for listing in self.listings if listing.absolute is not None]
        for one, other in combinations(known, 2):
            if one.absolute != other.absolute:
                words = ["absolute" if listing.absolute else "relative" for listing in (one, other)]
                raise BadInput(
                    f"has {words[1]} paths, but {one.place} has {words[0]} ones",
                    place=other.place,
                    hint="put the same prefix before all, or take it off all",
                )

    @property
    def _n_telling(self) -> int:
        """How many listings tell sizes."""
        return sum(listing.tells_sizes for listing in self.listings)

    @property
    def _has_sizes_apart(self) -> bool:
        """Whether sizes have digests of their own: some listings tell them, but not all."""
        return 1 < self._n_telling < len(self.listings)

    @property
    def _bits(self) -> tuple[int, int]:
        """The logarithms of the number of buckets, and of how many of them the engine keeps in one row."""
        wanted = self.method.bucket_bits
        if wanted is None:
            rows = max(listing.rows_about for listing in self.listings)
            wanted = min(max(round(math.log2(rows / BUCKET_ROWS + 1)), _BITS_MIN), _BITS_MAX)
        if wanted <= _DIRECT_BITS:
            return wanted, 0
        has_checksums = any(listing.has("adler32") for listing in self.listings)
        part_bytes = _SUMS_OF_CHECKSUMS_BYTES if has_checksums else _SUM_BYTES
        for further in range(min(wanted - _DIRECT_BITS, _FURTHER_BITS_MAX), 0, -1):
            table_bytes = (2 << _DIRECT_BITS) * (8 + (part_bytes << further))
            fits = table_bytes * self.limits.threads * len(self.listings) <= self.limits.memory // 2
            # Buckets of twice the rows cost less than groups that have to be looked up.
            if fits and wanted <= _DIRECT_BITS + further + 1:
                return _DIRECT_BITS + further, further
        return wanted, 0

    @property
    def _shift(self) -> int:
        """How far to the right a path's hash is shifted to become its bucket."""
        return 64 - self._bits[0]

    def _digest(self) -> tuple[int, ...]:
        """Make the table ``digest`` of each side's buckets and return how many rows each listing has.

        One statement for all, so that they are read at the same time; but grouped apart,
        which is less work than one group with a place for each side.
        """
        statement = f"CREATE TEMP TABLE digest AS {' UNION ALL '.join(map(self._digest_of, range(len(self.listings))))}"
        try:
            self._run(statement, "Reading")
        except duckdb.Error as error:
            if listing_rows.is_unreadable(error) and not duckdb_session.is_shortage(error):
                raise row_faults.explain(error, self.connection, *self.listings) from error
            raise
        counts = dict(self.connection.execute("SELECT side, sum(n)::BIGINT FROM digest GROUP BY side").fetchall())
        return tuple(int(counts.get(place, 0)) for place in range(len(self.listings)))

    def _digest_of(self, place: int) -> str:
        """A query for the digest of one side: count and sum of each bucket, and of the checksums that are known.

        By a number of 16 bits the engine groups directly. Further bits give parts of such
        a group sums of their own; the count of all stands with the first part.
        """
        listing, further = self.listings[place], self._bits[1]
        as_text = all(each.format is not Format.PARQUET for each in self.listings)
        rows = listing_rows.digestible(
            listing, self.key, thorough=not place, as_text=as_text, sizes=self._n_telling > 1
        )
        sums = {"s": "sum(hp)", "z": "sum(h)"} if self._has_sizes_apart else {"s": "sum(h)"}
        if listing.has("adler32"):  # Also where no other side has any: a bad one is bad input anyway.
            sums |= {"k": "count(adler32)", "c": "sum(CASE WHEN adler32 IS NOT NULL THEN hash(hp, adler32) END)"}
        parts = range(1 << further)
        filters = [f"FILTER (part = {part})" for part in parts] if further else [""]
        aggregates = [f"{value} {filters[part]} AS {name}{part}" for name, value in sums.items() for part in parts]
        kind = "USMALLINT" if self._bits[0] - further <= _DIRECT_BITS else "UINTEGER"
        part_of = f"((hp >> {self._shift}) & {len(parts) - 1})::UTINYINT AS part"
        grouped = (
            f"SELECT (hp >> {self._shift + further})::{kind} AS b, count(*) AS n, {', '.join(aggregates)} "
            f"FROM (SELECT hp, hash(hp, size) AS h, adler32, {part_of} FROM ({rows})) GROUP BY b"
        )
        columns = {
            "b": [f"(b::UINTEGER << {further}) + {part}" for part in parts],
            "n": ["n", *["0" for part in parts if part]],
            **{name: [f"{name}{part}" for part in parts] for name in sums},
        }
        found = [f"{_each(values)} AS {name}" for name, values in columns.items()]
        if "k" not in sums and any(each.has("adler32") for each in self.listings):
            found += ["0::BIGINT AS k", "NULL::HUGEINT AS c"]
        return f"SELECT {place}::UTINYINT AS side, {', '.join(found)} FROM ({grouped})"

    def _narrow_down(self, n_rows: int) -> str:
        in_bad_bucket = f"{{hp}} >> {self._shift} IN (SELECT b FROM bad_buckets)"
        if self._find_bad_buckets() <= self.method.bad_buckets_max:
            return in_bad_bucket
        # From here on there is more than fits into memory.
        duckdb_session.spread_memory(self.connection, self.limits)
        if self._find_bad_paths(in_bad_bucket) <= self.method.bad_paths_max * n_rows:
            return "{hp} IN (SELECT hp FROM bad_paths)"
        return in_bad_bucket

    def _find_bad_buckets(self) -> float:
        """Make the table ``bad_buckets`` and return the part of all buckets that is in it."""
        has_sums = any(listing.has("adler32") for listing in self.listings)
        columns = ["s", *(["z"] if self._has_sizes_apart else []), *(["k", "c"] if has_sums else [])]
        found = [
            f"max({name}) FILTER (side = {place}) AS {name}{place}"
            for name in columns
            for place in range(len(self.listings))
        ]
        differ = []
        for (one, first), (other, second) in combinations(enumerate(self.listings), 2):
            differ.append(f"s{one} IS DISTINCT FROM s{other}")
            if self._has_sizes_apart and first.tells_sizes and second.tells_sizes:
                differ.append(f"z{one} IS DISTINCT FROM z{other}")
            if first.has("adler32") and second.has("adler32"):
                differ.append(
                    f"coalesce(k{one} > 0 AND k{other} > 0 AND (k{one} <> k{other} OR c{one} <> c{other}), false)"
                )
        every = f"SELECT b, {' OR '.join(differ)} AS is_bad FROM (SELECT b, {', '.join(found)} FROM digest GROUP BY b)"
        self.connection.execute(f"CREATE TEMP TABLE buckets AS {every}")
        self.connection.execute("CREATE TEMP TABLE bad_buckets AS SELECT b FROM buckets WHERE is_bad")
        n_every = self._count("buckets")
        return self._count("bad_buckets") / n_every if n_every else 0.0

    def _find_bad_paths(self, where: str) -> int:
        """Make the table ``bad_paths`` of path hashes that are not once on each side with the same values."""
        n_sides, key = len(self.listings), ", ".join(self.key)
        rows = " UNION ALL ".join(
            f"SELECT hash({key}) AS hp, {1 << place}::UTINYINT AS side, {_TOLD} AS size, adler32 "
            f"FROM ({listing_rows.plain(listing, self.key, where=where, check=bool(place))})"
            for place, listing in enumerate(self.listings)
        )
        sizes_differ = "OR min(size) <> max(size)" if self._n_telling > 1 else ""
        has_sums = sum(listing.has("adler32") for listing in self.listings) > 1
        sums_differ = "OR min(adler32) <> max(adler32)" if has_sums else ""
        statement = (
            f"CREATE TEMP TABLE bad_paths AS SELECT hp FROM ({rows}) GROUP BY hp "
            f"HAVING count(*) <> {n_sides} OR bit_or(side) <> {(1 << n_sides) - 1} {sizes_differ} {sums_differ}"
        )
        self._run_checking(statement, "Narrowing down")
        return self._count("bad_paths")

    def _count(self, table: str) -> int:
        found = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(found[0]) if found else 0

    def _run_checking(self, statement: str, stage: str) -> None:
        try:
            self._run(statement, stage)
        except duckdb.Error as error:
            if listing_rows.is_bad_row(error):
                raise row_faults.explain(error, self.connection, *reversed(self.listings)) from error
            raise

    def _run(self, statement: str, stage: str) -> None:
        duckdb_session.run(self.connection, statement, stage=stage, progress=self.progress)


def _each(values: Sequence[str]) -> str:
    """A row for each of these values, in SQL."""
    return f"unnest([{', '.join(values)}])" if len(values) > 1 else values[0]
