"""Layout: how the rows of a dump are written and what stands in their columns.

Said by the door's options, else told by the first lines; never by chance: what
could be read in two ways, or is no listing, is BadInput that says what to write.

    text       one path a line, as ATLAS sites publish it (``dumps/dump_YYYYMMDD``; Rucio's auditor:
               rucio/daemons/auditor/srmdumps.py, rucio/common/dumper/consistency.py)
    cms        the same in parts ``NAME.00000[.gz]``, a path in the part that its adler32 names
               (rucio-consistency: PartitionedList in part.py)
    ral        path, size and the day of change, counted since 1970, divided by tabs or blanks
               (dynamo-consistency: cms/filedumps.py)
    rucio      tab-separated: RSE, scope, name, checksum, size, creation, path, update, state
               (rucio/common/dumper/data_models.py: Replica; the last was missing in old ones)
    tsv, csv   with a header line that names the columns, or with ``columns=``; TSV knows no quoting,
               CSV is RFC 4180
    parquet    columns by name
    inventory  S3 Inventory: ``manifest.json`` names the files and their columns (AWS, "Locating your
               inventory list" and "Amazon S3 Inventory list"); keys in CSV are URL-encoded
    holdfast   a listing that Holdfast made: a folder with ``listing.json``

Rules
  * Upper and lower case, ``_``, ``-`` and blanks in column names do not matter.
  * A column that nothing is known of is ignored; one that is known, given
    twice, is BadInput, and so are rows without path.
  * The way in which times are written is told by their length, and has to be
    the same in all rows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdfast.model.errors import BadInput
from holdfast.storage import told
from holdfast.storage.dump.options import DumpOptions, Times

LAYOUTS = ("text", "cms", "ral", "rucio", "tsv", "csv", "parquet", "inventory", "holdfast")
SAMPLE_LINES = 1000

_WORDS = {
    "path": ("path", "lfn", "pfn", "file", "filename", "filepath", "fullpath", "key"),
    "dir": ("dir", "directory"),
    "name": ("name",),
    "size": ("size", "bytes", "filesize", "length"),
    "mtime": ("mtime", "modified", "modificationtime", "lastmodified", "lastmodifieddate", "day"),
    "mtime_ns": ("mtimens",),
    "changed_ns": ("changedns",),
    "checksum": ("checksum", "checksums"),
    "version": ("etag", "version"),
    "latest": ("islatest",),
    "deleted": ("isdeletemarker",),
    "state": ("state",),
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words}
_RUCIO = ("", "", "", "checksum", "size", "", "path", "", "state")
_RAL = ("path", "size", "mtime")
_BY_LENGTH = {13: Times.MILLISECONDS, 19: Times.NANOSECONDS}
_DAY_DIGITS_MAX = 6
_SECOND_DIGITS = range(9, 12)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_BLANKS = "delimiter=blank&columns=path,size,..."


class RowForm(StrEnum):
    """How rows are divided into columns."""

    LINES = "lines"
    FIELDS = "fields"
    QUOTED = "quoted"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class DumpLayout:
    """``roles`` says of each column, in order, what stands in it: a word of ``columns=``, "" for what is ignored.

    ``columns`` are the names that the columns have themselves. ``encoded``: paths are URL-encoded. ``keys``: they
    are keys of an object store, which have no first slash.
    """

    name: str
    form: RowForm
    roles: tuple[str, ...]
    columns: tuple[str, ...] = ()
    delimiter: str = "\t"
    header: bool = False
    times: Times | None = None
    encoded: bool = False
    keys: bool = False

    @property
    def algorithms(self) -> frozenset[str]:
        """The checksums that rows may tell; a column of mixed ones tells those that were met in such columns."""
        named = {role for role in self.roles if told.algorithm(role) == role}
        return frozenset(named | {"adler32", "md5"} if "checksum" in self.roles else named)


def role_of(word: str) -> str:
    """What a column of this name holds; "" if nothing is known of it."""
    plain = re.sub(r"[-_ ]", "", word.strip().lower())
    return _ROLES.get(plain) or told.algorithm(word) or ""


def of_text(head: bytes, options: DumpOptions, place: str) -> DumpLayout:
    """The layout of a dump of lines that begins with ``head``, whole lines only."""
    lines = _lines(head, place)
    name = options.layout
    if name in ("text", "cms"):
        return DumpLayout(name, RowForm.LINES, ("path",))
    if not name and lines[0].startswith("<"):
        hint = "get the dump again; if that is what paths look like, add layout=text to the door"
        raise BadInput("begins with '<': it is a page of the web, or XML, and no listing", place=place, hint=hint)
    delimiter = options.delimiter or _delimiter(lines, options, place)
    if not delimiter:
        _check_plain(lines, options, place)
        return DumpLayout("text", RowForm.LINES, ("path",))
    form = RowForm.QUOTED if delimiter == "," or name == "csv" else RowForm.FIELDS
    rows = _fields(lines, delimiter, form)
    header = _has_header(rows, options)
    layout = _divided(rows, options, header, delimiter, form, place)
    return _timed(layout, rows[1:] if header else rows, options, place)


def of_columns(columns: Sequence[str], options: DumpOptions, place: str) -> DumpLayout:
    """The layout of a Parquet file with these columns."""
    roles = _from_option(options, place) if options.columns else tuple(role_of(word) for word in columns)
    if len(roles) != len(columns):
        message = f"has {len(columns)} columns where {len(roles)} were expected"
        raise BadInput(message, place=place, hint="correct columns= of the door")
    return DumpLayout("parquet", RowForm.PARQUET, _checked(roles, columns, place), tuple(columns), times=options.times)


def of_schema(schema: str, form: str, place: str) -> DumpLayout:
    """The layout of an S3 Inventory with this ``fileSchema`` and ``fileFormat``."""
    if form.upper() == "CSV":
        columns = tuple(word.strip() for word in schema.split(","))
        roles = _checked(tuple(role_of(word) for word in columns), columns, place)
        return DumpLayout("inventory", RowForm.QUOTED, roles, columns, ",", times=Times.ISO, encoded=True, keys=True)
    if form.upper() == "PARQUET":
        columns = tuple(re.findall(r"(?:required|optional)\s+\w+\s+(\w+)", schema))
        roles = _checked(tuple(role_of(word) for word in columns), columns, place)
        return DumpLayout("inventory", RowForm.PARQUET, roles, columns, times=Times.MILLISECONDS, keys=True)
    raise BadInput(f"the inventory is in {form[:40]}", place=place, hint="let the storage write it as CSV or Parquet")


def _lines(head: bytes, place: str) -> list[str]:
    if b"\0" in head:
        raise BadInput("is no listing: it has bytes that are no text", place=place, hint="see the layouts of a dump")
    text = head.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line][:SAMPLE_LINES]


def _delimiter(lines: list[str], options: DumpOptions, place: str) -> str:
    """What divides the columns; "" for one path a line."""
    if options.layout in ("tsv", "rucio"):
        return "\t"
    if options.layout == "csv":
        return ","
    if options.layout == "ral":
        return "\t" if "\t" in lines[0] else " "
    if any("\t" in line for line in lines):
        return "\t"
    if role_of(lines[0].partition(",")[0].strip('"')) and "/" not in lines[0]:
        return ","
    if all("," in line for line in lines):
        raise _ambiguous("is it one path a line, or columns divided by commas?", "text or layout=csv", place)
    if len(lines) > 1 and all(re.fullmatch(r"/\S* +[0-9]+( +[0-9]+)?", line) for line in lines):
        raise _ambiguous("do blanks divide columns, or are they in the names?", "text or layout=ral", place)
    if not all("/" in line for line in lines):
        raise _ambiguous("its lines are neither paths nor columns that are known", "text", place)
    return ""


def _check_plain(lines: list[str], options: DumpOptions, place: str) -> None:
    """BadInput if what nobody has called text may not be one path a line."""
    fields = [line.split() for line in lines]
    if len({len(each) for each in fields}) == 1 and len(fields[0]) > 1 and all(map(_has_number, fields)):
        raise _ambiguous("do blanks divide columns, or are they in the names?", f"text or {_BLANKS}", place)
    if not options.prefix and not any(line.startswith("/") for line in lines):
        raise _ambiguous(
            "not one line begins with '/'", f"text if these are paths, prefix= if all begin alike, or {_BLANKS}", place
        )


def _has_number(fields: Sequence[str]) -> bool:
    return any(_NUMBER.fullmatch(field) for field in fields)


def _ambiguous(question: str, choice: str, place: str) -> BadInput:
    return BadInput(f"the layout is not clear: {question}", place=place, hint=f"add layout={choice} to the door")


def _fields(lines: list[str], delimiter: str, form: RowForm) -> list[list[str]]:
    if form is RowForm.QUOTED:
        return list(csv.reader(lines, delimiter=delimiter))
    return [re.split(" +", line) if delimiter == " " else line.split(delimiter) for line in lines]


def _has_header(rows: list[list[str]], options: DumpOptions) -> bool:
    if options.header is not None:
        return options.header
    if options.layout in ("rucio", "ral"):
        return False
    first = rows[0]
    return any(role_of(word) in ("path", "dir", "name") for word in first) and not any("/" in word for word in first)


def _divided(
    rows: list[list[str]], options: DumpOptions, header: bool, delimiter: str, form: RowForm, place: str
) -> DumpLayout:
    width = len(rows[0])
    name, columns = options.layout or ("csv" if form is RowForm.QUOTED else "tsv"), tuple(rows[0]) if header else ()
    if options.columns:
        roles = _from_option(options, place)
    elif header:
        roles = tuple(role_of(word) for word in columns)
    elif options.layout == "ral" or (not options.layout and _is_ral(rows)):
        name, roles = "ral", _RAL
    elif options.layout == "rucio" or (not options.layout and _is_rucio(rows)):
        name, roles = "rucio", _RUCIO[:width]
    else:
        hint = "add columns=path,size,... to the door, - for what is to be ignored"
        raise BadInput(f"nothing says what stands in its {width} columns", place=place, hint=hint)
    if len(roles) != width:
        message = f"has {width} columns where {len(roles)} were expected"
        raise BadInput(message, place=place, hint="correct layout or columns of the door")
    return DumpLayout(name, form, _checked(roles, columns or roles, place), columns, delimiter, header)


def _from_option(options: DumpOptions, place: str) -> tuple[str, ...]:
    roles = tuple("" if word in ("", "-") else role_of(word) for word in options.columns)
    for word, role in zip(options.columns, roles, strict=True):
        if not role and word not in ("", "-"):
            hint = f"known are {', '.join(_WORDS)}, names of checksums, and - for what is to be ignored"
            raise BadInput(f"columns= names {word[:40]!r}, which is not known", place=place, hint=hint)
    return roles


def _checked(roles: tuple[str, ...], columns: Sequence[str], place: str) -> tuple[str, ...]:
    """``roles`` if rows can be made of them. What is told twice is read where it is told best."""
    if "mtime_ns" in roles:
        roles = tuple("" if role == "mtime" else role for role in roles)
    if "path" in roles or "dir" not in roles:
        roles = tuple("" if role in ("dir", "name") else role for role in roles)
    for role in set(roles) - {""}:
        if roles.count(role) > 1:
            raise BadInput(f"has {role} twice", place=place, hint="say which with columns=, - for the other")
    if "path" not in roles and not {"dir", "name"} <= set(roles):
        found = ", ".join(repr(column) for column in columns[:12])[:80]
        raise BadInput(f"has no column with a path; found {found}", place=place, hint="say which with columns=")
    return roles


def _is_ral(rows: list[list[str]]) -> bool:
    return all(
        len(row) == len(_RAL) and "/" in row[0] and row[1].isdecimal() and row[2].isdecimal() and len(row[2]) <= 6
        for row in rows
    )


def _is_rucio(rows: list[list[str]]) -> bool:
    widths = (len(_RUCIO) - 1, len(_RUCIO))
    return all(len(row) in widths and row[4].isdecimal() and "/" in row[6] for row in rows)


def _timed(layout: DumpLayout, rows: list[list[str]], options: DumpOptions, place: str) -> DumpLayout:
    times = options.times
    if times is None and "mtime" in layout.roles:
        column = layout.roles.index("mtime")
        times = times_of([row[column] for row in rows if len(row) > column], place)
    name, form, roles, columns = layout.name, layout.form, layout.roles, layout.columns
    return DumpLayout(name, form, roles, columns, layout.delimiter, layout.header, times)


def times_of(values: Sequence[str], place: str) -> Times | None:
    """How these moments are written; None if there is none, BadInput if they are not alike."""
    found = {_times_of(value.strip()) for value in values if value.strip()}
    if not found:
        return None
    if len(found) > 1 or None in found:
        raise BadInput(
            "it is not clear how its times are written",
            place=place,
            hint=f"add times={' or '.join(Times)} to the door, or leave the column out with columns=",
        )
    return found.pop()


def _times_of(value: str) -> Times | None:
    whole = value.partition(".")[0]
    if not whole.isdecimal():
        return Times.ISO if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else None
    if len(whole) <= _DAY_DIGITS_MAX:
        return Times.DAYS
    return Times.SECONDS if len(whole) in _SECOND_DIGITS else _BY_LENGTH.get(len(whole))
