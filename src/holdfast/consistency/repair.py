"""Repair: ask for good copies of what a check found missing or wrong, and for the removal of orphans.

Nothing is done here but asking, each time in one transaction with the reason;
``holdfast.operations`` carries it out and proves what it brings.

Rules
  * Gates come first, over the whole report: a site that could not be listed,
    shows nothing at all, or lacks more than a stated fraction is not repaired.
  * Each file is stat'ed right before: what is no longer as the check saw it is
    skipped.
  * A file of which no other site holds a copy is left as it is and reported as
    unrecoverable; only a person may declare it lost.
  * A wrong file stays in place until a proved copy replaces it.
  * Orphans go only if the number of all orphans found is within the limit that
    the caller states; what is locked or may be a last copy stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from holdfast.consistency.findings import WRONG, Class, Finding, pieces
from holdfast.consistency.report import Report
from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot, Store
from holdfast.model import steps
from holdfast.model.changes import Change, ChangeSet, FilesGone, RequestCopy
from holdfast.model.clock import Clock
from holdfast.model.errors import Conflict, HoldfastError, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, BlockReplica, CopyRequest, Evidence, Orphan
from holdfast.operations import requests
from holdfast.storage.driver import NotThere, StorageDriver

STATS_AT_ONCE = 32


@dataclass
class Repair:
    """What was asked for, or would be: requests by id, files, and what was left alone and why."""

    copy_requests: list[str] = field(default_factory=list)
    deletion_requests: list[str] = field(default_factory=list)
    copies: int = 0
    copied_size: int = 0
    deletions: int = 0
    deleted_size: int = 0
    unrecoverable: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, through what: the arguments every function here needs."""

    store: Store
    driver: StorageDriver
    actor: str
    clock: Clock
    new_id: Callable[[], str]
    dry_run: bool = False


def check_gates(report: Report, *, fraction_max: float) -> None:
    """Conflict unless the report may be acted on."""
    if not report.top_listed:
        raise Conflict(f"{report.site} could not be listed; nothing is repaired", rows=(report.site,))
    if report.expected and not report.actual:
        hint = "look at the site first: an empty listing is no evidence"
        raise Conflict(f"{report.site} shows no file at all; nothing is repaired", rows=(report.site,), hint=hint)
    wrong = sum(report.counts[cls] for cls in WRONG)
    if wrong > fraction_max * report.expected:
        raise Conflict(
            f"{wrong} of {report.expected} files of {report.site} are missing or wrong, more than {fraction_max:.1%}",
            rows=(report.site,),
            hint="if that is so, allow it with --max-fraction",
        )


async def repair(
    asker: Asker, report: Report, findings: Iterable[Finding], result: Repair, *, fraction_max: float
) -> None:
    """Ask for copies of everything in ``findings`` that is missing or wrong; told in ``result``."""
    check_gates(report, fraction_max=fraction_max)
    for piece in pieces(finding for finding in findings if finding.cls in WRONG):
        good = await _as_seen(asker.driver, piece, result)
        with asker.store.snapshot() as view:
            wanted = list(_with_other_copy(view, report.site, good, result))
        for dataset, files in _by_dataset(wanted).items():
            _ask_for_copies(asker, report, dataset, files, result)


def _ask_for_copies(
    asker: Asker, report: Report, dataset: DatasetKey, files: Sequence[Finding], result: Repair
) -> None:
    by_block: dict[str, list[int]] = {}
    for finding in files:
        if finding.block is not None:
            by_block.setdefault(finding.block.block, []).append(finding.ordinal)
    scope = tuple(BlockFiles(block, tuple(sorted(ordinals))) for block, ordinals in sorted(by_block.items()))
    cause = f"check {report.run} of {report.site}"
    request = CopyRequest(asker.new_id(), dataset, report.site, scope, reason=cause)
    gone: list[Change] = [
        FilesGone(BlockKey(dataset, part.block), report.site, part.ordinals or (), Evidence.STATED, cause)
        for part in scope
    ]
    if not asker.dry_run:
        asker.store.commit(ChangeSet((*gone, RequestCopy(request)), actor=asker.actor, cause=cause))
        steps.reach("check.repair-requested")
    result.copy_requests.append(request.id)
    result.copies += len(files)
    result.copied_size += sum(finding.size for finding in files)


