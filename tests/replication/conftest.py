"""Fixtures for the tests of publishing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from publishing import World, ticking

from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.memory_store import MemoryStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore.create(tmp_path / "state" / "inventory.db", clock=ticking())
    yield store
    store.close()


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest) -> World:
    """A site in memory with an inventory in memory, and again with one in a file."""
    store: Store = MemoryStore(clock=ticking()) if request.param == "memory" else request.getfixturevalue("store")
    return World(store, MemoryDriver(ticking(), chunk_bytes=16))
