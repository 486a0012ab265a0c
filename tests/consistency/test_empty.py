"""Empty directories as findings of a check, and as something to be asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from checked_world import CONTENT, DAY_US, World

from holdfast.consistency.classes import Class
from holdfast.model import changes as c
from holdfast.model.errors import Conflict
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset, Lock, Staging
from holdfast.storage.driver import DirectoryListing, NotAllowed


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def make(world: World, *paths: str, old: bool = True) -> None:
    """Make empty directories away, a week old unless said otherwise."""
    now = world.now_us
    world.now_us = now - 7 * DAY_US if old else 2 * now - world.old()
    for path in paths:
        asyncio.run(world.away.make_directory(path))
    world.now_us = now


def directories(world: World) -> list[str]:
    return world.check()[1].get(Class.EMPTY_DIRECTORY, [])


def test_the_deepest_come_first_and_full_ones_not_at_all(world: World) -> None:
    make(world, "/data/old/one", "/data/old/two/three", "/data/a/in")
    report, found = world.check()
    assert found == {
        Class.EMPTY_DIRECTORY: ["/data/old/two/three", "/data/old/two", "/data/old/one", "/data/old", "/data/a/in"]
    }
    assert report.counts[Class.EMPTY_DIRECTORY] == 5
    assert report.agrees


def test_young_ones_are_left_alone(world: World) -> None:
    make(world, "/data/new", old=False)
    assert world.check()[1] == {Class.IGNORED: ["/data/new"]}
    assert world.check(ignore_age_s=0)[1] == {Class.EMPTY_DIRECTORY: ["/data/new"]}


def test_an_old_one_in_which_a_young_one_stays_does(world: World) -> None:
    make(world, "/data/old/one", "/data/old/two/three", "/data/oldest")
    make(world, "/data/old/two/new", old=False)
    report, found = world.check()
    assert found == {
        Class.EMPTY_DIRECTORY: ["/data/oldest", "/data/old/two/three", "/data/old/one"],
        Class.IGNORED: ["/data/old/two/new", "/data/old/two", "/data/old"],
    }
    reasons = {each.path: each.reason for each in world.findings(report) if each.cls is Class.IGNORED}
    assert reasons["/data/old"] == reasons["/data/old/two"] == "a directory in it stays"


def test_one_that_lacks_its_files_is_not_empty(world: World) -> None:
    for name in "xyz":
        world.remove(f"/data/a/{name}")
    world.now_us += 7 * DAY_US
    assert Class.EMPTY_DIRECTORY not in world.check()[1]


def test_one_that_is_being_published_from_is_left_alone(world: World) -> None:
    make(world, "/data/staged/in", "/data/other")
    world.commit(c.CreateDataset(Dataset(DatasetKey("new", "v1"), staging=Staging("away", "/data/staged"))))
    found = world.check()[1]
    assert found == {Class.EMPTY_DIRECTORY: ["/data/other"], Class.IGNORED: ["/data/staged/in", "/data/staged"]}


def test_one_that_must_stay_holds_up_no_other(world: World) -> None:
    make(world, "/data/locked/in", "/data/other")
    report = world.report()
    world.commit(c.PutLock(Lock("lock1", "me", lfn="/data/locked/in/f")))
    asked = world.remove_empty(report)
    assert asked.directories == 1
    assert {each.path: each.reason for each in asked.skipped} == dict.fromkeys(
        ("/data/locked/in", "/data/locked"), "/data/locked/in/f is locked by me (lock1)"
    )
    world.work()
    assert directories(world) == ["/data/locked/in", "/data/locked"]


def test_what_was_not_listed_is_not_empty(world: World) -> None:
    make(world, "/data/closed/in", "/data/open")
    pages = world.away.pages

    async def fail(path: str) -> AsyncIterator[DirectoryListing]:
        if path == "/data/closed/in":
            raise NotAllowed("permission denied", place=path)
        async for page in pages(path):
            yield page

    world.away.pages = fail  # type: ignore[method-assign]
    found = world.check()[1]
    assert found[Class.EMPTY_DIRECTORY] == ["/data/open"]


def test_they_are_removed_from_below_and_only_if_empty_yet(world: World) -> None:
    make(world, "/data/old/one", "/data/old/two")
    report = world.report()
    dry = world.remove_empty(report, dry_run=True)
    assert (dry.directories, dry.directory_requests) == (3, [])
    asked = world.remove_empty(report)
    assert asked.directories == 3
    assert world.remove_empty(report).directories == 0
    world.away.put("/data/old/two/late", b"1")
    world.work()
    assert sorted(world.away.paths()) == sorted([*CONTENT, "/data/old/two/late"])
    assert [entry.name for entry in asyncio.run(world.away.list("/data/old")).entries] == ["two"]


def test_what_has_changed_since_the_check_is_not_asked_for(world: World) -> None:
    make(world, "/data/old", "/data/gone")
    report = world.report()
    asyncio.run(world.away.remove_directory("/data/gone"))
    asyncio.run(world.away.remove_directory("/data/old"))
    make(world, "/data/old", old=False)
    asked = world.remove_empty(report)
    assert asked.directories == 0
    reasons = {each.path: each.reason for each in asked.skipped}
    assert reasons == {
        "/data/gone": "gone since the check",
        "/data/old": "something has come or gone in it since the check",
    }


def test_more_than_the_limit_and_none_goes(world: World) -> None:
    make(world, "/data/one", "/data/two")
    report = world.report()
    gates = world.gates(report, empty_directories_max=1)
    assert not gates[Class.EMPTY_DIRECTORY].is_open
    world.gates = lambda _report, **_limits: gates  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="2 empty directories, more than empty_directories_max, 1"):
        world.remove_empty(report)
