"""The queries on sightings: how those of a run come out of the run before, and which are confirmed. Pure text.

``sightings.py`` has the rules. Tables are named by what DuckDB reads them with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency.classes import KEPT, LEAVING_OPEN, UNSEEN, Class
from holdfast.consistency.comparing.duckdb_session import literal
from holdfast.consistency.confirmation import Confirmation
from holdfast.model.clock import SECOND_US

SCHEMA = (
    "class VARCHAR, dir VARCHAR, name VARCHAR, size BIGINT, mtime_ns BIGINT, first_us BIGINT, first_run VARCHAR, "
    "last_us BIGINT, last_run VARCHAR, seen_from_us BIGINT, n_runs BIGINT, is_current BOOLEAN"
)
"""The table's columns and their types."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The run whose sightings are made, when that is, when it began, and since when former rows are kept.

    ``was_hidden``: the run before may not have seen all that was there.
    """

    run: str
    at_us: int
    began_us: int
    kept_since_us: int
    was_hidden: bool


def table(path: Path) -> str:
    """A Parquet file as a table."""
    return f"read_parquet({literal(str(path))})"


def before(previous: Path | None) -> str:
    """The sightings of the run before, if there is one; what its table has no column for is null."""
    columns = (f"NULL::{kind} AS {name}" for name, kind in (column.split() for column in SCHEMA.split(", ")))
    none = f"(SELECT {', '.join(columns)} LIMIT 0)"
    return none if previous is None else f"({none} UNION ALL BY NAME SELECT * FROM {table(previous)})"


def carried_on(findings: str, before: str, moment: Moment) -> str:
    """The sightings after a run: those of the run before, with what this one has found."""
    now, run = moment.at_us, literal(moment.run)
    # Under a clock that was set back meanwhile, nobody knows when the run began.
    seen_from_us = moment.began_us if moment.began_us <= now else 0
    goes_on = "is_seen AND was_current AND size IS NOT DISTINCT FROM old_size"
    goes_on += f" AND mtime_ns IS NOT DISTINCT FROM old_mtime_ns AND first_us <= {now}"
    # Of wrong files that says nothing: where a storage keeps checksums beside them, asking for one is a change.
    is_untouched = "changed_ns IS NULL OR changed_ns // 1000 <= least(last_us, coalesce(seen_from_us, 0))"
    is_untouched += f" AND greatest(last_us, seen_from_us) <= {now}"
    goes_on += f" AND (class <> {literal(Class.ORPHAN.value)} OR {is_untouched})"
    stays = "was_current AND (d.dir IS NOT NULL OR p.dir IS NOT NULL)"
    if moment.was_hidden:
        goes_on += f" AND class <> {literal(Class.MISSING.value)}"
        stays += f" AND m.class <> {literal(Class.MISSING.value)}"
    return f"""
        WITH found AS (SELECT class, dir, name, expected_size, actual_size, mtime_ns, changed_ns FROM {findings}),
        seen AS (
            SELECT class, dir, name, max(coalesce(actual_size, expected_size)) AS size, max(mtime_ns) AS mtime_ns,
                   max(changed_ns) AS changed_ns
            FROM found WHERE class IN ({_listed(KEPT)}) GROUP BY class, dir, name),
        met AS MATERIALIZED (
            SELECT coalesce(s.class, b.class) AS class, coalesce(s.dir, b.dir) AS dir,
                   coalesce(s.name, b.name) AS name, s.size, s.mtime_ns, s.changed_ns, b.size AS old_size,
                   b.mtime_ns AS old_mtime_ns, b.first_us, b.first_run, b.last_us, b.last_run,
                   b.seen_from_us, b.n_runs,
                   s.class IS NOT NULL AS is_seen, coalesce(b.is_current, false) AS was_current
            FROM {before} b FULL OUTER JOIN seen s ON b.class = s.class AND b.dir = s.dir AND b.name = s.name),
        {_hidden("SELECT DISTINCT dir FROM met WHERE was_current AND NOT is_seen")},
        judged AS (
            SELECT m.*, coalesce({goes_on}, false) AS goes_on,
                   is_seen OR ({stays}) AS is_current
            FROM met m LEFT JOIN hidden_dirs d ON d.dir = m.dir
            LEFT JOIN hidden_paths p ON p.dir = m.dir AND p.name = m.name)
        SELECT class, dir, name,
               CASE WHEN is_seen THEN size ELSE old_size END AS size,
               CASE WHEN is_seen THEN mtime_ns ELSE old_mtime_ns END AS mtime_ns,
               CASE WHEN is_seen AND NOT goes_on THEN {now}::BIGINT ELSE first_us END AS first_us,
               CASE WHEN is_seen AND NOT goes_on THEN {run} ELSE first_run END AS first_run,
               CASE WHEN is_seen THEN {now}::BIGINT ELSE last_us END AS last_us,
               CASE WHEN is_seen THEN {run} ELSE last_run END AS last_run,
               CASE WHEN is_seen THEN {seen_from_us}::BIGINT ELSE seen_from_us END AS seen_from_us,
               CASE WHEN goes_on THEN n_runs + 1 WHEN is_seen THEN 1 ELSE n_runs END::BIGINT AS n_runs,
               is_current
        FROM judged WHERE is_current OR last_us >= {moment.kept_since_us} ORDER BY class, dir, name"""


def _hidden(dirs: str) -> str:
    """Of ``dirs`` those that this run could not see into, and paths of which it says nothing."""
    path = "CASE WHEN dir = '/' THEN '/' || name ELSE dir || '/' || name END"
    above = "coalesce(nullif(array_to_string(list_slice(parts, 1, n), '/'), ''), '/')"
    return f"""
        hidden_dirs AS (
            SELECT DISTINCT dir FROM (
                SELECT dir, {above} AS place FROM (
                    SELECT dir, parts, unnest(range(1, len(parts) + 1)) AS n
                    FROM (SELECT dir, string_split(dir, '/') AS parts FROM ({dirs}))))
            WHERE place IN (SELECT {path} FROM found WHERE class IN ({_listed(UNSEEN)}))),
        hidden_paths AS (SELECT DISTINCT dir, name FROM found WHERE class IN ({_listed(LEAVING_OPEN)}))"""


def confirmed_flags(findings: str, sightings: str, cls: Class, needed: Confirmation, *, now_us: int) -> str:
    """Whether each finding of a class is confirmed, in their order; ``findings`` has its rows numbered."""
    return f"""
        SELECT s.class IS NOT NULL FROM {findings} f
        LEFT JOIN (SELECT class, dir, name FROM {sightings} WHERE {_is_confirmed(cls, needed, now_us)}) s
        ON s.class = f.class AND s.dir = f.dir AND s.name = f.name
        WHERE f.class = {literal(cls.value)} ORDER BY f.file_row_number"""


def confirmed_counts(findings: str, sightings: str, needed: Mapping[Class, Confirmation], *, now_us: int) -> str:
    """How many findings of each class are confirmed."""
    any_of = " OR ".join(f"({_is_confirmed(cls, each, now_us)})" for cls, each in needed.items()) or "false"
    return f"""
        SELECT f.class, count(*) FROM {findings} f
        SEMI JOIN (SELECT class, dir, name FROM {sightings} WHERE {any_of}) s
        ON s.class = f.class AND s.dir = f.dir AND s.name = f.name GROUP BY f.class"""


def _is_confirmed(cls: Class, needed: Confirmation, now_us: int) -> str:
    first_us_max = now_us - needed.over_s * SECOND_US
    seen = f"n_runs >= {needed.runs} AND first_us <= {first_us_max}"
    return f"class = {literal(cls.value)} AND is_current AND {seen}"


def _listed(classes: Iterable[Class]) -> str:
    return ", ".join(literal(cls.value) for cls in classes)
