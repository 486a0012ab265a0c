"""What happens in the simulated world: people put, break, lock; Holdfast publishes, copies, checks, repairs, deletes.

A deed is a method of ``Deeds``; it draws what it needs from the world's source
and returns a word for the trace. Deeds of Holdfast go through the same
functions that the commands call, as one process each.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.config import SiteConsistencySettings
from holdfast.consistency import findings
from holdfast.consistency.checking import check as checking
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import LACKING, Class, Finding
from holdfast.consistency.gates import Gates, GateSettings, gates
from holdfast.consistency.history.states import SiteState
from holdfast.consistency.mending import removals, repair
from holdfast.consistency.mending.asker import Asker, Repair
from holdfast.consistency.report import FINDINGS, Report
from holdfast.model import names
from holdfast.model.changes import PutLock, RemoveLock
from holdfast.model.names import DatasetKey
from holdfast.model.records import Lock, SiteStatus
from holdfast.replication.giving_up import give_up
from holdfast.replication.publication import PublishOutcome
from holdfast.replication.publish import publish
from holdfast.storage.listing.limits import ListingLimits
from holdfast.testing.simulation.operating import ACTOR, Operating
from holdfast.testing.simulation.world import ANCHOR, IGNORE_AGE_S, SITES, WEEK_NS, Source

ORPHANS_MAX = 1000


@dataclass
class Checked:
    """What the last check of a site has found, and whether anything disturbed it."""

    report: Report
    findings: list[Finding]
    is_calm: bool


@dataclass
class Deeds(Operating):
    """Everything that can happen. ``checked`` is the latest report of each site, however old."""

    checked: dict[str, Checked] = field(default_factory=dict)
    just_checked: str = ""
    """The site that this very deed has checked, for the checkers."""
    was_disturbed: bool = False
    """Whether people have changed files during this deed."""

    def begin(self) -> None:
        """Another deed begins."""
        self.just_checked, self.was_disturbed = "", False
        self.begin_operating()

    # ---- people --------------------------------------------------------------------

    def add_files(self) -> str:
        """Somebody puts a directory of new files at a site, to be published."""
        world, number = self.world, len(self.world.sources)
        site = self.source.choice(SITES)
        directory = f"/data/s{number}"
        for index in range(self.source.randint(1, 14)):
            lfn = f"{directory}/d{index % 3}/f{index}"
            world.put(site, world.path(site, lfn), self.source.randbytes(self.source.choice((0, 3, 20, 50))))
        key = DatasetKey(f"data/s{number}", "1")
        world.sources.append(Source(site, world.path(site, directory), key))
        return f"{directory} at {site}"

    def break_files(self) -> str:
        """A disk or an administrator: some files of published datasets go, or go wrong."""
        world = self.world
        site = self.source.choice(SITES)
        there = [path for path in world.files(site) if world.lfn(site, path) in world.content]
        done = []
        for path in self.source.sample(there, min(len(there), self.source.randint(1, 3))):
            done.append(self._break(site, path))
            world.mark_damage(site, path)
        return f"{site}: {', '.join(done)}"

    def _break(self, site: str, path: str) -> str:
        tree = self.world.trees[site]
        size = len(tree.find_file(path).data)
        how = self.source.choice(("delete", "cut off", "alter")) if size else "delete"
        if how == "delete":
            tree.remove(path)
        elif how == "cut off":
            tree.truncate(path, self.source.randrange(size))
        else:
            tree.flip_byte(path, self.source.randrange(size))
        return f"{how} {path}"

    def add_dark(self) -> str:
        """Files that nobody registers appear, old or young, where files of ours are and elsewhere."""
        world = self.world
        site = self.source.choice(SITES)
        places = [names.split(path)[0] for path in world.files(site)]
        for _ in range(self.source.randint(1, 4)):
            path = names.join(self.source.choice(places), f"dark{world.new_id()}")
            world.put(site, path, b"dark", age_ns=self.source.choice((0, WEEK_NS)))
        return site

    def change_dark(self) -> str:
        """Somebody still uses a file that nobody registered, often one that is about to be deleted."""
        world = self.world
        going = [(site, path) for site, path in self._going() if path in world.files(site)]
        dark = [(site, path) for site in SITES for path in world.files(site) if names.split(path)[1].startswith("dark")]
        if not dark:
            return "nothing"
        site, path = self.source.choice(going or dark)
        world.put(site, path, b"DARK", age_ns=WEEK_NS)
        world.mark_damage(site, path)  # Somebody may have published it meanwhile, with all that lay there.
        return f"{site}:{path}"

    def _going(self) -> list[tuple[str, str]]:
        """What is asked to be deleted: sites and paths."""
        with self.world.store.snapshot() as view:
            return [(each.site, orphan.path) for each in view.deletion_requests() for orphan in each.orphans]

    def fail_directory(self) -> str:
        """A directory cannot be listed any more, or all can be again."""
        world = self.world
        site = self.source.choice(SITES)
        if world.failing[site] or self.source.random() < 0.3:
            world.failing[site].clear()
            return f"{site} heals"
        directory = self.source.choice(sorted({names.split(path)[0] for path in world.files(site)}))
        world.failing[site].add(directory)
        return f"{site}:{directory}"

    def unmount(self) -> str:
        """A site's disk is not mounted, and it looks empty; or it is mounted again."""
        world = self.world
        if world.unmounted:
            world.unmounted.clear()
            return "none"
        world.unmounted.add(self.source.choice(SITES))
        return min(world.unmounted)

    def lock(self) -> str:
        """Somebody locks a file, known or not; often one that is just about to be deleted."""
        world = self.world
        going = self._going()
        places = [(site, path) for site in SITES for path in world.files(site)]
        chosen = going if going and self.source.random() < 0.7 else places
        lfn = self.source.choice([lfn for site, path in chosen if (lfn := world.lfn(site, path))] or [ANCHOR])
        id = world.new_id()
        world.commit(PutLock(Lock(id, "people", lfn=lfn)))
        return f"{lfn} ({id})"

    def unlock(self) -> str:
        """Somebody lifts a lock."""
        with self.world.store.snapshot() as view:
            ids = [lock.id for lock in view.locks() if lock.lfn != ANCHOR]
        if not ids:
            return "none"
        id = self.source.choice(ids)
        self.world.commit(RemoveLock(id))
        return id

    def turn_site(self) -> str:
        """A site is closed, or opened again."""
        site = self.source.choice(SITES)
        is_ready = self.world.sites[site].status is SiteStatus.READY
        status = SiteStatus.MORGUE if is_ready and self.source.random() < 0.5 else SiteStatus.READY
        self.world.set_status(site, status)
        return f"{site} is {status.value}"

    def jump_clock(self) -> str:
        """Time passes, or the clock is put back."""
        seconds = self.source.choice((-600, -5, 60, 3000, 90_000))
        if seconds < 0 or self.source.random() < 0.3:
            self.world.clock.jump(seconds)
            return f"set by {seconds} s"
        self.world.clock.pass_time(seconds)
        return f"{seconds} s"

    # ---- Holdfast ------------------------------------------------------------------

    def publish(self) -> str:
        """Publish a directory, new or begun."""
        waiting = [each for each in self.world.sources if not each.is_published]
        return self.publish_one(self.source.choice(waiting)) if waiting else "nothing"

    def publish_one(self, source: Source) -> str:
        """Publish one directory; whoever meddles with its files meanwhile does it at a call of the driver."""
        world = self.world
        if world.faults.rates.peer_error and self.source.random() < 0.4:
            world.faults.meddle_at = self.source.randint(1, 60)
        world.faults.meddle = lambda: self._meddle(source)
        site = world.sites[source.site]
        report = self._run(
            lambda: publish(
                world.store,
                world.driver(site),
                site,
                source.directory,
                source.key,
                clock=world.clock,
                actor=ACTOR,
                workers=1,
            )
        )
        source.is_published = report.outcome is not PublishOutcome.INCOMPLETE
        return f"{source.key}: {report.outcome.value}"

    def _meddle(self, source: Source) -> None:
        """Somebody changes the directory while it is being published. Chance is that of the faults: this is one."""
        world, chance = self.world, self.world.faults.source
        self.was_disturbed = True
        there = [path for path in world.files(source.site) if path.startswith(f"{source.directory}/")]
        path = chance.choice(there)
        how = chance.choice(("change", "remove", "add"))
        if how == "change":
            world.put(source.site, path, chance.randbytes(20))
        elif how == "remove" and len(there) > 1:
            world.trees[source.site].remove(path)
        else:
            world.put(source.site, f"{source.directory}/d0/late{world.new_id()}", chance.randbytes(5))
        world.mark_damage(source.site, path)

    def give_up(self) -> str:
        """Give up a publication; somebody may begin it again."""
        waiting = [each for each in self.world.sources if not each.is_published]
        if not waiting:
            return "nothing"
        source = self.source.choice(waiting)
        give_up(self.world.store, source.key, actor=ACTOR)
        return str(source.key)

    def check(self) -> str:
        """Check a site."""
        return self.check_one(self.source.choice(SITES), with_checksums=self.source.random() < 0.6)

    def check_one(self, site: str, *, with_checksums: bool) -> str:
        """Check one site and keep the report."""
        world = self.world
        settings = CheckSettings(
            limits=EngineLimits(1, temp_dir=world.folder),
            with_checksums=with_checksums,
            listing=ListingLimits(in_flight_start=2, in_flight_max=2),
            read_concurrency=2,
            ignore_age_s=IGNORE_AGE_S,
        )
        run, before = world.new_id(), world.faults.n_faults
        reports = world.folder / "reports"
        try:
            report = self._run(
                lambda: checking.check(
                    world.store,
                    [world.driver(world.sites[site])],
                    world.sites[site],
                    reports=reports,
                    settings=settings,
                    clock=world.clock,
                    actor=ACTOR,
                    run=run,
                )
            )
            found = list(findings.read_table(Path(report.folder) / FINDINGS))
        finally:
            shutil.rmtree(reports, ignore_errors=True)
        self.checked[site] = Checked(report, found, is_calm=world.faults.n_faults == before)
        self.just_checked = site
        counted = ", ".join(f"{cls.value} {report.counts[cls]}" for cls in Class if report.counts[cls])
        return f"{site}{' with checksums' if with_checksums else ''}: {counted or 'agrees'}"

    def repair(self) -> str:
        """Repair a site by its last report, which may be old."""
        sites = self._with_findings(LACKING)
        return self.repair_one(self.source.choice(sites)) if sites else "nothing"

    def repair_one(self, site: str) -> str:
        """Repair one site by its last report."""
        checked, asked = self.checked[site], Repair()
        lacking = [finding for finding in checked.findings if finding.cls in LACKING]
        open_ = _gates(checked.report)
        self._run(lambda: repair.repair(self._asker(site), checked.report, lacking, asked, gates=open_))
        return f"{site}: {asked.copies} asked, {len(asked.unrecoverable)} unrecoverable, {len(asked.skipped)} skipped"

    def delete_orphans(self) -> str:
        """Ask for the removal of a site's orphans by its last report, which may be old."""
        sites = self._with_findings((Class.ORPHAN,))
        return self.delete_orphans_of(self.source.choice(sites)) if sites else "nothing"

    def delete_orphans_of(self, site: str) -> str:
        """Ask for the removal of one site's orphans by its last report."""
        checked, asked = self.checked[site], Repair()
        orphans = [finding for finding in checked.findings if finding.cls is Class.ORPHAN]
        self._run(
            lambda: removals.delete_orphans(
                self._asker(site),
                checked.report,
                orphans,
                asked,
                gates=_gates(checked.report),
                lacking=checked.findings,
                is_quarantined=False,
            )
        )
        return f"{site}: {asked.deletions} asked, {len(asked.skipped)} stay"

    def _with_findings(self, classes: Collection[Class]) -> list[str]:
        """The sites whose last report has such findings, the anchor apart."""
        return [
            site
            for site, checked in sorted(self.checked.items())
            if any(each.cls in classes and not each.path.endswith(ANCHOR) for each in checked.findings)
        ]

    def _asker(self, site: str) -> Asker:
        world = self.world
        driver, door = world.driver(world.sites[site]), world.sites[site].first_door
        return Asker(world.store, driver, ACTOR, world.clock, world.new_id, door)


