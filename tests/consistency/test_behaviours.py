"""What older tools do in each situation, and what is right: one test for each row of the tables.

The rows are those of "Consistency: list, compare, act", which describes the tools before us; the number in a test's
heading is its section there. Each asks for the right answer where the tool had a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, DATASET, DAY_US, World
from lying_driver import Lie, LyingDriver, hiding, repeating, showing

from holdfast.consistency.classes import WRONG, Class
from holdfast.consistency.report import Report
from holdfast.model import changes as c
from holdfast.model import steps
from holdfast.model.errors import Conflict, PeerError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Door, Evidence, RequestState, Site
from holdfast.storage.driver import NotAllowed
from holdfast.testing.memory_driver import FULL, MemoryDriver

FIRST, SECOND, THIRD, FOURTH = sorted(CONTENT)[:4]
IN_A = sorted(path for path in CONTENT if path.startswith("/data/a/"))
IN_B = sorted(path for path in CONTENT if path.startswith("/data/b/"))
NEW = DatasetKey("new", "v1")
OF_FILES = (*WRONG, Class.ORPHAN, Class.AWAITED, Class.IGNORED)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def lying(world: World, *, second_look: bool = True, **lies: Lie) -> LyingDriver:
    """A storage that shows the same files, and lies about directories, which are given by their last names."""
    driver = LyingDriver(world.old, tree=world.away.tree, second_look=second_look)
    driver.lies = {
        "/" if name == "root" else "/data" if name == "data" else f"/data/{name}": lie for name, lie in lies.items()
    }
    world.away = driver
    return driver


def of_files(found: dict[Class, list[str]]) -> dict[Class, list[str]]:
    """What was found of files, without what is said of directories."""
    return {cls: sorted(paths) for cls, paths in found.items() if cls in OF_FILES}


def young_ns(world: World) -> int:
    """Six hours ago."""
    return (world.now_us - DAY_US // 4) * 1000


def reason_of(world: World, report: Report, path: str) -> str:
    (finding,) = (each for each in world.findings(report) if each.path == path)
    return finding.reason


def nothing_is_asked(world: World, report: Report) -> None:
    """Neither repair nor the removal of orphans asks for anything by a report; they may be refused as a whole."""
    position = world.store.head().position
    for act in (lambda: world.repair(report), lambda: world.delete_orphans(report, limit=1000)):
        try:
            asked = act()
        except Conflict:
            continue
        assert (asked.copy_requests, asked.deletion_requests, asked.copies, asked.deletions) == ([], [], 0, 0)
    assert world.store.head().position == position


def put_right(world: World, report: Report) -> None:
    """Repair, remove orphans, and carry it out."""
    world.repair(report)
    world.delete_orphans(report, limit=1000)
    world.work()


# 1.5 What differs, and what only seems to.


def test_a_size_that_differs_is_one_finding_and_the_file_is_replaced_over_without_being_deleted(world: World) -> None:
    """The reference: missing and an orphan at once, so deleted and asked for."""
    deleted: list[str] = []
    world.away.truncate(FIRST, 3)
    report, found = world.check()
    assert found == {Class.SIZE_MISMATCH: [FIRST]}
    world.away.faults = lambda operation, path: deleted.append(path) if operation == "delete" else None
    put_right(world, report)
    assert world.at_away() == CONTENT
    assert FIRST not in deleted
    assert world.report().agrees


def test_a_size_that_differs_and_no_good_copy_is_reported_and_left(world: World) -> None:
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    world.away.truncate(FIRST, 3)
    report, found = world.check()
    assert found == {Class.SIZE_MISMATCH: [FIRST]}
    asked = world.repair(report)
    assert ([each.path for each in asked.unrecoverable], asked.copies) == ([FIRST], 0)
    put_right(world, report)
    assert world.away.get(FIRST) == CONTENT[FIRST][:3]


def test_a_size_that_differs_and_is_young_is_somebody_writing(world: World) -> None:
    """The reference: missing, so a copy is asked for."""
    world.away.put(FIRST, b"as far as it is", mtime_ns=young_ns(world))
    report, found = world.check()
    assert found == {Class.IGNORED: [FIRST]}
    assert "young" in reason_of(world, report, FIRST)
    nothing_is_asked(world, report)
    world.now_us += DAY_US
    assert world.check()[1] == {Class.SIZE_MISMATCH: [FIRST]}


def test_a_checksum_that_differs_and_is_young_is_somebody_writing(world: World) -> None:
    world.away.put(FIRST, b"?" * len(CONTENT[FIRST]), mtime_ns=young_ns(world))
    assert world.check(with_checksums=True)[1] == {Class.IGNORED: [FIRST]}
    world.now_us += DAY_US
    assert world.check(with_checksums=True)[1] == {Class.CHECKSUM_MISMATCH: [FIRST]}


def test_asking_for_checksums_makes_no_file_young(world: World) -> None:
    """Servers keep checksums beside the file, and that is a change of it."""
    world.away.flip_byte(FIRST)
    node = world.away.tree.find(FIRST)
    world.away.tree.put_node(FIRST, replace(node, changed_ns=world.now_us * 1000))
    assert world.check(with_checksums=True)[1] == {Class.CHECKSUM_MISMATCH: [FIRST]}


def test_a_site_that_shows_nothing_is_reported_and_not_acted_on(world: World) -> None:
    """The reference: nothing reported."""
    for path in CONTENT:
        world.remove(path)
    report, found = world.check()
    assert sorted(found.get(Class.MISSING, [])) == sorted(CONTENT)
    assert not report.agrees
    with pytest.raises(Conflict):
        world.repair(report)
    nothing_is_asked(world, report)


def test_a_site_whose_root_is_shown_as_empty_and_is_not_has_no_missing_files(world: World) -> None:
    lying(world, root=showing())
    report, found = world.check()
    assert of_files(found) == {}
    assert not report.agrees
    nothing_is_asked(world, report)


def test_an_empty_inventory_makes_orphans_of_all_and_deletes_none(world: World) -> None:
    """The reference: nothing reported."""
    world.commit(c.PutSite(Site("bare", (Door("memory", "/bare"),))))
    report = world.report_of("bare")
    assert {each.path for each in world.findings(report) if each.cls is Class.ORPHAN} == set(CONTENT)
    gate = world.gates(report)[Class.ORPHAN]
    assert (gate.is_open, gate.found) == (False, 6)
    assert "the inventory expects no file at bare" in "; ".join(gate.reasons)
    nothing_is_asked(world, report)


def test_a_directory_with_new_files_only_does_not_hide_that_the_expected_ones_are_missing(world: World) -> None:
    """The reference: nothing reported."""
    for path in IN_A:
        world.remove(path)
    world.away.put("/data/a/new", b"new", mtime_ns=young_ns(world))
    assert of_files(world.check()[1]) == {Class.MISSING: IN_A, Class.IGNORED: ["/data/a/new"]}


def test_an_orphan_beside_incomplete_replicas_is_found(world: World) -> None:
    """The reference: not reported."""
    world.publish(NEW, {"/data/c/one": b"1", "/data/c/two": b"22"})
    world.commit(c.RequestCopy(CopyRequest("r", NEW, "away", (BlockFiles("0000"),))))
    world.commit(c.FilesArrived(BlockKey(NEW, "0000"), "away", (0,), 1))
    world.away.put("/data/c/one", b"1")
    world.away.put("/data/c/dark", b"dark")
    report, found = world.check()
    assert found == {Class.ORPHAN: ["/data/c/dark"], Class.AWAITED: ["/data/c/two"]}
    assert world.delete_orphans(report, limit=1).deletions == 1


def test_what_an_incomplete_replica_lacks_is_not_missing(world: World) -> None:
    world.publish(NEW, {"/data/c/one": b"1", "/data/c/two": b"22"})
    world.arrive(NEW, (0,))
    world.away.put("/data/c/one", b"1")
    assert world.check()[1] == {}


@pytest.mark.parametrize("error", [NotAllowed("permission denied"), PeerError("time-out")])
def test_a_directory_that_failed_is_told_with_what_it_hides(world: World, error: NotAllowed | PeerError) -> None:
    """The reference: the whole subtree is silent."""
    world.away.put("/data/a/dark", b"dark")
    world.remove(FIRST)
    world.away.fail_directory("/data/a", error)
    report, found = world.check()
    assert found == {Class.UNLISTED: ["/data/a"]}
    assert (report.counts[Class.UNLISTED], report.unlisted_places) == (3, 1)
    assert error.message in reason_of(world, report, "/data/a")
    nothing_is_asked(world, report)


def test_a_directory_that_broke_off_hides_the_subdirectories_it_did_not_show(world: World) -> None:
    """The reference: their files are reported missing, and brought a second time."""
    world.remove(FIRST)
    world.away.put("/data/a/dark", b"dark")
    lying(world, data=showing("a", doubt="it broke off"))
    report, found = world.check()
    assert of_files(found) == {Class.MISSING: [FIRST], Class.ORPHAN: ["/data/a/dark"]}
    assert not report.agrees
    world.repair(report)
    world.work()
    assert world.at_away() == {**CONTENT, "/data/a/dark": b"dark"}


def test_a_part_that_is_told_twice_and_cannot_be_asked_for_otherwise_costs_nothing(world: World) -> None:
    """Two equal answers are believed where there is no other way to ask; a stat of each file is still no hearsay."""
    lying(world, second_look=False, data=showing("a", doubt="it broke off"))
    nothing_is_asked(world, world.report())


def test_a_listing_that_breaks_off_with_an_error_hides_the_rest(world: World) -> None:
    def faults(operation: str, path: str) -> None:
        if operation == "pages.next" and path == "/data/a":
            raise PeerError("connection reset")

    world.away.put("/data/a/a second page", b"")
    world.away.faults = faults
    report, found = world.check()
    assert of_files(found) == {}
    assert not report.agrees
    world.away.faults = None
    nothing_is_asked(world, report)


# 1.6 What is filtered, each with its reason.


def test_what_is_to_be_deleted_is_not_missing(world: World) -> None:
    world.commit(c.RequestDeletion(DeletionRequest("d", "away", dataset=DATASET, scope=(BlockFiles("0000", (0,)),))))
    world.remove(FIRST)
    report, found = world.check()
    assert found == {Class.IGNORED: [FIRST]}
    assert "to be deleted" in reason_of(world, report, FIRST)
    nothing_is_asked(world, report)


def while_listing(world: World, deed: Callable[[], None]) -> tuple[Report, dict[Class, list[str]]]:
    """A check during which, after the listing and before the second snapshot, something happens."""

    def observe(step: str) -> None:
        if step == "check.listed":
            deed()

    with steps.observed(observe):
        return world.check()


def test_what_was_deleted_meanwhile_is_not_missing(world: World) -> None:
    world.remove(FIRST)

    def delete() -> None:
        request = DeletionRequest("d", "away", dataset=DATASET, scope=(BlockFiles("0000", (0,)),))
        world.commit(c.RequestDeletion(request))
        world.commit(c.FilesDeleted(BLOCK, "away", (0,), "d"), c.CloseRequest("d", RequestState.DONE))

    report, found = while_listing(world, delete)
    assert found == {Class.IGNORED: [FIRST]}
    nothing_is_asked(world, report)


def test_what_is_awaited_is_neither_missing_nor_an_orphan(world: World) -> None:
    world.publish(NEW, {"/data/c/one": b"1"})
    world.commit(c.RequestCopy(CopyRequest("r", NEW, "away", (BlockFiles("0000"),))))
    assert world.check()[1] == {Class.AWAITED: ["/data/c/one"]}
    world.away.put("/data/c/one", b"1")
    report, found = world.check()
    assert found == {Class.AWAITED: ["/data/c/one"], Class.IGNORED: ["/data/c/one"]}
    nothing_is_asked(world, report)


def test_what_may_belong_to_a_dataset_that_the_site_has_stays(world: World) -> None:
    world.publish(NEW, {"/data/c/one": b"1", "/data/c/two": b"22"})
    world.arrive(NEW, (0,))
    for path, content in (("/data/c/one", b"1"), ("/data/c/two", b"22")):
        world.away.put(path, content)
    report, found = world.check()
    assert found == {Class.ORPHAN: ["/data/c/two"]}
    assert "must stay" in reason_of(world, report, "/data/c/two")
    nothing_is_asked(world, report)


@pytest.mark.parametrize("path", ["/f", "/data/f", "/data/a/b/c/d/e/f/g/h/i/f"])
def test_a_path_of_any_depth_is_judged_alike(world: World, path: str) -> None:
    """The reference: one too short to be taken apart counts as protected, for ever."""
    world.away.put(path, b"dark")
    report, found = world.check()
    assert of_files(found) == {Class.ORPHAN: [path]}
    put_right(world, report)
    assert path not in world.at_away()


@pytest.mark.parametrize("name", ["with blank", " leading", "trailing ", "a%20b", "naïve", "-l"])
def test_a_name_with_blanks_is_one_name(world: World, name: str) -> None:
    """1.7: names with blanks were cut."""
    world.away.put(f"/data/a/{name}", b"dark")
    report, found = world.check()
    assert found == {Class.ORPHAN: [f"/data/a/{name}"]}
    put_right(world, report)
    assert world.at_away() == CONTENT


# 1.7 How a listing may deceive.


def with_times_in_days(world: World) -> None:
    """A storage that tells dates, and nothing else of when a file was changed."""
    day_ns = DAY_US * 1000
    capabilities = replace(FULL, mtime_resolution_ns=day_ns)
    world.away = MemoryDriver(world.old, capabilities=capabilities, tree=world.away.tree)


def put_dark(world: World, at_us: int) -> None:
    world.away.put("/data/dark", b"dark", mtime_ns=at_us * 1000)
    node = world.away.tree.find("/data/dark")
    world.away.tree.put_node("/data/dark", replace(node, changed_ns=None))


def test_a_date_alone_does_not_make_a_file_of_last_night_old(world: World) -> None:
    with_times_in_days(world)
    midnight_us = world.now_us // DAY_US * DAY_US
    world.now_us = midnight_us + 3_600_000_000
    put_dark(world, midnight_us - 3_600_000_000)  # The date alone is 25 hours ago, the file two.
    assert world.check()[1] == {Class.IGNORED: ["/data/dark"]}
    world.now_us += DAY_US
    assert world.check()[1] == {Class.ORPHAN: ["/data/dark"]}


def test_an_old_orphan_goes_where_only_dates_are_told(world: World) -> None:
    with_times_in_days(world)
    put_dark(world, world.old())
    put_right(world, world.report())
    assert world.at_away() == CONTENT


# 1.8 Empty directories.


def test_a_check_removes_no_empty_directory(world: World) -> None:
    """The reference: removed while the listing went on, before anything was compared, outside all limits."""
    for path in ("/empty", "/data/deep/er/empty"):
        world.away.tree.make_directory(path)
    world.report()
    for path in ("/empty", "/data/deep/er/empty"):
        assert world.away.tree.is_empty(path)


# 2.1 and 2.2 Two snapshots: missing only if expected in both, an orphan only if in neither.


@pytest.mark.parametrize(
    ("before", "after", "there", "right"),
    [
        (True, True, True, {}),
        (True, True, False, {Class.MISSING: [FIRST]}),
        (True, False, True, {}),
        (True, False, False, {Class.IGNORED: [FIRST]}),
        (False, True, True, {Class.IGNORED: [FIRST]}),
        (False, True, False, {}),
        (False, False, True, {Class.ORPHAN: [FIRST]}),
        (False, False, False, {}),
    ],
)
def test_two_snapshots(world: World, before: bool, after: bool, there: bool, right: dict[Class, list[str]]) -> None:
    if not before:
        world.commit(c.FilesGone(BLOCK, "away", (0,), Evidence.STATED))
    if not there:
        world.remove(FIRST)

    def change() -> None:
        if before and not after:
            world.commit(c.FilesGone(BLOCK, "away", (0,), Evidence.STATED))
        if after and not before:
            world.arrive(DATASET, (0,))

    assert while_listing(world, change)[1] == right


@pytest.mark.parametrize(("fraction_max", "is_refused"), [(0.1, True), (0.16, True), (0.17, False), (1.0, False)])
def test_a_fraction_is_a_fraction(world: World, fraction_max: float, is_refused: bool) -> None:
    """2.3: limits called per cent, compared with a fraction, never refused anything."""
    world.remove(FIRST)
    report = world.report()
    if is_refused:
        with pytest.raises(Conflict, match="1 of 6 expected files"):
            world.repair(report, fraction_max=fraction_max)
    else:
        assert world.repair(report, fraction_max=fraction_max).copies == 1


def test_sizes_are_compared_and_what_has_no_other_copy_is_unrecoverable(world: World) -> None:
    """2.2: with lists of names, differences in size are never found."""
    world.commit(c.FilesGone(BLOCK, "home", (0, 1), Evidence.DECLARED))
    world.away.truncate(FIRST, 1)
    world.remove(SECOND)
    world.away.truncate(THIRD, 1)
    report, found = world.check()
    assert found == {Class.SIZE_MISMATCH: [FIRST, THIRD], Class.MISSING: [SECOND]}
    asked = world.repair(report)
    assert sorted(each.path for each in asked.unrecoverable) == [FIRST, SECOND]
    assert asked.copies == 1


def test_a_file_that_is_invisible_for_a_moment_is_not_declared_gone(world: World) -> None:
    """2.4: it was declared missing, was the last replica, and was detached from its block."""
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    driver = lying(world, second_look=False, a=hiding("x", "y"))
    report, found = world.check()
    assert found == {Class.MISSING: [FIRST, SECOND]}
    asked = world.repair(report)
    assert {each.path: each.reason for each in asked.skipped} == dict.fromkeys((FIRST, SECOND), "it is there now")
    nothing_is_asked(world, report)
    driver.lies.clear()
    assert world.report().agrees


def test_a_last_copy_that_a_stat_does_not_find_either_is_reported_and_nothing_else(world: World) -> None:
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    content = world.away.get(FIRST)
    assert content is not None
    world.remove(FIRST)
    report = world.report()
    assert [each.path for each in world.repair(report).unrecoverable] == [FIRST]
    nothing_is_asked(world, report)
    world.away.put(FIRST, content)
    assert world.report().agrees


# 5.4 Silent errors seen in the wild.


@pytest.mark.parametrize("names", ["/", "/data", "/data/a"])
def test_entries_that_are_named_once_for_each_data_server_are_one(world: World, names: str) -> None:
    world.away.put("/data/a/dark", b"dark")
    lying(world).lies[names] = repeating
    report, found = world.check()
    assert found == {Class.ORPHAN: ["/data/a/dark"]}
    assert (report.actual, report.actual_size) == (7, sum(map(len, CONTENT.values())) + 4)


def many(world: World, n_files: int = 30) -> list[str]:
    """Another directory, with many files, at both sites."""
    content = {f"/data/many/{number:03}": b"%d" % number for number in range(n_files)}
    world.publish(NEW, content)
    world.arrive(NEW, tuple(range(n_files)))
    for path, data in content.items():
        world.away.put(path, data)
    return sorted(content)


@pytest.mark.parametrize("shown", [(), ("000",), ("000", "001", "002", "003", "004")])
def test_a_directory_of_which_a_part_is_shown_has_no_missing_files(world: World, shown: Sequence[str]) -> None:
    """Five of 130 entries; nothing, where another way of asking shows them."""
    paths = many(world)
    world.remove(paths[7])
    lying(world, many=showing(*shown))
    report, found = world.check()
    assert of_files(found) == {}
    assert not report.agrees
    nothing_is_asked(world, report)


def test_a_directory_that_shows_nothing_in_any_way_for_a_while_costs_nothing(world: World) -> None:
    """Nobody can find that out by listing; a stat of each file does."""
    paths = many(world)
    driver = lying(world, many=showing())
    driver.blind.add("/data/many")
    report = world.report()
    assert not report.agrees
    nothing_is_asked(world, report)
    driver.lies.clear()
    assert world.report().agrees
    assert len(paths) == 30


def test_an_empty_directory_that_answers_with_an_error_hides_nothing_else(world: World) -> None:
    world.away.tree.make_directory("/data/empty")
    world.away.fail_directory("/data/empty", PeerError("no such file or directory on any server"))
    world.remove(FIRST)
    report, found = world.check()
    assert found == {Class.MISSING: [FIRST], Class.UNLISTED: ["/data/empty"]}
    assert report.counts[Class.UNLISTED] == 0


# Files that were moved.


def moved(world: World, path: str, to: str) -> None:
    content = world.away.get(path)
    assert content is not None
    world.remove(path)
    world.away.put(to, content)


def test_a_moved_file_is_missing_and_an_orphan_that_stays_until_a_copy_is_back(world: World) -> None:
    """That another site has it is hearsay until the copy has come: there it may be lost, too."""
    moved(world, FIRST, "/elsewhere/x")
    report, found = world.check()
    assert of_files(found) == {Class.MISSING: [FIRST], Class.ORPHAN: ["/elsewhere/x"]}
    put_right(world, report)
    assert world.at_away() == {**CONTENT, "/elsewhere/x": CONTENT[FIRST]}
    put_right(world, world.report())
    assert world.at_away() == CONTENT


def test_the_only_bytes_of_a_file_stay_wherever_they_were_moved(world: World) -> None:
    """The inventory believes in the copy at home; it is not there any more."""
    moved(world, FIRST, "/elsewhere/x")
    world.home.tree.remove(FIRST)
    for _ in range(3):
        put_right(world, world.report())
        world.now_us += DAY_US
    assert world.away.get("/elsewhere/x") == CONTENT[FIRST]


def test_a_file_that_was_moved_back_after_the_check_is_left_alone(world: World) -> None:
    moved(world, FIRST, "/elsewhere/x")
    report = world.report()
    moved(world, "/elsewhere/x", FIRST)
    nothing_is_asked(world, report)
    assert world.report().agrees


# Running again.


def test_what_was_asked_for_is_not_asked_for_again(world: World) -> None:
    world.remove(FIRST)
    world.away.truncate(SECOND, 1)
    world.away.put("/data/dark", b"dark")
    report = world.report()
    assert world.repair(report).copies == 2
    assert world.delete_orphans(report, limit=10).deletions == 1
    for again in (report, world.report()):
        nothing_is_asked(world, again)


def test_an_orphan_that_is_to_go_already_is_not_asked_for_again(world: World) -> None:
    world.away.put("/data/dark", b"dark")
    report = world.report()
    (id,) = world.delete_orphans(report, limit=10).deletion_requests
    asked = world.delete_orphans(report, limit=10)
    assert (asked.going, asked.deletions, asked.skipped) == ({"/data/dark": id}, 0, [])
    world.commit(c.CloseRequest(id, RequestState.FAILED))
    assert world.delete_orphans(report, limit=10).deletions == 1
