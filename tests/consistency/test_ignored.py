"""Ignored: what the configuration leaves alone is in no other class, whatever is the matter with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked_world import CONTENT, DATASET, World

from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.model.names import BlockKey, DatasetKey

FIRST = min(CONTENT)


@pytest.mark.parametrize(
    ("pattern", "path", "is_covered"),
    [
        ("/store/raw", "/store/raw", True),
        ("/store/raw/", "/store/raw/a/b", True),
        ("/store/raw", "/store/rawest/a", False),
        ("/store/*/raw", "/store/x/raw/f", True),
        ("/store/*/raw", "/store/x/y/raw/f", False),
        ("/store/*", "/store/x", True),
        ("/store/*", "/store", False),
        ("/*/tmp[0-9]", "/a/tmp7/f", True),
        ("/*/tmp[0-9]", "/a/tmpx/f", False),
    ],
)
def test_a_directory_covers_all_below_it(pattern: str, path: str, is_covered: bool) -> None:
    reason = Ignored(directories=(pattern,)).reason(Finding(Class.ORPHAN, path))
    assert reason == (f"in an ignored directory: {pattern}" if is_covered else "")


def test_a_dataset_is_told_by_its_whole_name() -> None:
    finding = Finding(Class.MISSING, "/a/f", block=BlockKey(DatasetKey("sky", "v1"), "0000"))
    assert Ignored(datasets=("sk*",)).reason(finding) == "of an ignored dataset: sk*"
    assert Ignored(datasets=("sky",)).reason(finding) == ""
    assert Ignored(datasets=("sky*",)).reason(Finding(Class.ORPHAN, "/a/sky")) == ""


def test_all_classes_alike(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.remove("/data/a/x")
    world.away.put("/data/a/y", b"of another size")
    world.away.put("/data/a/dark", b"1")
    world.away.put("/data/b/dark", b"1")
    found = world.check(ignored=Ignored(directories=("/data/a",)))[1]
    assert {cls: sorted(paths) for cls, paths in found.items()} == {
        Class.IGNORED: ["/data/a/dark", "/data/a/x", "/data/a/y"],
        Class.ORPHAN: ["/data/b/dark"],
    }
    world.remove("/data/b/x")
    found = world.check(ignored=Ignored(datasets=(f"{DATASET.name}*",)))[1]
    assert sorted(found[Class.IGNORED]) == ["/data/a/x", "/data/a/y", "/data/b/x"]
    assert sorted(found[Class.ORPHAN]) == ["/data/a/dark", "/data/b/dark"]


def test_a_place_that_could_not_be_seen_is_ignored_unless_files_are_expected_there(tmp_path: Path) -> None:
    ignored = Ignored(directories=("/data/a", "/private"))
    world = World(tmp_path)
    world.away.put("/private/f", b"1")
    world.away.put("/closed/f", b"1")
    for place in ("/private", "/closed", "/data/a"):
        world.away.fail_directory(place)
    report, found = world.check(ignored=ignored)
    assert found == {Class.IGNORED: ["/private"], Class.UNLISTED: ["/closed", "/data/a"]}
    assert report.unlisted_places == 2


def test_what_is_expected_in_an_ignored_place_that_nobody_has_seen_may_lie_elsewhere(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.away.fail_directory("/data/a")
    world.away.put("/dark", CONTENT[FIRST])
    asked = world.delete_orphans(world.report(ignored=Ignored(directories=("/data/a",))), limit=1)
    assert (asked.deletions, [each.path for each in asked.skipped]) == (0, ["/dark"])
    assert asked.skipped[0].reason.startswith("may be a moved")


def test_the_quarantine_is_nobody_s_orphan(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.away.put("/.holdfast-quarantine/2026-11-21/data/dark", b"1")
    world.away.put("/.holdfast-quarantine/someday/dark", b"1")
    report, found = world.check()
    assert set(found) == {Class.IGNORED}
    reasons = [each.reason for each in world.findings(report)]
    assert reasons == ["quarantined on 2026-11-21", "quarantined on a day that nobody knows"]
