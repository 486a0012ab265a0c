"""Orphans are moved into the quarantine: those that were meant, once, in the place of nothing, and told as moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from late_locks import deleted_with_a_late_lock
from operations_world import SETTINGS, Crash, World, crashing_at

from holdfast.model import changes as c
from holdfast.model import quarantine
from holdfast.model.clock import DAY_US
from holdfast.model.errors import Conflict, PeerError
from holdfast.model.records import EmptyDirectory, Lock, Orphan, RequestState
from holdfast.operations.batches.queue import Queue
from holdfast.operations.deletion_report import DeletionReport, PathState
from holdfast.operations.work import scheduling
from holdfast.storage.driver import Capabilities, NotThere
from holdfast.testing.memory_driver import FULL, MemoryDriver
from holdfast.testing.memory_store import MemoryStore

DAY = quarantine.QUARANTINE + "/2026-11-21"
ONE_BY_ONE = SETTINGS.model_copy(update={"deletions_per_site": 1})
TIDY = SETTINGS.model_copy(update={"remove_empty_directories": True})


def states(report: DeletionReport) -> dict[str, str]:
    return {outcome.path: outcome.state.value for outcome in report.outcomes}


def ask(world: World, *orphans: Orphan) -> str:
    return world.ask_deletion(*orphans, into=DAY)


def test_orphans_are_moved(any_world: World) -> None:
    keep = any_world.publish(2, at="AB")
    orphans = [any_world.orphan("B", f"/dark/d{number % 2}/o{number}", b"%d" % number) for number in range(5)]
    id = ask(any_world, *orphans)
    (report,) = any_world.delete()
    assert set(states(report).values()) == {"moved"}
    assert report.count(PathState.MOVED) == 5
    assert any_world.request(id).state is RequestState.DONE
    assert any_world.request(id).detail == "moved 5, already gone 0, skipped 0"
    assert any_world.paths("B") == sorted([*keep, *(f"{DAY}{each.path}" for each in orphans)])
    assert [any_world.get("B", f"{DAY}{each.path}") for each in orphans] == [b"%d" % number for number in range(5)]
    assert not [path for operation, path in any_world.drivers["B"].done if operation == "delete"]
    assert any_world.delete() == ()


def test_what_has_changed_stays(any_world: World) -> None:
    size, time, gone = (any_world.orphan("B", f"/dark/{name}") for name in ("size", "time", "gone"))
    id = ask(any_world, size, time, gone)
    any_world.put("B", size.path, b"something longer")
    any_world.put("B", time.path, b"DARK")
    asyncio.run(any_world.drivers["B"].inner.delete(gone.path))
    (report,) = any_world.delete()
    assert states(report) == {"/dark/size": "skipped", "/dark/time": "skipped", "/dark/gone": "gone"}
    assert any_world.paths("B") == ["/dark/size", "/dark/time"]
    assert any_world.request(id).detail.startswith("moved 0, already gone 1, skipped 2: ")


def test_nothing_that_lies_there_is_replaced(any_world: World) -> None:
    first, second = any_world.orphan("B", "/dark/first"), any_world.orphan("B", "/dark/second")
    any_world.put("B", f"{DAY}/dark/first", b"from before")
    id = ask(any_world, first, second)
    (report,) = any_world.delete()
    assert states(report) == {"/dark/first": "failed", "/dark/second": "moved"}
    assert any_world.paths("B") == sorted([f"{DAY}/dark/first", f"{DAY}/dark/second", "/dark/first"])
    assert any_world.get("B", f"{DAY}/dark/first") == b"from before"
    assert any_world.request(id).state is RequestState.FAILED
    assert f"{DAY}/dark/first is there already" in any_world.request(id).detail


def test_a_directory_in_its_place_is_not_replaced_either(any_world: World) -> None:
    orphan = any_world.orphan("B", "/dark/o")
    any_world.put("B", f"{DAY}/dark/o/below", b"from before")
    ask(any_world, orphan)
    (report,) = any_world.delete()
    assert states(report) == {orphan.path: "failed"}
    assert any_world.paths("B") == [f"{DAY}/dark/o/below", "/dark/o"]


def test_a_file_where_a_directory_would_have_to_be(any_world: World) -> None:
    orphan = any_world.orphan("B", "/dark/o")
    any_world.put("B", f"{DAY}/dark", b"from before")
    ask(any_world, orphan)
    (report,) = any_world.delete()
    assert states(report) == {orphan.path: "failed"}
    assert any_world.paths("B") == [f"{DAY}/dark", "/dark/o"]


@pytest.mark.parametrize(("days", "state"), [(0, "moved"), (2, "moved"), (3, "skipped")])
def test_nothing_comes_late_into_a_day_of_the_quarantine(world: World, days: int, state: str) -> None:
    """There it would seem to have lain for long already."""
    orphan = world.orphan("B", "/dark/o")
    into = quarantine.day_folder(world.clock())
    world.ask_deletion(orphan, into=into)
    world.clock.now_us += days * DAY_US
    (report,) = world.delete()
    assert states(report) == {orphan.path: state}
    assert (world.get("B", orphan.path) is None) == (state == "moved")


def test_what_was_locked_meanwhile_stays(world: World) -> None:
    first, second = world.orphan("B", "/dark/first"), world.orphan("B", "/dark/second")
    ask(world, first, second)
    world.commit(c.PutLock(Lock("lock", "somebody", lfn=first.path)))
    (report,) = world.delete()
    assert states(report) == {"/dark/first": "skipped", "/dark/second": "moved"}
    assert "locked by somebody" in report.outcomes[0].reason


@pytest.mark.parametrize("moment", ["deletion.claimed", "stat", "orphans.moved"])
def test_what_is_locked_after_the_claim_stays(world: World, moment: str) -> None:
    orphans = [world.orphan("B", f"/dark/o{number}") for number in range(4)]
    ask(world, *orphans)
    report = deleted_with_a_late_lock(world, moment, orphans)
    assert [outcome.state.value for outcome in report.outcomes] == ["moved", "skipped", "skipped", "moved"]
    assert world.paths("B") == [f"{DAY}/dark/o0", f"{DAY}/dark/o3", "/dark/o1", "/dark/o2"]


def test_what_became_wanted_is_not_asked_for(world: World) -> None:
    lfns = world.publish(3)
    world.ask("B")
    with pytest.raises(Conflict) as caught:
        ask(world, world.orphan("B", lfns[0]), world.orphan("B", "/dark/o"))
    assert caught.value.rows == (lfns[0],)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("step", ["deletion.claimed", "orphans.moved"])
def test_dying_at_a_step(any_world: World, step: str, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "ROOM_FILES", 2)
    orphans = [any_world.orphan("B", f"/dark/o{number}") for number in range(5)]
    id = ask(any_world, *orphans)
    with crashing_at(step, nth), pytest.raises(Crash):
        any_world.delete(settings=ONE_BY_ONE)
    any_world.reopen()
    (report,) = any_world.delete(settings=ONE_BY_ONE)
    assert any_world.paths("B") == [f"{DAY}{each.path}" for each in orphans]
    assert report.count(PathState.MOVED) == 5
    assert any_world.request(id).state is RequestState.DONE
    moved = [path for operation, path in any_world.drivers["B"].done if operation == "rename"]
    assert len(moved) == len(set(moved)) == 5


def test_in_a_store_of_another_kind(tmp_path: Path) -> None:
    world = World(tmp_path, store=MemoryStore())
    orphans = [world.orphan("B", f"/dark/o{number}") for number in range(3)]
    moved = ask(world, *orphans)
    asyncio.run(world.drivers["B"].inner.make_directory("/idle/below"))
    emptied = world.ask_deletion(directories=[EmptyDirectory("/idle"), EmptyDirectory("/idle/below")])
    for step in ("orphans.moved", "orphans.directory-removed"):
        with crashing_at(step), pytest.raises(Crash):
            world.delete()
        world.reopen()
    world.delete()
    assert [world.request(id).state for id in (moved, emptied)] == [RequestState.DONE] * 2
    assert world.paths("B") == [f"{DAY}{each.path}" for each in orphans]
    assert not is_there(world, "/idle")


def test_a_file_that_came_back_after_a_crash_stays(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    ask(world, orphan)
    with crashing_at("orphans.moved"), pytest.raises(Crash):
        world.delete()
    world.put("B", orphan.path, b"new!")
    world.reopen()
    (report,) = world.delete()
    assert states(report) == {orphan.path: "skipped"}
    assert world.get("B", orphan.path) == b"new!"
    assert world.get("B", f"{DAY}{orphan.path}") == b"dark"


def test_another_file_in_the_quarantine_is_not_taken_for_the_one_that_is_gone(any_world: World) -> None:
    orphan = any_world.orphan("B", "/dark/o")
    ask(any_world, orphan)
    asyncio.run(any_world.drivers["B"].inner.delete(orphan.path))
    any_world.put("B", f"{DAY}{orphan.path}", b"another")
    (report,) = any_world.delete()
    assert states(report) == {orphan.path: "gone"}


def changing_when_claimed(world: World, change: Callable[[], None]) -> Callable[[], object]:
    """The store's ``head``, asked between the look at a file and its move, with a change of the file just then."""
    head, queue = world.store.head, Queue(world.store)

    def changing() -> object:
        with queue.read() as connection:
            if queue.active(connection):
                change()
        return head()

    return changing


