"""Registration through the public API beside bare ``sqlite3.executemany`` of the same rows.

Both write the same rows into tables with the same keys, sorted by directory,
durably (write-ahead log, synchronous=FULL), ten thousand rows a transaction.
Ours also checks every name, keeps the journal with its digests, and counts.
CPU seconds of the process, not wall time, make the ratio.
"""

from __future__ import annotations

import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.row import Row
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model.changes import ChangeSet, CreateDataset, PutSite, RegisterFiles, RevealDataset
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Door, FileColumns, Site, Staging

BLOCK_FILES = 10_000
DIRECTORY_FILES = 100
DATASET = DatasetKey("/Bench/Registration/RAW", "v1")
TARGET = 0.2


def blocks(rows: int, seed: int = 1) -> Iterator[FileColumns]:
    """Blocks of files with LFNs of 141 bytes: UUID names, a hundred a directory."""
    random_source = random.Random(seed)
    for start in range(0, rows, BLOCK_FILES):
        n_files = min(BLOCK_FILES, rows - start)
        n_dirs = -(-n_files // DIRECTORY_FILES)
        yield FileColumns(
            dirs=tuple(_directory(start // DIRECTORY_FILES + place) for place in range(n_dirs)),
            dir_index=tuple(row // DIRECTORY_FILES for row in range(n_files)),
            names=tuple(sorted(f"{uuid.UUID(int=random_source.getrandbits(128))}.root" for _ in range(n_files))),
            sizes=tuple(random_source.randrange(1 << 32) for _ in range(n_files)),
            checksums={
                "adler32": tuple(f"{random_source.getrandbits(32):08x}" for _ in range(n_files)),
                "sha256": tuple(f"{random_source.getrandbits(256):064x}" for _ in range(n_files)),
            },
        )


def _directory(number: int) -> str:
    text = f"/store/data/Run2026A/PrimaryDataset/RAW/ProcessingVersion-v1/{number // 1000:06d}/{number:09d}"
    return text + "/" + "d" * (141 - len(text) - 2 - 41)


def prepare(store: Store, root: str = "/bench") -> None:
    """Give an empty inventory the site where the files lie."""
    store.commit(ChangeSet((PutSite(Site("T2_Bench", (Door("posix", root),))),), "bench", "bench"))


def publish(store: Store, data: list[FileColumns]) -> None:
    """Publish ``data`` with one replica of each block, a transaction a block."""
    store.commit(ChangeSet((CreateDataset(Dataset(DATASET, staging=Staging("T2_Bench", "/store"))),), "bench", "bench"))
    for number, files in enumerate(data):
        change = RegisterFiles(BlockKey(DATASET, f"{number:04d}"), 0, files, "T2_Bench", verified_us=1)
        store.commit(ChangeSet((change,), "bench", "bench"))
    totals = (sum(map(len, data)), sum(sum(files.sizes) for files in data))
    store.commit(ChangeSet((RevealDataset(DATASET, *totals),), "bench", "bench"))


def check(store: Store, data: list[FileColumns]) -> None:
    """AssertionError unless all files are there."""
    with store.snapshot() as snapshot:
        registered = sum(block.n_files for block in snapshot.blocks(DATASET))
    if registered != sum(map(len, data)):
        raise AssertionError(f"{registered} of {sum(map(len, data))} files were registered")


def register(folder: Path, data: list[FileColumns]) -> float:
    """Seconds of CPU to publish ``data`` through the public API."""
    store = SqlStore.create(folder / "inventory.db")
    prepare(store)
    started = time.process_time()
    publish(store, data)
    seconds = time.process_time() - started
    check(store, data)
    store.close()
    return seconds


def executemany(folder: Path, data: list[FileColumns]) -> float:
    """Seconds of CPU for the bare statement: same tables, same keys, same order."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE directory (id INTEGER PRIMARY KEY, path TEXT UNIQUE)")
    connection.execute(
        "CREATE TABLE file (block_id INTEGER, ordinal INTEGER, dir_id INTEGER, name TEXT, size INTEGER,"
        " adler32 INTEGER, sha256 BLOB, PRIMARY KEY (block_id, ordinal)) WITHOUT ROWID"
    )
    connection.execute("CREATE UNIQUE INDEX file_by_lfn ON file (dir_id, name)")
    prepared = [bare_rows(number, files) for number, files in enumerate(data)]
    started = time.process_time()
    for directories, files in prepared:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO directory VALUES (?,?)", directories)
        connection.executemany("INSERT INTO file VALUES (?,?,?,?,?,?,?)", files)
        connection.execute("COMMIT")
    seconds = time.process_time() - started
    connection.close()
    return seconds


def bare_rows(number: int, files: FileColumns) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The rows of directories and of files of one block, as the tables have them."""
    first = number * (BLOCK_FILES // DIRECTORY_FILES) + 1
    adler32, sha256 = files.checksums["adler32"], files.checksums["sha256"]
    rows: list[tuple[object, ...]] = [
        (number, row, first + place, name, size, int(adler32[row] or "0", 16), bytes.fromhex(sha256[row] or ""))
        for row, (place, name, size) in enumerate(zip(files.dir_index, files.names, files.sizes, strict=True))
    ]
    return [(first + place, path) for place, path in enumerate(files.dirs)], rows


def run(workdir: Path, rows: int) -> list[Row]:
    """The ratio of the two, each on fresh files, the bare statement before and after ours."""
    data = list(blocks(rows))
    length = sum(map(len, data[0].lfns())) / len(data[0])
    with TemporaryDirectory(dir=workdir) as folder:
        before = executemany(_folder(folder, "before"), data)
        ours = register(_folder(folder, "ours"), data)
        after = executemany(_folder(folder, "after"), data)
    yardstick = (before + after) / 2
    ratio = yardstick / ours
    return [
        Row(
            what=f"registration, {rows:,} files, LFNs of {length:.0f} bytes, journal included",
            figure=f"{rows / ours:,.0f} rows/CPU s",
            yardstick=f"executemany {rows / yardstick:,.0f} rows/CPU s",
            ratio=ratio,
            target=TARGET,
        )
    ]


def _folder(parent: str, name: str) -> Path:
    folder = Path(parent) / name
    folder.mkdir()
    return folder
