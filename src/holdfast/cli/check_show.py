"""What ``holdfast check`` has found and what was done about it, for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.cli import request_show, run_show, show
from holdfast.consistency import findings
from holdfast.consistency.findings import Class, Finding
from holdfast.consistency.repair import Repair
from holdfast.consistency.report import FINDINGS, Report
from holdfast.operations.deleting.report import DeletionReport
from holdfast.operations.progress import RunReport

SAMPLES = 2
"""How many paths of each class the table shows."""
LEFT_SHOWN = 10

_MEANINGS = {
    Class.MISSING: "should be there",
    Class.ORPHAN: "nobody knows them (dark data)",
    Class.SIZE_MISMATCH: "wrong size",
    Class.CHECKSUM_MISMATCH: "right size, wrong content",
    Class.AWAITED: "asked for, not there yet",
    Class.UNLISTED: "not judged: not listed or not readable",
    Class.IGNORED: "young, in flight or just changed",
}


def show_report(report: Report) -> None:
    """What a check has found."""
    rows = []
    for cls in Class:
        if report.counts[cls] or cls is not Class.IGNORED:
            sizes = show.size(report.sizes[cls]) if cls is not Class.UNLISTED else ""
            meaning = _MEANINGS[cls]
            if cls is Class.AWAITED and report.awaited_held:
                meaning += f"; {show.number(report.awaited_held)} held"
            rows.append((cls.value.replace("_", " "), show.number(report.counts[cls]), sizes, meaning))
    rows.append(("expected", show.number(report.expected), show.size(report.expected_size), "by the inventory"))
    rows.append(("found", show.number(report.actual), show.size(report.actual_size), f"at {report.site}"))
    if report.with_checksums:
        rows.append(("proved", show.number(report.proved), "", "checksum read and right"))
    show.table(("", "files", "bytes", "meaning"), rows, right=("files", "bytes"))
    _show_samples(report)
    for copy in report.held[:LEFT_SHOWN]:
        show.line(f"  held: request {copy.request[: request_show.ID_SHOWN]}: {copy.why}")
    if len(report.held) > LEFT_SHOWN:
        show.line(f"  held: and {len(report.held) - LEFT_SHOWN} more requests")
    state = "agrees with" if report.agrees else "differs from"
    show.line(
        f"{report.site} {state} the inventory at position {report.position_after}"
        f" ({show.plural(report.directories, 'folder')} listed, {report.seconds:.1f} s)"
    )
    show.line(f"report: {report.folder}")


def _show_samples(report: Report) -> None:
    shown: dict[Class, list[Finding]] = {}
    for finding in findings.read_table(Path(report.folder) / FINDINGS):
        if len(shown.setdefault(finding.cls, [])) < SAMPLES:
            shown[finding.cls].append(finding)
        if finding.cls is Class.IGNORED and len(shown) == len(Class):
            break
    for cls in Class:
        for finding in shown.get(cls, []):
            hides = f", {show.plural(finding.n_files, 'expected file')} below" if cls is Class.UNLISTED else ""
            reason = f": {finding.reason}{hides}" if finding.reason else ""
            show.line(f"  {cls.value.replace('_', ' ')}: {finding.path}{reason}")


def show_mended(asked: Repair, copied: RunReport | None, deleted: Sequence[DeletionReport], *, dry_run: bool) -> None:
    """What was asked for, or would be, and what has come of it."""
    would = "would ask" if dry_run else "asked"
    show.line(
        f"{would} for {show.plural(asked.copies, 'copy').replace('copys', 'copies')}, {show.size(asked.copied_size)}"
    )
    if asked.under_way:
        show.line(f"{show.plural(asked.under_way, 'file')} under way already, by earlier requests")
    if asked.retried:
        said = "would try again" if dry_run else "tries again"
        show.line(f"{said} {show.plural(sum(asked.retried.values()), 'file')} of earlier requests that were held")
    show.line(f"{would} for the removal of {show.plural(asked.deletions, 'orphan')}, {show.size(asked.deleted_size)}")
    if copied:
        for request in copied.requests:
            show.line(f"copies of {request.dataset}: {run_show.outcome(copied, request)}")
    for each in deleted:
        show.line(f"orphans: {each.detail or 'not finished'}{each.error}")
    for name, left in (("unrecoverable", asked.unrecoverable), ("left alone", asked.skipped)):
        for finding in left[:LEFT_SHOWN]:
            show.line(f"  {name}: {finding.path}: {finding.reason}")
        if len(left) > LEFT_SHOWN:
            show.line(f"  {name}: and {len(left) - LEFT_SHOWN} more")
