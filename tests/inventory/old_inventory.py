"""An inventory that the first release wrote: its SQL, and the same in PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, insert, select

from holdfast.inventory.migrating import revisions
from holdfast.inventory.postgres_database import PostgresDatabase

DUMP = Path(__file__).parent / "vectors/inventory-1.sql"
POSITION = 12


def make_file(path: Path) -> Path:
    """The inventory of version 1 in a SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text())
    return path


def make_postgres(url: str, file: Path) -> None:
    """The tables of version 1 in a PostgreSQL schema, as its first revision makes them, with the rows of ``file``."""
    with closing(PostgresDatabase(url)) as database, database.writing() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            revisions()[0].module.upgrade()
        engine = create_engine(f"sqlite+pysqlite:///{file}")
        with engine.connect() as source:
            _copy(source, connection)
        engine.dispose()


def _copy(source: Connection, target: Connection) -> None:
    tables = MetaData()
    tables.reflect(target)
    for table in tables.sorted_tables:
        rows = [dict(row._mapping) for row in source.execute(select(table))]
        if rows:
            target.execute(insert(table), rows)
        if "id" in table.c and table.c.id.type.python_type is int and table.name != "head":
            numbering = f"pg_get_serial_sequence('{table.name}', 'id')"
            target.exec_driver_sql(f"SELECT setval({numbering}, (SELECT max(id) FROM {table.name}))")
