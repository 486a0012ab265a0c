"""Clean the production areas of a site: what is old there goes, unless running workflows need it.

Rules
  * What is protected is asked for before the areas are listed and again afterwards;
    what any source has named at either time stays, with all below and above it.
  * A source that fails, or whose list is not to be believed, stops everything:
    nothing is decided, and nothing asked for.
  * How long the lists were is remembered once both were believed, and not in a dry run.
  * A cleaning that was broken off is gone on with, if nothing about it has changed;
    what was protected when it began stays so. Whoever says that lists are rightly
    shorter begins anew.

Raises what the sources (``protecting.source``), the store and the driver raise;
Conflict for a site that is halted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast.config.cleaning import CleaningSettings
from holdfast.consistency import resumable
from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning.areas import SECOND_NS, Area, is_at_or_below
from holdfast.consistency.cleaning.cleaned import Cleaned
from holdfast.consistency.cleaning.cleaning import Cleaning, Place, require_usable
from holdfast.consistency.cleaning.deciding import Reason, Stays
from holdfast.consistency.cleaning.limits import GoingLimits
from holdfast.consistency.cleaning.protecting.asking import Heard, ask
from holdfast.consistency.cleaning.protecting.lists import Belief
from holdfast.consistency.cleaning.protecting.protected import Protected
from holdfast.consistency.cleaning.protecting.remembered import Remembered
from holdfast.consistency.cleaning.protecting.source import ProtectedSource
from holdfast.consistency.cleaning.tools import CleaningTools
from holdfast.consistency.cleaning.work_folder import BegunCleaning, WorkFolder, work_folder
from holdfast.consistency.doors import identity_of
from holdfast.consistency.findings import Finding
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver

CAUSE = "cleaning of production areas"
NEVER_NS = -(2**63)


@dataclass(frozen=True, slots=True)
class AreaAges:
    """How old things have to be in some areas, by one moment."""

    areas: Sequence[Area]
    now_us: int

    def youngest_ns(self, path: str) -> int:
        """The latest moment at which what has this path may have changed last, in ns since 1970."""
        age_s = max((area.min_age_s_of(path) for area in self.areas if is_at_or_below(path, area.path)), default=None)
        return NEVER_NS if age_s is None else self.now_us * 1000 - age_s * SECOND_NS


@dataclass(frozen=True, slots=True)
class ProtectedSources:
    """Who says what is protected, and how much of that is believed; ``despite_shrunk``: that it is less is right."""

    sources: Sequence[ProtectedSource]
    belief: Belief
    despite_shrunk: bool = False

    @staticmethod
    def of(sources: Sequence[ProtectedSource], settings: CleaningSettings, *, despite_shrunk: bool) -> ProtectedSources:
        """As it is configured for a site."""
        belief = Belief(settings.protected_shrunk_fraction_max, settings.protected_repeated_fraction_max)
        return ProtectedSources(sources, belief, despite_shrunk)


async def clean_areas(
    tools: CleaningTools,
    doors: Sequence[StorageDriver],
    areas: Sequence[Area],
    protecting: ProtectedSources,
    limits: GoingLimits,
) -> Cleaned:
    """Ask that what is old in the areas of a site goes, through ``doors``, which show the same files."""
    require_usable(tools, doors)
    with tools.store.snapshot() as view:
        record = view.site(tools.site)
    identity = identity_of(record, doors, areas)

    def usable(begun: BegunCleaning) -> bool:
        # What was protected at the beginning would be held against the smaller lists for ever.
        is_young = resumable.is_young(begun.started_us, now_us=tools.clock(), most_s=tools.resume_age_s)
        return begun.identity == identity and is_young and not protecting.despite_shrunk

    with work_folder(tools.reports, tools.site, "areas", usable=usable) as folder:
        places = [Place(area.path, area.least_age_s, area.skip, repr(area.never_enter)) for area in areas]
        cleaning = Cleaning(tools, doors, folder, places, limits, CAUSE, Cleaned(tools.site))
        asking = _Asking(tools, record, [area.path for area in areas], protecting)
        before = await asking.before(folder, identity)
        await cleaning.list()
        protected = await asking.after(before)
        cleaning.result.protected = len(protected)
        await cleaning.finish(AreaAges(areas, tools.clock()), _sparing(tools, protected))
        return cleaning.result


def _sparing(tools: CleaningTools, protected: Protected) -> Callable[[str], Reason | None]:
    """Why something stays that is old."""

    def spares(path: str) -> Reason | None:
        told = protected.reason(path)
        if told:
            return Reason(Stays.PROTECTED, told)
        ignored = tools.ignored.reason(Finding(Class.ORPHAN, path))
        return Reason(Stays.IGNORED, ignored) if ignored else None

    return spares


@dataclass(frozen=True, slots=True)
class _Asking:
    """What is protected at one site, before and after."""

    tools: CleaningTools
    site: Site
    areas: Sequence[str]
    protecting: ProtectedSources

    async def before(self, folder: WorkFolder, identity: str) -> Heard:
        """What was protected when the cleaning began, which may have been an earlier time."""
        if folder.begun is not None:
            return Heard(folder.begun.protected)
        lengths = {} if self.protecting.despite_shrunk else self._remembered.lengths(self.site.name)
        heard = await self._heard(lengths)
        self._protected(heard)
        folder.begin(BegunCleaning(identity, self.tools.clock(), heard.paths))
        return heard

    async def after(self, before: Heard) -> Protected:
        """All that is protected, now that the areas are listed; what was heard is remembered."""
        heard = await self._heard(before.lengths)
        self._protected(heard)
        if not self.tools.dry_run:
            self._remembered.keep(self.site.name, heard.lengths, at_us=self.tools.clock())
        return Protected(before.all() | heard.all(), self.site.first_door.rules)

    async def _heard(self, lengths: dict[str, int]) -> Heard:
        return await ask(self.protecting.sources, self.site.name, lengths, self.protecting.belief)

    def _protected(self, heard: Heard) -> Protected:
        protected = Protected(heard.all(), self.site.first_door.rules)
        protected.require_about(self.areas)
        return protected

    @property
    def _remembered(self) -> Remembered:
        return Remembered(self.tools.store)
