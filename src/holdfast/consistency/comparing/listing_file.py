"""A listing file from outside: what is in it, and how the engine reads it.

Answers for format, columns and layout, which are found once, from the content.
Whether the file is whole is ``listing_staging``'s business, what a row may
hold ``listing_rows``'s.

Formats, told by the content and never by the name
  * A folder: a listing that Holdfast has made of a site (``storage.listing``).
  * Parquet: begins with ``PAR1``.
  * NDJSON: begins with ``{``; one object a line, keys in any order.
  * TSV: the header line has a tab. There is no quoting: ``"`` is an ordinary
    character.
  * CSV: any other header line. RFC 4180: comma, ``"`` doubled within ``"``.
TSV and CSV are UTF-8 with a header line; they and NDJSON may be packed by gzip
or zstd, and so may Parquet.

Columns: ``path``, or ``dir`` and ``name``; ``size``; optional ``adler32`` and
``mtime``. Others are ignored, in any order.

Rules
  * Nothing is guessed by the engine: delimiter, quote, types and the form of
    the line end are given to it.
  * A header without rows is a listing of no files. A file without a header is
    bad input.
  * Both ``path`` and ``dir`` with ``name`` is bad input: they could disagree.

BadInput names the file and what to do; the file is not touched.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import duckdb

from holdfast.consistency.comparing import duckdb_session, listing_staging
from holdfast.consistency.comparing.duckdb_session import literal
from holdfast.consistency.comparing.listing_staging import StagedFile
from holdfast.model.errors import BadInput

REQUIRED = "path (or dir and name) and size"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD_BYTES = 1 << 20
_TEXT_ROW_BYTES = 120
# Both listings are read at the same time, a TSV file by one thread: several threads
# on one file take up to 1.5 times the CPU, for buffers that come and go.
# The engine's own default of 32 MB, several of them a thread, takes most of
# the memory and, for files that fit into the page cache, saves nothing.
_BUFFER_BYTES = 1 << 23
_INTEGERS = frozenset(f"{sign}{width}INT" for sign in ("", "U") for width in ("TINY", "SMALL", "", "BIG", "HUGE")) | {
    "INTEGER",
    "UINTEGER",
}
_JSON_COLUMNS = ("path", "dir", "name", "size", "adler32", "mtime")


class Format(StrEnum):
    """How a listing is written."""

    TSV = "tsv"
    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class Layout(StrEnum):
    """How a listing names a file: in one column or in two."""

    PATH = "path"
    SPLIT = "dir+name"


@dataclass(frozen=True, slots=True)
class ListingFile:
    """A listing that can be read.

    ``columns`` are all columns in the file's order. ``absolute`` says whether
    its paths begin with ``/``, by the first row; None if there is no row.
    ``rows_about`` is exact for Parquet and a guess from the size otherwise.
    """

    place: str
    staged: StagedFile
    format: Format
    columns: tuple[str, ...]
    layout: Layout
    absolute: bool | None
    rows_about: int
    line_end: str = "\\n"
    tells_sizes: bool = True
    """False: not one of its rows has a size, as in lists of paths."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a listing of a site that we have made."""
        return self.staged.data.is_dir()

    def has(self, column: str) -> bool:
        """Whether the file has this column."""
        return column in self.columns

    @property
    def reader(self) -> str:
        """The table function that reads the file, every column as it stands there."""
        data = literal(self.staged.pattern)
        if self.format is Format.PARQUET:
            return f"read_parquet({data}, hive_partitioning=false)"
        if self.format is Format.NDJSON:
            typed = ", ".join(f"{name}: 'JSON'" for name in _JSON_COLUMNS)
            return (
                f"read_json({data}, format='newline_delimited', auto_detect=false, compression='uncompressed', "
                f"columns={{{typed}}})"
            )
        delimiter, quote = ("\\t", "") if self.format is Format.TSV else (",", '"')
        typed = ", ".join(f"c{place}: 'VARCHAR'" for place in range(len(self.columns)))
        return (
            f"read_csv({data}, auto_detect=false, header=true, delim=E'{delimiter}', quote={literal(quote)}, "
            f"escape={literal(quote)}, comment='', nullstr='', new_line='{self.line_end}', compression='none', "
            f"hive_partitioning=false, buffer_size={_BUFFER_BYTES}, "
            # With one thread the engine takes an open quote at the end for a closed one.
            f"parallel={self.format is Format.CSV}, "
            f"columns={{{typed}}})"
        )

    def column(self, name: str) -> str:
        """The SQL expression of a column, as text unless Parquet has another type; NULL if there is none."""
        if not self.has(name):
            return "NULL"
        if self.format is Format.PARQUET:
            return '"' + name.replace('"', '""') + '"'
        if self.format is Format.NDJSON:
            # A number is not a name: only strings pass where a name is wanted.
            text = f"{name}->>'$'"
            return f"CASE WHEN starts_with({name}, '\"') THEN {text} END" if name in ("path", "dir", "name") else text
        return f"c{self.columns.index(name)}"


