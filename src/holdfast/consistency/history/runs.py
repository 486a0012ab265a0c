"""Runs: the checks of each site, how they ended, and what was asked for because of them.

Rules
  * A run is begun and ended by who holds the lock of the site's folder of reports. One that is gone on with
    is the same run; its beginning stays.
  * A run that has not told how it ended is running if it is the site's last one on this machine and the lock is held;
    else it was interrupted, or its report is whole and it was killed right after that: then it is done. Of runs on
    other machines nothing of that can be known from here.
  * What was asked for is written in the transaction that asks for it (``recorder``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select, update

from holdfast.consistency.classes import Class
from holdfast.consistency.history import kept_report, tables
from holdfast.consistency.history.alive import is_held
from holdfast.consistency.report import Report
from holdfast.inventory.sql_rows import put
from holdfast.inventory.store import Store
from holdfast.model.clock import SECOND_US, Clock, system_clock
from holdfast.model.errors import BrokenInvariant, Conflict, OperatorError, UnknownName, unknown_name


class RunState(StrEnum):
    """What has become of a run; UNKNOWN: it has begun on another machine, and told nothing since."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


LOOKED_BACK_MAX = 50
"""So many reports of a site are looked back at."""


@dataclass(frozen=True, slots=True)
class Run:
    """One check of a site. ``folder`` is that of its report; ``report`` is None until it is done."""

    run: str
    site: str
    started_us: int
    folder: Path
    host: str
    state: RunState
    ended_us: int | None = None
    reason: str = ""
    report: Report | None = None

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end, interruptions included; None if the end is not known."""
        return None if self.ended_us is None else (self.ended_us - self.started_us) / SECOND_US


@dataclass(frozen=True, slots=True)
class Action:
    """What was asked for because of a run: files (or directories) of one class, in one request."""

    run: str
    site: str
    request: str
    cls: Class
    n_files: int
    size: int
    at_us: int


class History:
    """The runs of one inventory. ``host`` is this machine's name, ``is_locked`` says of a folder whether it is held."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock = system_clock,
        host: str | None = None,
        is_locked: Callable[[Path], bool | None] = is_held,
    ) -> None:
        self._room = store.room(tables.metadata)
        self._clock = clock
        self._host = os.uname().nodename if host is None else host
        self._is_locked = is_locked

    # ---- telling ----------------------------------------------------------------

    def begin(self, run: str, site: str, started_us: int, folder: Path) -> None:
        """A run begins, or is gone on with; ``folder`` is where its report will be. Conflict if it is done."""
        row = {"site": site, "started_us": started_us, "folder": str(folder), "host": self._host}
        for left in self._open(site):
            if left.run != run and left.host == self._host and left.folder.parent == folder.parent:
                self._settle(left)
        with self._room.write() as connection:
            known = connection.execute(select(tables.run).where(tables.run.c.run == run)).one_or_none()
            if known is not None and (known.state == RunState.DONE or known.site != site):
                raise Conflict(f"there is a run {run} of {known.site} already", rows=(run,))
            if known is not None:
                row["started_us"] = known.started_us
            put(
                connection, tables.run, {"run": run}, {**row, "state": "", "ended_us": None, "reason": "", "report": ""}
            )

    def finish(self, run: str, report: Report) -> None:
        """A run is done."""
        self._end(run, RunState.DONE, report=kept_report.text_of(report))

    def fail(self, run: str, reason: str) -> None:
        """A run was given up; it may be gone on with."""
        self._end(run, RunState.FAILED, reason=reason)

    def recorder(
        self, run: str, cls: Class, request: str, files: int, size: int, at_us: int
    ) -> Callable[[Connection], None]:
        """What notes that files of a class were asked for: for ``Store.commit(also=...)``, as that asks for them."""

        def record(connection: Connection) -> None:
            key = {"run": run, "request": request, "class": cls.value}
            put(connection, tables.action, key, {"n_files": files, "size": size, "at_us": at_us})

        return record

    # ---- looking ----------------------------------------------------------------

    def runs(self, site: str | None = None, limit: int | None = None) -> list[Run]:
        """The last runs, of one site or of all, newest first."""
        query = _newest_first(site)
        return self._found(query if limit is None else query.limit(limit))

    def unfinished(self, site: str | None = None) -> list[Run]:
        """The runs that have not told how they ended, and of which no report tells it; newest first."""
        return [run for run in self._open(site) if run.state is not RunState.DONE]

    def run(self, id: str) -> Run:
        """One run, by its name; UnknownName."""
        found = self._found(select(tables.run).where(tables.run.c.run == id))
        if not found:
            with self._room.read() as connection:
                known = connection.execute(_newest_first(None).limit(1000)).all()
            hint = "`holdfast consistency history` shows which there are"
            raise unknown_name("run", id, (row.run for row in known), hint=hint)
        return found[0]

    def last(self, *sites: str) -> dict[str, Run]:
        """The last run of each of these sites that has any."""
        found = ((site, self.runs(site, 1)) for site in sites)
        return {site: runs[0] for site, runs in found if runs}

    def last_report(self, site: str) -> Report | None:
        """The report of the last check of a site that is done, wherever that was made; None if there is none.

        OperatorError if what was kept of it cannot be read: an earlier one would not know what has come since.
        """
        done = self._done(_newest_first(site), 1)
        if done and done[0].report is None:
            message = f"what was kept of the report of {done[0].run} cannot be read"
            raise OperatorError(message, place=str(done[0].folder), hint=f"run `holdfast check {site}`")
        return done[0].report if done else None

    def require_last_report(self, site: str) -> Report:
        """The same; UnknownName if the site was never checked."""
        report = self.last_report(site)
        if report is None:
            raise UnknownName(f"{site} has not been checked yet", hint=f"run `holdfast check {site}`")
        return report

    def earlier(self, site: str, run: str) -> list[Report]:
        """The reports of the last runs of a site before ``run`` that are done, oldest first.

        Before a run that is not known here come all that are.
        """
        began = select(tables.run.c.started_us).where(tables.run.c.run == run).scalar_subquery()
        others = _newest_first(site).where(
            tables.run.c.run != run,
            tables.run.c.started_us <= func.coalesce(began, tables.run.c.started_us),
        )
        done = [each.report for each in self._done(others, LOOKED_BACK_MAX) if each.report is not None]
        return done[::-1]

    def actions(self, *, run: str | None = None, site: str | None = None) -> list[Action]:
        """What was asked for because of a run, or of all runs of a site, or of all, in the order it was asked for."""
        table = tables.action
        query = select(table, tables.run.c.site).join(tables.run, tables.run.c.run == table.c.run)
        if run is not None:
            query = query.where(table.c.run == run)
        if site is not None:
            query = query.where(tables.run.c.site == site)
        query = query.order_by(table.c.at_us, table.c.request, table.c["class"])
        with self._room.read() as connection:
            rows = [row._mapping for row in connection.execute(query)]
        return [_action(row) for row in rows]

    def _open(self, site: str | None) -> list[Run]:
        """The runs that have not told how they ended, those included of which a report tells it."""
        return self._found(_newest_first(site).where(tables.run.c.state == ""))

    def _done(self, newest_first: Select[Any], limit: int) -> list[Run]:
        """The last runs of these that are done, newest first. However many were killed since, they are not hidden."""
        told = self._found(newest_first.where(tables.run.c.state == RunState.DONE.value).limit(limit))
        # Of one that was killed only its own machine can know, by its folder, that it was done.
        ours = self._found(newest_first.where(tables.run.c.state == "", tables.run.c.host == self._host))
        done = [*told, *(run for run in ours if run.state is RunState.DONE)]
        return sorted(done, key=lambda run: (run.started_us, run.run), reverse=True)[:limit]

    def _found(self, query: Select[Any]) -> list[Run]:
        with self._room.read() as connection:
            rows = [row._mapping for row in connection.execute(query)]
        return [self._run(row) for row in rows]

    def _run(self, row: RowMapping) -> Run:
        folder = Path(row["folder"])
        state = RunState(row["state"] or RunState.UNKNOWN)
        run = Run(
            row["run"], row["site"], row["started_us"], folder, row["host"], state, row["ended_us"], row["reason"]
        )
        if row["state"]:
            return replace(run, report=kept_report.report_of(row["report"]))
        if row["host"] != self._host:
            return run
        report = kept_report.report_in(folder)
        if report is not None:
            return replace(run, state=RunState.DONE, ended_us=_ended_us(report), report=report)
        is_locked = self._is_locked(folder.parent)
        if is_locked is None:
            return run
        # Who holds the lock has put an end to all the others before beginning (``begin``).
        return replace(run, state=RunState.RUNNING if is_locked else RunState.INTERRUPTED)

    # ---- writing ----------------------------------------------------------------

    def _settle(self, left: Run) -> None:
        """Put down what has become of a run that was killed; nobody can be at it any more."""
        if left.report is not None:
            kept = kept_report.text_of(left.report)
            self._end(left.run, RunState.DONE, ended_us=left.ended_us, report=kept)
        else:
            self._end(left.run, RunState.INTERRUPTED, reason="another check has begun since")

    def _end(
        self, run: str, state: RunState, *, ended_us: int | None = None, reason: str = "", report: str = ""
    ) -> None:
        at_us = self._clock() if ended_us is None else ended_us
        values = {"state": state.value, "ended_us": at_us, "reason": reason, "report": report}
        with self._room.write() as connection:
            ended = connection.execute(update(tables.run).where(tables.run.c.run == run).values(**values))
            if ended.rowcount != 1:
                raise BrokenInvariant(f"the run {run} ends and has never begun")


def _newest_first(site: str | None) -> Select[Any]:
    query = select(tables.run).order_by(tables.run.c.started_us.desc(), tables.run.c.run.desc())
    return query if site is None else query.where(tables.run.c.site == site)


def _ended_us(report: Report) -> int:
    """When a run was done that could not tell it itself: about."""
    return report.started_us + round(report.seconds * SECOND_US)


def _action(row: RowMapping) -> Action:
    cls = Class(row["class"])
    return Action(row["run"], row["site"], row["request"], cls, row["n_files"], row["size"], row["at_us"])
