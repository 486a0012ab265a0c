"""Two who act on one site at the same time ask for each thing once, and neither is refused for the other's sake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from checked_world import World

from holdfast.consistency.mending import going
from holdfast.consistency.mending.asker import Repair
from holdfast.model import changes as c
from holdfast.model.errors import Conflict
from holdfast.model.records import DeletionRequest, Lock, Orphan

ORPHANS = ("/data/dark1", "/data/dark2", "/data/dark3")
EMPTY = "/data/empty"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for path in ORPHANS:
        made.away.put(path, b"dark")
    asyncio.run(made.away.make_directory(EMPTY))
    return made


def meanwhile(world: World, *deeds: Callable[[], object]) -> None:
    """Have the next deed done, each time that somebody has looked at everything and is about to ask."""
    new_id, left = world.new_id, list(deeds)

    def interrupted() -> str:
        if left:
            # In a thread, for whoever is about to ask is in an event loop.
            deed = Thread(target=left.pop(0))
            deed.start()
            deed.join()
        return new_id()

    world.new_id = interrupted  # type: ignore[method-assign]


def asks_for(world: World, path: str, *, at: str = "away") -> Callable[[], None]:
    """Somebody else who asks for the removal of one orphan."""
    request = DeletionRequest(f"theirs{path}", at, (Orphan(path, 4, 0, ""),))
    return lambda: world.commit(c.RequestDeletion(request))


def asked_paths(world: World) -> list[str]:
    with world.store.snapshot() as view:
        found = view.deletion_requests(site="away")
    return sorted(each.path(number) for each in found for number in range(each.n_paths))


def test_what_somebody_else_asks_for_meanwhile_is_not_asked_for_again(world: World) -> None:
    report, theirs = world.report(), list[Repair]()
    meanwhile(world, lambda: theirs.append(world.delete_orphans(report, limit=9)))
    ours = world.delete_orphans(report, limit=9)
    assert asked_paths(world) == list(ORPHANS)
    assert (theirs[0].deletions, ours.deletions, ours.deletion_requests) == (3, 0, [])
    assert ours.going == dict.fromkeys(ORPHANS, theirs[0].deletion_requests[0])


def test_nor_are_directories(world: World) -> None:
    report, theirs = world.report(), list[Repair]()
    meanwhile(world, lambda: theirs.append(world.remove_empty(report)))
    ours = world.remove_empty(report)
    assert asked_paths(world) == [EMPTY]
    assert (theirs[0].directories, ours.directories, ours.directory_requests) == (1, 0, [])
    assert ours.going_directories == {EMPTY: theirs[0].directory_requests[0]}


def test_what_they_have_not_asked_for_is_asked_for(world: World) -> None:
    report = world.report()
    meanwhile(world, asks_for(world, ORPHANS[1]))
    ours = world.delete_orphans(report, limit=9)
    assert (asked_paths(world), ours.deletions, ours.deleted_size) == (list(ORPHANS), 2, 8)
    assert ours.going == {ORPHANS[1]: f"theirs{ORPHANS[1]}"}


def test_a_dry_run_says_what_would_be_left(world: World) -> None:
    report = world.report()
    meanwhile(world, asks_for(world, ORPHANS[1]))
    assert world.delete_orphans(report, limit=9, dry_run=True).deletions == 2
    assert asked_paths(world) == [ORPHANS[1]]


def test_other_refusals_are_told_as_they_are(world: World) -> None:
    report = world.report()
    meanwhile(world, lambda: world.commit(c.PutLock(Lock("l", owner="somebody", lfn=ORPHANS[0]))))
    with pytest.raises(Conflict, match="locked"):
        world.delete_orphans(report, limit=9)
    assert asked_paths(world) == []


def test_who_is_always_late_is_told_so(world: World) -> None:
    report = world.report()
    meanwhile(world, *(asks_for(world, f"/other{number}") for number in range(going.TRIES)))
    with pytest.raises(Conflict, match="keep being asked for"):
        world.delete_orphans(report, limit=9)
