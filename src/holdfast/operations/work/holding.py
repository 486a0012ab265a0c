"""Holding: when what is held is tried again. Pure.

Rules
  * What had no source is queued again when there is one; what failed at every
    source, when there is another one and tries are left.
  * What the check of deletions had refused is queued again when it lets
    anything of it go: a lock is lifted or over, there are copies enough, no copy
    that was asked for before needs it as its source.
  * What waits for a site whose status was in the way is queued again when the
    site is ready.
  * Everything else, a full storage or a door that does not open among it, is
    tried again ``held_retry_s`` after it came to be held; other sources that had failed
    for good then, too. A clock that was set back is no reason to wait longer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from holdfast.model.clock import SECOND_US
from holdfast.model.records import Site
from holdfast.operations.batch import Batch, Held, RequestKind
from holdfast.operations.planning.holders import Holders


@dataclass(frozen=True, slots=True)
class Again:
    """What is to be queued again: numbers of batches."""

    as_is: tuple[int, ...] = ()
    anew: tuple[int, ...] = ()
    """With sources that had failed for good, too."""


def again(
    held: list[Batch],
    holders: Holders,
    sites: Mapping[str, Site],
    stopped: Mapping[str, str],
    *,
    may_go: Collection[int],
    attempts_max: int,
    held_retry_s: float,
    now_us: int,
) -> Again:
    """What of all that is held may be tried again now. ``may_go``: batches of deletions, by their ids, that the check
    had refused and of which something may go now."""
    as_is: list[int] = []
    anew: list[int] = []
    for batch in held:
        if batch.site in stopped:
            continue
        if batch.held.is_refused:
            as_is += [batch.id] if batch.id in may_go else []
            continue
        age_us = now_us - batch.since_us
        if held_retry_s and not 0 <= age_us < held_retry_s * SECOND_US:
            anew.append(batch.id)
        elif _has_changed(batch, holders, sites, stopped, attempts_max):
            as_is.append(batch.id)
    return Again(tuple(as_is), tuple(anew))


def _has_changed(
    batch: Batch, holders: Holders, sites: Mapping[str, Site], stopped: Mapping[str, str], attempts_max: int
) -> bool:
    is_ready = batch.site in sites and sites[batch.site].is_ready
    if batch.held is Held.SITE_UNAVAILABLE and batch.code is not None:
        return False
    if batch.request.kind is not RequestKind.COPY:
        return batch.held is Held.SITE_UNAVAILABLE and batch.site in sites
    if not is_ready or batch.attempts >= attempts_max:
        return False
    usable = holders(batch.block_key).usable_for(batch.request)
    return any(
        files & batch.files
        for source, files in usable.items()
        if source not in (batch.site, *batch.bad_sources) and source not in stopped
    )
