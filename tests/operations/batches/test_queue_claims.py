"""Claims: given once, settled once, fenced; what failed goes where it is told to, joined with what fares alike."""

from __future__ import annotations

import dataclasses

import pytest
from queue_world import DATA, NOW_US, SIZE, QueueWorld, deletion, failure, new_batches, orphans, shape

from holdfast.model.errors import BrokenInvariant
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.operations.batch import Batch, BatchState, Held, NewBatch, Settled, claim_of
from holdfast.operations.batches import orders, rows
from holdfast.operations.batches.joining import ERRORS_MAX
from holdfast.operations.codes import Code
from holdfast.storage import parts


@pytest.fixture
def planned(world: QueueWorld) -> QueueWorld:
    """A worker, and a request for ten files of one block."""
    world.worker()
    world.planned()
    return world


# ---- claiming -------------------------------------------------------------------------


def test_a_claim_cuts_its_files_out_of_the_batch(planned: QueueWorld) -> None:
    taken = planned.claimed([2, 3, 4])
    assert [taken] == planned.active()
    assert (taken.state, taken.worker, taken.claim, taken.source, taken.engine) == (
        BatchState.ACTIVE,
        "w",
        "c",
        "A",
        "local",
    )
    assert (taken.n_files, taken.size, taken.since_us) == (3, 3 * SIZE, NOW_US)
    assert (taken.site, taken.block_key) == ("B", BlockKey(DATA, "b"))
    [rest] = planned.waiting()
    assert (shape([rest]), rest.n_files, rest.size) == ([("b", [0, 1, 5, 6, 7, 8, 9])], 7, 7 * SIZE)
    whole = planned.claimed(claim="d")
    assert (shape([whole]), whole.size) == (shape([rest]), rest.size)
    assert planned.waiting() == []


def test_who_comes_second_gets_nothing(planned: QueueWorld) -> None:
    [seen] = planned.waiting()
    planned.claimed([0], claim="first")
    assert planned.claim(seen, [5], claim="second") is None
    planned.claimed(claim="third")
    assert planned.claim(seen, [5], claim="fourth") is None
    assert {batch.claim for batch in planned.active()} == {"first", "third"}


def test_a_batch_whose_number_was_given_again_is_not_taken_for_the_other(planned: QueueWorld) -> None:
    [seen] = planned.waiting()
    planned.queue.drop(seen.request, now_us=planned.now_us)
    planned.planned("other", blocks={"b": 10})
    [other] = planned.waiting()
    disguised = dataclasses.replace(seen, id=other.id)
    assert planned.claim(disguised) is None
    assert planned.claim(other) is not None


def test_nothing_is_claimed_for_requests_on_hold_or_closed_nor_by_strangers_or_the_dead(planned: QueueWorld) -> None:
    [seen] = planned.waiting()
    assert planned.claim(seen, worker="stranger") is None
    assert planned.claim(seen, []) is None
    assert planned.claim(seen, [9, 10]) is None, "that batch has no eleventh file"
    with planned.queue.write() as connection:
        planned.queue.hold(connection, seen.request.number, "ann")
    assert planned.claim(seen) is None
    with planned.queue.write() as connection:
        planned.queue.unhold(connection, seen.request.number)
    planned.worker("doomed")
    planned.claimed([0], worker="doomed")
    with planned.queue.write() as connection:
        planned.workers.bury(connection, "doomed", now_us=1, waits=lambda batch: True)
    [seen] = planned.waiting()
    assert planned.claim(seen, worker="doomed", claim="d") is None
    with planned.queue.write() as connection:
        planned.queue.close(connection, seen.request.number)
    assert planned.claim(seen, claim="d") is None


def test_what_is_held_or_failed_cannot_be_claimed(planned: QueueWorld) -> None:
    planned.claimed()
    planned.fail("c", failure([0], BatchState.HELD), failure([1], BatchState.FAILED), failure([2], BatchState.SKIPPED))
    request = planned.there()
    for batch in (*planned.held(), *planned.queue.problems(request)):
        assert planned.claim(batch, claim="d") is None