def open_listing(source: Path, data: Path, connection: duckdb.DuckDBPyConnection) -> ListingFile:
    """Stage ``source`` as ``data`` and find out what is in it."""
    staged = listing_staging.stage(source, data)
    with open(staged.first, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"PAR1"):
        return _open_parquet(staged, connection)
    if head.startswith(_BYTE_ORDER_MARK + b"{"):
        raise _bad(staged, "begins with a byte order mark, which JSON does not have", "save it as UTF-8 without one")
    if head.lstrip().startswith(b"{"):
        return _open_ndjson(staged, head)
    if head.lstrip().startswith(b"["):
        raise _bad(staged, "is a JSON array", "write one object a line, for instance with: jq -c '.[]'")
    return _open_text(staged, head)


def _bad(staged: StagedFile, message: str, hint: str, line: int | None = None) -> BadInput:
    place = str(staged.source) if line is None else f"{staged.source}, line {line}"
    return BadInput(message, place=place, hint=hint)


def _open_parquet(staged: StagedFile, connection: duckdb.DuckDBPyConnection) -> ListingFile:
    data = literal(staged.pattern)
    reader = f"read_parquet({data}, hive_partitioning=false)"
    try:
        schema = f"parquet_schema({literal(str(staged.first))})"
        fields = connection.execute(f"SELECT name, num_children FROM {schema}").fetchall()
        described = connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()
        counted = connection.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({data})").fetchone()
        nulls = f"SELECT sum(stats_null_count) FROM parquet_metadata({data}) WHERE path_in_schema = 'size'"
        untold = connection.execute(nulls).fetchone()
        _check_columns(staged, _top_fields(fields), None)
        types = {name: kind for name, kind, *_ in described}
        layout = _layout(staged, types, None)
        _check_types(staged, types, layout)
        first = connection.execute(f'SELECT "{_leading(layout)}" FROM {reader} LIMIT 1').fetchone()
    except duckdb.Error as error:
        if duckdb_session.is_shortage(error):
            raise
        message = f"is not a whole Parquet file: {staged.describe(error)}"
        raise _bad(staged, message, "get the file again") from error
    rows = int(counted[0]) if counted else 0
    absolute = str(first[0] or "").startswith("/") if first else None
    opened = ListingFile(str(staged.source), staged, Format.PARQUET, tuple(types), layout, absolute, rows)
    return replace(opened, tells_sizes=not rows or untold is None or untold[0] != rows)


def _check_types(staged: StagedFile, types: dict[str, str], layout: Layout) -> None:
    texts = ("path",) if layout is Layout.PATH else ("dir", "name")
    for name, kind in types.items():
        if name in (*texts, "adler32") and kind != "VARCHAR":
            raise _bad(staged, f"column {name!r} is of type {kind}", "write it as a string")
        if name == "size" and kind not in _INTEGERS:
            raise _bad(staged, f"column 'size' is of type {kind}", "write it as an integer number of bytes")


