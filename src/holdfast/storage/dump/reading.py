"""DumpReading: the rows of one file of a dump, as columns, a piece at a time.

Answers for: unpacking, dividing lines and columns, the end of the file, what a
manifest says of its bytes. What may stand in the columns is the business of
``rows``.

Rules
  * Bytes stay bytes: nothing is decoded here.
  * Nothing is left out: a row with too many or too few columns, an end in the
    middle of a row, and a last line without line end, are BadInput with the
    line's number. Empty lines are none.
  * A CSV row may have line ends in quotes; its number is then that of the row.
  * At most about ``PIECE_BYTES`` of a file are in memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from holdfast.model.errors import BadInput
from holdfast.storage.dump.layout import DumpLayout, RowForm
from holdfast.storage.dump.sources import SourceFile
from holdfast.storage.packed import Compression, Readable, open_packed, read_packed

Column = Any
"""A column of Arrow: the stubs know fewer of its kinds and functions than there are."""

PIECE_BYTES = 1 << 20
PIECE_ROWS = 1 << 16

_NEWLINE, _RETURN = 10, 13
_MARK = b"\xef\xbb\xbf"
_ROW_OF_ERROR = re.compile(r"Row #([0-9]+): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DumpPiece:
    """Some rows: by role the column, all of the same length. ``numbers`` are those of their lines (or rows)."""

    place: str
    unit: str
    columns: Mapping[str, Column]
    numbers: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.numbers)

    def bad(self, row: int, problem: str, hint: str = "correct it, or leave it out") -> BadInput:
        """What is wrong with a row of this piece."""
        return BadInput(problem, place=f"{self.place}, {self.unit} {self.numbers[row]}", hint=hint)


def pieces(source: SourceFile, layout: DumpLayout) -> Iterator[DumpPiece]:
    """All rows of a file; what is wrong with it is raised where it is met, what is wrong with its bytes at the end."""
    if layout.form is RowForm.PARQUET:
        yield from _of_parquet(source, layout)
    else:
        with closing(_Unpacked(source)) as unpacked:
            read = {RowForm.LINES: _of_lines, RowForm.FIELDS: _of_fields, RowForm.QUOTED: _of_quoted}[layout.form]
            yield from read(unpacked, layout)
            unpacked.finish()
    source.check_unchanged()


def head(source: SourceFile, size: int) -> bytes:
    """The first whole lines of a file, unpacked; all of it if it is short."""
    with closing(_Unpacked(source, md5=False)) as unpacked:
        found = unpacked.read(size)
        if len(found) == size:
            found = found[: found.rfind(b"\n") + 1]
    return found


class _Unpacked:
    """A file's content, as a file of its own; told at the end whether it was whole."""

    def __init__(self, source: SourceFile, *, md5: bool = True) -> None:
        self.source = source
        self.place = str(source.path)
        self.closed = False
        self.read_bytes = 0
        self.ends_in_newline = False
        self._file: Readable = open_packed(source.path, source.compression)
        self._md5 = source.md5 if md5 else ""

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes: fewer only at the end."""
        parts: list[bytes] = []
        wanted = size
        while wanted > 0 or size < 0:
            part = read_packed(
                self._file, PIECE_BYTES if size < 0 else wanted, place=self.place, kind=self.source.compression
            )
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        data = b"".join(parts)
        if data:
            self.ends_in_newline = data.endswith(b"\n")
            self.read_bytes += len(data)
        return data

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def finish(self) -> None:
        """BadInput if the file did not end as it should, or its bytes are not those of the manifest."""
        if self.read_bytes and not self.ends_in_newline:
            raise BadInput(
                "the last line has no end: the file is truncated",
                place=self.place,
                hint="get the file again",
            )
        if self._md5:
            _check_md5(self.source, self._md5)

    def close(self) -> None:
        self.closed = True
        self._file.close()


def _check_md5(source: SourceFile, expected: str) -> None:
    hasher = hashlib.md5(usedforsecurity=False)
    with open(source.path, "rb") as file:
        while chunk := file.read(PIECE_BYTES):
            hasher.update(chunk)
    if hasher.hexdigest() != expected:
        raise BadInput("its MD5 is not the one in the manifest", place=str(source.path), hint="get the file again")


# ---- lines -----------------------------------------------------------------------


@dataclass(slots=True)
class _Lines:
    """Whole lines in one buffer: where each begins and ends, without its line end."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def _lines(unpacked: _Unpacked) -> Iterator[_Lines]:
    """The lines of a file that are not empty; all or none of them end in CR LF."""
    kept, number, returns = b"", 1, None
    while True:
        chunk = unpacked.read(PIECE_BYTES)
        if number == 1 and not kept:
            chunk = chunk.removeprefix(_MARK)
        text = kept + chunk
        end = text.rfind(b"\n") + 1 if chunk else len(text)
        text, kept = text[:end], text[end:]
        if text:
            if returns is None:
                returns = text[: text.find(b"\n")].endswith(b"\r")
            lines = _cut_lines(text, number, returns)
            number += len(lines.starts)
            yield _without_empty(lines)
        if not chunk:
            return


