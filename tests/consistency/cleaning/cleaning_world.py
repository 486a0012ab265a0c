"""A small world for the tests of cleaning: two sites in memory, one of them with an area, a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.config import OperationsSettings
from holdfast.consistency import findings
from holdfast.consistency.checking import check
from holdfast.consistency.checking.ignored import NOTHING, Ignored
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning.areas import DAY_S, Area
from holdfast.consistency.cleaning.areas_cleaning import ProtectedSources, clean_areas
from holdfast.consistency.cleaning.cleaned import Cleaned
from holdfast.consistency.cleaning.limits import NO_LIMITS, GoingLimits
from holdfast.consistency.cleaning.protecting.lists import Belief
from holdfast.consistency.cleaning.quarantine_purge import purge_quarantine
from holdfast.consistency.cleaning.tools import CleaningTools
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.history.states import SiteState
from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model import names, pfn
from holdfast.model.errors import HoldfastError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, Door, FileColumns, RequestState, Site, Staging
from holdfast.operations import executor
from holdfast.storage.driver import Kind
from holdfast.storage.listing.limits import ListingLimits
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.memory_store import MemoryStore

DAY_US = 86_400_000_000
NOW_US = 1_700_000_000_000_000
"""2023-11-14 22:13:20."""
AREA = Area("/store/unmerged", 28 * DAY_S)
ELSEWHERE = "/store/unmerged/of-nobody"
"""A protected path that protects nothing which is there."""
LIMITS = EngineLimits(threads=1)
BELIEF = Belief()


@dataclass
class Told:
    """A source that says what it is told to, the last of it again and again."""

    lists: list[Sequence[str] | HoldfastError]
    name: str = "told"
    asked: int = 0

    async def paths(self, site: str) -> tuple[str, ...]:
        answer = self.lists[min(self.asked, len(self.lists) - 1)]
        self.asked += 1
        if isinstance(answer, HoldfastError):
            raise answer
        return tuple(answer)


@dataclass
class World:
    """The site ``away`` is to be cleaned; ``home`` has good copies of what is registered."""

    folder: Path
    rules: pfn.PfnRules = field(default_factory=pfn.PfnRules)
    now_us: int = NOW_US
    age_us: int = 100 * DAY_US
    """How old what is put somewhere is."""
    ids: int = 0
    checks: int = 0
    mode: str = "act"
    state: str = "ready"
    ignored: Ignored = NOTHING

    def __post_init__(self) -> None:
        self.store: Store = MemoryStore(clock=self.clock, epoch="e1")
        self.home, self.away = (MemoryDriver(lambda: self.now_us - self.age_us) for _ in range(2))
        for name, rules in (("home", pfn.PfnRules()), ("away", self.rules)):
            self.commit(c.PutSite(Site(name, (Door("memory", f"/{name}", rules),))))

    def clock(self) -> int:
        return self.now_us

    def commit(self, *changes: c.Change) -> None:
        self.store.commit(c.ChangeSet(changes, actor="test", cause="test"))

    def put(self, path: str, content: bytes = b"x", *, days: float = 100) -> None:
        """A file away, written and moved there so many days ago."""
        before, self.age_us = self.age_us, round(days * DAY_US)
        self.away.put(path, content)
        self.age_us = before

    def make(self, path: str, *, days: float = 100) -> None:
        """A directory away, made so many days ago."""
        before, self.age_us = self.age_us, round(days * DAY_US)
        self.away.tree.make_directory(path)
        self.age_us = before

    def register(self, name: str, content: dict[str, bytes], *, at_away: bool = True) -> None:
        """A dataset of these LFNs, at home, and by the inventory's word also away."""
        key = DatasetKey(name)
        paths = sorted(content)
        dirs = sorted({names.split(path)[0] for path in paths})
        files = FileColumns(
            tuple(dirs),
            tuple(dirs.index(names.split(path)[0]) for path in paths),
            tuple(names.split(path)[1] for path in paths),
            tuple(len(content[path]) for path in paths),
            {},
        )
        self.commit(c.CreateDataset(Dataset(key, staging=Staging("home", dirs[0]))))
        self.commit(c.RegisterFiles(BlockKey(key, "0000"), 0, files, "home", verified_us=1))
        self.commit(c.RevealDataset(key, len(files), sum(files.sizes)))
        if at_away:
            self.commit(c.RequestCopy(CopyRequest(f"copy-{name}", key, "away", (BlockFiles("0000"),))))
            self.commit(c.FilesArrived(BlockKey(key, "0000"), "away", tuple(range(len(paths))), 1))
            self.commit(c.CloseRequest(f"copy-{name}", RequestState.DONE))

    def tools(self, *, dry_run: bool = False, again: bool = False) -> CleaningTools:
        return CleaningTools(
            store=self.store,
            site="away",
            reports=self.folder / "reports",
            actor="test",
            clock=self.clock,
            new_id=self.new_id,
            state=lambda: SiteState("away", self.state, self.mode),
            limits=LIMITS,
            listing=ListingLimits(in_flight_max=2, pause_s=0.0),
            ignored=self.ignored,
            dry_run=dry_run,
            again=again,
        )

    def new_id(self) -> str:
        self.ids += 1
        return f"id{self.ids}"

    def clean(
        self,
        *protected: str,
        areas: Sequence[Area] = (AREA,),
        source: Told | None = None,
        limits: GoingLimits = NO_LIMITS,
        dry_run: bool = False,
        again: bool = False,
        despite_shrunk: bool = False,
        belief: Belief = BELIEF,
    ) -> Cleaned:
        """Clean the areas; ``protected`` is what a source says, unless there is one."""
        protecting = ProtectedSources([source or Told([protected or (ELSEWHERE,)])], belief, despite_shrunk)
        return asyncio.run(
            clean_areas(self.tools(dry_run=dry_run, again=again), [self.away], areas, protecting, limits)
        )

    def clean_by(self, sources: Sequence[Told]) -> Cleaned:
        """Clean the area, with several sources."""
        return asyncio.run(clean_areas(self.tools(), [self.away], [AREA], ProtectedSources(sources, BELIEF), NO_LIMITS))

    def check(self) -> None:
        """Check the site, as has to be done before a purge."""
        settings = CheckSettings(LIMITS, listing=ListingLimits(in_flight_max=2))
        self.checks += 1
        with self.store.snapshot() as view:
            record = view.site("away")
        done = check.check(
            self.store,
            [self.away],
            record,
            reports=self.folder / "reports",
            settings=settings,
            clock=self.clock,
            actor="test",
            run=f"run{self.checks:03}",
        )
        asyncio.run(done)

    def purge(self, *, days: float = 30, dry_run: bool = False, is_checked: bool = True) -> Cleaned:
        """Purge the quarantine, after a check of the site."""
        if is_checked:
            self.check()
        tools = self.tools(dry_run=dry_run)
        return asyncio.run(purge_quarantine(tools, [self.away], quarantine_days=days, check_days=7))

    def asked(self) -> list[str]:
        """All paths that open requests take, sorted."""
        with self.store.snapshot() as view:
            requests = view.deletion_requests(site="away")
        return sorted(request.path(number) for request in requests for number in range(request.n_paths))

    def work(self) -> None:
        """Carry out all that was asked for."""
        drivers = {"home": self.home, "away": self.away}
        settings = OperationsSettings(concurrency=2, attempts_max=2, retry_delay_s_min=0.0, retry_delay_s_max=0.0)
        workers = self.folder / "workers"
        asyncio.run(executor.run(self.store, drivers, settings=settings, clock=self.clock, workers_dir=workers))

    def directories(self) -> list[str]:
        """The directories away, sorted."""
        return sorted(path for path in self.away.tree._entries if path != "/")

    def kind(self, path: str) -> Kind:
        return self.away.tree.find(path).kind


def left(cleaned: Cleaned) -> dict[str, str]:
    """What stays, but for what is too young, with the reason."""
    assert cleaned.decisions is not None
    return {each.path: each.reason for each in findings.read_table(cleaned.decisions, (Class.IGNORED,))}
