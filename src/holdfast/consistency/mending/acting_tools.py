"""ActingTools: who acts at which site, and what is configured for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.config import ConsistencySettings, SiteConsistencySettings
from holdfast.consistency.comparing.duckdb_session import EngineLimits, limits_of
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.states import SiteState, States
from holdfast.consistency.mending.asker import MendingAsker
from holdfast.consistency.report import Report
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock
from holdfast.model.errors import Conflict
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver


@dataclass(frozen=True, slots=True)
class ActingTools:
    """What acting on a report needs beside the report. ``site`` is as it was when the driver was opened."""

    store: Store
    site: Site
    settings: ConsistencySettings
    actor: str
    clock: Clock
    new_id: Callable[[], str]
    dry_run: bool = False

    @property
    def configured(self) -> SiteConsistencySettings:
        """What is configured for the site."""
        return self.settings.for_site(self.site.name)

    @property
    def history(self) -> History:
        """The runs of the inventory."""
        return History(self.store, clock=self.clock)

    @property
    def state(self) -> SiteState:
        """What people say of the site now."""
        return States.of(self.store, self.settings, clock=self.clock).get(self.site.name)

    @property
    def limits(self) -> EngineLimits:
        """What reading a report may take of the machine."""
        return limits_of(self.settings)

    def require_same_door(self, report: Report) -> None:
        """Conflict for a report that was made through a door that leads elsewhere than the site's first one."""
        if report.door != self.site.first_door.way:
            message = f"{report.site} has another first door than when it was checked ({report.run})"
            hint = f"what was seen behind the other one does not count; run `holdfast check {report.site}`"
            raise Conflict(message, rows=(report.site,), hint=hint)

    def asker(self, driver: StorageDriver, *, is_dry: bool = False, despite: tuple[str, ...] = ()) -> MendingAsker:
        """Who asks, through a driver for the site's first door; ``is_dry``: this is a dry run in any case."""
        who = (self.actor, self.clock, self.new_id)
        return MendingAsker(self.store, driver, *who, self.site.first_door, self.dry_run or is_dry, despite)
