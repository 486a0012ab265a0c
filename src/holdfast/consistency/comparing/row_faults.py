"""Row faults: which row of a listing the engine refused, and why, in words.

Rules
  * The rules are those of ``listing_rows``, in Python: slow, and asked only when
    the comparison has stopped.
  * The first bad row is told, with its line; in Parquet, with its row.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from holdfast.consistency.comparing.listing_file import Format, Layout, ListingFile
from holdfast.model.errors import BadInput

SIZE_MAX = 2**63 - 1
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DIGITS = re.compile(r"[0-9]+\Z")
_ADLER32 = re.compile(r"\s*[0-9a-fA-F]{1,8}\s*\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file; None where nothing stands."""

    path: str | None
    dir: str | None
    name: str | None
    size: object
    adler32: str | None


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
