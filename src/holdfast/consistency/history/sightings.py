"""Sightings: what was seen of each path over the runs of a site: since when, how often without a break, if still.

A Parquet table in the folder of the run, ``sightings.parquet``, made of that of
the run before and the findings of this one. Columns: ``class``, ``dir``,
``name``; ``size`` and ``mtime_ns`` of what lies there, or the size of what
should where nothing does; ``first_us``, ``first_run``, ``last_us``,
``last_run``; ``seen_from_us``, when that last run began; ``n_runs``, ``is_current``.

Rules
  * One row a class and path, of the classes that are ``KEPT``, in the order of class, directory and name, byte by
    byte.
  * What is seen in a class is current. It goes on from the run before only if that row was current and what lies
    there has the same size and time; else it begins anew. So does an orphan that was changed or moved there since,
    out of the quarantine for one, and what was first seen in a future that a wrong clock has told. Since is: since
    the run began that saw it last, for nobody knows when in it a file was listed; if that run was in such a future,
    it cannot be told, and what has such a time begins anew.
  * What a run did not see in the class is former from then on: the row is broken. A run that could not see there
    neither confirms nor breaks it: something at or above it was unlisted or suspect, or the path itself in a class
    that leaves that open, as awaited or ignored.
  * What was missing while a site showed no file at all, or far fewer than now, was perhaps only hidden: where it is
    missing still, that begins anew, and where that cannot be seen now, it is broken.
  * Former rows are kept for ``history_us`` since they were seen last.
  * Written whole or not at all, in bounded memory, from the run before only: written again, it is the same.

OperatorError if memory or disk run out, or a table cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast import logs
from holdfast.consistency import findings
from holdfast.consistency.classes import Class
from holdfast.consistency.comparing import duckdb_session
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal, session, work_folder
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.durable import sync
from holdfast.consistency.findings import PIECE_ROWS, Finding
from holdfast.consistency.history import sighting_query
from holdfast.consistency.history.sighting_query import Moment
from holdfast.consistency.report import FINDINGS
from holdfast.consistency.run_folder import PART
from holdfast.model import names
from holdfast.model.clock import DAY_US, SECOND_US
from holdfast.model.errors import OperatorError

SIGHTINGS = "sightings.parquet"

HISTORY_US = 365 * DAY_US
"""How long it is remembered what is not so any more, where nothing else is said."""

_AT = "holdfast.at_us"
"""The table's own note of when it was made, never before that of the run before: names and clocks may say anything."""

_FILES = "holdfast.files"
"""The table's own note of how many files the site showed in its run."""

_DOOR = "holdfast.door"
"""The table's own note of the way of the door that its run looked through."""

_HINT = "move it away: confirmations begin anew without it"

