"""Why: in a few words, why a request does not move, or moves with difficulty. Pure.

Texts are for people; programs find the same in ``overview`` as fields.
"""

from __future__ import annotations

from holdfast.model.clock import SECOND_US
from holdfast.model.records import RequestState
from holdfast.operations.batch import Batch, BatchState, Held, RequestKind
from holdfast.operations.showing.overview import Condition, RequestStatus

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def why(status: RequestStatus, *, now_us: int) -> str:
    """One line; "" if all is well."""
    if status.request.state is not RequestState.OPEN:
        return status.request.detail
    if status.queued is not None and status.queued.ending:
        n_begun = status.counts.files(*BatchState)
        counted = f"{n_begun:,} {'file' if n_begun == 1 else 'files'}"
        return f"{status.queued.ending}; {counted} may be gone, which a worker looks at"
    if status.queued is not None and status.queued.on_hold:
        return f"on hold by {status.queued.on_hold}"
    said = [_overdue(status, now_us), _lost(status), _idle(status), *_trouble(status, now_us)]
    return "; ".join(filter(None, said))


def _overdue(status: RequestStatus, now_us: int) -> str:
    deadline_us = status.queued.deadline_us if status.queued is not None else None
    return "its deadline is past" if deadline_us is not None and deadline_us <= now_us else ""


def _lost(status: RequestStatus) -> str:
    """Who should be at work on it, and is not."""
    worker = status.lost
    if worker is None or status.condition is not Condition.ACTIVE:
        return ""
    seen = "" if worker.unseen_s is None else f" has not been seen for {lasting(worker.unseen_s * SECOND_US)}"
    lost = f"its worker (process {worker.pid} on {worker.host}){seen or ' is gone'}"
    return f"{lost}; another one takes over{'' if status.n_workers else f': {_command(status)}'}"


def _command(status: RequestStatus) -> str:
    return f"`holdfast {'transfers' if status.kind is RequestKind.COPY else 'deletions'} run`"


def _idle(status: RequestStatus) -> str:
    """What the request waits for if nothing is wrong with it."""
    if status.n_workers or status.condition in (Condition.ACTIVE, Condition.HELD):
        return ""
    return f"no worker is at work: {_command(status)}"


def _trouble(status: RequestStatus, now_us: int) -> list[str]:
    """What is worst, and what has been left alone for good."""
    said = []
    if status.worst is not None and status.worst.state is not BatchState.SKIPPED:
        said.append(_of_batch(status.worst, status, now_us))
    n_skipped = status.counts.files(BatchState.SKIPPED)
    return [*said, f"{n_skipped:,} left alone" if n_skipped else ""]


def _of_batch(batch: Batch, status: RequestStatus, now_us: int) -> str:
    if batch.state is BatchState.QUEUED and not batch.attempts and not batch.bad_sources:
        return ""  # It begins anew; what went wrong before tells nothing of that.
    parts = [_state(batch, status.counts.files(batch.state))]
    if batch.error:
        parts.append(f"last error {batch.error}, {lasting(now_us - batch.since_us)} ago")
    if batch.state is BatchState.RETRY:
        parts.append(f"next try {_moment(batch.not_before_us - now_us)}")
    return "; ".join(filter(None, parts))


def _state(batch: Batch, n_files: int) -> str:
    count = f"{n_files:,} {'file' if n_files == 1 else 'files'}"
    match batch.state:
        case BatchState.HELD:
            reason = "no ready site holds it" if batch.held is Held.NO_SOURCE and not batch.error else ""
            return f"{count} held: {batch.held.value}{f', {reason}' if reason else ''}"
        case BatchState.FAILED:
            return f"{count} failed"
        case BatchState.RETRY:
            return f"{count} failed {'once' if batch.attempts == 1 else f'{batch.attempts} times'}"
        case _:
            return ""


def _moment(ahead_us: int) -> str:
    return f"in {lasting(ahead_us)}" if ahead_us > 0 else "now"


def lasting(span_us: float) -> str:
    """About how long: ``45 s``, ``5 min``, ``3 h``, ``2 d``; clocks that differ never make it less than nothing."""
    seconds = max(0, round(span_us / SECOND_US))
    unit, name = next(((unit, name) for unit, name in _UNITS if seconds >= 2 * unit), (1, "s"))
    return f"{seconds // unit} {name}"
