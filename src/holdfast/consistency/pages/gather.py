"""Gathering: what the pages show of each site, from the tables of runs and states, and the folder of its last run.

Rules
  * Only a run that is done, and whose folder is here with its findings, has a page.
  * The gates are those of the last complete run, with what is confirmed now. What cannot be
    found out closes them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.config import ConsistencySettings
from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.gates import GateSettings
from holdfast.consistency.history import sightings
from holdfast.consistency.history.runs import History, Run, RunState
from holdfast.consistency.history.sightings import SIGHTINGS
from holdfast.consistency.history.states import States
from holdfast.consistency.pages.model import ActionShown, Amount, GateShown, RunShown, SiteShown, WordShown
from holdfast.consistency.report import FINDINGS, Report
from holdfast.consistency.site_gates import gates_by
from holdfast.model.clock import Clock
from holdfast.model.errors import HoldfastError, OperatorError

RUNS_MAX = 400
"""So many runs of a site are looked at."""


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Where all of it comes from."""

    history: History
    states: States
    settings: ConsistencySettings
    limits: EngineLimits
    clock: Clock

    def sites(
        self, names: Sequence[str], *, chosen: Collection[str], pages_max: int
    ) -> dict[str, tuple[SiteShown, tuple[Run, ...]]]:
        """Each site, the ``chosen`` with their gates; and those of its runs that get a page, at most ``pages_max``."""
        return {name: self._site(name, pages_max, with_gates=name in chosen) for name in names}

    def _site(self, name: str, pages_max: int, *, with_gates: bool) -> tuple[SiteShown, tuple[Run, ...]]:
        runs = self.history.runs(name, RUNS_MAX)
        with_page = [run for run in runs if run.report is not None and (run.folder / FINDINGS).is_file()][:pages_max]
        has_page = {run.run for run in with_page}
        state = self.states.get(name)
        shown = SiteShown(
            name,
            state=state.state,
            mode=state.mode,
            is_running=state.is_running,
            said=tuple(WordShown(each.at_us, each.said, each.by, each.reason) for each in self.states.words(name)),
            runs=tuple(replace(run_shown(run), has_page=run.run in has_page) for run in reversed(runs)),
            actions=tuple(
                ActionShown(each.at_us, each.run, each.cls, each.request, Amount(each.n_files, each.size))
                for each in self.history.actions(site=name)
            ),
            gates=self._gates(name) if with_gates else (),
        )
        return shown, tuple(with_page)

    def _gates(self, name: str) -> tuple[GateShown, ...]:
        last: Report | None = None
        with suppress(OperatorError):  # Its run is shown as one that cannot be read.
            last = self.history.last_report(name)
        if last is None:
            return ()
        folder = Path(last.folder)
        settings = GateSettings.of(self.settings.for_site(name))
        confirmed: dict[Class, int] = {}
        # Without its sightings, or if they cannot be read, nothing is known to be confirmed: the gates say so.
        with suppress(HoldfastError):
            if (folder / SIGHTINGS).is_file():
                needed = settings.confirmations
                confirmed = sightings.confirmed_counts(folder, needed, now_us=self.clock(), limits=self.limits)
        found = gates_by(self.history, last, confirmed, settings, self.states.get(name))
        return tuple(
            GateShown(gate.cls, gate.is_open, gate.reasons, gate.found, gate.confirmed) for gate in found.values()
        )


def run_shown(run: Run) -> RunShown:
    """A run as pages show it."""
    if run.report is None:
        is_unreadable = run.state is RunState.DONE
        state = "unreadable" if is_unreadable else run.state.value
        reason = "what was kept of its report cannot be read" if is_unreadable else run.reason or _reason(run)
        return RunShown(run.run, run.started_us, run.seconds, state, reason)
    report = run.report
    return RunShown(
        run.run,
        run.started_us,
        run.seconds if run.seconds is not None else report.seconds,
        amounts=amounts(report),
        expected=Amount(report.expected, report.expected_size),
        actual=Amount(report.actual, report.actual_size),
        directories=report.directories,
        unlisted_places=report.unlisted_places,
        agrees=report.agrees,
    )


def amounts(report: Report) -> dict[Class, Amount]:
    """What a report counts of each class."""
    return {cls: Amount(report.counts.get(cls, 0), report.sizes.get(cls, 0)) for cls in Class}


def _reason(run: Run) -> str:
    return f"begun on {run.host}, of which nothing is known here" if run.state is RunState.UNKNOWN else ""
