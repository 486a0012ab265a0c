"""Put right: whether nothing is left of all that a check has found, by what was asked for and carried out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.consistency.classes import LACKING, UNSEEN, Class
from holdfast.consistency.mending.acting import Acted
from holdfast.consistency.report import Report
from holdfast.model.records import RequestState
from holdfast.operations.deletion_report import PathState

_GONE = (PathState.DELETED, PathState.GONE, PathState.MOVED)


def is_put_right(report: Report, acted: Acted) -> bool:
    """Whether nothing that the check found is left, by what the executors say."""
    if report.unlisted_places or any(report.counts[cls] for cls in UNSEEN):
        return False
    copies = acted.copied.requests if acted.copied else ()
    if not all(request.state is RequestState.DONE for request in copies):
        return False
    asked = acted.asked
    gone = _gone_by(acted, asked.deletion_requests) + _gone_by_earlier(acted, asked.going)
    directories = _gone_by(acted, asked.directory_requests) + _gone_by_earlier(acted, asked.going_directories)
    if Class.EMPTY_DIRECTORY in acted.gates and directories != report.counts[Class.EMPTY_DIRECTORY]:
        return False
    n_copied = asked.copies + asked.under_way if acted.copied else 0
    lacking = sum(report.counts[cls] for cls in LACKING)
    return (n_copied, gone) == (lacking, report.counts[Class.ORPHAN])


def _gone_by(acted: Acted, requests: Sequence[str]) -> int:
    return sum(each.count(*_GONE) for each in acted.deleted if each.request in requests)


def _gone_by_earlier(acted: Acted, going: Mapping[str, str]) -> int:
    """How many of what was to go anyway have gone; those requests may name more than this check found."""
    outcomes = [(each.request, outcome) for each in acted.deleted for outcome in each.outcomes]
    return sum(going.get(outcome.path) == request and outcome.state in _GONE for request, outcome in outcomes)
