"""What is asked for every file or turn is looked up, however much waits: no statement reads all batches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from queue_world import QueueWorld, failure
from sqlalchemy import Connection, event

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import BatchState, Settled

Deed = Callable[[QueueWorld], object]


def _bury(world: QueueWorld) -> None:
    with world.queue.write() as connection:
        world.workers.bury(connection, "w", now_us=1)


def _handle(world: QueueWorld) -> None:
    with world.queue.write() as connection:
        world.queue.keep_handle(connection, "c", "job")


def _begun(world: QueueWorld) -> None:
    with world.queue.read() as connection:
        world.queue.begun(connection)


DEEDS: dict[str, Deed] = {
    "standing": lambda world: world.queue.standing(["c"], "w"),
    "is_live_part": lambda world: world.queue.is_live_part("cx1"),
    "claim": lambda world: world.claim(world.waiting()[0], [5], claim="d"),
    "settle": lambda world: world.settle(
        Settled("c", FileSet.of([0]), 1, 0, (failure([1]), failure([2], BatchState.HELD)), gives_back=True)
    ),
    "keep_handle": _handle,
    "bury": _bury,
    "gone": lambda world: world.workers.gone("w"),
    "withdraw": lambda world: world.withdraw(world.there(), "b", [1, 6]),
    "waiting": lambda world: world.waiting(),
    "held": lambda world: world.held(),
    "active": lambda world: world.active(),
    "begun": lambda world: _begun(world),
    "next_due_us": lambda world: world.next_due_us(),
    "is_idle": lambda world: world.queue.is_idle(world.there()),
    "counts": lambda world: world.queue.counts(world.there()),
    "drop": lambda world: world.queue.drop(world.there(), now_us=world.now_us),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=list(DEEDS))
def test_no_statement_reads_all_batches(tmp_path: Path, deed: Deed) -> None:
    with closing(SqlStore.create(tmp_path / "inventory.db")) as store:
        world = QueueWorld(store)
        world.worker()
        world.planned()
        world.claimed([0, 1, 2, 3])
        said: list[tuple[str, Any]] = []

        def hear(connection: Connection, cursor: object, statement: str, values: Any, *more: object) -> None:
            said.append((statement, values[0] if more[-1] else values))

        event.listen(store.database._writer, "before_cursor_execute", hear)  # type: ignore[attr-defined]
        event.listen(store.database._reader, "before_cursor_execute", hear)  # type: ignore[attr-defined]
        deed(world)
        about = [each for each in said if "operations_batch" in each[0]]
        assert about
        plans = []
        with store.reading() as connection:
            for statement, values in about:
                if not statement.startswith("INSERT"):
                    found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                    plans += [(row[3], statement) for row in found]
    whole = [(step, statement) for step, statement in plans if "SCAN operations_batch" in step and "INDEX" not in step]
    assert not whole
