"""What the tests of the inventory share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing import postgres_server
from holdfast.testing.postgres_server import PostgresServer
from support import fast_folder, real


@pytest.fixture(name="fast_folder")
def _fast_folder() -> Iterator[Path]:
    with fast_folder.fast_folder() as folder:
        yield folder


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A new database on it."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def bundled_postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL of the ``pgserver`` wheel, on a socket."""
    real.require("bundled postgresql")
    programs = postgres_server.bundled_programs()
    assert programs is not None
    with postgres_server.postgres_server(programs, socket_only=True, within=fast_folder.place()) as server:
        yield server
