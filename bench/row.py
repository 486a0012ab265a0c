"""One line of the bench's table: a figure of ours beside that of a simpler means, from the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A measured ratio and what it has to be, or a figure and its bound.

    ``figure`` and ``yardstick`` are for people and carry their units ("3.1 s
    CPU"). ``ratio`` is always the greater the better, and ``target`` the least
    that is wanted of it; None where it is only shown. Some figures have a bound
    of their own ("75 B at most") whatever the yardstick's is: ``bound`` says it,
    ``is_within`` whether it holds.
    """

    what: str
    figure: str
    yardstick: str
    ratio: float | None
    target: float | None = None
    bound: str = ""
    is_within: bool = True

    @property
    def ok(self) -> bool:
        """Whether target and bound are kept; so it is where there is none."""
        reached = self.target is None or (self.ratio is not None and self.ratio >= self.target)
        return reached and self.is_within

    @property
    def wanted(self) -> str:
        """Target and bound as text; "" where there is neither."""
        return ", ".join(filter(None, ("" if self.target is None else f"{self.target:.3g}", self.bound)))
