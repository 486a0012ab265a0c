"""DumpValues: what single columns of a dump say: sizes, times, words, digests; checked and made ours.

Rules
  * A size is a whole number of bytes, a time is written as the layout says, a
    truth is true or false; anything else is BadInput with its line.
  * What is empty is null: the dump does not tell it.
  * A digest that is none is not told; what was said instead is told apart.
  * Whole columns are looked at; only where one of them is not as it should be,
    its values are, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from holdfast.model.checksums import DIGITS
from holdfast.storage import told
from holdfast.storage.dump.options import SECOND_NS, Times
from holdfast.storage.dump.reading import Column, DumpPiece

pc: Any = compute

SHOWN_MAX = 80
"""Characters of a dump that a message shows: it may be a file that nobody meant to show."""

_DAY_NS = 86_400 * SECOND_NS
_UNITS_NS = {Times.SECONDS: SECOND_NS, Times.MILLISECONDS: 1_000_000, Times.NANOSECONDS: 1, Times.DAYS: _DAY_NS}
_TRUE, _FALSE = (b"true", b"1"), (b"false", b"0", b"")


def bytes_of(piece: DumpPiece, role: str, *, empty: bool = False) -> Column:
    """The texts of a column as bytes; none of them empty, unless they may be."""
    column = piece.columns[role]
    if not pa.types.is_binary(column.type):
        raise piece.bad(0, f"the column with the {role} is of type {column.type}", "write it as text")
    if column.null_count:
        if not empty:
            raise piece.bad(int(np.flatnonzero(column.is_null())[0]), f"the {role} is empty")
        column = column.fill_null(b"")
    return column


def shown(raw: bytes | None) -> str:
    """Bytes as a message shows them."""
    return ascii((raw or b"").decode(errors="replace")[:SHOWN_MAX])


def text_of(column: Column) -> Column:
    """Bytes as text, those that are none replaced; numbers as they are written."""
    if not pa.types.is_binary(column.type):
        return column.cast(pa.string())
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([raw and raw.decode(errors="replace") for raw in column.to_pylist()], pa.string())


def is_in(column: Column, values: set[bytes]) -> NDArray[np.bool_]:
    """Which values are among these."""
    trimmed = pc.utf8_trim_whitespace(text_of(column))
    found = pc.is_in(trimmed, pa.array([value.decode() for value in values], pa.string()))
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def truth(piece: DumpPiece, role: str) -> NDArray[np.bool_]:
    """Which rows say true."""
    column = piece.columns[role]
    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(role == "latest").to_numpy(zero_copy_only=False), np.bool_)
    texts = [(value or b"").strip().lower() for value in bytes_of(piece, role, empty=True).to_pylist()]
    for row, value in enumerate(texts):
        if value not in (*_TRUE, *_FALSE):
            raise piece.bad(row, f"{shown(value)} is neither true nor false")
    # A bucket without versions has nothing but latest ones, and may leave the column empty.
    return np.fromiter((value in _TRUE or (role == "latest" and not value) for value in texts), np.bool_, len(texts))


def sizes(piece: DumpPiece) -> Column:
    """Sizes in bytes; null where none is told."""
    column = piece.columns["size"]
    if pa.types.is_integer(column.type):
        sizes = column.cast(pa.int64())
        wrong = np.flatnonzero(pc.less(sizes, 0).fill_null(False).to_numpy(zero_copy_only=False))
    else:
        texts = _values(column)
        fits = pc.match_substring_regex(texts, r"^[0-9]{1,18}$")
        wrong = np.flatnonzero(~fits.fill_null(True).to_numpy(zero_copy_only=False))
        sizes = texts.cast(pa.int64()) if not len(wrong) else texts
    if len(wrong):
        value = text_of(column.slice(int(wrong[0]), 1))[0].as_py()
        raise piece.bad(int(wrong[0]), f"the size {value[:80]!r} is no whole number of bytes")
    return sizes


def _values(column: Column) -> Column:
    """Texts without blanks around them; null where nothing stands."""
    texts = pc.utf8_trim_whitespace(text_of(column))
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def moments(piece: DumpPiece, role: str, times: Times | None) -> Column:
    """Nanoseconds since 1970; null where no time is told."""
    column = piece.columns[role]
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    if times is None:
        if column.null_count == len(column) or pc.all(pc.is_null(_values(column))).as_py():
            return pa.nulls(len(column), pa.int64())
        raise piece.bad(0, "it is not clear how its times are written", f"add times={' or '.join(Times)} to the door")
    if pa.types.is_integer(column.type):
        return pc.multiply_checked(column.cast(pa.int64()), _UNITS_NS.get(times, SECOND_NS))
    texts = _values(column)
    parse: Callable[[Column], Column] = _of_iso if times is Times.ISO else lambda each: _count(each, times)
    try:
        return parse(texts)
    except pa.ArrowException:
        pass
    # One of them is no time; which one, is looked for one by one.
    for row in range(len(texts)):
        try:
            parse(texts.slice(row, 1))
        except pa.ArrowException as error:
            value = shown(str(texts[row].as_py()).encode())
            raise piece.bad(row, f"{value} is no time in {times}", "correct times= of the door") from error
    raise piece.bad(0, "its times cannot be read", "correct times= of the door")


def _of_iso(texts: Column) -> Column:
    """ISO 8601 with or without zone, which is UTC if there is none."""
    bare = pc.replace_substring_regex(texts, r"(Z|\+00:?00)$", "")
    return bare.cast(pa.timestamp("ns")).cast(pa.int64())


def _count(texts: Column, times: Times) -> Column:
    """A number of units since 1970; seconds may have a fraction, of which nine digits count."""
    parts = pc.extract_regex(texts, r"^(?P<whole>-?[0-9]{1,12})(?:\.(?P<part>[0-9]{1,9})[0-9]*)?$")
    if times is not Times.SECONDS or parts.null_count > texts.null_count:
        return pc.multiply_checked(texts.cast(pa.int64()), _UNITS_NS[times])
    whole, part = parts.field("whole"), parts.field("part")
    whole = pc.if_else(parts.is_null(), pa.scalar(None, pa.string()), whole)
    fraction = pc.utf8_rpad(part.fill_null(""), 9, "0")
    return pc.add(pc.multiply_checked(whole.cast(pa.int64()), SECOND_NS), fraction.cast(pa.int64()))


def digests(piece: DumpPiece, notes: Column | None) -> dict[str, Column]:
    """A column for each algorithm that is told, and the notes with what was not believed."""
    found: dict[str, Column] = {}
    said: dict[int, str] = {}
    for role in piece.columns:
        if role in DIGITS or role == "checksum":
            for name, column in _digests_of(piece.columns[role], role, said).items():
                found[name] = column if name not in found else pc.coalesce(found[name], column)
    if said:
        known = notes.to_pylist() if notes is not None else [None] * piece.count
        texts = [note or said.get(row) for row, note in enumerate(known)]
        notes = pa.array(texts, pa.string())
    return found if notes is None else found | {"note": notes}


def _digests_of(column: Column, role: str, said: dict[int, str]) -> Mapping[str, Column]:
    texts = text_of(column)
    name, bare = role, texts
    if role == "checksum":  # What Rucio writes, all alike: no need to look at each.
        name, bare = "adler32", pc.if_else(pc.starts_with(texts, "ad:"), pc.utf8_slice_codeunits(texts, 3), texts)
        if not pc.all(pc.or_kleene(pc.starts_with(texts, "ad:"), pc.equal(texts, ""))).as_py():
            return _one_by_one(texts, "", said)
    normal = pc.match_substring_regex(bare, f"^(|[0-9a-f]{{{DIGITS[name]}}})$").fill_null(True)
    zeros = pc.equal(bare, "0" * DIGITS[name]).fill_null(False)
    if not pc.all(normal).as_py() or pc.any(zeros).as_py():
        return _one_by_one(texts, "" if role == "checksum" else role, said)
    return {name: pc.if_else(pc.equal(bare, ""), pa.scalar(None, pa.string()), bare)}


def _one_by_one(texts: Column, name: str, said: dict[int, str]) -> Mapping[str, Column]:
    known: dict[str, list[str | None]] = {}
    for row, text in enumerate(texts.to_pylist()):
        found = told.from_column(text or "", name)
        if found.refusals:
            said[row] = found.why_not
        for algorithm, digest in found.checksums.items():
            known.setdefault(algorithm, [None] * len(texts))[row] = digest
    return {algorithm: pa.array(column, pa.string()) for algorithm, column in known.items()}
