"""A small world for the tests of check: two sites in memory, one dataset at both, a clock that stands still."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.config import OperationsSettings, SiteConsistencySettings
from holdfast.consistency import findings
from holdfast.consistency.checking import check
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import LACKING, Class
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
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, Door, FileColumns, RequestState, Site, Staging
from holdfast.operations import executor
from holdfast.storage.digest import digests_of
from holdfast.storage.listing.limits import ListingLimits
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.memory_store import MemoryStore

DATASET = DatasetKey("sky", "v1")
BLOCK = BlockKey(DATASET, "0000")
DAY_US = 86_400_000_000
NOW_US = 1_700_000_000_000_000
CONTENT = {f"/data/{folder}/{name}": f"{folder}{name}".encode() * 9 for folder in "ab" for name in "xyz"}
LIMITS = EngineLimits(threads=1)


@dataclass
class World:
    """Sites ``home`` (good) and ``away`` (to be checked); ``CONTENT`` is published and at both."""

    folder: Path
    rules: pfn.PfnRules = field(default_factory=pfn.PfnRules)
    now_us: int = NOW_US
    ids: int = 0

    def __post_init__(self) -> None:
        self.store: Store = MemoryStore(clock=self.clock, epoch="e1")
        self.home, self.away = (MemoryDriver(self.old) for _ in range(2))
        for name, rules in (("home", pfn.PfnRules()), ("away", self.rules)):
            self.commit(c.PutSite(Site(name, (Door("memory", f"/{name}", rules),))))
        self.publish(DATASET, CONTENT)
        for path, content in CONTENT.items():
            self.away.put(pfn.path_of(self.rules, path) or path, content)
        self.arrive(DATASET, tuple(range(len(CONTENT))))

    def clock(self) -> int:
        return self.now_us

    def old(self) -> int:
        """What the storages take for the time of what is written: old enough to be judged."""
        return self.now_us - 10 * DAY_US

    def commit(self, *changes: c.Change) -> None:
        self.store.commit(c.ChangeSet(changes, actor="test", cause="test"))

    def publish(self, key: DatasetKey, content: dict[str, bytes]) -> None:
        """Put files at home and register them there."""
        paths = sorted(content)
        for path in paths:
            self.home.put(path, content[path])
        dirs = sorted({names.split(path)[0] for path in paths})
        digests = [digests_of(content[path], ("adler32", "sha256")) for path in paths]
        files = FileColumns(
            tuple(dirs),
            tuple(dirs.index(names.split(path)[0]) for path in paths),
            tuple(names.split(path)[1] for path in paths),
            tuple(len(content[path]) for path in paths),
            {name: tuple(digest[name] for digest in digests) for name in ("adler32", "sha256")},
        )
        self.commit(c.CreateDataset(Dataset(key, staging=Staging("home", "/data"))))
        self.commit(c.RegisterFiles(BlockKey(key, "0000"), 0, files, "home", verified_us=1))
        self.commit(c.RevealDataset(key, len(files), sum(files.sizes)))

    def arrive(self, key: DatasetKey, ordinals: tuple[int, ...]) -> None:
        """Say that files of ``key`` are away, through a copy request that is then closed."""
        self.ids += 1
        request = CopyRequest(f"setup{self.ids}", key, "away", (BlockFiles("0000"),))
        self.commit(c.RequestCopy(request))
        self.commit(c.FilesArrived(BlockKey(key, "0000"), "away", ordinals, 1))
        self.commit(c.CloseRequest(request.id, RequestState.DONE))

    def remove(self, path: str) -> None:
        """Delete a file away, behind everybody's back."""
        asyncio.run(self.away.delete(path))

    def record(self, site: str) -> Site:
        with self.store.snapshot() as view:
            return view.site(site)

    def check(self, **settings: object) -> tuple[Report, dict[Class, list[str]]]:
        """A report, and the paths of its findings by class."""
        report = self.report(**settings)
        by_class: dict[Class, list[str]] = {}
        for finding in self.findings(report):
            by_class.setdefault(finding.cls, []).append(finding.path)
        return report, by_class

    def report(self, **settings: object) -> Report:
        return self.report_of("away", **settings)

    def report_of(self, site: str, **settings: object) -> Report:
        self.ids += 1
        chosen = CheckSettings(LIMITS, **{"listing": ListingLimits(in_flight_max=2), **settings})  # type: ignore[arg-type]
        done = check.check(
            self.store,
            [self.away],
            self.record(site),
            reports=self.folder / "reports",
            settings=chosen,
            clock=self.clock,
            actor="test",
            run=f"run{self.ids}",
        )
        return asyncio.run(done)

    def findings(self, report: Report) -> list[Finding]:
        return list(findings.read_table(Path(report.folder) / FINDINGS))

    def asker(self, *, dry_run: bool = False) -> MendingAsker:
        door = self.record("away").first_door
        return MendingAsker(self.store, self.away, "test", self.clock, self.new_id, door, dry_run)

    def new_id(self) -> str:
        self.ids += 1
        return f"id{self.ids}"

    def gates(self, report: Report, **limits: float) -> Gates:
        """The gates of a report as of one that was made once; ``limits`` are settings, else there are none."""
        open_ = {
            "missing_fraction_max": 1.0,
            "orphans_max": 1000,
            "orphans_of_actual_max": 1.0,
            "shrunk_fraction_max": 1.0,
        }
        once = {"orphan_runs": 1, "orphan_over_days": 0.0, "empty_directories_of_listed_max": 1.0}
        settings = SiteConsistencySettings(**{**open_, **once, **limits})
        return gates(report, report.counts, GateSettings.of(settings), SiteState(report.site), None)

    def repair(self, report: Report, *, fraction_max: float = 1.0, dry_run: bool = False) -> Repair:
        asked, open_ = Repair(), self.gates(report, missing_fraction_max=fraction_max)
        lacking = [finding for finding in self.findings(report) if finding.cls in LACKING]
        asker = self.asker(dry_run=dry_run)
        asyncio.run(repair.repair(asker, report, lacking, asked, gates=open_))
        return asked

    def delete_orphans(
        self,
        report: Report,
        limit: int,
        *,
        fraction_max: float = 1.0,
        is_quarantined: bool = False,
        is_again: bool = False,
        dry_run: bool = False,
    ) -> Repair:
        asked, found = Repair(), self.findings(report)
        open_ = self.gates(report, missing_fraction_max=fraction_max, orphans_max=limit)
        asker = self.asker(dry_run=dry_run)
        done = removals.delete_orphans(
            asker,
            report,
            found,
            asked,
            gates=open_,
            lacking=found,
            is_quarantined=is_quarantined,
            is_again=is_again,
        )
        asyncio.run(done)
        return asked

    def remove_empty(self, report: Report, *, is_again: bool = False, dry_run: bool = False) -> Repair:
        asked, found = Repair(), self.findings(report)
        asker, open_ = self.asker(dry_run=dry_run), self.gates(report)
        asyncio.run(removals.remove_empty(asker, report, found, asked, gates=open_, is_again=is_again))
        return asked

    def work(self) -> None:
        """Carry out all that was asked for."""
        drivers = {"home": self.home, "away": self.away}
        settings = OperationsSettings(concurrency=2, attempts_max=2, retry_delay_s_min=0.0, retry_delay_s_max=0.0)
        workers = self.folder / "workers"
        asyncio.run(executor.run(self.store, drivers, settings=settings, clock=self.clock, workers_dir=workers))

    def at_away(self) -> dict[str, bytes]:
        """What lies away, by path."""
        return {path: self.away.get(path) or b"" for path in self.away.paths()}