def test_a_claim_is_read_by_whoever_has_it_and_only_while_it_stands(planned: QueueWorld) -> None:
    planned.worker("other")
    planned.claimed([0, 1])
    assert planned.queue.standing(["c"], "w")
    assert not planned.queue.standing(["c"], "other")
    assert not planned.queue.standing(["d"], "w")
    assert not planned.queue.standing([""], "w"), "what nobody has claimed is nobody's"
    assert planned.finish("c", [0])
    assert planned.queue.standing(["c"], "w")
    assert planned.finish("c", [1])
    assert not planned.queue.standing(["c"], "w")


def test_an_engines_handle_is_kept_while_the_claim_stands(planned: QueueWorld) -> None:
    planned.claimed([0])
    with planned.queue.write() as connection:
        assert planned.queue.keep_handle(connection, "c", "job-1")
        assert not planned.queue.keep_handle(connection, "d", "job-2")
    assert [batch.handle for batch in planned.active()] == ["job-1"]
    planned.release("c")
    assert [batch.handle for batch in planned.waiting()] == ["", ""]
    with planned.queue.write() as connection:
        assert not planned.queue.keep_handle(connection, "c", "job-1")


# ---- settling -------------------------------------------------------------------------


def test_what_is_done_leaves_the_queue_and_counts(planned: QueueWorld) -> None:
    planned.claimed([0, 1, 2])
    assert planned.finish("c", [0, 2], n_found=1)
    assert shape(planned.active()) == [("b", [1])]
    there = planned.there()
    assert (there.n_done, there.size_done, there.n_found, there.n_files, there.size) == (2, 20, 1, 10, 100)
    assert planned.finish("c", [1])
    assert planned.active() == []
    assert planned.there().n_done == 3


def test_a_result_that_comes_twice_or_late_changes_nothing(planned: QueueWorld) -> None:
    planned.claimed([0, 1, 2])
    assert planned.finish("c", [0])
    before = (planned.there(), planned.active(), planned.waiting())
    assert not planned.finish("c", [0])
    assert not planned.finish("c", [0, 1]), "some of it was told before: somebody is confused"
    assert not planned.fail("c", failure([0]))
    assert not planned.finish("never", [1])
    assert not planned.finish("", [3]), "what nobody has claimed is nobody's to settle"
    assert (planned.there(), planned.active(), planned.waiting()) == before
    assert planned.release("c")
    before = (planned.there(), planned.active(), planned.waiting())
    assert not planned.finish("c", [1])
    assert not planned.release("c")
    assert (planned.there(), planned.active(), planned.waiting()) == before


def test_many_claims_are_settled_at_once_each_by_itself(planned: QueueWorld) -> None:
    for claim, ordinals in (("c", [0, 1]), ("d", [2, 3]), ("e", [4, 5])):
        planned.claimed(ordinals, claim=claim)
    planned.release("d")
    stood = planned.settle(
        Settled("c", FileSet.of([0]), SIZE, 0, (failure([1], BatchState.FAILED),)),
        Settled("d", FileSet.of([2]), SIZE),
        Settled("e", FileSet.of([5]), SIZE, gives_back=True),
    )
    assert stood == {"c", "e"}
    assert planned.there().n_done == 2
    assert planned.active() == []
    assert sorted(shape(planned.waiting())) == [("b", [2, 3]), ("b", [4]), ("b", [6, 7, 8, 9])]


@pytest.mark.parametrize(
    "settled",
    [
        (Settled("c", FileSet.of([0]), failures=(failure([0]),)),),
        (Settled("c", failures=(failure([0, 1]), failure([1], BatchState.FAILED))),),
        (Settled("c", FileSet.of([0])), Settled("c", FileSet.of([1]))),
    ],
)
def test_two_outcomes_of_one_file_are_a_bug(planned: QueueWorld, settled: tuple[Settled, ...]) -> None:
    planned.claimed([0, 1, 2])
    before = (planned.there(), planned.active(), planned.waiting())
    with pytest.raises(BrokenInvariant):
        planned.settle(*settled)
    assert (planned.there(), planned.active(), planned.waiting()) == before


