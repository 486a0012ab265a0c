"""Folding: what many threads ask for at once is done together, by one of them, in the order they came.

Whoever asks while nobody leads, leads: it gets the turn and then takes all who
wait by then, itself first. The others sleep until their own answer is there,
or until it is on them to lead.

Rules
  * First come, first served; at most MOST_ITEMS, or items of MOST_WEIGHT in all, are taken at once, one at least.
  * Each gets its own answer or error, none before the whole fold is through.
  * What fails the whole fold fails all who were waiting, up to the same bounds.
  * An interrupt (KeyboardInterrupt and the like) ends the call of the thread it came to; whatever that thread was
    doing for others and had no answer for is done by the next.
  * Who asks again from within the fold gets BrokenInvariant: it would wait for itself.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from holdfast.model.errors import BrokenInvariant

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_ITEMS = 64
MOST_WEIGHT = 50_000


class Ticket(Generic[Item, Answer]):
    """One caller's item, and its answer when it has one."""

    __slots__ = ("_answer", "_error", "caller", "is_answered", "item", "leads", "weight", "woken")

    def __init__(self, item: Item, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.caller = threading.get_ident()
        self.leads = False
        self.is_answered = False
        self.woken = threading.Lock()
        self.woken.acquire()
        self._answer: Answer | None = None
        self._error: BaseException | None = None

    def answer(self, answer: Answer) -> None:
        """The caller is to get this."""
        self._answer, self._error, self.is_answered = answer, None, True

    def fail(self, error: BaseException) -> None:
        """The caller is to get this error."""
        self._error, self.is_answered = error, True

    def outcome(self) -> Answer:
        """The answer, or the error raised."""
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]


Take = Callable[[], Sequence[Ticket[Item, Answer]]]
"""Those whose turn it is; called once the turn is had, and gives the same ones for the rest of the fold."""


class Folding(Generic[Item, Answer]):
    """Callers that wait, and the one that works for them.

    ``carry_out`` gets a Take and answers every ticket that it gives, or raises.
    """

    def __init__(self, carry_out: Callable[[Take[Item, Answer]], None]) -> None:
        self._carry_out = carry_out
        self._mutex = threading.Lock()
        self._waiting: deque[Ticket[Item, Answer]] = deque()
        self._taken: list[Ticket[Item, Answer]] = []
        self._leader = 0

    def run(self, item: Item, weight: int = 1) -> Answer:
        """What comes of ``item``; returns when it has been done."""
        ticket: Ticket[Item, Answer] = Ticket(item, weight)
        if self._leader == ticket.caller:
            raise BrokenInvariant("a writer who has the turn asks for it again")
        with self._mutex:
            self._waiting.append(ticket)
            ticket.leads = not self._leader
            if ticket.leads:
                self._leader = ticket.caller
        if not ticket.leads:
            try:
                ticket.woken.acquire()
            except BaseException:
                self._withdraw(ticket)
                raise
        if ticket.leads:
            self._lead(ticket)
        return ticket.outcome()

    def _take(self) -> Sequence[Ticket[Item, Answer]]:
        with self._mutex:
            if not self._taken:
                weight = 0
                while self._waiting and len(self._taken) < MOST_ITEMS:
                    weight += self._waiting[0].weight
                    if self._taken and weight > MOST_WEIGHT:
                        break
                    self._taken.append(self._waiting.popleft())
        return self._taken

    def _lead(self, own: Ticket[Item, Answer]) -> None:
        try:
            self._carry_out(self._take)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to those whose turn it was
            for ticket in self._take():
                if not ticket.is_answered:
                    ticket.fail(error if ticket is own else _twin(error))
        finally:
            self._hand_over(own)

    def _hand_over(self, own: Ticket[Item, Answer]) -> None:
        with self._mutex:
            taken, self._taken = self._taken, []
            self._waiting.extendleft(reversed([each for each in taken if not each.is_answered and each is not own]))
            if own in self._waiting:  # Interrupted before it took anything.
                self._waiting.remove(own)
            self._appoint()
        for ticket in taken:
            if ticket.is_answered and ticket is not own:
                ticket.woken.release()

    def _appoint(self) -> None:
        """Let the first who waits lead; the mutex is held."""
        self._leader = self._waiting[0].caller if self._waiting else 0
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].woken.release()

    def _withdraw(self, ticket: Ticket[Item, Answer]) -> None:
        """Somebody stops waiting; what has been taken is done nevertheless."""
        with self._mutex:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                if ticket.leads:
                    self._appoint()


def _twin(error: Exception) -> Exception:
    """The same error for another thread: raised in two, one object would gather both their traces."""
    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001 - a foreign class that cannot be copied is told as it is
        return error
    twin.__cause__ = error.__cause__ or error
    return twin
