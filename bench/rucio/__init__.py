"""Registration and look-ups beside Rucio's core: ``python -m bench rucio`` (not among those that run by default).

Both sides on this machine, in this run, on the same files (LFNs of 141 bytes,
size, adler32), called directly in one process without network or authorisation.
Rucio at its best: memcached, no GeoIP, the plainest path algorithm, new files
attached with their replica in one call of at most 1000 (SQLite: 250), the best
of its chunks counts. PostgreSQL is one server for both (1 GB shared buffers,
fsync and synchronous commit on), SQLite is as each has it by default, both
durable. Ours also with Rucio's chunk. CPU is that of the client and of all
PostgreSQL processes; the lesser of the ratios by wall time and by CPU counts.

Where Rucio cannot be had, a row says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import inventory_data, postgres
from bench.inventory_data import InventoryData
from bench.row import Row
from bench.rucio import environment, ours
from bench.rucio.environment import Unavailable
from bench.rucio.ours import Rate

TARGET = 10.0
SINGLES = 200
CHUNKS = {"PostgreSQL": (100, 1000), "SQLite": (100, 250)}
"""Rucio's interface takes 1000 at most; on SQLite its statement for that many is refused."""

Rates = dict[str, Rate]


def run(workdir: Path, rows: int) -> list[Row]:
    """Ours and Rucio's on each database, Rucio between two runs of ours."""
    data = inventory_data.prepare(workdir.parent / "inventory", rows + ours.WARM_UP_FILES)
    with ExitStack() as held:
        try:
            interpreter = environment.python(workdir.parent / "rucio-venv")
            cache_port = held.enter_context(environment.memcached())
        except Unavailable as reason:
            return [Row("Rucio", "", str(reason), None)]
        folder = Path(held.enter_context(TemporaryDirectory(dir=workdir)))
        _write_files(folder / "files.json", data, rows + ours.WARM_UP_FILES)
        bench = _Bench(folder, interpreter, cache_port, data, rows)
        results = bench.on_postgres(workdir) if postgres.is_there() else [postgres.missing("registration / Rucio")]
        return results + bench.on_sqlite()


def _write_files(file: Path, data: InventoryData, n_files: int) -> None:
    rows = slice(0, n_files)
    adler32 = [f"{value:08x}" for value in data.adler32[rows].tolist()]
    columns = zip(data.lfns(rows), data.sizes[rows].tolist(), adler32, strict=True)
    file.write_text(json.dumps(list(columns)))


class _Bench:
    """What both databases need."""

    def __init__(self, folder: Path, interpreter: Path, cache_port: int, data: InventoryData, rows: int) -> None:
        self.folder = folder
        self.interpreter = interpreter
        self.cache_port = cache_port
        self.data = data
        self.rows = rows

    def on_postgres(self, workdir: Path) -> list[Row]:
        with postgres.server(workdir) as server:
            url = server.new_database()
            before = ours.measure(server.new_database(), self.data, self.rows, server.pid)
            theirs = self._rucio("PostgreSQL", url.replace("postgresql:", "postgresql+psycopg:", 1), server.pid)
            after = ours.measure(server.new_database(), self.data, self.rows, server.pid)
        return _rows("PostgreSQL", _mean(before, after), theirs)

    def on_sqlite(self) -> list[Row]:
        before = ours.measure(self.folder / "before.db", self.data, self.rows)
        theirs = self._rucio("SQLite", f"sqlite:///{self.folder}/rucio.db", 0)
        after = ours.measure(self.folder / "after.db", self.data, self.rows)
        return _rows("SQLite", _mean(before, after), theirs)

    def _rucio(self, database: str, url: str, server_pid: int) -> Rates:
        folder = self.folder / f"rucio-{database}"
        variables = environment.configure(folder, self.interpreter, url, self.cache_port)
        task = {"files": str(self.folder / "files.json"), "chunks": CHUNKS[database], "singles": SINGLES}
        (folder / "task.json").write_text(json.dumps({**task, "server_pid": server_pid}))
        driver = Path(__file__).with_name("driver.py")
        command = [self.interpreter, driver, folder / "task.json", folder / "result.json"]
        subprocess.run(command, env=variables, check=True)
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        if not result["cache"]:
            raise AssertionError("Rucio ran without its cache")
        return {name: Rate(each["per_wall_s"], each["per_cpu_s"]) for name, each in result["rates"].items()}


def _mean(before: Rates, after: Rates) -> Rates:
    for name in before:
        print(f"    ours {name}: {before[name]}; {after[name]}", file=sys.stderr, flush=True)
    return {name: before[name].mean(after[name]) for name in before}


def _rows(database: str, mine: Rates, theirs: Rates) -> list[Row]:
    registered = {name: rate for name, rate in theirs.items() if name.startswith("register ")}
    best = Rate(*(max(values) for values in zip(*map(astuple, registered.values()), strict=True)))
    results = []
    for name, rate in mine.items():
        if name.startswith("register "):
            size = int(name.removeprefix("register "))
            what = f"{database}, register + replica, {size:,} a transaction / Rucio, its best"
            results.append(_row(what, rate, best, TARGET if size == ours.BATCH else None))
        else:
            results.append(_row(f"{database}, {ours.LOOK_UPS[name]} / Rucio", rate, theirs[name]))
    return results


def _row(what: str, mine: Rate, theirs: Rate, target: float | None = None) -> Row:
    return Row(what, str(mine), str(theirs), mine.over(theirs), target)
