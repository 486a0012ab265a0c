"""Committing: change sets of many callers, carried out in one transaction.

Each change set has its own requirements, rules, ``also``, journal entry and
answer; they share the writer's turn and the COMMIT. What one caller asks for
wrongly undoes nothing but itself.

Rules
  * Nobody is told success before the COMMIT has succeeded; if it fails, all fail.
  * While the database is away nothing has happened, so it is tried again for as long as the patience lasts,
    requirements and rules checked anew; ``also`` is then called again. That holds for one change set of a fold, too:
    what the others asked for has been done by then.
  * Who has the turn and commits gets BrokenInvariant: he would wait for himself.
  * If the answer to a COMMIT was lost, the journal says what happened: with the turn in hand, so that nobody is
    still writing, the entry at our position has our digest or it has not. As long as it cannot be asked, nobody
    is told anything; when patience ends, OutcomeUnknown names what to look for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from holdfast.inventory import journal, requirements, rules, sql_apply, sql_journal
from holdfast.inventory.database import AnswerLost, Database, Patience
from holdfast.inventory.folding import Folding, Take, Ticket
from holdfast.inventory.sql_draft import SqlDraft
from holdfast.inventory.store import Head
from holdfast.inventory.turn import refuse_again
from holdfast.model import steps
from holdfast.model.changes import Change, ChangeSet, RegisterFiles, rows
from holdfast.model.clock import Clock
from holdfast.model.errors import BrokenInvariant, DatabaseAway, OutcomeUnknown


@dataclass(frozen=True, slots=True)
class WantedCommit:
    """What one caller wants committed."""

    change_set: ChangeSet
    body: bytes
    also: Callable[[Connection], None] | None


JobTicket = Ticket[WantedCommit, Head]
Outcome = Head | BaseException


class Committing:
    """The way into a database for change sets."""

    def __init__(self, database: Database, clock: Clock, patience: Patience) -> None:
        self._database = database
        self._clock = clock
        self._patience = patience
        self._folding: Folding[WantedCommit, Head] = Folding(self._carry_out)

    def commit(self, change_set: ChangeSet, also: Callable[[Connection], None] | None) -> Head:
        """Do it all or nothing; returns the head after it."""
        # Before the turn: the others need not wait for it.
        change_set, body = journal.written(change_set, now_us=self._clock())
        refuse_again(self._database.place)  # Not in the fold, where others would hear it, or wait with us.
        return self._folding.run(WantedCommit(change_set, body, also), 1 + sum(map(rows, change_set.changes)))

    def _carry_out(self, take: Take[WantedCommit, Head]) -> None:
        self._patience.keep_trying(lambda: self._attempt(take))

    def _attempt(self, take: Take[WantedCommit, Head]) -> None:
        """One transaction for all who wait; DatabaseAway if nothing has happened and it may be tried again."""
        tickets: Sequence[JobTicket] = ()
        outcomes: list[Outcome] = []
        is_committing = False
        try:
            with self._database.writing() as connection:
                tickets = [ticket for ticket in take() if not ticket.is_answered]
                outcomes = [self._outcome(ticket, connection, alone=len(tickets) == 1) for ticket in tickets]
                written = _written(tickets, outcomes)
                if written:
                    self._database.announce(connection, written[-1].position)
                is_committing = True
                steps.reach("commit.applied")
            steps.reach("commit.durable")
        except AnswerLost as lost:
            if not self._has_landed(lost, tickets, outcomes):
                raise DatabaseAway("the connection was lost, and nothing was changed", place=lost.place) from lost
        except BaseException as error:
            if is_committing and not isinstance(error, Exception):
                # An interrupt. The others must not be done again, for they may have been.
                _answer(tickets, _unknown(tickets, outcomes, self._database.place))
            raise
        _answer(tickets, outcomes)
        for outcome in outcomes:
            if isinstance(outcome, DatabaseAway):
                raise outcome

    def _outcome(self, ticket: JobTicket, connection: Connection, *, alone: bool) -> Outcome:
        if alone:
            return self._head_after(ticket.item, connection)
        savepoint = connection.begin_nested()
        try:
            with self._database.translated():
                head = self._head_after(ticket.item, connection)
                savepoint.commit()
        except BaseException as error:
            is_ours = ticket.caller == threading.get_ident()
            if not self._database.is_sound(connection) or (isinstance(error, KeyboardInterrupt) and not is_ours):
                raise
            savepoint.rollback()
            return error
        return head

    def _head_after(self, job: WantedCommit, connection: Connection) -> Head:
        view = SqlDraft(connection)
        change_set, now_us = job.change_set, self._clock()
        # Journal time runs forward only; whether a lock is in force is a matter of the clock as it is now.
        at_us = max(now_us, view.head.at_us)
        requirements.check_all(change_set.requirements, view, now_us=now_us)
        touched = _apply_all(change_set.changes, connection, view, at_us=at_us, now_us=now_us)
        if job.also is not None:
            job.also(connection)
        if not change_set.changes:
            return view.head
        return sql_journal.append(connection, view.head, change_set, job.body, touched, at_us=at_us)

    def _has_landed(self, lost: AnswerLost, tickets: Sequence[JobTicket], outcomes: list[Outcome]) -> bool:
        """Whether the transaction was committed; if that cannot be found out, the outcomes say so."""
        written = _written(tickets, outcomes)

        def look() -> bool:
            with self._database.writing() as connection:
                if written:
                    return sql_journal.has(connection, written[-1])
                return self._database.is_done(connection, lost.transaction)

        try:
            return self._patience.keep_trying(look)
        except DatabaseAway:
            outcomes[:] = _unknown(tickets, outcomes, lost.place)
            return True


def _written(tickets: Sequence[JobTicket], outcomes: Sequence[Outcome]) -> list[Head]:
    """The heads of the new entries."""
    pairs = zip(tickets, outcomes, strict=True)
    return [outcome for ticket, outcome in pairs if isinstance(outcome, Head) and ticket.item.change_set.changes]


def _answer(tickets: Sequence[JobTicket], outcomes: Sequence[Outcome]) -> None:
    for ticket, outcome in zip(tickets, outcomes, strict=True):
        if isinstance(outcome, Head):
            ticket.answer(outcome)
        elif not isinstance(outcome, DatabaseAway):  # Of that one nothing has happened: it is to be tried again.
            ticket.fail(outcome)


def _unknown(tickets: Sequence[JobTicket], outcomes: Sequence[Outcome], place: str) -> list[Outcome]:
    """What callers are told whose transaction may have been committed or not."""
    return [_unknown_one(*each, place) for each in zip(tickets, outcomes, strict=True)]


def _unknown_one(ticket: JobTicket, outcome: Outcome, place: str) -> Outcome:
    if not isinstance(outcome, Head) or not (ticket.item.change_set.changes or ticket.item.also):
        return outcome
    if not ticket.item.change_set.changes:
        hint = "look at the rows that were to be written"
        return OutcomeUnknown("the database went away during a commit, which may stand or not", place=place, hint=hint)
    return OutcomeUnknown(
        f"the database went away during the commit of position {outcome.position}, which may stand or not",
        position=outcome.position,
        digest=outcome.digest,
        place=place,
        hint=f"it stands if the entry at {outcome.position} has the digest {outcome.digest}",
    )


def _apply_all(
    changes: tuple[Change, ...], connection: Connection, view: SqlDraft, *, at_us: int, now_us: int
) -> set[tuple[str, str]]:
    touched: set[tuple[str, str]] = set()
    view.expect(changes)
    for change in changes:
        rules.check_change(change, view, now_us=now_us)
        touched |= sql_apply.touched_rows(change, view)
        try:
            with connection.begin_nested() if isinstance(change, RegisterFiles) else _nothing():
                sql_apply.apply(change, connection, view, at_us=at_us)
        except IntegrityError as error:
            if not isinstance(change, RegisterFiles):
                raise BrokenInvariant(f"the tables refuse a change that the rules allow: {error.orig}") from error
            conflict = rules.already_registered(change, view)
            if conflict is None:
                raise BrokenInvariant(f"the tables refuse a registration: {error.orig}") from error
            raise conflict from error
    view.write_expected()
    view.requests.write()
    return touched


@contextmanager
def _nothing() -> Iterator[None]:
    yield
