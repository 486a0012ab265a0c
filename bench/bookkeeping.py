"""The books of operations: how many files a second one worker can claim, settle and report when nothing has to move.

Everything that a worker does but for the bytes: planning, scheduling, claims,
transfers prepared, outcomes settled, the inventory told, journal and all, on
SQLite and on PostgreSQL, durably. The engine says at once that each file has
arrived; the storage says at once that each file is gone. 100 files a block.

The yardstick is the bare driver of the same database (``sqlite3``, ``psycopg``)
with a row for each file that is marked as done, a statement a row and a thousand
rows a transaction. (Rucio's core takes
0.5 to 1.1 thousand deletions a second; that is a figure of its own, from
another run.)
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from bench import postgres
from bench.row import Row
from holdfast import logs
from holdfast.cli import collecting
from holdfast.config import OperationsSettings
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model.changes import Change, ChangeSet, CreateDataset, PutSite, RegisterFiles, RevealDataset
from holdfast.model.clock import system_clock
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Door, FileColumns, RequestState, Site, Staging
from holdfast.operations import executor, requests
from holdfast.operations.batches.lease import monotonic_s
from holdfast.operations.engine import Desk, Job, Outcome, Place, Verdict
from holdfast.operations.engines.choosing import Engines
from holdfast.operations.progress import RunReport
from holdfast.storage.driver import Capabilities, Digest, DirectoryListing, Kind, Stat, StorageDriver, Unsupported

BLOCK_FILES = 100
DATASET_BLOCKS = 100
SIZE = 1_000_000
RATE_MIN = 20_000
"""Files a second that are wanted."""
FULL_ROWS = 100_000
"""With fewer the figures are only shown."""
SETTINGS = OperationsSettings(concurrency=1000, deletions_per_site=4096, per_site_in=None)


def run(workdir: Path, rows: int) -> list[Row]:
    """Copies, then deletions, on both stores."""
    logs.configure("error", json=False)
    collecting.look_seldom()  # As every command does.
    yardstick = _bare_updates(workdir, rows)
    with TemporaryDirectory(dir=workdir) as folder:
        store = SqlStore.create(Path(folder) / "inventory.db")
        found = _on(store, "SQLite", Path(folder), rows, yardstick, 0)
        store.close()
    if not postgres.is_there():
        return [*found, postgres.missing("the same on PostgreSQL")]
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(dir=workdir))
        server = stack.enter_context(postgres.server(workdir))
        yardstick = _bare_postgres_updates(server.new_database(), rows)
        store = SqlStore.create(server.new_database())
        stack.callback(store.close)
        found += _on(store, "PostgreSQL", Path(folder), rows, yardstick, server.pid)
    return found


def _on(store: Store, name: str, folder: Path, rows: int, yardstick: float, server: int) -> list[Row]:
    keys = _fill(store, rows)
    for key in keys:
        requests.request_copy(store, key, "T2_New", reason="bench", actor="bench", clock=system_clock)
    found = [_row(f"copies, {name}", store, folder, rows, yardstick, server)]
    for key in keys:
        requests.request_replica_deletion(store, key, "T2_New", reason="bench", actor="bench", clock=system_clock)
    return [*found, _row(f"deletions, {name}", store, folder, rows, yardstick, server)]


def _row(what: str, store: Store, folder: Path, rows: int, yardstick: float, server: int) -> Row:
    with postgres.taking(server) as taken:
        report = asyncio.run(_worked(store, folder))
    n_deleted = sum(sum(each.counts.values()) for each in report.deletions)
    states = {request.state for request in report.requests} | {each.state for each in report.deletions}
    if report.files_copied + n_deleted != rows or states != {RequestState.DONE}:
        raise AssertionError(
            f"{what}: {report.files_copied} copied, {n_deleted} deleted, {states}, {report.errors[:3]}"
        )
    rate = rows / taken.wall_s
    return Row(
        f"{what}: all of a worker's books, {rows:,} files",
        taken.rate(rows),
        f"an UPDATE a row {yardstick:,.0f}/s",
        rate / yardstick,
        None,
        f"at least {RATE_MIN:,}/s" if rows >= FULL_ROWS else "",
        rate >= RATE_MIN or rows < FULL_ROWS,
    )


async def _worked(store: Store, folder: Path) -> RunReport:
    driver = _NoStorage()
    return await executor.run(
        store,
        {"T2_Old": driver, "T2_New": driver},
        settings=SETTINGS,
        clock=system_clock,
        workers_dir=folder / "workers",
        engines=Engines([_NoEngine()], SETTINGS.for_link, monotonic=monotonic_s),
    )


def _fill(store: Store, rows: int) -> list[DatasetKey]:
    """Sites, and datasets that lie at one of them."""
    sites = [PutSite(Site(name, (Door("posix", f"/{name}"),))) for name in ("T2_Old", "T2_New")]
    store.commit(ChangeSet(tuple(sites), "bench", "bench"))
    keys: list[DatasetKey] = []
    n_blocks = rows // BLOCK_FILES
    for first in range(0, n_blocks, DATASET_BLOCKS):
        key = DatasetKey(f"/bench/d{first // DATASET_BLOCKS}", "1")
        changes: list[Change] = [CreateDataset(Dataset(key, staging=Staging("T2_Old", f"/bench/d{first}")))]
        numbers = range(first, min(first + DATASET_BLOCKS, n_blocks))
        changes += [
            RegisterFiles(BlockKey(key, f"{number:06}"), 0, _files(number), "T2_Old", verified_us=system_clock())
            for number in numbers
        ]
        n_files = len(numbers) * BLOCK_FILES
        changes.append(RevealDataset(key, n_files, n_files * SIZE))
        store.commit(ChangeSet(tuple(changes), "bench", "bench"))
        keys.append(key)
    return keys


def _files(number: int) -> FileColumns:
    directory = f"/bench/data/block{number:06}"
    return FileColumns(
        (directory,),
        (0,) * BLOCK_FILES,
        tuple(f"file{place:06}.root" for place in range(BLOCK_FILES)),
        (SIZE,) * BLOCK_FILES,
        {"adler32": tuple(f"{number * BLOCK_FILES + place:08x}" for place in range(BLOCK_FILES))},
    )


def _bare_updates(workdir: Path, rows: int) -> float:
    """Rows a second."""
    with TemporaryDirectory(dir=workdir) as folder:
        connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE file (id INTEGER PRIMARY KEY, state TEXT, site TEXT, size INTEGER)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO file VALUES (?,'queued','T2_New',?)", ((number, SIZE) for number in range(rows))
        )
        connection.execute("COMMIT")
        begun_s = time.perf_counter()
        for first in range(0, rows, 1000):
            connection.execute("BEGIN IMMEDIATE")
            for number in range(first, min(first + 1000, rows)):
                connection.execute("UPDATE file SET state = 'done' WHERE id = ?", (number,))
            connection.execute("COMMIT")
        seconds = time.perf_counter() - begun_s
        connection.close()
    return rows / seconds


def _bare_postgres_updates(url: str, rows: int) -> float:
    """Rows a second."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE file (id INTEGER PRIMARY KEY, state TEXT, site TEXT, size BIGINT)")
        cursor.execute(
            "INSERT INTO file SELECT n, 'queued', 'T2_New', %s FROM generate_series(0, %s) AS n", (SIZE, rows)
        )
        connection.commit()
        begun_s = time.perf_counter()
        for first in range(0, rows, 1000):
            for number in range(first, min(first + 1000, rows)):
                cursor.execute("UPDATE file SET state = 'done' WHERE id = %s", (number,))
            connection.commit()
        return rows / (time.perf_counter() - begun_s)


