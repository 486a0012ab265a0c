"""What a failure means for its files. Pure: a batch, a code, settings and a moment in, the files' next condition out.

Rules
  * What may pass is tried again, each time after a longer wait, up to
    ``attempts_max`` tries; then it is held until somebody says so.
  * A source that failed for good is not asked again for these files; the next
    one is, at once. What is to be done when none is left, planning says.
  * A look for a file in its own place is no try, writes nothing, and says nothing of the site. Where the file was seen
    not to be is not looked again before somebody says so; what could not be looked at is held, to be tried later.
  * A destination that is full or lets nobody in, an engine that is down and an
    interruption are nobody's failure: they cost no attempt.
  * What the destination will not have is final; so is what cannot be named or
    proved there. A request that may replace mends what is wrong or lost: of that nothing is final,
    it is held until somebody says so, and the request stays open.
  * Orphans that must stay, or are not what was listed, are left alone: that is an outcome, not a failure. A deletion
    of replicas is done only when all has gone that it asks for: of that nothing is final, either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.config import OperationsSettings
from holdfast.model.clock import SECOND_US
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import IN_ITS_PLACE, NO_OTHER_SOURCE, Batch, BatchFailure, BatchState, Held, RequestKind
from holdfast.operations.codes import Code
from holdfast.operations.planning import waits

ERROR_CHARS = 1000
"""As much of an error as is kept with a batch."""

_OF_THE_SOURCE = frozenset({Code.SOURCE_MISSING, Code.SOURCE_WRONG, Code.UNSUPPORTED})
"""Failures for good after which another source may do."""
_RIGHTLY = frozenset({Code.MUST_STAY, Code.CHANGED})
_UNTRIED = frozenset({Code.STOPPED})
_LEAVES_NOTHING = frozenset(
    {
        Code.SOURCE_MISSING,
        Code.NO_CHECKSUM,
        Code.UNNAMEABLE,
        Code.MUST_STAY,
        Code.CHANGED,
        Code.STORAGE_REFUSED,
    }
)
"""Failures of which no part can have stayed at a destination, nor a file be gone."""


@dataclass(frozen=True, slots=True)
class Setback:
    """Files of one batch that have failed alike."""

    files: FileSet
    size: int
    code: Code
    error: str


def failure(batch: Batch, setback: Setback, settings: OperationsSettings, *, now_us: int, seed: int) -> BatchFailure:
    """The condition in which the files of a setback go on."""
    code = setback.code
    made = BatchFailure(
        setback.files, setback.size, BatchState.FAILED, batch.attempts + 1, code, setback.error[:ERROR_CHARS]
    )
    leaves_nothing = batch.is_look or code in _LEAVES_NOTHING
    made = replace(made, bad_sources=batch.bad_sources, left=batch.left if leaves_nothing else None)
    if code in _UNTRIED:
        return replace(made, state=BatchState.QUEUED, attempts=batch.attempts)
    if code in _RIGHTLY and batch.request.kind is RequestKind.ORPHANS:
        return replace(made, state=BatchState.SKIPPED, attempts=batch.attempts)
    if code.stops_site:
        return replace(made, state=BatchState.HELD, attempts=batch.attempts, held=Held.SITE_UNAVAILABLE)
    if batch.is_look and code is Code.SOURCE_FAILED:
        error = f"{NO_OTHER_SOURCE}; {made.error}"[:ERROR_CHARS]
        return replace(made, state=BatchState.HELD, attempts=batch.attempts, held=Held.NO_SOURCE, error=error)
    if batch.source and code in _OF_THE_SOURCE:
        known = tuple(sorted({*batch.bad_sources, batch.source}))
        return replace(made, state=BatchState.QUEUED, attempts=batch.attempts, bad_sources=known)
    if code.is_permanent:
        return for_good(batch, made, settings)
    return _again(batch, made, settings, now_us, seed)


def for_good(batch: Batch, made: BatchFailure, settings: OperationsSettings) -> BatchFailure:
    """A failure that no further try can mend; no new source is a reason to try what is held for it."""
    request = batch.request
    if request.kind is RequestKind.ORPHANS or (request.kind is RequestKind.COPY and not request.is_replacing):
        return made
    return replace(
        made, state=BatchState.HELD, held=Held.ALL_FAILED, attempts=max(made.attempts, settings.attempts_max)
    )


def _again(batch: Batch, made: BatchFailure, settings: OperationsSettings, now_us: int, seed: int) -> BatchFailure:
    if made.attempts >= settings.attempts_max:
        error = f"given up after {made.attempts} tries: {made.error}"[:ERROR_CHARS]
        return replace(made, state=BatchState.HELD, held=Held.ALL_FAILED, error=error)
    wait_us = waits.retry_delay_us(
        made.attempts,
        batch.id,
        seed=seed,
        delay_s_min=settings.retry_delay_s_min,
        delay_s_max=settings.retry_delay_s_max,
    )
    return replace(made, state=BatchState.RETRY, not_before_us=now_us + wait_us)


def later(batch: Batch, files: FileSet, size: int, why: str, *, now_us: int, wait_s: float) -> BatchFailure:
    """Given back untried, to come after a while: something that will pass is in the way."""
    not_before_us = now_us + int(wait_s * SECOND_US)
    return BatchFailure(
        files,
        size,
        BatchState.RETRY,
        batch.attempts,
        Code.STOPPED,
        why[:ERROR_CHARS],
        not_before_us,
        bad_sources=batch.bad_sources,
        left=batch.left,
    )


def held(batch: Batch, files: FileSet, size: int, held: Held, why: str, code: Code | None) -> BatchFailure:
    """Not to be tried before what is in the way has changed. The last error is kept where it says more."""
    is_site = held is Held.SITE_UNAVAILABLE
    is_said = is_site or IN_ITS_PLACE in why
    return BatchFailure(
        files,
        size,
        BatchState.HELD,
        batch.attempts,
        code if is_site else batch.code,
        why[:ERROR_CHARS] if is_said else (batch.error or why[:ERROR_CHARS]),
        held=held,
        bad_sources=batch.bad_sources,
        left=batch.left,
    )


def given_up(batch: Batch, files: FileSet, size: int, code: Code, why: str) -> BatchFailure:
    """Final, without a try."""
    return BatchFailure(
        files,
        size,
        BatchState.FAILED,
        batch.attempts,
        code,
        why[:ERROR_CHARS],
        bad_sources=batch.bad_sources,
        left=batch.left,
    )
