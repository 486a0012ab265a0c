"""What people do in the simulated world, and disks: files come, go, break; sites are closed, halted, unmounted.

Nothing fails in these deeds, and nothing of Holdfast is under test but the words that people say to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.consistency.history.states import Mode, State, States
from holdfast.model import names, quarantine
from holdfast.model.changes import PutLock, RemoveLock
from holdfast.model.names import DatasetKey
from holdfast.model.records import Lock, SiteStatus
from holdfast.testing.simulation.operating import Operating
from holdfast.testing.simulation.world import ANCHOR, AREA, DAY_S, SITES, WEEK_NS, Source


@dataclass
class People(Operating):
    """Deeds of people."""

    # ---- files ---------------------------------------------------------------------

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
        self.world.counts[f"files: {how}"] += 1
        return f"{how} {path}"

    def add_dark(self) -> str:
        """Files that nobody registers appear, old or young, where files of ours are and elsewhere."""
        return self.leave_dark(self.world.some_site(), ages_ns=(0, WEEK_NS, WEEK_NS))

    def leave_dark(self, site: str, *, ages_ns: Sequence[int]) -> str:
        """The same at one site, of certain ages."""
        world = self.world
        places = [names.split(path)[0] for path in world.files(site) if not quarantine.is_quarantined(path)]
        for _ in range(self.source.randint(1, 4)):
            path = names.join(self.source.choice(places), f"dark{world.new_id()}")
            world.put(site, path, b"dark", age_ns=self.source.choice(ages_ns))
            world.counts["dark files"] += 1
        return site

    def make_directories(self) -> str:
        """Somebody makes directories and leaves them empty, or has done so long ago."""
        world = self.world
        site = self.source.choice(SITES)
        above = world.path(site, self.source.choice(("/data", "/old")))
        directory = names.join(above, f"empty{world.new_id()}")
        for path in (directory, f"{directory}/below"):
            world.put_directory(site, path, age_ns=self.source.choice((0, WEEK_NS, WEEK_NS)))
        return f"{site}:{directory}"

    def use_directory(self) -> str:
        """Somebody puts a file into a directory that was empty, often one about to be removed; none of a quarantine."""
        world = self.world
        with world.store.snapshot() as view:
            going = [(each.site, empty.path) for each in view.deletion_requests() for empty in each.directories]
        site = self.source.choice(SITES)
        tree = world.trees[site]
        empty = [(site, path) for path in sorted(tree.directories()) if tree.is_empty(path)]
        usable = [each for each in going or empty if not quarantine.is_quarantined(each[1])]
        if not usable:
            return "nothing"
        site, directory = self.source.choice(usable)
        world.put(site, names.join(directory, f"dark{world.new_id()}"), b"dark", age_ns=WEEK_NS)
        return f"{site}:{directory}"

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

    def move_dark(self) -> str:
        """Somebody moves files that nobody registered away and back: all but the time of that is as it was."""
        return self.move_dark_at(self.source.choice(SITES), part=1.0)

    def move_dark_at(self, site: str, *, part: float) -> str:
        """The same with a part of them at one site."""
        world = self.world
        dark = [path for path in world.files(site) if names.split(path)[1].startswith("dark")]
        moved = [path for path in dark if self.source.random() < part]
        for path in moved:
            world.trees[site].put_node(path, world.trees[site].touched(world.mirror[site][path]))
        return f"{site}: {len(moved)}"

    def sweep_dark(self, site: str) -> str:
        """Somebody takes away nearly all at one site that nobody registered; what is in quarantine, people let lie."""
        world = self.world
        known = [path for path in world.files(site) if not quarantine.is_quarantined(path)]
        dark = [path for path in known if names.split(path)[1].startswith("dark")]
        for path in dark[2:]:
            world.trees[site].remove(path)
            world.mark_damage(site, path)
        world.counts["dark files swept away"] += len(dark[2:])
        return f"{site}: {len(dark[2:])} of {len(dark)}"

    def rename_files(self) -> str:
        """Somebody gives files of published datasets another name at a site."""
        return self.rename_files_at(self.world.some_site())

    def rename_files_at(self, site: str) -> str:
        """The same at one site."""
        world = self.world
        there = [path for path in world.files(site) if world.lfn(site, path) in world.content]
        renamed = self.source.sample(there, min(len(there), self.source.randint(1, 2)))
        for path in renamed:
            data = world.mirror[site][path].data
            world.trees[site].remove(path)
            world.mark_damage(site, path)
            world.put(site, f"{path}.moved{world.new_id()}", data, age_ns=WEEK_NS)
            world.counts["files: rename"] += 1
        return f"{site}: {', '.join(renamed)}"

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
        world.counts["directories that fail"] += 1
        return f"{site}:{directory}"

    def unmount(self) -> str:
        """A site's disk is not mounted, and it looks empty; or it is mounted again."""
        world = self.world
        if world.unmounted:
            world.unmounted.clear()
            return "none"
        world.unmounted.add(self.source.choice(SITES))
        world.counts["sites unmounted"] += 1
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
        self.world.counts["sites closed"] += status is SiteStatus.MORGUE
        return f"{site} is {status.value}"

    def jump_clock(self) -> str:
        """Time passes, or the clock is put back."""
        seconds = self.source.choice((-600, -5, 60, 3000, 90_000))
        if seconds < 0 or self.source.random() < 0.3:
            self.world.clock.jump(seconds)
            self.world.counts[f"clock set {'back' if seconds < 0 else 'forward'}"] += 1
            return f"set by {seconds} s"
        self.world.clock.pass_time(seconds)
        return f"{seconds} s"

    def wait(self) -> str:
        """Hours go by, or a day or two."""
        days = self.source.choice((0.2, 0.6, 1.1, 2.1))
        self.world.clock.pass_time(days * DAY_S)
        return f"{days} days"

    # ---- words -----------------------------------------------------------------------

    def halt(self) -> str:
        """Somebody halts a site, or disables it, or takes that back."""
        halted = [site for site in SITES if self.world.said[site][0] is not State.READY]
        if halted:
            return self.say(halted[0], state=State.READY)
        state = self.source.choice((State.HALTED, State.HALTED, State.DISABLED))
        return self.say(self.world.some_site(), state=state)

    def turn_dry(self) -> str:
        """Somebody lets findings of a site be reported only, or acted on again."""
        dry = [site for site in SITES if self.world.said[site][1] is Mode.DRY]
        if dry:
            return self.say(dry[0], mode=Mode.ACT)
        return self.say(self.world.some_site(), mode=Mode.DRY)

    def say(self, site: str, *, state: State | None = None, mode: Mode | None = None) -> str:
        """Say of a site in which state it is, or which mode."""
        world = self.world
        words = {"by": "people", "at_us": world.clock(), "reason": "simulated"}
        world.in_peace(lambda: States(world.store).set(site, state=state, mode=mode, **words))  # type: ignore[arg-type]
        before = world.said[site]
        world.said[site] = (state or before[0], mode or before[1])
        world.counts[f"said: {(state or mode or State.READY).value}"] += 1
        return f"{site} is {' and '.join(word.value for word in world.said[site])}"

    # ---- production areas --------------------------------------------------------------

    def add_leftovers(self) -> str:
        """A workflow leaves files in the production area of a site, old or young; mostly it still needs them."""
        world = self.world
        site, number = self.source.choice(SITES), self.source.randint(1, 6)
        run = world.path(site, f"{AREA}/run{number}")
        for _ in range(self.source.randint(1, 3)):
            world.put(site, f"{run}/{world.new_id()}", b"temporary", age_ns=self.source.choice((0, WEEK_NS)))
        if self.source.random() < 0.6:
            world.protected[site].add(run)
        return f"{site}:{run}"

    def need(self) -> str:
        """A workflow needs a directory of the area, or one that was needed is not any more."""
        world = self.world
        site = self.source.choice(SITES)
        known = sorted(world.protected[site])
        if known and self.source.random() < 0.5:
            run = self.source.choice(known)
            world.protected[site].remove(run)
            return f"not {site}:{run}"
        run = world.path(site, f"{AREA}/run{self.source.randint(1, 6)}")
        world.protected[site].add(run)
        return f"{site}:{run}"