def test_what_failed_goes_where_it_is_told_to(planned: QueueWorld) -> None:
    planned.claimed()
    assert planned.fail(
        "c",
        failure([0], not_before_us=NOW_US + 5, bad_sources=("C", "A", "C")),
        failure([1], BatchState.HELD, held=Held.ALL_FAILED, attempts=3),
        failure([2], BatchState.FAILED, code=Code.NO_CHECKSUM, error="x" * 5000),
        failure([3], BatchState.SKIPPED, code=Code.MUST_STAY, error="it is locked"),
        failure([4], BatchState.QUEUED, attempts=0, code=None, error=""),
    )
    assert shape(planned.active()) == [("b", [5, 6, 7, 8, 9])]
    with planned.queue.read() as connection:
        found = rows.with_requests(connection, rows.batches(connection, "state <> 'active'"))
    by_state = {batch.state: batch for batch in found}
    retry = by_state[BatchState.RETRY]
    assert (retry.attempts, retry.not_before_us, retry.bad_sources) == (1, NOW_US + 5, ("A", "C"))
    assert (retry.code, retry.error, retry.since_us) == (Code.SOURCE_FAILED, "the source is away", NOW_US)
    assert (by_state[BatchState.HELD].held, by_state[BatchState.HELD].attempts) == (Held.ALL_FAILED, 3)
    assert by_state[BatchState.FAILED].error == "x" * rows.ERROR_CHARS
    assert by_state[BatchState.SKIPPED].code is Code.MUST_STAY
    assert (by_state[BatchState.QUEUED].attempts, by_state[BatchState.QUEUED].code) == (0, None)
    for batch in found:
        assert (batch.worker, batch.claim, batch.source, batch.engine) == ("", "", "", "")
        assert batch.size == SIZE


def test_whatever_a_storage_says_can_be_kept(planned: QueueWorld) -> None:
    planned.claimed([0, 1])
    assert planned.fail("c", failure([0], error="before\0after"), failure([1], error="no \udc80 text"))
    assert {batch.error for batch in planned.queue.problems(planned.there())} == {
        "before\\0after",
        "no \\udc80 text",
    }


def test_what_a_dead_worker_has_handed_to_a_service_can_be_taken_over_as_it_is(planned: QueueWorld) -> None:
    planned.worker("dead")
    taken = planned.claimed([0, 1], worker="dead")
    with planned.queue.write() as connection:
        planned.queue.keep_handle(connection, "c", "job-1")
        assert planned.queue.adopt(connection, taken, worker="nobody", claim="d", now_us=5) is None
        adopted = planned.queue.adopt(connection, taken, worker="w", claim="d", now_us=5)
        assert planned.queue.adopt(connection, taken, worker="w", claim="e", now_us=5) is None
    assert adopted is not None
    assert (adopted.claim, adopted.worker, adopted.handle, adopted.source) == ("d", "w", "job-1", "A")
    assert (list(adopted.files), adopted.left, adopted.since_us) == ([0, 1], ("c",), 5)
    assert [adopted] == planned.active()
    assert not planned.finish("c", [0])
    assert not planned.queue.standing(["c"], "dead")
    assert planned.finish("d", [0, 1])


def test_a_claim_that_is_given_back_is_queued_untried_with_its_name_in_memory(planned: QueueWorld) -> None:
    planned.claimed([0, 1])
    planned.fail("c", failure([0, 1], attempts=2, left=()))
    [_, failed] = planned.waiting()
    assert planned.claim(failed, claim="d") is not None
    assert planned.release("d")
    again = next(batch for batch in planned.waiting() if 0 in batch.files)
    assert (again.state, again.attempts, again.left, again.error) == (
        BatchState.QUEUED,
        2,
        ("d",),
        "the source is away",
    )


