"""Rows into tables, each database by its own best way: one row put, many rows inserted.

What is done here is the same for every database; how, is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

INSERT_ROWS = 500
"""Rows of one insert statement; SQLite allows 32,766 values in one, and a file has ten."""

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def put(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Insert a row, or set ``values`` of the row that has ``key``; with no values, leave that row as it is."""
    statement = _INSERT[connection.dialect.name](table).values(**key, **values)
    if values:
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=list(key)))


def insert_rows(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """One statement for many rows: what the driver's executemany would do one by one."""
    row_mark = f"({','.join('?' * len(columns))})"
    for chunk in _chunks(rows):
        marks = ",".join([row_mark] * len(chunk))
        flat = tuple(value for row in chunk for value in row)
        connection.exec_driver_sql(f"INSERT INTO {table} ({','.join(columns)}) VALUES {marks}", flat)


def _chunks(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    for start in range(0, len(rows), INSERT_ROWS):
        yield rows[start : start + INSERT_ROWS]
