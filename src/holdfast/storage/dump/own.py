"""DumpOwn: a listing that Holdfast made, as a dump: what is in it beside the files.

Rules
  * A directory that was listed and is empty is there.
  * What is said against a directory stays said: one that failed or was skipped
    cannot be listed, one that was doubted is doubted.
  * What was neither a file nor a directory is neither of them here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from holdfast.model import names
from holdfast.model.errors import InvalidName
from holdfast.storage.dump.layout import DumpLayout, RowForm
from holdfast.storage.dump.reading import DumpPiece
from holdfast.storage.dump.rows import HERE, MARK, OTHER, UNNAMEABLE, Normaliser
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.tables import ODDITIES, DirectoryState, Odd

LAYOUT = DumpLayout("holdfast", RowForm.PARQUET, ("path",))
FAILED, DOUBTED = b"failed", b"doubted"
"""The names of marks: nothing is known of the directory; not all may be known."""

_ROWS = 1 << 14
_MARKS = {
    DirectoryState.FAILED.value: FAILED,
    DirectoryState.SKIPPED.value: FAILED,
    DirectoryState.DOUBTED.value: DOUBTED,
}


def rows(listing: Listing, normaliser: Normaliser) -> Iterator[pa.Table]:
    """The rows of the directories and of what is odd in them."""
    place = str(listing.folder)
    for some in _some(listing.directories()):
        yield normaliser.rows(_piece(place, [_with_slash(row.dir) for row in some]))
        marked = [row for row in some if row.state in _MARKS]
        if marked:
            yield _marks(normaliser.rows(_piece(place, [_with_slash(row.dir) for row in marked])), marked)
    for batch in listing.batches(ODDITIES):
        columns = (batch[name].to_pylist() for name in ("dir", "raw", "kind", "reason"))
        found = list(zip(*columns, strict=True))
        if found:
            yield _oddities(normaliser.rows(_piece(place, [_with_slash(row[0]) for row in found])), found)


def _some(directories: Iterable[DirectoryRow]) -> Iterator[tuple[DirectoryRow, ...]]:
    held: list[DirectoryRow] = []
    for row in directories:
        held.append(row)
        if len(held) >= _ROWS:
            yield tuple(held)
            held = []
    if held:
        yield tuple(held)


def _with_slash(dir: str) -> bytes:
    return dir.encode() if dir == "/" else f"{dir}/".encode()


def _piece(place: str, paths: list[bytes]) -> DumpPiece:
    return DumpPiece(place, "directory", {"path": pa.array(paths, pa.binary())}, np.arange(1, len(paths) + 1))


def _inside(normal: pa.Table) -> list[bytes]:
    """The directories that normalised rows name: as those below them have it."""
    found = []
    for dir, name, kind in zip(*(normal[column].to_pylist() for column in ("dir", "name", "kind")), strict=True):
        found.append(dir if kind == HERE or not name else dir + b"/" + name if dir else name)
    return found


def _marks(normal: pa.Table, rows: list[DirectoryRow]) -> pa.Table:
    return pa.table(
        {
            "dir": pa.array(_inside(normal), pa.binary()),
            "name": pa.array([_MARKS[row.state] for row in rows], pa.binary()),
            "kind": pa.array([MARK] * len(rows), pa.int8()),
            "note": pa.array([f"{row.state}: {row.reason}" for row in rows], pa.string()),
        }
    )


def _oddities(normal: pa.Table, found: list[tuple[Any, ...]]) -> pa.Table:
    return pa.table(
        {
            "dir": pa.array(_inside(normal), pa.binary()),
            "name": pa.array([raw for _, raw, _, _ in found], pa.binary()),
            "kind": pa.array([_kind_of(raw, kind) for _, raw, kind, _ in found], pa.int8()),
            "note": pa.array([reason for _, _, _, reason in found], pa.string()),
        }
    )


def _kind_of(raw: bytes, kind: str) -> int:
    """What was listed and made no sense is something, of which it is not known what."""
    if kind == Odd.UNNAMEABLE:
        return UNNAMEABLE
    try:
        names.file_name(raw.decode())
    except (UnicodeDecodeError, InvalidName):
        return UNNAMEABLE
    return OTHER
