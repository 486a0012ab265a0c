"""Empty directories go as they were asked to: the deepest first, only if nothing is in them or is to be in them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from operations_world import SETTINGS, Crash, World, crashing_at
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select

from holdfast.model import changes as c
from holdfast.model import steps
from holdfast.model.changes import ROWS_MAX
from holdfast.model.errors import BadInput, Conflict, PeerError
from holdfast.model.records import EmptyDirectory, Lock, RequestState
from holdfast.operations.deletion_report import DeletionReport, PathState
from holdfast.operations.planning import lacking
from holdfast.operations.work import scheduling
from holdfast.storage.driver import Capabilities, NotThere
from holdfast.testing.memory_driver import FULL, MemoryDriver

ONE_BY_ONE = SETTINGS.model_copy(update={"deletions_per_site": 1})


def states(report: DeletionReport) -> dict[str, str]:
    return {outcome.path: outcome.state.value for outcome in report.outcomes}


def make(world: World, *paths: str) -> list[EmptyDirectory]:
    """Directories at B, as a listing sees them; made in the order given."""
    driver = world.drivers["B"].inner
    if not world.paths("B"):
        world.put("B", "/data/kept", b"kept")
    for path in paths:
        asyncio.run(driver.make_directory(path))
    return [EmptyDirectory(path, asyncio.run(driver.stat(path)).mtime_ns) for path in paths]


def ask(world: World, *directories: EmptyDirectory) -> str:
    return world.ask_deletion(directories=directories)


def there(world: World, *paths: str) -> list[str]:
    """Those of some paths at B that are there."""

    async def is_there(path: str) -> bool:
        try:
            await world.drivers["B"].inner.stat(path)
        except NotThere:
            return False
        return True

    return [path for path in paths if asyncio.run(is_there(path))]


def test_empty_directories_go(any_world: World) -> None:
    paths = ["/e", "/e/a", "/e/a/x", "/e/a/y", "/e/b", "/f"]
    id = ask(any_world, *make(any_world, *paths))
    assert [each.path for each in any_world.request(id).directories] == ["/e/a/y", "/e/a/x", "/e/b", "/e/a", "/f", "/e"]
    (report,) = any_world.delete()
    assert states(report) == dict.fromkeys(paths, "deleted")
    assert report.what == "empty directories"
    assert any_world.request(id).state is RequestState.DONE
    assert any_world.request(id).detail == "deleted 6, already gone 0, skipped 0"
    assert there(any_world, *paths) == []
    assert any_world.paths("B") == ["/data/kept"]


def test_what_is_not_empty_stays_with_all_above(any_world: World) -> None:
    directories = make(any_world, "/e", "/e/a", "/e/b")
    any_world.put("B", "/e/b/new", b"new")
    id = ask(any_world, *(replace(each, mtime_ns=None) for each in directories))
    (report,) = any_world.delete()
    assert states(report) == {"/e/a": "deleted", "/e/b": "skipped", "/e": "skipped"}
    assert {each.reason for each in report.outcomes if each.reason} == {"it is not empty"}
    assert any_world.request(id).state is RequestState.DONE
    assert any_world.get("B", "/e/b/new") == b"new"


@pytest.mark.parametrize("any_world", ["posix"], indirect=True)
def test_what_has_changed_since_it_was_listed_stays(any_world: World) -> None:
    used, untold, idle = make(any_world, "/used", "/untold", "/idle")
    driver = any_world.drivers["B"].inner
    for directory in (used, untold):
        any_world.put("B", f"{directory.path}/passing", b"by")
        asyncio.run(driver.delete(f"{directory.path}/passing"))
    ask(any_world, used, replace(untold, mtime_ns=None), idle)
    (report,) = any_world.delete()
    assert states(report) == {"/untold": "deleted", "/used": "skipped", "/idle": "deleted"}
    assert there(any_world, "/untold", "/used", "/idle") == ["/used"]


def test_what_is_no_directory_any_more_stays(any_world: World) -> None:
    directory, gone = make(any_world, "/e", "/gone")
    id = ask(any_world, directory, gone)
    driver = any_world.drivers["B"].inner
    asyncio.run(driver.remove_directory("/e"))
    asyncio.run(driver.remove_directory("/gone"))
    any_world.put("B", "/e", b"a file")
    (report,) = any_world.delete()
    assert states(report) == {"/gone": "gone", "/e": "skipped"}
    assert any_world.request(id).detail.startswith("deleted 0, already gone 1, skipped 1: /e: it is no directory")
    assert any_world.get("B", "/e") == b"a file"


def test_orphans_go_before_the_directories_that_they_lie_in(any_world: World) -> None:
    directories = make(any_world, "/e", "/e/a")
    orphan = any_world.orphan("B", "/e/a/o")
    any_world.ask_deletion(orphan, directories=directories)
    (report,) = any_world.delete()
    assert states(report) == {"/e/a/o": "deleted", "/e/a": "deleted", "/e": "deleted"}
    assert report.what == "orphans and empty directories"


def test_what_is_above_one_stays_whatever_the_settings_say(any_world: World) -> None:
    """Nobody has asked for it, and the inventory was not asked about it."""
    directories = make(any_world, "/e/a/x")
    ask(any_world, *directories)
    (report,) = any_world.delete(settings=SETTINGS.model_copy(update={"remove_empty_directories": True}))
    assert states(report) == {"/e/a/x": "deleted"}
    assert there(any_world, "/e", "/e/a", "/e/a/x") == ["/e", "/e/a"]


@pytest.mark.parametrize("batch_files", [1, 2, 100])
@pytest.mark.parametrize("room_files", [1, 3, 100])
def test_in_whatever_pieces_it_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch, batch_files: int, room_files: int
) -> None:
    monkeypatch.setattr(lacking, "ORPHANS_FILES", batch_files)
    monkeypatch.setattr(scheduling, "ROOM_FILES", room_files)
    paths = ["/e", *(f"/e/{a}" for a in "ab"), *(f"/e/{a}/{b}" for a in "ab" for b in "xyz"), "/e/a/x/deep"]
    directories = make(world, *paths)
    orphans = [world.orphan("B", f"/e/{name}/o") for name in ("a/x/deep", "b/y", "b")]
    id = world.ask_deletion(*orphans, directories=directories)
    (report,) = world.delete()
    assert report.count(PathState.DELETED) == len(paths) + len(orphans)
    assert world.request(id).state is RequestState.DONE
    assert there(world, *paths) == []


def test_one_in_the_wrong_order_waits_for_what_is_below(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lacking, "ORPHANS_FILES", 1)
    directories = make(world, "/e", "/e/a", "/e/a/x")
    request = world.request(ask(world, *directories))
    other = replace(request, id="other", directories=tuple(directories))
    world.commit(c.CloseRequest(request.id, RequestState.CANCELLED), c.RequestDeletion(other))
    (report,) = world.delete(settings=ONE_BY_ONE)
    assert states(report) == dict.fromkeys(("/e", "/e/a", "/e/a/x"), "deleted")


def test_one_waits_for_what_is_tried_again_below(world: World) -> None:
    ask(world, *make(world, "/e", "/e/a"))
    failed: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "remove_directory" and path == "/e/a" and len(failed) < 2:
            failed.append(path)
            raise PeerError("busy")

    world.memory("B").faults = faults
    (report,) = world.delete()
    assert states(report) == {"/e/a": "deleted", "/e": "deleted"}
    assert len(failed) == 2


@pytest.mark.parametrize("batch_files", [1, 100])
def test_one_is_held_with_what_is_held_below(world: World, monkeypatch: pytest.MonkeyPatch, batch_files: int) -> None:
    monkeypatch.setattr(lacking, "ORPHANS_FILES", batch_files)
    id = ask(world, *make(world, "/e", "/e/a", "/e/a/x", "/f"))

    def faults(operation: str, path: str) -> None:
        if operation == "remove_directory" and path == "/e/a/x":
            raise PeerError("busy")

    world.memory("B").faults = faults
    (report,) = world.delete()
    assert states(report) == {"/e/a/x": "failed", "/e/a": "failed", "/e": "failed", "/f": "deleted"}
    assert world.request(id).state is RequestState.OPEN
    assert "busy" in {outcome.path: outcome.reason for outcome in report.outcomes}["/e/a/x"]
    world.memory("B").faults = None
    (report,) = world.delete()
    assert report.count(PathState.DELETED) == 4
    assert world.request(id).state is RequestState.DONE


def test_one_does_not_wait_for_what_stays_below(world: World) -> None:
    directories = make(world, "/e", "/e/a")
    id = ask(world, *directories)
    world.put("B", "/e/a/new", b"new")
    (report,) = world.delete()
    assert states(report) == {"/e/a": "skipped", "/e": "skipped"}
    assert world.request(id).state is RequestState.DONE
    assert world.clock.slept_s == []


def test_where_files_are_wanted_or_locked_nothing_is_asked_for(world: World) -> None:
    world.publish(2)
    world.ask("B")
    with pytest.raises(Conflict) as caught:
        ask(world, *make(world, "/data/sky", "/idle"))
    assert caught.value.rows == ("/data/sky",)


@pytest.mark.parametrize("moment", ["before", "deletion.claimed", "stat", "orphans.directory-removed"])
def test_where_files_became_wanted_meanwhile_it_stays(world: World, moment: str) -> None:
    world.publish(2)
    directories = make(world, "/data/sky/survey", "/locked", "/a/idle")
    ask(world, *directories)
    wanted: list[str] = []

    def want(*_: str) -> None:
        if not wanted:
            wanted.append(moment)
            world.ask("B")
            world.commit(c.PutLock(Lock("lock", "somebody", lfn="/locked/below/file")))

    if moment == "before":
        want()
    if moment == "stat":
        world.memory("B").faults = lambda operation, path: want() if operation == "stat" else None
    with steps.observed(lambda name: want() if name == moment else None):
        (report,) = world.delete(settings=ONE_BY_ONE)
    first = "deleted" if moment == "orphans.directory-removed" else "skipped"
    assert states(report) == {"/data/sky/survey": first, "/locked": "skipped", "/a/idle": "deleted"}
    reasons = {outcome.path: outcome.reason for outcome in report.outcomes}
    assert "locked by somebody" in reasons["/locked"]


@pytest.mark.parametrize(
    "capabilities",
    [replace(FULL, removes_directories=False), replace(FULL, directories=False)],
    ids=["not safely", "has none"],
)
def test_a_storage_that_cannot_do_it_safely_is_not_asked_to(world: World, capabilities: Capabilities) -> None:
    id = ask(world, *make(world, "/e"))
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B", capabilities=capabilities)
    (report,) = world.delete()
    assert states(report) == {"/e": "failed"}
    assert world.request(id).state is RequestState.FAILED
    assert world.drivers["B"].done == []


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("step", ["deletion.claimed", "orphans.directory-removed"])
def test_dying_at_a_step(any_world: World, step: str, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "ROOM_FILES", 2)
    paths = ["/e", "/e/a", "/e/a/x", "/e/a/y", "/e/b"]
    id = ask(any_world, *make(any_world, *paths))
    with crashing_at(step, nth), pytest.raises(Crash):
        any_world.delete(settings=ONE_BY_ONE)
    any_world.reopen()
    (report,) = any_world.delete(settings=ONE_BY_ONE)
    assert report.count(PathState.DELETED, PathState.GONE) == 5
    assert any_world.request(id).state is RequestState.DONE
    assert there(any_world, *paths) == []
    removed = [path for operation, path in any_world.drivers["B"].done if operation == "remove directory"]
    assert len(removed) == len(set(removed)) == 5


def test_where_nothing_shows_nothing_is_gone(world: World) -> None:
    id = ask(world, *make(world, "/e"))
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B")
    (report,) = world.delete()
    assert states(report) == {"/e": "failed"}
    assert world.request(id).state is RequestState.OPEN


def test_too_much_at_once_is_refused(world: World) -> None:
    with pytest.raises(BadInput):
        ask(world, *[EmptyDirectory("/e")] * (ROWS_MAX + 1))


def test_asking_writes_what_belongs_to_it_and_a_dry_run_neither(world: World) -> None:
    metadata = MetaData()
    table = Table("asking_action", metadata, Column("id", Integer, primary_key=True))
    room = world.store.room(metadata)
    directories, head = make(world, "/e"), world.store.head()

    def also(connection: Connection) -> None:
        connection.execute(insert(table))

    world.ask_deletion(directories=directories, also=also, dry_run=True)
    with room.read() as connection:
        assert connection.execute(select(table)).all() == []
    assert world.store.head() == head
    with pytest.raises(Conflict):
        world.ask_deletion(directories=[EmptyDirectory("/")], also=also)
    with room.read() as connection:
        assert connection.execute(select(table)).all() == []
    world.ask_deletion(directories=directories, also=also)
    with room.read() as connection:
        assert len(connection.execute(select(table)).all()) == 1
    assert world.store.head().position == head.position + 1
