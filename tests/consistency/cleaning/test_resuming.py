"""A cleaning that is broken off: what the next one goes on with, and when it begins anew.

Method: the site fails, or the process is stopped by an exception at a named step.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cleaning_world import AREA, DAY_US, ELSEWHERE, Told, World, left

from holdfast.consistency.cleaning.areas import DAY_S, Area
from holdfast.model import steps
from holdfast.model.errors import Conflict, PeerError
from holdfast.storage.listing.folder_lock import FolderLock

PROTECTED = f"{AREA.path}/protected"


class Stop(BaseException):
    """A process that dies."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    for name in ("protected/f", "old", "d/e/f"):
        found.put(f"{AREA.path}/{name}")
    found.make(f"{AREA.path}/empty")
    return found


def stopped_at(world: World, name: str, source: Told) -> None:
    """A cleaning that dies when it has passed a step."""

    def observe(step: str) -> None:
        if step == name:
            raise Stop

    with steps.observed(observe), pytest.raises(Stop):
        world.clean(source=source)


def test_what_was_protected_when_it_began_stays_so(world: World) -> None:
    stopped_at(world, "clean.listed", Told([[PROTECTED]]))
    again = Told([[ELSEWHERE]])
    world.clean(source=again)
    assert again.asked == 1  # Only afterwards: the list before is the one of the beginning.
    assert world.asked() == [f"{AREA.path}/{name}" for name in ("d/e/f", "empty", "old")]


def test_what_was_listed_is_not_listed_again(world: World) -> None:
    stopped_at(world, "clean.decided", Told([[PROTECTED]]))
    world.put(f"{AREA.path}/later")
    world.away.fail_directory(AREA.path)
    cleaned = world.clean(PROTECTED)
    assert cleaned.places[0].files_listed == 3
    assert f"{AREA.path}/later" not in world.asked()


def test_a_source_that_fails_in_between_costs_no_listing(world: World) -> None:
    with pytest.raises(PeerError):
        world.clean(source=Told([[PROTECTED], PeerError("away")]))
    world.away.fail_directory(AREA.path)
    world.clean(PROTECTED)
    assert len(world.asked()) == 3


def test_lists_that_are_rightly_shorter_are_not_held_against_the_beginning(world: World) -> None:
    many = [f"{AREA.path}/protected{number}" for number in range(9)]
    with pytest.raises(PeerError, match="had 9 before"):
        world.clean(source=Told([many, [PROTECTED]]))
    with pytest.raises(PeerError, match="had 9 before"):
        world.clean(PROTECTED)
    world.clean(PROTECTED, despite_shrunk=True)
    assert len(world.asked()) == 3


@pytest.mark.parametrize("what", ["areas", "age", "damage", "garbage"])
def test_what_does_not_fit_any_more_is_begun_anew(world: World, what: str) -> None:
    stopped_at(world, "clean.listed", Told([[PROTECTED]]))
    world.put(f"{AREA.path}/later")
    work = world.folder / "reports/.cleaning/away/areas/work"
    areas = [AREA]
    if what == "areas":
        areas = [Area(AREA.path, 27 * DAY_S)]
    elif what == "age":
        world.now_us += 8 * DAY_US
    elif what == "damage":
        shutil.rmtree(work / "listing-0/entries")
    else:
        (work / "begun.json").write_text('{"identity": 3}')
    world.clean(PROTECTED, areas=areas)
    assert f"{AREA.path}/later" in world.asked()


@pytest.mark.parametrize("at", steps.STEPS["clean"])
def test_dying_at_any_step_asks_for_nothing_twice_and_forgets_nothing(world: World, at: str) -> None:
    stopped_at(world, at, Told([[PROTECTED]]))
    world.clean(PROTECTED)
    paths = [f"{AREA.path}/{name}" for name in ("d/e/f", "empty", "old")]
    assert world.asked() == paths
    world.work()
    assert world.away.paths() == [f"{PROTECTED}/f"]


def test_only_the_decisions_of_the_last_one_are_kept(world: World) -> None:
    first = world.clean(PROTECTED, dry_run=True)
    world.put(f"{AREA.path}/protected/g")
    second = world.clean(PROTECTED, dry_run=True)
    assert first.decisions == second.decisions
    assert sorted(left(second)) == [f"{PROTECTED}/f", f"{PROTECTED}/g"]
    folder = world.folder / "reports/.cleaning/away/areas"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "last"]


def test_two_at_once_are_one_too_many(world: World) -> None:
    parent = world.folder / "reports/.cleaning/away/areas"
    parent.mkdir(parents=True)
    lock = FolderLock(parent, name=".lock", busy="")
    with pytest.raises(Conflict, match="away is being cleaned already"):
        world.clean()
    lock.release()
    world.clean()
