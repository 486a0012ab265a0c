"""Usage: how much lies where at a site, and that as the ``storage.json`` that people know from WLCG.

Read from the table of directories (``table``), in memory that does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import holdfast
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.tree.columns import ORDER, columns
from holdfast.storage.listing.tables import DirectoryState

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What is at and below a directory, ``size`` in bytes; it may be more if some places are ``unlisted``."""

    path: str
    files: int
    size: int
    directories: int
    """Those below it, not itself."""
    unlisted: int
    """Directories of which not all is known, itself among them."""


def usage(table: Path, limits: EngineLimits, *, depth: int = 1) -> list[Usage]:
    """The usage of "/" and of each directory of at most ``depth`` components, each before those below it.

    ``table`` is what ``write_tree`` has written.
    """
    with columns(limits, table) as found:
        # First to the depth that is asked for, which leaves few rows; only these are counted for each one above.
        found.run(f"""
            CREATE TEMP TABLE cut AS
            SELECT cut(dir, {int(depth)}) AS dir, sum(files) AS files, sum(size) AS size, count(*) AS directories,
                   count(*) FILTER (state <> '{DirectoryState.LISTED}') AS unlisted
            FROM {found.table("tree", [table])} GROUP BY ALL""")
        query = f"""
            SELECT dir, sum(files)::HUGEINT, sum(size)::HUGEINT, sum(directories)::BIGINT - 1, sum(unlisted)::BIGINT
            FROM (SELECT * REPLACE (cut(dir, above) AS dir)
                  FROM (SELECT *, unnest(range(depth(dir) + 1)) AS above FROM cut))
            GROUP BY dir ORDER BY {ORDER}"""
        return [Usage(*row) for row in found.rows(query)]


def storage_json(site: str, used: Iterable[Usage], at_us: int) -> dict[str, Any]:
    """A storage resource report: a share for the whole site and for each directory in which files are.

    ``at_us`` is when the site was listed, in microseconds. How much would fit into the site nobody has told us; so
    there is no ``totalsize``.
    """
    at_s = at_us // MICROSECONDS
    return {
        "storageservice": {
            "name": site,
            "implementation": "holdfast",
            "implementationversion": holdfast.__version__,
            "latestupdate": at_s,
            "storageshares": [
                {
                    "name": each.path,
                    "path": [each.path],
                    "numberoffiles": each.files,
                    "usedsize": each.size,
                    "timestamp": at_s,
                }
                for each in used
                if each.files or each.path == "/"
            ],
        }
    }
