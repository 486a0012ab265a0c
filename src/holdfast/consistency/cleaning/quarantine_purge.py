"""Purge the quarantine of a site: what has lain there long enough is deleted for good.

Rules
  * Long is by two witnesses: the day in the folder's name, counted from its end,
    and the file's own times, by which it has not been moved or changed since.
  * Nothing goes unless the site was checked lately: a file that was lost since may
    have its last copy here, and a check tells.
  * What lies in no day's folder stays, and is told.
  * The inventory is asked about the path that a file had, too: what has become
    registered, awaited or locked since, or may be a last copy, stays.
  * There is no limit on how many go: whoever put them there was within his.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from holdfast.consistency import resumable
from holdfast.consistency.cleaning.areas import SECOND_NS
from holdfast.consistency.cleaning.cleaned import Cleaned
from holdfast.consistency.cleaning.cleaning import Cleaning, Place, require_usable
from holdfast.consistency.cleaning.deciding import Reason, Stays
from holdfast.consistency.cleaning.last_check import require_young
from holdfast.consistency.cleaning.limits import NO_LIMITS
from holdfast.consistency.cleaning.tools import CleaningTools
from holdfast.consistency.cleaning.work_folder import BegunCleaning, work_folder
from holdfast.consistency.doors import identity_of
from holdfast.model import quarantine
from holdfast.model.clock import SECOND_US
from holdfast.model.quarantine import QUARANTINE
from holdfast.storage.driver import StorageDriver

CAUSE = "purge of the quarantine"


@dataclass(frozen=True, slots=True)
class QuarantineAges:
    """How old things have to be in quarantine, by one moment."""

    days: float
    now_us: int

    def youngest_ns(self, path: str) -> int:
        """The latest moment at which what has this path may have changed last, in ns since 1970."""
        return self.now_us * 1000 - round(self.days * 86_400) * SECOND_NS

    def spares(self, path: str) -> Reason | None:
        """Why something stays by the name of its folder."""
        day = quarantine.day_of(path)
        if day is None:
            return Reason(Stays.AGELESS, "it lies in no folder that is named as a day, such as 2026-11-21")
        # Anybody may make a folder of any year; of the last one no day can be counted on from.
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if datetime.fromtimestamp(self.now_us / SECOND_US, UTC) - begin < timedelta(days=1 + self.days):
            return Reason(Stays.YOUNG, f"it was quarantined on {day}")
        return None


async def purge_quarantine(
    tools: CleaningTools, doors: Sequence[StorageDriver], *, quarantine_days: float, check_days: float
) -> Cleaned:
    """Ask that what has lain in quarantine for so many days is deleted, through ``doors``.

    Conflict if the site was not checked within ``check_days``.
    """
    require_usable(tools, doors)
    require_young(tools.history, tools.site, days=check_days, now_us=tools.clock())
    with tools.store.snapshot() as view:
        record = view.site(tools.site)
    identity = identity_of(record, doors)

    def usable(begun: BegunCleaning) -> bool:
        is_young = resumable.is_young(begun.started_us, now_us=tools.clock(), most_s=tools.resume_age_s)
        return begun.identity == identity and is_young

    with work_folder(tools.reports, tools.site, "quarantine", usable=usable) as folder:
        if folder.begun is None:
            folder.begin(BegunCleaning(identity, tools.clock()))
        places = [Place(QUARANTINE, least_age_s=0)]  # What lies in the wrong folder is told at once.
        cleaning = Cleaning(tools, doors, folder, places, NO_LIMITS, CAUSE, Cleaned(tools.site))
        await cleaning.list()
        ages = QuarantineAges(quarantine_days, tools.clock())
        await cleaning.finish(ages, ages.spares)
        return cleaning.result
