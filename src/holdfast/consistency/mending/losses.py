"""Losses: files that are missing or wrong at a site and that no other site can give back; declaring them lost.

Rules
  * On tape only: a site that is READY and keeps it on tape has it; a copy brings it back
    when it has been staged. Not ready: a site that may not be used now may have it.
    Gone: the inventory knows of no other copy at all.
  * Only what is gone can be declared lost, and only by a person: the bytes of a
    wrong file stay where they are.
  * And only what was seen so in as many checks as ``lost_runs`` says, and is seen so
    by one more stat right before, at a storage that shows anything at all.
  * Declaring is one transaction for each dataset and part of it; the inventory then knows
    of no copy there, and the journal tells everybody who reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from holdfast.consistency.findings import WRONG, Finding, pieces
from holdfast.consistency.history.deeds import DeedKind
from holdfast.consistency.mending import seen
from holdfast.consistency.mending.asker import Asker, refused
from holdfast.consistency.report import Report
from holdfast.inventory.store import Snapshot
from holdfast.model.changes import FilesGone
from holdfast.model.errors import UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockReplica, Evidence, SiteStatus, StorageType
from holdfast.model.requirements import DatasetUnchanged

DECLARED = "declared lost"
"""What stands for the request in the history."""


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
        ready = [name for name in others if sites[name].status is SiteStatus.READY]
        if any(sites[name].storage_type is not StorageType.TAPE for name in ready):
            continue
        hope = Hope.TAPE if ready else Hope.NOT_READY if others else Hope.NONE
        yield Loss(finding, hope, tuple(ready or others))


async def declare(asker: Asker, report: Report, findings: Iterable[Finding], *, reason: str) -> list[Finding]:
    """Declare lost those of ``findings``, confirmed ones, that are gone; returns them.

    Conflict if the storage shows nothing at all, or if a dataset changes meanwhile: then what was declared stays so.
    """
    if not await seen.shows_anything(asker.driver):
        raise refused(report, f"{report.site} shows no file at all now; nothing is declared", "look at the site first")
    declared: list[Finding] = []
    for piece in pieces(findings):
        left: list[Finding] = []
        sure = await seen.as_seen(asker.driver, piece, left)
        with asker.store.snapshot() as view:
            gone = [each.finding for each in losses(view, report.site, sure) if each.hope is Hope.NONE]
            head = view.head
        for dataset, files in _by_dataset(gone).items():
            required = (DatasetUnchanged(dataset, head.position, head.epoch), *asker.same_door(report.site))
            changes = [
                FilesGone(block, report.site, ordinals, Evidence.DECLARED, reason)
                for block, ordinals in _by_block(files).items()
            ]
            also = asker.recorder(report, DeedKind.LOST, f"{DECLARED}: {dataset}", files)
            asker.commit(changes, cause=f"{asker.cause(report)}: {reason}", also=also, requirements=required)
            declared += files
    return declared


def _replicas(view: Snapshot, block: BlockKey) -> list[BlockReplica]:
    try:
        return view.replicas(block=block)
    except UnknownName:
        return []


def _by_dataset(findings: Iterable[Finding]) -> dict[DatasetKey, list[Finding]]:
    found: dict[DatasetKey, list[Finding]] = {}
    for finding in findings:
        if finding.block is not None:
            found.setdefault(finding.block.dataset, []).append(finding)
    return found


def _by_block(findings: Iterable[Finding]) -> dict[BlockKey, tuple[int, ...]]:
    found: dict[BlockKey, list[int]] = {}
    for finding in findings:
        if finding.block is not None:
            found.setdefault(finding.block, []).append(finding.ordinal)
    return {block: tuple(sorted(ordinals)) for block, ordinals in sorted(found.items())}
