"""The room's tables on every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from history_world import POSTGRES, HistoryWorld

from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.testing.memory_store import MemoryStore


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty inventory in memory, in a file, on a server."""
    if request.param == "memory":
        yield MemoryStore()
        return
    of_file = request.param == "sqlite"
    place = tmp_path / "inventory.db" if of_file else request.getfixturevalue("postgres").new_database()
    with closing(SqlStore.create(place)) as made:
        yield made


@pytest.fixture
def world(store: Store, tmp_path: Path) -> HistoryWorld:
    """No run, nothing said."""
    return HistoryWorld(store, tmp_path / "reports")
