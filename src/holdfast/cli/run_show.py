"""What a worker has done: for people, each thing once; for programs, with the requests as everywhere else."""

from __future__ import annotations

from typing import Any

from holdfast.cli import request_choice, request_show, show
from holdfast.cli.context import Context
from holdfast.model.records import CopyRequest, RequestState
from holdfast.operations.deletion_report import DeletionReport
from holdfast.operations.progress import LIKEWISE, RunReport

ERRORS_SHOWN = 10


def show_report(report: RunReport) -> None:
    """What a run has done, for people."""
    if report.is_busy:
        show.note("other workers are at work; nothing more was done here")
    lines = [f"{request.dataset} to {request.site}: {outcome(report, request)}" for request in report.requests]
    lines += [f"{_deletion(each)}: {_outcome_of(report, each)}" for each in report.deletions]
    for line in lines:
        show.line(line)
    if not lines and not report.is_busy:
        show.line("nothing to do")
    if report.files_copied or report.files_found:
        found = f", {show.plural(report.files_found, 'file')} found in place" if report.files_found else ""
        replaced = f", {show.plural(report.files_replaced, 'file')} replaced" if report.files_replaced else ""
        copied = f"{show.plural(report.files_copied, 'file')}, {show.size(report.bytes_copied)}"
        show.line(f"copied {copied}, in {report.seconds:.1f} s{replaced}{found}")
    _show_errors(report, "\n".join(lines))


def _show_errors(report: RunReport, said: str) -> None:
    """What went wrong and was not said before, and what to do about it."""
    # What stops a site is said with a space after the site's name.
    lines = said.replace(" ", "")
    unsaid = [error for error in report.errors if error.removesuffix(LIKEWISE).replace(" ", "") not in lines]
    for error in unsaid[:ERRORS_SHOWN]:
        show.note(error)
    if len(unsaid) > ERRORS_SHOWN:
        show.note(f"and {len(unsaid) - ERRORS_SHOWN} more; see {_where(report)}")
    for site, is_missing in sorted({(fault.site, fault.is_missing) for fault in report.bad_sources}):
        command, what = ("", "missing") if is_missing else (" --checksums", "wrong")
        show.note(f"`holdfast check {site}{command}` finds all that is {what} there")


def _where(report: RunReport) -> str:
    """The command that tells more."""
    copies, deletions = [each.id for each in report.requests], [each.request for each in report.deletions]
    commands = [("transfers", copies)] if copies else []
    commands += [("deletions", deletions)] if deletions else []
    return " and ".join(
        f"`holdfast {group} {f'show {ids[0][: request_show.ID_SHOWN]}' if len(ids) == 1 else 'list'}`"
        for group, ids in commands
    )


def outcome(report: RunReport, request: CopyRequest) -> str:
    """What has come of a request, or why it has not come to its end."""
    if request.state is RequestState.OPEN and request.site in report.stopped and request.id not in report.held:
        return f"not finished: {report.stopped[request.site]}"
    return _ending(report, request.id, request.state, request.detail)


def _deletion(deletion: DeletionReport) -> str:
    deed = "quarantine" if deletion.into else "deletion"
    return f"{deed} of {deletion.what or deletion.dataset or 'orphans'} at {deletion.site}"


def _outcome_of(report: RunReport, deletion: DeletionReport) -> str:
    return deletion.error or _ending(report, deletion.request, deletion.state, deletion.detail)


def _ending(report: RunReport, id: str, state: RequestState, detail: str) -> str:
    if state is RequestState.OPEN:
        return f"held: {report.held[id]}" if id in report.held else "not finished"
    return f"{state.value}: {detail}"


def document(context: Context, report: RunReport) -> dict[str, Any]:
    """What a run has done, for programs."""
    ids = [*(each.id for each in report.requests), *(each.request for each in report.deletions)]
    with context.store.snapshot() as snapshot:
        requests = [request for id in ids if (request := snapshot.request(id)) is not None]
    outcomes = {each.request: each.outcomes for each in report.deletions}
    now_us = context.clock()
    return {
        "requests": [
            {**request_show.facts(status, now_us=now_us), "outcomes": outcomes.get(status.request.id, ())}
            for status in request_choice.statuses_of(context, requests)
        ],
        **counts(report),
    }


def counts(report: RunReport) -> dict[str, Any]:
    """What a run has done but for the requests, for programs."""
    left_out = ("requests", "deletions", "held", "on_hold")
    facts: dict[str, Any] = show.jsonable(report)
    return {name: value for name, value in facts.items() if name not in left_out}
