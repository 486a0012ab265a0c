"""Compare two listings: what is expected and what is there.

The rows that may differ are found by digests (``sieve.py``), then compared
exactly, by their paths (``difference_query.py``).

Rules
  * What both listings have equally often, row for row, is equal; so a listing
    equals itself. A path that one of them has more often is reported, and so
    are all differing rows of a path listed several times: nothing cancels.
  * A path listed several times, and not alike, is a size (checksum) mismatch
    unless all its rows, of both sides, agree.
  * An unknown size or adler32 is never a mismatch, and hides none.
  * Equal input gives an equal table, in equal order.

BadInput, before anything is written, if a listing is not in order;
OperatorError if memory or disk run out. The table appears whole or not at all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from holdfast.consistency.comparing import (
    difference_query,
    difference_table,
    differences,
    duckdb_session,
    listing_file,
    listing_folder,
)
from holdfast.consistency.comparing.difference_query import Side
from holdfast.consistency.comparing.differences import Comparison
from holdfast.consistency.comparing.duckdb_session import EngineLimits, Progress
from holdfast.consistency.comparing.listing_file import ListingFile
from holdfast.consistency.comparing.sieve import Method, Sieve


@dataclass(frozen=True, slots=True)
class Carried:
    """Further columns of each side that go into the table, as ``expected_NAME`` and ``actual_NAME``."""

    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] = ()


def compare_listings(
    expected: Path,
    actual: Path,
    table: Path,
    *,
    limits: EngineLimits,
    partial: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """As ``compare_files``, but what listing folders could not see is ``unlisted``.

    ``partial`` takes a listing folder that is of a part of a site.
    """
    sights = listing_folder.sights({"expected": expected, "actual": actual}, partial=partial)
    found = compare_files(expected, actual, table, limits=limits, progress=progress)
    return listing_folder.set_apart(found, sights, limits)


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
    listings, carried = (expected, actual), carried or Carried()
    sieve = Sieve(listings, connection, limits, method or Method(), progress)
    (n_expected, n_actual), where = sieve.sift()
    sides = (
        Side("expected", expected, carried.expected, check=False),
        Side("actual", actual, carried.actual, check=True),
    )
    query = difference_query.differences(*sides, sieve.key, where)
    difference_table.write(query, table, sieve.run_exactly, listings)
    found = difference_table.totals(differences.FORM, table, connection)
    return Comparison(
        expected=n_expected, actual=n_actual, totals=found, differences=table, seconds=time.monotonic() - started
    )
