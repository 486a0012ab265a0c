"""What people see of requests: states, numbers, and why something does not move.

Method: a small inventory; workers are played by the queue's own calls.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from asking_world import DATASET, START_US, AskingWorld

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import BadInput, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import DatasetKey
from holdfast.model.records import BlockFiles, Orphan, Request
from holdfast.operations import requests
from holdfast.operations.batch import BatchFailure, BatchState, Held, RequestKind
from holdfast.operations.batches.links import Link, put_links
from holdfast.operations.batches.workers import NewWorker, Workers
from holdfast.operations.codes import Code
from holdfast.operations.requesting import steering
from holdfast.operations.showing import overview, troubles
from holdfast.operations.showing.overview import COPIES, DELETIONS, Condition, RequestStatus
from holdfast.operations.showing.why import lasting, why

MINUTE_US = 60 * SECOND_US


@pytest.fixture
def world(tmp_path: Path) -> AskingWorld:
    ticks = count(START_US, 10)
    return AskingWorld(SqlStore.create(tmp_path / "inventory.db", clock=lambda: next(ticks)))


def status_of(world: AskingWorld, request: Request) -> RequestStatus:
    with world.store.snapshot() as snapshot:
        now = snapshot.request(request.id)
    assert now is not None
    (found,) = overview.statuses(world.store, [now])
    return found


def fail(world: AskingWorld, claim: str, *failures: BatchFailure) -> None:
    with world.queue.write() as connection:
        assert world.queue.fail(connection, claim, failures, now_us=START_US)


def failure(state: BatchState, *ordinals: int, error: str = "", held: Held = Held.NOT, due_us: int = 0) -> BatchFailure:
    code = Code.SOURCE_FAILED if error else None
    return BatchFailure(FileSet.of(ordinals), 10 * len(ordinals), state, 2, code, error, due_us, held)


def test_a_request_on_its_way(world: AskingWorld) -> None:
    copy = world.copy("B").request
    status = status_of(world, copy)
    assert (status.condition, status.n_files, status.n_left, status.size_left) == (Condition.NEW, 8, 8, 80)
    world.queue.take_in([copy])
    assert status_of(world, copy).condition is Condition.NEW
    claim = world.begin(copy, "x", (0, 1)).claim
    status = status_of(world, copy)
    assert (status.condition, status.n_files, status.n_done, status.n_left) == (Condition.ACTIVE, 8, 0, 8)
    assert status.rate_bytes_s is None
    with world.queue.write() as connection:
        world.queue.finish(connection, claim, FileSet.of([0, 1]), 20, 1)
    status = status_of(world, copy)
    assert (status.condition, status.n_done, status.size_done, status.n_left, status.size_left) == (
        Condition.QUEUED,
        2,
        20,
        6,
        60,
    )
    assert why(status, now_us=START_US) == ""
    requests.cancel(world.store, copy.id, reason="no need", actor="me")
    status = status_of(world, copy)
    assert (status.condition, why(status, now_us=START_US)) == (Condition.CANCELLED, "no need")


def test_rates_come_from_links_that_were_measured(world: AskingWorld) -> None:
    copy = world.copy("B").request
    world.begin(copy, "x", (0, 1))
    with world.queue.write() as connection:
        put_links(connection, [Link("A", "B", rate_bytes_s=5.0)])
    (one,) = overview.statuses(world.store, [copy])
    assert (one.rate_bytes_s, one.left_s) == (5.0, 16.0)
    (many,) = overview.statuses(world.store, [copy], streams=lambda source, site: 4)
    assert many.rate_bytes_s == 10.0  # Two files of the batch, at once.


def test_why_something_waits(world: AskingWorld) -> None:
    copy = world.copy("B").request
    claim = world.begin(copy, "x", (0, 1)).claim
    due_us = START_US + 8 * MINUTE_US
    fail(world, claim, failure(BatchState.RETRY, 0, 1, error="A: connection refused", due_us=due_us))
    with world.queue.write() as connection:  # The other files have gone another way.
        world.queue.withdraw(connection, 1, {"x": FileSet.of([2, 3]), "y": FileSet.full(4)})
    status = status_of(world, copy)
    assert status.condition is Condition.RETRY
    assert why(status, now_us=START_US + 5 * MINUTE_US) == (
        "2 files failed 2 times; last error A: connection refused, 5 min ago; next try in 3 min"
    )
    assert why(status, now_us=due_us).endswith("next try now")


@pytest.mark.parametrize(
    ("held", "error", "text"),
    [
        (Held.NO_SOURCE, "", "1 file held: no source, no ready site holds it"),
        (Held.NO_SOURCE, "A: down", "1 file held: no source; last error A: down, 2 h ago"),
        (Held.SITE_UNAVAILABLE, "B: no space", "1 file held: site unavailable; last error B: no space, 2 h ago"),
    ],
)
def test_why_something_is_held(world: AskingWorld, held: Held, error: str, text: str) -> None:
    copy = world.copy("B", scope=[BlockFiles("x", (3,))]).request
    claim = world.begin(copy, "x", (3,)).claim
    fail(world, claim, failure(BatchState.HELD, 3, held=held, error=error))
    status = status_of(world, copy)
    assert (status.condition, why(status, now_us=START_US + 120 * MINUTE_US)) == (Condition.HELD, text)
    (problem,) = troubles.problems(world.store, copy)
    assert (problem.example, problem.n_files, problem.held) == ("/sky/survey/1/x3", 1, held)


def test_who_holds_a_request_back(world: AskingWorld) -> None:
    copy = world.copy("B").request
    steering.hold(world.store, copy.id, actor="me@here", reason="disk week")
    status = status_of(world, copy)
    assert (status.condition, why(status, now_us=START_US)) == (Condition.HELD, "on hold by me@here: disk week")


def test_that_nobody_works_is_said(world: AskingWorld) -> None:
    world.bring("B")
    copy, deletion = world.copy("C").request, world.delete("B").request
    Workers(world.store).gone("w")
    assert why(status_of(world, copy), now_us=START_US) == "no worker is at work: `holdfast transfers run`"
    assert why(status_of(world, deletion), now_us=START_US) == "no worker is at work: `holdfast deletions run`"


def test_a_worker_that_is_lost_is_said(world: AskingWorld) -> None:
    copy = world.copy("B").request
    world.begin(copy, "x", (0, 1))
    with world.queue.write() as connection:
        put_links(connection, [Link("A", "B", rate_bytes_s=5.0)])
    Workers(world.store).beat("w", now_us=START_US)

    def seen(now_us: int, lives: bool | None, *also: NewWorker) -> RequestStatus:
        for worker in also:
            Workers(world.store).register(worker, now_us=now_us)
        (status,) = overview.statuses(world.store, [copy], now_us=now_us, is_alive=lambda row: lives)
        return status

    assert why(seen(START_US + 30 * SECOND_US, None), now_us=START_US) == ""
    assert why(seen(START_US + 30 * MINUTE_US, True), now_us=START_US) == ""
    gone = "its worker (process 1 on here) has not been seen for"
    killed = seen(START_US + 30 * SECOND_US, False)
    assert (killed.condition, killed.rate_bytes_s, killed.n_workers) == (Condition.ACTIVE, None, 0)
    assert why(killed, now_us=START_US) == f"{gone} 30 s; another one takes over: `holdfast transfers run`"
    assert why(seen(START_US + 3 * MINUTE_US, None), now_us=START_US).startswith(f"{gone} 3 min; ")
    with_another = seen(START_US + 30 * MINUTE_US, None, NewWorker("v", "there", 2, 60.0))
    assert why(with_another, now_us=START_US) == f"{gone} 30 min; another one takes over"


def test_what_begins_anew_is_in_no_trouble(world: AskingWorld) -> None:
    copy = world.copy("B", scope=[BlockFiles("x", (3,))]).request
    claim = world.begin(copy, "x", (3,)).claim
    fail(world, claim, failure(BatchState.HELD, 3, held=Held.ALL_FAILED, error="A: down"))
    assert steering.retry(world.store, copy.id) == 1
    status = status_of(world, copy)
    assert (status.condition, why(status, now_us=START_US)) == (Condition.QUEUED, "")


def test_tries_that_asked_a_bad_source_count(world: AskingWorld) -> None:
    copy = world.copy("B").request
    claim = world.begin(copy, "x", (0, 1)).claim
    missing = replace(failure(BatchState.QUEUED, 0, error="A: not there"), attempts=0, bad_sources=("A",))
    full = replace(failure(BatchState.HELD, 1, held=Held.SITE_UNAVAILABLE, error="B: full"), attempts=0)
    fail(world, claim, missing, full)
    found = {each.error: each.tries for each in troubles.problems(world.store, copy)}
    assert found == {"A: not there": 1, "B: full": None}


def test_a_deadline_that_is_past_is_said(world: AskingWorld) -> None:
    copy = world.copy("B", deadline_us=START_US + MINUTE_US).request
    world.begin(copy, "x", (0,))
    assert why(status_of(world, copy), now_us=START_US + MINUTE_US) == "its deadline is past"


def test_what_was_left_alone_is_counted_and_no_trouble(world: AskingWorld) -> None:
    world.bring("B")
    deletion = world.delete("B", scope=[BlockFiles("x")]).request
    claim = world.begin(deletion, "x", (0, 1)).claim
    skipped = replace(failure(BatchState.SKIPPED, 0, 1, error="locked"), code=Code.MUST_STAY)
    fail(world, claim, skipped)
    status = status_of(world, deletion)
    assert why(status, now_us=START_US) == "2 left alone"
    assert (status.n_left, status.n_failed) == (2, 0)
    (problem,) = troubles.problems(world.store, deletion)
    assert (problem.state, problem.error) == (BatchState.SKIPPED, "locked")


def test_orphans_are_named_by_their_paths(world: AskingWorld) -> None:
    orphans = [Orphan(f"/dark/{number}", 5, 1) for number in range(3)]
    request = requests.request_deletion(world.store, "C", orphans, reason="t", actor="me", clock=world.clock)
    assert RequestKind.of(request) is RequestKind.ORPHANS
    assert troubles.problems(world.store, request) == []
    claim = world.begin(request, "", (1, 2)).claim
    fail(world, claim, failure(BatchState.RETRY, 1, 2, error="busy", due_us=START_US + 5))
    (problem,) = troubles.problems(world.store, request)
    assert (problem.example, problem.n_files, problem.not_before_us) == ("/dark/1", 2, START_US + 5)


def test_requests_are_found_by_kind_place_and_the_beginning_of_their_ids(world: AskingWorld) -> None:
    other = DatasetKey("/sky/other", "1")
    world.publish(other)
    world.bring("B")
    first, second = world.copy("C").request, world.copy("C", dataset=other).request
    deletion = world.delete("B").request
    with world.store.snapshot() as snapshot:
        assert overview.requests_of(snapshot, COPIES) == [first, second]
        assert overview.requests_of(snapshot, COPIES, dataset=other) == [second]
        assert overview.requests_of(snapshot, DELETIONS) == [deletion]
        assert overview.requests_of(snapshot, DELETIONS, site="C") == []
        assert overview.find(snapshot, first.id, COPIES) == first
        with pytest.raises(BadInput, match="begin with 'id'"):
            overview.find(snapshot, "id", COPIES)
        for id in (deletion.id, "", "zzz"):
            with pytest.raises(UnknownName):
                overview.find(snapshot, id, COPIES)


def test_opposites_are_told(world: AskingWorld) -> None:
    world.bring("B")
    deletion = world.delete("B").request
    world.begin(deletion, "x", (1, 2))
    copy = world.copy("B").request
    with world.store.snapshot() as snapshot:
        assert troubles.opposites_of(snapshot, copy) == [troubles.Opposite(deletion.id, 2)]
        now = snapshot.request(deletion.id)
        assert now is not None
        assert troubles.opposites_of(snapshot, now) == [troubles.Opposite(copy.id, 2)]
        assert now.dataset == DATASET


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_800, "2 d"),
        (10**7, "115 d"),
    ],
)
def test_spans_for_people(seconds: float, text: str) -> None:
    assert lasting(seconds * SECOND_US) == text
