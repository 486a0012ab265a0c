"""Repair asks for the right things only, and leaves the rest where it is. Carried out by the real executors."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, World

from holdfast.consistency.classes import LACKING, Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.mending import repair
from holdfast.consistency.mending.asker import Repair
from holdfast.consistency.mending.grouped import by_block
from holdfast.consistency.mending.request_sizes import copy_cost, cut
from holdfast.inventory import journal
from holdfast.model import changes as c
from holdfast.model.errors import Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    DeletionRequest,
    Door,
    Evidence,
    Lock,
    RequestState,
    Site,
    SiteStatus,
)
from holdfast.storage.driver import Kind
from support.logged import logged

FIRST, SECOND, THIRD = sorted(CONTENT)[:3]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def damage(world: World) -> None:
    """One file of each wrong class, and a dark one."""
    world.remove(FIRST)
    world.away.truncate(SECOND, 3)
    world.away.flip_byte(THIRD)
    world.away.put("/data/dark", b"dark")


def n_entries(world: World) -> int:
    return world.store.head().position


def other_site(world: World, status: SiteStatus) -> None:
    """A third site that holds everything, by the inventory's word."""
    spare = Site("spare", (Door("memory", "/spare"),))
    world.commit(c.PutSite(spare), c.RequestCopy(CopyRequest("spare", BLOCK.dataset, "spare", (BlockFiles("0000"),))))
    world.commit(c.FilesArrived(BLOCK, "spare", None, 1), c.CloseRequest("spare", RequestState.DONE))
    world.commit(c.PutSite(replace(spare, status=status)))


def set_status(world: World, name: str, status: SiteStatus) -> None:
    with world.store.snapshot() as view:
        site = view.site(name)
    world.commit(c.PutSite(replace(site, status=status)))


def test_everything_wrong_is_mended_and_a_second_check_agrees(world: World) -> None:
    damage(world)
    report = world.report(with_checksums=True)
    asked = world.repair(report)
    assert (asked.copies, asked.skipped, asked.unrecoverable) == (3, [], [])
    assert world.delete_orphans(report, limit=1).deletions == 1
    world.work()
    assert world.at_away() == CONTENT
    report, found = world.check(with_checksums=True)
    assert found == {}
    assert report.agrees
    with world.store.snapshot() as snapshot:
        assert snapshot.copy_requests() == []
        assert snapshot.deletion_requests() == []


def test_a_check_alone_changes_nothing(world: World) -> None:
    damage(world)
    before, position = world.at_away(), n_entries(world)
    world.check(with_checksums=True)
    assert (world.at_away(), n_entries(world)) == (before, position)


def test_a_dry_run_says_the_same_and_changes_nothing(world: World) -> None:
    damage(world)
    report = world.report(with_checksums=True)
    before, position = world.at_away(), n_entries(world)
    dry = world.repair(report, dry_run=True)
    assert (world.at_away(), n_entries(world)) == (before, position)
    assert dry.copies == world.repair(report).copies == 3


def test_asking_marks_the_files_as_gone_in_the_same_transaction(world: World) -> None:
    world.remove(FIRST)
    position = n_entries(world)
    asked = world.repair(world.report())
    (entry,) = list(world.store.entries())[position:]
    assert [change.kind for change in entry.changes] == ["files-gone", "request-copy"]
    assert "check run" in entry.cause
    with world.store.snapshot() as snapshot:
        assert [request.id for request in snapshot.copy_requests()] == asked.copy_requests
        assert {request.owner for request in snapshot.copy_requests()} == {"test"}, "it is on the account of who acts"
        (replica,) = snapshot.replicas(block=BLOCK, site="away")
        assert replica.held == FileSet.full(6) - FileSet.of([0])


def test_a_wrong_file_stays_until_a_proved_copy_replaces_it(world: World) -> None:
    world.away.truncate(SECOND, 3)
    world.repair(world.report())
    assert world.away.get(SECOND) == CONTENT[SECOND][:3]
    world.home.flip_byte(SECOND)
    world.work()
    assert world.away.get(SECOND) == CONTENT[SECOND][:3]


def test_the_last_copy_is_left_as_it_is_and_reported(world: World) -> None:
    world.commit(c.FilesGone(BLOCK, "home", (0, 1), Evidence.DECLARED))
    world.remove(FIRST)
    world.away.truncate(SECOND, 3)
    world.remove(THIRD)
    asked = world.repair(world.report())
    assert [finding.path for finding in asked.unrecoverable] == [FIRST, SECOND]
    assert asked.copies == 1
    with world.store.snapshot() as snapshot:
        (replica,) = snapshot.replicas(block=BLOCK, site="away")
        assert replica.held == FileSet.full(6) - FileSet.of([2])


