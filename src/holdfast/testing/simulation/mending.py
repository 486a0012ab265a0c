"""Mending in the simulated world: what checks have found is acted on, through the gates, or declared lost by a person.

As ``holdfast check --act`` and ``holdfast consistency lost --declare`` do it: by
the last report, which may be old by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.cli.check_words import Words
from holdfast.consistency import findings
from holdfast.consistency.findings import LACKING, WRONG, Class
from holdfast.consistency.gates import Confirmation, GateSettings
from holdfast.consistency.history.sightings import confirmed
from holdfast.consistency.history.states import Mode, States
from holdfast.consistency.mending import acting, losses
from holdfast.consistency.mending.acting import Acting, Wishes
from holdfast.consistency.mending.asker import Asker, Repair, require_open
from holdfast.consistency.mending.losses import Hope
from holdfast.consistency.report import FINDINGS
from holdfast.testing.simulation.checking import Checking
from holdfast.testing.simulation.operating import ACTOR

ALL = Wishes(copies=True, orphans=True, empty_directories=True, as_far_as_open=True)
IMPATIENT = Words(unconfirmed=True, max_fraction=1.0, orphan_limit=1000)
"""What a person says who has looked at the report and wants all of it put right now."""


@dataclass
class Mending(Checking):
    """Deeds of mending. ``acted`` is by which settings this very deed has acted, for the checkers."""

    acted: GateSettings | None = None

    def begin(self) -> None:
        """Another deed begins."""
        super().begin()
        self.acted = None

    def check_and_act(self) -> str:
        """Check a site and act on what was found at once."""
        told = self.check()
        site = self.just_checked
        return f"{told}; {self.act_on(site, self._wishes(), self._words())}" if site else told

    def check_unmounted(self) -> str:
        """Check a site that is not mounted; mostly somebody wants all of that mended at once."""
        site = self.unmount_for_now()
        told = self.check_one(site, with_checksums=False)
        return told if self.source.random() < 0.4 else f"{told}; {self.act_on(site, self._wishes(), IMPATIENT)}"

    def act(self) -> str:
        """Act on the last report of a site, which may be old."""
        sites = self._with_findings(*LACKING, Class.ORPHAN, Class.EMPTY_DIRECTORY)
        if not sites:
            return "nothing"
        return self.act_on(self.source.choice(sites), self._wishes(), self._words())

    def act_on(self, site: str, wishes: Wishes, words: Words) -> str:
        """Act on the last report of one site."""
        checked, asked = self.checked[site], Repair()
        wishes = replace(wishes, is_quarantined=wishes.is_quarantined and self.world.settings[site].quarantine)
        settings = words.settings(self.world.settings[site])
        state = States(self.world.store).get(site)
        is_dry = bool(state.mode_refusal) and self.source.random() < 0.5
        if is_dry:  # As the command does: it shows what would be done.
            state = replace(state, mode=Mode.ACT)
        self.acted = settings
        gates = acting.gates_of(
            self.world.store, checked.report, settings, state, self.limits, now_us=self.world.clock()
        )
        asker = replace(self._asker(site), dry_run=is_dry, despite=words.despite)
        acts = Acting(asker, checked.report, gates, settings, self.limits)
        self._run(lambda: acts.act(wishes, asked))
        shut = sorted(cls.value for cls in acting.closed(gates, wishes))
        counts = f"{asked.copies} copies, {asked.deletions} orphans, {asked.directories} directories"
        left = f"{len(asked.unrecoverable)} unrecoverable, {len(asked.skipped)} skipped"
        return f"{site}{' dry' if is_dry else ''}: {counts}, {left}{f'; shut: {shut}' if shut else ''}"

    def _words(self) -> Words:
        """What a person says to it; mostly nothing."""
        return IMPATIENT if self.source.random() < 0.3 else Words()

    def _wishes(self) -> Wishes:
        """All that is open; or, of a careful person, one thing or all of it at once or nothing."""
        chance = self.source.random()
        is_again = self.source.random() < 0.2
        if chance < 0.6:
            return replace(ALL, is_again=is_again)
        if chance < 0.75:
            return Wishes(copies=True)
        is_quarantined = chance < 0.95
        return Wishes(orphans=True, empty_directories=chance < 0.85, is_quarantined=is_quarantined, is_again=is_again)

    def declare_lost(self) -> str:
        """A person declares lost what a site lacks and nobody else has."""
        sites = self._with_findings(*WRONG)
        return self.declare_lost_at(self.source.choice(sites)) if sites else "nothing"

    def declare_lost_at(self, site: str) -> str:
        """The same of one site."""
        world, checked = self.world, self.checked[site]
        configured, now_us = world.settings[site], world.clock()
        settings = GateSettings.of(configured)
        anything = {**settings.confirmations, **dict.fromkeys(WRONG, Confirmation())}
        gates = acting.gates_of(
            world.store,
            checked.report,
            replace(settings, confirmations=anything),
            States(world.store).get(site),
            self.limits,
            now_us=now_us,
        )
        require_open(checked.report, gates, *(cls for cls in WRONG if gates[cls].found))
        folder, needed = Path(checked.report.folder), Confirmation(configured.lost_runs)
        with world.store.snapshot() as view:
            table = list(losses.losses(view, site, findings.read_table(folder / FINDINGS, WRONG)))
        gone = {(each.finding.cls, each.finding.path) for each in table if each.hope is Hope.NONE}
        sure = [
            each
            for cls in WRONG
            for each in confirmed(folder, cls, needed, now_us=now_us, limits=self.limits)
            if (each.cls, each.path) in gone
        ]
        self.acted = replace(settings, confirmations={**settings.confirmations, **dict.fromkeys(WRONG, needed)})
        declared = self._run(lambda: losses.declare(self._asker(site), checked.report, sure, reason="simulated"))
        return f"{site}: {len(declared)} of {len(gone)}"

    def _with_findings(self, *classes: Class) -> list[str]:
        """The sites whose last report has such findings."""
        return [site for site, checked in sorted(self.checked.items()) if checked.has(*classes)]

    def _asker(self, site: str) -> Asker:
        world = self.world
        driver, door = world.driver(world.sites[site]), world.sites[site].doors[0]
        return Asker(world.store, driver, ACTOR, world.clock, world.new_id, door)
