"""Repair: ask for good copies of what a check found missing or wrong.

Nothing is done here but asking, each time in one transaction with the reason;
``holdfast.operations`` carries it out and proves what it brings.

Rules
  * The gates of what is asked for are open, or nothing is asked for.
  * Each file is stat'ed right before: what is no longer as the check saw it is
    skipped. So is all if the storage shows nothing at all.
  * Copies come from READY sites only. A file of which no such site holds a copy
    is left as it is and reported as unrecoverable; only a person may declare it
    lost (``losses.py``).
  * A wrong file stays in place until a proved copy replaces it.
  * What an open request is to bring is not asked for again, nor what one is to
    delete; but if it is held, operations are asked to try again. What nobody asks
    for any more, and the replica does not hold, is left so.
  * A dry run goes through the same transactions, which are then undone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from holdfast import logs
from holdfast.consistency.checking import held
from holdfast.consistency.classes import LACKING, WRONG, Class
from holdfast.consistency.findings import Finding, pieces
from holdfast.consistency.gates import Gates
from holdfast.consistency.history.deeds import DeedKind
from holdfast.consistency.mending import seen
from holdfast.consistency.mending.asker import MendingAsker, Repair, refused, require_open
from holdfast.consistency.mending.grouped import by_block, by_dataset
from holdfast.consistency.mending.request_sizes import copy_cost, cut
from holdfast.consistency.mending.sorting import Sorted, sort_out
from holdfast.consistency.report import Report
from holdfast.inventory.store import Snapshot
from holdfast.model import steps
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import CopyRequest, RequestState
from holdfast.operations import requests

_log = logs.get("consistency")


async def repair(
    asker: MendingAsker, report: Report, findings: Iterable[Finding], result: Repair, *, gates: Gates
) -> None:
    """Ask for copies of everything in ``findings`` that is missing or wrong, and see to what is awaited.

    Told in ``result``.
    """
    if report.actual and not await seen.shows_anything(asker.driver):
        # Reports may be old. Where nothing shows now, a stat of a file proves nothing: the disk is not mounted.
        raise refused(report, f"{report.site} shows no file at all now; nothing is changed", "look at the site first")
    bringing: set[str] = set()
    for piece in pieces(finding for finding in findings if finding.cls in LACKING):
        wrong = [finding for finding in piece if finding.cls in WRONG]
        require_open(report, gates, *{finding.cls for finding in wrong})
        good = await seen.as_seen(asker.driver, wrong, result.skipped)
        good += [finding for finding in piece if finding.cls is Class.AWAITED]
        for dataset, files in by_dataset(good).items():
            for part in cut(sorted(files, key=_place), copy_cost):
                bringing |= _ask_for_copies(asker, report, dataset, part, result)
    _try_again(asker, bringing, result)


def _try_again(asker: MendingAsker, requests: Collection[str], result: Repair) -> None:
    """What is held of these requests, unless somebody holds it back."""
    with asker.store.snapshot() as view:
        found = [view.request(id) for id in sorted(requests)]
    copies = [each for each in found if isinstance(each, CopyRequest) and each.state is RequestState.OPEN]
    if copies:
        again = held.HeldCopies(asker.store, copies, now_us=asker.clock()).may_be_retried
        result.retried |= held.retry(asker.store, again, dry_run=asker.dry_run)


def _ask_for_copies(
    asker: MendingAsker, report: Report, dataset: DatasetKey, files: Sequence[Finding], result: Repair
) -> set[str]:
    """Returns the earlier requests that are to bring some of the files anyway."""
    found = Sorted()

    def look(view: Snapshot) -> Mapping[BlockKey, tuple[int, ...]]:
        nonlocal found
        found = sort_out(view, report.site, files)
        return by_block(found.ask)

    request = requests.request_replacement(
        asker.store,
        dataset,
        report.site,
        look,
        reason=asker.cause(report),
        actor=asker.actor,
        also=lambda id: asker.recorder(report, DeedKind.COPY, id, found.ask),
        requirements=asker.same_door(report.site),
        dry_run=asker.dry_run,
        new_id=asker.new_id,
    )
    if request is not None:
        about = {"site": report.site, "run": report.run, "dataset": str(dataset), "dry_run": asker.dry_run}
        _log.info("repair asked", request=request.id, files=len(found.ask), **about)
        if not asker.dry_run:
            result.copy_requests.append(request.id)
            steps.reach("check.repair-requested")
    result.copies += len(found.ask)
    result.copied_size += sum(finding.size for finding in found.ask)
    result.under_way += found.under_way
    result.unrecoverable += found.unrecoverable
    result.skipped += found.skipped
    return found.bringing


def _place(finding: Finding) -> tuple[str, int]:
    return ("" if finding.block is None else finding.block.block), finding.ordinal