_log = logs.get("consistency")


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of one path in one class."""

    cls: Class
    path: str
    size: int | None
    mtime_ns: int | None
    first_us: int
    first_run: str
    last_us: int
    last_run: str
    n_runs: int
    """In how many runs it was seen since ``first_us``, without a break."""
    is_current: bool

    def is_confirmed(self, needed: Confirmation, *, now_us: int) -> bool:
        """Whether it was seen often and long enough."""
        return self.is_current and self.n_runs >= needed.runs and self.confirmed_from_us(needed) <= now_us

    def confirmed_from_us(self, needed: Confirmation) -> int:
        """From when on it has been seen long enough, if it is seen often enough by then."""
        return self.first_us + needed.over_s * SECOND_US


# ---- writing --------------------------------------------------------------------


def write_sightings(
    folder: Path,
    previous: Path | None,
    *,
    run: str,
    at_us: int,
    began_us: int,
    files: int,
    door: str,
    shrunk_fraction_max: float,
    limits: EngineLimits,
    history_us: int = HISTORY_US,
) -> None:
    """Write the sightings of a run beside its findings, durably; ``previous`` is the table of the run before.

    The run began at ``began_us``, before anything was listed; it is ``at_us`` now. In it the site has shown so many
    ``files``; one that showed fewer than that by more than the part ``shrunk_fraction_max``, or none at all, is not
    believed to have shown all. What was seen through a door that leads elsewhere than ``door`` is not carried on.
    """
    if previous is not None and _note(previous, _DOOR) != door:
        _log.warning("the site has another first door than before; confirmations begin anew", place=str(folder))
        previous = None
    target, part = folder / SIGHTINGS, folder / f"{SIGHTINGS}{PART}"
    made_before_us = None if previous is None else _noted(previous, _AT)
    files_before = None if previous is None else _noted(previous, _FILES)
    was_hidden = files > 0 and (not files_before or (files - files_before) / files > shrunk_fraction_max)
    moment = Moment(run, at_us, began_us, at_us - history_us, was_hidden=was_hidden)
    made_us = at_us if made_before_us is None else max(at_us, made_before_us + 1)
    query = sighting_query.carried_on(sighting_query.table(folder / FINDINGS), sighting_query.before(previous), moment)
    notes = f"{{'{_AT}': '{made_us}', '{_FILES}': '{files}', '{_DOOR}': '{door}'}}"
    form = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480, KV_METADATA {notes}"
    with _engine(folder, limits) as connection:
        # What is grouped, joined and sorted may be more than memory holds.
        duckdb_session.spread_memory(connection, limits)
        connection.execute(f"COPY ({query}) TO {literal(str(part))} ({form})")
    sync(part)
    part.replace(target)
    sync(folder)


def previous_sightings(site_folder: Path, run: str) -> Path | None:
    """The latest sightings among a site's complete reports, but for those of ``run``; None if there are none.

    Nor if the latest cannot be read: of an earlier run they would not know what broke since.
    """
    found = [
        path / SIGHTINGS
        for path in sorted(site_folder.iterdir())
        if path.name != run and path.suffix != PART and not path.name.startswith(".") and (path / SIGHTINGS).exists()
    ]
    made = [(_noted(path, _AT), path) for path in found]
    if not made:
        return None
    unreadable = [path for at_us, path in made if at_us is None]
    latest = max(made, key=lambda each: (each[0] or 0, each[1]))[1]
    if unreadable and unreadable[-1] >= latest:
        _log.warning("sightings cannot be read; confirmations begin anew", place=str(unreadable[-1]))
        return None
    return latest


def _noted(table: Path, what: str) -> int | None:
    """A number that a table of sightings notes of itself; None if it does not say."""
    try:
        return int(_note(table, what))
    except ValueError:
        return None


def _note(table: Path, what: str) -> str:
    """What a table of sightings notes of itself; "" if it does not say."""
    try:
        noted = pq.read_metadata(table).metadata or {}
        return noted[what.encode()].decode()
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError):
        return ""


# ---- reading --------------------------------------------------------------------


def confirmed(
    folder: Path, cls: Class, needed: Confirmation, *, now_us: int, limits: EngineLimits
) -> Iterator[Finding]:
    """The findings of a class in the folder of a run that are confirmed, in the order of the findings."""
    numbered = f"read_parquet({literal(str(folder / FINDINGS))}, file_row_number = true)"
    sightings_table = sighting_query.table(folder / SIGHTINGS)
    query = sighting_query.confirmed_flags(numbered, sightings_table, cls, needed, now_us=now_us)
    with _engine(folder, limits) as connection:
        flags = _rows(connection.execute(query))
        for finding, (is_confirmed,) in zip(findings.read_table(folder / FINDINGS, (cls,)), flags, strict=True):
            if is_confirmed:
                yield finding


def confirmed_counts(
    folder: Path, needed: Mapping[Class, Confirmation], *, now_us: int, limits: EngineLimits
) -> dict[Class, int]:
    """How many findings of each of these classes are confirmed in the folder of a run."""
    tables = [sighting_query.table(folder / name) for name in (FINDINGS, SIGHTINGS)]
    query = sighting_query.confirmed_counts(tables[0], tables[1], needed, now_us=now_us)
    with _engine(folder, limits) as connection:
        counted = {Class(cls): int(count) for cls, count in connection.execute(query).fetchall()}
    return {cls: counted.get(cls, 0) for cls in needed}


def sightings(
    folder: Path, *, cls: Class | None = None, current: bool | None = None, path_below: str | None = None
) -> Iterator[Sighting]:
    """The sightings in the folder of a run, in their order: of one class, current or former, at or below a path."""
    place = folder / SIGHTINGS
    try:
        with pq.ParquetFile(place) as table:
            for batch in table.iter_batches(PIECE_ROWS):
                for row in batch.filter(_wanted(batch, cls, current, path_below)).to_pylist():
                    yield _sighting(row)
    except FileNotFoundError as error:
        raise OperatorError("there are no sightings here", place=str(place), hint="check the site again") from error
    except (OSError, pa.ArrowException) as error:
        message = f"the sightings cannot be read: {duckdb_session.reason(error)}"
        raise OperatorError(message, place=str(place), hint=_HINT) from error


def _wanted(batch: pa.RecordBatch, cls: Class | None, current: bool | None, below: str | None) -> Any:
    """Which rows of a batch are meant."""
    mask: Any = pa.array([True] * batch.num_rows, pa.bool_())
    if cls is not None:
        mask = pc.and_(mask, _equal(batch, "class", cls.value))
    if current is not None:
        mask = pc.and_(mask, _equal(batch, "is_current", current))
    if below is not None and below != "/":
        dir, name = names.split(below)
        itself = pc.and_(_equal(batch, "dir", dir), _equal(batch, "name", name))
        inside = pc.or_(_equal(batch, "dir", below), pc.starts_with(batch.column("dir"), f"{below}/"))
        mask = pc.and_(mask, pc.or_(itself, inside))
    return mask


def _equal(batch: pa.RecordBatch, column: str, value: str | bool) -> Any:
    return pc.equal(batch.column(column), pa.scalar(value))


def _sighting(row: dict[str, Any]) -> Sighting:
    cls = Class(row.pop("class"))
    row.pop("seen_from_us", None)  # For the next run alone.
    return Sighting(cls, names.join(row.pop("dir"), row.pop("name")), **row)


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := connection.fetchmany(PIECE_ROWS):
        yield from rows


@contextmanager
def _engine(folder: Path, limits: EngineLimits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection; what fails without being a shortage is a table that cannot be read or written."""
    try:
        with work_folder(limits) as work, session(limits, work) as connection:
            yield connection
    except duckdb.Error as error:
        message = f"the sightings cannot be made or read: {duckdb_session.reason(error)}"
        raise OperatorError(message, place=str(folder), hint=f"if it is {SIGHTINGS}, {_HINT}") from error