async def delete_orphans(
    asker: Asker, report: Report, findings: Iterable[Finding], result: Repair, *, limit: int
) -> None:
    """Ask for the removal of the orphans in ``findings``, all that may go, if there are at most ``limit``."""
    n_orphans = report.counts[Class.ORPHAN]
    if n_orphans > limit:
        hint = "look at the report; raise --orphan-limit if they are to go"
        message = f"{report.site} has {n_orphans} orphans, more than the limit of {limit}; none is removed"
        raise Conflict(message, rows=(report.site,), hint=hint)
    if not report.top_listed:
        raise Conflict(f"{report.site} could not be listed; nothing is removed", rows=(report.site,))
    for piece in pieces(finding for finding in findings if finding.cls is Class.ORPHAN):
        good = _may_go(asker, report.site, await _as_seen(asker.driver, piece, result), result)
        if good:
            _ask_for_deletion(asker, report, good, result)


def _ask_for_deletion(asker: Asker, report: Report, good: Sequence[Finding], result: Repair) -> None:
    orphans = [Orphan(each.path, each.actual_size or 0, each.mtime_ns or 0, each.version) for each in good]
    if not asker.dry_run:
        request = requests.request_deletion(
            asker.store,
            report.site,
            orphans,
            reason=f"check {report.run} of {report.site}",
            actor=asker.actor,
            clock=asker.clock,
            new_id=asker.new_id,
        )
        result.deletion_requests.append(request.id)
        steps.reach("check.repair-requested")
    result.deletions += len(good)
    result.deleted_size += sum(finding.size for finding in good)


def _may_go(asker: Asker, site: str, piece: Sequence[Finding], result: Repair) -> list[Finding]:
    with asker.store.snapshot() as view:
        paths = [finding.path for finding in piece]
        found = deletion.obstacles(view, view.site(site), paths, now_us=asker.clock())
    reasons = {obstacle.path: obstacle.reason for obstacle in found}
    result.skipped += [replace(each, reason=reasons[each.path]) for each in piece if each.path in reasons]
    return [finding for finding in piece if finding.path not in reasons]


async def _as_seen(driver: StorageDriver, piece: Sequence[Finding], result: Repair) -> list[Finding]:
    """Those findings that a stat confirms right now; the others are noted as skipped."""
    gate = asyncio.Semaphore(STATS_AT_ONCE)

    async def one(finding: Finding) -> str:
        async with gate:
            return await _changed(driver, finding)

    verdicts = await asyncio.gather(*map(one, piece))
    result.skipped += [replace(each, reason=why) for each, why in zip(piece, verdicts, strict=True) if why]
    return [finding for finding, why in zip(piece, verdicts, strict=True) if not why]


async def _changed(driver: StorageDriver, finding: Finding) -> str:
    """Why a file is no longer as the check saw it; "" if it is."""
    try:
        stat = await driver.stat(finding.path)
    except NotThere:
        return "" if finding.cls is Class.MISSING else "gone since the check"
    except HoldfastError as error:
        return f"cannot be stat'ed: {error.message}"
    if finding.cls is Class.MISSING:
        return "it is there now"
    if finding.version and stat.version != finding.version:
        return "changed since the check"
    return "" if stat.size == finding.actual_size else "its size has changed since the check"


def _with_other_copy(view: Snapshot, site: str, piece: Sequence[Finding], result: Repair) -> Iterator[Finding]:
    replicas: dict[BlockKey, list[BlockReplica]] = {}
    for finding in piece:
        if finding.block is None:
            continue
        if finding.block not in replicas:
            try:
                replicas[finding.block] = view.replicas(block=finding.block)
            except UnknownName:
                replicas[finding.block] = []
        others = [each for each in replicas[finding.block] if each.site != site]
        if any(each.held is None or finding.ordinal in each.held for each in others):
            yield finding
        else:
            result.unrecoverable.append(replace(finding, reason="no other site holds it"))


def _by_dataset(findings: Iterable[Finding]) -> dict[DatasetKey, list[Finding]]:
    by_dataset: dict[DatasetKey, list[Finding]] = {}
    for finding in findings:
        if finding.block is not None:
            by_dataset.setdefault(finding.block.dataset, []).append(finding)
    return by_dataset
