"""Where the tests of one thing keep their inventories: on SQLite always, on PostgreSQL in the full run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.clock import Clock

PLACES = (
    "sqlite",
    pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.real("postgresql")]),
)


class Places:
    """Makes inventories in one kind of database and closes them in the end."""

    def __init__(self, kind: str, folder: Path, request: pytest.FixtureRequest, held: ExitStack) -> None:
        self.kind, self.folder = kind, folder
        self._request, self._held = request, held
        self._n_made = 0

    def create(self, clock: Clock) -> SqlStore:
        """A new inventory."""
        self._n_made += 1
        place: Path | str = self.folder / f"inventory-{self._n_made}.db"
        if self.kind == "postgresql":
            place = self._request.getfixturevalue("postgres").new_database()
        store = SqlStore.create(place, clock=clock)
        self._held.callback(store.close)
        return store


@pytest.fixture(params=PLACES)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    """The test runs once for each kind of database."""
    with ExitStack() as held:
        yield Places(request.param, tmp_path, request, held)


def execute(store: SqlStore, *statements: str) -> None:
    """Damage done behind the inventory's back; each statement has to hit something."""
    with store.writing() as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount, f"nothing done by {statement}"
