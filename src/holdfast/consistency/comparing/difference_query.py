"""The query that compares rows exactly, by their paths, and says what differs.

Answers for the class of each path and for the values shown of it; which rows
are looked at is decided by ``compare``. The rows of both listings are put
together and grouped by path. That is one operation which works on disk if need
be, and unlike a join it takes a path that is listed many times as it comes.

Rules
  * What a listing does not have is not carried along: columns are memory.
  * Sorted are the class's number and the path; directory and name are cut out
    of the path afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.consistency.comparing import listing_rows
from holdfast.consistency.comparing.differences import DifferenceClass
from holdfast.consistency.comparing.listing_file import ListingFile

_VALUES = ("expected_size", "actual_size", "expected_adler32", "actual_adler32")
_NUMBERS = {cls: number for number, cls in enumerate(DifferenceClass, 1)}
NAME = "split_part(path, '/', -1)"
_HEAD = f"left(path, length(path) - length({NAME}) - 1)"
DIR = f"CASE WHEN {_HEAD} = '' AND starts_with(path, '/') THEN '/' ELSE {_HEAD} END"
"""Directory and name of a column ``path``, in SQL."""


@dataclass(frozen=True, slots=True)
class Side:
    """One listing's part in the query: its prefix in column names, and further columns to carry.

    With ``check``, its rows have not been checked yet.
    """

    name: str
    listing: ListingFile
    carried: tuple[str, ...]
    check: bool

    @property
    def columns(self) -> dict[str, str]:
        """What the side brings: column of the result and column of its rows."""
        own = {"size": "size"} | {name: name for name in ("adler32", "mtime") if self.listing.has(name)}
        own |= {name: f'"extra_{name}"' for name in self.carried}
        if self.name == "expected":
            own.pop("mtime", None)
        return {f"{self.name}_{name}": column for name, column in own.items()}


def differences(expected: Side, actual: Side, key: tuple[str, ...], where: str) -> str:
    """A query for every difference, one row each, in order of class and path.

    ``where`` is a condition on rows with ``{hp}`` for the hash of the path.
    """
    brought = [*expected.columns, *actual.columns]
    bounded = [name for name in brought if name in _VALUES]
    others = [name for name in brought if name not in _VALUES]
    bounds = [f"min({known(name)}) AS {name}_least, max({known(name)}) AS {name}_most" for name in bounded]
    grouped = ", ".join([*bounds, *(f'max("{name}") AS "{name}"' for name in others)])
    shown = [_pair("size", "{}", bounded), _pair("adler32", "printf('%08x', {})", bounded)]
    if "actual_mtime" not in brought:
        shown.append("NULL::VARCHAR AS actual_mtime")
    checksums = "expected_adler32" in brought and "actual_adler32" in brought
    balances = "sum(size_balance) AS size_balance" + (", sum(sum_balance) AS sum_balance" if checksums else "")
    rows = " UNION ALL ".join(_rows(side, brought, key, where, checksums) for side in (expected, actual))
    return f"""
        WITH grouped AS (
            SELECT {joined(key)} AS path, count(expected_size) AS expected_rows,
                   count(actual_size) AS actual_rows, {balances}, {grouped}
            FROM ({rows}) GROUP BY {", ".join(key)}),
        said AS (
            SELECT *, unnest([{_class_of(checksums)}, {_duplicate_of("expected")}, {_duplicate_of("actual")}]) AS number
            FROM grouped WHERE NOT ({_same(checksums)}))
        SELECT {[str(cls) for cls in DifferenceClass]}[number] AS class,
               {listing_rows.speakable("path")} AS path, {DIR} AS dir, {NAME} AS name,
               {", ".join([*shown, *(f'"{name}"' for name in others)])}, expected_rows, actual_rows
        FROM (SELECT * FROM said WHERE number IS NOT NULL ORDER BY number, path)"""


def known(value: str) -> str:
    """A value as far as it is told: what is not told is neither the least nor the most."""
    return f"nullif({value}, {listing_rows.NOT_TOLD})" if value.endswith("size") else value


def _rows(side: Side, brought: list[str], key: tuple[str, ...], where: str, checksums: bool) -> str:
    """A side's rows in the form that both have; what the other side brings is NULL."""
    own = side.columns
    columns = [f'{own.get(name, "NULL")} AS "{name}"' for name in brought]
    # What both sides have equally often adds up to nothing.
    sign = "" if side.name == "expected" else "-"
    columns.append(f"{sign}(hash(size)::HUGEINT) AS size_balance")
    if checksums:
        columns.append(f"CASE WHEN adler32 IS NOT NULL THEN {sign}(hash(adler32)::HUGEINT) END AS sum_balance")
    source = listing_rows.plain(side.listing, key, side.carried, where=where, check=side.check)
    return f"SELECT {', '.join((*key, *columns))} FROM ({source})"


def _same(checksums: bool) -> str:
    """Whether both sides have the same rows of a path: as many, with the same sizes and checksums as far as told."""
    told = (("size", "size_balance"), *([("adler32", "sum_balance")] if checksums else []))
    same = (
        f"(expected_{value}_least IS NULL OR actual_{value}_least IS NULL OR {balance} = 0)" for value, balance in told
    )
    return " AND ".join(["expected_rows = actual_rows", *same])


def joined(key: tuple[str, ...]) -> str:
    """The path that ``key`` names, in SQL."""
    return "path" if key == ("path",) else listing_rows.JOINED


def _class_of(checksums: bool) -> str:
    """The number of the one class a path is in that the sides do not have alike; NULL if only their number differs."""
    known = " AND ".join(f"{side}_adler32_least IS NOT NULL" for side in ("expected", "actual"))
    mismatch = f"WHEN {known} AND {_disagree('adler32')} THEN {_number('checksum_mismatch')}" if checksums else ""
    return (
        f"CASE WHEN actual_rows = 0 THEN {_number('missing')} WHEN expected_rows = 0 THEN {_number('orphan')} "
        f"WHEN {_disagree('size')} THEN {_number('size_mismatch')} {mismatch} END"
    )


def _number(cls: str) -> int:
    return _NUMBERS[DifferenceClass(cls)]


def _duplicate_of(side: str) -> str:
    return f"CASE WHEN {side}_rows > 1 THEN {_number(f'duplicate_{side}')} END"


def _disagree(value: str) -> str:
    """All rows of both sides agree only if the least and the most of each side are one and the same."""
    expected, actual = f"expected_{value}", f"actual_{value}"
    within = f"{expected}_least <> {expected}_most OR {actual}_least <> {actual}_most"
    return f"({within} OR {expected}_least <> {actual}_least)"


def _pair(value: str, shown: str, bounded: list[str]) -> str:
    """Both sides' values: two that differ, if any of a path's rows do."""

    def bound(side: str, which: str) -> str:
        name = f"{side}_{value}"
        return f"{name}_{which}" if name in bounded else "NULL::UINTEGER"

    differ = f"{bound('expected', 'least')} IS DISTINCT FROM {bound('actual', 'most')}"
    least, most = (shown.format(bound("expected", which)) for which in ("least", "most"))
    highest, lowest = (shown.format(bound("actual", which)) for which in ("most", "least"))
    return (
        f"CASE WHEN {differ} THEN {least} ELSE {most} END AS expected_{value}, "
        f"CASE WHEN {differ} THEN {highest} ELSE {lowest} END AS actual_{value}"
    )
