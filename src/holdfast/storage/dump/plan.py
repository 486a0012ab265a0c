"""DumpPlan: what a dump is made of and how it will be read; and then reading it.

Planning opens the files and looks at the first lines, so that what is not clear
is told when the door is opened. Staging reads everything, checks it and writes
the store.

Rules
  * All files of a dump have one layout, told by the first that has lines in it.
  * Numbered parts hold the paths that belong there: the adler32 of a path,
    modulo the number of parts, is the number of its part. A part that is missing
    at the end is noticed by that.
  * Values that are out of all range, or of a type that nothing can be made of,
    are BadInput with the file and the piece of it.
  * A dump that holds no file is BadInput unless the door allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import adler32

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.model.errors import BadInput
from holdfast.storage.dump import layout as dump_layout
from holdfast.storage.dump import own as dump_own
from holdfast.storage.dump import reading as dump_reading
from holdfast.storage.dump import sources as dump_sources
from holdfast.storage.dump.layout import LAYOUTS, DumpLayout
from holdfast.storage.dump.options import SECOND_NS, DumpOptions, Times
from holdfast.storage.dump.reading import DumpPiece
from holdfast.storage.dump.rows import NUMBERS, TEXTS, Normaliser
from holdfast.storage.dump.sources import DumpSources, SourceFile
from holdfast.storage.dump.staging import ROWS_HELD, Stager, schema_of
from holdfast.storage.dump.store import StoreWriter

_HEAD_BYTES = 1 << 16
_PARQUET = b"PAR1"
_RESOLUTIONS_NS = {Times.DAYS: 86_400 * SECOND_NS, Times.MILLISECONDS: 1_000_000, Times.NANOSECONDS: 1}


@dataclass(frozen=True, slots=True)
class DumpPlan:
    """What is known of a dump before it is read. No ``layout``: there is not a line in it."""

    options: DumpOptions
    sources: DumpSources
    layout: DumpLayout | None
    rows_held: int = ROWS_HELD

    @property
    def algorithms(self) -> frozenset[str]:
        """The checksums that its rows may tell."""
        return self.layout.algorithms if self.layout else frozenset()

    @property
    def mtime_resolution_ns(self) -> int:
        """How finely its times are written."""
        if self.layout is None or "mtime_ns" in self.layout.roles:
            return 1
        return _RESOLUTIONS_NS.get(self.layout.times or Times.SECONDS, SECOND_NS)


def plan(options: DumpOptions) -> DumpPlan:
    """Find the files of a dump and look at the first lines."""
    if options.layout and options.layout not in LAYOUTS:
        raise BadInput(f"there is no layout {options.layout[:40]!r}", hint=f"known are {', '.join(LAYOUTS)}")
    sources = dump_sources.find(options)
    place = str(options.path)
    if sources.schema:
        return DumpPlan(options, sources, dump_layout.of_schema(sources.schema, sources.form, place))
    found = (_layout(file, options) for file in sources.files)
    return DumpPlan(options, sources, next((layout for layout in found if layout is not None), None))


def _layout(file: SourceFile, options: DumpOptions) -> DumpLayout | None:
    """The layout that a file shows; None if there is not a line in it."""
    place = str(file.path)
    if options.layout == "parquet" or _begins_with(file, _PARQUET):
        try:
            with pq.ParquetFile(file.path) as opened:
                layout = dump_layout.of_columns(opened.schema_arrow.names, options, place)
                return _timed(layout, opened, place)
        except (pa.ArrowException, OSError, OverflowError, RecursionError, ValueError) as error:
            raise BadInput("is not a whole Parquet file", place=place, hint="get the file again") from error
    head = dump_reading.head(file, _HEAD_BYTES)
    return dump_layout.of_text(head, options, place) if head.strip(b"\r\n") else None


def _timed(layout: DumpLayout, opened: pq.ParquetFile, place: str) -> DumpLayout:
    """With the way in which a Parquet file writes times, if that is not the column's type."""
    if "mtime" not in layout.roles or layout.times is not None:
        return layout
    name = layout.columns[layout.roles.index("mtime")]
    if pa.types.is_timestamp(opened.schema_arrow.field(name).type):
        return replace(layout, times=Times.NANOSECONDS)
    sample = next(opened.iter_batches(batch_size=dump_layout.SAMPLE_LINES, columns=[name]), None)
    values = sample[name].to_pylist() if sample is not None else []
    return replace(layout, times=dump_layout.times_of([str(each) for each in values if each is not None], place))


