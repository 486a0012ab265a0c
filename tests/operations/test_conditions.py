"""Conditions: requests stand where their own page says, looked up by ids alone."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from asking_world import START_US, AskingWorld

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.changes import CloseRequest
from holdfast.model.fileset import FileSet
from holdfast.model.records import Orphan, Request, RequestState
from holdfast.operations import requests
from holdfast.operations.batch import BatchFailure, BatchState, Held
from holdfast.operations.requesting import steering
from holdfast.operations.showing import conditions, overview
from holdfast.operations.showing.overview import Condition


@pytest.fixture
def world(tmp_path: Path) -> AskingWorld:
    ticks = count(START_US, 10)
    return AskingWorld(SqlStore.create(tmp_path / "inventory.db", clock=lambda: next(ticks)))


def removal(world: AskingWorld, path: str) -> Request:
    """A request for the removal of one orphan at B."""
    return requests.request_deletion(
        world.store, "B", [Orphan(path, 5, 0)], reason="test", actor="me", clock=world.clock, new_id=world.new_id
    )


def test_requests_stand_where_their_own_page_says(world: AskingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "REQUESTS_AT_ONCE", 2)
    new, held, waiting = (removal(world, f"/data/{name}") for name in ("new", "held", "waiting"))
    done = world.copy("C").request
    active = world.copy("B").request
    claim = world.begin(held, "", (0,)).claim
    with world.queue.write() as connection:
        failed = BatchFailure(FileSet.of((0,)), 5, BatchState.HELD, 1, None, "", 0, Held.SITE_UNAVAILABLE)
        assert world.queue.fail(connection, claim, [failed], now_us=START_US)
    world.begin(active, "x", (0, 1), claim="another")
    steering.hold(world.store, waiting.id, actor="me", reason="not now")
    world.commit(CloseRequest(done.id, RequestState.DONE))
    ids = [each.id for each in (new, held, waiting, done, active)]
    found = conditions.conditions(world.store, [*ids, "nobody's"])
    assert found == dict(
        zip(ids, [Condition.NEW, Condition.HELD, Condition.HELD, Condition.DONE, Condition.ACTIVE], strict=True)
    )
    statuses = overview.statuses(world.store, [world.request(id) for id in ids])
    assert found == {status.request.id: status.condition for status in statuses}


def test_nothing_is_asked_for_of_nothing(world: AskingWorld) -> None:
    assert conditions.conditions(world.store, []) == {}
    assert conditions.conditions(world.store, ["nobody's"]) == {}