PEOPLE = (
    Deeds.add_files,
    Deeds.break_files,
    Deeds.add_dark,
    Deeds.change_dark,
    Deeds.fail_directory,
    Deeds.unmount,
    Deeds.lock,
    Deeds.unlock,
    Deeds.turn_site,
    Deeds.jump_clock,
)
"""The deeds that are not ours; nothing fails in them."""

WEIGHTS: tuple[tuple[Callable[[Deeds], str], int], ...] = (
    (Deeds.add_files, 6),
    (Deeds.break_files, 10),
    (Deeds.add_dark, 6),
    (Deeds.change_dark, 3),
    (Deeds.fail_directory, 3),
    (Deeds.unmount, 3),
    (Deeds.lock, 5),
    (Deeds.unlock, 1),
    (Deeds.turn_site, 2),
    (Deeds.jump_clock, 4),
    (Deeds.publish, 12),
    (Deeds.give_up, 1),
    (Deeds.ask_copy, 12),
    (Deeds.ask_replica_deletion, 6),
    (Deeds.require_copies, 1),
    (Deeds.cancel, 4),
    (Deeds.hold, 1),
    (Deeds.release, 1),
    (Deeds.carry, 9),
    (Deeds.carry_changing, 7),
    (Deeds.carry_together, 4),
    (Deeds.carry_asleep, 4),
    (Deeds.check, 14),
    (Deeds.repair, 8),
    (Deeds.delete_orphans, 9),
)
"""Every deed, and how often it is chosen."""


def _gates(report: Report) -> Gates:
    """The gates of a report that was made once, without limits but for orphans: the simulator's sites are small."""
    settings = GateSettings.of(
        SiteConsistencySettings(
            missing_fraction_max=1.0,
            orphans_max=ORPHANS_MAX,
            orphans_of_actual_max=1.0,
            shrunk_fraction_max=1.0,
            orphan_runs=1,
            orphan_over_days=0.0,
        )
    )
    return gates(report, report.counts, settings, SiteState(report.site), None)
