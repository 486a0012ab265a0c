"""Requests in the queue: known, planned step by step, withdrawn, given up, closed, known again."""

from __future__ import annotations

import pytest
from queue_world import DATA, NOW_US, SIZE, QueueWorld, copy, deletion, failure, new_batches, orphans, shape
from sqlalchemy import text

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.fileset import FileSet
from holdfast.model.records import BLOCK_FILES_MAX
from holdfast.operations.batch import BatchState, Held, NewBatch, RequestKind, Settled
from holdfast.operations.batches import orders, tables
from holdfast.operations.codes import Code

FILESET_BYTES_MAX = 1250


def test_requests_are_known_in_the_order_they_came(world: QueueWorld) -> None:
    first = copy("z", site="C", owner="ann", priority=5, deadline_us=7, created_us=3)
    known = world.queue.take_in([first, deletion("d"), orphans("o")])
    assert [request.id for request in known] == ["z", "d", "o"]
    assert [request.kind for request in known] == [RequestKind.COPY, RequestKind.REPLICAS, RequestKind.ORPHANS]
    assert [request.dataset for request in known] == [DATA, DATA, None]
    of_copy = known[0]
    told = (of_copy.site, of_copy.owner, of_copy.priority, of_copy.deadline_us, of_copy.created_us)
    assert told == ("C", "ann", 5, 7, 3)
    state = (of_copy.is_planned, of_copy.is_closed, of_copy.planned_to, of_copy.n_files, of_copy.on_hold)
    assert state == (False, False, "", 0, "")
    # What is known already is not made anew, and only what was asked for is told.
    later = world.queue.take_in([deletion("d"), copy("a")])
    assert [request.id for request in later] == ["d", "a"]
    assert world.queue.known_open() == [*known, later[1]]
    assert world.queue.find("nobody") is None


def test_two_workers_take_in_a_request_at_once_and_the_second_changes_nothing(world: QueueWorld) -> None:
    world.planned()
    before = (world.there(), world.waiting())
    with world.queue.write() as connection:
        orders.take_in(connection, [copy(), copy("other")])
    assert (world.there(), world.waiting()) == before
    assert [request.id for request in world.queue.known_open()] == ["r", "other"]


def test_a_plan_is_written_step_by_step(world: QueueWorld) -> None:
    request = world.request()
    first = world.queue.add(request, new_batches({"a": 3}), "a", False)
    assert (first.planned_to, first.is_planned, first.n_files, first.size) == ("a", False, 3, 3 * SIZE)
    second = world.queue.add(first, new_batches({"b": 2}), "b", True)
    assert (second.planned_to, second.is_planned, second.n_files, second.size) == ("b", True, 5, 5 * SIZE)
    assert shape(world.waiting()) == [("a", [0, 1, 2]), ("b", [0, 1])]
    assert world.there() == second


def test_a_step_that_is_written_already_adds_nothing(world: QueueWorld) -> None:
    request = world.request()
    first = world.queue.add(request, new_batches({"a": 3}), "a", False)
    # Another worker had planned the same from the same point, a little further.
    assert world.queue.add(request, new_batches({"a": 3, "b": 2}), "b", True) == first
    assert shape(world.waiting()) == [("a", [0, 1, 2])]
    done = world.queue.add(first, new_batches({"b": 2}), "b", True)
    assert world.queue.add(done, new_batches({"c": 2}), "c", True) == done


def test_a_step_that_was_planned_before_files_were_withdrawn_adds_nothing(world: QueueWorld) -> None:
    request = world.request()
    assert world.withdraw(request, "a", [0]) == []
    now = world.queue.add(request, new_batches({"a": 3}), "a", True)
    assert (now.n_files, now.is_planned) == (0, False)
    assert world.waiting() == []
    assert world.queue.add(now, [NewBatch("a", FileSet.of([1, 2]), 2)], "a", True).n_files == 2


def test_a_file_that_is_in_a_batch_is_not_added_again(world: QueueWorld) -> None:
    world.worker()
    request = world.queue.add(world.request(), new_batches({"a": 4}), "a", False)
    world.claimed([0, 1])
    more = world.queue.add(request, new_batches({"a": 6}), "aa", True)
    assert (more.n_files, more.size) == (6, 6 * SIZE)
    assert shape(world.waiting()) == [("a", [2, 3, 4, 5])]
    assert shape(world.active()) == [("a", [0, 1])]


