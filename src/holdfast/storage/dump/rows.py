"""DumpRows: the rows of a dump as ours; what their columns say is ``values``' business.

A piece of a dump in, a table of rows out: every file below the directory it is
in, and what its other columns say of it.

    dir, name    bytes; ``dir`` without its first slash, "" is the root
    kind         FILE, DIRECTORY (the path ends in a slash), UNNAMEABLE, or HERE: the root itself
    size, mtime_ns, changed_ns    null where the dump does not say
    version      ETag; adler32 and so on: one column each
    note         why a name cannot be ours, or why a digest is not believed

Rules
  * All paths begin with the prefix, if there is one; else all are absolute or
    all relative. A path that is otherwise is BadInput with its line: what is
    left out silently would be called missing.
  * A path that is none of ours is UNNAMEABLE in the last directory of it that
    is ours; ``name`` is the bad component, or all from there on where the
    component is empty, ``.`` or ``..``.
  * A digest that is none is not told; why, is in the note.
  * Rows that are no files there now are left out: old versions, delete markers,
    replicas in other states than those asked for.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from holdfast.model import names
from holdfast.model.errors import InvalidName
from holdfast.storage.abilities import Taken
from holdfast.storage.dump import values as dump_values
from holdfast.storage.dump.layout import DumpLayout
from holdfast.storage.dump.options import DumpOptions, Times
from holdfast.storage.dump.reading import Column, DumpPiece, binary

pc: Any = compute

HERE, MARK, FILE, DIRECTORY, OTHER, UNNAMEABLE = range(6)
"""Kinds of rows. HERE: the directory ``dir`` itself; MARK: what is said against it; the others: a name in it."""

NUMBERS = ("size", "mtime_ns", "changed_ns")
TEXTS = ("version", "note")

_SLASH = ord("/")
# What may be no name of ours, cheaply found: everything else surely is one, if it is UTF-8 and short.
_ODD = r"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]|(^|/)\.{0,2}(/|$)"
_SHORT = names.COMPONENT_BYTES_MAX


class Normaliser:
    """Makes rows of pieces, one layout and one door's options throughout."""

    def __init__(self, layout: DumpLayout, options: DumpOptions, taken: Taken) -> None:
        self._layout = layout
        self._options = options
        self._taken = taken
        self._absolute: bool | None = None
        self._under = options.under.removeprefix("/").encode()

    def rows(self, piece: DumpPiece) -> pa.Table:
        """The rows of a piece that are files there now."""
        piece = self._present(piece)
        columns = self._named(piece)
        if "size" in piece.columns:
            columns["size"] = dump_values.sizes(piece)
        columns |= self._times(piece)
        if "version" in piece.columns:
            columns["version"] = dump_values.text_of(piece.columns["version"])
        columns |= dump_values.digests(piece, columns.pop("note", None))
        return pa.table(columns)

    # ---- which rows count ------------------------------------------------------------

    def _present(self, piece: DumpPiece) -> DumpPiece:
        kept = np.ones(piece.count, np.bool_)
        if "state" in piece.columns:
            states = {state.encode() for state in self._options.states}
            kept &= dump_values.is_in(piece.columns["state"], states)
        if "latest" in piece.columns:
            kept &= dump_values.truth(piece, "latest")
        if "deleted" in piece.columns:
            kept &= ~dump_values.truth(piece, "deleted")
        if kept.all():
            return piece
        mask = pa.array(kept)
        columns = {role: column.filter(mask) for role, column in piece.columns.items()}
        return DumpPiece(piece.place, piece.unit, columns, piece.numbers[kept])

    # ---- names -----------------------------------------------------------------------

    def _named(self, piece: DumpPiece) -> dict[str, Column]:
        paths = self._relative(piece, _paths(piece))
        dirs, own, notes = _split(paths), None, None
        dir_column, name_column = dirs
        kinds = np.full(piece.count, FILE, np.int8)
        odd = _odd(paths)
        if len(odd):
            own, notes = _repaired(paths, dirs, kinds, odd)
            dir_column, name_column = own
        if self._under:
            dir_column = _put_under(dir_column, self._under)
        found = {"dir": dir_column, "name": name_column, "kind": pa.array(kinds)}
        return found if notes is None else found | {"note": notes}

    def _relative(self, piece: DumpPiece, paths: Column) -> Column:
        """The paths without what stands before all of them, the first slash included."""
        if self._layout.encoded:
            paths = _decoded(paths)
        prefix = self._options.prefix.encode()
        if prefix:
            return self._without_prefix(piece, paths, prefix)
        if self._layout.keys:
            return paths
        absolute = _starts_with(paths, b"/")
        if self._absolute is None and piece.count:
            self._absolute = bool(absolute[0])
            if not self._absolute and paths[0].as_py().startswith(b"./"):
                raise piece.bad(0, "the paths begin with './'", "add prefix=. to the door")
        wrong = np.flatnonzero(absolute != bool(self._absolute))
        if len(wrong):
            kind, first = ("absolute", "relative") if absolute[wrong[0]] else ("relative", "absolute")
            shown = dump_values.shown(paths[int(wrong[0])].as_py())
            raise piece.bad(int(wrong[0]), f"the path {shown} is {kind}, the first one is {first}")
        return _without_first(paths, np.ones(piece.count, np.int64)) if self._absolute else paths

    def _without_prefix(self, piece: DumpPiece, paths: Column, prefix: bytes) -> Column:
        wrong = np.flatnonzero(~_starts_with(paths, prefix))
        if len(wrong):
            shown = dump_values.shown(paths[int(wrong[0])].as_py())
            hint = "correct the prefix of the door; a dump of more than that belongs to several doors"
            raise piece.bad(int(wrong[0]), f"the path {shown} does not begin with {dump_values.shown(prefix)}", hint)
        rest = _without_first(paths, np.full(piece.count, len(prefix)))
        slashes = _starts_with(rest, b"/")
        if not prefix.endswith(b"/"):
            wrong = np.flatnonzero(~slashes)
            if len(wrong):
                shown = dump_values.shown(paths[int(wrong[0])].as_py())
                raise piece.bad(int(wrong[0]), f"the path {shown} is not below {dump_values.shown(prefix)}")
        while slashes.any():
            rest = _without_first(rest, slashes.astype(np.int64))
            slashes = _starts_with(rest, b"/")
        return rest

    # ---- times -----------------------------------------------------------------------

    def _times(self, piece: DumpPiece) -> dict[str, Column]:
        """``mtime_ns``; where it is not told, ``changed_ns`` is the latest that it may be."""
        found: dict[str, Column] = {}
        if "mtime_ns" in piece.columns:
            found["mtime_ns"] = dump_values.moments(piece, "mtime_ns", Times.NANOSECONDS)
        elif "mtime" in piece.columns:
            found["mtime_ns"] = dump_values.moments(piece, "mtime", self._layout.times)
        if "changed_ns" in piece.columns:
            found["changed_ns"] = dump_values.moments(piece, "changed_ns", Times.NANOSECONDS)
        latest = pa.scalar(self._taken.latest_ns, pa.int64())
        if "mtime_ns" not in found:
            return found | {"changed_ns": pa.array(np.full(piece.count, self._taken.latest_ns, np.int64))}
        if found["mtime_ns"].null_count:
            others = found.get("changed_ns", pa.nulls(piece.count, pa.int64()))
            found["changed_ns"] = pc.if_else(found["mtime_ns"].is_null(), pc.coalesce(others, latest), others)
        return found


