"""Requests as people and programs see them: rows of a table, facts of one, a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.cli import show
from holdfast.model.records import CopyRequest, DeletionRequest, Request, RequestState
from holdfast.operations import deletion_report
from holdfast.operations.batch import BatchState, RequestKind
from holdfast.operations.requesting.asking import Asked, Otherwise
from holdfast.operations.showing.overview import RequestStatus
from holdfast.operations.showing.troubles import BatchTrouble, Opposite
from holdfast.operations.showing.why import lasting, why

ID_SHOWN = 12
PATHS_SHOWN = 5

COLUMNS = ("request", "what", "site", "state", "done", "files", "left", "rate", "time left", "owner", "why")
RIGHT = ("done", "files", "left", "rate", "time left")


def what(status: RequestStatus) -> str:
    """What a request is about."""
    request = status.request
    return str(request.dataset) if isinstance(request, CopyRequest) else deletion_report.what(request)


def paths(request: Request) -> list[str]:
    """What a request names by path: orphans and empty directories."""
    if not isinstance(request, DeletionRequest):
        return []
    return [request.path(number) for number in range(request.n_paths)]


def _into(request: Request) -> str:
    """Where a request moves what it is about; "" if nowhere."""
    return request.into if isinstance(request, DeletionRequest) else ""


def row(status: RequestStatus, *, now_us: int) -> tuple[str, ...]:
    """A row under ``COLUMNS``."""
    return (
        status.request.id[:ID_SHOWN],
        what(status),
        status.request.site,
        status.condition.value,
        show.number(status.n_done),
        _number(status.n_files),
        "" if is_over(status) or status.size_left is None else show.size(status.size_left),
        rate(status.rate_bytes_s),
        time_left(status.left_s),
        status.request.owner,
        why(status, now_us=now_us),
    )


def is_over(status: RequestStatus) -> bool:
    """Whether a request has its outcome."""
    return status.request.state is not RequestState.OPEN


def _amount(n_files: int | None, size: int | None) -> str:
    return "" if n_files is None or size is None else f"{show.plural(n_files, 'file')}, {show.size(size)}"


def _number(count: int | None) -> str:
    return "?" if count is None else show.number(count)


def rate(bytes_per_s: float | None) -> str:
    """A rate; "" where none is known."""
    return "" if bytes_per_s is None else f"{show.size(round(bytes_per_s))}/s"


def time_left(seconds: float | None) -> str:
    """How much longer; "" where that is not known."""
    return "" if seconds is None else lasting(seconds * 1e6)


def facts(status: RequestStatus, *, now_us: int) -> dict[str, Any]:
    """The document of one request."""
    request = status.request
    deadline_us = request.deadline_us if isinstance(request, CopyRequest) else None
    return {
        "request": request.id or None,
        "kind": status.kind,
        "dataset": None if request.dataset is None else str(request.dataset),
        "site": request.site,
        "into": _into(request) or None,
        "state": status.condition,
        "on_hold": status.queued.on_hold if status.queued is not None else "",
        "owner": request.owner,
        "priority": request.priority,
        "deadline": show.time_exact(deadline_us),
        "reason": request.reason,
        "detail": request.detail,
        "files": status.n_files,
        "size": status.size,
        "done": status.n_done,
        "size_done": status.size_done,
        "found": status.queued.n_found if status.queued is not None else 0,
        "left": status.n_left,
        "size_left": status.size_left,
        "by_state": {state.value: status.counts.files(state) for state in BatchState},
        "rate_bytes_s": status.rate_bytes_s,
        "left_s": status.left_s,
        "asked": show.time_exact(request.created_us or None),
        "why": why(status, now_us=now_us),
    }


def print_one(
    status: RequestStatus, problems: Sequence[BatchTrouble], opposites: Sequence[Opposite], *, now_us: int
) -> None:
    """One request, what stands in its way, and what does not go well."""
    request, queued = status.request, status.queued
    waits = [f"{show.plural(status.counts.files(state), 'file')} {state.value}" for state in BatchState]
    found = f", {show.number(queued.n_found)} of them were so already" if queued is not None and queued.n_found else ""
    left = "" if is_over(status) else _amount(status.n_left, status.size_left)
    show.facts(
        [
            ("request", request.id),
            (_NOUNS[status.kind], f"{what(status)} {'to' if status.kind is RequestKind.COPY else 'at'} {request.site}"),
            *_path_lines(request),
            ("into", _into(request)),
            ("state", status.condition.value),
            ("why", why(status, now_us=now_us)),
            ("all", _amount(status.n_files, status.size)),
            ("done", _amount(status.n_done, status.size_done) + found),
            ("left", left),
            ("of these", ", ".join(text for text in waits if not text.startswith("0 "))),
            ("rate", rate(status.rate_bytes_s)),
            ("time left", time_left(status.left_s)),
            ("owner", request.owner),
            ("priority", str(request.priority)),
            ("deadline", show.time(request.deadline_us) if isinstance(request, CopyRequest) else ""),
            ("reason", request.reason),
            ("asked", show.time(request.created_us)),
            *(("opposite", f"{show.plural(each.n_files, 'file')} also in request {each.id}") for each in opposites),
        ]
    )
    if problems:
        show.line()
        print_problems(problems, now_us=now_us)


def _path_lines(request: Request) -> list[tuple[str, str]]:
    named = paths(request)
    n_more = len(named) - PATHS_SHOWN
    more = [("", f"and {show.number(n_more)} more: all are in --json")] if n_more > 0 else []
    return [("path", path) for path in named[:PATHS_SHOWN]] + more


_NOUNS = {RequestKind.COPY: "copy", RequestKind.REPLICAS: "deletion", RequestKind.ORPHANS: "deletion"}


def print_problems(problems: Sequence[BatchTrouble], *, now_us: int) -> None:
    """What does not go well, a line for all files of a block that fare alike."""
    rows = [
        (
            show.number(each.n_files),
            each.example,
            f"{each.state.value}{f': {each.held.value}' if each.held else ''}",
            "" if each.tries is None else show.number(each.tries),
            f"{lasting(now_us - each.since_us)} ago",
            f"in {lasting(each.not_before_us - now_us)}" if each.not_before_us else "",
            each.error,
        )
        for each in problems
    ]
    columns = ("files", "one of them", "state", "tries", "since", "next try", "last error")
    show.table(columns, rows, right=("files", "tries"))


def problem_facts(problem: BatchTrouble) -> dict[str, Any]:
    """The document of one kind of trouble."""
    return {
        "files": problem.n_files,
        "example": problem.example,
        "state": problem.state,
        "held": problem.held or None,
        "tries": problem.tries,
        "code": problem.code,
        "error": problem.error,
        "since": show.time_exact(problem.since_us or None),
        "next_try": show.time_exact(problem.not_before_us or None),
    }


def asked_facts(asked: Asked[Any], status: RequestStatus, *, now_us: int) -> dict[str, Any]:
    """The document of what came of asking; ``status``: of the request."""
    return {
        **facts(status, now_us=now_us),
        "joined": asked.is_joined,
        "otherwise": {
            _FIELDS[each.what]: {"asked": _fact(each, each.asked), "stands": _fact(each, each.stands)}
            for each in asked.otherwise
        },
        "taken_back": asked.n_taken_back,
        "waiting": asked.n_waiting,
        "opposites": asked.opposites,
    }


_FIELDS = {"priority": "priority", "deadline_us": "deadline", "owner": "owner"}


def _fact(said: Otherwise, value: int | str | None) -> int | str | None:
    return show.time_exact(value) if said.what == "deadline_us" and isinstance(value, int) else value


def print_asked(asked: Asked[Any], group: str) -> None:
    """What came of asking, and which command of which ``group`` carries it out."""
    request = asked.request
    if request.state is not RequestState.OPEN:
        show.line(f"nothing to do: {request.detail}")
    else:
        joined = ", which was asked for before" if asked.is_joined else ""
        show.line(f"request {request.id}: {request.dataset}, {request.site}{joined}")
        print_joined(asked)
    print_met(asked)
    if request.state is RequestState.OPEN:
        show.note(f"`holdfast {group} run` carries it out")


def print_joined(asked: Asked[Any]) -> None:
    """What is not as it was asked for now, because it was asked for before."""
    if asked.otherwise:
        said = ", ".join(f"{_FIELDS[each.what]} {_said(each)}" for each in asked.otherwise)
        show.note(f"it was asked for before with {said}: cancel it and ask anew to change that")


def _said(each: Otherwise) -> str:
    def shown(value: int | str | None) -> str:
        if value is None:
            return "none"
        return show.time(value) if each.what == "deadline_us" and isinstance(value, int) else str(value)

    return f"{shown(each.stands)} instead of {shown(each.asked)}"


def print_met(asked: Asked[Any]) -> None:
    """What was asked to the opposite before, and what becomes of it."""
    met = ", ".join(id[:ID_SHOWN] for id in asked.opposites)
    if asked.n_taken_back:
        show.line(f"{show.plural(asked.n_taken_back, 'file')} taken back of what was asked for before ({met})")
    if asked.n_waiting:
        show.line(f"{show.plural(asked.n_waiting, 'file')} wait for what others have begun ({met})")
