"""Repair: ask for good copies of what a check found missing or wrong, and for the removal of orphans.

Nothing is done here but asking, each time in one transaction with the reason;
``holdfast.operations`` carries it out and proves what it brings.

Rules
  * Gates come first, over the whole report, for copies and removals alike: at a
    site that shows nothing at all, or lacks more than a stated fraction, nothing
    is changed.
  * Each file is stat'ed right before: what is no longer as the check saw it is
    skipped.
  * Copies come from READY sites only. A file of which no such site holds a copy
    is left as it is and reported as unrecoverable; only a person may declare it
    lost.
  * A wrong file stays in place until a proved copy replaces it.
  * What an open request is to bring is not asked for again, nor what one is to
    delete; but if it is held, operations are asked to try again. What nobody asks
    for any more, and the replica does not hold, is left so.
  * Orphans go only if the number of all orphans found is within the limit that
    the caller states. What is locked or may be a last copy stays: also an orphan
    of the size of a file that is lost (``lost.py``), which it may be under another
    name. So does what may be a copy that nobody has registered.
  * A dry run goes through the same transactions, which are then undone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from holdfast import logs
from holdfast.consistency import held, seen
from holdfast.consistency.awaited import Asked
from holdfast.consistency.findings import LACKING, WRONG, Class, Finding, pieces
from holdfast.consistency.lost import lost_sizes
from holdfast.consistency.report import Report
from holdfast.consistency.request_sizes import copy_cost, cut, orphan_cost
from holdfast.consistency.sorting import Sorted, sort_out
from holdfast.consistency.unregistered import unregistered
from holdfast.inventory import deletion
from holdfast.inventory.store import Store
from holdfast.model import steps
from holdfast.model.changes import Change, ChangeSet, FilesGone, RequestCopy
from holdfast.model.clock import Clock
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Evidence, Orphan, RequestState
from holdfast.model.requirements import DatasetUnchanged, Requirement
from holdfast.operations import requests
from holdfast.storage.driver import StorageDriver

TRIES = 20
"""How often asking starts anew because the dataset changed under it."""

_log = logs.get("consistency")


@dataclass
class Repair:
    """What was asked for, or would be: requests by id, files, and what was left alone and why."""

    copy_requests: list[str] = field(default_factory=list)
    deletion_requests: list[str] = field(default_factory=list)
    copies: int = 0
    copied_size: int = 0
    under_way: int = 0
    """Files that an open request is to bring anyway, or has brought since the check."""
    retried: dict[str, int] = field(default_factory=dict)
    """Requests that were held and are tried again, with how many files of them."""
    deletions: int = 0
    deleted_size: int = 0
    unrecoverable: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)


class _UndoneError(Exception):
    """Leaves a transaction, so that it is undone."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, through what: the arguments every function here needs."""

    store: Store
    driver: StorageDriver
    actor: str
    clock: Clock
    new_id: Callable[[], str]
    dry_run: bool = False

    def commit(self, changes: Sequence[Change], *, cause: str, requirements: Sequence[Requirement] = ()) -> None:
        """Commit, or find out in a dry run whether that would be accepted."""
        change_set = ChangeSet(tuple(changes), actor=self.actor, cause=cause, requirements=tuple(requirements))
        if not self.dry_run:
            self.store.commit(change_set)
            steps.reach("check.repair-requested")
            return
        with suppress(_UndoneError):
            self.store.commit(change_set, also=_undo)


def _undo(_connection: Connection) -> None:
    raise _UndoneError


def check_gates(report: Report, *, fraction_max: float) -> None:
    """Conflict unless the report may be acted on."""
    if report.expected and not report.actual:
        hint = "look at the site first: an empty listing is no evidence"
        raise _refused(report, f"{report.site} shows no file at all; nothing is changed", hint)
    wrong = sum(report.counts[cls] for cls in WRONG)
    if wrong > fraction_max * report.expected:
        message = f"{wrong} of {report.expected} files of {report.site} are missing or wrong"
        hint = "if that is so, allow it with --max-fraction"
        raise _refused(report, f"{message}, more than {fraction_max:.1%}; nothing is changed", hint)


