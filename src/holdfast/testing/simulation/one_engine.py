"""One engine for all comparisons of a process: opening a database takes longer than what a simulated check asks of it.

Rules
  * Who opens a session gets a connection of its own, with temporary tables of its own. Nothing else is ever made in
    one, so that sessions do not meet.
  * The settings are those of the first session; a simulation has the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from holdfast.consistency.comparing import duckdb_session


class OneEngine:
    """A database that is opened when it is first needed."""

    def __init__(self) -> None:
        self._database: duckdb.DuckDBPyConnection | None = None

    def connect(self, settings: dict[str, Any]) -> duckdb.DuckDBPyConnection:
        """A connection to the database."""
        if self._database is None:
            self._database = duckdb.connect(":memory:", config=settings)
        return self._database.cursor()

    def close(self) -> None:
        """Let the database go."""
        if self._database is not None:
            self._database.close()


@contextmanager
def one_engine() -> Iterator[None]:
    """All sessions of this process share one database while the context lasts."""
    usual, engine = (duckdb_session._opened, duckdb_session._PERFECT_BITS), OneEngine()
    # A table of 65,536 groups, cleared for each dozen of files, is most of a small comparison.
    duckdb_session._opened, duckdb_session._PERFECT_BITS = engine.connect, 4
    try:
        yield
    finally:
        duckdb_session._opened, duckdb_session._PERFECT_BITS = usual
        engine.close()
