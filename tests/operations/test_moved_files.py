"""Ordinals move up when files of an open dataset are removed: no worker takes one file for another because of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from operations_world import SETTINGS, World
from shared_world import Seat, SharedWorld

from holdfast.model import changes as c
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, Evidence, RequestState
from holdfast.operations import requests

OPEN = DatasetKey("/sky/open", "")
BLOCK = BlockKey(OPEN, "0")


def lose(world: World, site: str, ordinal: int) -> str:
    """A file is gone from a site, and the inventory knows; returns its LFN."""
    with world.store.snapshot() as view:
        lfn = view.files(BLOCK).lfn(ordinal)
    world.commit(c.FilesGone(BLOCK, site, (ordinal,), Evidence.DECLARED, "test"))
    world.memory(site).tree.remove(lfn)
    return lfn


def told(world: World, site: str) -> list[str]:
    """What the inventory says that a site holds."""
    with world.store.snapshot() as view:
        files = view.files(BLOCK)
        return [
            files.lfn(each) for replica in view.replicas(block=BLOCK, site=site) for each in replica.files(len(files))
        ]


async def ended(world: World, id: str) -> None:
    """Wait until a request is over."""
    while world.request(id).state is RequestState.OPEN:
        await asyncio.sleep(1)


def beside_a_service(world: SharedWorld, people: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """While one worker goes on for ever."""

    async def both() -> None:
        service = asyncio.ensure_future(world.work(Seat("service"), forever=True))
        await people()
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)

    world.together(both())


def test_a_deletion_after_ordinals_have_moved_deletes_what_was_asked_for(tmp_path: Path) -> None:
    world = SharedWorld(tmp_path)
    _first, second, third, fourth = world.publish(4, dataset=OPEN)

    async def people() -> None:
        await ended(world, world.ask("B", dataset=OPEN).id)
        for site in "AB":
            lose(world, site, 0)
        world.commit(c.RemoveFiles(BLOCK, (0,)))
        assert lose(world, "A", 0) == second  # Of which B has the last copy now.
        await ended(world, world.ask_replica_deletion("B", dataset=OPEN, scope=[BlockFiles("0", (1,))]))

    beside_a_service(world, people)
    assert world.paths("B") == told(world, "B") == [second, fourth]
    assert world.paths("A") == told(world, "A") == [third, fourth]


def test_a_copy_after_ordinals_have_moved_brings_what_was_asked_for(tmp_path: Path) -> None:
    world = SharedWorld(tmp_path)
    _first, _second, third, fourth = world.publish(4, dataset=OPEN)

    async def people() -> None:
        await ended(world, world.ask("B", dataset=OPEN, scope=[BlockFiles("0", (3,))]).id)
        lose(world, "A", 0)
        world.commit(c.RemoveFiles(BLOCK, (0,)))
        await ended(world, world.ask("B", dataset=OPEN, scope=[BlockFiles("0", (1,))]).id)

    beside_a_service(world, people)
    assert world.paths("B") == told(world, "B") == [third, fourth]


@pytest.mark.parametrize("operation", ["rename", "rename.done"])
def test_what_is_brought_for_a_copy_that_is_over_is_told_of_no_other_file(world: World, operation: str) -> None:
    lfns = world.publish(4, dataset=OPEN)
    world.run(world.ask("B", dataset=OPEN, scope=[BlockFiles("0", (3,))]))
    copy = world.ask("B", dataset=OPEN, scope=[BlockFiles("0", (1,))])

    def faults(called: str, path: str) -> None:
        if called == operation:
            world.memory("B").faults = None
            requests.cancel(world.store, copy.id, reason="no", actor="test")
            lose(world, "A", 0)
            world.commit(c.RemoveFiles(BLOCK, (0,)))

    world.memory("B").faults = faults
    world.run(copy, settings=SETTINGS)
    assert world.memory("B").faults is None
    assert set(told(world, "B")) <= set(world.paths("B"))
    assert lfns[2] not in told(world, "B")