def test_what_has_changed_since_the_check_is_skipped(world: World) -> None:
    damage(world)
    report = world.report(with_checksums=True)
    for path in (FIRST, SECOND, THIRD):
        world.away.put(path, CONTENT[path])
    world.away.put("/data/dark", b"light")
    asked = world.repair(report)
    assert asked.copies == 0
    assert {finding.path for finding in asked.skipped} == {FIRST, SECOND, THIRD}
    asked = world.delete_orphans(report, limit=5)
    assert asked.deletions == 0
    assert [finding.path for finding in asked.skipped] == ["/data/dark"]


def test_a_site_that_lost_more_than_the_limit_is_not_repaired(world: World) -> None:
    world.remove(FIRST)
    report = world.report()
    with pytest.raises(Conflict, match="1 of 6 expected files"):
        world.repair(report, fraction_max=0.1)
    assert world.repair(report, fraction_max=0.2).copies == 1


def test_an_empty_listing_is_never_all_files_missing(world: World) -> None:
    for path in CONTENT:
        world.remove(path)
    report = world.report()
    assert report.counts[Class.MISSING] == 6
    with pytest.raises(Conflict, match="no file at all"):
        world.repair(report, fraction_max=1.0)


def test_more_orphans_than_the_limit_and_none_goes(world: World) -> None:
    for number in range(3):
        world.away.put(f"/data/dark{number}", b"1")
    report = world.report()
    with pytest.raises(Conflict, match="3 orphans, more than orphans_max, 2"):
        world.delete_orphans(report, limit=2)
    world.work()
    assert len(world.at_away()) == len(CONTENT) + 3


def test_locked_orphans_and_possible_last_copies_stay(world: World) -> None:
    world.away.put("/data/locked", b"1")
    world.away.put("/data/free", b"1")
    world.commit(c.PutLock(Lock("l", owner="me", lfn="/data/locked", sites="aw*")))
    report = world.report()
    asked = world.delete_orphans(report, limit=2)
    assert asked.deletions == 1
    assert [finding.path for finding in asked.skipped] == ["/data/locked"]
    world.work()
    assert "/data/locked" in world.at_away()
    assert "/data/free" not in world.at_away()


def test_a_lock_that_comes_after_the_request_still_saves_the_orphan(world: World) -> None:
    world.away.put("/data/dark", b"1")
    world.delete_orphans(world.report(), limit=1)
    world.commit(c.PutLock(Lock("l", owner="me", lfn="/data/dark")))
    world.work()
    assert world.away.get("/data/dark") == b"1"


def test_a_renamed_directory_is_not_deleted_as_orphans(world: World) -> None:
    """The only bytes of a dataset, moved aside: nothing else tells them from dark data."""
    world.commit(c.FilesGone(BLOCK, "home", tuple(range(6)), Evidence.DECLARED))
    for path, content in CONTENT.items():
        world.remove(path)
        world.away.put(path.replace("/data/", "/data.old/"), content)
    report = world.report()
    assert (report.counts[Class.MISSING], report.counts[Class.ORPHAN]) == (6, 6)
    with pytest.raises(Conflict, match="6 of 6 expected files"):
        world.delete_orphans(report, limit=100, fraction_max=0.1)
    asked = world.delete_orphans(report, limit=100)
    assert asked.deletions == 0
    assert {finding.reason for finding in asked.skipped} == {f"may be a moved last copy of {FIRST}"}


def test_an_orphan_of_the_size_of_a_file_that_a_replica_lacks_and_nobody_has_stays(world: World) -> None:
    """Nobody asks for that file any more; that its only bytes lie there under another name is possible all the same."""
    world.remove(FIRST)
    (id,) = world.repair(world.report()).copy_requests
    world.commit(c.CloseRequest(id, RequestState.CANCELLED))
    world.away.put("/data/same-size", b"?" * len(CONTENT[FIRST]))
    report = world.report()
    assert (report.counts[Class.AWAITED], report.counts[Class.ORPHAN]) == (0, 1)
    assert world.delete_orphans(report, limit=1, dry_run=True).deletions == 1
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    asked = world.delete_orphans(report, limit=1)
    assert (asked.deletions, [each.reason for each in asked.skipped]) == (0, [f"may be a moved last copy of {FIRST}"])