class _NoEngine:
    """Says at once that everything has arrived."""

    name = "local"
    outlives_caller = False

    def can(self, source: Place, destination: Place) -> str:
        return ""

    async def carry(self, job: Job, desk: Desk) -> None:
        verified_us = system_clock()
        for transfer in job.transfers:
            desk.settle(transfer.ordinal, Outcome(Verdict.COPIED, verified_us))

    async def cancel(self, handle: str) -> None:
        pass

    async def discard(self, destination: Place, token: str) -> None:
        pass

    async def close(self) -> None:
        pass


class _NoStorage:
    """Says that every file is there as it was registered, and that it is gone as soon as it is told so."""

    capabilities = Capabilities()
    label = "nowhere"

    async def list(self, path: str) -> DirectoryListing:
        raise Unsupported("nothing is here")

    async def stat(self, path: str) -> Stat:
        return Stat(Kind.FILE, SIZE, 0)

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        raise Unsupported("nothing is here")

    async def read(self, path: str) -> AsyncIterator[bytes]:
        for chunk in b"":  # Of no bytes there is no chunk.
            yield bytes([chunk])

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        raise Unsupported("nothing is here")

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        pass

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        pass

    async def make_directory(self, path: str) -> None:
        pass

    async def remove_directory(self, path: str) -> None:
        pass

    async def close(self) -> None:
        pass


_DRIVER: type[StorageDriver] = _NoStorage
