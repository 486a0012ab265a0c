"""Rows of a whole inventory, from one database into another: between PostgreSQL and the SQLite file of a backup.

Table by table in the order of their references, row by row in the order of
their keys, in batches; never a whole table in memory.

Rules
  * All is read in the one transaction of the source and written in the one of the target.
  * Numbers that the database gives go on after the greatest that is there, and after the last that was ever given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, MetaData, Row, Table, create_engine, delete, event, insert, inspect, select
from sqlalchemy.engine import CursorResult

from holdfast.inventory import schema, sql_rows
from holdfast.inventory.sqlite_file import translated
from holdfast.model.errors import OperatorError

BATCH_ROWS = 10_000
FEW_ROWS = 100
"""Of tables whose rows may be megabytes."""
_SMALL = frozenset({"file", "replica", "directory", "block", "journal_touched"})


def write_file(source: Connection, path: Path, tables: Sequence[MetaData], *, shown: Path) -> None:
    """Make a new SQLite file with all tables of ``tables`` and the rows that ``source`` has of them."""
    with translated(shown), _filling(path) as target:
        for each in tables:
            each.create_all(target)
        for table in _in_order(tables):
            _copy(source, target, table)


def replace_all(source: Connection, target: Connection, tables: Sequence[MetaData]) -> None:
    """Let ``target`` have exactly the rows of ``source`` in the tables of ``tables``."""
    ordered = _in_order(tables)
    for table in reversed(ordered):
        # Not TRUNCATE: who holds a snapshot would see nothing in it.
        target.execute(delete(table))
    for table in ordered:
        _copy(source, target, table)
    for table in ordered:
        _go_on_numbering(target, table)


def _in_order(tables: Sequence[MetaData]) -> list[Table]:
    return [table for each in tables for table in each.sorted_tables]


@contextmanager
def _filling(path: Path) -> Iterator[Connection]:
    """A transaction in a file that nobody needs if it does not come to its end."""
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _copy(source: Connection, target: Connection, table: Table) -> None:
    if not _is_like(source, table):
        return
    size = BATCH_ROWS if table.name in _SMALL else FEW_ROWS
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=size)
    result: CursorResult[Any] = source.execute(query)
    for rows in result.partitions():
        _insert(target, table, rows)


def _is_like(source: Connection, table: Table) -> bool:
    """Whether the source has the table with the same columns; the inventory's own it must have."""
    seen = inspect(source)
    columns = {each["name"] for each in seen.get_columns(table.name)} if seen.has_table(table.name) else set()
    is_like = columns == set(table.columns.keys())
    if not is_like and table.name in schema.metadata.tables:
        raise OperatorError(f"its table {table.name} is not what it should be", hint="take another backup")
    return is_like


def _insert(target: Connection, table: Table, rows: Sequence[Row[Any]]) -> None:
    if table.name in schema.metadata.tables:
        sql_rows.insert_rows(target, table, table.columns.keys(), [tuple(row) for row in rows])
    else:
        target.execute(insert(table), [dict(row._mapping) for row in rows])


def _go_on_numbering(target: Connection, table: Table) -> None:
    """Nothing to do on SQLite, which looks for the greatest number itself."""
    column = table.autoincrement_column
    if column is None or target.dialect.name != "postgresql":
        return
    query = "SELECT pg_get_serial_sequence(%s, %s)"
    sequence = target.exec_driver_sql(query, (table.name, column.name)).scalar()
    if sequence is not None:
        greatest = f"(SELECT max({column.name}) FROM {table.name}), (SELECT last_value FROM {sequence})"
        target.exec_driver_sql(f"SELECT setval('{sequence}', GREATEST({greatest}))")