def test_an_orphan_of_the_size_of_a_file_that_others_are_to_lose_stays(world: World) -> None:
    going = DeletionRequest("going", "home", dataset=BLOCK.dataset, scope=(BlockFiles("0000", (0,)),))
    world.commit(c.RequestDeletion(going))
    world.remove(FIRST)
    world.away.put("/data/same-size", b"?" * len(CONTENT[FIRST]))
    assert world.delete_orphans(world.report(), limit=1).deletions == 0
    world.commit(c.CloseRequest("going", RequestState.CANCELLED))
    asked = world.delete_orphans(world.report(), limit=1)
    assert [each.reason for each in asked.skipped] == [f"may be a moved copy of {FIRST}, which is not back yet"]
    world.repair(world.report())
    world.work()
    assert world.delete_orphans(world.report(), limit=1).deletions == 1


def test_an_orphan_of_the_size_of_a_lost_file_stays_until_that_is_back_and_another_goes(world: World) -> None:
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    world.remove(FIRST)
    world.away.put("/data/same-size", b"?" * len(CONTENT[FIRST]))
    world.away.put("/data/other-size", b"?")
    asked = world.delete_orphans(world.report(), limit=2)
    assert [finding.path for finding in asked.skipped] == ["/data/same-size"]
    assert asked.deletions == 1
    world.work()
    other_site(world, SiteStatus.READY)
    asked = world.delete_orphans(world.report(), limit=2)
    assert [each.reason for each in asked.skipped] == [f"may be a moved copy of {FIRST}, which is not back yet"]


@pytest.mark.parametrize("status", [SiteStatus.MORGUE, SiteStatus.WAITROOM])
def test_only_a_site_that_is_ready_counts_as_another_holder(world: World, status: SiteStatus) -> None:
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    other_site(world, status)
    world.remove(FIRST)
    world.away.put("/data/same-size", b"?" * len(CONTENT[FIRST]))
    report = world.report()
    asked = world.repair(report)
    assert (asked.copies, [finding.path for finding in asked.unrecoverable]) == (0, [FIRST])
    assert world.delete_orphans(report, limit=2).deletions == 0
    with world.store.snapshot() as snapshot:
        assert snapshot.replicas(block=BLOCK, site="away")[0].is_complete


def test_what_was_asked_for_stays_awaited_and_is_not_asked_for_twice(world: World) -> None:
    world.remove(FIRST)
    (id,) = world.repair(world.report()).copy_requests
    report, found = world.check()
    assert found == {Class.AWAITED: [FIRST]}
    assert (report.agrees, report.awaited_held) == (False, 0)
    asked = world.repair(report)
    assert (asked.copies, asked.under_way, asked.copy_requests, asked.retried) == (0, 1, [], {})
    with world.store.snapshot() as snapshot:
        assert [request.id for request in snapshot.copy_requests()] == [id]
        assert snapshot.copy_requests()[0].replace
    world.work()
    assert world.report().agrees


@pytest.mark.parametrize("state", [RequestState.CANCELLED, RequestState.FAILED])
def test_what_somebody_gave_up_since_the_check_is_not_asked_for_again(world: World, state: RequestState) -> None:
    world.remove(FIRST)
    missing = world.report()
    (id,) = world.repair(missing).copy_requests
    awaited = world.report()
    world.commit(c.CloseRequest(id, state))
    position = n_entries(world)
    for report in (missing, awaited):
        asked = world.repair(report)
        assert (asked.copies, asked.under_way, [each.path for each in asked.skipped]) == (0, 0, [FIRST])
        assert asked.skipped[0].reason == "the inventory no longer wants it there"
    assert n_entries(world) == position
    assert world.report().agrees


def test_a_missing_file_of_which_the_other_copy_is_to_go_is_brought_back_before_that_copy_goes(world: World) -> None:
    going = DeletionRequest("going", "home", dataset=BLOCK.dataset, scope=(BlockFiles("0000", (0, 1)),))
    world.commit(c.RequestDeletion(going))
    world.remove(FIRST)
    asked = world.repair(world.report())
    assert (asked.copies, asked.unrecoverable) == (1, [])
    world.work()
    for path in (FIRST, SECOND):
        assert (world.home.get(path), world.away.get(path)) == (None, CONTENT[path])
    assert world.report().agrees


def test_a_file_that_arrived_after_the_check_is_not_asked_for(world: World) -> None:
    world.remove(FIRST)
    world.repair(world.report())
    report = world.report()
    world.work()
    asked = world.repair(report)
    assert (asked.copies, asked.under_way, asked.skipped) == (0, 1, [])


