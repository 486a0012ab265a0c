"""The rows of a listing: what they may hold, in SQL.

The engine checks rows on their way through and stops at the first bad one
without being able to say where it is. ``row_faults`` then looks for it with the
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

import duckdb

from holdfast.consistency.comparing.listing_file import Format, Layout, ListingFile

JOINED = "CASE WHEN dir IN ('', '/') THEN dir ELSE dir || '/' END || name"
"""The path of ``dir`` and ``name``, in SQL."""

NOT_TOLD = "(-9223372036854775808)::BIGINT"
"""What stands in SQL for a size that is null, so that its row is counted like all others."""

_BAD_ROW = "holdfast: bad row"
_RAISE = f"error('{_BAD_ROW}')"
_CONTROL_SQL = r"'[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}]'"
_ADLER32_NUMBER = "('0x' || trim(adler32))::UINTEGER"


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
