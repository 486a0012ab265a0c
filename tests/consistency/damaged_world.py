"""Two or three sites in memory, an inventory, and everything of a scenario that befalls them.

Whatever a check, a repair or a worker does goes through the real code; what
people and other programs do is done here, behind its back or through the
store, and is noted, so that nobody asks a check to know better.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lying_driver import LyingDriver
from random_scenario import (
    DIRS,
    SIZES,
    BadDirectory,
    Damage,
    Dark,
    DarkFile,
    Flight,
    Hurt,
    InFlight,
    Scenario,
    Trouble,
)
from world_deeds import Deeds

from holdfast.config import OperationsSettings, SiteConsistencySettings
from holdfast.consistency import findings
from holdfast.consistency.checking import check
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import LACKING
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import Finding
from holdfast.consistency.gates import Gates, GateSettings, gates
from holdfast.consistency.history.states import SiteState
from holdfast.consistency.mending import removals, repair
from holdfast.consistency.mending.asker import MendingAsker, Repair
from holdfast.consistency.report import FINDINGS, Report
from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model import names, pfn
from holdfast.model.errors import Conflict, PeerError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, Door, FileColumns, RequestState, Site, Staging
from holdfast.operations import executor
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import DirectoryListing, Kind
from holdfast.storage.listing.limits import ListingLimits
from holdfast.testing.memory_tree import MemoryTree, Node

DAY_US = 86_400_000_000
NOW_US = 1_700_000_000_000_000
IGNORE_AGE_S = 86_400
NAMES = ("A", "B", "C")
ANCHORS = "/data/anchor/"
RULES = {"C": pfn.PfnRules.prefix("/data", "/pnfs/c")}


@dataclass(frozen=True)
class Known:
    """A published file."""

    lfn: str
    data: bytes
    block: BlockKey
    ordinal: int
    home: str


class DamagedWorld:
    """A scenario come true, up to the moment when the first check begins."""

    def __init__(self, scenario: Scenario, store: Store, folder: Path, clock: TwoClocks) -> None:
        self.scenario, self.store, self.folder, self.time = scenario, store, folder, clock
        self.names = NAMES[: scenario.n_sites]
        self.trees = {name: MemoryTree(clock.storage) for name in self.names}
        self.drivers = {name: LyingDriver(clock.storage, tree=self.trees[name]) for name in self.names}
        self.rules = {name: RULES.get(name, pfn.PfnRules()) for name in self.names}
        self.known: dict[str, Known] = {}
        self.flipped: set[str] = set()
        """LFNs of which a copy is bad in a way that nobody sees without reading it."""
        self.failed: dict[str, set[str]] = {name: set() for name in self.names}
        self.doubted: dict[str, set[str]] = {name: set() for name in self.names}
        self.silent: dict[str, set[str]] = {name: set() for name in self.names}
        self.ever_held: set[tuple[str, str]] = set()
        """Site and LFN of what has been held when workers began."""
        self.n_ids = 0
        self.deeds = Deeds(self)
        self.commit(*(c.PutSite(Site(name, (Door("memory", f"/{name}", self.rules[name]),))) for name in self.names))
        self._anchor()
        self._publish(scenario)
        for hurt in scenario.hurts:
            self._hurt(hurt)
        for number, dark in enumerate(scenario.dark):
            self._put_dark(number, dark)
        for flight in scenario.flights:
            self._begin(flight)
        for trouble in scenario.troubles:
            self._spoil(trouble)
        clock.is_past = False

    # ---- what it is made of ------------------------------------------------------

    def commit(self, *changes: c.Change) -> None:
        self.store.commit(c.ChangeSet(changes, actor="test", cause="test"))

    def new_id(self) -> str:
        self.n_ids += 1
        return f"id{self.n_ids:04}"

    def site(self, number: int) -> str:
        return self.names[number % len(self.names)]

    def record(self, site: str) -> Site:
        with self.store.snapshot() as view:
            return view.site(site)

    def path(self, site: str, lfn: str) -> str:
        return pfn.path_of(self.rules[site], lfn) or lfn

    def _anchor(self) -> None:
        """A file at each site that nothing befalls: a site that shows no file at all is not acted on."""
        for site in self.names:
            self.register(DatasetKey(f"anchor{site}", "v1"), site, {"0": {f"{ANCHORS}{site}": b"anchor"}})
            del self.known[f"{ANCHORS}{site}"]

    def _publish(self, scenario: Scenario) -> None:
        for number in (0, 1):
            mine = [(index, file) for index, file in enumerate(scenario.files) if file.block % 2 == number]
            if mine:
                home, key = self.site(number), DatasetKey(f"set{number}", "v1")
                content = {
                    f"{DIRS[file.dir]}/f{index}": (f"file {index} ".encode().ljust(SIZES[file.size], b"."), file)
                    for index, file in mine
                }
                blocks = {
                    f"{block}": {lfn: data for lfn, (data, file) in content.items() if file.block == block}
                    for block in (number, number + 2)
                }
                self.register(key, home, {name: files for name, files in blocks.items() if files})
                for lfn, (_, file) in content.items():
                    for other in sorted({self.site(each) for each in file.also} - {home}):
                        self.give(lfn, other)

    def register(self, key: DatasetKey, home: str, blocks: dict[str, dict[str, bytes]], *, staging: str = "") -> None:
        """Publish files, by block, and put them at their site."""
        self.commit(c.CreateDataset(Dataset(key, staging=Staging(home, staging or f"/nowhere/{key.name}"))))
        for block, content in blocks.items():
            lfns = sorted(content)
            self.commit(c.RegisterFiles(BlockKey(key, block), 0, columns(content), home, verified_us=1))
            for ordinal, lfn in enumerate(lfns):
                self.known[lfn] = Known(lfn, content[lfn], BlockKey(key, block), ordinal, home)
                self.trees[home].put(self.path(home, lfn), content[lfn])
        sizes = [len(data) for content in blocks.values() for data in content.values()]
        self.commit(c.RevealDataset(key, len(sizes), sum(sizes)))

    def give(self, lfn: str, site: str) -> None:
        """Another site has a file, too."""
        file, id = self.known[lfn], self.new_id()
        scope = (BlockFiles(file.block.block, (file.ordinal,)),)
        self.commit(c.RequestCopy(CopyRequest(id, file.block.dataset, site, scope)))
        self.commit(c.FilesArrived(file.block, site, (file.ordinal,), 1), c.CloseRequest(id, RequestState.DONE))
        self.trees[site].put(self.path(site, lfn), file.data)

    def held(self, site: str) -> dict[str, Known]:
        """What the inventory says that a site has, by path."""
        with self.store.snapshot() as view:
            visible = {each.key for each in view.datasets()}
            replicas = {each.block: each for each in view.replicas(site=site) if each.block.dataset in visible}
        return {
            self.path(site, file.lfn): file
            for file in self.known.values()
            if file.block in replicas and replicas[file.block].holds(file.ordinal)
        }

    def awaited(self) -> set[tuple[str, str]]:
        """Site and LFN of what open copies are to bring."""
        with self.store.snapshot() as view:
            scopes = [(each, part) for each in view.copy_requests() for part in each.scope]
        return {
            (request.site, file.lfn)
            for request, part in scopes
            for file in self.known.values()
            if file.block == BlockKey(request.dataset, part.block)
            and (part.ordinals is None or file.ordinal in part.ordinals)
        }

    def there(self, site: str) -> dict[str, Node]:
        """The files that lie at a site, but for its anchor."""
        return {path: node for path, node in self.trees[site].files() if path != self.path(site, f"{ANCHORS}{site}")}

    def directories(self, site: str, top: str = "/") -> dict[str, Node]:
        """The directories of a site below ``top``."""
        found = {
            names.join(top, name): node
            for name, node in self.trees[site].entries(top).items()
            if node.kind is Kind.DIRECTORY
        }
        for path in list(found):
            found |= self.directories(site, path)
        return found

    # ---- what is wrong with it -----------------------------------------------------

    def _hurt(self, hurt: Hurt) -> None:
        site = self.site(hurt.site)
        held = sorted(self.held(site).items())
        if not held:
            return
        path, file = held[hurt.file % len(held)]
        tree = self.trees[site]
        if tree.get(path) != file.data:
            return
        node = tree.find_file(path)
        match hurt.kind:
            case Damage.REMOVED:
                tree.remove(path)
            case Damage.TRUNCATED:
                tree.truncate(path, 3)
            case Damage.FLIPPED:
                tree.flip_byte(path)
                self.flipped.add(file.lfn)
            case Damage.MOVED | Damage.MOVED_LATELY:
                tree.remove(path)
                self.time.is_past = hurt.kind is Damage.MOVED
                self.put_node(site, f"/moved/{names.split(path)[1]}", tree.touched(node))
            case Damage.REWRITTEN_LATELY:
                self.time.is_past = False
                tree.put(path, b"so far")
        self.time.is_past = True

    def put_node(self, site: str, path: str, node: Node) -> None:
        """Set a name, its directory included."""
        self.trees[site].make_directory(names.split(path)[0])
        self.trees[site].put_node(path, node)

    def _put_dark(self, number: int, dark: DarkFile) -> None:
        site = self.site(dark.site)
        tree, directory = self.trees[site], self.path(site, DIRS[dark.dir] + "/x").removesuffix("/x")
        path = f"{directory}/dark{number}"
        data = f"dark {number} ".encode().ljust(SIZES[dark.size], b".")
        if dark.kind is Dark.STRAY:
            held = self.held(site)
            stray = [file for lfn, file in sorted(self.known.items()) if self.path(site, lfn) not in held]
            if not stray:
                return
            file = stray[number % len(stray)]
            path, data = self.path(site, file.lfn), file.data
        if dark.kind is Dark.PART:
            path = f"{directory}/.holdfast-part-{number}abc"
        self.time.is_past = dark.kind is not Dark.YOUNG
        tree.put(path, data)
        self.time.is_past = False
        if dark.kind is Dark.MOVED_IN:
            tree.put_node(path, tree.touched(tree.find_file(path)))
        self.time.is_past = True

    def _begin(self, flight: InFlight) -> None:
        site = self.site(flight.site)
        with suppress(Conflict):
            match flight.kind:
                case Flight.COPY:
                    self.deeds.ask_copy(site, flight.number)
                case Flight.COPY_IN_PLACE:
                    for file in self.deeds.ask_copy(site, flight.number):
                        if not self.trees[site].has(self.path(site, file.lfn)):
                            self.trees[site].put(self.path(site, file.lfn), file.data)
                case Flight.DELETION:
                    self.deeds.ask_deletion(site, flight.number)
                case Flight.DELETION_DONE:
                    for file in self.deeds.ask_deletion(site, flight.number):
                        if self.trees[site].get(self.path(site, file.lfn)) is not None:
                            self.trees[site].remove(self.path(site, file.lfn))
                case Flight.STAGED:
                    self.deeds.stage(site, flight.number)
                case Flight.LOCKED:
                    self.deeds.lock(site, flight.number)

    def _spoil(self, trouble: BadDirectory) -> None:
        site = self.site(trouble.site)
        path = self.path(site, DIRS[trouble.dir] + "/x").removesuffix("/x")
        driver = self.drivers[site]
        if path in self.failed[site] | self.doubted[site] | self.silent[site]:
            return
        if trouble.kind is Trouble.FAILED:
            driver.fail_directory(path, PeerError("input/output error"))
            self.failed[site].add(path)
            return
        doubt = "it broke off" if trouble.kind is Trouble.DOUBTED else ""
        driver.lies[path] = lambda listing: _half(listing, doubt)
        if trouble.kind is Trouble.SILENT:
            driver.blind.add(path)
        (self.silent if trouble.kind is Trouble.SILENT else self.doubted)[site].add(path)

    def heal(self) -> None:
        """From now on every directory shows what is in it."""
        for site, driver in self.drivers.items():
            for path in self.failed[site]:
                driver.heal_directory(path)
            driver.lies.clear()
            driver.blind.clear()
            for places in (self.failed, self.doubted, self.silent):
                places[site].clear()

    # ---- what Holdfast does ----------------------------------------------------------

    def check(self, site: str) -> Report:
        settings = CheckSettings(
            EngineLimits(threads=1),
            with_checksums=self.scenario.with_checksums,
            listing=ListingLimits(in_flight_max=1, attempts=1, pause_s=0.0),
            ignore_age_s=IGNORE_AGE_S,
        )
        done = check.check(
            self.store,
            [self.drivers[site]],
            self.record(site),
            reports=self.folder / "reports",
            settings=settings,
            clock=self.time,
            actor="test",
            run=self.new_id(),
        )
        return asyncio.run(done)

    def findings(self, report: Report) -> list[Finding]:
        return list(findings.read_table(Path(report.folder) / FINDINGS))

    def act(self, report: Report) -> Repair:
        """Ask for all that a report speaks for; gates that refuse everything are right in small worlds, too."""
        asked, found = Repair(), self.findings(report)
        door = self.record(report.site).first_door
        asker = MendingAsker(self.store, self.drivers[report.site], "test", self.time, self.new_id, door)
        lacking = [each for each in found if each.cls in LACKING]

        open_ = open_gates(report)

        async def ask() -> None:
            with suppress(Conflict):
                await repair.repair(asker, report, lacking, asked, gates=open_)
            with suppress(Conflict):
                is_quarantined = self.scenario.is_quarantined
                await removals.delete_orphans(
                    asker, report, found, asked, gates=open_, lacking=found, is_quarantined=is_quarantined
                )
            with suppress(Conflict):
                await removals.remove_empty(asker, report, found, asked, gates=open_)

        asyncio.run(ask())
        return asked

    def work(self) -> None:
        """Carry out all that was asked for, by whomever."""
        settings = OperationsSettings(concurrency=2, attempts_max=1, retry_delay_s_min=0.0, retry_delay_s_max=0.0)
        running = executor.run(
            self.store, dict(self.drivers), settings=settings, clock=self.time, workers_dir=self.folder / "workers"
        )
        asyncio.run(running)


@dataclass
class TwoClocks:
    """The time; and what storages take for it, which is ten days ago as long as ``is_past``.

    It goes on with every look of ours: two changes that have one time may be taken for one, and nothing is said then.
    """

    now_us: int = NOW_US
    is_past: bool = True

    def __call__(self) -> int:
        self.now_us += 1
        return self.now_us

    def storage(self) -> int:
        return self.now_us - 10 * DAY_US if self.is_past else self.now_us


def open_gates(report: Report) -> Gates:
    """No limits and no confirmation: the less stands in the way, the more can be done wrongly."""
    settings = SiteConsistencySettings(
        missing_fraction_max=1.0,
        orphans_max=1000,
        orphans_of_actual_max=1.0,
        shrunk_fraction_max=1.0,
        orphan_runs=1,
        orphan_over_days=0.0,
        empty_directories_of_listed_max=1.0,
    )
    return gates(report, report.counts, GateSettings.of(settings), SiteState(report.site), None)


def columns(content: dict[str, bytes]) -> FileColumns:
    """The files of a block, in the order of their LFNs."""
    lfns = sorted(content)
    dirs = sorted({names.split(lfn)[0] for lfn in lfns})
    digests = [digests_of(content[lfn], ("adler32", "sha256")) for lfn in lfns]
    return FileColumns(
        tuple(dirs),
        tuple(dirs.index(names.split(lfn)[0]) for lfn in lfns),
        tuple(names.split(lfn)[1] for lfn in lfns),
        tuple(len(content[lfn]) for lfn in lfns),
        {name: tuple(digest[name] for digest in digests) for name in ("adler32", "sha256")},
    )


def _half(listing: DirectoryListing, doubt: str) -> DirectoryListing:
    return replace(listing, entries=listing.entries[::2], doubt=doubt)
