"""Tidying in the simulated world: one person who looks after a site for a while, in one deed what chance rarely brings.

Without it hardly anything would reach the quarantines, and nothing would be had back from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

from holdfast.consistency.history.states import Mode, State
from holdfast.consistency.mending.acting import Wishes
from holdfast.model.names import DatasetKey
from holdfast.model.records import SiteStatus
from holdfast.testing.simulation.cleaning import Cleaning
from holdfast.testing.simulation.mending import IMPATIENT, Mending
from holdfast.testing.simulation.people import People
from holdfast.testing.simulation.world import SITES, WEEK_NS

DARK_ROUNDS_MAX = 10


@dataclass
class Tidying(People, Mending, Cleaning):
    """Deeds of a person who tidies up. ``planned`` are the deeds that this person wants to see next."""

    planned: list[Callable[[Any], str]] = field(default_factory=list)
    watched: str = SITES[0]

    def clear_out(self) -> str:
        """A site is checked, and all that nobody knows there is to go at once; mostly the site may act, too."""
        return self._clear_out(self.source.choice(SITES))

    def have_back(self) -> str:
        """A file is had back from a quarantine, sometimes over another one; if none lies there, some are sent there."""
        if self.lying():
            return self.have_one_back()
        with_quarantine = [site for site in SITES if self.world.settings[site].quarantine]
        if not with_quarantine:
            return "no site has a quarantine"
        site = self.source.choice(with_quarantine)
        self.leave_dark(site, ages_ns=(WEEK_NS,))
        self.world.look()
        self.planned.insert(0, Tidying.have_one_back)
        return self._clear_out(site)

    def have_one_back(self) -> str:
        """The same, if anything lies there."""
        return self.restore() if self.source.random() < 0.5 else self.restore_over()

    def watch(self) -> str:
        """A site is checked; later it is again, and what was seen often enough goes. People move files in between."""
        self.watched = self.source.choice(SITES)
        self.planned[:0] = [Tidying.wait, Tidying.move_watched, Tidying.check_watched, Tidying.carry]
        return self.check_one(self.watched, with_checksums=False)

    def move_watched(self) -> str:
        """Some of what nobody knows there is moved away and back."""
        return self.move_dark_at(self.watched, part=0.5)

    def check_watched(self) -> str:
        """The site is checked again, and acted on as far as the gates are open."""
        told = self.check_one(self.watched, with_checksums=False)
        return f"{told}; {self.act_on(self.watched, Wishes(orphans=True, as_far_as_open=True))}"

    def thin_out(self) -> str:
        """A site is checked while much lies there that nobody knows, and cleared out when hardly any of it is left."""
        self.watched = self.source.choice(SITES)
        n_files = len(self.world.files(self.watched))
        for _ in range(min(n_files, DARK_ROUNDS_MAX)):
            self.leave_dark(self.watched, ages_ns=(WEEK_NS,))
        self.world.look()
        self.planned[:0] = [Tidying.sweep_watched, Tidying.clear_watched]
        return self.check_one(self.watched, with_checksums=False)

    def sweep_watched(self) -> str:
        """People take nearly all of it away."""
        return self.sweep_dark(self.watched)

    def clear_watched(self) -> str:
        """The site is checked again, and all that nobody knows there is to go at once."""
        return self._clear_out(self.watched)

    def move_away(self) -> str:
        """Somebody renames files of datasets at a site, and then it is cleared out."""
        self.watched = self.source.choice(SITES)
        self.planned.insert(0, Tidying.clear_watched)
        return self.rename_files_at(self.watched)

    def drop(self) -> str:
        """A file of a dataset breaks at a site, and before anybody knows another site is to lose its copy."""
        places = self._held_twice()
        if not places:
            return "nothing"
        lfn, key, one, other = self.source.choice(places)
        broken = self._break(one, self.world.path(one, lfn))
        self.world.mark_damage(one, self.world.path(one, lfn))
        self.world.look()
        self.planned.insert(0, Tidying.carry)
        return f"{one}: {broken}; {self._ask_deletion_of(key, other)}"

    def _held_twice(self) -> list[tuple[str, DatasetKey, str, str]]:
        """Files that two sites have, rightly: the LFN, its dataset and both sites."""
        world = self.world
        with world.store.snapshot() as view:
            held = {site: world.held(view, site) for site in SITES}
        return [
            (lfn, key, one, other)
            for one, other in permutations(SITES, 2)
            for lfn, (key, _) in held[one].items()
            if lfn in held[other] and world.is_right(one, lfn) and world.is_right(other, lfn)
        ]

    def _clear_out(self, site: str) -> str:
        if self.source.random() < 0.8:
            self.say(site, state=State.READY, mode=Mode.ACT)
            self.world.set_status(site, SiteStatus.READY)
        self.planned.insert(0, Tidying.carry)
        told = self.check_one(site, with_checksums=False)
        wishes = Wishes(orphans=True, empty_directories=self.source.random() < 0.5)
        said = replace(IMPATIENT, no_quarantine=self.source.random() < 0.2)
        return f"{told}; {self.act_on(site, wishes, said)}"