def test_two_repairs_by_one_report_ask_once(world: World) -> None:
    world.remove(FIRST)
    report = world.report()
    assert world.repair(report).copies == 1
    asked = world.repair(report)
    assert (asked.copies, asked.under_way) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "reason"), [(Kind.DIRECTORY, "a directory is in its place"), (Kind.OTHER, "a link or another thing")]
)
def test_what_lies_in_the_place_of_a_missing_file_is_named(world: World, kind: Kind, reason: str) -> None:
    world.remove(FIRST)
    report = world.report()
    if kind is Kind.DIRECTORY:
        world.away.put(f"{FIRST}/inner", b"1")
    else:
        world.away.tree.put_other(FIRST)
    (skipped,) = world.repair(report).skipped
    assert reason in skipped.reason


def test_a_directory_in_the_place_of_a_file_is_named_by_every_repair(world: World) -> None:
    world.remove(FIRST)
    world.away.put(f"{FIRST}/inner", b"1")
    asked = world.repair(world.report())
    assert [(each.path, "directory" in each.reason) for each in asked.skipped] == [(FIRST, True)]


def test_ten_thousand_orphans_with_long_paths_fit_into_requests(world: World) -> None:
    folder = "/data/" + "/".join(["\\" * 200] * 3)
    for number in range(10_000):
        world.away.put(f"{folder}/{number:0200d}", b"1")
    asked = world.delete_orphans(world.report(), limit=10_000)
    assert asked.deletions == 10_000
    assert len(asked.deletion_requests) > 1


def test_thousands_of_files_in_blocks_with_long_names_fit_into_requests() -> None:
    block = BlockKey(DatasetKey("d" * 500), "0")
    files = [
        Finding(Class.MISSING, "/f", block=block._replace(block="b" * 120 + str(number)), ordinal=0)
        for number in range(5000)
    ]
    parts = list(cut(files, copy_cost))
    assert [each for part in parts for each in part] == files
    for part in parts:
        scope = tuple(BlockFiles(block.block, ordinals) for block, ordinals in by_block(part).items())
        request = c.RequestCopy(CopyRequest("r", block.dataset, "away", scope, reason="why" * 50, replace=True))
        gone = [
            c.FilesGone(BlockKey(block.dataset, each.block), "away", (0,), Evidence.STATED, "why" * 50)
            for each in scope
        ]
        assert len(journal.encode(c.ChangeSet((*gone, request), "me", "why"))) < c.BYTES_MAX
    assert len(parts) > 1
    in_one_block = [Finding(Class.MISSING, "/f", block=block, ordinal=number) for number in range(10_000)]
    assert len(list(cut(in_one_block, copy_cost))) == 1


def test_a_dry_run_is_refused_what_the_run_itself_is_refused(world: World) -> None:
    world.remove(FIRST)
    world.away.put("/data/dark", b"1")
    report = world.report()
    assert world.repair(report, dry_run=True).copy_requests == []
    assert world.delete_orphans(report, limit=1, dry_run=True).deletion_requests == []
    set_status(world, "away", SiteStatus.MORGUE)
    position = n_entries(world)
    for dry_run in (True, False):
        with pytest.raises(Conflict, match="away is morgue"):
            world.repair(report, dry_run=dry_run)
    assert n_entries(world) == position


def test_asking_and_refusing_are_in_the_log(world: World) -> None:
    world.remove(FIRST)
    world.away.put("/data/dark", b"1")
    report = world.report()
    with logged() as logs, pytest.raises(Conflict):
        world.repair(report, fraction_max=0.1)
    (refused,) = logs
    assert (refused["event"], refused["site"]) == ("gates refused", "away")
    with logged() as logs:
        asked = world.repair(report)
        asked_too = world.delete_orphans(report, limit=1)
    assert [(each["event"], each["request"], each["files"]) for each in logs if "asked" in each["event"]] == [
        ("repair asked", asked.copy_requests[0], 1),
        ("removals asked", asked_too.deletion_requests[0], 1),
    ]


def test_what_was_seen_behind_another_door_is_not_acted_on(world: World) -> None:
    world.remove(FIRST)
    report = world.report()
    with world.store.snapshot() as view:
        site = view.site("away")
    asker = replace(world.asker(), door=site.first_door)
    world.commit(c.PutSite(replace(site, doors=(replace(site.first_door, root="/elsewhere"),))))
    lacking = [finding for finding in world.findings(report) if finding.cls in LACKING]
    with pytest.raises(Conflict, match="door"):
        asyncio.run(repair.repair(asker, report, lacking, Repair(), gates=world.gates(report)))
    with world.store.snapshot() as view:
        assert not view.copy_requests()