def test_claims_that_may_have_left_parts_are_remembered_until_they_are_removed(planned: QueueWorld) -> None:
    for claim in ("c1", "c2"):
        batch = planned.waiting()[0]
        assert planned.claim(batch, claim=claim) is not None
        planned.release(claim)
    assert [batch.left for batch in planned.waiting()] == [("c1", "c2")]
    taken = planned.claimed(claim="c3")
    assert taken.left == ("c1", "c2")
    # Of some files the worker has removed what the others had left, and its own.
    planned.fail("c3", failure([0], left=()), failure([1]), failure([2], left=("c2",)))
    with planned.queue.read() as connection:
        left = {batch.files: batch.left for batch in rows.with_requests(connection, rows.batches(connection, "id > 0"))}
    assert left[FileSet.of([0])] == ()
    assert left[FileSet.of([1])] == ("c1", "c2", "c3")
    assert left[FileSet.of([2])] == ("c2",)


def test_not_more_claims_are_remembered_than_can_be_looked_for(planned: QueueWorld) -> None:
    for number in range(rows.LEFT_MAX + 4):
        planned.claimed(claim=f"c{number}")
        planned.release(f"c{number}")
    [batch] = planned.waiting()
    assert batch.left == tuple(f"c{number}" for number in range(4, rows.LEFT_MAX + 4))


def test_of_deletions_it_stays_known_that_they_had_begun(world: QueueWorld) -> None:
    world.worker()
    [request] = world.queue.take_in([deletion()])
    world.plan(request, {"b": 3})
    world.claimed()
    world.release("c")
    assert [batch.left for batch in world.waiting()] == [("c",)]
    with world.queue.write() as connection:
        assert world.queue.claimed(connection, request.number) == {"b": FileSet.full(3)}
        assert orders.withdraw(connection, request.number, {"b": FileSet.full(3)}) == {}


def test_what_somebody_had_begun_to_delete_is_not_taken_back(world: QueueWorld) -> None:
    """It may be gone; whoever carries it out again finds that out."""
    world.worker()
    [request] = world.queue.take_in([deletion()])
    world.plan(request, {"b": 6})
    world.claimed([0, 1], claim="c1")
    world.release("c1")
    world.claimed([2, 3], claim="c2")
    world.fail("c2", failure([2]), failure([3], left=()))
    with world.queue.read() as connection:
        assert world.queue.claimed(connection, request.number) == {"b": FileSet.of([0, 1, 2])}
    assert world.withdraw(request, "b", range(6)) == [3, 4, 5]


def test_a_part_is_live_while_its_claim_is_not_over(planned: QueueWorld) -> None:
    token = planned.claimed([0, 1]).token(1)
    assert parts.is_part_name(parts.part_name(token))
    assert claim_of(token) == "c"
    assert planned.queue.is_live_part(token)
    planned.release("c")
    assert planned.queue.is_live_part(token), "whoever takes the files next removes it"
    batch = next(batch for batch in planned.waiting() if 0 in batch.files)
    assert planned.claim(batch, claim="d") is not None
    assert planned.queue.is_live_part(token)
    planned.fail("d", failure([0, 1], BatchState.FAILED))
    assert not planned.queue.is_live_part(token)
    for other in ("cx", "x1", "c", "", "cc" + "x1", "0123456789abcdef0123456789abcdef"):
        assert not planned.queue.is_live_part(other)


# ---- joining --------------------------------------------------------------------------


def _failed_one_by_one(world: QueueWorld, state: BatchState, errors: list[str], **more: object) -> list[Batch]:
    world.claimed()
    failures = [failure([ordinal], state, error=error, **more) for ordinal, error in enumerate(errors)]
    assert world.fail("c", *failures)
    with world.queue.read() as connection:
        return rows.with_requests(connection, sorted(rows.batches(connection, "state <> 'active'")))