def _top_fields(fields: Sequence[tuple[str, int | None]]) -> list[str]:
    """The columns themselves, out of a schema that lists every field after its parent."""
    top: list[str] = []
    open_parents: list[int] = []
    for name, n_children in fields:
        if len(open_parents) == 1:
            top.append(name)
        if open_parents:
            open_parents[-1] -= 1
        open_parents.append(n_children or 0)
        while open_parents and not open_parents[-1]:
            open_parents.pop()
    return top


def _leading(layout: Layout) -> str:
    return "path" if layout is Layout.PATH else "dir"


def _open_ndjson(staged: StagedFile, head: bytes) -> ListingFile:
    first = head.lstrip().partition(b"\n")[0]
    try:
        row = json.loads(first)
    except ValueError as error:
        raise _bad(staged, "is not a JSON object", "write one object a line", 1) from error
    layout = _layout(staged, row, 1)
    absolute = str(row[_leading(layout)] or "").startswith("/")
    return ListingFile(str(staged.source), staged, Format.NDJSON, _JSON_COLUMNS, layout, absolute, _rows_about(staged))


def _open_text(staged: StagedFile, head: bytes) -> ListingFile:
    body = head.removeprefix(_BYTE_ORDER_MARK)
    line, newline, rest = body.partition(b"\n")
    line_end = "\\r\\n" if line.endswith(b"\r") else "\\n"
    try:
        header = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        header = "\0"
    if "\0" in header or (not newline and len(head) == _HEAD_BYTES):
        raise _bad(staged, "is no listing: neither Parquet, NDJSON, TSV nor CSV", "see `holdfast compare --help`")
    if header.count('"') % 2 and "\t" not in header:
        raise _bad(staged, "the header line has an open quote", f"begin the file with the columns {REQUIRED}", 1)
    format = Format.TSV if "\t" in header else Format.CSV
    columns = _fields(header, format)
    _check_columns(staged, columns, 1)
    layout = _layout(staged, columns, 1)
    absolute = _first_is_absolute(rest, format, columns.index(_leading(layout)))
    rows = _rows_about(staged)
    return ListingFile(str(staged.source), staged, format, tuple(columns), layout, absolute, rows, line_end)


def _fields(line: str, format: Format) -> list[str]:
    if format is Format.TSV:
        return line.split("\t")
    return next(csv.reader([line]), [])


def _first_is_absolute(rest: bytes, format: Format, place: int) -> bool | None:
    first = next((line for line in rest.splitlines() if line), None)
    if first is None:
        return None
    fields = _fields(first.decode(errors="replace"), format)
    return len(fields) > place and fields[place].startswith("/")


def _rows_about(staged: StagedFile) -> int:
    return staged.data.stat().st_size // _TEXT_ROW_BYTES + 1


def _check_columns(staged: StagedFile, columns: Sequence[str], line: int | None) -> None:
    """No column that is read may be there twice; the engine takes upper and lower case for the same."""
    counts = Counter(column.casefold() for column in columns)
    for name in _JSON_COLUMNS:
        if counts[name] > 1:
            raise _bad(staged, f"has the column {name!r} twice", "keep one of them", line)


def _layout(staged: StagedFile, columns: object, line: int | None) -> Layout:
    """The layout of a file with these columns; BadInput if what is needed is not among them."""
    names = list(columns) if isinstance(columns, list | dict) else []
    split = "dir" in names and "name" in names
    if "path" in names and split:
        raise _bad(staged, "has both path and dir with name", "keep either path or dir and name", line)
    lacking = "path" if "path" not in names and not split else "size" if "size" not in names else None
    if lacking is None:
        return Layout.PATH if "path" in names else Layout.SPLIT
    found = ", ".join(repr(name) for name in names[:8])[:160] or "none"
    raise _bad(staged, f"has no column {lacking!r}; found {found}", f"a listing has the columns {REQUIRED}", line)
