"""What is begun of deletions, and requests that are ending: nobody forgets them before somebody has looked."""

from __future__ import annotations

import pytest
from queue_world import QueueWorld, deletion, failure

from holdfast.model.fileset import FileSet
from holdfast.operations.batch import Batch, BatchState, QueuedRequest
from holdfast.operations.batches import orders

SIZES = dict.fromkeys(range(9), 10)


@pytest.fixture
def dying(world: QueueWorld) -> QueuedRequest:
    """A deletion of six files, of which a dead worker had claimed four."""
    world.worker()
    [request] = world.queue.take_in([deletion()])
    planned = world.plan(request, {"b": 6})
    world.claimed([0, 1, 2, 3], claim="dead")
    world.release("dead")
    return planned


def begun(world: QueueWorld) -> list[Batch]:
    with world.queue.read() as connection:
        return world.queue.begun(connection)


def looked(world: QueueWorld, batch: Batch, gone: list[int], there: list[int]) -> bool:
    with world.queue.write() as connection:
        return world.queue.looked(connection, batch, FileSet.of(gone), FileSet.of(there), sizes=SIZES)


def end(world: QueueWorld, request: QueuedRequest) -> None:
    with world.queue.write() as connection:
        orders.end(connection, request.number, "no")


def test_a_look_tells_what_is_gone_and_gives_back_what_is_there(world: QueueWorld, dying: QueuedRequest) -> None:
    (batch,) = begun(world)
    assert looked(world, batch, [0, 1], [2])
    assert [(list(each.files), each.left) for each in begun(world)] == [([3], ("dead",))], "it could not be asked"
    request = world.there("d")
    assert (request.n_done, request.n_found, request.size_done) == (2, 2, 20)
    assert sum(each.size for each in world.waiting()) + request.size_done == request.size
    assert world.withdraw(dying, "b", range(6)) == [2, 4, 5]


def test_a_look_at_what_has_changed_since_counts_for_nothing(world: QueueWorld, dying: QueuedRequest) -> None:
    (batch,) = begun(world)
    assert looked(world, batch, [0], [])
    assert not looked(world, batch, [1], [])
    (left,) = begun(world)
    world.claim(left, list(left.files), claim="next")
    assert begun(world) == [], "whoever has claimed it tells"
    assert not looked(world, left, [1], [])
    assert world.there("d").n_done == 1


def test_nothing_is_claimed_of_a_request_that_is_ending(world: QueueWorld, dying: QueuedRequest) -> None:
    (waiting,) = [batch for batch in world.waiting() if not batch.left]
    world.claim(waiting, [4], claim="c")
    assert world.queue.standing(["c"], "w")
    end(world, dying)
    assert not world.queue.standing(["c"], "w"), "who is at it stops before the next file"
    assert world.waiting() == []
    assert world.next_due_us() is None
    assert world.claim(begun(world)[0], [0], claim="e") is None
    assert world.finish("c", [4]), "and tells what he has done"
    with world.queue.read() as connection:
        assert [request.ending for request in world.queue.ending(connection)] == ["no"]


def test_the_first_word_about_an_end_counts(world: QueueWorld, dying: QueuedRequest) -> None:
    end(world, dying)
    with world.queue.write() as connection:
        orders.end(connection, dying.number, "again")
    assert world.there("d").ending == "no"


def test_a_deletion_is_not_idle_before_all_that_was_begun_is_known(world: QueueWorld) -> None:
    world.worker()
    [request] = world.queue.take_in([deletion()])
    world.plan(request, {"b": 1})
    world.claimed(claim="dead")
    world.fail("dead", failure([0], BatchState.SKIPPED))
    assert not world.queue.is_idle(request)
    (batch,) = begun(world)
    assert looked(world, batch, [], [0])
    assert world.queue.is_idle(request)


def test_what_was_begun_of_a_closed_deletion_stays_until_it_is_looked_at(
    world: QueueWorld, dying: QueuedRequest
) -> None:
    (waiting,) = [batch for batch in world.waiting() if not batch.left]
    world.claim(waiting, [4], claim="c")
    world.queue.drop(dying, now_us=world.now_us)
    assert not world.queue.standing(["c"], "w")
    assert [list(batch.files) for batch in begun(world)] == [[0, 1, 2, 3]]
    world.release("c")
    for batch in begun(world):
        assert looked(world, batch, [], list(batch.files))
    assert begun(world) == []
    assert world.queue.counts(dying).n_files == {}