def _cut_lines(text: bytes, number: int, returns: bool) -> _Lines:
    data = np.frombuffer(text, np.uint8)
    newlines = np.flatnonzero(data == _NEWLINE).astype(np.int64)
    ends = newlines if text.endswith(b"\n") else np.append(newlines, len(data))
    starts = np.concatenate((np.zeros(1, np.int64), newlines[: len(ends) - 1] + 1))
    if returns:
        ends = ends - ((ends > starts) & (data[np.maximum(ends - 1, 0)] == _RETURN))
    return _Lines(data, starts, ends, np.arange(number, number + len(starts)))


def _without_empty(lines: _Lines) -> _Lines:
    full = lines.ends > lines.starts
    if full.all():
        return lines
    return _Lines(lines.data, lines.starts[full], lines.ends[full], lines.numbers[full])


def binary(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Column:
    """The slices of ``data``, in order and without overlap, as one column."""
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(ends - starts, out=offsets[1:])
    # What lies between two slices and the slices themselves take turns.
    marks = np.zeros(2 * len(starts) + 2, np.int64)
    marks[1:-1:2], marks[2:-1:2], marks[-1] = starts, ends, len(data)
    kept = np.zeros(len(marks) - 1, np.bool_)
    kept[1::2] = True
    content = data[np.repeat(kept, np.diff(marks))]
    buffers = [None, pa.py_buffer(offsets.data), pa.py_buffer(content.data)]
    return pa.Array.from_buffers(pa.binary(), len(starts), buffers)


def _of_lines(unpacked: _Unpacked, layout: DumpLayout) -> Iterator[DumpPiece]:
    for lines in _lines(unpacked):
        yield DumpPiece(unpacked.place, "line", {"path": binary(lines.data, lines.starts, lines.ends)}, lines.numbers)


def _of_fields(unpacked: _Unpacked, layout: DumpLayout) -> Iterator[DumpPiece]:
    """Columns divided by one character that is in no value; blanks may stand several together."""
    header = layout.header
    for lines in _lines(unpacked):
        if header and len(lines.starts):
            lines = _Lines(lines.data, lines.starts[1:], lines.ends[1:], lines.numbers[1:])
            header = False
        yield _divide(lines, layout, unpacked.place)


def _divide(lines: _Lines, layout: DumpLayout, place: str) -> DumpPiece:
    width, mark = len(layout.roles), ord(layout.delimiter)
    is_mark = lines.data == mark
    if mark == ord(" "):
        is_mark[1:] &= ~is_mark[:-1]
    marks = np.flatnonzero(is_mark).astype(np.int64)
    before = np.searchsorted(marks, lines.starts)
    counts = np.searchsorted(marks, lines.ends) - before
    empty = DumpPiece(place, "line", {}, lines.numbers)
    wrong = np.flatnonzero(counts != width - 1)
    if len(wrong):
        raise empty.bad(int(wrong[0]), f"has {counts[wrong[0]] + 1} columns where {width} were expected")
    columns = {}
    for column, role in enumerate(layout.roles):
        starts = lines.starts if column == 0 else marks[before + column - 1] + 1
        ends = lines.ends if column == width - 1 else marks[before + column]
        if role:
            columns[role] = binary(lines.data, *_trimmed(lines.data, starts, ends, mark))
    return DumpPiece(place, "line", columns, lines.numbers)


def _trimmed(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], mark: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Without the further blanks of several that divide columns."""
    while mark == ord(" "):
        blank = (starts < ends) & (data[np.minimum(starts, len(data) - 1)] == mark)
        if not blank.any():
            break
        starts = starts + blank
    return starts, ends


# ---- CSV and Parquet -------------------------------------------------------------


def _of_quoted(unpacked: _Unpacked, layout: DumpLayout) -> Iterator[DumpPiece]:
    names = [f"c{number}" for number in range(len(layout.roles))]
    roles = {name: role for name, role in zip(names, layout.roles, strict=True) if role}
    number = 1
    try:
        with _csv_reader(unpacked, layout, names, list(roles)) as reader:
            number += layout.header
            for batch in reader:
                numbers = np.arange(number, number + batch.num_rows)
                number += batch.num_rows
                yield DumpPiece(unpacked.place, "row", {roles[name]: batch[name] for name in roles}, numbers)
    except pa.ArrowException as error:
        if "Empty CSV" not in str(error):
            raise _of_csv_error(error, unpacked, number) from error


def _csv_reader(
    unpacked: _Unpacked, layout: DumpLayout, names: list[str], wanted: list[str]
) -> pacsv.CSVStreamingReader:
    return pacsv.open_csv(
        pa.PythonFile(unpacked, mode="r"),  # type: ignore[arg-type]
        # In one thread errors come with the number of the row.
        read_options=pacsv.ReadOptions(
            use_threads=False, column_names=names, skip_rows=int(layout.header), block_size=PIECE_BYTES
        ),
        parse_options=pacsv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            check_utf8=False, column_types=dict.fromkeys(names, pa.binary()), include_columns=wanted
        ),
    )


def _of_csv_error(error: pa.ArrowException, unpacked: _Unpacked, number: int) -> BadInput:
    text = str(error)
    found = _ROW_OF_ERROR.search(text)
    row, problem = (found[1], found[2]) if found else (f"{number} or later", text.removeprefix("CSV parse error: "))
    shown = ascii(problem)[1:-1][:80]
    return BadInput(f"is not CSV: {shown}", place=f"{unpacked.place}, row {row}", hint="correct it, or leave it out")


def _of_parquet(source: SourceFile, layout: DumpLayout) -> Iterator[DumpPiece]:
    if source.compression is not Compression.NONE:
        raise BadInput("is a packed Parquet file", place=str(source.path), hint="unpack it")
    if source.md5:
        _check_md5(source, source.md5)
    number = 1
    try:
        with pq.ParquetFile(source.path) as file:
            roles = _parquet_roles(file.schema_arrow.names, layout, str(source.path))
            batches = file.iter_batches(batch_size=PIECE_ROWS, columns=list(roles), use_threads=False)
            for batch in batches:
                numbers = np.arange(number, number + batch.num_rows)
                number += batch.num_rows
                yield DumpPiece(str(source.path), "row", {roles[name]: _plain(batch[name]) for name in roles}, numbers)
    except (pa.ArrowException, OSError, OverflowError, RecursionError, ValueError) as error:
        raise BadInput(
            f"is not a whole Parquet file: {(str(error).splitlines() or [''])[0][:80]}",
            place=str(source.path),
            hint="get the file again",
        ) from error


def _parquet_roles(names: list[str], layout: DumpLayout, place: str) -> dict[str, str]:
    wanted = {name: role for name, role in zip(layout.columns, layout.roles, strict=True) if role}
    lacking = sorted(set(wanted) - set(names))
    if lacking:
        raise BadInput(f"has no column {lacking[0]!r}, which other parts have", place=place, hint="get the dump again")
    return wanted


def _plain(column: Column) -> Column:
    """Texts of any kind as bytes; everything else as it is."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.binary())
    return column
