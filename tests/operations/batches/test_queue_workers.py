"""Workers: known, beating, declared dead, buried; and what becomes of their claims."""

from __future__ import annotations

import pytest
from queue_world import QueueWorld, deletion, shape

from holdfast.operations.batch import Batch
from holdfast.operations.batches.workers import NewWorker, WorkerRow


def test_workers_are_known_and_beat(world: QueueWorld) -> None:
    world.workers.register(NewWorker("b", "there", 7, 30.0))
    world.worker("a")
    assert world.workers.beat("b")
    assert world.workers.beat("b")
    assert world.workers.known() == [
        WorkerRow("a", "here", 1, 60.0, 0, False),
        WorkerRow("b", "there", 7, 30.0, 2, False),
    ]
    assert not world.workers.beat("nobody")


def test_a_worker_that_has_ended_its_work_is_forgotten(world: QueueWorld) -> None:
    world.worker()
    world.workers.gone("w")
    world.workers.gone("w")
    assert world.workers.known() == []
    assert not world.workers.beat("w")


def test_a_worker_that_goes_while_it_has_claims_is_left_to_be_buried(world: QueueWorld) -> None:
    world.worker()
    world.planned()
    world.claimed()
    world.workers.gone("w")
    assert [row.id for row in world.workers.known()] == ["w"]
    world.finish("c", range(10))
    world.workers.gone("w")
    assert world.workers.known() == []


def _bury(world: QueueWorld, id: str, waiting: frozenset[str] = frozenset()) -> list[Batch]:
    with world.queue.write() as connection:
        return world.workers.bury(connection, id, now_us=9, waits=lambda batch: batch.claim in waiting)


@pytest.fixture
def two(world: QueueWorld) -> QueueWorld:
    """Two workers; the first has claimed a copy and a deletion, the second a copy."""
    world.worker("first")
    world.worker("second")
    world.planned(blocks={"a": 4})
    [request] = world.queue.take_in([deletion()])
    world.plan(request, {"b": 3})
    for number, worker in enumerate(("first", "second")):
        world.claimed([number], claim=f"copy{number}", worker=worker)
    [_, batch] = world.waiting()
    assert world.claim(batch, claim="deletion0", worker="first") is not None
    return world


def test_the_claims_of_the_dead_are_queued_again_and_nobody_elses(two: QueueWorld) -> None:
    taken = _bury(two, "first")
    assert {(batch.claim, batch.worker, batch.block) for batch in taken} == {
        ("copy0", "first", "a"),
        ("deletion0", "first", "b"),
    }
    assert [batch.claim for batch in two.active()] == ["copy1"]
    assert [row.id for row in two.workers.known()] == ["second"]
    left = {(batch.block, tuple(batch.files)): (batch.left, batch.since_us) for batch in two.waiting()}
    assert left == {("a", (0,)): (("copy0",), 9), ("a", (2, 3)): ((), 0), ("b", (0, 1, 2)): (("deletion0",), 9)}
    assert _bury(two, "first") == []
    assert not two.workers.beat("first")


def test_what_may_still_be_carried_out_stays_in_the_way(two: QueueWorld) -> None:
    assert {batch.claim for batch in _bury(two, "first", frozenset({"deletion0"}))} == {"copy0"}
    assert {batch.claim for batch in two.active()} == {"copy1", "deletion0"}
    assert [(row.id, row.is_dead) for row in two.workers.known()] == [("first", True), ("second", False)]
    assert not two.workers.beat("first")
    assert not two.queue.standing(["deletion0"], "first"), "who is dead begins nothing more"
    assert two.queue.standing(["copy1"], "second")
    assert _bury(two, "first", frozenset({"deletion0"})) == []
    assert {batch.claim for batch in _bury(two, "first")} == {"deletion0"}
    assert [row.id for row in two.workers.known()] == ["second"]
    assert {batch.claim for batch in two.active()} == {"copy1"}


def test_the_dead_may_tell_what_they_did_until_somebody_has_taken_over(two: QueueWorld) -> None:
    """Nobody else has the files yet, so what is told is true of them."""
    _bury(two, "first", frozenset({"deletion0"}))
    assert not two.finish("copy0", [0])
    assert two.finish("deletion0", [0, 1])
    _bury(two, "first")
    assert not two.finish("deletion0", [2])
    assert two.there("d").n_done == 2
    assert ("b", [2]) in shape(two.waiting())


def test_who_has_no_claims_is_forgotten_at_once(world: QueueWorld) -> None:
    world.worker()
    assert _bury(world, "w", frozenset({"c"})) == []
    assert _bury(world, "nobody") == []
    assert world.workers.known() == []
