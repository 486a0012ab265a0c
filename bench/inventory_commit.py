"""A commit of ten thousand replica changes, beside bare UPDATEs of as many rows, while others read.

Ours: one change set into the store, the image brought up to it, and published
for the readers, which look single files up in processes of their own. The bare
statement: ``executemany`` on a table with the same key and as many rows, durable.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import inventory_data, our_image
from bench.inventory_data import InventoryData
from holdfast.inventory.image.publisher import Publisher
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.changes import AssignReplicas, ChangeSet
from holdfast.model.names import BlockKey

REPLICAS = 10_000
ROUNDS = 11
READERS = 2
PAUSE_S = 0.2
"""Between commits, so that readers see both."""
START_S = 120.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, and how many replicas a commit changed."""

    n_replicas: int
    commit_site_s: float
    """Of replicas at one site, of as many blocks of thousands of datasets."""
    commit_blocks_s: float
    """Of all replicas of a fifth as many blocks, of hundreds of datasets."""
    publish_s: float
    """What publishing for other processes takes after it."""
    bare_s: float
    reader_median_s: float
    reader_p999_s: float
    n_reads: int


def measure(store_file: Path, published: Path, data: InventoryData, arguments: dict[str, Any]) -> Measured:
    """Commits to the inventory in ``store_file`` while readers of ``published`` run; it holds the same afterwards."""
    store = SqlStore.open(store_file)
    image = our_image.open_from_store(store)
    shapes = {"site": _of_one_site(data), "blocks": _of_whole_blocks(data)}
    commits: dict[str, list[float]] = {name: [] for name in shapes}
    publications = []
    with Publisher(published) as publisher:
        publisher.publish(image.tables)
        with _readers(arguments) as results:
            # Back and forth; an even number of times leaves all as it was.
            for number, name in [(number, name) for name in shapes for number in range(ROUNDS + 1)]:
                flagged = _flagged(shapes[name], is_custodial=number % 2 == 0)
                change_set = ChangeSet(tuple(flagged), "bench", "bench")
                started = time.perf_counter()
                our_image.commit(store, image, change_set)
                committed = time.perf_counter()
                our_image.publish_changes(publisher, image)
                commits[name].append(committed - started)
                publications.append(time.perf_counter() - committed)
                time.sleep(PAUSE_S)
    store.close()
    n_replicas = sum(map(len, shapes["site"].values()))
    return Measured(
        n_replicas=n_replicas,
        commit_site_s=statistics.median(commits["site"]),
        commit_blocks_s=statistics.median(commits["blocks"]),
        publish_s=statistics.median(publications),
        bare_s=_bare(published.parent, data, n_replicas),
        reader_median_s=statistics.median(each["median_s"] for each in results),
        reader_p999_s=max(each["p999_s"] for each in results),
        n_reads=int(sum(each["n"] for each in results)),
    )


def _of_whole_blocks(data: InventoryData) -> dict[str, list[BlockKey]]:
    """The blocks of some replicas, by site: all those of the first blocks."""
    found: dict[str, list[BlockKey]] = {}
    n_blocks = min(REPLICAS // inventory_data.REPLICAS, data.n_blocks)
    for block, sites in enumerate(data.replica_sites[:n_blocks].tolist()):
        for site in sites:
            found.setdefault(inventory_data.site_name(site), []).append(data.block_key(block))
    return found


def _of_one_site(data: InventoryData) -> dict[str, list[BlockKey]]:
    """The same: those of one site after the other until there are enough."""
    left, found = min(REPLICAS, data.n_replicas), {}
    for site in range(inventory_data.SITES):
        blocks = (data.replica_sites == site).any(axis=1).nonzero()[0].tolist()[:left]
        if blocks:
            found[inventory_data.site_name(site)] = [data.block_key(block) for block in blocks]
            left -= len(blocks)
    return found


def _flagged(blocks: dict[str, list[BlockKey]], *, is_custodial: bool) -> Iterator[AssignReplicas]:
    for site, keys in blocks.items():
        yield AssignReplicas(site, tuple(keys), is_custodial=is_custodial)


@contextmanager
def _readers(arguments: dict[str, Any]) -> Iterator[list[dict[str, float]]]:
    """Readers that have begun to read, and what they measured, which is there at the end."""
    results: list[dict[str, float]] = []
    with TemporaryDirectory() as folder:
        over = Path(folder) / "over"
        ready = [Path(folder) / f"ready-{number}" for number in range(READERS)]
        readers = []
        for file in ready:
            task = json.dumps({**arguments, "over": str(over), "ready": str(file)})
            command = [sys.executable, "-m", "bench.inventory_child", "read", task]
            readers.append(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]))
        try:
            _wait_for(ready)
            yield results
        finally:
            over.touch()
            said = [reader.communicate()[0] for reader in readers]
        results += map(json.loads, said)


def _wait_for(files: list[Path]) -> None:
    deadline = time.monotonic() + START_S
    while not all(file.exists() for file in files):
        if time.monotonic() > deadline:
            raise TimeoutError("a reader did not begin to read")
        time.sleep(0.05)


def _bare(folder: Path, data: InventoryData, n_replicas: int) -> float:
    """The median of bare UPDATEs of as many rows of one site."""
    with TemporaryDirectory(dir=folder) as temporary:
        connection = sqlite3.connect(Path(temporary) / "bare.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE replica (block_id INTEGER, site_id INTEGER, owner_group TEXT, is_custodial INTEGER,"
            " updated_us INTEGER, PRIMARY KEY (block_id, site_id)) WITHOUT ROWID"
        )
        sites = data.replica_sites.tolist()
        rows = [(block, site, "group0", 0, 1) for block, row in enumerate(sites) for site in row]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO replica VALUES (?,?,?,?,?)", rows)
        connection.execute("COMMIT")
        keys = sorted((site, block) for block, site, *_ in rows)[:n_replicas]
        taken = []
        for number in range(ROUNDS):
            values = [(number, number, block, site) for site, block in keys]
            started = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "UPDATE replica SET is_custodial = ?, updated_us = ? WHERE block_id = ? AND site_id = ?", values
            )
            connection.execute("COMMIT")
            taken.append(time.perf_counter() - started)
        connection.close()
    return statistics.median(taken)
