"""Stages: the trial from its beginning to its verdict, in order; each tells its figures.

Whatever a stage raises ends the trial; ``__main__`` says in which one, and ends
everything that was started.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from holdfast.cli.progress import Update, progress
from holdfast.storage.listing.reading import Listing
from trial import asked, comparing, images, inventory, life
from trial.amounts import SMALL
from trial.checks import ROUNDS_MAX, Checks
from trial.damage import Damager
from trial.dumps import DumpComparison, DumpSite
from trial.figures import quantiles
from trial.inventory import Registrar
from trial.memory_sites import MemoryLoop, MemorySite
from trial.plan import MEMORY, REAL
from trial.verdict import problems
from trial.world import World

SEED = 1
ORPHAN_LIMIT = "100000"


class Trial:
    """One run of it in a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._figures, self._book, self._plan = world.figures, world.book, world.plan
        self._amounts = world.plan.amounts
        self._damager = Damager(world.book, world.plan, SEED)
        self._checks = Checks(world.store, world.commands, world.book)
        self._memory = [MemorySite(name) for name in MEMORY]
        self._dumps = [
            DumpSite(name, list(self._plan.blocks_at(name)), world.folder / "dumps") for name in self._plan.dumps
        ]

    def run(self) -> list[str]:
        """All of it; what is not as it should be in the end."""
        self.register()
        self.fill()
        self.damage()
        self.mend_memory()
        self.compare_dumps("dumps, first time")
        with life.workers(self._world) as workers:
            self.live()
            n_in_trouble = len(workers.codes)
            self.check_first()
            self.agree()
        self._figures.keep("workers_started_again", len(workers.codes))
        self._world.wrong += workers.wrong(n_in_trouble)
        self.mend_dumps()
        return self.judge()

    @contextmanager
    def _stage(self, name: str, total: int | None = None) -> Iterator[Update]:
        with self._figures.stage(name), progress(name, total) as update:
            yield update

    def register(self) -> None:
        """The whole inventory, in bulk."""
        name, n_files = "registration in bulk", self._amounts.n_files
        began = time.monotonic()
        with self._stage(name, n_files) as update:
            n_change_sets = inventory.register_all(self._world.store, self._plan, update)
        took_s = time.monotonic() - began
        self._figures.put(name, files=n_files, change_sets=n_change_sets, files_per_s=round(n_files / took_s))

    def fill(self) -> None:
        """The files of the real sites and of those in memory."""
        name = "files at the real sites"
        blocks = {site: list(self._plan.blocks_at(site)) for site in (*REAL, *MEMORY)}
        with self._stage(name, sum(map(len, blocks.values())) * 100) as update:
            for site in REAL:
                self._world.real[site].put_blocks(blocks[site], update)
            for memory in self._memory:
                for block in blocks[memory.name]:
                    memory.put_block(block)
        for site, those in blocks.items():
            for block in those:
                self._book.put_block(site, block)
        self._figures.put(name, **{f"files_at_{site}": len(blocks[site]) * 100 for site in REAL})

    def damage(self) -> None:
        """Everything that goes wrong before the day begins."""
        with self._stage("damage"):
            for name in REAL:
                self._damager.damage(self._world.real[name])
            self._damager.damage(self._memory[0])
            for site in self._dumps:
                site.damage(self._amounts, self._book, SEED)
                site.hand_out()

    def mend_memory(self) -> None:
        """Check the sites in memory, put them right, and check them again."""
        loop = MemoryLoop(self._world.store, self._memory, self._book, self._world.folder)
        with self._stage("sites in memory"):
            loop.check(MEMORY[0], act=True)
            self._world.wrong += self._damager.unlock(self._memory[0].name)
            # First the file comes back that was missing there; until then an orphan of its size stays.
            for _ in range(2):
                loop.check(MEMORY[0], act=True)
            if not loop.check(MEMORY[0], act=False).agrees:
                self._world.wrong.append(f"{MEMORY[0]} does not agree after it was put right")

    def compare_dumps(self, name: str) -> None:
        """All simulated sites, by their dumps."""
        comparison = DumpComparison(
            self._world.store, self._world.commands, self._book, self._world.folder / "comparisons"
        )
        n_equal, expecting_s, listing_s = 0, 0.0, 0.0
        with self._stage(name, len(self._dumps)) as update:
            for site in self._dumps:
                compared = comparison.compare(site)
                n_equal += compared.is_equal
                expecting_s += compared.expecting_s
                listing_s += compared.listing_s
                update(note=site.name)
                if compared.is_equal == bool(site.damaged):
                    told = "equal" if compared.is_equal else "different"
                    self._world.wrong.append(f"{site.name} was found {told}, with {len(site.damaged)} damages")
        self._figures.put(
            name,
            sites=len(self._dumps),
            equal=n_equal,
            writing_what_is_expected_s=round(expecting_s, 1),
            listing_dumps_s=round(listing_s, 1),
        )

    def mend_dumps(self) -> None:
        """The simulated sites put themselves right, and hand out new dumps."""
        with self._stage("new dumps"):
            for site in self._dumps:
                site.mend()
                site.hand_out()
        self.compare_dumps("dumps, second time")

    def live(self) -> None:
        """The day itself."""
        world, name = self._world, "copies, deletions, single files"
        registrar = Registrar(world.servers, list(world.real.values()), self._book, seed=SEED)
        began = time.monotonic()
        with self._stage(name):
            asked = life.ask_and_kill(world, REAL[1])
            registering_s = life.register_and_kill(world, registrar)
            world.real[REAL[2]].server.kill()
            is_whole = life.check_and_kill(world, self._checks, REAL[0])
            time.sleep(life.DOWN_S)
            world.start_storage(REAL[2])
            self._checks.wait_for_requests(timeout_s=life.WAIT_S)
        took_s = time.monotonic() - began
        n_copied = self._amounts.copied_blocks * 100
        self._figures.put(
            name,
            files_copied=n_copied,
            files_deleted=self._amounts.deleted_blocks * 100,
            copies_per_s=round(n_copied / took_s, 1),
            single_files=self._amounts.single_files,
            single_files_per_s=round(self._amounts.single_files / registering_s, 1),
            disturbed_check_came_to_its_end=is_whole,
            **asked,
            **quantiles(registrar.latencies_s),
            **{event.replace(" ", "_"): count for event, count in registrar.events.items()},
        )

    def check_first(self) -> None:
        """Each real site with checksums; what is missing or wrong is asked for at once."""
        with self._stage("first checks, with checksums"):
            found = self._checks.check_all(REAL, "--checksums", "--repair", "--no-wait", *self._fraction())
        for site, checked in found.items():
            self._figures.put(
                f"first check of {site}",
                seconds=round(checked.seconds, 1),
                directories=checked.directories,
                checksums=checked.proved,
                findings=checked.n_findings,
                checksums_per_s=round(checked.proved / checked.seconds),
            )
        with self._stage("copies that repair"):
            self._checks.wait_for_requests(timeout_s=life.WAIT_S)

    def agree(self) -> None:
        """What was locked is seen again; then checks that act, until all sites agree.

        What a person has looked at goes unconfirmed. An orphan that may be a file which is not back yet stays for that
        round. Checksums are not asked for again: in the end the trial itself reads every byte.
        """
        for site in REAL:
            self._world.wrong += self._damager.unlock(site)
        options = ("--act", "--no-wait", "--unconfirmed", "--orphan-limit", ORPHAN_LIMIT, *self._fraction())
        left, n_rounds = list(REAL), 0
        with self._stage("checks that act, until all agree"):
            while left and n_rounds < ROUNDS_MAX:
                n_rounds += 1
                checked = self._checks.check_all(left, *options)
                left = [site for site in left if not checked[site].agrees]
                self._checks.wait_for_requests(timeout_s=life.WAIT_S)
        self._figures.put("checks that act, until all agree", rounds=n_rounds)
        self._world.wrong += [f"{site} does not agree after {n_rounds} rounds" for site in left]

    def judge(self) -> list[str]:
        """Everything held against everything."""
        world = self._world
        with self._stage("verify"):
            ran = world.commands.run("verify", "--json", "--quiet", codes=(0, 1))
            world.wrong += [] if ran.code == 0 else [f"verify: {ran.out[:1000]}"]
        with self._stage("images beside tables", self._amounts.n_datasets) as update:
            world.wrong += images.differences(world.store, world.servers, update)
        with self._stage("the real sites beside the book"):
            seen = {name: site.seen() for name, site in world.real.items()} | {
                site.name: site.seen() for site in self._memory
            }
            found = problems(self._book, seen)
        if self._amounts.scale >= SMALL:
            for name in REAL[:2]:
                self._look_through_root(name, len(seen[name].files))
        self._figures.put("the real sites beside the book", files_read=sum(len(each.files) for each in seen.values()))
        self._figures.keep("damage", self._book.counts())
        self._figures.keep("requests", asked.counted(self._requests()))
        return [*world.wrong, *found]

    def _requests(self) -> Iterator[Mapping[str, Any]]:
        for group in ("transfers", "deletions"):
            yield from self._world.commands.run(group, "list", "--all", "--json", name="list").document["requests"]

    def _look_through_root(self, name: str, n_files: int) -> None:
        """The other door of an XRootD site has to show as many files as lie there."""
        stage, into = f"listing of {name} over root", self._world.folder / f"{name}-root"
        with self._stage(stage):
            options = ("--door", "xroot", "--into", str(into), "--json", "--quiet")
            ran = self._world.commands.run("site", "listing", name, *options, name="site listing", codes=(0, 1))
        found = Listing.open(into).summary.counts
        self._figures.put(stage, files=found.files, files_per_s=round(found.files / ran.seconds))
        if found.files != n_files:
            self._world.wrong.append(f"{name} shows {found.files} files over root, there are {n_files}")

    def compare_large(self) -> None:
        """The comparison of very long listings; it needs nothing of all this."""
        with self._stage("long listings compared"):
            figures = comparing.compare_large(self._world.folder / "long", self._amounts.compared_rows)
        self._figures.put("long listings compared", **figures)

    def _fraction(self) -> tuple[str, ...]:
        """A person who sees that a great part of a small site is lost, and knows why, says so."""
        return ("--max-fraction", "0.3") if self._amounts.scale < SMALL else ()
