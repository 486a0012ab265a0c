"""CatalogueTable: rows of any catalogue as the tables that an ``Inventory`` writes.

Pieces of a catalogue in (``storage.dump.reading``: columns by what stands in
them), Parquet out. Dumps come in pieces anyway; answers of databases and of
plug-ins are made pieces by ``pieces_of``.

Columns: ``path`` or ``lfn``, or ``dir`` and ``name``; ``size``, ``adler32`` or
``checksum``, ``state``, by any of the names that ``storage.dump.layout`` knows.

Rules
  * Rows in another state than those that count are known, not expected.
  * A path is that at the site; an LFN becomes one by the rules of the site's
    first door. One that they have no path for, and a name that could not be one
    of ours, is counted and shown, never silently left out.
  * Whole columns are worked on. Rules that exchange a prefix, or none, are
    applied to directories; only others to each name.
  * The tables are durable when ``write`` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from holdfast.consistency.durable import sync
from holdfast.consistency.sources.inventory import SHOWN_MAX, Written, known_beside
from holdfast.model import names, pfn
from holdfast.model.errors import BadInput, InvalidName
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Site
from holdfast.storage.abilities import Taken
from holdfast.storage.dump import values as dump_values
from holdfast.storage.dump.layout import DumpLayout, RowForm, role_of
from holdfast.storage.dump.options import DumpOptions
from holdfast.storage.dump.plan import rows_of
from holdfast.storage.dump.reading import DumpPiece
from holdfast.storage.dump.rows import FILE, UNNAMEABLE, Normaliser

pc: Any = compute

_FIELDS: list[pa.Field[Any]] = [
    pa.field("dir", pa.string()),
    pa.field("name", pa.string()),
    pa.field("size", pa.int64()),
    pa.field("adler32", pa.string()),
    pa.field("lfn", pa.string()),
]
EXPECTED_SCHEMA = pa.schema(_FIELDS)
KNOWN_SCHEMA = pa.schema(_FIELDS[:2])


@dataclass(frozen=True, slots=True)
class Reading:
    """How pieces are to be read: the options of a dump, and whether names are LFNs that ``rules`` make paths of."""

    layout: DumpLayout
    options: DumpOptions
    taken: Taken
    rules: PfnRules = field(default_factory=PfnRules)


def write(pieces: Iterable[DumpPiece], reading: Reading, target: Path, *, known_too: Sequence[Path] = ()) -> Written:
    """Write what stands in ``pieces`` to ``target`` and to the table beside it; ``Written.taken`` is not set.

    What is in the tables ``known_too`` is known besides.
    """
    known_target = known_beside(target)
    written = Written(0, 0)
    # What is neither expected nor known is not there: states are looked at here.
    normaliser = Normaliser(reading.layout, reading.options, reading.taken)
    with ExitStack() as files:
        expected = files.enter_context(table_writer(target, EXPECTED_SCHEMA))
        known = files.enter_context(table_writer(known_target, KNOWN_SCHEMA))
        for piece in pieces:
            for part, counts in _by_state(piece, reading.options.states):
                rows, lost = _rows(rows_of(normaliser, part), reading.rules)
                if not counts:
                    known.write_table(rows.select(KNOWN_SCHEMA.names))
                    written = replace(written, known=written.known + rows.num_rows)
                    continue
                expected.write_table(rows)
                shown = (*written.without_path_shown, *lost[: SHOWN_MAX - len(written.without_path_shown)])
                written = replace(
                    written,
                    files=written.files + rows.num_rows,
                    size=written.size + (pc.sum(rows["size"]).as_py() or 0),
                    without_path=written.without_path + len(lost),
                    without_path_shown=shown,
                )
        for table in map(pq.ParquetFile, known_too):
            with table:
                for batch in table.iter_batches(columns=KNOWN_SCHEMA.names):
                    known.write_batch(batch)
                    written = replace(written, known=written.known + batch.num_rows)
    for path in (target, known_target):
        sync(path)
    return written


def table_writer(target: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of such a table; only directories repeat, dictionaries of all else would be made in vain."""
    directories: Any = ["dir"]
    return pq.ParquetWriter(target, schema, compression="zstd", compression_level=1, use_dictionary=directories)


def write_batches(batches: Iterable[pa.RecordBatch], site: Site, target: Path, *, place: str) -> Written:
    """Write rows with columns as above, all batches alike; ``place`` names the catalogue in errors."""
    rest = iter(batches)
    first = next(rest, None)
    columns = tuple(first.schema.names) if first is not None else ("path",)
    check_columns(columns, place)
    rules = site.first_door.rules if "lfn" in map(str.lower, columns) else PfnRules()
    reading = Reading(layout_of(columns), DumpOptions(Path()), Taken(0, 0, ""), rules)
    return write(pieces_of(chain([] if first is None else [first], rest), place), reading, target)


