"""Lists for other catalogues: what stands in which file, all or none, and when they are withheld."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from consistency.sources.catalogues import WITH_RULES, dump, put
from consistency.sources.foreign_world import NOW_US, ForeignWorld
from holdfast.consistency.report import FINDINGS
from holdfast.consistency.sources import lists
from holdfast.consistency.sources.foreign_report import ForeignReport
from holdfast.consistency.sources.lists import ListsRegistry
from holdfast.consistency.sources.registry import Result
from holdfast.model.errors import OperatorError
from support.users import Unprivileged

DAY = "20231114"


@pytest.fixture
def world(tmp_path: Path) -> ForeignWorld:
    world = ForeignWorld(tmp_path)
    world.lose("/data/a/x")
    world.driver.put("/data/b/stray", b"1")
    world.driver.put("/data/b/y", b"1")
    return world


def result(report: ForeignReport) -> Result:
    return Result(report.to_json(), Path(report.folder) / FINDINGS)


def told(world: ForeignWorld, report: ForeignReport, fraction_max: float = 0.5) -> Path:
    return Path(ListsRegistry(world.folder / "lists", fraction_max=fraction_max).tell(result(report)).place)


def test_each_list_has_its_lines(world: ForeignWorld) -> None:
    report = world.report()
    folder = told(world, report)
    assert folder == world.folder / "lists/BERN" / report.run
    assert {path.name: path.read_text() for path in folder.iterdir() if path.suffix not in (".json", ".jsonl")} == {
        "missing.lst": "/data/a/x\n",
        "orphan.lst": "/data/b/stray\n",
        f"BERN_{DAY}": "LOST,data/a/x\nDARK,data/b/stray\n",
    }
    assert json.loads((folder / "report.json").read_text()) == json.loads(json.dumps(report.to_json()))


def test_a_site_that_shows_nothing_has_lost_nothing_for_anybody_else(world: ForeignWorld) -> None:
    document = {"missing": 5, "expected": 5, "orphan": 0, "actual": 0}
    assert lists.withheld(document, 1.0) == "the site shows no file at all"
    assert lists.withheld({**document, "actual": 1}, 1.0) == ""


def test_all_findings_are_told_with_what_is_known_of_them(world: ForeignWorld) -> None:
    world.driver.put("/data/b/young", b"1", mtime_ns=NOW_US * 1000)
    lines = (told(world, world.report()) / "findings.jsonl").read_text().splitlines()
    old = world.old() * 1000
    assert [json.loads(line) for line in lines] == [
        {"class": "missing", "path": "/data/a/x", "name": "/data/a/x", "expected_size": 18},
        {"class": "orphan", "path": "/data/b/stray", "name": "/data/b/stray", "actual_size": 1, "mtime_ns": old},
        {
            "class": "ignored",
            "path": "/data/b/young",
            "name": "/data/b/young",
            "reason": "too young to be judged",
            "actual_size": 1,
            "mtime_ns": NOW_US * 1000,
        },
        {
            "class": "size_mismatch",
            "path": "/data/b/y",
            "name": "/data/b/y",
            "expected_size": 18,
            "actual_size": 1,
            "mtime_ns": old,
        },
    ]


def test_what_is_missing_is_named_as_the_catalogue_names_it(tmp_path: Path) -> None:
    world = ForeignWorld(tmp_path, site=WITH_RULES)
    for path in list(world.catalogue.sizes):
        world.remove(path)
    listing = put(tmp_path / "list", "lfn\tsize\n/store/here\t1\n/store/gone\t1\n")
    world.driver.put("/pnfs/bern/here", b"1")
    folder = told(world, world.report(before=dump(listing), after=dump(f"{listing}?taken=2030-01-01")))
    assert (folder / "missing.lst").read_text() == "/store/gone\n"
    assert (folder / f"BERN_{DAY}").read_text() == "LOST,pnfs/bern/gone\n"


def test_what_readers_of_the_auditor_would_cut_is_not_told_there(world: ForeignWorld) -> None:
    world.driver.put("/data/b/blank ", b"1")
    folder = told(world, world.report())
    assert (folder / "orphan.lst").read_text() == "/data/b/blank \n/data/b/stray\n"
    assert (folder / f"BERN_{DAY}").read_text() == "LOST,data/a/x\nDARK,data/b/stray\n"


def test_lists_are_told_once(world: ForeignWorld) -> None:
    report = world.report()
    first = told(world, report)
    facts = os.stat(first / "missing.lst")
    assert told(world, report) == first
    assert os.stat(first / "missing.lst").st_mtime_ns == facts.st_mtime_ns


def test_lists_beside_the_report(world: ForeignWorld) -> None:
    report = world.report()
    place = ListsRegistry(None, fraction_max=0.5).tell(result(report)).place
    assert place == f"{report.folder}/lists"
    assert (Path(place) / "missing.lst").exists()


@pytest.mark.parametrize(
    ("fraction_max", "why"),
    [
        (0.16, "missing: 16.7% of what is expected, and more than 16.0% is not believed"),
        (0.0, "missing: 16.7% of what is expected, and more than 0.0% is not believed"),
    ],
)
def test_too_much_is_withheld(world: ForeignWorld, fraction_max: float, why: str) -> None:
    registry = ListsRegistry(world.folder / "lists", fraction_max=fraction_max)
    found = registry.tell(result(world.report()))
    assert (found.place, found.withheld) == ("", why)
    assert not (world.folder / "lists").exists()


def test_too_many_orphans_are_withheld_too(tmp_path: Path) -> None:
    world = ForeignWorld(tmp_path)
    for number in range(2):
        world.driver.put(f"/data/stray{number}", b"1")
    found = ListsRegistry(tmp_path / "lists", fraction_max=0.2).tell(result(world.report()))
    assert found.withheld == "orphan: 25.0% of what is there, and more than 20.0% is not believed"


def test_a_write_that_breaks_off_leaves_nothing(world: ForeignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []

    def full(path: Path) -> None:
        synced.append(path)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")

    report = world.report()
    monkeypatch.setattr(lists, "sync", full)
    with pytest.raises(OperatorError, match="the lists cannot be written: No space left"):
        told(world, report)
    assert list((world.folder / "lists/BERN").iterdir()) == []


@pytest.mark.real("unprivileged user")
def test_a_folder_that_cannot_be_written_is_named(world: ForeignWorld, unprivileged: Unprivileged) -> None:
    report = world.report()
    target = unprivileged.folder / "lists"
    target.mkdir(mode=0o555)

    with unprivileged.acting(), pytest.raises(OperatorError, match="the lists cannot be written: Permission denied"):
        ListsRegistry(target, fraction_max=0.5).tell(Result(report.to_json(), unprivileged.folder / FINDINGS))
