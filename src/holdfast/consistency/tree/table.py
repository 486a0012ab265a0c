"""The table of a site's directories, ``tree.parquet``: what usage is known by when the entries are gone.

One row per directory that a listing met, each before all that is below it:
    dir, state        as in the listing (``holdfast.storage.listing.tables``)
    files             how many files are directly in it
    size              their bytes, as far as the storage told them

Rules
  * The table appears whole or not at all, and outlasts a crash of the machine.
  * Equal listings give equal rows, in equal order.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import duckdb

from holdfast.consistency.comparing import duckdb_session
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal
from holdfast.consistency.durable import sync
from holdfast.consistency.tree.columns import ORDER, columns
from holdfast.model.errors import OperatorError
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, INT64_MAX

TREE = "tree.parquet"


def write_tree(listing: Listing, target: Path, limits: EngineLimits) -> None:
    """Write the table of a listing, which has its entries yet, to ``target``; OperatorError if that cannot be."""
    with columns(limits, listing.folder) as found:
        directories = found.table("directories", listing.parts(DIRECTORIES))
        entries = found.table("entries", listing.parts(ENTRIES))
        # One grouping of all rows: unlike a join it works on disk, however many directories there are.
        query = f"""
            SELECT dir, max(state) AS state, sum(files)::BIGINT AS files,
                   least(sum(size), {INT64_MAX})::BIGINT AS size
            FROM (
                SELECT dir, state, 0 AS files, 0::BIGINT AS size FROM {directories}
                UNION ALL
                SELECT dir, NULL, 1, coalesce(size, 0) FROM {entries})
            GROUP BY dir ORDER BY {ORDER}"""
        # One process at a time has the folder; what a killed one has left is written over.
        part = target.with_name(f"{target.name}.part")
        try:
            found.run(f"COPY ({query}) TO {literal(str(part))} (FORMAT parquet, COMPRESSION zstd)")
            sync(part)
            os.replace(part, target)
            sync(target.parent)
        except (OSError, duckdb.IOException) as error:
            if isinstance(error, duckdb.IOException) and part.name not in str(error):
                raise
            raise OperatorError(
                f"the table of directories cannot be written: {duckdb_session.reason(error)}",
                place=str(target),
                hint="name a writable folder with free space",
            ) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