def test_the_files_of_the_largest_blocks_take_few_bytes(world: QueueWorld) -> None:
    some = FileSet.of(range(1, BLOCK_FILES_MAX, 3))
    batches = [NewBatch("all", FileSet.full(BLOCK_FILES_MAX), 1), NewBatch("some", some, 1)]
    world.queue.add(world.request(), batches, "", True)
    with world.queue.read() as connection:
        lengths = [row.n for row in connection.execute(text("SELECT length(files) AS n FROM operations_batch"))]
    assert len(lengths) == 2
    assert max(lengths) <= FILESET_BYTES_MAX
    assert [batch.files for batch in world.waiting()] == [FileSet.full(BLOCK_FILES_MAX), some]


def test_files_are_withdrawn_unless_they_are_claimed(world: QueueWorld) -> None:
    world.worker()
    request = world.planned(blocks={"a": 6, "b": 2})
    world.claimed([0, 1], claim="first")
    world.claimed([2, 3], claim="second")
    world.fail("second", failure([2], BatchState.HELD, held=Held.NO_SOURCE), failure([3], BatchState.FAILED))
    assert world.withdraw(request, "a", [1, 2, 3, 4]) == [2, 3, 4]
    assert shape(world.waiting()) == [("a", [5]), ("b", [0, 1])]
    assert shape(world.active()) == [("a", [0, 1])]
    assert world.held() == []
    there = world.there()
    assert (there.n_files, there.size) == (5, 5 * SIZE)
    assert world.withdraw(request, "a", [1, 2, 3, 4]) == []
    assert world.finish("first", [0, 1])


def test_many_blocks_are_withdrawn_from_at_once(world: QueueWorld) -> None:
    request = world.planned(blocks={"a": 3, "b": 3, "c": 3})
    wanted = {"a": FileSet.full(3), "b": FileSet.of([1]), "x": FileSet.full(3)}
    with world.queue.write() as connection:
        taken = world.queue.withdraw(connection, request.number, wanted)
    assert taken == {"a": FileSet.full(3), "b": FileSet.of([1])}
    assert shape(world.waiting()) == [("b", [0, 2]), ("c", [0, 1, 2])]


def test_what_a_request_has_claimed_is_told_by_block(world: QueueWorld) -> None:
    world.worker()
    request, other = world.planned(blocks={"a": 4, "b": 2}), world.planned("other")
    for batch, ordinals, claim in ((0, [0], "c1"), (0, [1, 2], "c2"), (1, [0, 1], "c3"), (1, [5], "c4")):
        assert world.claim(world.waiting()[batch], ordinals, claim=claim) is not None
    with world.queue.read() as connection:
        assert world.queue.claimed(connection, request.number) == {"a": FileSet.full(3), "b": FileSet.full(2)}
        assert world.queue.claimed(connection, other.number) == {"b": FileSet.of([5])}


def test_what_others_have_closed_is_forgotten_and_what_it_left_is_told(world: QueueWorld) -> None:
    world.worker()
    request = world.planned(blocks={"a": 6, "b": 2})
    world.planned("other")
    world.claimed([0, 1], claim="released")
    world.release("released")
    world.claimed([4, 5], claim="active")
    left = world.queue.drop(request, now_us=world.now_us)
    told = {(batch.block, tuple(batch.files), batch.claim, batch.left) for batch in left}
    assert told == {("a", (0, 1), "", ("released",)), ("a", (4, 5), "active", ())}
    assert {batch.request.id for batch in world.waiting()} == {"other"}
    assert world.active() == []
    assert world.there().is_closed
    assert not world.finish("active", [4, 5])
    assert not world.queue.standing(["active"], "w")


def test_what_we_have_closed_keeps_what_failed(world: QueueWorld) -> None:
    world.worker()
    request = world.planned(blocks={"a": 6})
    world.claimed([0, 1, 2, 3], claim="c")
    world.fail("c", failure([0], BatchState.FAILED), failure([1], BatchState.SKIPPED), failure([2]))
    with world.queue.write() as connection:
        world.queue.close(connection, request.number)
    counts = world.queue.counts(request)
    assert counts.n_files == {BatchState.FAILED: 1, BatchState.SKIPPED: 1}
    assert world.there().is_closed
    assert world.queue.known_open() == []
    assert [known.id for known in world.queue.known_all()] == ["r"]
    assert not world.finish("c", [3])


def test_a_request_is_idle_when_nothing_is_left_to_try(world: QueueWorld) -> None:
    world.worker()
    request = world.queue.add(world.request(), new_batches({"a": 2}), "a", False)
    world.claimed(claim="c")
    world.settle(Settled("c", FileSet.of([0]), SIZE, 0, (failure([1], BatchState.FAILED),)))
    assert not world.queue.is_idle(world.there()), "the rest is not planned yet"
    planned = world.queue.add(world.there(), new_batches({"b": 1}), "b", True)
    assert not world.queue.is_idle(planned)
    world.claimed(claim="d")
    assert not world.queue.is_idle(planned)
    assert world.finish("d", [0])
    assert world.queue.is_idle(request)


