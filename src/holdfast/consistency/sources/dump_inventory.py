"""DumpInventory: what should be at a site, by a dump of its catalogue.

    /dumps/BERN_2026-11-21.tsv?layout=rucio&prefix=/rucio
    /dumps/bern.dump?layout=dirac
    /dumps/T2_CH_BERN_A            (parts T2_CH_BERN_A.00000.gz ..., as CMS writes them)
    /dumps/expected.parquet, .tsv, .csv, .ndjson, packed or not, or a folder with parts

What stands behind ``?`` are the options of a door to a dump (``storage.dump.options``),
and the layouts are those of dumps (``storage.dump.layout``), and two more:

    dirac     what the DIRAC file catalogue gives for a storage element (``getSEDump``): the element
              (not in old ones), LFN, checksum, size, divided by ``|``, quoted as CSV
    (ndjson)  one object a line, as ``holdfast compare`` reads it; told by its first character

and one more option, for catalogues that dump their states apart, as CMS does:

    known     the path of a second dump, written in the same way, of what is only known:
              T2_CH_BERN_A?layout=cms&known=/dumps/T2_CH_BERN_D

Rules
  * Names are paths at the site, or LFNs, which the site's rules make paths of: as it
    was said, else by the name of the column; DIRAC's and CMS's are LFNs.
  * Of a dump with states (Rucio's replicas), rows in other states than A are known, not expected.
  * All rows of a dump count, whatever storage element they name: take it of one site.
  * A listing of ours that did not see everything says nothing about the rest: BadInput.
  * A dump is read when it is asked for; its moment is what the dump, its name or
    at last its file's time says.

Raises what dumps raise: BadInput with file and line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import duckdb
import numpy as np
import pyarrow as pa

from holdfast.consistency.comparing import duckdb_session, listing_file, row_faults
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.sources import catalogue_table
from holdfast.consistency.sources.catalogue_table import Reading
from holdfast.consistency.sources.inventory import Written, known_beside
from holdfast.model.errors import BadInput
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Site
from holdfast.storage.abilities import Taken
from holdfast.storage.dump import options as dump_options
from holdfast.storage.dump import plan as dump_plan
from holdfast.storage.dump import reading as dump_reading
from holdfast.storage.dump import sources as dump_sources
from holdfast.storage.dump.layout import DumpLayout
from holdfast.storage.dump.options import DumpOptions
from holdfast.storage.dump.plan import DumpPlan
from holdfast.storage.dump.reading import DumpPiece

_DIRAC = {"layout": "csv", "delimiter": "pipe", "header": "no"}
_DIRAC_COLUMNS = {4: "-,path,adler32,size", 3: "path,adler32,size"}
_HEAD_BYTES = 1 << 16
_OF_LFNS = ("dirac", "cms")
_BATCH_ROWS = 1 << 16


class DumpInventory:
    """A dump as an ``Inventory``. ``root`` is as above; ``are_lfns`` None: by the dump."""

    def __init__(self, root: str, *, are_lfns: bool | None = None, limits: EngineLimits) -> None:
        self._said = _absolute(root)
        self._root, own = _divided(self._said)
        self._layout = own.get("layout", "")
        self._known = own.get("known", "")
        self._are_lfns = are_lfns
        self._limits = limits

    @property
    def label(self) -> str:
        """The file and all that was said of it: read in another way it is another inventory."""
        names = {None: "", True: ", names are LFNs", False: ", names are paths"}
        return f"dump {self._said}{names[self._are_lfns]}"

    def write(self, site: Site, target: Path) -> Written:
        """Read the dump, and that of what is known besides."""
        if not self._known:
            return self._write(site, target, ())
        root = _with_options(self._root, {"layout": self._layout} if self._layout else {})
        root = f"{_absolute(self._known)}?{urlencode({**dict(_pairs(root)), 'empty': 'allowed'})}"
        beside = target.with_name(f"{target.stem}.too{target.suffix}")
        try:
            too = DumpInventory(root, are_lfns=self._are_lfns, limits=self._limits).write(site, beside)
            written = self._write(site, target, (beside, known_beside(beside)))
        finally:
            for path in (beside, known_beside(beside)):
                path.unlink(missing_ok=True)
        return replace(written, taken=_both(written.taken, too.taken))

    def _write(self, site: Site, target: Path, known_too: Sequence[Path]) -> Written:
        options = dump_options.parse(self._dirac() if self._layout == "dirac" else self._root)
        sources = dump_sources.find(options)
        if not self._layout and _begins_with_brace(sources):
            written = self._of_ndjson(options, sources.taken, site, target, known_too)
        else:
            planned = dump_plan.plan(options)
            _check_whole(planned)
            layout = planned.layout or catalogue_table.layout_of(("path",))
            reading = Reading(layout, options, sources.taken, self._rules(site, layout))
            written = catalogue_table.write(dump_plan.pieces(planned), reading, target, known_too=known_too)
        if not written.files and not options.empty:
            raise BadInput(
                "there is not a single file in the dump that should be there",
                place=str(options.path),
                hint="get it again; if that is right, add empty=allowed to its options",
            )
        return replace(written, taken=sources.taken)

    def _rules(self, site: Site, layout: DumpLayout) -> PfnRules:
        are_lfns = self._are_lfns
        if are_lfns is None:
            names_lfn = any(column.strip().lower() == "lfn" for column in layout.columns)
            are_lfns = names_lfn or self._layout in _OF_LFNS or layout.name in _OF_LFNS
        return site.first_door.rules if are_lfns else PfnRules()

    def _dirac(self) -> str:
        """The dump's root with the options that say how DIRAC writes; how many columns there are, the file shows."""
        options = dump_options.parse(self._root)
        head = dump_reading.head(dump_sources.find(options).files[0], _HEAD_BYTES)
        line = head.partition(b"\n")[0].decode(errors="replace")
        width = len(next(csv.reader([line], delimiter="|"), []))
        if head and width not in _DIRAC_COLUMNS:
            raise BadInput(
                f"has {width} columns where a dump of DIRAC has 3 or 4",
                place=str(options.path),
                hint="is it what getSEDump wrote?",
            )
        return _with_options(self._root, {**_DIRAC, "columns": _DIRAC_COLUMNS.get(width, _DIRAC_COLUMNS[4])})

    def _of_ndjson(
        self, options: DumpOptions, taken: Taken, site: Site, target: Path, known_too: Sequence[Path]
    ) -> Written:
        limits = self._limits
        with duckdb_session.work_folder(limits) as folder, duckdb_session.session(limits, folder) as connection:
            # Else rows come in any order, and nobody could say in which line one is.
            connection.execute("SET preserve_insertion_order = true")
            listing = listing_file.open_listing(options.path, folder / "listing", connection)
            named = ("path",) if listing.layout is listing_file.Layout.PATH else ("dir", "name")
            columns = ", ".join(f"{listing.column(name)} AS {name}" for name in (*named, "size", "adler32"))
            try:
                connection.execute(f"SELECT {columns} FROM {listing.reader}")
                layout = catalogue_table.layout_of((*named, "size", "adler32"))
                reading = Reading(layout, options, taken, self._rules(site, layout))
                pieces = _pieces_of(connection, layout, str(options.path))
                written = catalogue_table.write(pieces, reading, target, known_too=known_too)
            except duckdb.Error as error:
                if duckdb_session.is_shortage(error):
                    raise
                raise row_faults.explain(error, connection, listing) from error
            listing.staged.check_unchanged()
        return written


