"""States: what people have said of each site: whether it is checked and acted on at all, and in which mode.

Rules
  * A site is ready until somebody halts or disables it, and again when somebody resumes it. Halted is for a time,
    disabled for good; neither is checked or acted on.
  * The mode that somebody has said goes before that of the configuration.
  * Who said it, when and why is kept with each word; all words are kept, in the order in which they were said.
  * Whether a site is running is no word: a run of it holds the lock (``runs.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select

from holdfast.config import ConsistencySettings
from holdfast.consistency.history import tables
from holdfast.consistency.history.runs import History, RunState
from holdfast.inventory.dry_run import undone_if
from holdfast.inventory.sql_rows import put
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock, show_time, system_clock
from holdfast.model.errors import BadInput, Conflict


class State(StrEnum):
    """What a person has said of a site."""

    READY = "ready"
    HALTED = "halted"
    DISABLED = "disabled"


class Mode(StrEnum):
    """Whether findings are acted on, or only reported."""

    ACT = "act"
    DRY = "dry"


@dataclass(frozen=True, slots=True)
class SiteState:
    """The state of a site and its mode, each with who said so, when and why; nobody: it has always been so.

    A mode that nobody has said is that of the configuration.
    """

    site: str
    state: str = State.READY
    mode: str = Mode.ACT
    by: str = ""
    at_us: int | None = None
    reason: str = ""
    mode_by: str = ""
    mode_at_us: int | None = None
    mode_reason: str = ""
    is_running: bool = False
    """Whether a check of it is known to run now."""

    @property
    def refusal(self) -> str:
        """Why the site is neither to be checked nor acted on, by whose word, and what changes that; "" if it may be."""
        if self.state == State.READY:
            return ""
        if self.state not in (State.HALTED, State.DISABLED):
            return f"{self.site} is in the state {self.state!r}, which this release does not know"
        said = _said(self.by, self.at_us, self.reason)
        return f"{self.site} is {self.state}{said}; `holdfast consistency resume {self.site}` ends that"

    @property
    def mode_refusal(self) -> str:
        """Why findings are not to be acted on, as far as the mode is concerned; "" if they may be."""
        if self.mode == Mode.ACT:
            return ""
        if self.mode != Mode.DRY:
            return f"{self.site} is in the mode {self.mode!r}, which this release does not know"
        said = _said(self.mode_by, self.mode_at_us, self.mode_reason) or " (by the configuration)"
        return f"{self.site} is in mode dry{said}; `holdfast consistency mode {self.site} act` changes that"

    def require_ready(self) -> None:
        """Conflict if the site is halted or disabled."""
        if self.refusal:
            raise Conflict(self.refusal, rows=(self.site,))


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody said of a site: a state or a mode."""

    site: str
    said: str
    by: str
    at_us: int
    reason: str


def _no_preference(_site: str) -> str:
    return Mode.ACT


class States:
    """The words of people on the sites of one inventory. ``mode_of`` gives the mode where nobody has said one."""

    def __init__(
        self, store: Store, *, mode_of: Callable[[str], str] = _no_preference, history: History | None = None
    ) -> None:
        self._room = store.room(tables.metadata)
        self._mode_of = mode_of
        self._history = History(store) if history is None else history

    @staticmethod
    def of(store: Store, settings: ConsistencySettings, *, clock: Clock = system_clock) -> States:
        """With the mode of the configuration where nobody has said one."""
        history = History(store, clock=clock)
        return States(store, mode_of=lambda site: settings.for_site(site).mode, history=history)

    def get(self, site: str) -> SiteState:
        """The state of one site."""
        with self._room.read() as connection:
            row = connection.execute(select(tables.site).where(tables.site.c.site == site)).one_or_none()
        return self._state(site, {} if row is None else row._mapping, is_running=self._is_running(site))

    def all(self) -> dict[str, SiteState]:
        """The states of all sites of which anything was said, or is running now, by name."""
        with self._room.read() as connection:
            rows = {row.site: row._mapping for row in connection.execute(select(tables.site))}
        running = {run.site for run in self._history.unfinished() if run.state is RunState.RUNNING}
        names = sorted(rows.keys() | running)
        return {name: self._state(name, rows.get(name, {}), is_running=name in running) for name in names}

    def set(
        self,
        site: str,
        *,
        state: str | None = None,
        mode: str | None = None,
        by: str,
        at_us: int,
        reason: str,
        dry_run: bool = False,
    ) -> SiteState:
        """Say a state, a mode or both; returns what the site is then. BadInput for what is none."""
        values: dict[str, Any] = {}
        for what, word, known in (("state", state, State), ("mode", mode, Mode)):
            if word is not None and word not in list(known):
                raise BadInput(f"{word!r} is no {what} of a site", hint=f"there are {', '.join(known)}")
            if word is not None:
                values |= {what: str(word), f"{what}_by": by, f"{what}_us": at_us, f"{what}_reason": reason}
        if not values:
            raise BadInput("neither a state nor a mode was said")
        said = [each for each in (state, mode) if each is not None]
        with undone_if(dry_run, self._room.write()) as connection:
            put(connection, tables.site, {"site": site}, values)
            for each in said:
                kept = {"site": site, "said": str(each), "actor": by, "at_us": at_us, "reason": reason}
                connection.execute(insert(tables.word).values(**kept))
            row = connection.execute(select(tables.site).where(tables.site.c.site == site)).one()
        return self._state(site, row._mapping, is_running=self._is_running(site))

    def words(self, site: str | None = None) -> list[Word]:
        """All that was said of a site, or of every one, oldest first."""
        query = select(tables.word).order_by(tables.word.c.number)
        if site is not None:
            query = query.where(tables.word.c.site == site)
        with self._room.read() as connection:
            return [Word(row.site, row.said, row.actor, row.at_us, row.reason) for row in connection.execute(query)]

    def _is_running(self, site: str) -> bool:
        return any(run.state is RunState.RUNNING for run in self._history.unfinished(site))

    def _state(self, site: str, row: Mapping[Any, Any], *, is_running: bool) -> SiteState:
        if not row:
            return SiteState(site, mode=self._mode_of(site), is_running=is_running)
        return SiteState(
            site,
            state=row["state"],
            mode=row["mode"] or self._mode_of(site),
            by=row["state_by"],
            at_us=row["state_us"],
            reason=row["state_reason"],
            mode_by=row["mode_by"],
            mode_at_us=row["mode_us"],
            mode_reason=row["mode_reason"],
            is_running=is_running,
        )


def _said(by: str, at_us: int | None, reason: str) -> str:
    """By whom, when and why, in brackets; "" if nobody said it."""
    if not by:
        return ""
    when = "" if at_us is None else f", {show_time(at_us)}"
    return f" ({by}{when}{f': {reason}' if reason else ''})"
