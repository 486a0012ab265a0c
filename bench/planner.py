"""Planning a million files: from open requests to assignments, beside the way with a row for each file.

The content is ``bench.inventory_data``'s, on SQLite: 100 files a block, 5 replicas
a block; every fourth dataset is half there at one more site. Twenty owners ask
for every dataset once, at a site that has nothing of it. Measured, in a process
of its own: what is open is read and taken into the queue, what lacks is worked
out and written there (durably), what waits is read and all of it assigned, under
limits without end; claims are not written. Then one turn alone, with all that
waiting: under such limits, and under those of a small installation.

The yardstick is bare ``sqlite3`` with a row for each file, which is written,
read when it is due, told its sources by a query, and marked with the best; on a
tenth of the files, times ten. Its blocks and replicas are those of the same file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench import inventory_data, inventory_store
from bench.inventory_data import BLOCK_FILES, SITES, InventoryData
from bench.row import Row
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.changes import Change, ChangeSet, CloseRequest, FilesArrived, RequestCopy
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockFiles, CopyRequest, RequestState

OWNERS = 20
PARTIAL_EVERY = 4
"""Of so many datasets, one is half there at a further site."""
COMMIT_DATASETS = 100

FULL_ROWS = 1_000_000
"""Bounds are for so many files; with fewer the figures are only shown."""
SECONDS_MAX = 10
MEMORY_MB_MAX = 1000
TURN_S_MAX = 0.3
YARDSTICK_SHARE = 10

Result = dict[str, float]


def run(workdir: Path, rows: int) -> list[Row]:
    """Make the inventory unless it is there, ask for everything in a copy of it, and plan that."""
    data = inventory_data.prepare(workdir, rows)
    kept = inventory_store.prepare(workdir, data)
    with TemporaryDirectory(dir=workdir) as folder:
        file = Path(shutil.copy(kept, folder))
        store = SqlStore.open(file)
        for changes in _asked(data):
            store.commit(ChangeSet(tuple(changes), "bench", "bench"))
        store.close()
        theirs, ours = _child("rows", file, rows // YARDSTICK_SHARE), _child("plan", file, rows)
    found = _rows(rows, ours, theirs)
    return found if rows >= FULL_ROWS else [Row(row.what, row.figure, row.yardstick, row.ratio) for row in found]


def _child(task: str, file: Path, rows: int) -> Result:
    command = [sys.executable, "-m", "bench.planner_child", task, str(file), str(rows)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[1])
    result: Result = json.loads(ran.stdout)
    print(f"    {task}: {result}", file=sys.stderr, flush=True)
    return result


def _rows(rows: int, ours: Result, theirs: Result) -> list[Row]:
    seconds, yardstick = ours["all_s"], theirs["all_s"] * YARDSTICK_SHARE
    peak_mb = ours["peak_bytes"] / 1e6
    turn = f"one turn, {ours['n_batches']:,.0f} batches waiting"
    return [
        Row(
            f"{rows:,} files planned and assigned",
            f"{seconds:.2f} s",
            f"a row a file {yardstick:.1f} s",
            yardstick / seconds,
            None,
            f"at most {SECONDS_MAX} s",
            seconds <= SECONDS_MAX,
        ),
        Row("of that, what lacks, written to the queue", *_both(ours, "lacking"), None),
        Row("of that, all assigned", *_both(ours, "assigned"), None),
        Row("memory at most", f"{peak_mb:,.0f} MB", "", None, None, f"{MEMORY_MB_MAX} MB", peak_mb <= MEMORY_MB_MAX),
        Row(
            f"{turn}, 64 slots, with reading who holds them",
            f"{ours['turn_s'] * 1e3:.0f} ms CPU",
            "",
            None,
            None,
            f"at most {TURN_S_MAX * 1e3:.0f} ms",
            ours["turn_s"] <= TURN_S_MAX,
        ),
        Row(f"{turn}, all assigned, holders known", f"{ours['turn_all_s'] * 1e3:.0f} ms CPU", "", None),
    ]


def _both(ours: Result, part: str) -> tuple[str, str]:
    return f"{ours[f'{part}_s']:.2f} s", f"CPU {ours[f'{part}_cpu_s']:.2f} s"


# ---- what is asked for ------------------------------------------------------------


def _asked(data: InventoryData) -> Iterator[list[Change]]:
    """The changes, some at a time, that make partial replicas and ask for every dataset."""
    firsts = np.flatnonzero(np.diff(data.datasets.astype(np.int64), prepend=-1)).tolist()
    changes: list[Change] = []
    for number, (first, last) in enumerate(zip(firsts, [*firsts[1:], data.n_blocks], strict=True)):
        blocks = range(first, last)
        new, *more = _sites_without(data, blocks)
        if number % PARTIAL_EVERY == 0:
            changes += _half_there(data, blocks, more[0])
        changes.append(RequestCopy(_request(data, number, blocks, new)))
        if number % COMMIT_DATASETS == COMMIT_DATASETS - 1:
            yield changes
            changes = []
    yield changes


def _request(data: InventoryData, number: int, blocks: range, site: str) -> CopyRequest:
    scope = tuple(BlockFiles(data.block_key(block).block) for block in blocks)
    dataset = data.block_key(blocks[0]).dataset
    owner, priority = f"owner{number % OWNERS:02d}", 1 + number % 5
    return CopyRequest(f"request{number:06d}", dataset, site, scope, owner=owner, priority=priority)


def _half_there(data: InventoryData, blocks: range, site: str) -> Iterable[Change]:
    half = tuple(range(BLOCK_FILES // 2))
    keys = [data.block_key(block) for block in blocks if data.block_n_files[block] == BLOCK_FILES]
    scope = tuple(BlockFiles(key.block, half) for key in keys)
    if not keys:
        return
    request = CopyRequest(f"half-{keys[0].block}", keys[0].dataset, site, scope)
    yield RequestCopy(request)
    yield from (FilesArrived(BlockKey(*key), site, half, 1) for key in keys)
    yield CloseRequest(request.id, RequestState.DONE)


def _sites_without(data: InventoryData, blocks: range) -> list[str]:
    """The sites that have nothing of these blocks."""
    there = set(np.unique(data.replica_sites[blocks.start : blocks.stop]).tolist())
    return [inventory_data.site_name(site) for site in range(SITES) if site not in there]