def _begins_with(file: SourceFile, magic: bytes) -> bool:
    with open(file.path, "rb") as opened:
        return opened.read(len(magic)) == magic


def stage(planned: DumpPlan, folder: Path) -> None:
    """Read the whole dump into a store in ``folder``."""
    options, layout = planned.options, planned.layout
    schema = schema_of(_columns(planned))
    stager = Stager(folder, schema, rows_held=planned.rows_held)
    files = 0
    if layout is not None:
        normaliser = Normaliser(layout, options, planned.sources.taken)
        for piece in pieces(planned):
            rows = rows_of(normaliser, piece)
            files += rows.num_rows
            stager.add(rows)
    own = planned.sources.own
    if own is not None:
        for rows in dump_own.rows(own, Normaliser(dump_own.LAYOUT, options, planned.sources.taken)):
            stager.add(rows)
    elif not files and not options.empty:
        raise BadInput(
            "there is not a single file in the dump",
            place=str(options.path),
            hint="get it again; if it may be empty, add empty=allowed to the door",
        )
    writer = StoreWriter(folder, schema)
    try:
        stager.finish(writer)
        writer.finish()
    finally:
        writer.close()


def rows_of(normaliser: Normaliser, piece: DumpPiece) -> pa.Table:
    """The rows of a piece; BadInput where its values are such that they cannot be reckoned with."""
    try:
        return normaliser.rows(piece)
    except (pa.ArrowException, OverflowError, RecursionError, ValueError) as error:
        problem = (str(error).splitlines() or [""])[0][:80]
        raise BadInput(
            f"its values cannot be read: {problem or type(error).__name__}",
            place=f"{piece.place}, {piece.unit} {piece.numbers[0]} to {piece.numbers[-1]}",
            hint="correct it, or leave the column out with columns=",
        ) from error


def _columns(planned: DumpPlan) -> set[str]:
    """The columns that a row of this dump can have."""
    columns = {"changed_ns", "note"} | planned.algorithms
    if planned.layout is not None:
        roles = set(planned.layout.roles)
        columns |= roles & {*NUMBERS, *TEXTS}
        columns |= {"mtime_ns"} if roles & {"mtime", "mtime_ns"} else set()
    return columns


def pieces(planned: DumpPlan) -> Iterator[DumpPiece]:
    """What stands in the files of a dump, a piece at a time; a part that is another's is BadInput."""
    if planned.layout is not None:
        for source in planned.sources.files:
            yield from _pieces(source, planned.layout, planned.sources)


def _pieces(source: SourceFile, layout: DumpLayout, sources: DumpSources) -> Iterator[DumpPiece]:
    checked = not sources.numbered or len(sources.files) == 1
    for piece in dump_reading.pieces(source, layout):
        if not piece.count:
            continue
        if not checked and "path" in piece.columns:
            _check_part(piece, source, len(sources.files))
        yield piece


def _check_part(piece: DumpPiece, source: SourceFile, parts: int) -> None:
    """BadInput if the first path of a piece does not belong into this part."""
    path = piece.columns["path"][0].as_py()
    belongs = adler32(path) % parts
    if belongs != source.part:
        raise piece.bad(
            0,
            f"of {parts} parts this path belongs into part {belongs:05d}, not {source.part:05d}",
            "get all parts again: some are missing, or of another dump",
        )
