"""Repair asks for the right things only, and leaves the rest where it is. Carried out by the real executors."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, World

from holdfast.consistency.findings import Class
from holdfast.model import changes as c
from holdfast.model.errors import Conflict, PeerError
from holdfast.model.fileset import FileSet
from holdfast.model.records import Evidence, Lock

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
    with pytest.raises(Conflict, match="1 of 6 files"):
        world.repair(report, fraction_max=0.1)
    assert world.repair(report, fraction_max=0.2).copies == 1


def test_an_empty_listing_is_never_all_files_missing(world: World) -> None:
    for path in CONTENT:
        world.remove(path)
    report = world.report()
    assert report.counts[Class.MISSING] == 6
    with pytest.raises(Conflict, match="no file at all"):
        world.repair(report, fraction_max=1.0)


def test_a_site_that_could_not_be_listed_is_left_alone(world: World) -> None:
    world.away.put("/data/dark", b"1")
    world.away.fail_directory("/", PeerError("down"))
    report = world.report()
    with pytest.raises(Conflict, match="could not be listed"):
        world.repair(report)
    with pytest.raises(Conflict, match="could not be listed"):
        world.delete_orphans(report, limit=10)


def test_more_orphans_than_the_limit_and_none_goes(world: World) -> None:
    for number in range(3):
        world.away.put(f"/data/dark{number}", b"1")
    report = world.report()
    with pytest.raises(Conflict, match="3 orphans, more than the limit of 2"):
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
