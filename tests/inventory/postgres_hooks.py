"""The hooks of StoreSuite on a PostgreSQL server: a schema of its own for each store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.inventory.backup import backup, restore
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.store_suite import StoreSuite


class PostgresHooks(StoreSuite):
    """What a subclass has to give is a server."""

    server: PostgresServer

    @pytest.fixture(autouse=True)
    def _close_all(self, _release: None, fast_folder: Path) -> Iterator[None]:
        """Connections that nobody closes are told, by psycopg; what each test leaves open is closed here."""
        self.stores: list[tuple[SqlStore, str]] = []
        self.folder = fast_folder
        yield
        for store, _ in self.stores:
            store.close()

    def make_store(self, clock: Clock) -> Store:
        url = self.server.new_schema()
        return self._opened(SqlStore.create(url, clock=clock), url)

    def reopen(self, store: Store, clock: Clock) -> Store:
        store.close()
        (url,) = [url for known, url in self.stores if known is store]
        return self._opened(SqlStore.open(url, clock=clock), url)

    def restored(self, store: Store, clock: Clock) -> Store:
        assert isinstance(store, SqlStore)
        url, copy = self.server.new_schema(), self.folder / f"backup-{len(self.stores)}"
        backup(store, copy)
        restore(copy, url, clock=clock, actor="tester")
        return self._opened(SqlStore.open(url, clock=clock), url)

    def _opened(self, store: SqlStore, url: str) -> SqlStore:
        self.stores.append((store, url))
        return store
