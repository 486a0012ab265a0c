"""What waits and for what: due, due again, held, held back by people; clocks that jump."""

from __future__ import annotations

import pytest
from queue_world import NOW_US, WAIT_US_MAX, QueueWorld, failure, shape

from holdfast.operations.batch import BatchState, Held
from holdfast.operations.codes import Code

SECOND_US = 1_000_000


@pytest.fixture
def retrying(world: QueueWorld) -> QueueWorld:
    """Three files, one of which is due again in ten seconds, one in twenty."""
    world.worker()
    world.planned(blocks={"b": 3})
    world.claimed([1, 2])
    world.fail(
        "c",
        failure([1], not_before_us=NOW_US + 10 * SECOND_US),
        failure([2], not_before_us=NOW_US + 20 * SECOND_US),
    )
    return world


def test_a_retry_is_due_when_its_time_has_come(retrying: QueueWorld) -> None:
    assert shape(retrying.waiting()) == [("b", [0])]
    retrying.now_us += 10 * SECOND_US
    assert shape(retrying.waiting()) == [("b", [0]), ("b", [1])]
    retrying.now_us += 10 * SECOND_US
    assert shape(retrying.waiting()) == [("b", [0]), ("b", [1]), ("b", [2])]
    again = retrying.claim(retrying.waiting()[1], claim="again")
    assert again is not None
    assert (again.attempts, again.not_before_us) == (1, 0)


def test_it_is_known_when_something_is_due(retrying: QueueWorld) -> None:
    assert retrying.next_due_us() == NOW_US
    retrying.claimed(claim="d")
    assert retrying.next_due_us() == NOW_US + 10 * SECOND_US
    retrying.now_us += 15 * SECOND_US
    assert retrying.next_due_us() == retrying.now_us
    assert retrying.claim(retrying.waiting()[0], claim="e") is not None
    assert retrying.next_due_us() == NOW_US + 20 * SECOND_US
    with retrying.queue.write() as connection:
        retrying.queue.hold(connection, retrying.there().number, "ann")
    assert retrying.next_due_us() is None


def test_a_clock_that_was_ahead_keeps_nothing_waiting(retrying: QueueWorld) -> None:
    """The waits were noted by a clock that has been put right since."""
    retrying.claimed(claim="d")
    retrying.now_us = NOW_US - WAIT_US_MAX + 15 * SECOND_US
    assert shape(retrying.waiting()) == [("b", [2])]
    assert retrying.next_due_us() == retrying.now_us
    retrying.now_us = NOW_US - WAIT_US_MAX
    assert shape(retrying.waiting()) == [("b", [1]), ("b", [2])]


def test_a_huge_request_does_not_hide_a_small_one(world: QueueWorld) -> None:
    world.planned("huge", blocks={f"b{number:03}": 1 for number in range(200)})
    world.planned("small", blocks={"x": 3})
    world.planned("other", blocks={"y": 1, "z": 1})
    seen = world.waiting(limit=5)
    assert [(batch.request.id, batch.block) for batch in seen] == [
        ("huge", "b000"),
        ("huge", "b001"),
        ("small", "x"),
        ("other", "y"),
        ("other", "z"),
    ]
    assert len(world.waiting()) == 203
    assert len(world.waiting(limit=203)) == 203


def test_a_request_on_hold_waits_for_people(world: QueueWorld) -> None:
    world.worker()
    held, other = world.planned("held"), world.planned("other")
    assert held != other
    world.claimed([0])
    with world.queue.write() as connection:
        world.queue.hold(connection, held.number, "ann: the site moves")
    assert world.there("held").on_hold == "ann: the site moves"
    assert {batch.request.id for batch in world.waiting()} == {"other"}
    assert world.finish("c", [0]), "what is under way goes on"
    with world.queue.write() as connection:
        world.queue.unhold(connection, held.number)
    assert {batch.request.id for batch in world.waiting()} == {"held", "other"}


def test_what_is_held_waits_until_it_is_queued_again(world: QueueWorld) -> None:
    world.worker()
    world.planned(blocks={"b": 4})
    world.claimed()
    world.fail(
        "c",
        failure([0], BatchState.HELD, held=Held.NO_SOURCE, attempts=2, bad_sources=("A",), left=()),
        failure([1], BatchState.HELD, held=Held.ALL_FAILED, attempts=2, bad_sources=("A",), left=()),
        failure([2, 3], BatchState.QUEUED, attempts=2, bad_sources=("A",), left=()),
    )
    first, second = sorted(world.held(), key=lambda batch: list(batch.files))
    with world.queue.write() as connection:
        world.queue.requeue(connection, [first.id, 999])
    assert world.held() == [second]
    [waiting] = world.waiting()
    assert (list(waiting.files), waiting.attempts, waiting.bad_sources) == ([0, 2, 3], 2, ("A",))
    with world.queue.write() as connection:
        world.queue.requeue(connection, [second.id, waiting.id], forget_sources=True)
    assert world.held() == []
    assert [(list(batch.files), batch.bad_sources) for batch in world.waiting()] == [([0, 2, 3], ("A",)), ([1], ())]


def test_people_can_have_everything_tried_again(retrying: QueueWorld) -> None:
    retrying.claimed([0], claim="d")
    retrying.fail("d", failure([0], BatchState.FAILED, attempts=9, bad_sources=("A", "C"), code=Code.SOURCE_MISSING))
    number = retrying.there().number
    with retrying.queue.write() as connection:
        assert retrying.queue.retry(connection, number) == 3
        assert retrying.queue.retry(connection, number) == 0
    found = retrying.waiting()
    assert sorted(ordinal for batch in found for ordinal in batch.files) == [0, 1, 2]
    assert {(batch.attempts, batch.not_before_us, batch.bad_sources) for batch in found} == {(0, 0, ())}
    assert {batch.error for batch in found} == {"the source is away"}, "people still see what went wrong last"


def test_what_was_rightly_skipped_and_what_is_closed_is_not_tried_again(world: QueueWorld) -> None:
    world.worker()
    request = world.planned(blocks={"b": 2})
    world.claimed()
    world.fail("c", failure([0], BatchState.SKIPPED), failure([1], BatchState.FAILED))
    with world.queue.write() as connection:
        world.queue.close(connection, request.number)
        assert world.queue.retry(connection, request.number) == 0
    assert world.waiting() == []
    assert world.queue.counts(request).n_files == {BatchState.SKIPPED: 1, BatchState.FAILED: 1}