def _pieces_of(connection: duckdb.DuckDBPyConnection, layout: DumpLayout, place: str) -> Iterator[DumpPiece]:
    number = 1
    while rows := connection.fetchmany(_BATCH_ROWS):
        values = zip(layout.roles, zip(*rows, strict=True), strict=True)
        columns = {role: pa.array(column, pa.string()).cast(pa.binary()) for role, column in values}
        yield DumpPiece(place, "line", columns, np.arange(number, number + len(rows)))
        number += len(rows)


def _absolute(root: str) -> str:
    """A relative path is relative to where we are, as in a shell."""
    if "://" in root.partition("?")[0]:
        return root
    path, mark, options = root.partition("?")
    return f"{Path(path).absolute()}{mark}{options}"


def _divided(root: str) -> tuple[str, dict[str, str]]:
    """The root with the options that every dump has, and what only we know of: our layout, and a second dump.

    The layout is told in any case.
    """
    pairs = _pairs(root)
    own = {name: value for name, value in pairs if name in ("layout", "known")}
    rest = [(name, value) for name, value in pairs if name != "known" and (name, value) != ("layout", "dirac")]
    path = root.partition("?")[0]
    # As it was said, unless something has to go: what is wrong with it, a dump says best.
    return (f"{path}?{urlencode(rest)}" if rest else path) if len(rest) != len(pairs) else root, own


def _pairs(root: str) -> list[tuple[str, str]]:
    return parse_qsl(root.partition("?")[2], keep_blank_values=True)


def _with_options(root: str, options: dict[str, str]) -> str:
    """The root with further options, unless they were said."""
    said = {**options, **dict(_pairs(root))}
    return f"{root.partition('?')[0]}?{urlencode(said)}"


def _both(one: Taken | None, other: Taken | None) -> Taken | None:
    """When two dumps were made: not before the earlier one, nor after the later one."""
    if one is None or other is None:
        return one or other
    earlier = min(one, other, key=lambda taken: taken.earliest_ns)
    return Taken(earlier.earliest_ns, max(one.latest_ns, other.latest_ns), earlier.source)


def _begins_with_brace(sources: dump_sources.DumpSources) -> bool:
    if sources.own is not None or sources.schema or len(sources.files) != 1:
        return False
    return dump_reading.head(sources.files[0], _HEAD_BYTES).lstrip().startswith(b"{")


def _check_whole(planned: DumpPlan) -> None:
    own = planned.sources.own
    if own is not None and not own.summary.complete:
        raise BadInput(
            "is a listing that did not see everything",
            place=str(own.folder),
            hint="list it again: what was not seen would be taken for dark data",
        )