def test_a_file_that_is_replaced_between_the_look_and_the_move_goes_back(any_world: World) -> None:
    orphan = any_world.orphan("B", "/dark/o")
    ask(any_world, orphan)
    replaced = changing_when_claimed(any_world, lambda: any_world.put("B", orphan.path, b"something else"))
    any_world.store.head = replaced  # type: ignore[method-assign,assignment]
    (report,) = any_world.delete()
    assert states(report) == {orphan.path: "skipped"}
    assert any_world.paths("B") == [orphan.path]
    assert any_world.get("B", orphan.path) == b"something else"
    assert "about to be moved" in report.outcomes[0].reason


def test_a_file_that_cannot_go_back_is_told_where_it_lies(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    ask(world, orphan)
    replaced = changing_when_claimed(world, lambda: world.put("B", orphan.path, b"something else"))
    world.store.head = replaced  # type: ignore[method-assign,assignment]
    moves: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "rename":
            moves.append(path)
            if len(moves) == 2:
                raise PeerError("busy")

    world.memory("B").faults = faults
    (report,) = world.delete()
    assert states(report) == {orphan.path: "skipped"}
    assert world.get("B", f"{DAY}{orphan.path}") == b"something else"
    assert f"lies at {DAY}{orphan.path} now: " in report.outcomes[0].reason


@pytest.mark.parametrize(
    "capabilities",
    [replace(FULL, rename=False, atomic_rename=False), replace(FULL, atomic_rename=False, directories=False)],
    ids=["none", "by copying"],
)
def test_a_storage_that_cannot_move_is_not_asked_to(world: World, capabilities: Capabilities) -> None:
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B", capabilities=capabilities)
    orphan = world.orphan("B", "/dark/o")
    id = ask(world, orphan)
    (report,) = world.delete()
    assert states(report) == {orphan.path: "failed"}
    assert "quarantine = false" in world.request(id).detail
    assert world.request(id).state is RequestState.FAILED
    assert world.paths("B") == [orphan.path]
    assert world.drivers["B"].done == []


def test_one_whose_replacing_is_not_atomic_can_move(world: World) -> None:
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B", capabilities=replace(FULL, atomic_rename=False))
    orphan = world.orphan("B", "/dark/o")
    ask(world, orphan)
    (report,) = world.delete()
    assert states(report) == {orphan.path: "moved"}


def test_a_path_that_is_too_long_there_stays(world: World) -> None:
    orphan = world.orphan("B", "/dark" + "/d23456789" * 100)
    id = ask(world, orphan)
    (report,) = world.delete()
    assert states(report) == {orphan.path: "failed"}
    assert "1024" in world.request(id).detail
    assert world.paths("B") == [orphan.path]


def test_a_storage_that_fails_is_asked_again(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    ask(world, orphan)
    failed: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "rename" and len(failed) < 2:
            failed.append(path)
            raise PeerError("busy")

    world.memory("B").faults = faults
    (report,) = world.delete()
    assert states(report) == {orphan.path: "moved"}
    assert len(failed) == 2


def test_a_move_whose_answer_was_lost_is_found(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    ask(world, orphan)
    rename, driver = world.drivers["B"].inner.rename, world.memory("B")

    async def deaf(source: str, target: str, *, replace: bool = False) -> None:
        await rename(source, target, replace=replace)
        raise PeerError("no answer")

    driver.rename = deaf  # type: ignore[method-assign]
    (report,) = world.delete()
    assert states(report) == {orphan.path: "moved"}
    assert world.paths("B") == [f"{DAY}{orphan.path}"]


@pytest.mark.parametrize("times", [1, 99])
def test_a_directory_of_the_quarantine_that_somebody_removes_is_made_again(world: World, times: int) -> None:
    orphan = world.orphan("B", "/dark/o")
    id = ask(world, orphan)
    rename, removed, driver = world.memory("B").rename, [], world.memory("B")

    async def unlucky(source: str, target: str, *, replace: bool = False) -> None:
        if len(removed) < times:
            removed.append(target)
            await driver.remove_directory(f"{DAY}/dark")
            raise NotThere("no such directory", place=target)
        await rename(source, target, replace=replace)

    driver.rename = unlucky  # type: ignore[method-assign]
    (report,) = world.delete()
    if times == 1:
        assert states(report) == {orphan.path: "moved"}
        return
    # The orphan is there, so it is not gone; it is tried again, and held in the end.
    assert states(report) == {orphan.path: "failed"}
    assert world.request(id).state is RequestState.OPEN
    assert world.paths("B") == [orphan.path]


def test_what_is_locked_while_its_directory_is_made_again_stays(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    ask(world, orphan)
    driver = world.memory("B")

    async def unlucky(source: str, target: str, *, replace: bool = False) -> None:
        await driver.remove_directory(f"{DAY}/dark")
        world.commit(c.PutLock(Lock("lock", "somebody", lfn=orphan.path)))
        raise NotThere("no such directory", place=target)

    driver.rename = unlucky  # type: ignore[method-assign]
    (report,) = world.delete()
    assert states(report) == {orphan.path: "skipped"}
    assert world.paths("B") == [orphan.path]


def test_what_is_moved_is_told_whatever_is_answered_and_locked_meanwhile(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    ask(world, orphan)
    driver = world.memory("B")
    rename = driver.rename

    async def misleading(source: str, target: str, *, replace: bool = False) -> None:
        await rename(source, target, replace=replace)
        world.commit(c.PutLock(Lock("lock", "somebody", lfn=orphan.path)))
        raise NotThere("no such file", place=source)

    driver.rename = misleading  # type: ignore[method-assign]
    (report,) = world.delete()
    assert states(report) == {orphan.path: "moved"}
    assert world.paths("B") == [f"{DAY}{orphan.path}"]


def test_where_nothing_shows_nothing_is_gone(world: World) -> None:
    id = ask(world, world.orphan("B", "/dark/o"))
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B")
    (report,) = world.delete()
    assert states(report) == {"/dark/o": "failed"}
    assert "is the storage mounted" in report.outcomes[0].reason
    assert world.request(id).state is RequestState.OPEN


def test_directories_that_are_left_empty_go_where_the_settings_say_so(any_world: World) -> None:
    any_world.put("B", "/data/kept", b"kept")
    for settings, is_left in ((SETTINGS, True), (TIDY, False)):
        ask(any_world, any_world.orphan("B", f"/dark/{settings.remove_empty_directories}/o"))
        (report,) = any_world.delete(settings=settings)
        assert report.count(PathState.MOVED) == 1
        assert is_there(any_world, f"/dark/{settings.remove_empty_directories}") is is_left


def is_there(world: World, path: str) -> bool:
    try:
        asyncio.run(world.drivers["B"].inner.stat(path))
    except NotThere:
        return False
    return True


def test_what_lies_in_the_quarantine_is_deleted_like_any_orphan(any_world: World) -> None:
    orphan = any_world.orphan("B", "/dark/o")
    any_world.put("B", "/data/kept", b"kept")
    ask(any_world, orphan)
    any_world.delete()
    id = any_world.ask_deletion(replace(orphan, path=f"{DAY}{orphan.path}", version=""))
    (report,) = any_world.delete()
    assert states(report) == {f"{DAY}{orphan.path}": "deleted"}
    assert any_world.request(id).detail == "deleted 1, already gone 0, skipped 0"
    assert any_world.paths("B") == ["/data/kept"]


def test_moves_and_deletions_do_not_mix(world: World) -> None:
    moved, deleted = world.orphan("B", "/dark/moved"), world.orphan("B", "/dark/deleted")
    ask(world, moved)
    world.ask_deletion(deleted)
    reports = world.delete()
    assert [states(report) for report in reports] == [{moved.path: "moved"}, {deleted.path: "deleted"}]
    assert [(report.what, report.into) for report in reports] == [("orphans", DAY), ("orphans", "")]
