"""A huge request beside a small one, and clocks that jump, in simulated time.

Method: the real planner, queue and worker; an engine that only lets time pass
stands in for the copying of the huge one, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from operations_world import DATASET, SETTINGS
from shared_world import Seat, SharedWorld

from holdfast.model import changes as c
from holdfast.model.errors import PeerError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, FileColumns, RequestState
from holdfast.operations.batches.workers import Workers
from holdfast.operations.engine import Desk, Job, Outcome, Place, Verdict
from holdfast.operations.engines.choosing import Engines

HUGE = DatasetKey("/sky/everything", "")
BLOCK_FILES = 10_000
N_BLOCKS = 100 if "HOLDFAST_SOAK" in os.environ else 20
"""A million files in `make soak`, a fifth of that otherwise: what is looked at does not depend on it."""
FILE_S = 0.1
YEAR_S = 366 * 86_400


class IdleEngine:
    """A TransferEngine that lets FILE_S pass for each file, and says that it was copied."""

    name = "local"
    outlives_caller = False

    def __init__(self, world: SharedWorld) -> None:
        self._world = world

    def can(self, source: Place, destination: Place) -> str:
        return ""

    async def carry(self, job: Job, desk: Desk) -> None:
        for transfer in job.transfers:
            await asyncio.sleep(FILE_S / job.streams)
            desk.settle(transfer.ordinal, Outcome(Verdict.COPIED, self._world.time()))

    async def cancel(self, handle: str) -> None:
        pass

    async def discard(self, destination: Place, token: str) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path) -> SharedWorld:
    return SharedWorld(tmp_path)


def register_huge(world: SharedWorld) -> None:
    """Very many files at A, of which there is nothing but the names."""
    world.commit(c.CreateDataset(Dataset(HUGE, is_open=True)))
    names = tuple(f"f{number:05}" for number in range(BLOCK_FILES))
    for block in range(N_BLOCKS):
        checksums = {"adler32": ("00000001",) * BLOCK_FILES}
        files = FileColumns((f"/data/all/{block}",), (0,) * BLOCK_FILES, names, (1,) * BLOCK_FILES, checksums)
        world.commit(c.RegisterFiles(BlockKey(HUGE, f"{block:03}"), 0, files, "A", "", world.clock()))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("owner", ["test", "somebody else"])
def test_three_files_beside_a_huge_request_are_there_in_seconds(world: SharedWorld, owner: str) -> None:
    world.publish(3)
    register_huge(world)
    huge = world.ask("B", dataset=HUGE, owner="test")
    took_s: list[float] = []

    async def work() -> None:
        engines = Engines([IdleEngine(world)], SETTINGS.for_link, monotonic=world.time.monotonic)
        worker = asyncio.ensure_future(world.work(Seat("one"), engines=engines))
        await asyncio.sleep(30)
        assert world.replica("B", HUGE), "the huge one is under way"
        asked_s = world.time.monotonic()
        small = world.ask("B", owner=owner)
        while world.request(small.id).state is RequestState.OPEN:
            await asyncio.sleep(0.5)
            assert world.time.monotonic() < asked_s + 120
        took_s.append(world.time.monotonic() - asked_s)
        assert world.request(huge.id).state is RequestState.OPEN
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    world.together(work())
    assert took_s[0] < 10
    assert sum(replica.n_files for replica in world.replica("B", DATASET)) == 3


@pytest.mark.parametrize("jump_s", [-YEAR_S, -600, 600, YEAR_S])
def test_a_clock_that_jumps_delays_and_kills_nobody(world: SharedWorld, jump_s: float) -> None:
    """While files wait for their next try, and two workers for each other."""
    lfns = world.publish(12, n_blocks=4)
    request = world.ask("B")
    failed: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "write" and len(failed) < len(lfns):
            failed.append(path)
            if len(failed) == 6:
                world.time.jump(jump_s)
            raise PeerError("not now")

    world.memory("B").faults = faults
    began_s = world.time.monotonic()
    world.together(world.work(Seat("one", call_s=0.1)), world.work(Seat("two", machine="there", call_s=0.1)))
    assert len(failed) == len(lfns)
    assert world.request(request.id).state is RequestState.DONE
    world.assert_copied(lfns)
    assert [world.drivers["B"].count("rename", lfn) for lfn in lfns] == [1] * len(lfns)
    assert world.time.monotonic() - began_s < 3 * SETTINGS.retry_delay_s_max
    assert Workers(world.store).known() == []
