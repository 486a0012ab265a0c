"""Sites in memory: checked, repaired and cleaned by the Python API, as a program does it.

The first of the two is damaged, the second has everything. No command knows
their protocol: the trial's own process is the worker, of these requests only.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.config import ConsistencySettings, OperationsSettings, SiteConsistencySettings
from holdfast.consistency import findings
from holdfast.consistency.checking import check as checking
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.comparing.duckdb_session import engine_limits
from holdfast.consistency.mending import acting
from holdfast.consistency.mending.acting import Acted, Wishes
from holdfast.consistency.mending.acting_tools import ActingTools
from holdfast.consistency.report import FINDINGS, Report
from holdfast.inventory.store import Store
from holdfast.model.clock import SECOND_US, system_clock
from holdfast.model.records import Request
from holdfast.operations import executor
from holdfast.operations.requests import random_id
from holdfast.testing.memory_driver import MemoryDriver
from trial.book import Book, Content
from trial.files import File, adler32, files_of
from trial.real_sites import PAST_S
from trial.verdict import Seen

ACTOR = "trial"


def past_us() -> int:
    """When everything was written that is not said to be young."""
    return system_clock() - PAST_S * SECOND_US


@dataclass(frozen=True)
class MemorySite:
    """A site and its driver."""

    name: str
    refuses = True
    removes_empty = True
    driver: MemoryDriver = field(default_factory=lambda: MemoryDriver(past_us))

    def put_block(self, block: int) -> None:
        """Write a whole block."""
        for file in files_of(block):
            self.put(file.lfn, file)

    def put(self, path: str, file: File, *, is_young: bool = False) -> None:
        """Write the bytes of ``file`` under ``path``."""
        self.driver.put(path, file.data, mtime_ns=time.time_ns() if is_young else None)

    def remove(self, path: str) -> None:
        """Delete a file."""
        self.driver.tree.remove(path)

    def remove_tree(self, path: str) -> None:
        """Delete a directory with all files in it."""
        for name in list(self.driver.tree.entries(path)):
            self.driver.tree.remove(f"{path}/{name}")
        self.driver.tree.remove(path)

    def truncate(self, path: str, size: int) -> None:
        """Cut a file off."""
        self.driver.truncate(path, size)

    def alter(self, path: str) -> None:
        """Change the first byte of a file."""
        self.driver.flip_byte(path)

    def lock(self, path: str) -> None:
        """Let nobody look into a directory."""
        self.driver.fail_directory(path)

    def unlock(self, path: str) -> None:
        """Let it be looked into again."""
        self.driver.heal_directory(path)

    def make_empty(self, path: str) -> None:
        """Make an old directory without anything in it."""
        self.driver.tree.make_directory(path)

    def seen(self) -> Seen:
        """All files with their bytes, and all directories."""
        tree = self.driver.tree
        files = {path: _content(node.data) for path, node in tree.files()}
        return Seen(files, tree.directories())


def _content(data: bytes) -> Content:
    # Zeros at the end are not read: there are very many.
    head = data.rstrip(b"\0")
    return Content(len(data), adler32(head, len(data)))


class MemoryLoop:
    """Checks these sites and puts them right; what is found is noted in the book."""

    def __init__(self, store: Store, sites: list[MemorySite], book: Book, folder: Path) -> None:
        self._store, self._book, self._folder = store, book, folder
        self._sites = {site.name: site for site in sites}
        # There are no three weeks: what is found counts at once; and a great part of so few files is damaged.
        configured = SiteConsistencySettings(
            orphan_runs=1,
            orphan_over_days=0.0,
            missing_fraction_max=0.5,
            orphans_of_actual_max=0.5,
            empty_directories_of_listed_max=0.5,
        )
        self._settings = ConsistencySettings().with_sites(dict.fromkeys(self._sites, configured))

    def check(self, name: str, *, act: bool) -> Report:
        """Check one site with checksums; with ``act`` ask for all that puts it right, and carry it out."""
        with self._store.snapshot() as view:
            record = view.site(name)
        driver, limits = self._sites[name].driver, engine_limits()
        report = asyncio.run(
            checking.check(
                self._store,
                [driver],
                record,
                reports=self._folder / "reports",
                settings=CheckSettings(limits, with_checksums=True, afresh=True),
                clock=system_clock,
                actor=ACTOR,
                run=f"memory-{random_id()}",
            )
        )
        for finding in findings.read_table(Path(report.folder) / FINDINGS):
            self._book.note(name, finding.cls.value, finding.path)
        if act:
            tools = ActingTools(self._store, record, self._settings, ACTOR, system_clock, random_id)
            wishes = Wishes(copies=True, orphans=True, empty_directories=True)
            asyncio.run(acting.act(tools, driver, report, wishes, Acted()))
            self._work()
        return report

    def _work(self) -> None:
        """Carry out what is open for these sites."""
        with self._store.snapshot() as view:
            open_: list[Request] = [*view.copy_requests(), *view.deletion_requests()]
        asyncio.run(
            executor.run(
                self._store,
                {name: site.driver for name, site in self._sites.items()},
                settings=OperationsSettings(concurrency=16),
                clock=system_clock,
                workers_dir=self._folder / "workers",
                only=[request.id for request in open_ if request.site in self._sites],
            )
        )
