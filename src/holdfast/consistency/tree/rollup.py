"""Roll-up and drill-down: findings summed up by directory, for those who look at a report.

Read from the table of findings (``findings.py``), in memory that does not grow with it.

Rules
  * A finding counts with its files and bytes for each directory above it. One that
    stands for no file (an empty directory) counts as none.
  * The largest come first: most bytes, then most files, then by path and class.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal
from holdfast.consistency.tree.columns import Columns, columns

MOST = 10_000
"""So many rows are told."""

_SUMS = "sum(n_files)::BIGINT AS files, sum(coalesce(expected_size, actual_size, 0))::HUGEINT AS size"
_LARGEST_FIRST = "ORDER BY size DESC, files DESC, path, class"


@dataclass(frozen=True, slots=True)
class Rolled:
    """The findings of one class at and below a path: their files, and the bytes at stake."""

    path: str
    cls: Class
    files: int
    size: int
    is_directory: bool = True
    """Else it is one finding."""


def rollup(
    table: Path, limits: EngineLimits, *, depth: int = 1, classes: Collection[Class] = tuple(Class), most: int = MOST
) -> list[Rolled]:
    """The sums of "/" and of each directory of at most ``depth`` components, by class: each holds those below it."""
    with columns(limits, table) as found:
        found.run(f"""
            CREATE TEMP TABLE cut AS SELECT cut(dir, {int(depth)}) AS dir, class, {_SUMS}
            FROM {found.table("findings", [table])} WHERE {_is_of(classes)} GROUP BY ALL""")
        query = f"""
            SELECT cut(dir, above) AS path, class, sum(files)::BIGINT AS files, sum(size)::HUGEINT AS size, true
            FROM (SELECT *, unnest(range(depth(dir) + 1)) AS above FROM cut)
            GROUP BY path, class {_LARGEST_FIRST} LIMIT {int(most)}"""
        return _rolled(found, query)


def children(
    table: Path, path: str, limits: EngineLimits, *, classes: Collection[Class] = tuple(Class), most: int = MOST
) -> list[Rolled]:
    """What is directly in a directory: the findings there, and each directory with all below it, by class."""
    below = "/" if path == "/" else f"{path}/"
    with columns(limits, table) as found:
        query = f"""
            SELECT {literal(below)} || child AS path, class, {_SUMS}, is_directory FROM (
                SELECT *, dir <> {literal(path)} AS is_directory,
                       CASE WHEN is_directory THEN split_part(substr(dir, {len(below) + 1}), '/', 1)
                            ELSE name END AS child
                FROM {found.table("findings", [table])}
                WHERE (dir = {literal(path)} OR starts_with(dir, {literal(below)})) AND {_is_of(classes)})
            GROUP BY ALL {_LARGEST_FIRST} LIMIT {int(most)}"""
        return _rolled(found, query)


def _is_of(classes: Collection[Class]) -> str:
    return f"list_contains({[cls.value for cls in classes]}::VARCHAR[], class)"


def _rolled(found: Columns, query: str) -> list[Rolled]:
    return [
        Rolled(path, Class(cls), files, size, is_directory)
        for path, cls, files, size, is_directory in found.rows(query)
    ]
