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
from holdfast.inventory.store import Snapshot
from holdfast.model.errors import UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, StorageType


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
    sites = {each.name: each for each in view.sites()}
    replicas: dict[BlockKey, list[BlockReplica]] = {}
    for finding in findings:
        if finding.cls not in WRONG or finding.block is None:
            continue
        if finding.block not in replicas:
            replicas[finding.block] = _replicas(view, finding.block)
        held = {each.site: each.holds(finding.ordinal) for each in replicas[finding.block]}
        if not held.pop(site, False):
            continue  # The inventory does not say any more that it is there.
        others = sorted(name for name, holds in held.items() if holds)
        ready = [name for name in others if sites[name].is_ready]
        if any(sites[name].storage_type is not StorageType.TAPE for name in ready):
            continue
        hope = Hope.TAPE if ready else Hope.NOT_READY if others else Hope.NONE
        yield Loss(finding, hope, tuple(ready or others))


def _replicas(view: Snapshot, block: BlockKey) -> list[BlockReplica]:
    try:
        return view.replicas(block=block)
    except UnknownName:
        return []
