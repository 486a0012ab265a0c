"""LastCheck: what the last check of a site has found that the site lacks.

What lies in an area or in quarantine may be one of these files, moved.

Rules
  * The last check is the last one that is done, wherever it was made (``History.last_report``). If its report is
    not on this machine, nothing is cleaned: an earlier one does not know what was lost since.
  * A site that was never checked lacks nothing that we know of; its quarantine is not purged.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.consistency import findings
from holdfast.consistency.classes import MAY_BE_LACKING, UNSEEN
from holdfast.consistency.findings import Finding
from holdfast.consistency.history.kept_report import require_here
from holdfast.consistency.history.runs import History
from holdfast.consistency.report import FINDINGS
from holdfast.model.clock import DAY_US, show_time
from holdfast.model.errors import Conflict


def require_young(history: History, site: str, *, days: float, now_us: int) -> None:
    """Conflict unless the last check of a site began within ``days``: by it we know what is lost."""
    report = history.last_report(site)
    hint = f"run `holdfast check {site}`, and then this again"
    if report is None:
        raise Conflict(f"{site} has not been checked, so nobody knows what may be a last copy", rows=(site,), hint=hint)
    age_us = now_us - report.started_us
    if not 0 <= age_us <= days * DAY_US:
        began = f"the last check of {site} began at {show_time(report.started_us)}"
        old = f"{began}, not within quarantine_check_days, {days:g}: what was lost since may have its last copy here"
        raise Conflict(old, rows=(site,), hint=hint)


def last_lacking(history: History, site: str) -> Iterator[Finding]:
    """What a site may lack by its last report: missing, wrong, awaited, not seen, or ignored.

    Conflict if that is not on this machine.
    """
    report = history.last_report(site)
    if report is not None:
        for finding in findings.read_table(require_here(report) / FINDINGS, MAY_BE_LACKING):
            # Ignored are above all orphans: in nobody's way here, and more than memory may hold.
            if finding.block is not None or finding.cls in UNSEEN:
                yield finding
