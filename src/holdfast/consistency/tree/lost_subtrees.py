"""Lost subtrees: directories of which every expected file is missing, the highest ones only.

A disk or a mount that is gone looks like this; so does a deletion by mistake.
Read from the tables of a run, in memory that does not grow with the site.

Rules
  * Lost is a directory at and below which files were expected, and each of them is
    a finding of the class missing. One that is anything else (suspect, unlisted,
    ignored, or there) keeps all above it from being lost.
  * A directory below a lost one is not told.
  * The largest come first: most bytes, then most files, then by path.
"""

from __future__ import annotations

from pathlib import Path

from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.report import FINDINGS, LostSubtree
from holdfast.consistency.run_folder import EXPECTED
from holdfast.consistency.tree.columns import Columns, columns

MOST = 10_000
"""So many are told."""


def lost_subtrees(folder: Path, limits: EngineLimits, *, most: int = MOST) -> list[LostSubtree]:
    """The lost subtrees of the run in ``folder``, while it has the table of what was expected."""
    with columns(limits, folder) as found:
        expected, findings = (found.table(name, [folder / name]) for name in (EXPECTED, FINDINGS))
        missing = f"SELECT dir FROM {findings} WHERE class = '{Class.MISSING}'"
        if not found.count(f"({missing} LIMIT 1)"):
            return []
        found.run(f"""
            CREATE TEMP TABLE counted AS
            SELECT dir, sum(files)::BIGINT AS files, sum(size)::HUGEINT AS size, sum(missing)::BIGINT AS missing
            FROM (
                SELECT dir, 1 AS files, size, 0 AS missing FROM {expected}
                UNION ALL
                SELECT dir, 0, 0, 1 FROM ({missing}))
            GROUP BY dir""")
        _find_lost(found)
        return [LostSubtree(*row) for row in found.rows(_highest(found, most))]


def _find_lost(found: Columns) -> None:
    """Make the table ``lost`` of all directories, lowest to highest, that are."""
    found.run("CREATE TEMP TABLE lost AS SELECT dir FROM counted WHERE files = missing")
    found.run("CREATE TEMP TABLE climbing AS FROM lost")
    while found.count("climbing"):
        _climb(found)
        found.run("CREATE OR REPLACE TEMP TABLE climbing AS FROM climbing ANTI JOIN lost USING (dir)")
        found.run("INSERT INTO lost FROM climbing")
    found.run("CREATE OR REPLACE TEMP TABLE climbing AS SELECT dir FROM counted WHERE files <> missing")
    while found.count("climbing"):
        found.run("CREATE OR REPLACE TEMP TABLE sound AS FROM climbing SEMI JOIN lost USING (dir)")
        found.run("DELETE FROM lost WHERE dir IN (FROM sound)")
        _climb(found)


def _climb(found: Columns) -> None:
    """From the directories that climb to those right above them."""
    found.run("""
        CREATE OR REPLACE TEMP TABLE climbing AS
        SELECT DISTINCT above(dir) AS dir FROM climbing WHERE dir <> '/'""")


def _highest(found: Columns, most: int) -> str:
    """Move the sums of lost directories up to the highest; the query for these."""
    found.run("CREATE TEMP TABLE highest (dir VARCHAR, files HUGEINT, size HUGEINT)")
    found.run("CREATE TEMP TABLE moving AS SELECT dir, files, size FROM counted SEMI JOIN lost USING (dir)")
    while found.count("moving"):
        found.run("""
            CREATE OR REPLACE TEMP TABLE summed AS
            SELECT parent, sum(files)::HUGEINT AS files, sum(size)::HUGEINT AS size
            FROM (SELECT *, above(dir) AS parent FROM moving WHERE dir <> '/')
            SEMI JOIN lost ON parent = lost.dir GROUP BY parent""")
        found.run("""
            INSERT INTO highest SELECT dir, files, size
            FROM (SELECT *, CASE WHEN dir <> '/' THEN above(dir) END AS parent FROM moving)
            ANTI JOIN lost ON parent = lost.dir""")
        found.run("CREATE OR REPLACE TEMP TABLE moving AS SELECT parent AS dir, files, size FROM summed")
    return f"""
        SELECT dir, sum(files)::HUGEINT AS files, sum(size)::HUGEINT AS size FROM highest
        GROUP BY dir ORDER BY size DESC, files DESC, dir LIMIT {int(most)}"""
