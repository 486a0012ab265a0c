"""The other copies that a deletion rests on are those that there are right before a file goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from operations_world import DATASET, SETTINGS, World
from shared_world import Seat, SharedWorld

from holdfast.model import changes as c
from holdfast.model import quarantine
from holdfast.model.names import BlockKey
from holdfast.model.records import Evidence, RequestState
from holdfast.operations.batch import BatchState
from holdfast.operations.batches.queue import Queue

BLOCK = BlockKey(DATASET, "0")
DAY_US = 86_400_000_000
ONE_BY_ONE = SETTINGS.model_copy(update={"deletions_per_site": 1, "verified_age_days": 30.0})


def later(world: World, days: int) -> None:
    world.clock.now_us += days * DAY_US


def test_a_copy_that_was_lost_after_the_claim_is_not_counted_on(tmp_path: Path) -> None:
    world = SharedWorld(tmp_path)
    lfns = world.publish(4)
    world.run(world.ask("C"))
    world.time.now_us += 60 * DAY_US
    world.clock.now_us = world.time.now_us
    world.run(world.ask("B"))
    world.commit(c.FilesVerified("A", (BLOCK,), world.time.now_us))
    world.memory("C").tree.remove(lfns[3])  # Which nobody has noticed.

    async def disk_dies() -> None:
        await asyncio.sleep(1)
        world.memory("A").tree.remove(lfns[3])
        world.commit(c.FilesGone(BLOCK, "A", (3,), Evidence.DECLARED, "disk died"))

    async def work() -> None:
        await world.work(Seat("one", call_s=0.7), settings=ONE_BY_ONE)

    id = world.ask_replica_deletion("B")
    world.together(work(), disk_dies())
    assert world.paths("B") == [lfns[3]]
    assert world.request(id).state is RequestState.OPEN


def test_a_proof_from_the_future_is_none(world: World) -> None:
    lfns = world.publish(2)
    later(world, 300)
    world.run(world.ask("B"))
    world.commit(c.FilesVerified("A", (BLOCK,), world.clock()))
    later(world, -200)  # The clock was ahead, and was put right.
    world.memory("A").tree.remove(lfns[0])
    world.ask_replica_deletion()
    world.delete()
    assert world.paths("B") == [lfns[0]]


def test_the_other_copies_of_a_file_in_quarantine_are_looked_at(world: World) -> None:
    lfns = world.publish(2)
    later(world, 365)  # Nobody has proved them for long.
    world.memory("A").tree.remove(lfns[1])
    lying = [quarantine.day_folder(world.clock()) + lfn for lfn in lfns]
    orphans = [world.orphan("B", path, world.data[lfn]) for path, lfn in zip(lying, lfns, strict=True)]
    world.ask_deletion(*orphans)
    (report,) = world.delete()
    assert "1 other copies could be seen: A: it is not there" in world.request(report.request).detail
    assert world.paths("B") == [lying[1]]


def test_the_other_copies_of_an_orphan_are_looked_at(world: World) -> None:
    lfns = world.publish(2)
    later(world, 100)
    world.memory("A").tree.remove(lfns[0])
    id = world.ask_deletion(*[world.orphan("B", lfn, world.data[lfn]) for lfn in lfns], world.orphan("B", "/dark/o"))
    (report,) = world.delete()
    assert world.paths("B") == [lfns[0]]
    assert "A: it is not there" in report.outcomes[0].reason
    queue = Queue(world.store)
    found = queue.find(id)
    assert found is not None
    assert queue.counts(found).files(BatchState.SKIPPED) == 1
