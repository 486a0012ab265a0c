"""SqlStore on PostgreSQL keeps the Store contract: a real server, and the one of the pgserver wheel."""

from __future__ import annotations

import pytest

from holdfast.testing.postgres_server import PostgresServer
from inventory.postgres_hooks import PostgresHooks
from support.soak import only_in_soak


@pytest.mark.slow
@pytest.mark.real("postgresql")
class TestPostgresStore(PostgresHooks):
    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.server = postgres


@only_in_soak
@pytest.mark.slow
@pytest.mark.real("bundled postgresql")
class TestBundledPostgresStore(PostgresHooks):
    @pytest.fixture(autouse=True)
    def _server(self, bundled_postgres: PostgresServer) -> None:
        self.server = bundled_postgres
