"""Proofs: when what a site holds counts as proved, and when no more. Pure.

Rules
  * A proof is no later than the moment in which it is told: a clock that was
    ahead makes nothing look proved lately in years to come. What is told is
    what the journal has.
  * What was proved behind one door is not proved behind another: a site whose
    first door leads elsewhere than before holds nothing proved. Every form the
    inventory has asks here, so that they cannot disagree; what a proof does to
    a replica is in ``replicas``.
"""

from __future__ import annotations

from dataclasses import replace

from holdfast.inventory import checks
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c

_TELLING = (c.RegisterFiles, c.FilesArrived, c.FilesVerified, c.BlocksArrived)


def as_told(changes: tuple[c.Change, ...], now_us: int) -> tuple[c.Change, ...]:
    """``changes`` with no proof later than ``now_us``; the very same if there is none."""
    if not any(_is_ahead(change, now_us) for change in changes):
        return changes
    return tuple(_at(change, now_us) if _is_ahead(change, now_us) else change for change in changes)


def _is_ahead(change: c.Change, now_us: int) -> bool:
    # What is no moment at all is left as it is, and refused by the checks.
    return isinstance(change, _TELLING) and now_us < (change.verified_us or 0) <= checks.INT64_MAX


def _at(change: c.Change, now_us: int) -> c.Change:
    return replace(change, verified_us=now_us) if isinstance(change, _TELLING) else change


def are_void(change: c.PutSite, view: Snapshot) -> bool:
    """Whether nothing that the site holds is proved any more; ``view`` shows it as it was before."""
    before = next((site for site in view.sites() if site.name == change.site.name), None)
    if before is None or change.kind == "put-site":
        return False
    return not before.first_door.leads_to_same(change.site.first_door)
