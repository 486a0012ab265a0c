"""The simulated world: three storages, a durable store, a clock, and what is true of them.

Here is kept what only the simulator can know: every content a path ever had,
which bytes each LFN stands for, what was damaged by whom. The code under test
never sees it; the checkers judge by it alone.

Rules
  * The storages and the store's disk outlive processes; everything else is
    made anew after a crash.
  * ``mirror`` is how each storage looked when the simulator last looked: what
    differs from it afterwards was done by the code under test.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from holdfast.config import SiteConsistencySettings
from holdfast.consistency.history.states import Mode, State
from holdfast.inventory.store import Head, Snapshot
from holdfast.model.changes import Change, ChangeSet, PutLock, PutSite
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.names import DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Door, Lock, Site, SiteStatus
from holdfast.storage.driver import Kind
from holdfast.testing.memory_driver import FULL, MemoryDriver
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.memory_tree import MemoryTree, Node
from holdfast.testing.simulation.faults import Faults
from holdfast.testing.simulation.timeless import SimulatedClock
from holdfast.testing.simulation.watched_store import WatchedStore

SITES = ("A", "B", "C")
VOLUME = {"A": "", "B": "", "C": "/vol"}
"""C keeps everything below another directory, by its rules."""
ANCHOR = "/keep/anchor"
"""A locked file that nobody knows, at every site: it has to outlive everything."""
CHUNK_BYTES = 16
IGNORE_AGE_S = 3600
DAY_S = 86_400
WEEK_NS = 7 * DAY_S * 1_000_000_000
AREA = "/unmerged"
"""The production area of a site, below its volume: it is cleaned by age, and no check looks at it."""


@dataclass
class Source:
    """A directory that somebody publishes, or will."""

    site: str
    directory: str
    key: DatasetKey
    is_published: bool = False


@dataclass
class World:
    """Everything that is, and what the simulator knows of it."""

    seed: int
    folder: Path
    source: random.Random = field(init=False)
    favourite: str = field(init=False)
    """The site at which most is done."""
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    trees: dict[str, MemoryTree] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    settings: dict[str, SiteConsistencySettings] = field(default_factory=dict)
    """What has to be so at each site before anything is done about differences."""
    said: dict[str, tuple[State, Mode]] = field(default_factory=lambda: dict.fromkeys(SITES, (State.READY, Mode.ACT)))
    """What people have said of each site."""
    protected: dict[str, set[str]] = field(default_factory=lambda: {site: set() for site in SITES})
    """By site, the directories of its area that running workflows need."""
    failing: dict[str, set[str]] = field(default_factory=lambda: {site: set() for site in SITES})
    unmounted: set[str] = field(default_factory=set)
    """Sites that show an empty tree instead of their files, and take nothing."""
    acknowledged: list[Head] = field(default_factory=list)
    faults: Faults = field(init=False)
    sources: list[Source] = field(default_factory=list)
    mirror: dict[str, dict[str, Node]] = field(default_factory=dict)
    folders: dict[str, set[str]] = field(default_factory=dict)
    """The directories of each storage, as ``mirror`` is of files."""
    meanwhile: dict[str, list[dict[str, Node]]] = field(default_factory=dict)
    """By site, how its storage has looked since a check of it began that has not ended yet."""
    ever: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    """By site and path: every content it ever had by the hand of people, by sha256."""
    content: dict[str, bytes] = field(default_factory=dict)
    """What the files of published datasets are, by LFN."""
    damaged: set[tuple[str, str]] = field(default_factory=set)
    """Good files that the simulator has broken, by site and LFN, until the inventory says that they are gone."""
    counts: Counter[str] = field(default_factory=Counter)
    """What people, disks and clocks have done, by kind."""
    n_ids: int = 0

    def __post_init__(self) -> None:
        self.source = random.Random(f"{self.seed}:deeds")
        self.faults = Faults(random.Random(f"{self.seed}:faults"))
        kinds = (FULL, FULL, replace(FULL, atomic_rename=False), replace(FULL, rename=False))
        self.capabilities = {site: self.source.choice(kinds) for site in SITES}
        self.favourite = self.source.choice(SITES)
        self.settings = {site: self._drawn_settings(site) for site in SITES}
        self.store = WatchedStore(MemoryStore(clock=self.clock, faults=self._on_store), self.acknowledged)
        for site in SITES:
            self.trees[site] = MemoryTree(self.clock)
            rules = PfnRules.prefix("", VOLUME[site]) if VOLUME[site] else PfnRules()
            self.sites[site] = Site(site, (Door("memory", f"memory:{site}", rules),))
            self.put(site, self.path(site, ANCHOR), b"anchor", age_ns=WEEK_NS)
        anchor = Lock("anchor", "people", lfn=ANCHOR, reason="it must stay")
        self.commit(*(PutSite(site) for site in self.sites.values()), PutLock(anchor))
        self.look()

    def _drawn_settings(self, site: str) -> SiteConsistencySettings:
        """Settings as people have them, but with fewer runs and shorter times, for sites as small as these."""
        choice = self.source.choice
        return SiteConsistencySettings(
            ignore_age_s=IGNORE_AGE_S,
            ignore_directories=(self.path(site, AREA),),
            missing_fraction_max=choice((0.4, 0.7, 1.0)),
            missing_runs=choice((1, 2)),
            wrong_runs=choice((1, 1, 2)),
            lost_runs=2,
            orphans_max=choice((6, 20)),
            orphans_of_actual_max=choice((0.3, 0.7)),
            orphan_runs=choice((2, 2, 3)),
            orphan_over_days=choice((0.2, 0.5)),
            empty_directories_of_listed_max=choice((0.15, 0.8, 0.8)),
            shrunk_fraction_max=choice((0.3, 0.5)),
            quarantine=self.capabilities[site].rename,
            quarantine_days=choice((0.0, 0.5, 1.0)),
            quarantine_check_days=choice((3.0, 10.0)),
        )

    # ---- for the deeds -------------------------------------------------------------

    def some_site(self) -> str:
        """A site; mostly the one that this world is about, so that more than one thing happens at it."""
        return self.favourite if self.source.random() < 0.5 else self.source.choice(SITES)

    def new_id(self) -> str:
        """An identifier, also fit for naming parts."""
        self.n_ids += 1
        return f"id{self.n_ids}"

    def commit(self, *changes: Change) -> None:
        """What people do to the inventory."""
        self.in_peace(lambda: self.store.commit(ChangeSet(changes, actor="people", cause="simulated")))

    def in_peace(self, act: Callable[[], object]) -> None:
        """Something that people do; it never fails by chance, and that it is refused is their business."""
        faults, self.faults = self.faults, Faults(random.Random(0))
        try:
            act()
        except (Conflict, BadInput):
            pass
        finally:
            self.faults = faults

    def driver(self, site: Site) -> MemoryDriver:
        """A new driver for a site, as a process opens one."""
        name, is_empty = site.name, site.name in self.unmounted
        capabilities = self.capabilities[name]
        driver = MemoryDriver(
            self.clock,
            label=name,
            capabilities=replace(capabilities, writable=False) if is_empty else capabilities,
            faults=lambda operation, path: self.faults.on_driver(name, operation, path),
            tree=MemoryTree(self.clock) if is_empty else self.trees[name],
            chunk_bytes=CHUNK_BYTES,
        )
        for directory in self.failing[name]:
            driver.fail_directory(directory)
        return driver

    def die(self) -> None:
        """The process dies now: nothing that it does from here on reaches a storage or the store."""
        self.trees = {site: tree.copy() for site, tree in self.trees.items()}
        self.store = WatchedStore(self.store.inner.reopen(), self.acknowledged)

    def set_status(self, site: str, status: SiteStatus) -> None:
        """A person says whether a site may be used."""
        self.sites[site] = replace(self.sites[site], status=status)
        self.commit(PutSite(self.sites[site]))

    # ---- storages, behind everybody's back --------------------------------------------

    def path(self, site: str, lfn: str) -> str:
        """Where a file lies at a site."""
        return VOLUME[site] + lfn

    def lfn(self, site: str, path: str) -> str:
        """Which file lies there; "" if it can be none."""
        return path.removeprefix(VOLUME[site]) if path.startswith(VOLUME[site]) else ""

    def put(self, site: str, path: str, data: bytes, *, age_ns: int = 0) -> None:
        """A person writes a file, or has written it some time ago."""
        tree, at_ns = self.trees[site], self.clock() * 1000 - age_ns
        tree.put(path, data)
        tree.put_node(path, replace(tree.find_file(path), mtime_ns=at_ns, changed_ns=at_ns))
        self.note(site, path, data)

    def note(self, site: str, path: str, data: bytes) -> None:
        """A path has had this content by the hand of people."""
        self.ever.setdefault((site, path), {})[sha256(data).hexdigest()] = data

    def put_directory(self, site: str, path: str, *, age_ns: int) -> None:
        """A person has made a directory some time ago."""
        tree, at_ns = self.trees[site], self.clock() * 1000 - age_ns
        tree.make_directory(path)
        tree.put_node(path, replace(tree.find(path), mtime_ns=at_ns, changed_ns=at_ns))

    def files(self, site: str) -> dict[str, Node]:
        """Every file at a site, by path."""
        return dict(sorted((path, node) for path, node in self.trees[site].files() if node.kind is Kind.FILE))

    def is_right(self, site: str, lfn: str) -> bool:
        """Whether a site has the bytes that an LFN stands for."""
        return self.trees[site].get(self.path(site, lfn)) == self.content[lfn]

    def mark_damage(self, site: str, path: str) -> None:
        """What people do to a file that is known is damage."""
        lfn = self.lfn(site, path)
        if lfn in self.content and not self.is_right(site, lfn):
            self.damaged.add((site, lfn))

    def shown(self, site: str) -> dict[str, Node]:
        """The files that a site shows: none where it is not mounted."""
        return {} if site in self.unmounted else self.mirror[site]

    def look(self) -> None:
        """Take what lies at the storages now as seen."""
        self.mirror = {site: self.files(site) for site in SITES}
        self.folders = {site: set(self.trees[site].directories()) for site in SITES}
        for site, looks in self.meanwhile.items():
            looks.append(self.shown(site))

    def held(self, view: Snapshot, site: str) -> dict[str, tuple[DatasetKey, int]]:
        """The LFNs that the inventory says are there, with dataset and size."""
        found = {}
        for replica in view.replicas(site=site):
            files = view.files(replica.block)
            lfns = list(files.lfns())
            for ordinal in replica.files(len(lfns)):
                found[lfns[ordinal]] = (replica.block.dataset, files.sizes[ordinal])
        return found

    def _on_store(self, point: str) -> None:
        self.faults.on_store(point)
