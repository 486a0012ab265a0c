"""What ``holdfast check`` has found and what was done about it, for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from holdfast.cli import request_show, run_show, show
from holdfast.consistency import findings
from holdfast.consistency.class_words import MEANINGS, NAMES, counted
from holdfast.consistency.classes import TRAITS, UNSEEN, Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.mending.acting import Acted
from holdfast.consistency.report import FINDINGS, Report

SAMPLES = 2
"""How many paths of each class the table shows."""
LEFT_SHOWN = 10


def show_report(report: Report) -> None:
    """What a check has found."""
    rows = []
    for cls in Class:
        if TRAITS[cls].in_check.shows(report.counts[cls]):
            sizes = show.size(report.sizes[cls]) if cls not in UNSEEN and not TRAITS[cls].is_directory else ""
            meaning = MEANINGS[cls]
            if cls is Class.AWAITED and report.awaited_held:
                meaning += f"; {show.number(report.awaited_held)} held"
            rows.append((NAMES[cls], show.number(report.counts[cls]), sizes, meaning))
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
            hides = f", {show.plural(finding.n_files, 'expected file')} below" if cls in UNSEEN else ""
            reason = f": {finding.reason}{hides}" if finding.reason else ""
            show.line(f"  {NAMES[cls]}: {finding.path}{reason}")


def show_acted(acted: Acted, *, dry_run: bool) -> None:
    """What was asked for, or would be, what has come of it, and what was left."""
    asked, would = acted.asked, "would ask" if dry_run else "asked"
    if acted.dry_mode:
        show.line(f"nothing is asked for: {acted.dry_mode}")
    for what in _asked(acted):
        show.line(f"{would} for {what}")
    if asked.under_way:
        show.line(f"{show.plural(asked.under_way, 'file')} under way already, by earlier requests")
    if asked.retried:
        said = "would try again" if dry_run else "tries again"
        show.line(f"{said} {show.plural(sum(asked.retried.values()), 'file')} of earlier requests that were held")
    if acted.copied:
        for request in acted.copied.requests:
            show.line(f"copies of {request.dataset}: {run_show.outcome(acted.copied, request)}")
    for each in acted.deleted:
        show.line(f"{each.what or 'orphans'}: {each.detail or 'not finished'}{each.error}")
    for going, cls in ((asked.going, Class.ORPHAN), (asked.going_directories, Class.EMPTY_DIRECTORY)):
        if going:
            show.line(f"{counted(len(going), cls)} to go already, by earlier requests")
    _show_left(acted)


def _asked(acted: Acted) -> Iterator[str]:
    """What was asked for, in words; all that was wished for, if only nothing of it."""
    asked = acted.asked
    if Class.MISSING in acted.gates:
        copies = show.plural(asked.copies, "copy").replace("copys", "copies")
        yield f"{copies}, {show.size(asked.copied_size)}"
    left = acted.left
    if Class.ORPHAN in acted.gates and Class.ORPHAN not in left:
        yield f"the removal of {counted(asked.deletions, Class.ORPHAN)}, {show.size(asked.deleted_size)}"
    if Class.EMPTY_DIRECTORY in acted.gates and Class.EMPTY_DIRECTORY not in left:
        yield f"the removal of {counted(asked.directories, Class.EMPTY_DIRECTORY)}"


def _show_left(acted: Acted) -> None:
    """What is not acted on, and why."""
    for cls, reasons in acted.left.items():
        show.line(f"  left: {NAMES[cls]}: {'; '.join(reasons)}")
    for cls, gate in acted.gates.items():
        if gate.is_open and gate.confirmed < gate.found:
            rest = show.number(gate.found - gate.confirmed)
            show.line(f"  left: {NAMES[cls]}: {rest} of {show.number(gate.found)} not confirmed yet")
    for name, left in (("unrecoverable", acted.asked.unrecoverable), ("left alone", acted.asked.skipped)):
        for finding in left[:LEFT_SHOWN]:
            show.line(f"  {name}: {finding.path}: {finding.reason}")
        if len(left) > LEFT_SHOWN:
            show.line(f"  {name}: and {len(left) - LEFT_SHOWN} more")