# ---- paths ---------------------------------------------------------------------------


def _paths(piece: DumpPiece) -> Column:
    if "path" in piece.columns:
        paths = dump_values.bytes_of(piece, "path")
        wrong = np.flatnonzero(_lengths(paths) == 0)
        if len(wrong):
            raise piece.bad(int(wrong[0]), "the path is empty")
        return paths
    dirs, own = dump_values.bytes_of(piece, "dir", empty=True), dump_values.bytes_of(piece, "name")
    wrong = np.flatnonzero((_lengths(own) == 0) | pc.match_substring(own, "/").to_numpy(zero_copy_only=False))
    if len(wrong):
        raise piece.bad(int(wrong[0]), f"{dump_values.shown(own[int(wrong[0])].as_py())} is no name")
    bare = pc.or_(pc.equal(dirs, pa.scalar(b"/", pa.binary())), pc.equal(dirs, pa.scalar(b"", pa.binary())))
    joined = pc.binary_join_element_wise(dirs, own, pa.scalar(b"/", pa.binary()))
    at_root = pc.binary_join_element_wise(dirs, own, pa.scalar(b"", pa.binary()))
    return pc.if_else(bare, at_root, joined)


def _decoded(paths: Column) -> Column:
    """URL-decoded, a plus being a blank: whoever encodes a real plus writes %2B."""
    if not pc.any(pc.match_substring_regex(paths, "[%+]")).as_py():
        return paths
    return pa.array([unquote_to_bytes(path.replace(b"+", b" ")) for path in paths.to_pylist()], pa.binary())


