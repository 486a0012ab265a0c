"""The rows of a listing: what they may hold, in SQL for speed and in Python for words.

The engine checks rows on their way through and stops at the first bad one
without being able to say where it is. ``explain`` then looks for it with the
same rules, row by row, and says which line and why.

Checking costs nearly as much as comparing. So every row of one listing is
checked in the first pass, and of the other listing only the rows that are
compared exactly: each other row equals one that was checked.

Rules of a row
  * A path is not empty and, like all others of both listings, either absolute
    or relative. ``dir`` does not end in ``/`` unless it is ``/``; an empty or
    null ``dir`` is that of a relative path without directory; ``name`` has no
    ``/``. Otherwise a path is compared byte for byte: ``//``, ``.`` and ``..``
    have no meaning.
  * A path has no tab, line feed, carriage return or NUL, since lists of paths
    are lines. Other control characters (C0, DEL, C1, U+2028, U+2029, as in
    ``model.names``) are refused in a path that differs: it would be reported.
    Where both listings have it alike, it is not worth the time of looking.
  * ``size`` is a whole number from 0 to 2^63-1. In Parquet it may be null: the
    storage did not tell it, which is never a mismatch.
  * ``adler32`` is up to eight hexadecimal digits, of either case; empty or null
    is unknown.
  * ``mtime`` is not looked at; it is shown as it stands.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from holdfast.consistency.listing_file import Format, Layout, ListingFile
from holdfast.model.errors import BadInput

JOINED = "CASE WHEN dir IN ('', '/') THEN dir ELSE dir || '/' END || name"
"""The path of ``dir`` and ``name``, in SQL."""

SIZE_MAX = 2**63 - 1
NOT_TOLD = "(-9223372036854775808)::BIGINT"
"""What stands in SQL for a size that is null, so that its row is counted like all others."""

_BAD_ROW = "holdfast: bad row"
_RAISE = f"error('{_BAD_ROW}')"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_SQL = r"'[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}]'"
_DIGITS = re.compile(r"[0-9]+\Z")
_ADLER32_NUMBER = "('0x' || trim(adler32))::UINTEGER"
_ADLER32 = re.compile(r"\s*[0-9a-fA-F]{1,8}\s*\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file; None where nothing stands."""

    path: str | None
    dir: str | None
    name: str | None
    size: object
    adler32: str | None


def digestible(
    listing: ListingFile, key: tuple[str, ...], *, thorough: bool, as_text: bool, sizes: bool = True, bad: str = _RAISE
) -> str:
    """A query for ``key`` hash (``hp``), size and adler32 of every row; in a bad row one of them becomes ``bad``.

    ``key`` is ("path",) or ("dir", "name"). ``thorough`` checks everything;
    else only what could be wrong in a row that has the same hashes as a row
    that was checked. With ``as_text`` the size is the text that stands there,
    for two listings whose sizes are text; without ``sizes`` it is the same for
    all: nothing can be compared with what one listing does not tell. The hashes are only good within one
    run: the engine does not promise the same in its next version.
    """
    size, checks = ("size" if as_text else "number" if sizes else "0::BIGINT"), []
    if thorough or not (as_text or listing.format is Format.PARQUET):
        checks.append(_bad_size(listing))
    if thorough or (listing.layout is Layout.SPLIT and key == ("path",)):
        checks.append(_malformed(listing))
    checked = f"CASE WHEN {' OR '.join(checks)} THEN {bad} ELSE {size} END" if checks else size
    return f"""
        SELECT hash({", ".join(_key_expressions(listing, key))}) AS hp, {checked} AS size,
               CASE WHEN adler32 IS NULL THEN NULL
                    WHEN regexp_full_match(adler32, '\\s*[0-9a-fA-F]{{1,8}}\\s*') THEN {_ADLER32_NUMBER}
                    ELSE {bad} END AS adler32
        FROM (SELECT *, TRY_CAST(size AS BIGINT) AS number FROM ({_raw(listing)}))"""


