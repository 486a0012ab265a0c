"""Mending in the simulated world: what checks have found is acted on, through the gates, or declared lost by a person.

As ``holdfast check --act`` and ``holdfast consistency lost --declare`` do it: by
the last report, which may be old by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.config import ConsistencySettings
from holdfast.consistency import findings
from holdfast.consistency.classes import LACKING, WRONG, Class
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.gates import GateSettings
from holdfast.consistency.mending import acting, declaring, losses
from holdfast.consistency.mending.acting import Acted, Wishes
from holdfast.consistency.mending.acting_tools import ActingTools
from holdfast.consistency.mending.losses import Hope
from holdfast.consistency.mending.overrides import NONE, Overrides
from holdfast.consistency.report import FINDINGS
from holdfast.testing.simulation.checking import Checking
from holdfast.testing.simulation.operating import ACTOR

ALL = Wishes(copies=True, orphans=True, empty_directories=True, as_far_as_open=True)
IMPATIENT = Overrides(unconfirmed=True, max_fraction=1.0, orphan_limit=1000)
"""What a person says who has looked at the report and wants all of it put right now."""


@dataclass(frozen=True)
class Said:
    """What somebody has wished who acts on a report, and by which settings and words."""

    settings: GateSettings
    classes: tuple[Class, ...]
    is_as_far_as_open: bool = False
    words: tuple[str, ...] = ()
    """What was said against the gates."""
    is_quarantining: bool = False
    is_again: bool = False
    is_declaring: bool = False


@dataclass
class Mending(Checking):
    """Deeds of mending. ``said`` is what this very deed was to act on, for the checkers; None: it was not to act."""

    said: Said | None = None

    def begin(self) -> None:
        """Another deed begins."""
        super().begin()
        self.said = None

    def check_and_act(self) -> str:
        """Check a site and act on what was found at once."""
        told = self.check()
        site = self.just_checked
        return f"{told}; {self.act_on(site, *self._wished())}" if site else told

    def check_unmounted(self) -> str:
        """Check a site that is not mounted; mostly somebody wants all of that mended at once."""
        site = self.unmount_for_now()
        told = self.check_one(site, with_checksums=False)
        if self.source.random() < 0.4:
            return told
        wishes, _ = self._wished()
        return f"{told}; {self.act_on(site, wishes, IMPATIENT)}"

    def act(self) -> str:
        """Act on the last report of a site, which may be old."""
        sites = self._with_findings(*LACKING, Class.ORPHAN, Class.EMPTY_DIRECTORY)
        if not sites:
            return "nothing"
        return self.act_on(self.source.choice(sites), *self._wished())

    def act_on(self, site: str, wishes: Wishes, overrides: Overrides = NONE) -> str:
        """Act on the last report of one site."""
        checked, acted = self.checked[site], Acted()
        tools = self._tools(site)
        self.said = Said(
            overrides.settings(GateSettings.of(tools.configured)),
            wishes.classes,
            wishes.as_far_as_open,
            overrides.words,
            is_quarantining=tools.configured.quarantine and not overrides.no_quarantine,
            is_again=overrides.again,
        )
        driver = self.world.driver(self.world.sites[site])
        self._run(lambda: acting.act(tools, driver, checked.report, wishes, acted, overrides=overrides))
        asked, shut = acted.asked, sorted(cls.value for cls in acted.left)
        counts = f"{asked.copies} copies, {asked.deletions} orphans, {asked.directories} directories"
        left = f"{len(asked.unrecoverable)} unrecoverable, {len(asked.skipped)} skipped"
        return f"{site}{' dry' if acted.dry_mode else ''}: {counts}, {left}{f'; shut: {shut}' if shut else ''}"

    def _wished(self) -> tuple[Wishes, Overrides]:
        """All that is open; or, of a careful person, one thing or all of it at once or nothing."""
        said = IMPATIENT if self.source.random() < 0.3 else NONE
        chance = self.source.random()
        again = self.source.random() < 0.2
        if chance < 0.6:
            return ALL, replace(said, again=again)
        if chance < 0.75:
            return Wishes(copies=True), said
        wishes = Wishes(orphans=True, empty_directories=chance < 0.85)
        return wishes, replace(said, no_quarantine=chance >= 0.95, again=again)

    def declare_lost(self) -> str:
        """A person declares lost what a site lacks and nobody else has."""
        sites = self._with_findings(*WRONG)
        return self.declare_lost_at(self.source.choice(sites)) if sites else "nothing"

    def declare_lost_at(self, site: str) -> str:
        """The same of one site."""
        world, checked, tools = self.world, self.checked[site], self._tools(site)
        settings, needed = GateSettings.of(tools.configured), Confirmation(tools.configured.lost_runs)
        settings = replace(settings, confirmations={**settings.confirmations, **dict.fromkeys(WRONG, needed)})
        self.said = Said(settings, WRONG, is_declaring=True)
        with world.store.snapshot() as view:
            table = findings.read_table(Path(checked.report.folder) / FINDINGS, WRONG)
            found = list(losses.losses(view, site, table))
        n_gone = sum(each.hope is Hope.NONE for each in found)
        driver = world.driver(world.sites[site])
        declared = self._run(lambda: declaring.declare_lost(tools, driver, checked.report, found, reason="simulated"))
        world.counts["files declared lost"] += len(declared)
        return f"{site}: {len(declared)} of {n_gone}"

    def _with_findings(self, *classes: Class) -> list[str]:
        """The sites whose last report has such findings."""
        return [site for site, checked in sorted(self.checked.items()) if checked.has(*classes)]

    def _tools(self, site: str) -> ActingTools:
        world = self.world
        settings = ConsistencySettings().with_sites(world.settings)
        return ActingTools(world.store, world.sites[site], settings, ACTOR, world.clock, world.new_id)
