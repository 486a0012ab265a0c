"""What a person has cancelled is not asked for again by the next check, as long as it is the same file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from checked_world import World

from holdfast.consistency.mending.asker import Repair
from holdfast.operations import requests

DARK, OTHER, EMPTY = "/data/dark", "/data/other", "/data/empty"
WHY = "cancelled by ann@desk: keep it"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for path in (DARK, OTHER):
        made.away.put(path, b"dark")
    asyncio.run(made.away.make_directory(EMPTY))
    return made


def cancel(world: World, *ids: str, why: str = WHY) -> None:
    for id in ids:
        requests.cancel(world.store, id, reason=why, actor="ann@desk")


def cancelled(world: World) -> Repair:
    """Both orphans are asked for, and somebody cancels that."""
    asked = world.delete_orphans(world.report(), limit=9)
    assert asked.deletions == 2
    cancel(world, *asked.deletion_requests)
    return asked


def left(asked: Repair) -> dict[str, str]:
    return {each.path: each.reason for each in asked.skipped}


def test_a_cancelled_removal_is_not_asked_for_by_the_next_check(world: World) -> None:
    cancelled(world)
    asked = world.delete_orphans(world.report(), limit=9)
    assert (asked.deletions, asked.deletion_requests) == (0, [])
    assert left(asked) == dict.fromkeys((DARK, OTHER), f"{WHY}; --again asks for it nonetheless")


def test_nor_is_that_of_a_directory(world: World) -> None:
    cancel(world, *world.remove_empty(world.report()).directory_requests)
    asked = world.remove_empty(world.report())
    assert (asked.directories, left(asked)) == (0, {EMPTY: f"{WHY}; --again asks for it nonetheless"})
    asked = world.remove_empty(world.report(), is_again=True)
    assert (asked.directories, left(asked)) == (1, {})


def test_a_cancelled_dry_run_is_nothing(world: World) -> None:
    world.delete_orphans(world.report(), limit=9, dry_run=True)
    assert world.delete_orphans(world.report(), limit=9).deletions == 2


def test_whoever_says_so_has_it_asked_for_again(world: World) -> None:
    cancelled(world)
    assert world.delete_orphans(world.report(), limit=9, is_again=True, dry_run=True).deletions == 2
    asked = world.delete_orphans(world.report(), limit=9, is_again=True)
    assert (asked.deletions, left(asked)) == (2, {})
    # What was asked for last counts, and that is open.
    assert world.delete_orphans(world.report(), limit=9).going.keys() == {DARK, OTHER}


def test_the_word_is_about_that_file_not_about_the_next_of_its_name(world: World) -> None:
    cancelled(world)
    world.away.put(DARK, b"of another size")
    world.away.put(OTHER, b"dark", mtime_ns=(world.old() + 5_000_000) * 1000)
    assert world.delete_orphans(world.report(), limit=9).deletions == 2


def test_what_was_done_is_no_word_against_doing_it_again(world: World) -> None:
    world.delete_orphans(world.report(), limit=9)
    world.work()
    world.away.put(DARK, b"dark")
    asked = world.delete_orphans(world.report(), limit=9)
    assert (asked.deletions, left(asked)) == (1, {})


def test_who_did_not_say_why_is_told_of_all_the_same(world: World) -> None:
    cancel(world, *world.delete_orphans(world.report(), limit=9).deletion_requests, why="")
    asked = world.delete_orphans(world.report(), limit=9)
    assert left(asked)[DARK].startswith("its removal was cancelled;")
