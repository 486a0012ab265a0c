"""Runs of sites as a check tells of them, on any store, with a clock that stands still and locks that are real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from holdfast.consistency.classes import Class
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.states import States
from holdfast.consistency.report import Report, write_json
from holdfast.consistency.resumable import LOCK
from holdfast.inventory.store import Store
from holdfast.model.clock import SECOND_US
from holdfast.storage.listing.folder_lock import FolderLock

POSTGRES = pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.real("postgresql")])
"""The store on a server, among the parameters of a test."""

NOW_US = 1_700_000_000 * SECOND_US


def a_report(site: str = "A", run: str = "run1", **more: object) -> Report:
    """A report in which everything agrees, but for what is said."""
    counts = dict.fromkeys(Class, 0) | {cls: more.pop(cls.value) for cls in Class if cls.value in more}  # type: ignore[operator]
    usual = Report(
        site=site,
        run=run,
        started_us=NOW_US,
        seconds=2.5,
        epoch="e1",
        position_before=3,
        position_after=4,
        directories=100,
        unlisted_places=0,
        expected=1000,
        expected_size=10_000,
        actual=1000,
        actual_size=10_000,
        proved=0,
        with_checksums=False,
        counts=counts,
        sizes={cls: 10 * count for cls, count in counts.items()},
        folder=f"reports/{site}/{run}",
    )
    return replace(usual, **more)  # type: ignore[arg-type]


@dataclass
class HistoryWorld:
    """A history, and shorthands for what tests do to it again and again."""

    store: Store
    reports: Path
    now_us: int = NOW_US
    host: str = "here"

    def clock(self) -> int:
        return self.now_us

    @property
    def history(self) -> History:
        """As a process of ``host`` sees it."""
        return History(self.store, clock=self.clock, host=self.host)

    @property
    def states(self) -> States:
        return States(self.store, history=self.history)

    def begin(self, run: str = "run1", site: str = "A") -> None:
        """A run begins now."""
        (self.reports / site).mkdir(parents=True, exist_ok=True)
        self.history.begin(run, site, self.now_us, self.reports / site / run)

    def done(self, run: str = "run1", site: str = "A", **more: object) -> Report:
        """A run that takes a second."""
        report = a_report(site, run, **{"started_us": self.now_us, **more})
        self.begin(run, site)
        self.now_us += SECOND_US
        self.history.finish(run, report)
        return report

    def report_folder(self, run: str, site: str = "A") -> None:
        """The report is whole, and whoever wrote it was killed before he could tell."""
        folder = self.reports / site / run
        folder.mkdir(parents=True)
        write_json(folder, a_report(site, run, started_us=self.now_us, missing=7).to_json())

    def lock(self, site: str = "A") -> FolderLock:
        """What a check of the site holds."""
        (self.reports / site).mkdir(parents=True, exist_ok=True)
        return FolderLock(self.reports / site, name=LOCK)
