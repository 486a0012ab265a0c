"""One line of the bench's table: a figure of ours beside that of a simpler means, from the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A measured ratio and what it has to be.

    ``figure`` and ``yardstick`` are for people and carry their units ("3.1 s
    CPU"). ``ratio`` is always the greater the better, and ``target`` the least
    that is wanted of it; None where a figure is only shown.
    """

    what: str
    figure: str
    yardstick: str
    ratio: float | None
    target: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the target is reached; so it is where there is none."""
        return self.target is None or (self.ratio is not None and self.ratio >= self.target)
