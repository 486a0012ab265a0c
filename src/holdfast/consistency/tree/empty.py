"""Empty directories: those below which nothing is but other empty ones.

Read from a listing's table of directories, in memory that does not grow with it.

Rules
  * Empty is only what was listed, and believed, itself and all below it: with no
    file, no oddity, and each directory that it shows.
  * "/" is never empty, nor what is at or above a fixed directory: one that all
    files of the site have in common, by its rules.
  * Each comes after all that are below it: in this order they can be removed.
  * Of how old they are nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal
from holdfast.consistency.tree.columns import ORDER, Columns, columns
from holdfast.model import names
from holdfast.model.records import EmptyDirectory
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.tables import DIRECTORIES, DirectoryState


def empty_directories(listing: Listing, limits: EngineLimits, *, fixed: Sequence[str]) -> Iterator[EmptyDirectory]:
    """The empty directories of a listing. ``fixed`` are directories to keep, with all above them."""
    if not _has_any(listing):
        return
    with columns(limits, listing.folder) as found:
        directories = found.table("directories", listing.parts(DIRECTORIES))
        has_nothing = f"state = '{DirectoryState.LISTED}' AND files = 0 AND oddities = 0"
        found.run(f"""
            CREATE TEMP TABLE candidate AS
            SELECT dir, above(dir) AS parent, directories, mtime_ns FROM {directories}
            WHERE {has_nothing} AND dir <> '/'""")
        _drop(found, f"SELECT above(dir) AS dir FROM {directories} WHERE NOT ({has_nothing})")
        # A directory that was shown and of which there is no row would be a listing at odds with itself.
        _drop(
            found,
            """SELECT dir FROM candidate LEFT JOIN (SELECT parent AS dir, count(*) AS met FROM candidate GROUP BY ALL)
               USING (dir) WHERE coalesce(met, 0) <> directories""",
        )
        kept = ", ".join(literal(path) for path in sorted(_at_or_above(fixed)))
        query = f"SELECT dir, mtime_ns FROM candidate WHERE dir NOT IN ({kept}) ORDER BY {ORDER} DESC"
        for path, mtime_ns in found.rows(query):
            yield EmptyDirectory(path, mtime_ns)


def _has_any(listing: Listing) -> bool:
    """Whether any directory shows nothing at all; where none does, no engine has to be started."""
    for part in listing.parts(DIRECTORIES):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(columns=["files", "directories", "oddities"]):
                shown = pc.add(pc.add(batch.column(0), batch.column(1)), batch.column(2))
                if pc.min(shown).as_py() == 0:
                    return True
    return False


def _drop(found: Columns, query: str) -> None:
    """Take the directories that ``query`` gives off the candidates, and with them all above."""
    while True:
        found.run(f"""
            CREATE OR REPLACE TEMP TABLE dropped AS
            SELECT DISTINCT dir FROM ({query}) SEMI JOIN candidate USING (dir)""")
        if not found.count("dropped"):
            return
        found.run("DELETE FROM candidate WHERE dir IN (FROM dropped)")
        found.run("CREATE OR REPLACE TEMP TABLE next AS SELECT above(dir) AS dir FROM dropped")
        query = "FROM next"


def _at_or_above(fixed: Sequence[str]) -> set[str]:
    found = {"/"}
    for path in fixed:
        above = f"/{path.strip('/')}"
        while above not in found:
            found.add(above)
            above = names.split(above)[0]
    return found
