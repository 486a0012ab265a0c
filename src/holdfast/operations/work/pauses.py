"""Pauses: for how long a worker with nothing to do waits, and when there is nothing to wait for.

Rules
  * One that runs for ever looks up every WAKE_S.
  * Another one waits for retries that are due some time, and for other workers
    that are at something it knows of, if it is asked to.
  * Waits are short, whatever is due when: new requests may come, and a clock
    that jumps should not make anybody oversleep. While something is due that
    cannot be taken, because others are at its files, each wait is twice as long
    as the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.model.clock import SECOND_US
from holdfast.operations.batch import Batch
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.work.open_requests import OpenRequests
from holdfast.operations.work.presence import Presence
from holdfast.operations.work.worker_jobs import WAKE_S

WAIT_S_MIN = 0.001


@dataclass(frozen=True, slots=True)
class Pause:
    """For how long to wait, None: for nothing; and whether others are at something that we know of."""

    seconds: float | None
    is_busy: bool


class Pauses:
    """The waits of one worker. ``say``: told once, in a word, that others are waited for."""

    def __init__(
        self, tools: Tools, asked: OpenRequests, presence: Presence, say: Callable[[str], None] | None = None
    ) -> None:
        self._tools = tools
        self._asked = asked
        self._presence = presence
        self._say = say
        self._blocked_s = WAIT_S_MIN
        self._told: set[str] = set()

    def went_on(self) -> None:
        """Something was done since the last wait."""
        self._blocked_s = WAIT_S_MIN

    def is_anything_queued(self) -> bool:
        """Whether something that we know of waits, now or for its moment."""
        return self._next_due_us() is not None

    def tell(self, message: str) -> None:
        """Say what is waited for; once, however the rest of the message changes behind its first colon."""
        what, _, _ = message.partition(":")
        if what and what not in self._told:
            self._told.add(what)
            self._tools.tally.tell(message)
            if self._say is not None:
                self._say(message)

    def next(self, *, wait: bool, is_looked_for: bool = False, is_in_vain: bool = False) -> Pause:
        """What to do while there is nothing to do.

        ``is_looked_for``: we know of what is still to be looked at; ``is_in_vain``: what is due waits for what was
        looked at without an answer, and may be so for ever.
        """
        others = self._others()
        is_busy = bool(others) or is_looked_for
        return Pause(self._seconds(others, wait=wait and is_busy, is_in_vain=is_in_vain), is_busy)

    def _seconds(self, others: list[Batch], *, wait: bool, is_in_vain: bool) -> float | None:
        due_us = self._next_due_us()
        if due_us is not None:
            wait_s = (due_us - self._tools.outside.clock()) / SECOND_US
            if wait_s > WAIT_S_MIN:
                return min(wait_s, WAKE_S)
            if is_in_vain and not others and not self._tools.is_service:
                return None
            blocked_s, self._blocked_s = self._blocked_s, min(2 * self._blocked_s, WAKE_S)
            return blocked_s
        if self._tools.is_service or not self._asked.is_planned:
            return WAKE_S
        if not wait:
            return None
        if others:
            self._tell(others)
        return WAKE_S

    def _next_due_us(self) -> int | None:
        queue = self._tools.queue
        with queue.read() as connection:
            return queue.next_due_us(
                connection,
                now_us=self._tools.outside.clock(),
                wait_us_max=self._tools.wait_us_max,
                only=self._asked.numbers(),
            )

    def _others(self) -> list[Batch]:
        """What other workers are at, of what we know."""
        with self._tools.queue.read() as connection:
            active = self._tools.queue.active(connection)
        return [
            batch for batch in active if batch.worker != self._presence.id and batch.request.id in self._asked.known
        ]

    def _tell(self, others: list[Batch]) -> None:
        known = {row.id: row for row in self._presence.others()}
        at = sorted({f"process {row.pid} on {row.host}" for each in others if (row := known.get(each.worker))})
        message = f"waiting for another worker ({', '.join(at) or 'unknown'})"
        self._tools.tally.tell(message)
        if self._say is not None:
            self._say(message)
            self._say = None