def check_columns(columns: Sequence[str], place: str) -> None:
    """BadInput unless there is a path, and nothing twice."""
    roles = [role_of(name) for name in columns]
    twice = next((role for role in roles if role and roles.count(role) > 1), "")
    if twice:
        raise BadInput(f"the {twice} is there twice", place=place, hint="leave one of them out")
    if "path" not in roles and not {"dir", "name"} <= set(roles):
        found = ", ".join(columns)[:80]
        raise BadInput(f"there is no path and no lfn, but {found}", place=place, hint="name the columns so")


def pieces_of(batches: Iterable[pa.RecordBatch], place: str) -> Iterator[DumpPiece]:
    """Rows with named columns as pieces; columns of names that nothing is known of are left out."""
    number = 1
    for batch in batches:
        roles = {name: role_of(name) for name in batch.schema.names}
        columns = {role: _plain(batch.column(name)) for name, role in roles.items() if role}
        yield DumpPiece(place, "row", columns, np.arange(number, number + batch.num_rows))
        number += batch.num_rows


def layout_of(columns: Iterable[str]) -> DumpLayout:
    """The layout of pieces with these columns."""
    columns = tuple(columns)
    return DumpLayout("rows", RowForm.PARQUET, tuple(role_of(name) for name in columns), columns)


def _plain(column: Any) -> Any:
    """Texts as bytes and whole numbers as such, whatever a database makes of them."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return column.cast(pa.int64())
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.binary())
    return column


def _by_state(piece: DumpPiece, states: frozenset[str]) -> Iterator[tuple[DumpPiece, bool]]:
    """The rows that count, and those that are only known."""
    if "state" not in piece.columns:
        yield piece, True
        return
    counts = dump_values.is_in(piece.columns["state"], {state.encode() for state in states})
    for wanted in (True, False):
        kept = counts if wanted else ~counts
        if kept.any():
            mask = pa.array(kept)
            columns = {role: column.filter(mask) for role, column in piece.columns.items() if role != "state"}
            yield DumpPiece(piece.place, piece.unit, columns, piece.numbers[kept]), wanted


def _rows(rows: pa.Table, rules: PfnRules) -> tuple[pa.Table, list[str]]:
    """The rows of a piece as the table has them, and the names that no path belongs to."""
    kinds = rows["kind"].to_numpy()
    unnameable = rows.filter(pa.array(kinds == UNNAMEABLE))
    lost = [
        _shown(dir, name) for dir, name in zip(*(unnameable[each].to_pylist() for each in ("dir", "name")), strict=True)
    ]
    rows = rows.filter(pa.array(kinds == FILE)).combine_chunks()
    dirs = pc.binary_join_element_wise(pa.scalar(b"", pa.binary()), rows["dir"], pa.scalar(b"/", pa.binary()))
    columns = {
        "dir": dirs.cast(pa.string()),
        "name": rows["name"].cast(pa.string()),
        **{name: rows[name] if name in rows.column_names else pa.nulls(rows.num_rows) for name in ("size", "adler32")},
        "lfn": pa.nulls(rows.num_rows),
    }
    table = pa.table({name: _cast(columns[name], name) for name in EXPECTED_SCHEMA.names})
    if not rules.chains:
        return table, lost
    placed, without = _placed(table, rules)
    return placed, [*lost, *without]


def _cast(column: Any, name: str) -> Any:
    return column.cast(EXPECTED_SCHEMA.field(name).type)


def _shown(dir: bytes, name: bytes) -> str:
    return ascii((b"/" + (dir + b"/" if dir else b"") + name).decode(errors="backslashreplace"))[1:-1]


def _placed(table: pa.Table, rules: PfnRules) -> tuple[pa.Table, list[str]]:
    """Rows of LFNs with the paths that the rules make of them; and the LFNs of which they make none."""
    dirs, own = table["dir"].combine_chunks(), table["name"].combine_chunks()
    at_root = pc.equal(dirs, "/")
    lfns = pc.if_else(
        at_root,
        pc.binary_join_element_wise("", own, "/"),
        pc.binary_join_element_wise(dirs, own, "/"),
    )
    if pfn.exchanged_prefix(rules) is not None:
        dirs = _exchanged(dirs, rules)
    else:
        places = [_place(rules, lfn) for lfn in lfns.to_pylist()]
        dirs = pa.array([place and place[0] for place in places], pa.string())
        own = pa.array([place and place[1] for place in places], pa.string())
    found = dirs.is_valid()
    placed = pa.table([dirs, own, table["size"], table["adler32"], lfns], schema=EXPECTED_SCHEMA)
    return placed.filter(found), lfns.filter(pc.invert(found)).to_pylist()


def _exchanged(dirs: Any, rules: PfnRules) -> Any:
    """Directories with another prefix: what the rules do to a name depends on its directory alone."""
    encoded = dirs.dictionary_encode()
    places = [_place(rules, names.join(dir, "x")) for dir in encoded.dictionary.to_pylist()]
    return pa.array([place and place[0] for place in places], pa.string()).take(encoded.indices)


def _place(rules: PfnRules, lfn: str) -> tuple[str, str] | None:
    try:
        path = pfn.path_of(rules, lfn)
    except InvalidName:
        return None
    return None if path is None else names.split(path)
