"""Checking in the simulated world: sites are checked, by runs that go on with those that died; old reports are cleared.

What a run has found is read from its folder, so that it counts as well if the
process died right after it was there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.consistency import findings
from holdfast.consistency.checking import check as checking
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import Finding
from holdfast.consistency.history import kept_report
from holdfast.consistency.report import FINDINGS, Report
from holdfast.consistency.run_folder import PART
from holdfast.model.clock import show_time
from holdfast.storage.listing.limits import ListingLimits
from holdfast.testing.simulation.operating import ACTOR, Operating
from holdfast.testing.simulation.world import IGNORE_AGE_S, SITES

LISTING = ListingLimits(in_flight_start=2, in_flight_max=2)
REPORTS_KEPT = 3


@dataclass
class Checked:
    """What a check of a site has found, and whether anything disturbed it."""

    report: Report
    findings: list[Finding]
    is_calm: bool
    is_resumed: bool
    """Whether it had begun in an earlier deed."""
    at_us: int
    """By the wall clock, when the deed began in which it ended."""

    def has(self, *classes: Class) -> bool:
        """Whether anything of these classes was found."""
        return any(self.report.counts[cls] for cls in classes)


@dataclass
class Checking(Operating):
    """Deeds of checking. ``checked`` is the latest report of each site, however old."""

    checked: dict[str, Checked] = field(default_factory=dict)
    just_checked: str = ""
    """The site of which a check has ended in this very deed, for the checkers."""

    doubted: str = ""
    """A site that was not mounted when it was checked; somebody will want to know."""
    remounted: str = ""
    """The site whose disk is mounted again when this deed is over."""

    def begin(self) -> None:
        """Another deed begins."""
        super().begin()
        self.just_checked = ""
        self.world.unmounted.discard(self.remounted)
        self.remounted = ""

    @property
    def reports(self) -> Path:
        """The folder of all reports."""
        return self.world.folder / "reports"

    @property
    def limits(self) -> EngineLimits:
        """What comparisons may take."""
        return EngineLimits(1, temp_dir=self.world.folder)

    def ignored(self, site: str) -> Ignored:
        """What is left alone at a site."""
        settings = self.world.settings[site]
        return Ignored(settings.ignore_directories, settings.ignore_datasets)

    def check(self) -> str:
        """Check a site, or go on with a check of it that died."""
        site = self.doubted if self.doubted and self.source.random() < 0.5 else self.world.some_site()
        self.doubted = "" if site == self.doubted else self.doubted
        return self.check_one(site, with_checksums=self.source.random() < 0.6)

    def unmount_for_now(self) -> str:
        """A site's disk is not mounted while this deed lasts; afterwards it is again."""
        self.remounted = self.source.choice(SITES)
        self.world.unmounted.add(self.remounted)
        self.world.counts["sites unmounted"] += 1
        self.doubted = self.remounted
        return self.remounted

    def check_one(self, site: str, *, with_checksums: bool) -> str:
        """Check one site and keep the report."""
        world = self.world
        settings = CheckSettings(
            limits=self.limits,
            with_checksums=with_checksums,
            listing=LISTING,
            read_concurrency=2,
            ignore_age_s=IGNORE_AGE_S,
            ignored=self.ignored(site),
            shrunk_fraction_max=world.settings[site].shrunk_fraction_max,
        )
        began_us, n_faults = world.clock(), world.faults.n_faults
        run = f"{show_time(began_us).replace(':', '')}-{world.new_id()}"
        world.meanwhile.setdefault(site, []).append(world.shown(site))
        try:
            self._run(
                lambda: checking.check(
                    world.store,
                    [world.driver(world.sites[site])],
                    world.sites[site],
                    reports=self.reports,
                    settings=settings,
                    clock=world.clock,
                    actor=ACTOR,
                    run=run,
                )
            )
        finally:
            self._take_in(site, run, began_us, is_calm=world.faults.n_faults == n_faults)
        report = self.checked[site].report
        counted = ", ".join(f"{cls.value} {report.counts[cls]}" for cls in Class if report.counts[cls])
        return f"{site}{' with checksums' if with_checksums else ''}: {counted or 'agrees'}"

    def _take_in(self, site: str, given: str, at_us: int, *, is_calm: bool) -> None:
        """Read the report that this deed has left, if it has; clear old ones away."""
        folder = self.reports / site
        runs = [each for each in folder.iterdir() if each.suffix != PART] if folder.exists() else []
        reports = {run: report for run in runs if (report := kept_report.report_in(run)) is not None}
        known = self.checked.get(site)
        for run, report in reports.items():
            if known is None or report.run not in (known.report.run, *self._old_runs):
                found = list(findings.read_table(run / FINDINGS))
                self.checked[site] = Checked(report, found, is_calm, report.run != given, at_us)
                self.just_checked = site
                self._old_runs.append(report.run)
        for run in sorted(reports, key=lambda each: self._old_runs.index(each.name))[:-REPORTS_KEPT]:
            shutil.rmtree(run)

    _old_runs: list[str] = field(default_factory=list)
    """All runs that have ended, in their order."""
