"""A site beside another catalogue: classes, the order of events, what is left alone, going on after an interruption.

Method: a storage in memory and a catalogue as a dictionary; events happen right
before a directory is listed.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consistency.lying_driver import LyingDriver, hiding
from consistency.sources.catalogues import WITH_RULES, dump, put
from consistency.sources.foreign_world import CONTENT, DAY_US, NOW_US, ForeignWorld
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.classes import FOREIGN, Class
from holdfast.consistency.sources.foreign_check import AfterWanted
from holdfast.model import steps
from holdfast.model.clock import show_time
from holdfast.model.errors import BadInput, OperatorError
from holdfast.storage import parts
from holdfast.storage.access import Access
from holdfast.storage.dump.driver import open_door
from holdfast.storage.posix.driver import PosixDriver
from support import soak
from support.logged import logged


@pytest.fixture
def world(tmp_path: Path) -> ForeignWorld:
    return ForeignWorld(tmp_path)


class KilledError(BaseException):
    """What nobody expects."""


def test_a_site_that_is_as_its_catalogue_says_agrees(world: ForeignWorld) -> None:
    report = world.report()
    assert report.agrees
    assert world.findings(report) == []
    assert (report.before.files, report.after.files, report.actual, report.directories) == (6, 6, 6, 4)


def test_differences_are_told_by_class(world: ForeignWorld) -> None:
    world.lose("/data/a/x")
    world.driver.put("/data/b/stray", b"12345")
    world.driver.put("/data/b/y", b"1")
    report = world.report()
    assert world.by_class(report) == {
        Class.MISSING: ["/data/a/x"],
        Class.ORPHAN: ["/data/b/stray"],
        Class.SIZE_MISMATCH: ["/data/b/y"],
    }
    sizes = {each.path: (each.expected_size, each.actual_size) for each in world.findings(report)}
    assert sizes == {"/data/a/x": (18, None), "/data/b/stray": (None, 5), "/data/b/y": (18, 1)}
    assert not report.agrees


def test_the_document_has_the_keys_of_a_report_of_ours(world: ForeignWorld) -> None:
    world.lose("/data/a/x")
    report = world.report()
    document = json.loads((Path(report.folder) / "report.json").read_text())
    assert document == json.loads(json.dumps(report.to_json()))
    shared = {
        "site",
        "run",
        "started_us",
        "seconds",
        "directories",
        "expected",
        "actual",
        "resumed",
        "agrees",
        "folder",
    }
    assert shared <= document.keys()
    assert {cls.value for cls in FOREIGN} | {"awaited", "empty_directory"} <= document.keys()
    assert (document["missing"], document["sizes"]["missing"], document["expected"]) == (1, 18, 6)
    assert document["before"] == {
        "files": 6,
        "size": 108,
        "known": 0,
        "without_path": 0,
        "without_path_shown": [],
        "taken": None,
    }


def test_nothing_of_a_finished_run_is_left_but_its_report(world: ForeignWorld) -> None:
    left = {path.name for path in Path(world.report().folder).iterdir()}
    assert left == {"report.json", "findings.parquet", "listing"}


# ---- the order of events ---------------------------------------------------------


@pytest.mark.parametrize("when", ["/", "/data/a", "/data/b"])
@pytest.mark.parametrize("path", ["/data/a/new", "/data/b/new"])
def test_a_file_that_is_registered_while_we_list_is_in_nobodys_class(world: ForeignWorld, when: str, path: str) -> None:
    """Whether its directory was listed before or not; it looks old, for it was copied with its times."""
    world.while_listing(lambda dir: world.add(path) if dir == when else None)
    report = world.report()
    assert set(world.by_class(report)) <= {Class.IGNORED}
    assert report.agrees


@pytest.mark.parametrize("when", ["/", "/data/a", "/data/b"])
@pytest.mark.parametrize("path", ["/data/a/x", "/data/b/x"])
def test_a_file_that_is_deleted_while_we_list_is_in_nobodys_class(world: ForeignWorld, when: str, path: str) -> None:
    world.while_listing(lambda dir: world.remove(path) if dir == when else None)
    report = world.report()
    assert report.agrees
    assert world.reasons(report) == {path: "in flight: expected before only"} or not world.findings(report)


def test_a_file_that_is_registered_anew_with_another_size_is_in_flight(world: ForeignWorld) -> None:
    world.while_listing(lambda dir: world.add("/data/b/x", b"another") if dir == "/data/a" else None)
    report = world.report()
    assert world.reasons(report) == {"/data/b/x": "in flight: before and after differ"}
    assert report.agrees


def test_a_move_while_we_list_is_in_nobodys_class(world: ForeignWorld) -> None:
    """From a directory that is still to be listed to one that is done: it is seen nowhere."""

    def move(dir: str) -> None:
        if dir == "/data/b":
            world.add("/data/a/moved", CONTENT["/data/b/x"])
            world.remove("/data/b/x")

    world.while_listing(move)
    assert set(world.check()) <= {Class.IGNORED}


events = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["add", "remove", "grow"]), st.sampled_from(sorted(CONTENT))),
    max_size=8,
)


@settings(max_examples=soak.examples(30))
@given(events, st.sampled_from(sorted(CONTENT)))
def test_whatever_happens_in_order_makes_no_finding_and_hides_none(
    tmp_path_factory: pytest.TempPathFactory, planned: list[tuple[int, str, str]], lost: str
) -> None:
    world = ForeignWorld(tmp_path_factory.mktemp("world"))
    world.lose(lost)
    world.driver.put("/data/stray", b"1")
    touched: set[str] = set()
    listed: list[str] = []

    def happen(dir: str) -> None:
        listed.append(dir)
        for at, what, path in planned:
            own = f"{path}-{what}" if what == "add" else path
            if at == len(listed) - 1 and path != lost and own not in touched:
                touched.add(own)
                if what == "remove":
                    world.remove(path)
                else:
                    world.add(own, b"longer than before" * 3)

    world.while_listing(happen)
    found = world.check()
    found.pop(Class.IGNORED, None)
    assert found == {Class.MISSING: [lost], Class.ORPHAN: ["/data/stray"]}


# ---- what is left alone ----------------------------------------------------------


def test_what_the_catalogue_knows_in_another_state_is_no_orphan(world: ForeignWorld) -> None:
    world.add("/data/a/copied")
    world.catalogue.states["/data/a/copied"] = "C"
    report = world.report()
    assert world.reasons(report) == {"/data/a/copied": "the catalogue knows it, and does not count it as there"}
    assert (report.before.files, report.before.known) == (6, 1)
    assert report.agrees


def test_what_only_the_second_answer_knows_is_no_orphan_either(world: ForeignWorld) -> None:
    def begin_copy(dir: str) -> None:
        if dir == "/data":
            world.add("/data/a/copied")
            world.catalogue.states["/data/a/copied"] = "C"

    world.while_listing(begin_copy)
    assert world.check() == {Class.IGNORED: ["/data/a/copied"]}


def test_a_file_that_should_be_there_and_is_not_is_missing_only_if_it_counts(world: ForeignWorld) -> None:
    world.catalogue.sizes["/data/a/coming"] = 5
    world.catalogue.states["/data/a/coming"] = "C"
    assert world.check() == {}


def test_young_files_and_such_whose_age_nobody_tells_are_left_alone(world: ForeignWorld) -> None:
    hour_ago = (NOW_US - DAY_US // 24) * 1000
    world.driver.put("/data/a/young", b"1", mtime_ns=hour_ago)
    world.driver.put("/data/a/x", b"1", mtime_ns=hour_ago)
    report = world.report()
    assert world.reasons(report) == dict.fromkeys(["/data/a/x", "/data/a/young"], "too young to be judged")
    assert world.check(ignore_age_s=60) == {Class.ORPHAN: ["/data/a/young"], Class.SIZE_MISMATCH: ["/data/a/x"]}


def test_parts_quarantine_and_ignored_directories_are_left_alone(world: ForeignWorld) -> None:
    part, quarantined = f"/data/a/{parts.part_name('1')}", "/.holdfast-quarantine/2026-11-21/data/q"
    for path in (part, quarantined, "/logs/today/x"):
        world.driver.put(path, b"1")
    world.lose("/data/b/x")
    report = world.report(ignored=Ignored(("/logs", "/data/b")))
    assert world.reasons(report) == {
        part: "a temporary part of a copy",
        quarantined: "quarantined on 2026-11-21",
        "/logs/today/x": "in an ignored directory: /logs",
        "/data/b/x": "in an ignored directory: /data/b",
    }
    assert report.agrees


def test_what_could_not_be_listed_is_not_judged(world: ForeignWorld) -> None:
    world.driver.fail_directory("/data/b")
    world.driver.put("/data/a/stray", b"1")
    report = world.report()
    assert world.by_class(report) == {Class.ORPHAN: ["/data/a/stray"], Class.UNLISTED: ["/data/b"]}
    assert (report.counts[Class.UNLISTED], report.unlisted_places) == (3, 1)
    assert not report.agrees


def test_what_a_directory_does_not_show_that_is_not_believed_is_suspect(world: ForeignWorld) -> None:
    """It shows nothing and, asked for names alone, two of three."""
    driver = LyingDriver(world.old, tree=world.driver.tree)
    driver.lies["/data/b"] = hiding("y", "z")
    for path in ("/data/a/x", "/data/b/x"):
        world.lose(path)
    report = world.report(doors=[driver])
    assert world.by_class(report) == {
        Class.MISSING: ["/data/a/x"],
        Class.SUSPECT: ["/data/b"],
        Class.UNLISTED: ["/data/b/y", "/data/b/z"],
    }
    assert (report.counts[Class.SUSPECT], report.counts[Class.UNLISTED]) == (1, 2)


def test_a_folder_of_this_machine(world: ForeignWorld, tmp_path: Path) -> None:
    root, long_ago = tmp_path / "site", (NOW_US - 10 * DAY_US) / 1_000_000
    for path, content in {**CONTENT, "/data/a/stray": b"1", "/data/b/y": b"1"}.items():
        put(root / path[1:], content.decode())
        os.utime(root / path[1:], (long_ago, long_ago))
    (root / "data/a/x").unlink()
    world.now_us = time.time_ns() // 1000 + 2 * DAY_US  # The names are of today.
    assert world.check(doors=[PosixDriver(root)]) == {
        Class.MISSING: ["/data/a/x"],
        Class.ORPHAN: ["/data/a/stray"],
        Class.SIZE_MISMATCH: ["/data/b/y"],
    }


def test_a_path_that_the_catalogue_has_twice_is_told(world: ForeignWorld, tmp_path: Path) -> None:
    rows = "".join(f"{path}\t{size}\n" for path, size in world.catalogue.sizes.items())
    listing = put(tmp_path / "list", f"path\tsize\n{rows}/data/a/x\t18\n")
    found = world.check(before=dump(listing), after=dump(f"{listing}?taken=2030-01-01"))
    assert found == {Class.UNLISTED: ["/data/a/x", "/data/a/x"]}


def test_lfns_are_told_beside_paths(tmp_path: Path) -> None:
    world = ForeignWorld(tmp_path, site=WITH_RULES)
    listing = put(tmp_path / "list", "lfn\tsize\n/store/1\t1\n/nowhere/2\t2\n")
    world.driver.put("/pnfs/bern/stray", b"1")
    report = world.report(before=dump(listing), after=dump(f"{listing}?taken=2030-01-01"))
    names = {each.path: (each.cls, each.lfn) for each in world.findings(report) if each.path.startswith("/pnfs")}
    assert names == {
        "/pnfs/bern/1": (Class.MISSING, "/store/1"),
        "/pnfs/bern/stray": (Class.ORPHAN, "/store/stray"),
    }
    assert (report.before.without_path, report.before.without_path_shown) == (1, ("/nowhere/2",))


def test_a_name_that_no_path_belongs_to_keeps_a_site_from_agreeing(world: ForeignWorld) -> None:
    report = world.report()
    assert not replace(report, after=replace(report.after, without_path=1)).agrees


# ---- dumps: moments, and going on ------------------------------------------------


def dumped(world: ForeignWorld, name: str, at_us: int) -> str:
    """What the catalogue says now, as a dump of that moment."""
    rows = "".join(f"{path}\t{size}\n" for path, size in world.catalogue.sizes.items())
    return f"{put(world.folder / name, f'path	size{chr(10)}{rows}')}?taken={show_time(at_us)}"


def test_a_site_is_listed_between_two_dumps(world: ForeignWorld) -> None:
    """The second one is made after the listing, by somebody else: until then the run waits."""
    before = dump(dumped(world, "before", NOW_US - DAY_US))
    world.lose("/data/a/x")
    with pytest.raises(AfterWanted, match="the site is listed") as caught:
        world.report(before=before, is_after_there=False)
    assert "made after 2023-11-14T22:13:20Z" in caught.value.hint
    listed: list[str] = []
    world.while_listing(listed.append)
    world.add("/data/a/new")
    after = dump(dumped(world, "after", NOW_US + DAY_US))
    report = world.report(before=before, after=after)
    assert listed == []
    assert report.run == "run1"
    assert world.by_class(report) == {Class.MISSING: ["/data/a/x"], Class.IGNORED: ["/data/a/new"]}
    assert report.after.taken is not None
    assert report.to_json()["after"]["taken"]["source"] == "option"


@pytest.mark.parametrize("bad", ["too early", "not there", "nonsense"])
def test_a_second_dump_that_will_not_do_costs_no_listing(world: ForeignWorld, bad: str) -> None:
    before = dump(dumped(world, "before", NOW_US - DAY_US))
    wrong = dumped(world, "after", NOW_US - 1_000_000)
    if bad != "too early":
        file = Path(wrong.partition("?")[0])
        file.unlink()
        if bad == "nonsense":
            put(file, "path\tsize\n/a\tx\n")
    with pytest.raises(OperatorError, match=r"when the listing was not over|cannot be opened|no whole number"):
        world.report(before=before, after=dump(wrong))
    listed: list[str] = []
    world.while_listing(listed.append)
    assert world.report(before=before, after=dump(dumped(world, "good", NOW_US))).agrees
    assert listed == []


def test_a_dump_of_a_day_may_be_of_its_first_moment(world: ForeignWorld) -> None:
    before = dump(dumped(world, "before", NOW_US - DAY_US))
    same_day = dumped(world, "after", NOW_US).partition("?")[0] + "?taken=2023-11-14"
    with pytest.raises(OperatorError, match=r"may be of 2023-11-14T00:00:00Z \(by its option\)"):
        world.report(before=before, after=dump(same_day))


def test_the_time_of_a_file_is_a_guess_and_said_to_be(world: ForeignWorld) -> None:
    before, after = (dump(dumped(world, name, NOW_US).partition("?")[0]) for name in ("before", "after"))
    with logged() as lines:
        assert world.report(before=before, after=after).agrees
    assert any("nothing but the time of the file" in line["event"] for line in lines)


def test_what_is_young_is_so_at_the_moment_of_the_second_dump(world: ForeignWorld) -> None:
    """A file that came the day before the listing may be registered the day after that dump, however late we look."""
    before, after = (dump(dumped(world, *each)) for each in (("before", NOW_US - DAY_US), ("after", NOW_US)))
    world.driver.put("/data/a/new", b"1", mtime_ns=(NOW_US - DAY_US // 2) * 1000)
    with pytest.raises(AfterWanted):
        world.report(before=before, is_after_there=False)
    world.now_us += 5 * DAY_US
    assert world.check(before=before, after=after) == {Class.IGNORED: ["/data/a/new"]}


def test_a_dump_of_the_storage_stands_for_a_listing(world: ForeignWorld) -> None:
    """As Rucio's auditor works: dumps of catalogue, site, catalogue, in this order."""
    before = dumped(world, "before", NOW_US - 9 * DAY_US)
    after = dumped(world, "after", NOW_US - 7 * DAY_US)
    world.lose("/data/a/x")
    world.driver.put("/data/b/stray", b"1")
    site = put(world.folder / "site", "".join(f"{path}\n" for path in world.driver.paths()))

    def check(first: str, second: str, day: int) -> dict[Class, list[str]]:
        door = open_door(f"{site}?taken={show_time(NOW_US - day * DAY_US)}", site="BERN", access=Access())
        return world.check(before=dump(first), after=dump(second), doors=[door])

    assert check(before, after, 8) == {Class.MISSING: ["/data/a/x"], Class.IGNORED: ["/data/b/stray"]}
    with pytest.raises(BadInput, match="before the first answer of the catalogue"):
        check(before, after, 10)
    with pytest.raises(OperatorError, match="when the listing was not over"):
        check(before, after, 6)


