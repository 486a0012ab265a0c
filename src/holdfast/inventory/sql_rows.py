"""Rows into tables, each database by its own best way: one row put, many rows inserted.

What is done here is the same for every database; how, is not. SQLite gets
statements of many rows; PostgreSQL gets COPY, on the same connection as the
rest of the transaction, unless the rows are few.

What a database refuses comes out as SQLAlchemy's errors, whichever way was taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, LargeBinary, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

INSERT_ROWS = 500
"""Rows of one insert statement; SQLite allows 32,766 values in one, and a file has ten."""
COPY_ROWS = 20
"""From so many rows on PostgreSQL gets them by COPY: it costs two exchanges more than one small statement."""

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_MARK = {"sqlite": "?", "postgresql": "%s"}


def put(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Insert a row, or set ``values`` of the row that has ``key``; with no values, leave that row as it is."""
    statement = _INSERT[connection.dialect.name](table).values(**key, **values)
    if values:
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=list(key)))


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Add many rows, in the order they come in: texts, bytes and whole numbers."""
    database = connection.dialect.name
    if database == "postgresql" and len(rows) >= COPY_ROWS:
        _copy(connection, table, columns, rows)
        return
    row_mark = f"({','.join([_MARK[database]] * len(columns))})"
    for chunk in _chunks(rows):
        marks = ",".join([row_mark] * len(chunk))
        flat = tuple(chain.from_iterable(chunk))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({','.join(columns)}) VALUES {marks}", flat)


def _chunks(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    for start in range(0, len(rows), INSERT_ROWS):
        yield rows[start : start + INSERT_ROWS]


def _copy(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    import psycopg  # Only an installation that uses PostgreSQL has it.

    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    statement = f"COPY {table.name} ({','.join(columns)}) FROM STDIN (FORMAT BINARY)"
    try:
        with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types([_type_name(table, column) for column in columns])
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error


def _type_name(table: Table, column: str) -> str:
    kind = table.c[column].type.dialect_impl(_DIALECT)
    if isinstance(kind, LargeBinary):
        return "bytea"
    if isinstance(kind, BigInteger):
        return "int8"
    return "int4" if isinstance(kind, Integer) else "text"
