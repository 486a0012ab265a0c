"""What the bench of the planner measures in processes of their own, so that nothing else is in their memory.

python -m bench.planner_child TASK INVENTORY.db FILES        prints JSON
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import machine
from bench.inventory_data import BLOCK_FILES
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Snapshot, Store
from holdfast.operations.batch import Batch
from holdfast.operations.batches import orders
from holdfast.operations.batches.links import read_links
from holdfast.operations.batches.queue import Queue
from holdfast.operations.planning import lacking
from holdfast.operations.planning.holders import Holders, read_holders
from holdfast.operations.planning.limits import LinkLimits, WorkLimits
from holdfast.operations.planning.schedule import Schedule, schedule
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.usage import StreamUsage
from holdfast.operations.work.kept_columns import KeptColumns

Result = dict[str, float]

UNLIMITED = WorkLimits(1 << 40, of_link=lambda _from, _to: LinkLimits(None, 20, 1000, 1 << 60))
SMALL = WorkLimits(64)
ROUNDS = 5
NOW_US = 1_800_000_000_000_000
WAIT_US_MAX = 300_000_000


def plan(file: Path, rows: int) -> Result:
    """Ours: from the open requests to the last assignment."""
    store = SqlStore.open(file)
    queue = Queue(store)
    started, cpu = time.perf_counter(), time.process_time()
    write_what_lacks(store, queue)
    written, cpu_written = time.perf_counter(), time.process_time()
    with store.snapshot() as snapshot:
        with queue.read() as connection:
            waiting = queue.waiting(connection, now_us=NOW_US, wait_us_max=WAIT_US_MAX)
        holders = read_holders(snapshot, [batch.block_key for batch in waiting])
        whole = turn(snapshot, queue, waiting, holders, UNLIMITED)
        ended, cpu_ended = time.perf_counter(), time.process_time()
        n_files = sum(len(each.files) for each in whole.assignments)
        if n_files != rows or sum(batch.n_files for batch in waiting) != rows or whole.held:
            raise AssertionError(f"{n_files} of {rows} files were assigned, {len(whole.held)} batches held")
        peak = machine.peak_bytes()
        turn_all = best(lambda: turn(snapshot, queue, waiting, holders, UNLIMITED))
        blocks = [batch.block_key for batch in waiting]
        turn_small = best(lambda: turn(snapshot, queue, waiting, read_holders(snapshot, blocks), SMALL))
    return {
        "all_s": ended - started,
        "lacking_s": written - started,
        "lacking_cpu_s": cpu_written - cpu,
        "assigned_s": ended - written,
        "assigned_cpu_s": cpu_ended - cpu_written,
        "peak_bytes": peak,
        "turn_all_s": turn_all,
        "turn_s": turn_small,
        "n_batches": len(waiting),
        "n_assignments": len(whole.assignments),
    }


def write_what_lacks(store: Store, queue: Queue) -> None:
    """Take in what is open, and write down what it lacks."""
    with store.snapshot() as snapshot:
        requests = {request.id: request for request in snapshot.copy_requests()}
    known = {request.number: request for request in queue.take_in(requests.values())}
    with store.snapshot() as snapshot:
        asked = [(queued, requests[queued.id]) for queued in known.values()]
        for group in lacking.together(asked, snapshot):
            with queue.write() as connection:
                for queued, step in group:
                    before, number = known[queued.number], queued.number
                    known[number] = orders.add(connection, before, step.batches, step.planned_to, is_last=step.is_last)


def turn(snapshot: Snapshot, queue: Queue, waiting: list[Batch], holders: Holders, limits: WorkLimits) -> Schedule:
    """What one turn decides."""
    with queue.read() as connection:
        links = read_links(connection)
    return schedule(
        waiting,
        usage=StreamUsage(),
        limits=limits,
        holders=holders,
        sizes=KeptColumns().sizes(snapshot, {}),
        links=links,
        sites={site.name: site for site in snapshot.sites()},
        served=Served(),
        room_files=1 << 40,
        now_us=NOW_US,
    )


def rows(file: Path, rows: int) -> Result:
    """The yardstick: a row for each file, in statements one writes at first."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    n_blocks = rows // BLOCK_FILES
    started = time.perf_counter()
    connection.execute(
        "CREATE TABLE task (id INTEGER PRIMARY KEY, block INTEGER, ordinal INTEGER, size INTEGER,"
        " state TEXT, source INTEGER, not_before INTEGER, UNIQUE (block, ordinal))"
    )
    connection.execute("CREATE INDEX task_due ON task (state, not_before, id)")
    for block in range(1, n_blocks + 1):
        files = connection.execute("SELECT block_id, ordinal, size FROM file WHERE block_id = ?", (block,)).fetchall()
        connection.execute("BEGIN IMMEDIATE") if block % 100 == 1 else None
        connection.executemany("INSERT INTO task VALUES (NULL, ?, ?, ?, 'queued', NULL, 0)", files)
        connection.execute("COMMIT") if block % 100 == 0 or block == n_blocks else None
    n_assigned = 0
    while due := connection.execute(
        "SELECT id, block, ordinal FROM task WHERE state = 'queued' ORDER BY not_before, id LIMIT 10000"
    ).fetchall():
        connection.execute("BEGIN IMMEDIATE")
        for number, block, ordinal in due:
            source = _best_source(connection, block, ordinal)
            connection.execute("UPDATE task SET state = 'active', source = ? WHERE id = ?", (source, number))
        connection.execute("COMMIT")
        n_assigned += len(due)
    if n_assigned != rows:
        raise AssertionError(f"{n_assigned} of {rows} files were assigned")
    seconds = time.perf_counter() - started
    connection.execute("DROP TABLE task")
    connection.close()
    return {"all_s": seconds, "n_files": n_assigned}


def _best_source(connection: sqlite3.Connection, block: int, ordinal: int) -> int:
    query = "SELECT site_id, held FROM replica JOIN site ON site.id = site_id WHERE block_id = ? ORDER BY site.name"
    for site, held in connection.execute(query, (block,)):
        if held is None or (ordinal >> 3 < len(held) and held[ordinal >> 3] >> (ordinal & 7) & 1):
            return int(site)
    raise AssertionError(f"file {ordinal} of block {block} is nowhere")


def best(work: Callable[[], Any]) -> float:
    """Seconds of CPU of the quickest round."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


if __name__ == "__main__":
    print(json.dumps({"plan": plan, "rows": rows}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
