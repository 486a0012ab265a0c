"""The inventory in memory: how large, how fast to ask, to change and to open; beside plain Python objects and SQLite.

The content is ``bench.inventory_data``'s: 100 files a block, 5 replicas a block,
LFNs of 141 bytes. Yardsticks of the same run: the same content as plain objects
with ``__slots__`` and dictionaries (files for a million at most, which is faster
than for all), a bare statement on SQLite. What is asked in process is measured in
a process of its own, in CPU seconds of one core; commands, openings and commits
in wall time.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import inventory_commit, inventory_data, inventory_store
from bench.inventory_commit import Measured
from bench.inventory_data import InventoryData
from bench.row import Row

COLD_ROUNDS = 7
FULL_ROWS = 10_000_000
"""Bounds are for so many files; with fewer the figures are only shown."""

_BARE_QUERY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
directory, _, name = sys.argv[2].rpartition("/")
print(connection.execute(
    "SELECT site.name FROM file JOIN directory ON directory.id = file.dir_id JOIN replica USING (block_id)"
    " JOIN site ON site.id = replica.site_id WHERE directory.path = ? AND file.name = ?", (directory, name)).fetchall())
"""

Result = dict[str, float]


def run(workdir: Path, rows: int) -> list[Row]:
    """Make the inventory unless it is there, and measure all of it."""
    data = inventory_data.prepare(workdir, rows)
    store_file = inventory_store.prepare(workdir, data)
    published = workdir / f"published-{rows}"
    arguments = {"folder": str(workdir), "rows": rows, "store": str(store_file), "published": str(published)}
    plain, image = _child("plain", arguments), _child("image", arguments)
    mapped = _child("published", arguments)
    results = [*_memory(data, image, plain), _merging(_child("merging", arguments))]
    results += [*_asking(image, plain), _cold(store_file, data)]
    results += _opening(image, mapped, _bare_reading_s(store_file))
    results += _changing(inventory_commit.measure(store_file, published, data, arguments))
    return results if rows >= FULL_ROWS else [_shown_only(row) for row in results]


def _shown_only(row: Row) -> Row:
    return Row(row.what, row.figure, row.yardstick, row.ratio)


def _child(task: str, arguments: dict[str, Any]) -> Result:
    command = [sys.executable, "-m", "bench.inventory_child", task, json.dumps(arguments)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[1])
    result: Result = json.loads(ran.stdout)
    print(f"    {task}: {result}", file=sys.stderr, flush=True)
    return result


def _memory(data: InventoryData, image: Result, plain: Result) -> list[Row]:
    replicas = image["replica_bytes"]
    # All that is not replicas is the files', blocks and datasets included.
    files = (image["resident_bytes"] - replicas * data.n_replicas) / data.n_files
    return [
        _at_most("memory a file, all but replicas", files, 75, "{:.1f} B", plain["bytes_per_file"]),
        _at_most("memory a block replica", replicas, 28, "{:.1f} B", plain["bytes_per_replica"]),
    ]


def _merging(taken: Result) -> Row:
    share = taken["peak_bytes"] / taken["resting_bytes"]
    resting = f"at rest {taken['resting_bytes'] / 1e6:,.0f} MB"
    peak = f"{taken['peak_bytes'] / 1e6:,.0f} MB"
    return Row(
        "memory while a twentieth is merged", peak, resting, 1 / share, None, "at most 1.25 times", share <= 1.25
    )


def _asking(image: Result, plain: Result) -> list[Row]:
    sums, plain_sums = (plain["n_replicas"] / each["sums_s"] / 1e6 for each in (image, plain))
    locate, locate_scattered = 1 / plain["locate_s"], 1 / plain["locate_scattered_s"]
    find, find_scattered = 1 / plain["find_s"], 1 / plain["find_scattered_s"]
    form = "{:,.0f}/s"
    return [
        _at_least("LFN to 5 PFNs in bulk, whole blocks, prefix rules", 1 / image["locate_s"], 400_000, form, locate),
        _at_least("the same, general rules / prefix", 1 / image["locate_general_s"], 100_000, form, locate),
        _compared("the same, prefix rules, scattered", 1 / image["locate_scattered_s"], form, locate_scattered),
        _at_least("LFN to block and ordinal in bulk", 1 / image["find_s"], 3_000_000, form, find),
        _compared("the same, scattered", 1 / image["find_scattered_s"], form, find_scattered),
        _at_most("one LFN to its PFNs", image["single_s"] * 1e6, 10, "{:.1f} µs", plain["single_s"] * 1e6),
        Row(
            "bytes by site and group",
            f"{sums:.1f} M replicas/s",
            f"objects {plain_sums:.1f} M replicas/s",
            sums / plain_sums,
            target=50.0,
        ),
    ]


