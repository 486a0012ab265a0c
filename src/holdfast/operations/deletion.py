"""Carry out deletion requests: claim, look again, delete, say what became of each path.

The inventory's one check of deletions runs when a request is made and again,
whole, in the transaction that claims some of its paths
(``holdfast.model.changes.StillOrphans``). Then each file is looked at once
more, because the storage may have moved on since it was listed.

Rules
  * Only a regular file whose size, modification time and version are still
    those of the request is deleted; what the listing did not know is not
    compared. Anything else is skipped with its reason, and never touched.
  * Before every deletion the claim is read again, after the look at the file;
    one that is older than its lease, not ours any more, or made at an earlier
    point of the inventory's history than the present one, is made anew through
    the whole check, or given up. So a lock counts once it is acknowledged.
  * The storage is told which file is meant; another one that comes under the
    name in that moment stays.
  * A temporary part of a task that is not over is never deleted.
  * "Already gone" is success. Directories are not deleted, links not followed.
  * Killed anywhere, the next run goes on with what has no outcome yet.
  * One worker at a time, by a lock that dies with it.

Failures of the storage are outcomes of their paths, not exceptions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from holdfast import logs
from holdfast.inventory.deletion import obstacles
from holdfast.inventory.store import Head, Store
from holdfast.model import names, steps
from holdfast.model.changes import ChangeSet, CloseRequest, RequestIsOpen, StillOrphans
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.errors import BrokenInvariant, Conflict, HoldfastError, UnknownName
from holdfast.model.records import DeletionRequest, Orphan, RequestState
from holdfast.operations import tables
from holdfast.operations.lockfile import Lockfile
from holdfast.operations.queue import Queue
from holdfast.operations.requests import random_id
from holdfast.operations.sourcing import Drivers, Sourcing
from holdfast.storage import parts
from holdfast.storage.driver import ChangedWhileRead, Kind, NotADirectory, NotThere, Stat, StorageDriver

ACTOR = "operations"
CLAIM_PATHS = 200
"""How many paths are claimed at a time: few, so that the claim is young when a file goes."""
LEASE_US = 60 * SECOND_US
"""How long a claim is good for; a worker that slept longer asks again."""
REASONS_MAX = 5
"""As many reasons as the outcome of a request quotes; the claims keep them all."""
LOOK_INTERVAL_S = 1.0

_claim = tables.deletion.c
_log = logs.get("operations")


class PathState(StrEnum):
    """Where one path of a request stands."""

    CLAIMED = "claimed"
    DELETED = "deleted"
    GONE = "gone"
    """Somebody else had deleted it, or we had and died before writing it down."""
    SKIPPED = "skipped"
    """Not deleted, and rightly so."""
    FAILED = "failed"
    """Should have gone, but the storage did not let it."""


@dataclass(frozen=True, slots=True)
class PathOutcome:
    """What became of one path."""

    path: str
    state: PathState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeletionReport:
    """What became of one request."""

    request: str
    site: str
    outcomes: tuple[PathOutcome, ...] = ()
    error: str = ""
    """Why it was not carried out to its end; it is still open then, unless somebody has closed it."""
    is_busy: bool = False
    """Nothing was done: another worker is at it, and we were asked not to wait."""

    def count(self, *states: PathState) -> int:
        """How many paths are in ``states``."""
        return sum(outcome.state in states for outcome in self.outcomes)


class _ClaimLost(Exception):
    """The request was closed, or the claim taken by another."""


async def run(
    store: Store,
    drivers: Drivers,
    *,
    clock: Clock,
    lock_path: Path,
    only: Collection[str] | None = None,
    wait: bool = True,
    waiting: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    new_claim: Callable[[], str] = random_id,
) -> list[DeletionReport]:
    """Carry out the open deletion requests named by ``only``, or all.

    If another worker is at work: wait for it, as long as any of them is open,
    after a word to ``waiting``; or with ``wait`` false return reports that say
    so. ``progress`` is told of paths with an outcome and paths in all, request
    by request. Drivers are closed as ``Sourcing`` says.
    """
    lock = Lockfile(lock_path)
    sourcing = Sourcing(drivers)
    try:
        while (requests := _open_requests(store, only)) and not lock.acquire():
            if not wait:
                return [DeletionReport(each.id, each.site, is_busy=True) for each in requests]
            if waiting is not None:
                waiting(f"waiting for another process that deletes ({lock.holder() or 'unknown'})")
                waiting = None
            await sleep(LOOK_INTERVAL_S)
        with store.snapshot() as snapshot:
            sites = {site.name: site for site in snapshot.sites()}
        reports = []
        # Once more, under the lock: the other worker may have ended some of them in between.
        for request in _open_requests(store, only):
            try:
                driver = sourcing.driver(sites[request.site])
            except BrokenInvariant:
                raise
            except HoldfastError as error:
                reports.append(DeletionReport(request.id, request.site, error=str(error)))
                continue
            worker = _Worker(store, driver, request, clock=clock, claim=new_claim(), progress=progress)
            reports.append(await worker.run())
        return reports
    finally:
        await sourcing.close()
        lock.release()


def _open_requests(store: Store, only: Collection[str] | None) -> list[DeletionRequest]:
    with store.snapshot() as snapshot:
        return [each for each in snapshot.deletion_requests() if only is None or each.id in only]


class _Worker:
    """One request being carried out under the lock."""

    def __init__(
        self,
        store: Store,
        driver: StorageDriver,
        request: DeletionRequest,
        *,
        clock: Clock,
        claim: str,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._store = store
        self._driver = driver
        self._request = request
        self._clock = clock
        self._claim = claim
        self._cause = f"deletion {request.id}"
        self._progress = progress
        self._room = store.room(tables.metadata)
        self._queue = Queue(store)
        self._outcomes: dict[str, PathOutcome] = {}
        self._checked: tuple[str, int] | None = None
        """The point of the inventory's history (epoch and position) at which our claims passed the check."""

    async def run(self) -> DeletionReport:
        """Go through all paths, then write down the outcome of the request."""
        self._outcomes = self._earlier()
        left = [orphan for orphan in self._request.orphans if orphan.path not in self._outcomes]
        try:
            for start in range(0, len(left), CLAIM_PATHS):
                await self._batch(left[start : start + CLAIM_PATHS])
            self._close()
        except _ClaimLost as lost:
            _log.info("deletion given up", request=self._request.id, site=self._request.site, error=str(lost))
            return self._report(str(lost))
        report = self._report()
        _log.info("deletion ended", request=report.request, site=report.site, detail=detail_of(report))
        return report

    async def _batch(self, orphans: Sequence[Orphan]) -> None:
        claimed = self._claim_paths(orphans)
        _log.info("deletions claimed", request=self._request.id, site=self._request.site, files=len(claimed))
        for orphan in claimed:
            # A claim that is made anew may have found that more of them must stay.
            if orphan.path not in self._outcomes:
                self._outcomes[orphan.path] = await self._remove(orphan, claimed)
                if self._progress is not None:
                    self._progress(len(self._outcomes), len(self._request.orphans))
        with self._room.write() as connection:
            _write_outcomes(connection, self._request.id, [self._outcomes[orphan.path] for orphan in orphans])

    # ---- claims -----------------------------------------------------------------

    def _claim_paths(self, orphans: Sequence[Orphan]) -> list[Orphan]:
        """Pass the check and write the claim, in one transaction; what must stay is left out, with its reason."""
        wanted = list(orphans)
        while wanted:
            paths = tuple(orphan.path for orphan in wanted)
            requirements = (
                RequestIsOpen(self._request.id),
                StillOrphans(self._request.site, paths, request=self._request.id),
            )
            try:
                head = self._store.commit(
                    ChangeSet((), actor=ACTOR, cause=self._cause, requirements=requirements),
                    also=partial(self._write_claims, paths=paths),
                )
            except (Conflict, UnknownName) as error:
                wanted = self._without_refused(wanted, error)
                continue
            self._checked = _point(head)
            steps.reach("check.deletion-claimed")
            return wanted
        return []

    def _without_refused(self, wanted: Sequence[Orphan], error: HoldfastError) -> list[Orphan]:
        rows = frozenset(error.rows) if isinstance(error, Conflict) else frozenset()
        refused = [orphan for orphan in wanted if orphan.path in rows]
        if not refused:
            # Not about single paths: the request was closed, or its site is gone.
            raise _ClaimLost(str(error))
        with self._store.snapshot() as view:
            found = obstacles(
                view, view.site(self._request.site), [each.path for each in refused], now_us=self._clock()
            )
        reasons = {obstacle.path: obstacle.reason for obstacle in found}
        for orphan in refused:
            reason = f"must stay: {reasons.get(orphan.path, error)}"
            self._outcomes[orphan.path] = PathOutcome(orphan.path, PathState.SKIPPED, reason)
        return [orphan for orphan in wanted if orphan.path not in rows]

    def _write_claims(self, connection: Connection, *, paths: Iterable[str]) -> None:
        values = {"state": PathState.CLAIMED, "claim": self._claim, "claimed_us": self._clock(), "reason": ""}
        rows = [{"request": self._request.id, "path": path, **values} for path in paths]
        tables.insert_new(connection, tables.deletion, rows)
        # A claim that a dead worker left, or an old one of our own, becomes this one.
        change = update(tables.deletion).where(
            _claim.request == self._request.id, _claim.path == bindparam("at"), _claim.state == PathState.CLAIMED
        )
        connection.execute(
            change.values(claim=self._claim, claimed_us=values["claimed_us"]), [{"at": row["path"]} for row in rows]
        )

    def _holds_claim(self, path: str) -> bool:
        """Read the claim again, and whether the inventory has moved since, just before it is used."""
        if _point(self._store.head()) != self._checked:
            return False
        query = select(tables.deletion).where(_claim.request == self._request.id, _claim.path == path)
        with self._room.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.state != PathState.CLAIMED or row.claim != self._claim:
            return False
        # A clock that went back makes a claim old, too: nobody knows how long ago it was.
        return 0 <= self._clock() - int(row.claimed_us) < LEASE_US

    # ---- one path ---------------------------------------------------------------

    async def _remove(self, orphan: Orphan, claimed: Sequence[Orphan]) -> PathOutcome:
        try:
            found = await self._driver.stat(orphan.path)
        except HoldfastError as error:
            return _without_it(orphan.path, error)
        reason = _difference(orphan, found, self._driver.capabilities.mtime_resolution_ns)
        if reason:
            return PathOutcome(orphan.path, PathState.SKIPPED, reason)
        if not self._holds_claim(orphan.path):
            # All that are left at once: the check costs about the same for one.
            self._claim_paths([each for each in claimed if each.path not in self._outcomes])
            if orphan.path in self._outcomes:
                return self._outcomes[orphan.path]
        token = parts.token_of(names.split(orphan.path)[1])
        if token is not None and self._queue.is_live_part(token):
            return PathOutcome(orphan.path, PathState.SKIPPED, "it is the temporary part of a transfer")
        try:
            await self._driver.delete(orphan.path, expected=found)
        except HoldfastError as error:
            return _without_it(orphan.path, error)
        steps.reach("check.orphan-deleted")
        return PathOutcome(orphan.path, PathState.DELETED)

    # ---- outcomes ---------------------------------------------------------------

    def _earlier(self) -> dict[str, PathOutcome]:
        """What earlier runs have brought to an end."""
        query = select(tables.deletion).where(_claim.request == self._request.id, _claim.state != PathState.CLAIMED)
        with self._room.read() as connection:
            rows = connection.execute(query).all()
        return {row.path: PathOutcome(row.path, PathState(row.state), row.reason) for row in rows}

    def _close(self) -> None:
        report = self._report()
        state = RequestState.FAILED if report.count(PathState.FAILED) else RequestState.DONE
        change = CloseRequest(self._request.id, state, detail_of(report))
        try:
            self._store.commit(ChangeSet((change,), actor=ACTOR, cause=self._cause))
        except Conflict as error:
            raise _ClaimLost(str(error)) from error

    def _report(self, error: str = "") -> DeletionReport:
        known = [self._outcomes.get(orphan.path) for orphan in self._request.orphans]
        outcomes = tuple(outcome for outcome in known if outcome is not None)
        return DeletionReport(self._request.id, self._request.site, outcomes, error)


