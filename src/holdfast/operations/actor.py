"""Actor: who the journal names, and for which cause, where nobody has said it but it followed from what was done."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.operations.batch import QueuedRequest

ACTOR = "operations"
NAMED_MAX = 4
"""As many requests are named in a cause; what they were about is in the changes."""


def cause_of(requests: Iterable[QueuedRequest]) -> str:
    """The cause of what is written on behalf of some requests, one at least."""
    # Each by its kind: else a deletion seems to have brought what a copy did, of which the same entry tells.
    known = list(dict.fromkeys(f"{_kind(request)} {request.id}" for request in requests))
    n_more = len(known) - NAMED_MAX
    return ", ".join(known[:NAMED_MAX]) + (f" and {n_more} more" if n_more > 0 else "")


def _kind(request: QueuedRequest) -> str:
    return "deletion" if request.kind.is_deletion else "copy"
