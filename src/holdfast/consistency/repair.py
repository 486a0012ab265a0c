"""Repair: ask for good copies of what a check found missing, wrong or awaited in vain, and for the removal of orphans.

Nothing is done here but asking, each time in one transaction with the reason;
``holdfast.operations`` carries it out and proves what it brings.

Rules
  * Gates come first, over the whole report, for copies and removals alike: at a
    site that could not be listed, shows nothing at all, or lacks more than a
    stated fraction, nothing is changed.
  * Each file is stat'ed right before: what is no longer as the check saw it is
    skipped.
  * Copies come from READY sites only. A file of which no such site holds a copy
    is left as it is and reported as unrecoverable; only a person may declare it
    lost.
  * A wrong file stays in place until a proved copy replaces it.
  * What an open request is to bring is not asked for again.
  * Orphans go only if the number of all orphans found is within the limit that
    the caller states. What is locked or may be a last copy stays: also an orphan
    of the size of an unrecoverable file, which it may be under another name.
  * A dry run goes through the same transactions, which are then undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from holdfast import logs
from holdfast.consistency import seen
from holdfast.consistency.awaited import Asked
from holdfast.consistency.findings import LACKING, WRONG, Class, Finding, pieces
from holdfast.consistency.report import Report
from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot, Store
from holdfast.model import steps
from holdfast.model.changes import (
    BYTES_MAX,
    Change,
    ChangeSet,
    DatasetUnchanged,
    FilesGone,
    RequestCopy,
    RequestDeletion,
    Requirement,
)
from holdfast.model.clock import Clock
from holdfast.model.errors import Conflict, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    BlockReplica,
    CopyRequest,
    DeletionRequest,
    Evidence,
    Orphan,
    SiteStatus,
)
from holdfast.storage.driver import StorageDriver

REQUEST_BYTES = BYTES_MAX // 2
"""About how much one change set may take up, by an estimate that is on the safe side."""
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
    if not report.top_listed:
        raise _refused(report, f"{report.site} could not be listed; nothing is changed")
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
    """Ask for copies of everything in ``findings`` that is missing, wrong or awaited; told in ``result``."""
    check_gates(report, fraction_max=fraction_max)
    if report.actual and not await seen.shows_anything(asker.driver):
        # Reports may be old. Where nothing shows now, a stat of a file proves nothing: the disk is not mounted.
        raise _refused(report, f"{report.site} shows no file at all now; nothing is changed", "look at the site first")
    for piece in pieces(finding for finding in findings if finding.cls in LACKING):
        wrong = [finding for finding in piece if finding.cls in WRONG]
        good = await seen.as_seen(asker.driver, wrong, result.skipped)
        good += [finding for finding in piece if finding.cls is Class.AWAITED]
        for dataset, files in _by_dataset(good).items():
            for part in _cut(sorted(files, key=_place), _copy_cost):
                _ask_for_copies(asker, report, dataset, part, result)


@dataclass
class _Sorted:
    """What is to be done about some findings, by one snapshot."""

    ask: list[Finding] = field(default_factory=list)
    gone: list[Finding] = field(default_factory=list)
    """Those among them that the inventory still takes for present."""
    under_way: int = 0
    unrecoverable: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)


def _ask_for_copies(
    asker: Asker, report: Report, dataset: DatasetKey, files: Sequence[Finding], result: Repair
) -> None:
    request_id = ""
    for _ in range(TRIES):
        with asker.store.snapshot() as view:
            found = _sort_out(view, report.site, files)
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


def _commit_copies(
    asker: Asker, report: Report, id: str, dataset: DatasetKey, found: _Sorted, requirement: Requirement
) -> None:
    cause = f"check {report.run} of {report.site}"
    gone = [
        FilesGone(BlockKey(dataset, part.block), report.site, part.ordinals or (), Evidence.STATED, cause)
        for part in _scope(found.gone)
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


def _sort_out(view: Snapshot, site: str, files: Iterable[Finding]) -> _Sorted:
    found, holders, asked = _Sorted(), _Holders(view, site), Asked(view, site)
    for finding in files:
        here = holders.here(finding)
        if finding.block is None or here is None:
            found.skipped.append(replace(finding, reason="the inventory no longer wants it there"))
            continue
        is_held = here.holds(finding.ordinal)
        if finding.cls is Class.AWAITED if is_held else asked.by(finding.block, finding.ordinal):
            found.under_way += 1
        elif not holders.is_elsewhere(finding):
            found.unrecoverable.append(replace(finding, reason="no other site that is ready holds it"))
        else:
            found.ask.append(finding)
            if is_held:
                found.gone.append(finding)
    return found


class _Holders:
    """Who holds files, by one snapshot; remembers the replicas it has looked up."""

    def __init__(self, view: Snapshot, site: str) -> None:
        self._view = view
        self._site = site
        self._ready = {each.name for each in view.sites() if each.status is SiteStatus.READY} - {site}
        self._replicas: dict[BlockKey, list[BlockReplica]] = {}

    def here(self, finding: Finding) -> BlockReplica | None:
        """The replica at the site, if there is one."""
        return next((each for each in self._of(finding) if each.site == self._site), None)

    def is_elsewhere(self, finding: Finding) -> bool:
        """Whether another site that is READY holds the file."""
        return any(each.site in self._ready and each.holds(finding.ordinal) for each in self._of(finding))

    def _of(self, finding: Finding) -> list[BlockReplica]:
        if finding.block is None:
            return []
        if finding.block not in self._replicas:
            try:
                self._replicas[finding.block] = self._view.replicas(block=finding.block)
            except UnknownName:
                self._replicas[finding.block] = []
        return self._replicas[finding.block]


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
        lost = _lost_sizes(view, report.site, lacking)
    for piece in pieces(finding for finding in findings if finding.cls is Class.ORPHAN):
        good = _may_go(asker, report.site, await seen.as_seen(asker.driver, piece, result.skipped), lost, result)
        for part in _cut(good, _orphan_cost):
            _ask_for_deletion(asker, report, part, result)


def _lost_sizes(view: Snapshot, site: str, lacking: Iterable[Finding]) -> dict[int, str]:
    """The sizes of the files that no other READY site holds, each with one of their LFNs."""
    holders = _Holders(view, site)
    lost: dict[int, str] = {}
    for finding in lacking:
        if finding.cls in LACKING and not holders.is_elsewhere(finding):
            lost.setdefault(finding.size, finding.lfn)
    return lost


def _may_go(
    asker: Asker, site: str, piece: Sequence[Finding], lost: Mapping[int, str], result: Repair
) -> list[Finding]:
    with asker.store.snapshot() as view:
        paths = [finding.path for finding in piece]
        found = deletion.obstacles(view, view.site(site), paths, now_us=asker.clock())
    reasons = {each.path: f"may be a moved last copy of {lost[each.size]}" for each in piece if each.size in lost}
    reasons |= {obstacle.path: obstacle.reason for obstacle in found}
    result.skipped += [replace(each, reason=reasons[each.path]) for each in piece if each.path in reasons]
    return [finding for finding in piece if finding.path not in reasons]


def _ask_for_deletion(asker: Asker, report: Report, good: Sequence[Finding], result: Repair) -> None:
    cause = f"check {report.run} of {report.site}"
    orphans = tuple(Orphan(each.path, each.actual_size or 0, each.mtime_ns or 0, each.version) for each in good)
    request = DeletionRequest(asker.new_id(), report.site, orphans, reason=cause, created_us=asker.clock())
    asker.commit((RequestDeletion(request),), cause=cause)
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


def _cut(files: Sequence[Finding], cost: Callable[[Finding, Finding | None], int]) -> Iterator[list[Finding]]:
    """The same findings in lists that cost at most REQUEST_BYTES each; ``cost`` is told the one before, too."""
    part: list[Finding] = []
    total = 0
    for finding in files:
        more = cost(finding, part[-1] if part else None)
        if part and total + more > REQUEST_BYTES:
            yield part
            part, total, more = [], 0, cost(finding, None)
        part.append(finding)
        total += more
    if part:
        yield part


def _copy_cost(finding: Finding, before: Finding | None) -> int:
    """How many bytes one file may add to a request for copies, at most."""
    ordinals = 30
    if finding.block is None or (before is not None and before.block == finding.block):
        return ordinals
    # JSON doubles quotes and backslashes; the block is named in the request and as gone.
    return ordinals + 800 + 4 * len(str(finding.block).encode())


def _orphan_cost(finding: Finding, before: Finding | None) -> int:
    """How many bytes one orphan may add to a deletion request, at most. JSON doubles quotes and backslashes."""
    return 150 + 2 * len(finding.path.encode()) + 2 * len(finding.version.encode())
