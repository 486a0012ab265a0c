"""A file is awaited while an open copy asks for it; what is held of that is told, and tried again by a repair."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, DATASET, World

from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.classes import Class
from holdfast.model import changes as c
from holdfast.model import pfn
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Evidence, RequestState
from holdfast.operations.requesting import steering
from holdfast.operations.showing import overview
from holdfast.operations.showing.overview import Condition

FIRST, SECOND = sorted(CONTENT)[:2]
NEW = DatasetKey("new")
ONE, TWO = "/data/new/one", "/data/new/two"
STRAY = f"it may be a copy of a file of {BlockKey(NEW, '0000')} that nobody has registered"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """``NEW`` is at home, and nobody has asked for it away."""
    made = World(tmp_path)
    made.publish(NEW, {ONE: b"1", TWO: b"22"})
    return made


def ask(world: World, id: str, *ordinals: int) -> None:
    """Ask for files of ``NEW`` away, all of them if none is named."""
    request = CopyRequest(id, NEW, "away", (BlockFiles("0000", ordinals or None),))
    world.commit(c.RequestCopy(request))


def arrive(world: World, path: str, ordinal: int) -> None:
    """One file of ``NEW`` has come."""
    world.away.put(path, {ONE: b"1", TWO: b"22"}[path])
    world.commit(c.FilesArrived(BlockKey(NEW, "0000"), "away", (ordinal,), 1))


def held(world: World) -> str:
    """A repair of FIRST that is held, for its only source is wrong; the id of its request."""
    world.home.flip_byte(FIRST)
    world.remove(FIRST)
    (id,) = world.repair(world.report()).copy_requests
    world.work()
    assert condition(world, id) is Condition.HELD
    return id


def condition(world: World, id: str) -> Condition:
    with world.store.snapshot() as view:
        (status,) = overview.statuses(world.store, [overview.find(view, id, overview.COPIES)])
    return status.condition


def test_what_is_asked_for_is_neither_missing_nor_an_orphan_and_the_site_does_not_agree(world: World) -> None:
    ask(world, "r")
    world.away.put(ONE, b"1")
    world.away.put("/data/new/.holdfast-part-0123", b"2", mtime_ns=world.now_us * 1000)
    report, found = world.check()
    assert found == {Class.IGNORED: ["/data/new/.holdfast-part-0123", ONE], Class.AWAITED: [ONE, TWO]}
    assert (report.counts[Class.AWAITED], report.sizes[Class.AWAITED], report.awaited_held) == (2, 3, 0)
    assert not report.agrees


@pytest.mark.parametrize("ignored", [Ignored(directories=("/data/*",)), Ignored(datasets=("*",))])
def test_what_is_awaited_in_an_ignored_place_is_left_alone(world: World, ignored: Ignored) -> None:
    id = held(world)
    ask(world, "r", 0)
    report, found = world.check()
    assert (found, report.awaited_held) == ({Class.AWAITED: [ONE, FIRST]}, 1)
    report, found = world.check(ignored=ignored)
    assert (found, report.awaited_held, report.held) == ({Class.IGNORED: [ONE, FIRST]}, 0, ())
    assert report.agrees
    assert all(each.reason.startswith(("in an ignored", "of an ignored")) for each in world.findings(report))
    assert world.repair(report).retried == {}
    assert condition(world, id) is Condition.HELD


@pytest.mark.parametrize("state", [RequestState.DONE, RequestState.FAILED, RequestState.CANCELLED])
def test_what_a_replica_lacks_and_nobody_asks_for_is_not_expected(world: World, state: RequestState) -> None:
    ask(world, "r")
    arrive(world, ONE, 0)
    assert world.check()[1] == {Class.AWAITED: [TWO]}
    world.commit(c.CloseRequest("r", state))
    # A request for files of another block is none for these.
    world.commit(c.RequestCopy(CopyRequest("other", DATASET, "away", (BlockFiles("0000"),))))
    report, found = world.check()
    assert found == {}
    assert report.agrees


def test_what_was_deleted_on_purpose_is_not_expected(world: World) -> None:
    world.commit(
        c.RequestDeletion(DeletionRequest("going", "away", dataset=DATASET, scope=(BlockFiles("0000", (0,)),)))
    )
    world.work()
    assert world.away.get(FIRST) is None
    assert world.report().agrees


def test_what_an_open_deletion_takes_is_not_awaited(world: World) -> None:
    scope = (BlockFiles("0000", (0,)),)
    world.commit(c.RequestDeletion(DeletionRequest("going", "away", dataset=DATASET, scope=scope)))
    world.commit(c.RequestCopy(CopyRequest("coming", DATASET, "away", (BlockFiles("0000", (0, 1)),))))
    world.commit(c.FilesGone(BLOCK, "away", (0, 1), Evidence.STATED))
    world.remove(SECOND)
    # What lies in its place is nobody's to judge while both are open.
    assert world.check()[1] == {Class.IGNORED: [FIRST], Class.AWAITED: [SECOND]}
    world.commit(c.CloseRequest("going", RequestState.CANCELLED))
    assert world.check()[1] == {Class.IGNORED: [FIRST], Class.AWAITED: [FIRST, SECOND]}


def test_only_what_a_request_names_is_awaited_and_each_file_once(world: World) -> None:
    ask(world, "first", 1)
    ask(world, "second", 1)
    report, found = world.check()
    assert found == {Class.AWAITED: [TWO]}
    assert [each.reason for each in world.findings(report)] == ["request first is to bring it"]


def test_an_awaited_file_that_has_no_path_at_the_site_is_unlisted(tmp_path: Path) -> None:
    world = World(tmp_path, rules=PfnRules.prefix("/data", "/x"))
    world.publish(NEW, {"/elsewhere/one": b"1"})
    assert pfn.path_of(world.rules, "/elsewhere/one") is None
    ask(world, "r")
    report, found = world.check()
    assert (found, report.counts[Class.AWAITED]) == ({Class.UNLISTED: ["/elsewhere/one"]}, 0)


# What lies there although nobody asks for it.


@pytest.mark.parametrize("content", [b"22", b"another one"])
def test_what_lies_in_the_place_of_a_file_that_nobody_asks_for_is_an_orphan_that_stays(
    world: World, content: bytes
) -> None:
    ask(world, "r", 0)
    arrive(world, ONE, 0)
    world.commit(c.CloseRequest("r", RequestState.DONE))
    world.away.put(TWO, content)
    report, found = world.check()
    assert found == {Class.ORPHAN: [TWO]}
    assert [each.reason for each in world.findings(report)] == [f"must stay: {STRAY}"]
    asked = world.delete_orphans(report, limit=1)
    assert (asked.deletions, [each.reason for each in asked.skipped]) == (0, [STRAY])
    assert world.away.get(TWO) == content


def test_where_the_site_has_no_replica_of_the_block_a_copy_of_what_others_hold_is_an_orphan_that_goes(
    world: World,
) -> None:
    world.away.put(TWO, b"22")
    report, found = world.check()
    assert found == {Class.ORPHAN: [TWO]}
    assert world.delete_orphans(report, limit=1).deletions == 1


def test_what_nobody_registered_is_young_first(world: World) -> None:
    ask(world, "r", 0)
    arrive(world, ONE, 0)
    world.commit(c.CloseRequest("r", RequestState.DONE))
    world.away.put(TWO, b"22", mtime_ns=world.now_us * 1000)
    assert world.check()[1] == {Class.IGNORED: [TWO]}


# What is held.


def test_what_is_held_is_told_with_its_reason(world: World) -> None:
    id = held(world)
    report, found = world.check()
    assert found == {Class.AWAITED: [FIRST]}
    (finding,) = world.findings(report)
    assert finding.reason.startswith(f"request {id} is to bring it; held: all failed: ")
    document = report.to_json()
    assert (document["awaited"], document["awaited_held"], document["agrees"]) == (1, 1, False)
    (told,) = document["held"]
    assert (told["request"], told["n_files"]) == (id, 1)
    assert told["why"].startswith("1 file held: all failed; last error ")


def test_only_files_that_are_held_count_as_held(world: World) -> None:
    id = held(world)
    ask(world, "r")
    report, found = world.check()
    assert found == {Class.AWAITED: [ONE, TWO, FIRST]}  # In order of their blocks.
    assert [(each.request, each.n_files) for each in report.held] == [(id, 1)]


def test_a_file_that_another_request_brings_is_not_held(world: World) -> None:
    held(world)
    world.commit(c.RequestCopy(CopyRequest("other", DATASET, "away", (BlockFiles("0000"),))))
    report = world.report()
    assert [each.reason for each in world.findings(report)] == ["request other is to bring it"]
    assert report.awaited_held == 0


def test_what_somebody_holds_back_is_held_with_all_its_files(world: World) -> None:
    ask(world, "r")
    steering.hold(world.store, "r", actor="me", reason="new disks")
    (told,) = world.report().held
    assert (told.n_files, told.why) == (2, "on hold by me: new disks")


def test_a_repair_asks_to_try_again_what_is_held_and_not_for_another_copy(world: World) -> None:
    id = held(world)
    report, position = world.report(), world.store.head().position
    asked = world.repair(report, dry_run=True)
    assert (asked.retried, condition(world, id)) == ({id: 1}, Condition.HELD)
    asked = world.repair(report)
    assert (asked.copies, asked.under_way, asked.retried) == (0, 1, {id: 1})
    assert condition(world, id) is Condition.QUEUED
    assert world.store.head().position == position
    world.home.put(FIRST, CONTENT[FIRST])
    world.work()
    assert world.report().agrees


def test_a_repair_by_an_older_report_asks_to_try_again_what_is_held_by_now(world: World) -> None:
    world.remove(FIRST)
    report = world.report()
    world.away.put(FIRST, CONTENT[FIRST])
    id = held(world)
    assert report.counts[Class.MISSING] == 1
    assert world.repair(report).retried == {id: 1}


def test_what_somebody_holds_back_is_not_tried_again(world: World) -> None:
    id = held(world)
    steering.hold(world.store, id, actor="me")
    asked = world.repair(world.report())
    assert (asked.under_way, asked.retried) == (1, {})
    steering.release(world.store, id)
    assert condition(world, id) is Condition.HELD


def test_an_awaited_file_without_a_source_is_held_and_not_given_up(world: World) -> None:
    world.remove(FIRST)
    (id,) = world.repair(world.report()).copy_requests
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    world.work()
    report = world.report()
    assert [(each.request, each.n_files) for each in report.held] == [(id, 1)]
    assert "no source" in report.held[0].why
    asked = world.repair(report)
    assert (asked.unrecoverable, asked.under_way) == ([], 1)
