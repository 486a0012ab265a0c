"""Tools: what every cleaning of a site needs, and what it may not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency.checking.ignored import NOTHING, Ignored
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.states import SiteState
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

    @property
    def history(self) -> History:
        """The checks of the inventory's sites."""
        return History(self.store, clock=self.clock)
