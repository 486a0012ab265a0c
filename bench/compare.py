"""``holdfast compare`` beside GNU sort and comm, and beside Python sets.

Two listings of the same files in different order: LFNs of 141 bytes ending in
UUIDs, 100 files a directory, in no order of directories; one file in 10,000
differs, a third each missing, orphan and of another size. Every engine runs as
a process of its own, on the same files in the same run, and must find exactly
what was planted. CPU seconds (of the process and its children) make the ratios;
peak memory is that of the whole process tree.

  * sort: ``LC_ALL=C sort -S 1G --parallel=2`` of both TSV files, ``comm -3``.
  * sets: Python sets of (path, size) tuples, read from the TSV files.

The Parquet files are as pyarrow writes them (zstd). Each engine runs
ROUNDS times in turn, the least CPU of each counts. Run by ``make bench``, or
``python -m bench compare``; alone: ``python bench/compare.py --rows 1000000``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

if __package__ in (None, ""):  # Run as a file: the checkout is not on the path.
    sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.row import Row

DIRECTORY_FILES = 100
PLANTED_EVERY = 30_000
SMALL_ROWS, LARGE_ROWS = 1_000_000, 5_000_000
ROUNDS = 3
BATCH_ROWS = 200_000

# Offsets within every 30,000 files at which one kind of difference is planted.
MISSING, ORPHAN, RESIZED = 7, 11, 13

FACTORS = (6_180_339_923, 7_548_776_687)
"""Primes that divide no number of rows; each side's order of files is a multiple of one."""

_SETS = """
import sys
def read(name):
    with open(name, encoding="utf-8") as file:
        next(file)
        return {(path, int(size)) for path, _, size in (line.rpartition("\\t") for line in file)}
expected, actual = read(sys.argv[1]), read(sys.argv[2])
with open(sys.argv[3], "w", encoding="utf-8") as out:
    for rows in (expected - actual, actual - expected):
        out.writelines(f"{path}\\t{size}\\n" for path, size in rows)
"""

