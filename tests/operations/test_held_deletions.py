"""A deletion of replicas is done when all has gone that it asks for, not before: what is in its way holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from operations_world import DATASET, SETTINGS, World
from shared_world import Seat, SharedWorld

from holdfast.model import changes as c
from holdfast.model.clock import SECOND_US
from holdfast.model.names import BlockKey
from holdfast.model.records import Evidence, Lock, RequestState, SiteStatus
from holdfast.operations import requests
from holdfast.operations.batch import Batch, BatchState, Held
from holdfast.operations.batches.queue import Queue
from holdfast.operations.codes import Code

BLOCK = BlockKey(DATASET, "0")


def held(world: World, id: str) -> list[Batch]:
    """What is held of a request that is open."""
    assert world.request(id).state is RequestState.OPEN
    queue = Queue(world.store)
    found = queue.find(id)
    assert found is not None
    assert queue.counts(found).files(BatchState.SKIPPED, BatchState.FAILED) == 0
    return [batch for batch in queue.problems(found) if batch.state is BatchState.HELD]


def lock(world: World) -> None:
    world.commit(c.PutLock(Lock("lock", "somebody", dataset=DATASET)))


def unlock(world: World) -> None:
    world.commit(c.RemoveLock("lock"))


def take_custody(world: World) -> None:
    world.commit(c.AssignReplicas("B", (BLOCK,), is_custodial=True))


def give_custody_up(world: World) -> None:
    world.commit(c.AssignReplicas("B", (BLOCK,), is_custodial=False))


def close_the_other(world: World) -> None:
    world.change_site("A", status=SiteStatus.WAITROOM)


def open_the_other(world: World) -> None:
    world.change_site("A", status=SiteStatus.READY)


def want_more_copies(world: World) -> None:
    world.commit(c.UpdateDataset(DATASET, required_copies=2))


def want_fewer_copies(world: World) -> None:
    world.commit(c.UpdateDataset(DATASET, required_copies=1))


@pytest.mark.parametrize(
    ("prevent", "permit", "why", "says"),
    [
        (lock, unlock, Held.MUST_STAY, "locked by somebody"),
        (take_custody, give_custody_up, Held.MUST_STAY, "has custody"),
        (close_the_other, open_the_other, Held.MUST_STAY, "fewer than 1 other"),
        (want_more_copies, want_fewer_copies, Held.MUST_STAY, "fewer than 2 other"),
    ],
)
def test_what_stands_in_the_way_for_a_while_holds_it(
    world: World, prevent: Callable[[World], None], permit: Callable[[World], None], why: Held, says: str
) -> None:
    lfns = world.publish(3, at="AB")
    id = world.ask_replica_deletion()
    prevent(world)
    (report,) = world.delete()
    (batch,) = held(world, id)
    assert (batch.held, batch.n_files) == (why, 3)
    assert says in batch.error
    assert report.state is RequestState.OPEN
    assert says in report.error
    assert world.paths("B") == lfns
    permit(world)
    world.delete()
    assert world.request(id).state is RequestState.DONE
    assert world.paths("B") == []


def test_what_nothing_stands_against_goes_at_once(world: World) -> None:
    lfns = world.publish(4, at="AB")
    id = world.ask_replica_deletion()
    world.commit(*(c.PutLock(Lock(lfns[each], "somebody", lfn=lfns[each])) for each in (1, 2)))
    world.delete()
    assert world.paths("B") == lfns[1:3]
    world.commit(c.RemoveLock(lfns[1]))
    world.delete()
    assert world.paths("B") == [lfns[2]]
    (batch,) = held(world, id)
    assert batch.n_files == 1


def test_a_service_goes_on_when_a_lock_is_over(tmp_path: Path) -> None:
    world = SharedWorld(tmp_path)
    world.publish(2, at="AB")
    id = world.ask_replica_deletion()
    expires_us = world.time() + 60 * SECOND_US
    world.commit(c.PutLock(Lock("lock", "somebody", dataset=DATASET, expires_us=expires_us)))

    async def both() -> None:
        service = asyncio.ensure_future(world.work(Seat("service"), forever=True))
        await asyncio.sleep(50)
        assert len(world.paths("B")) == 2
        await asyncio.sleep(60)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)

    world.together(both())
    assert world.request(id).state is RequestState.DONE


def test_what_is_another_file_holds_it_until_somebody_says_so(world: World) -> None:
    lfns = world.publish(3, at="AB")
    world.put("B", lfns[1], b"somebody's own")
    id = world.ask_replica_deletion()
    (report,) = world.delete()
    (batch,) = held(world, id)
    assert (batch.held, batch.code, list(batch.files)) == (Held.ALL_FAILED, Code.CHANGED, [1])
    assert report.error.startswith("all failed: it has 14 bytes now")
    requests.cancel(world.store, id, reason="it is ours", actor="test")
    assert world.request(id).state is RequestState.CANCELLED
    assert world.paths("B") == [lfns[1]]


def test_orphans_are_left_alone_for_good(world: World) -> None:
    first, second = world.orphan("B", "/dark/first"), world.orphan("B", "/dark/second")
    id = world.ask_deletion(first, second)
    world.commit(c.PutLock(Lock("lock", "somebody", lfn=first.path)))
    world.put("B", second.path, b"somebody's own")
    world.delete()
    assert world.request(id).state is RequestState.DONE
    assert world.request(id).detail.startswith("deleted 0, already gone 0, skipped 2: ")


def test_a_last_copy_that_was_to_go_is_a_source(world: World) -> None:
    """A deletion that waits for another copy does not keep that from being made."""
    lfns = world.publish(3, at="AB")
    id = world.ask_replica_deletion()
    world.commit(c.FilesGone(BLOCK, "A", (0, 1, 2), Evidence.DECLARED, "disk died"))
    for lfn in lfns:
        world.memory("A").tree.remove(lfn)
    world.delete()
    assert len(held(world, id)) == 1
    copy = world.ask("A")
    report = world.run(kinds=None, settings=SETTINGS)
    assert not report.held
    assert world.request(copy.id).state is RequestState.DONE
    world.delete()
    assert world.request(id).state is RequestState.DONE
    assert world.paths("A") == lfns
    assert world.paths("B") == []
