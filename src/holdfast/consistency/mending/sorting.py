"""Sorting: what is to be done about files that are missing, wrong or awaited, by one snapshot.

Rules
  * What the replica does not hold any more is under way if an open request asks
    for it, and else not wanted: deleted, or given up.
  * What an open deletion takes is left to it.
  * What the replica holds, as far as the inventory knows, is asked for from other
    sites; it is unrecoverable if none that is READY holds it.

Pure: a snapshot and findings in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from holdfast.consistency.checking import doomed
from holdfast.consistency.checking.awaited import Asked
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.mending.holders import Holders
from holdfast.inventory.store import Snapshot

UNWANTED = "the inventory no longer wants it there"


@dataclass
class Sorted:
    """What is to be done about some findings, by one snapshot."""

    ask: list[Finding] = field(default_factory=list)
    """What the inventory still takes for present."""
    under_way: int = 0
    bringing: set[str] = field(default_factory=set)
    """The open requests that are to bring what is under way."""
    unrecoverable: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)


def sort_out(view: Snapshot, site: str, files: Iterable[Finding]) -> Sorted:
    """Each finding to its place. ``files`` are missing, wrong or awaited at the site."""
    found, holders, asked, going = Sorted(), Holders(view, site), Asked(view, site), doomed.Doomed(view, site)
    for finding in files:
        here = holders.here(finding)
        if finding.block is None or here is None:
            found.skipped.append(replace(finding, reason=UNWANTED))
            continue
        if going.has(finding.block, finding.ordinal):
            found.skipped.append(replace(finding, reason=doomed.REASON))
            continue
        requests = asked.by(finding.block, finding.ordinal)
        if not here.holds(finding.ordinal):
            found.under_way += bool(requests)
            found.bringing |= set(requests)
            found.skipped += [] if requests else [replace(finding, reason=UNWANTED)]
        elif finding.cls is Class.AWAITED:
            found.under_way += 1
        elif not holders.is_elsewhere(finding):
            found.unrecoverable.append(replace(finding, reason="no other site that is ready holds it"))
        else:
            found.ask.append(finding)
    return found