def _cold(store_file: Path, data: InventoryData) -> Row:
    lfn = data.lfn(data.n_files // 3)
    variables = os.environ | {"HOLDFAST_CONFIG": str(store_file.with_name("holdfast.toml"))}
    ours, bare = [], []
    for _ in range(COLD_ROUNDS):
        ours.append(_wall_s([sys.executable, "-m", "holdfast.cli.main", "whereis", lfn], variables))
        bare.append(_wall_s([sys.executable, "-c", _BARE_QUERY, str(store_file), lfn], variables))
    taken = [statistics.median(each) * 1e3 for each in (ours, bare)]
    return _at_most("`holdfast whereis`, cold / a query in bare Python", taken[0], 300, "{:.0f} ms", taken[1])


def _wall_s(command: list[str], variables: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _bare_reading_s(store_file: Path) -> float:
    """Seconds to fetch every file row into Python, and nothing else."""
    connection = sqlite3.connect(store_file)
    started = time.perf_counter()
    found = connection.execute("SELECT block_id, dir_id, name, size, adler32 FROM file")
    while found.fetchmany(100_000):
        pass
    connection.close()
    return time.perf_counter() - started


def _opening(image: Result, mapped: Result, bare_s: float) -> list[Row]:
    opened = image["open_s"]
    return [
        _at_most("image from the store / bare SELECT of all files", opened, 15, "{:.2f} s", bare_s),
        _at_most("image from a publication / from the store", mapped["open_s"] * 1e3, 50, "{:.1f} ms", opened * 1e3),
        Row("peak while it is read from the store / then", *_megabytes(image), None),
    ]


def _megabytes(image: Result) -> tuple[str, str]:
    return f"{image['open_peak_bytes'] / 1e6:,.0f} MB", f"{image['resident_bytes'] / 1e6:,.0f} MB"


def _changing(taken: Measured) -> list[Row]:
    what = f"commit of {taken.n_replicas:,} replica changes, readers beside,"
    site, blocks, bare = (each * 1e3 for each in (taken.commit_site_s, taken.commit_blocks_s, taken.bare_s))
    reads = f"{taken.n_reads:,} reads, median {taken.reader_median_s * 1e6:.0f} µs"
    p999_ms = taken.reader_p999_s * 1e3
    return [
        _at_most(f"{what} one site / bare UPDATEs", site, 50, "{:.1f} ms", bare),
        _at_most(f"{what} whole blocks / bare UPDATEs", blocks, 50, "{:.1f} ms", bare),
        Row("publishing it for other processes", f"{taken.publish_s * 1e3:.1f} ms", "", None),
        Row("readers meanwhile, p99.9", f"{p999_ms:.2f} ms", reads, None, None, "at most 5 ms", p999_ms <= 5),
    ]


def _at_most(what: str, ours: float, most: float, form: str, yardstick: float) -> Row:
    """A figure of which less is better."""
    bound = f"at most {most:g}{form.partition('}')[2]}"
    return Row(what, form.format(ours), form.format(yardstick), yardstick / ours, None, bound, ours <= most)


def _at_least(what: str, ours: float, least: float, form: str, yardstick: float) -> Row:
    """A figure of which more is better."""
    bound = "at least " + form.format(least)
    return Row(what, form.format(ours), form.format(yardstick), ours / yardstick, None, bound, ours >= least)


def _compared(what: str, ours: float, form: str, yardstick: float) -> Row:
    """A figure of which more is better, only shown."""
    return Row(what, form.format(ours), form.format(yardstick), ours / yardstick)
