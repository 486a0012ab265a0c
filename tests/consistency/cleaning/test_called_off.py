"""What somebody has called off is not asked for again, by no cleaning, unless whoever cleans says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cleaning_world import DAY_US, World, left

from holdfast.consistency.cleaning import cleaning
from holdfast.consistency.cleaning.cleaned import Cleaned
from holdfast.consistency.cleaning.deciding import Stays
from holdfast.consistency.findings import Finding
from holdfast.model import quarantine
from holdfast.operations.requesting import ending

OLD = "/store/unmerged/old/f"
EMPTY = "/store/unmerged/empty"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.put(OLD)
    made.make(EMPTY)
    return made


def call_off(world: World) -> None:
    """A person cancels all that is asked to go."""
    with world.store.snapshot() as view:
        ids = [request.id for request in view.deletion_requests(site="away")]
    for id in ids:
        ending.cancel(world.store, id, reason="we still need it", actor="eve")
    assert world.asked() == []


def stays_called_off(cleaned: Cleaned, *paths: str) -> None:
    assert cleaned.total.stays[Stays.CALLED_OFF] == len(paths)
    told = left(cleaned)
    for path in paths:
        assert "we still need it" in told[path]
        assert "--again asks for it nonetheless" in told[path]


def test_what_is_called_off_in_an_area_stays(world: World) -> None:
    world.clean()
    assert world.asked() == [EMPTY, OLD]
    call_off(world)
    world.now_us += DAY_US
    cleaned = world.clean()
    assert (world.asked(), cleaned.files, cleaned.directories) == ([], 0, 0)
    stays_called_off(cleaned, OLD, EMPTY)
    world.work()
    assert OLD in world.away.paths()
    assert world.clean(again=True).total.stays[Stays.CALLED_OFF] == 0
    assert world.asked() == [EMPTY, OLD]


def test_another_file_of_that_name_was_not_called_off(world: World) -> None:
    world.clean()
    call_off(world)
    world.put(OLD, b"another", days=90)
    assert world.clean().total.stays[Stays.CALLED_OFF] == 1
    assert world.asked() == [OLD]


def test_what_is_called_off_in_the_quarantine_stays(world: World) -> None:
    target = quarantine.day_folder(world.now_us - 100 * DAY_US) + "/store/f"
    world.put(target)
    world.put("/store/other")
    world.purge()
    assert target in world.asked()
    call_off(world)
    world.now_us += DAY_US
    assert target in left(world.purge(dry_run=True))
    stays_called_off(world.purge(), target)
    world.work()
    assert target in world.away.paths()


def test_a_directory_in_which_one_is_called_off_stays(world: World) -> None:
    world.make("/store/unmerged/a/b")
    world.put("/store/unmerged/a/young", days=1)
    world.clean()
    assert "/store/unmerged/a/b" in world.asked()
    call_off(world)
    asyncio.run(world.away.delete("/store/unmerged/a/young"))
    world.now_us += 200 * DAY_US
    told = left(world.clean())
    assert "we still need it" in told["/store/unmerged/a/b"]
    assert "a directory in it stays" in told["/store/unmerged/a"]
    assert world.asked() == []


def test_what_only_a_stat_tells_the_size_of_stays_called_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told_all = cleaning.old_files

    def without_sizes(*asked: Any) -> Iterator[Finding]:
        return (replace(each, actual_size=None) for each in told_all(*asked))

    monkeypatch.setattr(cleaning, "old_files", without_sizes)
    world.clean()
    assert OLD in world.asked()
    call_off(world)
    assert (world.clean().changed, world.asked()) == (1, [])


def test_a_dry_run_that_would_ask_again_notes_nothing(world: World) -> None:
    world.clean()
    call_off(world)
    assert world.clean(again=True, dry_run=True).files == 1
    stays_called_off(world.clean(), OLD, EMPTY)
