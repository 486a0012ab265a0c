"""WindowFindings: what a site lacks and has beside what another catalogue said before and after, as findings.

The rows of ``comparing.windows`` in, judged as the check of our own inventory
judges (``checking.judge``), findings out. Nothing here holds all rows at once.

Rules
  * What is known of the site in any other way than expected, before or after, is
    no orphan (``inventory.known_beside``).
  * What is ignored by the configuration is, and so is a temporary part of a copy.
  * What was changed or moved in lately is neither an orphan nor of wrong size:
    the catalogue may be about to hear of it. So is what nobody tells the age of.
  * In flight is what only one of the two answers expects, or not both alike.
  * Where the listing could not see, nothing is judged: what is hidden is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.classes import TRAITS, WRONG, Class
from holdfast.consistency.comparing import duckdb_session
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal
from holdfast.consistency.comparing.window_differences import WindowClass
from holdfast.consistency.findings import PIECE_ROWS, Finding
from holdfast.consistency.unlisted import Unlisted
from holdfast.model import names, pfn
from holdfast.model.pfn import PfnRules
from holdfast.storage import parts

SECOND_NS = 1_000_000_000
KNOWN = "the catalogue knows it, and does not count it as there"

_DUPLICATES = {
    WindowClass.DUPLICATE_BEFORE: "the catalogue has it more than once, and not as it is there",
    WindowClass.DUPLICATE_AFTER: "the catalogue has it more than once, and not as it is there",
    WindowClass.DUPLICATE_STORAGE: "the listing names it twice",
}


@dataclass(frozen=True, slots=True)
class Tables:
    """Where everything is: the differences, the entries of the listing, and what the catalogue said."""

    differences: Path
    entries: Sequence[Path]
    expected: Sequence[Path]
    known: Sequence[Path]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is judged by: hidden places, what is ignored, and what is young: changed after ``youngest_ns``."""

    unlisted: Unlisted
    ignored: Ignored
    rules: PfnRules
    youngest_ns: int

    def of(self, finding: Finding, *, is_apart: bool) -> Finding | None:
        """The finding as it is reported; None if it lies in a hidden place, which is reported itself.

        ``is_apart``: the comparison has set it apart, as one that nobody could see.
        """
        if finding.cls in (*WRONG, Class.ORPHAN):
            place = self.unlisted.hiding(finding.path, seen=TRAITS[finding.cls].is_there)
            if place is not None:
                if finding.cls is not Class.ORPHAN:
                    self.unlisted.hide(place)
                return None
        if is_apart:
            return replace(finding, cls=Class.UNLISTED, reason="the listing could not see it")
        reason = self._reason(finding)
        return replace(finding, cls=Class.IGNORED, reason=reason) if reason else finding

    def _reason(self, finding: Finding) -> str:
        """Why a finding is left alone; "" if it is not."""
        if finding.cls not in (*WRONG, Class.ORPHAN):
            return ""
        ignored = self.ignored.reason(finding)
        if ignored or finding.cls is Class.MISSING:
            return ignored
        if finding.cls is Class.ORPHAN and finding.reason:
            return finding.reason
        if parts.is_part_name(names.split(finding.path)[1]):
            return "a temporary part of a copy"
        if finding.since_ns is None:
            return "nobody tells how old it is"
        return "too young to be judged" if finding.since_ns > self.youngest_ns else ""


def findings(tables: Tables, judgement: Judgement, limits: EngineLimits) -> Iterator[Finding]:
    """All findings, by class and path; those of hidden places come last, since judging counts what they hide."""
    for row in _rows(tables, limits):
        is_apart = row["class"] == WindowClass.UNLISTED
        finding = judgement.of(_finding(row, judgement.rules), is_apart=is_apart)
        if finding is not None:
            yield finding
    yield from map(judgement.ignored.of_hidden, judgement.unlisted.findings())


def _finding(row: dict[str, Any], rules: PfnRules) -> Finding:
    cls, reason = _class_of(row)
    path = names.join(row["dir"], row["name"])
    expected = row["before_size"] if row["before_size"] is not None else row["after_size"]
    is_expected = bool(row["before_rows"] or row["after_rows"])
    return Finding(
        cls,
        path,
        reason,
        lfn=(row["lfn"] or path) if is_expected else pfn.lfn_of(rules, path) or "",
        expected_size=expected,
        actual_size=row["storage_size"],
        mtime_ns=row["mtime_ns"],
        version=row["version"] or "",
        changed_ns=row["changed_ns"],
    )


def _class_of(row: dict[str, Any]) -> tuple[Class, str]:
    cls = WindowClass(row["class"])
    if cls is WindowClass.UNLISTED:  # As what it was set apart, the rows tell.
        is_expected = row["before_rows"] or row["after_rows"]
        return (Class.SIZE_MISMATCH if row["storage_rows"] else Class.MISSING) if is_expected else Class.ORPHAN, ""
    if cls is WindowClass.IN_FLIGHT:
        return Class.IGNORED, f"in flight: {row['reason']}"
    if cls in _DUPLICATES:
        return Class.UNLISTED, _DUPLICATES[cls]
    return Class(cls.value), KNOWN if row["is_known"] and cls is WindowClass.ORPHAN else ""


def _rows(tables: Tables, limits: EngineLimits) -> Iterator[dict[str, Any]]:
    """The differences with what else is known of each: the times of what is there, its LFN, whether it is known."""
    with duckdb_session.work_folder(limits) as folder, duckdb_session.session(limits, folder) as connection:
        connection.execute(_query(tables))
        columns = [column[0] for column in connection.description or ()]
        while rows := connection.fetchmany(PIECE_ROWS):
            yield from (dict(zip(columns, row, strict=True)) for row in rows)


def _query(tables: Tables) -> str:
    """A query for all of it. The differences are few beside the tables: they are what is kept in memory."""

    def of(sources: Sequence[Path], columns: str) -> str:
        files = ", ".join(literal(str(path)) for path in sources)
        return (
            f"SELECT dir, name{columns} FROM read_parquet([{files}]) "
            "SEMI JOIN differing USING (dir, name) GROUP BY dir, name"
        )

    # Of what the listing names twice the later times count.
    there = of(tables.entries, ", max(mtime_ns) AS mtime_ns, max(changed_ns) AS changed_ns, max(version) AS version")
    expected = of(tables.expected, ", max(lfn) AS lfn")
    known = (
        of(tables.known, ", true AS is_known")
        if tables.known
        else "SELECT dir, name, true AS is_known FROM differing LIMIT 0"
    )
    order = ", ".join(literal(cls.value) for cls in WindowClass)
    return f"""
        WITH differing AS MATERIALIZED (SELECT * FROM read_parquet({literal(str(tables.differences))})),
        there AS ({there}), expected AS ({expected}), known AS ({known})
        SELECT d.*, there.mtime_ns, there.changed_ns, there.version, expected.lfn, known.is_known
        FROM differing d LEFT JOIN there USING (dir, name) LEFT JOIN expected USING (dir, name)
        LEFT JOIN known USING (dir, name)
        ORDER BY list_position([{order}], d.class), d.path"""
