"""The query that compares the rows of three listings exactly: expected before, expected after, and there.

Answers for the class of each path, the reason why it is in flight, and the
values shown of it. All rows are put together and grouped by path, as in
``difference_query.py``.

Rules
  * Before and after say the same of a file unless the least or the most of what
    is known of its size, or of its adler32, differ.
  * Of what they do not say alike, nothing is said but that it is in flight, unless
    both expect it and it is not there: then it is missing.
  * Where young files are left alone, so is one whose age nobody tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from holdfast.consistency.comparing import listing_rows
from holdfast.consistency.comparing.difference_query import DIR, NAME, joined, known
from holdfast.consistency.comparing.listing_file import ListingFile
from holdfast.consistency.comparing.window_differences import FORM, WindowClass
from holdfast.model.errors import BadInput

BAD_TIME = "holdfast: no time: "
"""How the engine's complaint begins about a modification time that is none."""

_BEFORE, _AFTER, _STORAGE = FORM.sides
_NUMBERS = {cls: number for number, cls in enumerate(WindowClass, 1)}


@dataclass(frozen=True, slots=True)
class Young:
    """Which files of the storage are left alone: those that changed less than ``age_s`` before ``now_us``."""

    age_s: int
    now_us: int

    @property
    def since_s(self) -> float:
        """What changed after this moment, in seconds since 1970, is young."""
        return self.now_us / 1_000_000 - self.age_s


def differences(
    listings: Sequence[ListingFile], key: tuple[str, ...], where: str, changed_s: str | None, young: Young | None
) -> str:
    """A query for every difference, one row each, in order of class and path.

    ``where`` is a condition on rows with ``{hp}`` for the hash of the path,
    ``changed_s`` what ``changed_at`` gave; it and ``young`` are there or not together.
    """
    rows = " UNION ALL ".join(
        _rows(place, listing, key, where, changed_s if side == _STORAGE else None)
        for place, (side, listing) in enumerate(zip(FORM.sides, listings, strict=True))
    )
    grouped = ", ".join(_bounds(place, side) for place, side in enumerate(FORM.sides))
    why = _why(young)
    unknown = f"bool_or(changed_s IS NULL) FILTER (side = {FORM.sides.index(_STORAGE)})"
    duplicates = [
        f"CASE WHEN {side}_rows > 1 THEN {_NUMBERS[WindowClass(f'duplicate_{side}')]} END" for side in FORM.sides
    ]
    shown = [*_shown("size", "{}"), *_shown("adler32", "printf('%08x', {})")]
    return f"""
        WITH grouped AS (
            SELECT {joined(key)} AS path, {grouped}, max(mtime) AS {FORM.mtime},
                   max(changed_s) AS changed_s, {unknown} AS is_age_unknown
            FROM ({rows}) GROUP BY {", ".join(key)}),
        explained AS (SELECT *, {why} AS why FROM grouped WHERE NOT ({_same()})),
        said AS (SELECT *, unnest([{_class_of()}, {", ".join(duplicates)}]) AS number FROM explained)
        SELECT {[str(cls) for cls in WindowClass]}[number] AS class,
               {listing_rows.speakable("path")} AS path, {DIR} AS dir, {NAME} AS name, {", ".join(shown)},
               {FORM.mtime}, {", ".join(f"{side}_rows" for side in FORM.sides)},
               CASE WHEN number = {_NUMBERS[WindowClass.IN_FLIGHT]} THEN why END AS reason
        FROM (SELECT * FROM said WHERE number IS NOT NULL ORDER BY number, path)"""


def changed_at(listing: ListingFile, connection: duckdb.DuckDBPyConnection) -> str:
    """When a row last changed, in seconds since 1970, in SQL: NULL where it is not told, NaN where it is no time.

    Of a listing that we have made that is the later of both its times, since what
    was moved in keeps its mtime. BadInput if the listing tells no times.
    """
    if not listing.has("mtime"):
        raise BadInput(
            "has no column 'mtime', so nobody knows what is young",
            place=listing.place,
            hint="add it, in seconds since 1970, or leave --ignore-age out",
        )
    described = connection.execute(f"DESCRIBE SELECT {listing.column('mtime')} FROM {listing.reader}").fetchone()
    kind = str(described[1]) if described else ""
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch(mtime::{'TIMESTAMPTZ' if 'Z' in kind else 'TIMESTAMP'})"
    text = "nullif(mtime::VARCHAR, '')"
    told = f"CASE WHEN {text} IS NOT NULL THEN coalesce(TRY_CAST({text} AS DOUBLE), 'nan'::DOUBLE) END"
    return f"greatest({told}, extra_changed_ns / 1e9)" if listing.is_folder else told