def _buffers(column: Column) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of a column and where in them its values begin and end."""
    _, offsets, data = column.buffers()
    if offsets is None or not len(column):
        return np.zeros(0, np.uint8), np.zeros(len(column) + 1, np.int64)
    marks = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return content[marks[0] : marks[-1]], marks - marks[0]


def _lengths(column: Column) -> NDArray[np.int64]:
    return np.diff(_buffers(column)[1])


def _without_first(column: Column, counts: NDArray[np.int64]) -> Column:
    """Every value without so many of its first bytes."""
    data, marks = _buffers(column)
    return binary(data, np.minimum(marks[:-1] + counts, marks[1:]), marks[1:])


def _split(paths: Column) -> tuple[Column, Column]:
    """Directory and name of every path, cut at its last slash; no slash: the directory is ""."""
    data, marks = _buffers(paths)
    starts, ends = marks[:-1], marks[1:]
    slashes = np.flatnonzero(data == _SLASH).astype(np.int64)
    before = np.searchsorted(slashes, ends) - 1
    last = slashes[np.maximum(before, 0)] if len(slashes) else np.zeros(len(starts), np.int64)
    has = (before >= 0) & (last >= starts)
    return binary(data, starts, np.where(has, last, starts)), binary(data, np.where(has, last + 1, starts), ends)


def _odd(paths: Column) -> NDArray[np.int64]:
    """The places of all paths that may be none of ours."""
    odd = pc.match_substring_regex(paths, _ODD).to_numpy(zero_copy_only=False) | (_lengths(paths) > _SHORT)
    try:
        paths.cast(pa.string())
    except pa.ArrowInvalid:
        odd |= np.fromiter((not _is_utf8(path) for path in paths.to_pylist()), np.bool_, len(paths))
    return np.flatnonzero(odd)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _repaired(
    paths: Column, split: tuple[Column, Column], kinds: NDArray[np.int8], odd: NDArray[np.int64]
) -> tuple[tuple[Column, Column], Column]:
    """Directories, names and notes with the odd paths looked at one by one; ``kinds`` is corrected in place."""
    dirs, own = (column.to_pylist() for column in split)
    notes: list[str | None] = [None] * len(dirs)
    for place in odd.tolist():
        dirs[place], own[place], kinds[place], notes[place] = place_of(paths[place].as_py())
    return (pa.array(dirs, pa.binary()), pa.array(own, pa.binary())), pa.array(notes, pa.string())


def place_of(path: bytes) -> tuple[bytes, bytes, int, str | None]:
    """Directory, name, kind and note of a path without its first slash."""
    if not path:
        return b"", b"", HERE, None
    bare = path.removesuffix(b"/") if path != b"/" else path
    good = 0
    for component in bare.split(b"/"):
        reason = _why_no_name(component)
        if reason is None and good + len(component) > names.LFN_BYTES_MAX - 1:
            reason = f"the path is longer than {names.LFN_BYTES_MAX} bytes"
        if reason is not None:
            raw = component if component not in (b"", b".", b"..") else path[good:]
            return path[: max(0, good - 1)], raw, UNNAMEABLE, reason
        good += len(component) + 1
    head, _, tail = bare.rpartition(b"/")
    return head, tail, DIRECTORY if bare != path else FILE, None


def _why_no_name(component: bytes) -> str | None:
    try:
        names.file_name(component.decode())
    except UnicodeDecodeError:
        return "the name is not UTF-8"
    except InvalidName as error:
        return error.message if component else "the path has an empty component"
    return None


def _put_under(dirs: Column, under: bytes) -> Column:
    top = pa.scalar(under, pa.binary())
    below = pc.binary_join_element_wise(top, dirs, pa.scalar(b"/", pa.binary()))
    return pc.if_else(pc.equal(dirs, pa.scalar(b"", pa.binary())), top, below)


def _starts_with(column: Column, prefix: bytes) -> NDArray[np.bool_]:
    found = pc.starts_with(column, prefix)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)
