"""Registration through the public API on PostgreSQL beside bare COPY of the same rows into the same keyed tables.

The rows, the keys and the batches (ten thousand files a transaction, sorted by
directory) are those of ``bench.register``; both sides are durable and on the same
server. Ours also checks every name, keeps the journal with its digests, and
counts. CPU seconds make the ratio, those of the server's processes included.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import psycopg

from bench import postgres, register
from bench.postgres import Taken
from bench.row import Row
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.records import FileColumns
from holdfast.testing.postgres_server import PostgresServer

TARGET = 0.25

_TABLES = """
    CREATE TABLE directory (id BIGINT PRIMARY KEY, path TEXT COLLATE "C" NOT NULL UNIQUE);
    CREATE TABLE file (block_id BIGINT, ordinal INTEGER, dir_id BIGINT NOT NULL, name TEXT COLLATE "C" NOT NULL,
        size BIGINT NOT NULL, adler32 BIGINT, sha256 BYTEA, PRIMARY KEY (block_id, ordinal));
    CREATE UNIQUE INDEX file_by_lfn ON file (dir_id, name)
"""
_TYPES = {
    "directory": ("int8", "text"),
    "file": ("int8", "int4", "int8", "text", "int8", "int8", "bytea"),
}


def copy(server: PostgresServer, data: list[FileColumns]) -> Taken:
    """What bare COPY takes, in binary form and one transaction a batch."""
    prepared = [register.bare_rows(number, files) for number, files in enumerate(data)]
    url = server.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _TABLES.split(";"):
            connection.execute(statement.encode())
        with postgres.taking(server.pid) as taken:
            for directories, files in prepared:
                with connection.transaction():
                    _copy_rows(connection, "directory", directories)
                    _copy_rows(connection, "file", files)
        found = connection.execute("SELECT count(*) FROM file").fetchone()
    if found != (sum(map(len, data)),):
        raise AssertionError(f"COPY left {found} rows")
    server.drop_database(url)
    return taken


def _copy_rows(connection: psycopg.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as stream,
    ):
        stream.set_types(_TYPES[table])
        for row in rows:
            stream.write_row(row)


def ours(server: PostgresServer, data: list[FileColumns]) -> Taken:
    """What the public API takes."""
    url = server.new_database()
    store = SqlStore.create(url)
    register.prepare(store)
    with postgres.taking(server.pid) as taken:
        register.publish(store, data)
    register.check(store, data)
    store.close()
    server.drop_database(url)
    return taken


def run(workdir: Path, rows: int) -> list[Row]:
    """The ratio of the two, each in a fresh database, COPY before and after ours."""
    what = f"registration on PostgreSQL, {rows:,} files, journal included"
    if not postgres.is_there():
        return [postgres.missing(what)]
    data = list(register.blocks(rows))
    with postgres.server(workdir) as server:
        before, mine, after = copy(server, data), ours(server, data), copy(server, data)
    for name, taken in {"COPY": before, "ours": mine, "COPY again": after}.items():
        print(f"    {name:10} {taken}", file=sys.stderr, flush=True)
    cpu_s = (before.cpu_s + after.cpu_s) / 2
    return [
        Row(
            what=what,
            figure=f"{rows / mine.cpu_s:,.0f} rows/CPU s",
            yardstick=f"COPY {rows / cpu_s:,.0f} rows/CPU s",
            ratio=cpu_s / mine.cpu_s,
            target=TARGET,
        )
    ]