# ---- interruptions ---------------------------------------------------------------


def test_an_interrupted_run_is_gone_on_with_as_it_was_begun(world: ForeignWorld) -> None:
    seen: list[str] = []

    def kill(dir: str) -> None:
        seen.append(dir)
        if len(seen) > 2:
            raise KilledError

    world.while_listing(kill)
    with pytest.raises(KilledError):
        world.report()
    world.while_listing(lambda dir: seen.append(dir))
    world.remove("/data/a/x")
    report = world.report()
    assert (report.run, report.resumed, report.before.files, report.after.files) == ("run1", 1, 6, 5)
    assert report.agrees
    assert seen.count("/") == 1
    assert world.catalogue.asked == 2


@pytest.mark.parametrize("step", ["check.snapshot-taken", "check.listed", "check.compared", "check.renamed"])
def test_a_run_that_is_killed_anywhere_ends_as_if_it_had_not_been(world: ForeignWorld, step: str) -> None:
    world.lose("/data/a/x")

    def kill(name: str) -> None:
        if name == step:
            raise KilledError

    with steps.observed(kill), pytest.raises(KilledError):
        world.report()
    report = world.report()
    assert world.by_class(report) == {Class.MISSING: ["/data/a/x"]}
    assert report.run == ("run2" if step == "check.renamed" else "run1")
    assert not list((world.folder / "reports/BERN").glob("*.part"))


@pytest.mark.parametrize("why", ["another catalogue", "too old", "asked for"])
def test_a_run_is_begun_anew_if_it_would_be_another(world: ForeignWorld, why: str) -> None:
    def kill(name: str) -> None:
        if name == "check.listed":
            raise KilledError

    with steps.observed(kill), pytest.raises(KilledError):
        world.report()
    if why == "another catalogue":
        world.catalogue.label = "the other one"
    world.now_us += 8 * DAY_US if why == "too old" else 0
    assert world.report(afresh=why == "asked for").run == "run2"
