"""Queues on every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from queue_world import POSTGRES, QueueWorld

from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.testing.memory_store import MemoryStore


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a test keeps its inventory, of the kind that it is parametrized with."""
    if request.param == "sqlite":
        return tmp_path / "inventory.db"
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty inventory in memory, in a file, on a server."""
    if request.param == "memory":
        yield MemoryStore()
        return
    place = (
        tmp_path / "inventory.db" if request.param == "sqlite" else request.getfixturevalue("postgres").new_database()
    )
    with closing(SqlStore.create(place)) as made:
        yield made


@pytest.fixture
def world(store: Store) -> QueueWorld:
    """A queue without anything in it."""
    return QueueWorld(store)
