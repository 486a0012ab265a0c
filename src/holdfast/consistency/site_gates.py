"""Site gates: the gates of a site's report, by all that is known of the site now (``gates.py`` decides)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from holdfast.consistency import gates
from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.gates import Gates, GateSettings
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.sightings import confirmed_counts
from holdfast.consistency.history.states import SiteState
from holdfast.consistency.report import Report


def gates_of(
    history: History, report: Report, settings: GateSettings, state: SiteState, limits: EngineLimits, *, now_us: int
) -> Gates:
    """The gates of a report whose folder is here; OperatorError if its sightings cannot be read."""
    confirmed = confirmed_counts(Path(report.folder), settings.confirmations, now_us=now_us, limits=limits)
    return gates_by(history, report, confirmed, settings, state)


def gates_by(
    history: History, report: Report, confirmed: Mapping[Class, int], settings: GateSettings, state: SiteState
) -> Gates:
    """The gates of a report of which so many findings are confirmed; what is not known closes them."""
    measure = gates.believed(history.earlier(report.site, report.run), settings)
    return gates.gates(report, confirmed, settings, state, measure)
