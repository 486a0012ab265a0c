"""A backup has the queue as it was; restored, its claims are those of workers who do not beat any more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from queue_world import POSTGRES, QueueWorld, shape

from holdfast.inventory import backup as backups
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.clock import system_clock
from holdfast.operations.batches import tables

ROOMS = [tables.metadata]


@pytest.mark.parametrize("place", ["sqlite", POSTGRES], indirect=True)
def test_a_restored_queue_goes_on_where_the_backup_was_made(place: Path | str, tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    with closing(SqlStore.create(place)) as store:
        world = QueueWorld(store)
        world.worker("before")
        world.planned()
        world.claimed([0, 1], claim="c", worker="before")
        backups.backup(store, saved, rooms=ROOMS)
        world.finish("c", [0, 1])
        world.workers.gone("before")
        world.claimed([2], claim="d", worker=world.worker("after"))
    backups.restore(saved, place, clock=system_clock, actor="test", rooms=ROOMS)
    with closing(SqlStore.open(place)) as store:
        world = QueueWorld(store)
        assert [row.id for row in world.workers.known()] == ["before"]
        assert world.there().n_done == 0
        assert not world.workers.beat("after")
        assert not world.finish("d", [2]), "whoever goes on from after the backup has nothing here"
        with world.queue.write() as connection:
            [taken] = world.workers.bury(connection, "before", now_us=1)
        assert shape([taken]) == [("b", [0, 1])]
        world.planned("new", blocks={"n": 2})
        found = world.waiting()
        assert shape(found) == [("b", [2, 3, 4, 5, 6, 7, 8, 9]), ("b", [0, 1]), ("n", [0, 1])]
        assert len({batch.id for batch in found}) == 3
