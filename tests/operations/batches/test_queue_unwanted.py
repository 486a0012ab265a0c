"""A handle of a job at a service is never lost: it stays with its batch, or is noted to be cancelled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from queue_world import NOW_US, SIZE, QueueWorld, failure

from holdfast.model.fileset import FileSet
from holdfast.operations.batch import BatchState, Settled
from holdfast.operations.batches.unwanted import FORGET_US, GATE_US, UnwantedJob


@pytest.fixture
def with_job(world: QueueWorld) -> QueueWorld:
    """A worker that has claimed four of ten files, with a job for them at a service."""
    world.worker()
    world.planned()
    world.claimed([0, 1, 2, 3])
    with world.queue.write() as connection:
        assert world.queue.keep_handle(connection, "c", "job")
    return world


def unwanted(world: QueueWorld) -> list[UnwantedJob]:
    with world.queue.read() as connection:
        return world.queue.unwanted_jobs(connection)


def _bury(world: QueueWorld) -> None:
    with world.queue.write() as connection:
        world.workers.bury(connection, "w", now_us=NOW_US)


OVER: dict[str, Callable[[QueueWorld], object]] = {
    "given back": lambda world: world.settle(Settled("c", gives_back=True)),
    "its worker is dead": _bury,
    "failed": lambda world: world.settle(Settled("c", failures=(failure([0, 1, 2, 3]),))),
    "held": lambda world: world.settle(Settled("c", failures=(failure([0, 1, 2, 3], BatchState.HELD),))),
    "done, but not told so by its engine": lambda world: world.settle(Settled("c", FileSet.full(4), 4 * SIZE)),
    "its request is closed": lambda world: world.queue.drop(world.there(), now_us=NOW_US),
}


@pytest.mark.parametrize("deed", OVER.values(), ids=list(OVER))
def test_when_a_claim_is_over_its_job_is_to_be_cancelled(
    with_job: QueueWorld, deed: Callable[[QueueWorld], object]
) -> None:
    deed(with_job)
    assert unwanted(with_job) == [UnwantedJob("c", "local", "job", NOW_US)]
    with with_job.queue.write() as connection:
        with_job.queue.forget_unwanted(connection, ["c"])
    assert unwanted(with_job) == []


def test_a_job_that_goes_on_with_its_claim_is_not(with_job: QueueWorld) -> None:
    with_job.settle(Settled("c", FileSet.of([0]), SIZE))
    assert unwanted(with_job) == []
    with_job.worker("next")
    with with_job.queue.write() as connection:
        (batch,) = with_job.queue.active(connection)
        assert with_job.queue.adopt(connection, batch, worker="next", claim="c2", now_us=NOW_US)
    _bury(with_job)
    assert unwanted(with_job) == []
    with_job.settle(Settled("c2", gives_back=True))
    assert [(job.claim, job.handle) for job in unwanted(with_job)] == [("c2", "job")]


def test_a_job_that_is_over_is_not(with_job: QueueWorld) -> None:
    with_job.settle(Settled("c", FileSet.full(4), 4 * SIZE, is_job_over=True))
    assert unwanted(with_job) == []


def test_it_is_in_the_way_for_a_while_only_and_forgotten_in_the_end() -> None:
    job = UnwantedJob("c", "fts", "job", NOW_US)
    assert job.is_in_the_way(NOW_US)
    assert job.is_in_the_way(NOW_US + GATE_US - 1)
    assert not job.is_in_the_way(NOW_US + GATE_US)
    assert not job.is_in_the_way(NOW_US - 1), "a clock that was set back keeps nobody waiting"
    assert not job.is_forgotten(NOW_US + FORGET_US - 1)
    assert job.is_forgotten(NOW_US + FORGET_US)
