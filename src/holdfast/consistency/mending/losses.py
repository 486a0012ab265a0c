"""Losses: files that are missing or wrong at a site and that no other site can give back.

Rules
  * On tape only: a site that is READY and keeps it on tape has it; a copy brings it back
    when it has been staged. Not ready: a site that may not be used now may have it.
    Gone: the inventory knows of no other copy at all. Only that can be declared
    lost (``declaring.py``).

Pure: a snapshot and findings in, losses out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from holdfast.consistency.classes import WRONG
from holdfast.consistency.findings import Finding
from holdfast.consistency.mending.holders import Holders
from holdfast.inventory.store import Snapshot
from holdfast.model.records import StorageType


class Hope(StrEnum):
    """Where a file that is lacking may still be."""

    TAPE = "on tape only"
    NOT_READY = "only at sites that are not ready"
    NONE = "gone"


@dataclass(frozen=True, slots=True)
class Loss:
    """A file that no disk of a READY site can give back, and the sites that may have it."""

    finding: Finding
    hope: Hope
    sites: tuple[str, ...] = ()


def losses(view: Snapshot, site: str, findings: Iterable[Finding]) -> Iterator[Loss]:
    """Those of the missing and wrong files that no READY disk has, in their order."""
    sites, holders = {each.name: each for each in view.sites()}, Holders(view, site)
    for finding in findings:
        here = holders.here(finding)
        if finding.cls not in WRONG or here is None or not here.holds(finding.ordinal):
            continue  # The inventory does not say any more that it is there.
        others = holders.elsewhere(finding)
        ready = [name for name in others if sites[name].is_ready]
        if any(sites[name].storage_type is not StorageType.TAPE for name in ready):
            continue
        hope = Hope.TAPE if ready else Hope.NOT_READY if others else Hope.NONE
        yield Loss(finding, hope, tuple(ready or others))
