"""SqlStore keeps the Store contract; and what can be wrong with a SQLite file."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.inventory.backup import backup, restore
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock
from holdfast.testing.store_suite import StoreSuite


class TestSqlStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, fast_folder: Path) -> None:
        self.folder = fast_folder
        self.n_restored = 0

    def make_store(self, clock: Clock) -> Store:
        return SqlStore.create(self.folder / "inventory.sqlite", clock=clock)

    def reopen(self, store: Store, clock: Clock) -> Store:
        assert isinstance(store, SqlStore)
        store.close()
        return SqlStore.open(store.path, clock=clock)

    def restored(self, store: Store, clock: Clock) -> Store:
        assert isinstance(store, SqlStore)
        self.n_restored += 1
        copy = self.folder / f"backup-{self.n_restored}"
        place = self.folder / f"restored-{self.n_restored}"
        backup(store, copy)
        restore(copy, place, clock=clock, actor="tester")
        return SqlStore.open(place, clock=clock)
