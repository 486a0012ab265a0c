"""Halting: a site that a person has halted is not checked, or left in the middle, and gone on with later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from checked_world import World

from holdfast.consistency.checking import halting
from holdfast.consistency.checking.halting import unless_halted
from holdfast.consistency.history.runs import History, RunState
from holdfast.consistency.history.states import States
from holdfast.model.errors import Conflict
from holdfast.storage.driver import DirectoryListing


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def say(world: World, state: str) -> None:
    States(world.store).set("away", state=state, by="anna", at_us=world.now_us, reason="disks are moved")


@pytest.mark.parametrize("state", ["halted", "disabled"])
def test_a_site_that_is_not_ready_is_not_checked(world: World, state: str) -> None:
    say(world, state)
    with pytest.raises(Conflict, match=f"away is {state} .*disks are moved.*consistency resume away"):
        world.report()
    assert not (world.folder / "reports").exists()
    say(world, "ready")
    assert world.report().agrees


def test_a_site_that_is_halted_is_left_and_gone_on_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halting, "POLL_S", 0.01)
    pages, asked = world.away.pages, []

    async def halt_and_wait(path: str) -> AsyncIterator[DirectoryListing]:
        asked.append(path)
        if path == "/data/b" and asked.count(path) == 1:
            await asyncio.sleep(0.2)
            say(world, "halted")
            await asyncio.sleep(60)
        async for page in pages(path):
            yield page

    world.away.pages = halt_and_wait  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="away is halted"):
        world.report()
    (run,) = History(world.store).runs("away")
    assert (run.state, "halted" in run.reason) == (RunState.FAILED, True)
    say(world, "ready")
    report = world.report()
    assert report.agrees
    assert (report.run, report.resumed) == (run.run, 1)
    assert asked.count("/data/a") == 1


def test_the_work_s_own_result_and_error_come_through() -> None:
    async def work(fails: bool) -> int:
        await asyncio.sleep(0.02)
        if fails:
            raise KeyError("own")
        return 7

    assert asyncio.run(unless_halted(work(False), lambda: None, poll_s=0.005)) == 7
    with pytest.raises(KeyError, match="own"):
        asyncio.run(unless_halted(work(True), lambda: None, poll_s=0.005))


def test_whoever_is_cancelled_cancels_the_work() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def scenario() -> None:
        task = asyncio.ensure_future(unless_halted(work(), lambda: None))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert ended == [True]
