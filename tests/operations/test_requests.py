"""Asking for copies and deletions: what is written, who is joined, and what is taken back of the opposite.

Method: a small inventory; workers are played by the queue's own calls.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from asking_world import BLOCKS, DATASET, N_FILES, START_US, AskingWorld
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Lock, RequestState
from holdfast.operations import requests
from holdfast.operations.batch import BatchFailure, BatchState
from holdfast.operations.codes import Code
from holdfast.operations.planning import lacking
from holdfast.operations.requesting import opposites, reconciling, scopes, steering
from holdfast.operations.requesting.brake import BrakeLimits
from holdfast.testing.memory_store import MemoryStore

ALL = set(range(N_FILES))
BOTH = {"x": ALL, "y": ALL}


@pytest.fixture(params=["sqlite", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> AskingWorld:
    ticks = count(START_US, 10)
    if request.param == "memory":
        return AskingWorld(MemoryStore(clock=lambda: next(ticks)))
    return AskingWorld(SqlStore.create(tmp_path / "inventory.db", clock=lambda: next(ticks)))


# ---- copies ---------------------------------------------------------------------


def test_a_copy_is_asked_for_with_all_that_was_said(world: AskingWorld) -> None:
    asked = world.copy(priority=5, deadline_us=START_US + 10**9)
    request = world.request(asked.request.id)
    assert request == asked.request
    assert (request.owner, request.priority, request.deadline_us) == ("me", 5, START_US + 10**9)
    assert world.copy("C", owner="them").request.owner == "them"


def test_a_deadline_that_is_past_is_refused(world: AskingWorld) -> None:
    with pytest.raises(BadInput, match="is past"):
        world.copy(deadline_us=START_US)


def test_asking_again_joins(world: AskingWorld) -> None:
    first = world.copy()
    assert not first.is_joined
    again = world.copy(scope=[BlockFiles("x", (1,))], priority=1)
    assert (again.is_joined, again.request) == (True, first.request)


def test_what_is_held_is_not_asked_for(world: AskingWorld) -> None:
    world.bring("B")
    before = world.position()
    asked = world.copy()
    assert (asked.request.state, asked.request.id) == (RequestState.DONE, "")
    assert world.position() == before


# ---- deletions ------------------------------------------------------------------


def test_a_deletion_is_asked_for(world: AskingWorld) -> None:
    world.bring("B")
    asked = world.delete(scope=[BlockFiles("x")], priority=2)
    request = world.request(asked.request.id)
    assert request == asked.request
    assert (request.dataset, request.owner, request.priority) == (DATASET, "me", 2)
    assert world.scope(request.id) == {"x": ALL}


def test_asking_again_for_a_deletion_joins(world: AskingWorld) -> None:
    world.bring("B")
    first = world.delete()
    again = world.delete(scope=[BlockFiles("y", (0, 2))])
    assert (again.is_joined, again.request) == (True, first.request)


def test_what_two_deletions_ask_for_together_is_not_asked_for_again(world: AskingWorld) -> None:
    world.bring("B")
    first = world.delete(scope=[BlockFiles("x")])
    world.delete(scope=[BlockFiles("y")])
    before = world.position()
    again = world.delete()
    assert (again.is_joined, again.request.id) == (True, first.request.id)
    assert world.position() == before


def test_deleting_what_is_not_there_is_done(world: AskingWorld) -> None:
    before = world.position()
    asked = world.delete("C")
    assert (asked.request.state, asked.request.id) == (RequestState.DONE, "")
    assert world.position() == before


def test_what_must_stay_refuses_it_all(world: AskingWorld) -> None:
    world.bring("B", BlockFiles("x"))
    with pytest.raises(Conflict, match="must not be deleted") as refused:
        world.delete("A")
    assert len(refused.value.rows) == N_FILES
    world.commit(c.PutLock(Lock("l", "boss", DATASET)))
    with pytest.raises(Conflict, match="locked by boss"):
        world.delete("B")


def test_required_copies_count(world: AskingWorld) -> None:
    dataset = DatasetKey("/sky/two", "1")
    world.publish(dataset, required_copies=2)
    world.bring("B", dataset=dataset)
    with pytest.raises(Conflict, match="fewer than 2"):
        world.delete(dataset=dataset)
    world.bring("C", dataset=dataset)
    world.delete("B", dataset=dataset)
    with pytest.raises(Conflict, match="fewer than 2"):
        world.delete("C", dataset=dataset)


def test_names_that_are_not_there(world: AskingWorld) -> None:
    for given_ in ({"site": "Z"}, {"dataset": DatasetKey("no")}, {"scope": [BlockFiles("z")]}):
        with pytest.raises(UnknownName):
            world.delete(**given_)
        with pytest.raises(UnknownName):
            world.copy(**given_)


def test_dry_runs_change_nothing_and_are_refused_like_the_run(world: AskingWorld) -> None:
    world.bring("B")
    before = world.position()
    assert world.copy("C", dry_run=True).request.state is RequestState.OPEN
    assert world.delete("B", dry_run=True).request.state is RequestState.OPEN
    world.commit(c.PutLock(Lock("l", "boss", DATASET)))
    with pytest.raises(Conflict, match="locked by boss"):
        world.delete("B", dry_run=True)
    assert world.position() == before + 1


# ---- the brake ------------------------------------------------------------------


def test_too_much_in_a_day_is_refused(world: AskingWorld) -> None:
    world.bring("B")
    limits = BrakeLimits(share=0.5)
    first = world.delete(scope=[BlockFiles("x")], limits=limits)
    with pytest.raises(Conflict, match="would lose 5 of 8 files"):
        world.delete(scope=[BlockFiles("y", (0,))], limits=limits)
    requests.cancel(world.store, first.request.id, reason="no", actor="test")
    world.delete(scope=[BlockFiles("y", (0,))], limits=limits)
    with pytest.raises(Conflict, match="would lose 8 of 8 files"):
        world.delete(limits=limits)
    assert world.delete().request.state is RequestState.OPEN


def test_a_copy_that_takes_a_deletion_back_lets_the_brake_go(world: AskingWorld) -> None:
    world.bring("B")
    limits = BrakeLimits(share=0.5)
    world.delete(scope=[BlockFiles("x")], limits=limits)
    world.copy("B")
    world.delete(scope=[BlockFiles("y")], limits=limits)
    assert world.scope(world.delete(scope=[BlockFiles("y")]).request.id) == {"y": ALL}


# ---- opposites ------------------------------------------------------------------


def test_a_copy_takes_back_a_deletion_that_nobody_has_begun(world: AskingWorld) -> None:
    world.bring("B")
    deletion = world.delete().request.id
    asked = world.copy("B", scope=[BlockFiles("x")])
    assert (asked.request.state, asked.request.id) == (RequestState.DONE, "")
    assert (asked.n_taken_back, asked.n_waiting, asked.opposites) == (N_FILES, 0, (deletion,))
    assert world.scope(deletion) == {"y": ALL}
    asked = world.copy("B")
    assert asked.n_taken_back == N_FILES
    assert world.request(deletion).state is RequestState.CANCELLED


def test_a_deletion_takes_back_a_copy_that_nobody_has_begun(world: AskingWorld) -> None:
    copy = world.copy("B").request
    world.queue.take_in([copy])
    asked = world.delete("B")
    assert (asked.request.state, asked.n_taken_back, asked.opposites) == (RequestState.DONE, 8, (copy.id,))
    assert world.request(copy.id).state is RequestState.CANCELLED
    with world.store.snapshot() as snapshot:
        assert snapshot.replicas(site="B") == []


def test_what_is_being_copied_stays_in_both_and_the_deletion_waits(world: AskingWorld) -> None:
    world.bring("B", BlockFiles("x"), BlockFiles("y", (3,)))
    copy = world.copy("B").request
    world.begin(copy, "y", (0, 1))
    asked = world.delete("B")
    assert (asked.n_taken_back, asked.n_waiting, asked.opposites) == (6, 2, (copy.id,))
    assert world.scope(copy.id) == {"y": {0, 1}}
    assert world.queued(copy.id) == {"y": {0, 1}}
    assert world.scope(asked.request.id) == BOTH


def test_a_deletion_is_also_about_what_arrives_while_it_waits(world: AskingWorld) -> None:
    world.bring("B", BlockFiles("x", (0,)))
    world.begin(world.copy("B").request, "y", (0, 1))
    deletion = world.delete("B").request
    with world.store.snapshot() as snapshot:
        (step,) = lacking.steps(deletion, snapshot)
    assert {batch.block: set(batch.files) for batch in step.batches} == {"x": {0}, "y": {0, 1}}


def test_what_is_being_deleted_stays_in_both_and_the_copy_waits(world: AskingWorld) -> None:
    world.bring("B")
    deletion = world.delete("B").request
    world.begin(deletion, "x", (1, 2))
    asked = world.copy("B")
    assert (asked.request.state, asked.n_taken_back, asked.n_waiting) == (RequestState.OPEN, 6, 2)
    assert world.scope(deletion.id) == {"x": {1, 2}}
    assert world.queued(deletion.id) == {"x": {1, 2}}
    again = world.copy("B")
    assert (again.is_joined, again.n_taken_back, again.n_waiting) == (True, 0, 2)


def test_nobody_joins_a_request_that_gives_way(world: AskingWorld) -> None:
    world.bring("B", BlockFiles("x"))
    copy = world.copy("B", scope=[BlockFiles("y", (0,))]).request
    claim = world.begin(copy, "y", (0,)).claim
    deletion = world.delete("B").request
    with world.queue.write() as connection:  # The copy lets go of the file; the deletion takes it up.
        assert world.queue.release(connection, claim, now_us=START_US)
    world.begin(deletion, "y", (0,), claim="other")
    asked = world.copy("B", scope=[BlockFiles("y", (0,))])
    assert (asked.is_joined, asked.n_waiting) == (False, 1)
    assert asked.request.id != copy.id


def test_where_all_that_will_be_there_is_on_its_way_nothing_can_be_deleted_yet(world: AskingWorld) -> None:
    copy = world.copy("B").request
    world.begin(copy, "x", (0,))
    with pytest.raises(Conflict, match="1 are just being copied there") as refused:
        world.delete("B")
    assert refused.value.rows == (copy.id,)
    assert world.scope(copy.id) == BOTH


def test_a_claim_in_the_same_moment_is_seen(world: AskingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.bring("B", BlockFiles("x"))
    copy = world.copy("B").request
    looked = opposites.claimed_of
    claims: list[str] = []

    def look_and_lose(connection, earlier):  # type: ignore[no-untyped-def]
        found = looked(connection, earlier)
        if not claims:
            claims.append("claim")
            world.begin(copy, "y", (0,))
        return found

    monkeypatch.setattr(opposites, "claimed_of", look_and_lose)
    asked = world.delete("B")
    assert claims
    assert (asked.n_taken_back, asked.n_waiting) == (7, 1)
    assert world.scope(copy.id) == {"y": {0}}


def test_a_dry_run_takes_nothing_back(world: AskingWorld) -> None:
    world.bring("B", BlockFiles("x"))
    copy = world.copy("B").request
    world.begin(copy, "y", (0,))
    asked = world.delete("B", dry_run=True)
    assert (asked.n_taken_back, asked.n_waiting) == (7, 1)
    assert world.scope(copy.id) == BOTH
    assert world.queued(copy.id) == BOTH


def test_other_sites_and_datasets_are_left_alone(world: AskingWorld) -> None:
    other = DatasetKey("/sky/other", "1")
    world.publish(other)
    world.bring("B")
    elsewhere, other_one = world.copy("C").request, world.copy("B", dataset=other).request
    assert world.delete("B").n_taken_back == 0
    assert world.scope(elsewhere.id) == BOTH
    assert world.scope(other_one.id) == BOTH


def test_what_a_copy_gives_up_later_is_taken_back_then(world: AskingWorld) -> None:
    world.bring("B", BlockFiles("x"))
    copy = world.copy("B").request
    claim = world.begin(copy, "y", (0, 1)).claim
    deletion = world.delete("B").request
    assert reconciling.reconcile(world.store) == 0
    failed = BatchFailure(FileSet.of([0]), 10, BatchState.RETRY, 1, Code.SOURCE_FAILED, "down", START_US)
    with world.queue.write() as connection:
        assert world.queue.fail(connection, claim, [failed], now_us=START_US)
    assert reconciling.reconcile(world.store) == 1
    assert world.scope(copy.id) == {"y": {1}}
    assert world.scope(deletion.id) == BOTH
    with world.queue.write() as connection:
        assert world.queue.release(connection, claim, now_us=START_US)
    assert reconciling.reconcile(world.store) == 1
    assert world.request(copy.id).state is RequestState.CANCELLED
    assert reconciling.reconcile(world.store) == 0


def test_what_does_not_fit_waits() -> None:
    n_files = {"x": 4, "y": 4}
    earlier = [CopyRequest("r", DATASET, "B", (BlockFiles("x"), BlockFiles("y")))]
    wanted = {"x": FileSet.of([0, 1, 2]), "y": FileSet.full(4)}
    found = opposites.opposition(earlier, wanted, {}, n_files, rows_max=3)
    assert [taken.scope for taken in found.taken] == [(BlockFiles("y"),)]
    assert found.waiting == {"x": FileSet.of([0, 1, 2])}
    found = opposites.opposition(earlier, wanted, {}, n_files, rows_max=4)
    assert found.n_taken_back == 7


some_files = st.fixed_dictionaries({block: st.sets(st.integers(0, 3)).map(FileSet.of) for block in BLOCKS})


@given(some_files, some_files, some_files, st.integers(0, 9))
def test_every_file_in_both_is_taken_back_or_waits(
    asked: dict[str, FileSet], wanted: dict[str, FileSet], claimed: dict[str, FileSet], rows_max: int
) -> None:
    n_files = dict.fromkeys(BLOCKS, N_FILES)
    scope = tuple(BlockFiles(block, tuple(files)) for block, files in asked.items() if files)
    earlier = [CopyRequest("r", DATASET, "B", scope)]
    found = opposites.opposition(earlier, wanted, {"r": claimed}, n_files, rows_max=rows_max)
    both = scopes.common({block: files for block, files in asked.items() if files}, wanted)
    taken = found.taken[0].files if found.taken else {}
    assert scopes.common(taken, found.waiting) == {}
    assert scopes.count(taken) + scopes.count(found.waiting) == scopes.count(both)
    assert scopes.common(taken, claimed) == {}
    if rows_max >= 8:
        assert scopes.without(found.waiting, claimed) == {}
    told = scopes.files_of(found.taken[0].scope, n_files) if found.taken else {}
    assert scopes.common(told, {block: files for block, files in asked.items() if files}) == dict(taken)


# ---- steering -------------------------------------------------------------------


def test_holding_back_and_releasing(world: AskingWorld) -> None:
    id = world.copy("B").request.id
    steering.hold(world.store, id, actor="me@here", reason="disk week", dry_run=True)
    assert world.queue.known_open() == []
    steering.hold(world.store, id, actor="me@here", reason="disk week")
    assert world.queue.known_open()[0].on_hold == "me@here: disk week"
    steering.release(world.store, id)
    assert world.queue.known_open()[0].on_hold == ""


def test_trying_again(world: AskingWorld) -> None:
    copy = world.copy("B").request
    claim = world.begin(copy, "y", (0, 1)).claim
    failed = BatchFailure(FileSet.of([0, 1]), 20, BatchState.FAILED, 3, Code.SOURCE_WRONG, "bad", 0, bad_sources=("A",))
    with world.queue.write() as connection:
        world.queue.fail(connection, claim, [failed], now_us=START_US)
    assert world.queued(copy.id)["y"] == {2, 3}
    assert steering.retry(world.store, copy.id, dry_run=True) == 2
    assert world.queued(copy.id)["y"] == {2, 3}
    assert steering.retry(world.store, copy.id) == 2
    assert world.queued(copy.id)["y"] == ALL


def test_nothing_is_said_to_what_is_over(world: AskingWorld) -> None:
    id = world.copy("B").request.id
    requests.cancel(world.store, id, reason="no", actor="test")
    for word in (steering.release, steering.retry):
        with pytest.raises(Conflict, match="cancelled already"):
            word(world.store, id)
    with pytest.raises(UnknownName):
        steering.retry(world.store, "nothing")
