"""Settling: what became of many claims is told to the inventory and to the queue in one transaction.

Files that arrived or are gone, batches cut, figures of links, totals of
requests, and the outcome of a request with its last file.

Rules
  * It is accepted only of claims that stand; of the others nothing is written,
    neither here nor there.
  * A crash before it forgets what was done since the last time. What is in
    place is then found there and told of once.
  * A history is told only what was done for it: if a backup was restored since
    the worker looked, nothing is written of what was claimed before.
  * Ordinals hold as long as the request is open that names them; after that they may be those of other files.
    So that files have arrived is told of a request that is open, as well.
  * That files are deleted is told of a request that is open. Of another one the
    inventory would pass it over: its claims count as lost, and whoever comes
    next looks what has gone (``work.looking``).
  * If anything is refused, all that came too late, its request being over, is
    left out like that. A file that was brought too late stays where it is, known or not,
    and is told of when the site is checked: nobody deletes on a guess.
  * What the inventory refuses else is tried in smaller parts, and alone in the
    end; what it refuses alone has failed for good, and holds nothing else up.
  * A request is closed only once it is planned to its end and nothing of it is
    left to try, looked at in the transaction that closes it.
  * A copy is done only if its site holds all that it asks for then. What was
    brought and is lost again is queued once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from holdfast import logs
from holdfast.model import steps
from holdfast.model.changes import Change, ChangeSet, CloseRequest
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.records import CopyRequest, RequestState
from holdfast.model.requirements import RequestIsOpen, Requirement, SameHistory
from holdfast.operations.actor import ACTOR, cause_of
from holdfast.operations.batch import QueuedRequest, RequestKind
from holdfast.operations.batches import orders, rows
from holdfast.operations.batches.links import LinkBook
from holdfast.operations.carrying.claimed import Gathered
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.planning import lacking
from holdfast.operations.work import closing, telling
from holdfast.operations.work.open_requests import OpenRequests

FILES_MAX = 20_000
"""About how many files one transaction tells of."""

_log = logs.get("operations")


class _LostError(Exception):
    """Some claims do not stand any more."""

    def __init__(self, claims: frozenset[str]) -> None:
        super().__init__()
        self.claims = claims


class _RestoredError(Exception):
    """The inventory is another one than that for which it was done."""


class _NotIdleError(Exception):
    """Something came up that is still to be done of a request that was about to be closed."""


@dataclass(frozen=True, slots=True)
class Settling:
    """What came of it."""

    lost: frozenset[str] = frozenset()
    """Claims that did not stand."""
    closed: tuple[str, ...] = ()
    """Requests that have their outcome."""


class Settler:
    """Writes down what has gathered."""

    def __init__(self, tools: Tools, asked: OpenRequests, links: LinkBook) -> None:
        """``links``: what was heard of them is written down with the rest."""
        self._tools = tools
        self._asked = asked
        self._links = links

    def settle(self, gathered: Sequence[Gathered]) -> Settling:
        """Write down all of it; no more than ``first_of`` gives."""
        return self._settle(gathered)

    def close(self, requests: Collection[QueuedRequest]) -> list[str]:
        """Close those of these requests of which nothing is left to try; returns their ids."""
        queue, closed = self._tools.queue, []
        for known in queue.idle(requests):
            request = queue.find(known.id)
            outcome = None if request is None else closing.outcome(self._tools, request)
            if request is None or outcome is None or self._bring_again(outcome):
                continue
            try:
                self._commit([outcome], [], [request])
            except (_NotIdleError, _RestoredError):
                continue
            except (Conflict, BadInput):
                if self._bring_again(outcome):
                    continue
                # Somebody has closed it meanwhile; his word stands.
                queue.drop(request, now_us=self._tools.outside.clock())
            closed.append(request.id)
        return closed

    def _bring_again(self, outcome: CloseRequest) -> bool:
        """Queue what a copy lacks that is said to be done; whether there is anything of that kind."""
        if outcome.state is not RequestState.DONE:
            return False
        with self._tools.store.snapshot() as view:
            request = view.request(outcome.id)
            if not isinstance(request, CopyRequest) or request.state is not RequestState.OPEN:
                return False
            batches = lacking.unbrought(request, view)
        if not batches:
            return False
        with self._tools.queue.write() as connection:
            n_files = orders.add_again(connection, outcome.id, batches)
        _log.warning("files of a copy were lost after they had arrived", request=outcome.id, queued_again=n_files)
        return True

    def _settle(self, gathered: Sequence[Gathered], *, may_close: bool = True) -> Settling:
        if not gathered:
            return Settling()
        closing_now = self._closing(gathered) if may_close else []
        changes = [*telling.changes_of(gathered), *(outcome for _, outcome in closing_now)]
        try:
            self._commit(changes, gathered, [request for request, _ in closing_now])
        except _LostError as lost:
            _log.warning("what was done under claims that were lost is not counted", claims=len(lost.claims))
            rest = self._settle([each for each in gathered if each.batch.claim not in lost.claims])
            return replace(rest, lost=rest.lost | lost.claims)
        except _RestoredError:
            return Settling(frozenset(each.batch.claim for each in gathered))
        except _NotIdleError:
            return self._settle(gathered, may_close=False)
        except (Conflict, BadInput) as error:
            late = self._late(gathered)
            if late:
                _log.warning("what was done for requests that are over is not counted", claims=len(late))
                rest = self._settle([each for each in gathered if each.batch.claim not in late], may_close=may_close)
                return replace(rest, lost=rest.lost | late)
            if closing_now:
                # Perhaps somebody else has just closed one of them; that must not refuse what was done.
                return self._settle(gathered, may_close=False)
            return self._in_parts(gathered, error)
        return Settling(closed=tuple(request.id for request, _ in closing_now))

    def _late(self, gathered: Sequence[Gathered]) -> frozenset[str]:
        """The claims whose request is over."""
        with self._tools.store.snapshot() as view:
            found = {id: view.request(id) for id in {each.batch.request.id for each in gathered}}
        is_open = {id for id, request in found.items() if request is not None and request.state is RequestState.OPEN}
        return frozenset(each.batch.claim for each in gathered if each.batch.request.id not in is_open)

    def _in_parts(self, gathered: Sequence[Gathered], error: Conflict | BadInput) -> Settling:
        if len(gathered) > 1:
            half = len(gathered) // 2
            first, second = self._settle(gathered[:half]), self._settle(gathered[half:])
            return Settling(first.lost | second.lost, first.closed + second.closed)
        (only,) = gathered
        if not only.told:
            raise error
        _log.warning("the inventory refuses what was done", request=only.batch.request.id, error=str(error))
        return self._settle([telling.refused(only, str(error), self._tools.settings)], may_close=False)

    def _commit(self, changes: Sequence[Change], gathered: Sequence[Gathered], closed: Sequence[QueuedRequest]) -> None:
        queue, outside = self._tools.queue, self._tools.outside
        settled = [each.settled for each in gathered]
        claims = frozenset(each.claim for each in settled)
        is_noted = bool(gathered)

        def also(connection: Connection) -> None:
            standing = queue.settle(connection, settled, now_us=outside.clock())
            if claims - standing:
                raise _LostError(claims - standing)
            for request in closed:
                if not orders.is_idle(connection, request.number):
                    raise _NotIdleError
                queue.close(connection, request.number)
            if is_noted:
                self._links.write(connection)

        if changes:
            requests = [each.batch.request for each in gathered] + list(closed)
            required = (*self._required(gathered), *telling.all_there(changes, closed))
            self._tell(ChangeSet(tuple(changes), ACTOR, cause_of(requests), required), also)
        else:
            with queue.write() as connection:
                also(connection)
        if is_noted:
            self._links.clear()
        for kind in sorted({type(change).__name__ for change in changes}):
            if kind in _STEPS:
                steps.reach(_STEPS[kind])
        for change in changes:
            if isinstance(change, CloseRequest):
                _log.info("request closed", request=change.id, state=change.state.value, detail=change.detail)

    def _tell(self, change_set: ChangeSet, also: Callable[[Connection], None]) -> None:
        store, epoch = self._tools.store, self._asked.epoch
        try:
            self._asked.saw(store.commit(change_set, also=also))
        except Conflict as error:
            if epoch and store.head().epoch != epoch:
                raise _RestoredError from error
            raise

    def _required(self, gathered: Sequence[Gathered]) -> tuple[Requirement, ...]:
        told = (each.batch.request for each in gathered if each.told)
        still_open = (RequestIsOpen(request.id) for request in told if request.kind is not RequestKind.ORPHANS)
        history = [SameHistory(epoch)] if (epoch := self._asked.epoch) else []
        return (*history, *dict.fromkeys(still_open))

    def _closing(self, gathered: Sequence[Gathered]) -> list[tuple[QueuedRequest, CloseRequest]]:
        """The requests of which, with this, all is done, and what is to be said of them."""
        by_number: dict[int, list[Gathered]] = {}
        for each in gathered:
            by_number.setdefault(each.batch.request.number, []).append(each)
        # What has failed just now is not in the queue yet, to be counted and quoted: that is closed later.
        wanted = [number for number, some in by_number.items() if not any(each.settled.failures for each in some)]
        if not wanted:
            return []
        with self._tools.queue.read() as connection:
            known = rows.numbered(connection, wanted)
            counts = self._tools.queue.all_counts(connection) if len(wanted) > 1 else None
        found = []
        for number in wanted:
            request = known.get(number)
            if request is None or not request.is_planned or request.is_closed:
                continue
            there = self._tools.queue.counts(request) if counts is None else counts.get(number)
            n_done = sum(len(each.settled.done) for each in by_number[number])
            if there is None or closing.n_undone(there) != n_done:
                continue
            after = replace(
                request,
                n_done=request.n_done + n_done,
                size_done=request.size_done + sum(each.settled.size for each in by_number[number]),
                n_found=request.n_found + sum(each.settled.n_found for each in by_number[number]),
            )
            outcome = closing.outcome(self._tools, after)
            if outcome is not None:
                found.append((request, outcome))
        return found


_STEPS = {"FilesArrived": "copy.reported", "FilesDeleted": "deletion.reported"}


def first_of(gathered: Sequence[Gathered]) -> list[Gathered]:
    """As many of the first ones as one transaction can take; one at least."""
    some: list[Gathered] = []
    n_files = 0
    for each in gathered:
        if some and n_files + each.n_files > FILES_MAX:
            break
        some.append(each)
        n_files += each.n_files
    return some
