"""Turns: whose request is next while a schedule is made.

Rules
  * The owner who was given least comes first, then the name.
  * Of an owner's requests the one that was given least comes first. Of those
    that were served alike each gets something before one gets more; the one
    with the earliest deadline begins, then the oldest.
  * Who has been given something comes back into line behind those who got less.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

from holdfast.operations.batch import QueuedRequest
from holdfast.operations.planning.served import TURN, Served

NEVER_US = 1 << 62

_Line = list[tuple[int, int, int, int, QueuedRequest]]
"""Requests of one owner: service, how often here, deadline, number. Numbers differ, so requests are never compared."""


class Turns:
    """Requests of one kind in line. ``served`` is charged as they are given something."""

    def __init__(self, requests: Iterable[QueuedRequest], served: Served) -> None:
        self._served = served
        self._lines: dict[str, _Line] = {}
        for request in requests:
            self._lines.setdefault(request.owner, []).append(self._place(request, 0))
        for line in self._lines.values():
            heapify(line)
        self._owners = [(served.of_owner(line[0][-1]), owner) for owner, line in self._lines.items()]
        heapify(self._owners)

    def next(self) -> QueuedRequest | None:
        """Whose turn it is; None if nobody is in line."""
        return self._lines[self._owners[0][1]][0][-1] if self._owners else None

    def charge(self, n_files: int, size: int) -> None:
        """The one whose turn it is was given so much, and gets into line again."""
        owner = self._owners[0][1]
        line = self._lines[owner]
        _, n_given, _, _, request = line[0]
        self._served.charge(request, n_files, size)
        heapreplace(line, self._place(request, n_given + 1))
        heapreplace(self._owners, (self._served.of_owner(request), owner))

    def leave(self) -> None:
        """The one whose turn it is can be given nothing more."""
        owner = self._owners[0][1]
        line = self._lines[owner]
        heappop(line)
        if not line:
            heappop(self._owners)

    def _place(self, request: QueuedRequest, n_given: int) -> tuple[int, int, int, int, QueuedRequest]:
        deadline_us = NEVER_US if request.deadline_us is None else request.deadline_us
        return self._served.of_request(request) // TURN, n_given, deadline_us, request.number, request