def plain(
    listing: ListingFile,
    key: tuple[str, ...],
    extra: tuple[str, ...] = (),
    *,
    where: str = "true",
    check: bool = False,
) -> str:
    """A query for ``key``, size, adler32, mtime and ``extra_NAME`` of rows.

    ``where`` is a condition with ``{hp}`` for the hash that ``digestible``
    gives a row; nothing else is worked out for the rows that do not meet it.
    With ``check`` the rows are checked now; else they have been.
    """
    expressions = _key_expressions(listing, key)
    wanted = [f"{expression} AS {name}" for expression, name in zip(expressions, key, strict=True)]
    size = "number"
    if check:
        size = f"CASE WHEN {_bad_size(listing)} OR {_malformed(listing)} THEN {_RAISE} ELSE number END"
    kept = ["mtime", *(_quoted(f"extra_{name}") for name in extra)]
    hashed = f"hash({', '.join(expressions)})"
    return (
        f"SELECT {', '.join(wanted)}, {size} AS size, {_ADLER32_NUMBER} AS adler32, {', '.join(kept)} "
        f"FROM (SELECT *, TRY_CAST(size AS BIGINT) AS number FROM ({_raw(listing, extra)}) "
        f"WHERE {where.format(hp=hashed)})"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _raw(listing: ListingFile, extra: tuple[str, ...] = ()) -> str:
    """A query for the columns as they stand in the file, under the names that they have everywhere."""
    if listing.layout is Layout.PATH:
        names = {"path": listing.column("path")}
    else:
        names = {"dir": f"coalesce({listing.column('dir')}, '')", "name": listing.column("name")}
    columns = names | {
        "size": _size(listing),
        "adler32": f"nullif({listing.column('adler32')}, '')" if listing.has("adler32") else "NULL::VARCHAR",
        "mtime": listing.column("mtime"),
        **{_quoted(f"extra_{name}"): listing.column(name) for name in extra},
    }
    selected = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return f"SELECT {selected} FROM {listing.reader}"


def _size(listing: ListingFile) -> str:
    size = listing.column("size")
    return f"coalesce({size}, {NOT_TOLD})" if listing.format is Format.PARQUET else size


def _key_expressions(listing: ListingFile, key: tuple[str, ...]) -> tuple[str, ...]:
    if key == ("path",) and listing.layout is Layout.SPLIT:
        return (JOINED,)
    return key


def _bad_size(listing: ListingFile) -> str:
    if listing.format is Format.PARQUET:
        return f"number IS NULL OR (number < 0 AND number <> {NOT_TOLD})"
    # The engine would also take " 5", "1e3" and "1.0" for numbers. In a chain of
    # conditions the slow one is worked out only where the fast one is not met.
    return "number IS NULL OR number < 0 OR (number::VARCHAR <> size AND NOT regexp_full_match(size, '[0-9]+'))"


def _malformed(listing: ListingFile) -> str:
    sign = "NOT" if listing.absolute else ""
    if listing.layout is Layout.PATH:
        return f"path IS NULL OR path = '' OR {sign} starts_with(path, '/') OR {_breaks_line(listing, 'path')}"
    return (
        f"name IS NULL OR name = '' OR contains(name, '/') OR {sign} starts_with(dir, '/') "
        f"OR (dir <> '/' AND suffix(dir, '/')) OR {_breaks_line(listing, 'dir')} OR {_breaks_line(listing, 'name')}"
    )


def _breaks_line(listing: ListingFile, name: str) -> str:
    # A field of a TSV file has neither tab nor line feed.
    characters = "\0\r" if listing.format is Format.TSV else "\0\t\n\r"
    return " OR ".join(f"contains({name}, chr({ord(character)}))" for character in characters)


def speakable(path: str) -> str:
    """``path``, an SQL expression, if it may be reported; else the engine stops."""
    return f"CASE WHEN regexp_matches({path}, {_CONTROL_SQL}) THEN {_RAISE} ELSE {path} END"


def is_bad_row(error: duckdb.Error) -> bool:
    """Whether the engine stopped because a row breaks a rule."""
    return _BAD_ROW in str(error)


def is_unreadable(error: duckdb.Error) -> bool:
    """Whether the engine, when it only read, stopped because of what it read."""
    kinds = (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException, duckdb.DataError)
    return is_bad_row(error) or isinstance(error, kinds)


def explain(error: duckdb.Error, connection: duckdb.DuckDBPyConnection, *listings: ListingFile) -> BadInput:
    """What is wrong with a listing that the engine refused, and in which line; of several, the first that is bad."""
    for listing in listings:
        parquet = listing.format is Format.PARQUET
        found = _first_fault_of_parquet(listing, connection) if parquet else _first_fault(listing)
        if found is not None:
            number, problem = found
            place = f"{listing.place}, {'row' if parquet else 'line'} {number}"
            return BadInput(problem, place=place, hint="correct it, or leave it out")
    listing = listings[0]
    reason = listing.staged.describe(error)
    return BadInput(f"cannot be read as {listing.format}: {reason}", place=listing.place, hint="get the file again")


def fault(row: Row, layout: Layout, absolute: bool | None) -> str | None:
    """What is wrong with a row, or None."""
    parts = {"path": row.path} if layout is Layout.PATH else {"dir": row.dir or "", "name": row.name}
    for column, text in parts.items():
        if not text and column != "dir":
            return f"{column} is empty or not a text"
        bad = _CONTROL.search(text or "")
        if bad:
            code = ord(bad.group())
            what = "a lone surrogate" if code >= 0xD800 else f"the control character U+{code:04X}"
            return f"{column} {_shown(text)} has {what}"
    leading = next(iter(parts.values())) or ""
    if absolute is not None and leading.startswith("/") != absolute:
        kind = ("absolute", "relative") if not absolute else ("relative", "absolute")
        return f"{layout} {_shown(leading)} is {kind[0]} where the first one is {kind[1]}"
    if layout is Layout.SPLIT and leading != "/" and leading.endswith("/"):
        return f"dir {_shown(leading)} ends in '/'"
    if layout is Layout.SPLIT and "/" in (row.name or ""):
        return f"name {_shown(row.name)} has a '/'"
    return _fault_of_values(row)


def _fault_of_values(row: Row) -> str | None:
    size = row.size
    if size is None or size == "":
        return "size is empty"
    text = str(size).lower() if isinstance(size, bool) else str(size)
    if not _DIGITS.match(text) or int(text) > SIZE_MAX:
        return f"size {_shown(text)} is not a whole number from 0 to 2^63-1"
    if row.adler32 and not _ADLER32.match(row.adler32):
        return f"adler32 {_shown(row.adler32)} is not up to eight hexadecimal digits"
    return None


def _shown(text: str | None) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 200 else f"{shown[:190]}...{shown[-1]}"


def _first_fault_of_parquet(listing: ListingFile, connection: duckdb.DuckDBPyConnection) -> tuple[int, str] | None:
    names = ("path", "dir", "name", "size", "adler32")
    columns = ", ".join(f"{listing.column(name)} AS {name}" for name in names)
    reader = listing.reader.removesuffix(")") + ", file_row_number=true)"
    try:
        rows = connection.execute(f"SELECT file_row_number, {columns} FROM {reader} ORDER BY 1")
        while batch := rows.fetchmany(10_000):
            for number, path, dir, name, size, adler32 in batch:
                row = Row(path, dir, name, 0 if size is None else size, adler32)
                problem = fault(row, listing.layout, listing.absolute)
                if problem:
                    return int(number) + 1, problem
    except duckdb.Error:
        return None
    return None


def _first_fault(listing: ListingFile) -> tuple[int, str] | None:
    number = 0
    try:
        for number, row in _rows(listing):
            problem = row if isinstance(row, str) else fault(row, listing.layout, listing.absolute)
            if problem:
                return number, problem
    except csv.Error as error:
        return number + 1, f"is not CSV: {error}"
    return None


def _rows(listing: ListingFile) -> Iterator[tuple[int, Row | str]]:
    """Every row with its line, or what keeps the line from being a row."""
    if listing.format is Format.CSV:
        yield from _rows_of_csv(listing)
        return
    with open(listing.staged.data, "rb") as file:
        for number, line in enumerate(file, 1):
            if (number == 1 and listing.format is Format.TSV) or not line.strip(b"\r\n"):
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                yield number, f"is not UTF-8: {ascii(line[max(0, error.start - 40) : error.start + 10])[1:]}"
                continue
            yield number, _row_of_tsv(listing, text) if listing.format is Format.TSV else _row_of_json(text)


def _row_of_tsv(listing: ListingFile, text: str) -> Row | str:
    end = "\r\n" if listing.line_end == "\\r\\n" else "\n"
    return _row_of_fields(listing, text.removesuffix(end).split("\t"))


def _row_of_fields(listing: ListingFile, fields: list[str]) -> Row | str:
    wanted = len(listing.columns)
    if len(fields) != wanted and not (len(fields) == wanted + 1 and not fields[-1]):
        return f"has {len(fields)} columns where the header has {wanted}"
    values = dict(zip(listing.columns, fields, strict=False))
    return Row(*(values.get(name) for name in ("path", "dir", "name", "size", "adler32")))


def _row_of_json(text: str) -> Row | str:
    try:
        row = json.loads(text, object_pairs_hook=_single)
    except ValueError as error:
        return f"is not a JSON object: {error}"
    if not isinstance(row, dict):
        return "is not a JSON object"
    path, dir, name = (row[each] if isinstance(row.get(each), str) else None for each in ("path", "dir", "name"))
    adler32 = row.get("adler32")
    return Row(path, dir, name, row.get("size"), None if adler32 is None else str(adler32))


def _single(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError("a key is there twice")
    return row


def _rows_of_csv(listing: ListingFile) -> Iterator[tuple[int, Row | str]]:
    with open(listing.staged.data, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        next(reader, None)
        for fields in reader:
            if fields:
                yield reader.line_num, _row_of_fields(listing, fields)
