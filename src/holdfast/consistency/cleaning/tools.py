"""Tools: what every cleaning of a site needs, and what it may not do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency.checking.ignored import NOTHING, Ignored
from holdfast.consistency.cleaning.deciding import Reason, Stays
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import Finding
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.states import SiteState
from holdfast.consistency.mending import cancelled
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock
from holdfast.storage.listing.limits import DEFAULTS, ListingLimits
from holdfast.storage.listing.progress import ListingProgress

OnListing = Callable[[ListingProgress], None]
"""Told how far a listing is."""


def _silent(progress: ListingProgress) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True, slots=True)
class CleaningTools:
    """Who cleans which site with what.

    ``limits`` are those of the engine that sorts, ``listing`` those of the listings. A work folder that is older than
    ``resume_age_s`` is not gone on with. ``state`` is what people say of the site now.
    """

    store: Store
    site: str
    reports: Path
    actor: str
    clock: Clock
    new_id: Callable[[], str]
    state: Callable[[], SiteState]
    limits: EngineLimits
    listing: ListingLimits = DEFAULTS
    walk_processes: int | None = None
    resume_age_s: int = 604_800
    ignored: Ignored = NOTHING
    progress: OnListing = _silent
    dry_run: bool = False
    again: bool = False
    """Whether even what somebody has called off is asked for."""

    def called_off(self, piece: Sequence[Finding]) -> dict[str, Reason]:
        """Which of these files or empty directories a person wants kept, by path."""
        if self.again:
            return {}
        told = cancelled.reasons(self.store, self.site, piece)
        return {path: Reason(Stays.CALLED_OFF, why) for path, why in told.items()}

    @property
    def history(self) -> History:
        """The checks of the inventory's sites."""
        return History(self.store, clock=self.clock)