def check_orphan_gates(report: Report, *, limit: int, fraction_max: float) -> None:
    """Conflict unless orphans may be removed by the report."""
    n_orphans = report.counts[Class.ORPHAN]
    if n_orphans > limit:
        message = f"{report.site} has {n_orphans} orphans, more than the limit of {limit}; none is removed"
        raise _refused(report, message, "look at the report; raise --orphan-limit if they are to go")
    check_gates(report, fraction_max=fraction_max)


def _refused(report: Report, message: str, hint: str = "") -> Conflict:
    _log.info("gates refused", site=report.site, run=report.run, reason=message)
    return Conflict(message, rows=(report.site,), hint=hint)


async def repair(
    asker: Asker, report: Report, findings: Iterable[Finding], result: Repair, *, fraction_max: float
) -> None:
    """Ask for copies of everything in ``findings`` that is missing or wrong, and see to what is awaited.

    Told in ``result``.
    """
    check_gates(report, fraction_max=fraction_max)
    if report.actual and not await seen.shows_anything(asker.driver):
        # Reports may be old. Where nothing shows now, a stat of a file proves nothing: the disk is not mounted.
        raise _refused(report, f"{report.site} shows no file at all now; nothing is changed", "look at the site first")
    bringing: set[str] = set()
    for piece in pieces(finding for finding in findings if finding.cls in LACKING):
        wrong = [finding for finding in piece if finding.cls in WRONG]
        good = await seen.as_seen(asker.driver, wrong, result.skipped)
        good += [finding for finding in piece if finding.cls is Class.AWAITED]
        for dataset, files in _by_dataset(good).items():
            for part in cut(sorted(files, key=_place), copy_cost):
                bringing |= _ask_for_copies(asker, report, dataset, part, result)
    _try_again(asker, bringing, result)


def _try_again(asker: Asker, requests: Collection[str], result: Repair) -> None:
    """What is held of these requests, unless somebody holds it back."""
    with asker.store.snapshot() as view:
        found = [view.request(id) for id in sorted(requests)]
    copies = [each for each in found if isinstance(each, CopyRequest) and each.state is RequestState.OPEN]
    if copies:
        again = held.HeldCopies(asker.store, copies, now_us=asker.clock()).may_be_retried
        result.retried |= held.retry(asker.store, again, dry_run=asker.dry_run)


def _ask_for_copies(
    asker: Asker, report: Report, dataset: DatasetKey, files: Sequence[Finding], result: Repair
) -> set[str]:
    """Returns the earlier requests that are to bring some of the files anyway."""
    request_id = ""
    for _ in range(TRIES):
        with asker.store.snapshot() as view:
            found = sort_out(view, report.site, files)
            head = view.head
        if not found.ask:
            break
        request_id = asker.new_id()
        # Without this two repairs at once would both ask, and what has just come back would be called gone.
        unchanged = DatasetUnchanged(dataset, head.position, head.epoch)
        try:
            _commit_copies(asker, report, request_id, dataset, found, unchanged)
        except Conflict:
            with asker.store.snapshot() as view:
                if dataset not in view.changed_since(head.position)[0]:
                    raise
            continue
        break
    else:
        raise Conflict(f"dataset {dataset} keeps changing", rows=(str(dataset),), hint="try again later")
    if found.ask and not asker.dry_run:
        result.copy_requests.append(request_id)
    result.copies += len(found.ask)
    result.copied_size += sum(finding.size for finding in found.ask)
    result.under_way += found.under_way
    result.unrecoverable += found.unrecoverable
    result.skipped += found.skipped
    return found.bringing


