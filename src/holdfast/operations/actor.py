"""Actor: who the journal names, and for which cause, where nobody has said it but it followed from what was done."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.operations.batch import QueuedRequest

ACTOR = "operations"


def cause_of(requests: Iterable[QueuedRequest]) -> str:
    """The cause of what is written on behalf of some requests, one at least."""
    known = dict.fromkeys((request.kind.is_deletion, request.id) for request in requests)
    (is_deletion, first), *others = known
    return f"{'deletion' if is_deletion else 'copy'} {first}" + (f" and {len(others)} more" if others else "")