def _point(head: Head) -> tuple[str, int]:
    return head.epoch, head.position


def _without_it(path: str, error: HoldfastError) -> PathOutcome:
    """What it means that the storage would not."""
    match error:
        case BrokenInvariant():
            raise error
        case NotThere() | NotADirectory():
            return PathOutcome(path, PathState.GONE)
        case ChangedWhileRead():
            return PathOutcome(path, PathState.SKIPPED, "it was changed or replaced while it was about to go")
        case _:
            return PathOutcome(path, PathState.FAILED, str(error))


def _difference(orphan: Orphan, found: Stat, resolution_ns: int) -> str:
    """Why what is there now is not what was asked to go; "" if it is."""
    if found.kind is not Kind.FILE:
        return "it is no file any more"
    if found.size != orphan.size:
        return f"it has {found.size} bytes now, {orphan.size} when it was listed"
    if orphan.mtime_ns > 0 and found.mtime_ns // resolution_ns != orphan.mtime_ns // resolution_ns:
        return "it was modified after it was listed"
    if orphan.version and found.version and orphan.version != found.version:
        return "it was changed or replaced after it was listed"
    return ""


def detail_of(report: DeletionReport) -> str:
    """The outcome in one line, with some reasons."""
    skipped, failed = report.count(PathState.SKIPPED), report.count(PathState.FAILED)
    text = f"deleted {report.count(PathState.DELETED)}, already gone {report.count(PathState.GONE)}, skipped {skipped}"
    text += f", failed {failed}" if failed else ""
    reasons = [f"{each.path}: {each.reason}" for each in report.outcomes if each.reason][:REASONS_MAX]
    return f"{text}: {'; '.join(reasons)}" if reasons else text


def _write_outcomes(connection: Connection, request: str, outcomes: Sequence[PathOutcome]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "request": request,
            "path": each.path,
            "state": each.state,
            "claim": "",
            "claimed_us": 0,
            "reason": each.reason,
        }
        for each in outcomes
    ]
    tables.insert_new(connection, tables.deletion, rows)
    change = update(tables.deletion).where(_claim.request == request, _claim.path == bindparam("at"))
    change = change.values(state=bindparam("new_state"), reason=bindparam("new_reason"))
    connection.execute(
        change, [{"at": row["path"], "new_state": row["state"], "new_reason": row["reason"]} for row in rows]
    )
