"""What lies in quarantine is shown with all that it is, and goes back where it was, in the place of nothing."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from operations_world import World

from holdfast.model import quarantine as places
from holdfast.model.errors import BadInput, Conflict, InvalidName, PeerError
from holdfast.operations import quarantine
from holdfast.operations.quarantine import Lying
from holdfast.storage.driver import NotAFile, NotThere

DAYS = [f"{places.QUARANTINE}/2026-11-{day}" for day in (20, 21)]


def restore(world: World, path: str, *, dry_run: bool = False) -> str:
    return asyncio.run(quarantine.restore(world.store, world.drivers["B"], "B", path, dry_run=dry_run))


def lying(world: World) -> Lying:
    return asyncio.run(quarantine.lying(world.drivers["B"]))


def test_a_site_without_a_quarantine_has_nothing_in_it(any_world: World) -> None:
    any_world.put("B", "/data/x", b"x")
    assert lying(any_world) == Lying()


def test_all_that_lies_there_is_shown(any_world: World) -> None:
    for place in (f"{DAYS[1]}/data/b/y", f"{DAYS[0]}/data/x", f"{DAYS[1]}/data/a", f"{places.QUARANTINE}/lost/z"):
        any_world.put("B", place, b"dark" * len(place))
    any_world.put("B", "/data/x", b"x")
    found = lying(any_world)
    assert [(each.path, each.original, each.day, each.size) for each in found.files] == [
        (f"{DAYS[0]}/data/x", "/data/x", date(2026, 11, 20), 4 * len(f"{DAYS[0]}/data/x")),
        (f"{DAYS[1]}/data/a", "/data/a", date(2026, 11, 21), 4 * len(f"{DAYS[1]}/data/a")),
        (f"{DAYS[1]}/data/b/y", "/data/b/y", date(2026, 11, 21), 4 * len(f"{DAYS[1]}/data/b/y")),
        (f"{places.QUARANTINE}/lost/z", None, None, 4 * len(f"{places.QUARANTINE}/lost/z")),
    ]
    assert found.unlisted == []


def test_what_cannot_be_listed_is_told(world: World) -> None:
    for place in (f"{DAYS[0]}/a/x", f"{DAYS[0]}/b/y"):
        world.put("B", place, b"dark")

    def faults(operation: str, path: str) -> None:
        if operation == "list" and path.endswith("/a"):
            raise PeerError("busy")

    world.memory("B").faults = faults
    found = lying(world)
    assert [each.path for each in found.files] == [f"{DAYS[0]}/b/y"]
    ((directory, reason),) = found.unlisted
    assert (directory, "busy" in reason) == (f"{DAYS[0]}/a", True)


def test_a_file_goes_back(any_world: World) -> None:
    orphan = any_world.orphan("B", "/dark/below/o")
    any_world.ask_deletion(orphan, into=DAYS[0])
    any_world.delete()
    there = f"{DAYS[0]}{orphan.path}"
    assert any_world.paths("B") == [there]
    assert restore(any_world, there, dry_run=True) == orphan.path
    assert any_world.paths("B") == [there]
    assert restore(any_world, there) == orphan.path
    assert any_world.paths("B") == [orphan.path]
    assert any_world.get("B", orphan.path) == b"dark"


def test_directories_that_are_gone_are_made_again(any_world: World) -> None:
    any_world.put("B", f"{DAYS[0]}/new/deep/o", b"dark")
    restore(any_world, f"{DAYS[0]}/new/deep/o")
    assert any_world.paths("B") == ["/new/deep/o"]


@pytest.mark.parametrize("taken", ["/dark/o", "/dark/o/below", "/dark"])
def test_nothing_is_replaced(any_world: World, taken: str) -> None:
    any_world.put("B", f"{DAYS[0]}/dark/o", b"old")
    any_world.put("B", taken, b"new")
    for dry_run in (True, False):
        with pytest.raises(Conflict) as caught:
            restore(any_world, f"{DAYS[0]}/dark/o", dry_run=dry_run)
        assert caught.value.rows == ("/dark/o",)
    assert any_world.paths("B") == sorted([f"{DAYS[0]}/dark/o", taken])
    assert any_world.get("B", taken) == b"new"


def test_what_is_not_there_does_not_go_back(any_world: World) -> None:
    any_world.put("B", f"{DAYS[0]}/dark/o", b"old")
    with pytest.raises(NotThere):
        restore(any_world, f"{DAYS[0]}/dark/p")
    with pytest.raises(NotAFile):
        restore(any_world, f"{DAYS[0]}/dark")


@pytest.mark.parametrize("path", ["/dark/o", places.QUARANTINE, DAYS[0], f"{places.QUARANTINE}/lost/o", "o"])
def test_what_does_not_say_where_it_was_does_not_go_back(world: World, path: str) -> None:
    with pytest.raises(BadInput, match="no file in the quarantine"):
        restore(world, path)


@pytest.mark.parametrize("path", ["/../../o", "//o", "/a\nb"])
def test_no_path_leads_elsewhere(world: World, path: str) -> None:
    with pytest.raises(InvalidName):
        restore(world, DAYS[0] + path)


def test_what_is_to_be_moved_or_deleted_does_not_go_back(world: World) -> None:
    moved, deleted = world.orphan("B", "/dark/moved"), world.orphan("B", f"{DAYS[0]}/dark/deleted")
    ids = [world.ask_deletion(moved, into=DAYS[1]), world.ask_deletion(deleted)]
    world.put("B", f"{DAYS[0]}/dark/moved", b"before")
    for path, id in zip((f"{DAYS[0]}/dark/moved", deleted.path), ids, strict=True):
        with pytest.raises(Conflict) as caught:
            restore(world, path)
        assert caught.value.rows == (id,)
