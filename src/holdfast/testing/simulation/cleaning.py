"""Cleaning in the simulated world: quarantines are purged, or given back; production areas are cleaned by lists."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from holdfast.consistency.cleaning.areas import Area
from holdfast.consistency.cleaning.areas_cleaning import ProtectedSources, clean_areas
from holdfast.consistency.cleaning.cleaned import Cleaned
from holdfast.consistency.cleaning.limits import GoingLimits
from holdfast.consistency.cleaning.protecting.lists import Belief
from holdfast.consistency.cleaning.quarantine_purge import purge_quarantine
from holdfast.consistency.cleaning.tools import CleaningTools
from holdfast.consistency.gates import ClassLimits
from holdfast.consistency.history.states import States
from holdfast.model import quarantine
from holdfast.operations.quarantine import restore
from holdfast.testing.simulation.checking import LISTING, Checking
from holdfast.testing.simulation.operating import ACTOR
from holdfast.testing.simulation.world import AREA, SITES

AREA_AGE_S = 7200
MOST = ClassLimits(100, 0.8)
LIMITS = GoingLimits(MOST, MOST)

Work = Callable[[CleaningTools], Coroutine[Any, Any, Cleaned]]


@dataclass
class Cleaning(Checking):
    """Deeds of cleaning."""

    cleaned: str = ""
    """The site whose area this very deed has cleaned, for the checkers."""
    is_again: bool = False
    """Whether this deed asks even for what somebody has called off."""
    named: set[str] = field(default_factory=set)
    """What any list has named as protected in this deed."""
    restored: set[tuple[str, str]] = field(default_factory=set)
    """By site and path in quarantine, what this deed was to give back."""

    def begin(self) -> None:
        """Another deed begins."""
        super().begin()
        self.cleaned, self.named, self.restored, self.is_again = "", set(), set(), False

    def restore(self) -> str:
        """A person has a file back from the quarantine, sometimes though another lies where it was."""
        lying = self.lying()
        if not lying:
            return "nothing"
        site, path = self.source.choice(lying)
        return self.restore_one(site, path)

    def restore_over(self) -> str:
        """A person has a file back, and somebody has put another one where it was."""
        lying = self.lying()
        if not lying:
            return "nothing"
        site, path = self.source.choice(lying)
        original = quarantine.original(path)
        if original is not None and original not in self.world.mirror[site]:
            self.world.put(site, original, b"another")
            self.world.mark_damage(site, original)
            self.world.look()
        return self.restore_one(site, path)

    def restore_one(self, site: str, path: str) -> str:
        """One file is to come back."""
        self.restored.add((site, path))
        self.world.note(site, quarantine.original(path) or "", self.world.mirror[site][path].data)
        driver = self.world.driver(self.world.sites[site])
        back = self._run(lambda: restore(self.world.store, driver, site, path))
        self.world.counts["files had back"] += 1
        return f"{site}:{back}"

    def lying(self) -> list[tuple[str, str]]:
        """What lies in quarantine: sites and paths."""
        return [(site, path) for site in SITES for path in self.world.files(site) if quarantine.day_of(path)]

    def purge(self) -> str:
        """Ask that what has lain long in a quarantine goes for good."""
        sites = sorted({site for site, _ in self.lying()})
        return self.purge_one(self.source.choice(sites or SITES))

    def purge_one(self, site: str, *, is_again: bool = False) -> str:
        """The same at one site; ``is_again``: even what somebody has called off."""
        self.is_again = is_again
        settings, doors = self.world.settings[site], [self.world.driver(self.world.sites[site])]
        days = {"quarantine_days": settings.quarantine_days, "check_days": settings.quarantine_check_days}
        return self._clean(site, lambda tools: purge_quarantine(tools, doors, **days))

    def clean_area(self) -> str:
        """Clean the production area of a site by the lists of what is protected."""
        return self.clean_area_at(self.source.choice(SITES))

    def clean_area_at(self, site: str) -> str:
        """The same at one site."""
        self.cleaned = site
        doors = [self.world.driver(self.world.sites[site])]
        protecting = ProtectedSources([_Workflows(self)], Belief(0.9, 0.9), despite_shrunk=True)
        areas = [Area(self.world.path(site, AREA), AREA_AGE_S)]
        return self._clean(site, lambda tools: clean_areas(tools, doors, areas, protecting, LIMITS))

    def _clean(self, site: str, work: Work) -> str:
        world = self.world
        tools = CleaningTools(
            store=world.store,
            site=site,
            reports=self.reports,
            actor=ACTOR,
            clock=world.clock,
            new_id=world.new_id,
            state=lambda: States(world.store).get(site),
            limits=self.limits,
            listing=LISTING,
            again=self.is_again,
        )
        cleaned: Cleaned = self._run(lambda: work(tools))
        world.counts["leftovers asked to go"] += cleaned.files if self.cleaned else 0
        refused = f"; refused: {len(cleaned.refusals)}" if cleaned.refusals else ""
        return f"{site}: {cleaned.files} files, {cleaned.directories} directories{refused}"


@dataclass
class _Workflows:
    """Who says what running workflows need. A further one may begin between two questions."""

    deeds: Cleaning
    name: str = "workflows"

    async def paths(self, site: str) -> tuple[str, ...]:
        """What is protected now."""
        world, chance = self.deeds.world, self.deeds.world.faults.source
        if self.deeds.named and chance.random() < 0.3:
            world.protected[site].add(world.path(site, f"{AREA}/run{chance.randint(1, 6)}"))
        self.deeds.named |= world.protected[site]
        return tuple(sorted(world.protected[site]))
