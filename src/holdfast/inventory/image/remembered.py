"""Remembered: the last thing that was found out about something immutable, for as long as its source is the same."""

from __future__ import annotations

from typing import Any


class Remembered:
    """One answer, by the identity of what it was made from. Threads that meet here find out the same twice."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[object, Any] | None = None

    def get(self, source: object) -> Any:
        """The answer made from ``source``; None if the last one was made from something else."""
        known = self._known
        return known[1] if known is not None and known[0] is source else None

    def put(self, source: object, answer: object) -> None:
        """Keep ``answer``, and ``source``, so that it stays the same object."""
        self._known = source, answer