def _rows(place: int, listing: ListingFile, key: tuple[str, ...], where: str, changed_s: str | None) -> str:
    """A side's rows in the form that all have."""
    extra = ("changed_ns",) if changed_s and listing.is_folder else ()
    source = listing_rows.plain(listing, key, extra, where=where, check=bool(place))
    mtime = "mtime" if FORM.sides[place] == _STORAGE else "NULL"
    return (
        f"SELECT {', '.join(key)}, {place}::UTINYINT AS side, size, adler32, {mtime} AS mtime, "
        f"{changed_s or 'NULL::DOUBLE'} AS changed_s FROM ({source})"
    )


def _bounds(place: int, side: str) -> str:
    """What a side says of a path: how often, and the least, the most and a sum of its values."""
    of_side = f"FILTER (side = {place})"
    found = [f"count(*) {of_side} AS {side}_rows"]
    for value, told in (("size", known("size")), ("adler32", "adler32")):
        found.append(f"min({told}) {of_side} AS {side}_{value}_least, max({told}) {of_side} AS {side}_{value}_most")
        found.append(f"sum(hash({value})) FILTER (side = {place} AND {value} IS NOT NULL) AS {side}_{value}_sum")
    return ", ".join(found)


def _same() -> str:
    """Whether all sides have the same rows of a path: as many, with the same sizes and checksums as far as told."""
    found = []
    for one, other in ((_BEFORE, _AFTER), (_AFTER, _STORAGE), (_BEFORE, _STORAGE)):
        found.append(f"{one}_rows = {other}_rows")
        for value in ("size", "adler32"):
            untold = " OR ".join(f"{side}_{value}_least IS NULL" for side in (one, other))
            found.append(f"({untold} OR {one}_{value}_sum = {other}_{value}_sum)")
    return " AND ".join(found)


def _class_of() -> str:
    """The number of the one class a path is in; NULL if the sides only have it not equally often."""
    return (
        f"CASE WHEN {_BEFORE}_rows > 0 AND {_AFTER}_rows > 0 AND {_STORAGE}_rows = 0 "
        f"THEN {_NUMBERS[WindowClass.MISSING]} WHEN why IS NOT NULL THEN {_NUMBERS[WindowClass.IN_FLIGHT]} "
        f"WHEN {_BEFORE}_rows = 0 THEN {_NUMBERS[WindowClass.ORPHAN]} "
        f"WHEN {_is_wrong('size')} THEN {_NUMBERS[WindowClass.SIZE_MISMATCH]} "
        f"WHEN {_is_wrong('adler32')} THEN {_NUMBERS[WindowClass.CHECKSUM_MISMATCH]} END"
    )


def _why(young: Young | None) -> str:
    """Why a path is in flight, or NULL."""
    differ = " OR ".join(
        f"{_BEFORE}_{value}_{bound} <> {_AFTER}_{value}_{bound}"
        for value in ("size", "adler32")
        for bound in ("least", "most")
    )
    found = [
        f"WHEN {_BEFORE}_rows = 0 AND {_AFTER}_rows > 0 THEN 'expected after only'",
        f"WHEN {_AFTER}_rows = 0 AND {_BEFORE}_rows > 0 THEN 'expected before only'",
        f"WHEN {differ} THEN 'before and after differ'",
    ]
    if young:
        bad = f"error('{BAD_TIME}' || {FORM.mtime}::VARCHAR || ' of ' || path)"
        found.append(
            f"WHEN {_STORAGE}_rows > 0 AND ({_BEFORE}_rows = 0 OR {_is_wrong('size')} OR {_is_wrong('adler32')}) THEN "
            f"CASE WHEN is_age_unknown THEN 'its age is not told' WHEN isnan(changed_s) THEN {bad} "
            f"WHEN changed_s > {young.since_s!r}::DOUBLE THEN 'younger than {young.age_s} s' END"
        )
    return f"CASE {' '.join(found)} END"


def _is_wrong(value: str) -> str:
    """Whether not all that is known of a value, by whichever side, is the same; before and after say the same of it."""
    least, most = (f"coalesce({_BEFORE}_{value}_{bound}, {_AFTER}_{value}_{bound})" for bound in ("least", "most"))
    there = f"{_STORAGE}_{value}"
    differ = f"({least} <> {most} OR {there}_least <> {there}_most OR {there}_least <> {least})"
    # What two sides do not know, or one of two that are compared, is no checksum that differs.
    return differ if value == "size" else f"({least} IS NOT NULL AND {there}_least IS NOT NULL AND {differ})"


def _shown(value: str, form: str) -> list[str]:
    """A value of each side: not the same ones, if any of a path's rows differ."""
    first = f"{_BEFORE}_{value}_least"
    found = [f"{form.format(first)} AS {_BEFORE}_{value}"]
    for side, order in ((_AFTER, ("most", "least")), (_STORAGE, ("least", "most"))):
        wanted, other = (f"{side}_{value}_{bound}" for bound in order)
        than = first if side == _AFTER else f"coalesce({first}, {_AFTER}_{value}_least)"
        chosen = f"CASE WHEN {wanted} <> {than} THEN {wanted} ELSE {other} END"
        found.append(f"{form.format(chosen)} AS {side}_{value}")
    return found
