"""Run the benches and print one table of ratios.

    python -m bench [NAME...]        BENCH_ROWS=1000000 for another size

Each bench is a module with ``run(workdir, rows) -> list[Row]``. It makes its
data in ``workdir`` and may find them there from an earlier run. Ends with 1 if
a target is missed or a bench fails; the figures stay in bench/out/ as JSON, and with --write-docs
in docs/benchmarks.md, which takes a run of all benches with all their rows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import machine
from bench.page import number, page
from bench.row import Row

ROWS = {
    "compare": 10_000_000,
    "register": 1_000_000,
    "register_postgres": 1_000_000,
    "inventory": 10_000_000,
    "site_listing": 250_000,
    "s3_listing": 1_000_000,
    "planner": 1_000_000,
    # With more, servers of XRootD 5.5 die in nearly every round.
    "transfers": 250,
    "bookkeeping": 200_000,
}
"""The benches that run by default, and how many rows they take unless BENCH_ROWS says otherwise."""

ON_REQUEST = {"rucio": 40_000}
"""Those that run only if they are named: they install things."""

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    """Run the benches named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ratios, side by side in one run.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}: all by default; or of {', '.join(ON_REQUEST)}"
    )
    parser.add_argument("--rows", type=int, default=os.environ.get("BENCH_ROWS"), help="files (BENCH_ROWS)")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md; runs all, with all rows")
    options = parser.parse_args(arguments)
    if options.write_docs and (options.names or options.rows):
        parser.error("--write-docs tells of one run of all benches with all their rows: leave names and --rows out")
    unknown = sorted(set(options.names) - set(ROWS) - set(ON_REQUEST))
    if unknown:
        parser.error(f"no bench {unknown[0]!r}")
    results: dict[str, list[Row]] = {}
    for name in options.names or ROWS:
        rows = options.rows or _rows_by_default(name)
        print(f"==> {name}, {rows:,} files", file=sys.stderr, flush=True)
        workdir = HERE / "data" / name
        workdir.mkdir(parents=True, exist_ok=True)
        try:
            results[name] = _module(name).run(workdir, rows)
        except Exception as error:  # noqa: BLE001
            # What the others have measured took long, and is told; this one counts as missed.
            traceback.print_exc()
            ended = type(error).__name__
            results[name] = [Row("the whole bench", ended, "", None, bound="comes to its end", is_within=False)]
    _show(results)
    record = _keep(results, options.rows)
    if options.write_docs:
        PAGE.write_text(page(record, {name: _module(name).__doc__ or "" for name in results}))
    every = [row for rows in results.values() for row in rows]
    return 0 if every and all(row.ok for row in every) else 1


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"bench.{name}")


def _rows_by_default(name: str) -> int:
    return {**ROWS, **ON_REQUEST}[name]


def _show(results: dict[str, list[Row]]) -> None:
    table = Table("what", "ours", "yardstick", "ratio", "target", "", title="the greater the ratio, the better")
    for name, rows in results.items():
        table.add_section()
        for row in rows:
            verdict = "[green]ok[/]" if row.ok else "[red]missed[/]"
            cells = (f"{name}: {row.what}", row.figure, row.yardstick, number(row.ratio), row.wanted)
            table.add_row(*map(escape, cells), verdict if row.wanted else "")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _keep(results: dict[str, list[Row]], rows: int | None) -> dict[str, Any]:
    """What was measured, as it is kept in bench/out/."""
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    record = {
        "at": stamp,
        "rows": {name: rows or _rows_by_default(name) for name in results},
        "machine": machine.described(),
        "results": {name: list(_plain(rows)) for name, rows in results.items()},
    }
    file = out / f"{stamp}.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"kept in {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    return record


def _plain(rows: Iterable[Row]) -> Iterable[dict[str, object]]:
    for row in rows:
        yield {**asdict(row), "ok": row.ok, "wanted": row.wanted}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