def test_a_request_that_is_open_again_is_planned_anew(world: QueueWorld) -> None:
    """An inventory from before was restored; what was done then may be gone with it."""
    world.worker()
    request = world.planned(blocks={"a": 3})
    world.claimed(claim="c")
    world.settle(Settled("c", FileSet.of([0, 1]), 2 * SIZE, 1, (failure([2], BatchState.FAILED),)))
    with world.queue.write() as connection:
        world.queue.hold(connection, request.number, "ann")
        world.queue.close(connection, request.number)
    [again] = world.queue.take_in([copy()])
    assert (again.number, again.is_closed, again.is_planned, again.planned_to) == (request.number, False, False, "")
    assert (again.n_files, again.size, again.n_done, again.size_done, again.n_found) == (0, 0, 0, 0, 0)
    assert again.on_hold == ""
    assert world.queue.counts(again).n_files == {}
    # A worker that had planned before the restore is too late.
    assert world.queue.add(request, new_batches({"a": 3}), "end", True) == again
    assert world.plan(again, {"a": 3}).n_files == 3


def test_closed_requests_are_forgotten_when_there_are_too_many(
    world: QueueWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "CLOSED_MAX", 2)
    world.worker()
    for id in ("a", "b", "c", "d", "e"):
        world.planned(id)
        claimed = world.claimed(claim=id)
        world.fail(id, failure(claimed.files, BatchState.FAILED))
        if id != "b":
            with world.queue.write() as connection:
                world.queue.close(connection, world.there(id).number)
    world.request("new")
    assert [request.id for request in world.queue.known_all()] == ["b", "d", "e", "new"]
    with world.queue.read() as connection:
        counted = world.queue.all_counts(connection)
    assert set(counted) == {world.there(id).number for id in ("b", "d", "e")}


def test_counts_and_problems_tell_how_a_request_stands(world: QueueWorld) -> None:
    world.worker()
    request, other = world.planned(blocks={"a": 10}), world.planned("other", blocks={"x": 4})
    world.claimed(range(9), claim="c")
    world.fail(
        "c",
        failure([0, 1]),
        failure([2], BatchState.HELD, held=Held.NO_SOURCE, code=None, error=""),
        failure([3], BatchState.FAILED, code=Code.NO_CHECKSUM, error="it has no checksum"),
        failure([4, 5], BatchState.SKIPPED, error="must stay"),
    )
    counts = world.queue.counts(request)
    assert counts.n_files == {
        BatchState.RETRY: 2,
        BatchState.HELD: 1,
        BatchState.FAILED: 1,
        BatchState.SKIPPED: 2,
        BatchState.ACTIVE: 3,
        BatchState.QUEUED: 1,
    }
    assert counts.files(BatchState.ACTIVE, BatchState.QUEUED) == 4
    assert counts.size(*BatchState) == 10 * SIZE
    with world.queue.read() as connection:
        assert world.queue.all_counts(connection) == {
            request.number: counts,
            other.number: world.queue.counts(other),
        }
    problems = world.queue.problems(request)
    assert [(batch.state, batch.error) for batch in problems] == [
        (BatchState.FAILED, "it has no checksum"),
        (BatchState.HELD, ""),
        (BatchState.RETRY, "the source is away"),
        (BatchState.SKIPPED, "must stay"),
    ]
    first = problems[0]
    assert (first.code, first.since_us, list(first.files)) == (Code.NO_CHECKSUM, NOW_US, [3])
    assert world.queue.problems(request, limit=2) == problems[:2]
    assert world.queue.problems(other) == []


def test_an_inventory_of_before_goes_on(store: object, world: QueueWorld) -> None:
    """It has the tables of an older queue, which nobody looks at; a second Queue finds what the first one made."""
    if isinstance(store, SqlStore):
        with store.writing() as connection:
            connection.exec_driver_sql("CREATE TABLE operations_task (id INTEGER PRIMARY KEY)")
            connection.exec_driver_sql("CREATE TABLE operations_request (number INTEGER PRIMARY KEY)")
    world.planned()
    again = QueueWorld(world.store)
    assert again.waiting() == world.waiting() != []
    assert {"operations_task", "operations_request", "operations_deletion"}.isdisjoint(tables.metadata.tables)
