"""Compare a storage's listing with two of what was expected: one taken before it, one after.

A listing takes its time, and files come and go meanwhile. Missing is only what
both expect and the storage does not show, an orphan only what neither expects;
what they do not agree on is in flight, and nobody's fault.

Rules
  * The rows that may differ are found by digests of all three (``sieve.py``) and
    compared exactly (``window_query.py``); checks of rows and errors are those of
    ``compare.py``.
  * What listing folders could not see is ``unlisted``, as in ``listing_folder.py``.
  * Swapping before and after changes no class, but in the name of a duplicate.
  * Equal input gives an equal table, in equal order.

BadInput, before anything is written, if a listing is not in order;
OperatorError if memory or disk run out. The table appears whole or not at all.
"""

from __future__ import annotations

import time
from pathlib import Path

import duckdb

from holdfast.consistency.comparing import (
    difference_table,
    duckdb_session,
    listing_file,
    listing_folder,
    window_differences,
    window_query,
)
from holdfast.consistency.comparing.duckdb_session import EngineLimits, Progress
from holdfast.consistency.comparing.listing_file import ListingFile
from holdfast.consistency.comparing.sieve import Method, Sieve
from holdfast.consistency.comparing.window_differences import WindowComparison
from holdfast.consistency.comparing.window_query import Young
from holdfast.model.errors import BadInput


def compare_windows(
    before: Path,
    after: Path,
    storage: Path,
    differences: Path,
    *,
    limits: EngineLimits,
    young: Young | None = None,
    partial: bool = False,
    method: Method | None = None,
    progress: Progress | None = None,
) -> WindowComparison:
    """Compare three listing files and write what differs to ``differences``, a Parquet file.

    Its columns: class, path, dir, name, before_size, after_size, storage_size,
    the same of adler32, storage_mtime, before_rows, after_rows, storage_rows, reason.
    Files of the storage that are ``young`` are in flight if they differ; ``partial``
    takes a listing folder that is of a part of a site.
    """
    started = time.monotonic()
    sources = dict(zip(window_differences.FORM.sides, (before, after, storage), strict=True))
    sights = listing_folder.sights(sources, partial=partial)
    with duckdb_session.work_folder(limits) as folder, duckdb_session.session(limits, folder) as connection:
        if progress:
            progress("Opening", None)
        listings = [
            listing_file.open_listing(source, folder / f"{side}.listing", connection)
            for side, source in sources.items()
        ]
        changed_s = window_query.changed_at(listings[-1], connection) if young else None
        sieve = Sieve(listings, connection, limits, method or Method(), progress)
        (n_before, n_after, n_storage), where = sieve.sift()
        query = window_query.differences(listings, sieve.key, where, changed_s, young)
        difference_table.write(query, differences, lambda statement: _run(sieve, statement, listings[-1]), listings)
        totals = difference_table.totals(window_differences.FORM, differences, connection)
    found = WindowComparison(
        before=n_before,
        after=n_after,
        storage=n_storage,
        totals=totals,
        differences=differences,
        seconds=time.monotonic() - started,
    )
    return listing_folder.set_apart(found, sights, limits)


def _run(sieve: Sieve, statement: str, storage: ListingFile) -> None:
    try:
        sieve.run_exactly(statement)
    except duckdb.Error as error:
        problem = str(error).partition(window_query.BAD_TIME)[2]
        if not problem:
            raise
        raise BadInput(
            f"has the mtime {problem.splitlines()[0]}, which is no time",
            place=storage.place,
            hint="write seconds since 1970, or leave --ignore-age out",
        ) from error