Planted = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a process took."""

    cpu_s: float
    wall_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.cpu_s:.2f} s CPU, {self.wall_s:.1f} s, {self.peak_mb:.0f} MB"


@dataclass(frozen=True, slots=True)
class Data:
    """The listings of one size, in three forms, and what differs."""

    folder: Path
    rows: int

    def file(self, side: str, form: str) -> Path:
        """One listing: ``side`` is expected or actual, ``form`` a suffix."""
        return self.folder / f"{side}.{form}"

    def planted(self) -> Planted:
        """The paths that differ, by class."""
        with open(self.folder / "planted.json", encoding="utf-8") as file:
            return {name: set(paths) for name, paths in json.load(file).items()}


def run(workdir: Path, rows: int) -> list[Row]:
    """Make the data unless they are there, measure, and compare."""
    results = []
    for size in sorted({min(rows, SMALL_ROWS), rows}):
        data = prepare(workdir / str(size), size)
        results += _rows_of(size, measure(data, Path(workdir)))
    return results


def prepare(folder: Path, rows: int) -> Data:
    """The listings of ``rows`` files a side, made in ``folder`` unless they are there."""
    data = Data(folder, rows)
    if (folder / "planted.json").exists():
        return data
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET memory_limit = '1GB'; SET enable_progress_bar = false")
    for side in ("expected", "actual"):
        _write_side(connection, data, side)
    paths = f"SELECT dir || '/' || name, number % {PLANTED_EVERY} FROM ({_files(rows, 1, 0)})"
    planted: Planted = {"missing": set(), "orphan": set(), "size_mismatch": set()}
    names = {MISSING: "missing", ORPHAN: "orphan", RESIZED: "size_mismatch"}
    wanted = ", ".join(map(str, names))
    for path, place in connection.execute(f"{paths} WHERE number % {PLANTED_EVERY} IN ({wanted})").fetchall():
        planted[names[place]].add(path)
    (folder / "planted.json").write_text(json.dumps({name: sorted(paths) for name, paths in planted.items()}))
    return data


def _files(rows: int, factor: int, offset: int) -> str:
    """A query for every file in an order that ``factor``, a prime, scrambles: neighbours differ in directory."""
    return f"""
        SELECT '/store/mc/Summer20UL' || (16 + d % 3) || '/TTToSemiLeptonic_TuneCP5_13TeV-pythia8_ext'
               || lpad((d // 997)::VARCHAR, 4, '0') || '/NANOAODSIM/106X_v' || (d % 7) || '-v1/'
               || lpad(d::VARCHAR, 7, '0') AS dir,
               md5('file' || number)::UUID::VARCHAR || '.root' AS name,
               ('0x' || left(md5('size' || number), 8))::BIGINT AS size, number
        FROM (SELECT number, number // {DIRECTORY_FILES} AS d
              FROM (SELECT (place::HUGEINT * {factor} + {offset}) % {rows} AS number FROM range({rows}) r(place)))"""


def _write_side(connection: duckdb.DuckDBPyConnection, data: Data, side: str) -> None:
    left_out, factor, offset = (ORPHAN, FACTORS[0], 3) if side == "expected" else (MISSING, FACTORS[1], 17)
    changed = f"(number % {PLANTED_EVERY} = {RESIZED})::INTEGER" if side == "actual" else "0"
    query = f"""SELECT dir, name, size + {changed} AS size FROM ({_files(data.rows, factor, offset)})
                WHERE number % {PLANTED_EVERY} <> {left_out}"""
    texts: dict[str, pa.DataType] = {"dir": pa.string(), "name": pa.string(), "path": pa.string()}
    split = pa.schema({"dir": texts["dir"], "name": texts["name"], "size": pa.int64()})
    whole = pa.schema({"path": texts["path"], "size": pa.int64()})
    with (
        pq.ParquetWriter(data.file(side, "split.parquet"), split, compression="zstd") as split_file,
        pq.ParquetWriter(data.file(side, "parquet"), whole, compression="zstd") as whole_file,
        open(data.file(side, "tsv"), "wb") as text_file,
    ):
        text_file.write(b"path\tsize\n")
        found = connection.execute(query)
        while batch := found.fetchmany(BATCH_ROWS):
            dirs, names, sizes = map(list, zip(*batch, strict=True))
            paths = [f"{dir}/{name}" for dir, name in zip(dirs, names, strict=True)]
            split_file.write_table(pa.table({"dir": dirs, "name": names, "size": sizes}, schema=split))
            whole_file.write_table(pa.table({"path": paths, "size": sizes}, schema=whole))
            text_file.write("".join(f"{path}\t{size}\n" for path, size in zip(paths, sizes, strict=True)).encode())


def measure(data: Data, workdir: Path) -> dict[str, Measure]:
    """Every engine on the same data, in turn; the least CPU of the rounds counts, with its time and memory."""
    engines: dict[str, Callable[[Path], Measure]] = {
        "parquet": lambda folder: _holdfast(data, folder, "parquet"),
        "split.parquet": lambda folder: _holdfast(data, folder, "split.parquet"),
        "tsv": lambda folder: _holdfast(data, folder, "tsv"),
        "sort": lambda folder: _sort(data, folder),
        "sets": lambda folder: _sets(data, folder),
    }
    best: dict[str, Measure] = {}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            with tempfile.TemporaryDirectory(dir=workdir) as folder:
                taken = engine(Path(folder))
            print(f"    {data.rows:>12,}  {name:14}  {taken}", file=sys.stderr, flush=True)
            if name not in best or taken.cpu_s < best[name].cpu_s:
                best[name] = taken
    return best


def _holdfast(data: Data, folder: Path, form: str) -> Measure:
    out = folder / "out"
    command = [sys.executable, "-m", "holdfast.cli.main", "compare", "--json", "--temp-dir", str(folder)]
    files = [str(data.file(side, form)) for side in ("expected", "actual")]
    taken = _measured([*command, "--out", str(out), *files], exit_code=1)
    for name, paths in data.planted().items():
        lines = (out / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        _must_be(f"holdfast, {form}, {name}", [line.partition("\t")[0] for line in lines], paths)
    return taken


def _sort(data: Data, folder: Path) -> Measure:
    # The header is a line like any other, the same on both sides.
    sort = f"sort -S 1G --parallel=2 -T {folder}"
    script = " && ".join(
        [f"{sort} {data.file(side, 'tsv')} > {folder}/{side}" for side in ("expected", "actual")]
        + [f"comm -3 {folder}/expected {folder}/actual > {folder}/found"]
    )
    taken = _measured(["bash", "-c", script], environment={"LC_ALL": "C"})
    _must_be_lines("sort and comm", folder / "found", data.planted())
    return taken


def _sets(data: Data, folder: Path) -> Measure:
    files = [str(data.file(side, "tsv")) for side in ("expected", "actual")]
    taken = _measured([sys.executable, "-c", _SETS, *files, str(folder / "found")])
    _must_be_lines("sets", folder / "found", data.planted())
    return taken


def _must_be_lines(engine: str, found: Path, planted: Planted) -> None:
    """Lines of path and size: a file of another size is there twice."""
    lines = found.read_text(encoding="utf-8").splitlines()
    paths = [line.strip().partition("\t")[0] for line in lines]
    _must_be(engine, paths, set().union(*planted.values()), twice=len(planted["size_mismatch"]))


def _must_be(engine: str, found: list[str], wanted: set[str], twice: int = 0) -> None:
    if set(found) != wanted or len(found) != len(wanted) + twice:
        raise AssertionError(f"{engine} found {len(found)} differences, planted are {len(wanted)}")


def _measured(command: list[str], *, exit_code: int = 0, environment: dict[str, str] | None = None) -> Measure:
    """Run a command and measure it with all its children, from a process that is itself small."""
    launcher = Path(__file__).with_name("process_usage.py")
    ran = subprocess.run(
        [sys.executable, "-S", str(launcher), *command],
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        check=True,
    )
    usage = json.loads(ran.stdout)
    if usage["exit_code"] != exit_code:
        raise AssertionError(f"{command[:4]} ended with {usage['exit_code']}, not {exit_code}")
    return Measure(usage["cpu_s"], usage["wall_s"], usage["peak_kb"] * 1024 / 1e6)


def _rows_of(rows: int, best: dict[str, Measure]) -> list[Row]:
    # Between the two sizes, and below, figures are only shown.
    large, small = rows >= LARGE_ROWS, rows == SMALL_ROWS
    least = 1.5 if small else None
    targets = {"parquet": 5.0 if large else least, "split.parquet": None, "tsv": 4.0 if large else least}
    forms = {"parquet": "Parquet (path)", "split.parquet": "Parquet (dir, name)", "tsv": "TSV"}
    size = f"{rows:,}"
    sort, sets = best["sort"], best["sets"]
    results = []
    for form, target in targets.items():
        ours = best[form]
        ratio = sort.cpu_s / ours.cpu_s
        results.append(Row(f"{size}, {forms[form]} / sort+comm", _cpu(ours), _cpu(sort), ratio, target))
    for form in ("parquet", "tsv"):
        ratio = sets.cpu_s / best[form].cpu_s
        results.append(
            Row(f"{size}, {forms[form]} / Python sets", _cpu(best[form]), _cpu(sets), ratio, 3.0 if large else None)
        )
    for form in targets:
        ours = best[form]
        memory = (f"{ours.peak_mb:.0f} MB", f"{sort.peak_mb:.0f} MB")
        ratio = sort.peak_mb / ours.peak_mb
        results.append(Row(f"{size}, {forms[form]}, peak memory / sort+comm", *memory, ratio, 3.0 if large else None))
    return results


def _cpu(taken: Measure) -> str:
    return f"{taken.cpu_s:.2f} s CPU"


def main() -> int:
    """Measure alone and print the rows; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="files a side")
    parser.add_argument("--workdir", type=Path, default=Path(tempfile.gettempdir()) / "bench-compare")
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    results = run(options.workdir, options.rows)
    for row in results:
        target = "" if row.target is None else f"target {row.target:g}: {'ok' if row.ok else 'missed'}"
        print(f"{row.what:55} {row.figure:>14} {row.yardstick:>14} {row.ratio or 0:8.2f}  {target}")
    return 0 if all(row.ok for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
