"""LastCheck: which findings of which report say that a file may be somewhere else at the site."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cleaning_world import DAY_US, World

from holdfast.consistency import findings
from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning.last_check import last_lacking, require_young
from holdfast.consistency.findings import Finding
from holdfast.consistency.history.runs import History
from holdfast.consistency.report import FINDINGS, Report, write_json
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey, DatasetKey

BLOCK = BlockKey(DatasetKey("sky"), "0000")


@dataclass
class Checks:
    """Checks of a site, as their reports and the history tell of them."""

    world: World
    began_us: int = 0

    def history(self, host: str = "here") -> History:
        return History(self.world.store, clock=self.world.clock, host=host)

    def begin(self, run: str, *found: Finding, host: str = "here") -> Path:
        """A check that has its findings, and has not ended."""
        folder = self.world.folder / "reports" / "A" / run
        folder.mkdir(parents=True)
        findings.write_table(found, folder / FINDINGS)
        self.began_us += DAY_US
        self.history(host).begin(run, "A", self.began_us, folder)
        return folder

    def done(self, run: str, *found: Finding, host: str = "here", is_dry: bool = False) -> Path:
        """A check that has ended."""
        folder = self.begin(run, *found, host=host)
        numbers = dict.fromkeys(("position_before", "position_after", "directories", "unlisted_places"), 1)
        numbers |= dict.fromkeys(("expected", "expected_size", "actual", "actual_size", "proved"), 1)
        report = Report("A", run, self.began_us, 1.0, "e", **numbers, with_checksums=False, dry_run=is_dry)
        report = replace(report, folder=str(folder))
        write_json(folder, report.to_json())
        self.history(host).finish(run, report)
        return folder

    def lacking(self) -> list[Finding]:
        return list(last_lacking(self.history(), "A"))


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(World(tmp_path))


def missing(path: str) -> Finding:
    return Finding(Class.MISSING, path, block=BLOCK)


def test_a_site_that_was_never_checked_lacks_nothing(checks: Checks) -> None:
    assert checks.lacking() == []
    with pytest.raises(Conflict, match="A has not been checked"):
        require_young(checks.history(), "A", days=7, now_us=0)


def test_it_is_what_the_last_whole_report_knows_no_place_of(checks: Checks) -> None:
    kept = [
        missing("/a"),
        Finding(Class.IGNORED, "/b", "of an ignored dataset: s*", block=BLOCK),
        Finding(Class.UNLISTED, "/closed", n_files=3),
    ]
    others = [Finding(Class.ORPHAN, "/dark"), Finding(Class.IGNORED, "/young", "too young to be judged")]
    checks.done("run1", missing("/before"))
    checks.done("run2", *others, *kept)
    checks.begin("run3", missing("/half"))
    assert checks.lacking() == kept


def test_a_dry_check_is_one_that_has_seen(checks: Checks) -> None:
    checks.done("run1", missing("/before"))
    checks.done("run2", missing("/now"), is_dry=True)
    assert checks.lacking() == [missing("/now")]
    require_young(checks.history(), "A", days=7, now_us=checks.began_us + DAY_US)


def test_a_last_report_that_is_not_here_is_not_taken_for_none(checks: Checks) -> None:
    checks.done("run1", missing("/before"))
    shutil.rmtree(checks.done("run2", missing("/now"), host="there"))
    with pytest.raises(Conflict, match="the report of run2, the last check of A, is not on this machine"):
        checks.lacking()


def test_a_folder_of_that_name_with_another_report_is_not_taken_for_it(checks: Checks) -> None:
    first = checks.done("run1", missing("/before"))
    second = checks.done("run2", missing("/now"))
    shutil.copytree(first, second, dirs_exist_ok=True)
    with pytest.raises(Conflict, match="is not on this machine"):
        checks.lacking()
