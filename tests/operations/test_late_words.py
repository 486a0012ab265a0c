"""What comes late: results of requests that are over, of an inventory that is another one, news that were lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from operations_world import DATASET, SETTINGS, World

from holdfast.inventory import backup
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model.errors import Conflict, DatabaseAway, OutcomeUnknown
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import RequestState
from holdfast.operations import requests
from holdfast.operations.batches import orders
from holdfast.operations.batches.queue import Queue
from holdfast.operations.batches.workers import Workers

OTHER = DatasetKey("/sky/other", "1")


def before_arrivals(world: World, deed: Callable[[], object]) -> list[tuple[c.Change, ...]]:
    """Do something right before files are first told to have arrived or gone; returns all that was told of them."""
    commit, told = world.store.commit, list[tuple[c.Change, ...]]()

    def meddling(change_set: c.ChangeSet, **given: Any) -> object:
        if any(isinstance(each, c.FilesArrived | c.FilesDeleted) for each in change_set.changes):
            told.append(change_set.changes)
            if len(told) == 1:
                deed()
        return commit(change_set, **given)

    world.store.commit = meddling  # type: ignore[method-assign,assignment]
    return told


def test_what_was_brought_for_a_request_that_is_over_refuses_nobody_elses(world: World) -> None:
    given_up = world.publish(2)
    wanted = world.publish(4, dataset=OTHER, n_blocks=2)
    late = world.ask("B")
    other = world.ask("B", dataset=OTHER)
    before_arrivals(world, lambda: requests.cancel(world.store, late.id, reason="no", actor="test"))
    world.run()
    assert world.request(late.id).state is RequestState.CANCELLED
    assert world.request(other.id).state is RequestState.DONE
    assert sum(replica.n_files for replica in world.replica("B", OTHER)) == 4
    assert world.replica("B") == [], "the wish was given up, and is not awakened by what came late"
    assert set(wanted) < set(world.paths("B")) <= {*given_up, *wanted}, "nobody deletes it on a guess"
    assert world.parts("B") == []
    assert Queue(world.store).known_open() == []


def test_what_was_deleted_for_a_request_that_is_over_is_known_to_be_gone(world: World) -> None:
    lfns = world.publish(4, at="AB")
    id = world.ask_replica_deletion()
    # Not as people do it, who leave what has begun to its end (``requests.cancel``).
    before_arrivals(world, lambda: world.commit(c.CloseRequest(id, RequestState.CANCELLED, "no")))
    world.delete()
    assert world.request(id).state is RequestState.CANCELLED
    assert world.paths("B") == []
    assert sum(replica.n_files for replica in world.replica("B")) == 0
    assert world.paths("A") == lfns


def test_one_refusal_among_many_costs_few_commits(world: World) -> None:
    world.publish(64, n_blocks=32)
    request = world.ask("B")
    commit, n_tries = world.store.commit, []

    def refusing(change_set: c.ChangeSet, **given: Any) -> object:
        if any(isinstance(change, c.FilesArrived) for change in change_set.changes):
            n_tries.append(change_set)
        if any(
            isinstance(each, c.FilesArrived) and each.block == BlockKey(DATASET, "7") for each in change_set.changes
        ):
            raise Conflict("not this block")
        return commit(change_set, **given)

    world.store.commit = refusing  # type: ignore[method-assign,assignment]
    world.run(settings=SETTINGS.model_copy(update={"concurrency": 64}))
    assert sum(replica.n_files for replica in world.replica("B")) == 62
    assert "2 failed" in world.request(request.id).detail
    assert len(n_tries) < 32


def test_nothing_done_before_a_restore_is_told_after_it(world: World) -> None:
    assert isinstance(world.store, SqlStore)
    store, path = world.store, world.folder / "backup.db"
    lfns = world.publish(4)
    request = world.ask("B")
    backup.backup(store, path)
    claims: set[str] = set()

    def restores() -> None:
        with Queue(store).read() as connection:
            claims.update(batch.claim for batch in Queue.active(connection))
        backup.restore(path, store.path, clock=world.clock, actor="test")

    told = before_arrivals(world, restores)
    world.run()
    assert claims
    assert world.request(request.id).state is RequestState.DONE
    world.assert_copied(lfns)
    # The request of the restored inventory was carried out anew, and its files were found in place, and told of then.
    assert len(told) > 1
    assert [world.drivers["B"].count("rename", lfn) for lfn in lfns] == [1] * 4


@pytest.mark.parametrize("error", [DatabaseAway("away"), OutcomeUnknown("away")])
@pytest.mark.parametrize("moment", ["take_in", "add"])
def test_a_worker_that_runs_for_ever_forgets_nothing_when_the_database_goes_away(
    world: World, moment: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    lfns = world.publish(4)
    request = world.ask("B")
    original, n_calls = getattr(orders, moment), []

    def away(*given: Any, **more: Any) -> Any:
        n_calls.append(1)
        if len(n_calls) == 1:
            raise error
        return original(*given, **more)

    monkeypatch.setattr(orders, moment, away)

    async def until_done() -> None:
        running = asyncio.ensure_future(world.running(forever=True))
        for _ in range(2000):
            await asyncio.sleep(0)
            if world.request(request.id).state is RequestState.DONE or running.done():
                break
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(until_done())
    assert len(n_calls) > 1
    world.assert_copied(lfns)


def test_a_commit_that_nobody_knows_about_is_looked_at_again(world: World) -> None:
    lfns = world.publish(4)
    request = world.ask("B")
    commit, lost = world.store.commit, []

    def answerless(change_set: c.ChangeSet, **given: Any) -> object:
        head = commit(change_set, **given)
        if not lost and any(isinstance(each, c.FilesArrived) for each in change_set.changes):
            lost.append(head)
            raise OutcomeUnknown("the database went away during a commit")
        return head

    world.store.commit = answerless  # type: ignore[method-assign,assignment]

    async def until_done() -> None:
        running = asyncio.ensure_future(world.running(forever=True))
        for _ in range(3000):
            await asyncio.sleep(0)
            if len(lost) and world.request(request.id).state is RequestState.DONE:
                break
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(until_done())
    assert lost
    world.assert_copied(lfns)
    assert world.request(request.id).state is RequestState.DONE


def test_a_restored_inventory_gives_a_worker_another_name(world: World) -> None:
    assert isinstance(world.store, SqlStore)
    path: Path = world.folder / "backup.db"
    world.publish(2)
    backup.backup(world.store, path)
    seen: list[str] = []

    async def some_time() -> None:
        running = asyncio.ensure_future(world.running(forever=True))
        for n in range(300):
            await asyncio.sleep(0)
            seen.extend(row.id for row in Workers(world.store).known() if row.id not in seen)
            if n == 100:
                assert isinstance(world.store, SqlStore)
                backup.restore(path, world.store.path, clock=world.clock, actor="test")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(some_time())
    assert len(seen) == 2
