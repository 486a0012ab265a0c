"""MemoryRooms: the tables of the rooms for a MemoryStore, in SQLite's memory.

One connection writes, in the writer's turn. Each reader gets a copy of what
was last committed, so that its view holds still and stops nobody, and cannot
be written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, MetaData, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool


class MemoryRooms:
    """Room tables in memory. The caller holds the writer's turn around ``write``."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA foreign_keys=ON")
        self._database.execute("PRAGMA user_version=1")  # SQLite cannot copy a database without a page.
        self._committed = self._database.serialize()
        self._writer = create_engine("sqlite://", creator=lambda: self._database, poolclass=StaticPool)
        event.listen(self._writer, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        self._reader = create_engine("sqlite://", creator=self._copy, poolclass=NullPool)

    def has(self, tables: MetaData) -> bool:
        """Whether all tables of a room are there."""
        found = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return tables.tables.keys() <= {name for (name,) in found}

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end, undone by an exception."""
        with self._writer.begin() as connection:
            yield connection
        self._committed = self._database.serialize()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """What was committed last."""
        with self._reader.connect() as connection:
            yield connection

    def _copy(self) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        copy.deserialize(self._committed)
        copy.execute("PRAGMA query_only=ON")
        return copy