@pytest.mark.parametrize("state", [BatchState.RETRY, BatchState.HELD, BatchState.FAILED, BatchState.SKIPPED])
def test_files_that_fare_alike_are_one_batch(planned: QueueWorld, state: BatchState) -> None:
    [batch] = _failed_one_by_one(planned, state, ["away"] * 5)
    assert (list(batch.files), batch.n_files, batch.size) == ([0, 1, 2, 3, 4], 5, 5 * SIZE)
    # Those that come later and wait for the same are joined with them; who waits for a moment of its own is not.
    planned.fail("c", failure([5], state, error="away"), failure([6], state, error="another"))
    with planned.queue.read() as connection:
        found = sorted(shape(rows.with_requests(connection, rows.batches(connection, "state <> 'active'"))))
    alone = [("b", [0, 1, 2, 3, 4]), ("b", [5]), ("b", [6])]
    assert found == (alone if state is BatchState.RETRY else [("b", [0, 1, 2, 3, 4, 5]), ("b", [6])])


@pytest.mark.parametrize(
    "difference",
    [
        {"attempts": 2},
        {"code": Code.SOURCE_REFUSED},
        {"held": Held.ALL_FAILED},
        {"bad_sources": ("A",)},
        {"left": ("x",)},
    ],
)
def test_files_that_fare_differently_are_not_joined(planned: QueueWorld, difference: dict[str, object]) -> None:
    planned.claimed()
    same = {"held": Held.NO_SOURCE, "left": ()}
    failures = [failure([0], BatchState.HELD, **same), failure([1], BatchState.HELD, **(same | difference))]
    planned.fail("c", *failures)
    assert sorted(shape(planned.held())) == [("b", [0]), ("b", [1])]


def test_a_block_does_not_become_a_row_a_file_by_words_alone(world: QueueWorld) -> None:
    world.worker()
    world.planned(blocks={"b": 100})
    found = _failed_one_by_one(world, BatchState.FAILED, [f"file {number} is not there" for number in range(100)])
    assert len(found) == ERRORS_MAX
    assert sum(batch.n_files for batch in found) == 100
    assert {batch.n_files for batch in found[:-1]} == {1}


def test_of_orphans_each_keeps_its_own_words(world: QueueWorld) -> None:
    world.worker()
    [request] = world.queue.take_in([orphans()])
    world.queue.add(request, [NewBatch("", FileSet.full(100), 100 * SIZE)], "", True)
    found = _failed_one_by_one(world, BatchState.SKIPPED, [f"because {number}" for number in range(100)])
    assert {next(iter(batch.files)): batch.error for batch in found} == {n: f"because {n}" for n in range(100)}


def test_what_is_given_back_is_one_with_what_waits(planned: QueueWorld) -> None:
    planned.claimed([0, 1])
    planned.fail("c", failure([0, 1], BatchState.QUEUED, attempts=0, left=(), error="the engine rests"))
    [batch] = planned.waiting()
    assert (batch.files, batch.size, batch.error) == (FileSet.full(10), 100, "the engine rests")


def test_batches_of_different_blocks_and_requests_stay_apart(world: QueueWorld) -> None:
    world.worker()
    world.planned("r", blocks={"a": 2, "b": 2})
    world.planned("s", blocks={"a": 2, "b": 2})
    for number, batch in enumerate(world.waiting()):
        assert world.claim(batch, claim=f"c{number}") is not None
    world.settle(*(Settled(f"c{number}", failures=(failure([0, 1], left=()),)) for number in range(4)))
    assert [(batch.request.id, batch.block) for batch in world.waiting()] == [
        ("r", "a"),
        ("r", "b"),
        ("s", "a"),
        ("s", "b"),
    ]
    assert new_batches({"a": 2})[0].files == world.waiting()[0].files
