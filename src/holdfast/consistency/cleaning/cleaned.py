"""Cleaned: what one cleaning of a site has found, and what it has asked for, or would have."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from holdfast.consistency.cleaning.deciding import Tally


@dataclass(slots=True)
class PlaceCleaned:
    """One area, or the quarantine: how much was listed there, and what was decided. Counts are files but for the last.

    ``is_there`` is False where the site has no such directory.
    """

    path: str
    is_there: bool = True
    files_listed: int = 0
    directories_listed: int = 0
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class Cleaned:
    """What came of a cleaning. In a dry run ``requests`` is empty, and the counts are of what would be asked for."""

    site: str
    places: list[PlaceCleaned] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """The requests that were made, by their ids."""
    earlier: list[str] = field(default_factory=list)
    """Open requests that take some of it already."""
    files: int = 0
    size: int = 0
    directories: int = 0
    """How much was asked for: what was decided to go, and was still as it had been listed."""
    changed: int = 0
    """Files and directories that were decided to go, and had to stay when they were looked at once more:
    mostly those that were not as they had been listed."""
    refusals: list[str] = field(default_factory=list)
    """Why nothing, or not all, is asked for that could go."""
    protected: int = 0
    """How many protected paths there are; 0 in the quarantine."""
    decisions: Path | None = None
    """A table of findings: all that goes and, but for what is too young, all that stays with the reason."""

    @property
    def files_listed(self) -> int:
        """In all places."""
        return sum(place.files_listed for place in self.places)

    @property
    def directories_listed(self) -> int:
        """In all places."""
        return sum(place.directories_listed for place in self.places)

    @property
    def total(self) -> Tally:
        """What was decided in all places."""
        total = Tally()
        for place in self.places:
            total.files += place.tally.files
            total.size += place.tally.size
            total.directories += place.tally.directories
            total.stays += place.tally.stays
        return total
