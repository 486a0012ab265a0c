"""Declaring files lost: what a person says of files that no site can give back (``losses.py``).

Rules
  * Only what is gone can be declared lost, and only by a person, who says why: the
    bytes of a wrong file stay where they are.
  * And only where a check might act: a site that lacks too much has more likely
    lost a mount.
  * And only what was seen so in as many checks as ``lost_runs`` says, and is seen so
    by one more stat right before, at a storage that shows anything at all.
  * Declaring is one transaction for each dataset and part of it; the inventory then knows
    of no copy there, and the journal tells everybody who reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from holdfast.consistency.classes import WRONG
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.findings import Finding, pieces
from holdfast.consistency.gates import GateSettings
from holdfast.consistency.history.deeds import DeedKind
from holdfast.consistency.history.sightings import confirmed
from holdfast.consistency.mending import seen
from holdfast.consistency.mending.acting_tools import ActingTools
from holdfast.consistency.mending.asker import MendingAsker, refused, require_open
from holdfast.consistency.mending.grouped import by_block, by_dataset
from holdfast.consistency.mending.losses import Hope, Loss, losses
from holdfast.consistency.report import Report
from holdfast.consistency.site_gates import gates_of
from holdfast.inventory import dry_run
from holdfast.model import steps
from holdfast.model.changes import ChangeSet, FilesGone
from holdfast.model.records import Evidence
from holdfast.model.requirements import DatasetUnchanged
from holdfast.storage.driver import StorageDriver

DECLARED = "declared lost"
"""What stands for the request in the history."""


async def declare_lost(
    tools: ActingTools, driver: StorageDriver, report: Report, found: Sequence[Loss], *, reason: str
) -> list[Finding]:
    """Declare lost those losses of a report that are gone, and were seen so often enough; returns what was declared.

    Conflict for a site that is not to be acted on, that lacks so much that something else is the matter, or whose
    first door is another one by now; and as ``declare`` raises it.
    """
    tools.require_same_door(report)
    _require_gates(tools, report)
    needed = Confirmation(tools.configured.lost_runs)
    gone = {(each.finding.cls, each.finding.path) for each in found if each.hope is Hope.NONE}
    folder, now_us = Path(report.folder), tools.clock()
    sure = [
        each
        for cls in WRONG
        for each in confirmed(folder, cls, needed, now_us=now_us, limits=tools.limits)
        if (each.cls, each.path) in gone
    ]
    return await declare(tools.asker(driver), report, sure, reason=reason) if sure else []


async def declare(asker: MendingAsker, report: Report, sure: Iterable[Finding], *, reason: str) -> list[Finding]:
    """Declare lost those of ``sure``, confirmed findings, that are gone yet; returns them.

    Conflict if the storage shows nothing at all, or if a dataset changes meanwhile: then what was declared stays so.
    """
    if not await seen.shows_anything(asker.driver):
        raise refused(report, f"{report.site} shows no file at all now; nothing is declared", "look at the site first")
    declared: list[Finding] = []
    for piece in pieces(sure):
        seen_so = await seen.as_seen(asker.driver, piece, [])
        with asker.store.snapshot() as view:
            gone = [each.finding for each in losses(view, report.site, seen_so) if each.hope is Hope.NONE]
            head = view.head
        for dataset, files in by_dataset(gone).items():
            unchanged = DatasetUnchanged(dataset, head.position, head.epoch)
            _commit(asker, report, files, unchanged, reason=reason)
            declared += files
    return declared


def _commit(
    asker: MendingAsker, report: Report, files: Sequence[Finding], unchanged: DatasetUnchanged, *, reason: str
) -> None:
    """One transaction for files of one dataset."""
    changes = [
        FilesGone(block, report.site, ordinals, Evidence.DECLARED, reason)
        for block, ordinals in by_block(files).items()
    ]
    also = asker.recorder(report, DeedKind.LOST, f"{DECLARED}: {unchanged.dataset}", files)
    required = (unchanged, *asker.same_door(report.site))
    change_set = ChangeSet(tuple(changes), asker.actor, f"{asker.cause(report)}: {reason}", requirements=required)
    if dry_run.commit(asker.store, change_set, dry_run=asker.dry_run, also=(also,)) is not None:
        steps.reach("check.repair-requested")


def _require_gates(tools: ActingTools, report: Report) -> None:
    settings = GateSettings.of(tools.configured)
    # In how many checks a file was seen so is asked of each one.
    settings = replace(settings, confirmations={**settings.confirmations, **dict.fromkeys(WRONG, Confirmation())})
    gates = gates_of(tools.history, report, settings, tools.state, tools.limits, now_us=tools.clock())
    require_open(report, gates, *(cls for cls in WRONG if gates[cls].found))
