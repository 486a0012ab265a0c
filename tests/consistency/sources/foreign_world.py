"""A site in memory and somebody else's catalogue of it, for the tests of foreign checks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from consistency.sources.catalogues import BERN, LIMITS
from holdfast.consistency import findings
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.report import FINDINGS
from holdfast.consistency.sources import catalogue_table
from holdfast.consistency.sources.foreign_check import run_foreign_check
from holdfast.consistency.sources.foreign_report import ForeignReport
from holdfast.consistency.sources.inventory import Inventory, Written
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.limits import ListingLimits
from holdfast.testing.memory_driver import MemoryDriver

NOW_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000
CONTENT = {f"/data/{folder}/{name}": f"{folder}{name}".encode() * 9 for folder in "ab" for name in "xyz"}


class Catalogue:
    """Somebody's catalogue: sizes by path, and the state of those that are not simply there."""

    label = "a catalogue of the tests"

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self.asked = 0

    def write(self, site: Site, target: Path) -> Written:
        """What it says now."""
        self.asked += 1
        paths = sorted(self.sizes)
        columns = {
            "path": pa.array(paths, pa.string()),
            "size": pa.array([self.sizes[path] for path in paths], pa.int64()),
            "state": pa.array([self.states.get(path, "A") for path in paths], pa.string()),
        }
        return catalogue_table.write_batches([pa.record_batch(columns)], site, target, place=self.label)


@dataclass
class ForeignWorld:
    """BERN, whose files a catalogue of another kind knows: ``CONTENT`` is there, and in it."""

    folder: Path
    site: Site = BERN
    now_us: int = NOW_US
    catalogue: Catalogue = field(default_factory=Catalogue)
    runs: int = 0

    def __post_init__(self) -> None:
        self.driver = MemoryDriver(self.old)
        for path, content in CONTENT.items():
            self.add(path, content)

    def clock(self) -> int:
        return self.now_us

    def old(self) -> int:
        """What the storage takes for the time of what is written: old enough to be judged."""
        return self.now_us - 10 * DAY_US

    def add(self, path: str, content: bytes = b"content") -> None:
        """A file, and the catalogue's word for it, in the order in which they come to be."""
        self.driver.put(path, content)
        self.catalogue.sizes[path] = len(content)

    def remove(self, path: str) -> None:
        """Delete a file; the catalogue knew it first."""
        del self.catalogue.sizes[path]
        self.lose(path)

    def lose(self, path: str) -> None:
        """Delete a file behind the catalogue's back."""
        self.driver.tree.remove(path)

    def while_listing(self, event: Callable[[str], None]) -> None:
        """Have ``event`` called with each directory right before it is listed."""

        def faults(operation: str, path: str) -> None:
            if operation in ("list", "pages"):
                event(path)

        self.driver.faults = faults

    def report(
        self,
        *,
        before: Inventory | None = None,
        after: Inventory | None = None,
        is_after_there: bool = True,
        doors: Sequence[StorageDriver] = (),
        **settings: object,
    ) -> ForeignReport:
        """Check the site, by its catalogue if not by something else."""
        self.runs += 1
        first = before or self.catalogue
        chosen = CheckSettings(LIMITS, **{"listing": ListingLimits(in_flight_max=1), **settings})  # type: ignore[arg-type]
        done = run_foreign_check(
            first,
            (after or first) if is_after_there else None,
            self.site,
            doors or [self.driver],
            reports=self.folder / "reports",
            settings=chosen,
            clock=self.clock,
            run=f"run{self.runs}",
        )
        return asyncio.run(done)

    def check(self, **settings: object) -> dict[Class, list[str]]:
        """The paths that were found, by class."""
        return self.by_class(self.report(**settings))  # type: ignore[arg-type]

    def by_class(self, report: ForeignReport) -> dict[Class, list[str]]:
        found: dict[Class, list[str]] = {}
        for finding in self.findings(report):
            found.setdefault(finding.cls, []).append(finding.path)
        return found

    def findings(self, report: ForeignReport) -> list[Finding]:
        return list(findings.read_table(Path(report.folder) / FINDINGS))

    def reasons(self, report: ForeignReport) -> dict[str, str]:
        """Why what is ignored is so, by path."""
        return {each.path: each.reason for each in self.findings(report) if each.cls is Class.IGNORED}