def _commit_copies(
    asker: Asker, report: Report, id: str, dataset: DatasetKey, found: Sorted, requirement: Requirement
) -> None:
    cause = f"check {report.run} of {report.site}"
    gone = [
        FilesGone(BlockKey(dataset, part.block), report.site, part.ordinals or (), Evidence.STATED, cause)
        for part in _scope(found.ask)
    ]
    request = CopyRequest(id, dataset, report.site, _scope(found.ask), reason=cause, replace=True)
    asker.commit((*gone, RequestCopy(request)), cause=cause, requirements=(requirement,))
    about = {"site": report.site, "run": report.run, "dataset": str(dataset), "dry_run": asker.dry_run}
    _log.info("repair asked", request=id, files=len(found.ask), **about)


def _scope(files: Iterable[Finding]) -> tuple[BlockFiles, ...]:
    by_block: dict[str, list[int]] = {}
    for finding in files:
        if finding.block is not None:
            by_block.setdefault(finding.block.block, []).append(finding.ordinal)
    return tuple(BlockFiles(block, tuple(sorted(ordinals))) for block, ordinals in sorted(by_block.items()))


async def delete_orphans(
    asker: Asker,
    report: Report,
    findings: Iterable[Finding],
    result: Repair,
    *,
    lacking: Iterable[Finding],
    limit: int,
    fraction_max: float,
) -> None:
    """Ask for the removal of the orphans in ``findings``, all that may go, if there are at most ``limit``.

    ``lacking`` are the report's findings of what is missing, wrong or awaited:
    an orphan may be one of these files under another name.
    """
    check_orphan_gates(report, limit=limit, fraction_max=fraction_max)
    with asker.store.snapshot() as view:
        lost = lost_sizes(view, report.site, lacking)
    for piece in pieces(finding for finding in findings if finding.cls is Class.ORPHAN):
        good = _may_go(asker, report.site, await seen.as_seen(asker.driver, piece, result.skipped), lost, result)
        for part in cut(good, orphan_cost):
            _ask_for_deletion(asker, report, part, result)


def _may_go(
    asker: Asker, site: str, piece: Sequence[Finding], lost: Mapping[int, str], result: Repair
) -> list[Finding]:
    with asker.store.snapshot() as view:
        record, paths = view.site(site), [finding.path for finding in piece]
        found = deletion.obstacles(view, record, paths, now_us=asker.clock())
        wanted = [each.path for each in found if each.ground is deletion.Ground.WANTED]
        stray = unregistered(view, record, Asked(view, site), wanted)
    reasons = {each.path: f"may be a moved last copy of {lost[each.size]}" for each in piece if each.size in lost}
    reasons |= {obstacle.path: obstacle.reason for obstacle in found} | stray
    result.skipped += [replace(each, reason=reasons[each.path]) for each in piece if each.path in reasons]
    return [finding for finding in piece if finding.path not in reasons]


def _ask_for_deletion(asker: Asker, report: Report, good: Sequence[Finding], result: Repair) -> None:
    cause = f"check {report.run} of {report.site}"
    orphans = tuple(Orphan(each.path, each.actual_size or 0, each.mtime_ns or 0, each.version) for each in good)
    request = requests.request_deletion(
        asker.store,
        report.site,
        orphans,
        reason=cause,
        actor=asker.actor,
        clock=asker.clock,
        dry_run=asker.dry_run,
        new_id=asker.new_id,
    )
    about = {"site": report.site, "run": report.run, "dry_run": asker.dry_run}
    _log.info("orphans asked", request=request.id, files=len(good), **about)
    if not asker.dry_run:
        result.deletion_requests.append(request.id)
    result.deletions += len(good)
    result.deleted_size += sum(finding.size for finding in good)


def _by_dataset(findings: Iterable[Finding]) -> dict[DatasetKey, list[Finding]]:
    by_dataset: dict[DatasetKey, list[Finding]] = {}
    for finding in findings:
        if finding.block is not None:
            by_dataset.setdefault(finding.block.dataset, []).append(finding)
    return by_dataset


def _place(finding: Finding) -> tuple[str, int]:
    return ("" if finding.block is None else finding.block.block), finding.ordinal
