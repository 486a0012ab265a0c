"""LastCheck: what the last check of a site has found that the site lacks.

What lies in an area or in quarantine may be one of these files, moved. A site
that was never checked lacks nothing that we know of; its quarantine is not purged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from holdfast.consistency import findings
from holdfast.consistency.findings import UNSEEN, Finding
from holdfast.consistency.history import kept_report
from holdfast.consistency.mending.sought import NEEDED
from holdfast.consistency.report import FINDINGS, REPORT
from holdfast.consistency.run_folder import PART
from holdfast.model.clock import DAY_US, show_time
from holdfast.model.errors import Conflict


def require_young(reports: Path, site: str, *, days: float, now_us: int) -> None:
    """Conflict unless the last complete check of a site began within ``days``: by it we know what is lost."""
    last = _last_run(reports, site)
    report = None if last is None else kept_report.report_in(last)
    hint = f"run `holdfast check {site}`, and then this again"
    if report is None:
        raise Conflict(f"{site} has not been checked, so nobody knows what may be a last copy", rows=(site,), hint=hint)
    age_us = now_us - report.started_us
    if not 0 <= age_us <= days * DAY_US:
        began = f"the last check of {site} began at {show_time(report.started_us)}"
        old = f"{began}, not within quarantine_check_days, {days:g}: what was lost since may have its last copy here"
        raise Conflict(old, rows=(site,), hint=hint)


def last_lacking(reports: Path, site: str) -> Iterator[Finding]:
    """What a site may lack by its last complete report: missing, wrong, awaited, not seen, or ignored."""
    last = _last_run(reports, site)
    if last is not None:
        for finding in findings.read_table(last / FINDINGS, NEEDED):
            # Ignored are above all orphans: in nobody's way here, and more than memory may hold.
            if finding.block is not None or finding.cls in UNSEEN:
                yield finding


def _last_run(reports: Path, site: str) -> Path | None:
    runs = sorted((report.parent for report in (reports / site).glob(f"*/{REPORT}")), reverse=True)
    return next((run for run in runs if run.suffix != PART and (run / FINDINGS).exists()), None)
