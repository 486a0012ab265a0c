"""``holdfast compare`` beside GNU sort and comm, Python sets, and trees of Python objects.

The listings are those of ``bench.compare_data``. Every engine runs as a process
of its own, on the same files in the same run, and must find exactly what was
planted. CPU seconds (of the process and its children) make the ratios; peak
memory is that of the whole process tree.

  * sort: ``LC_ALL=C sort -S 1G --parallel=2`` of both TSV files, ``comm -3``.
  * sets: Python sets of (path, size) tuples, read from the TSV files.
  * tree: ``bench.object_tree``, read from the TSV files of TREE_ROWS rows, since
    10 M rows would take 8 GB. Its CPU is scaled with the rows: sorting within
    directories of equal size is linear too, so that favours the tree, if anything.

Each engine runs ROUNDS times in turn, the least CPU of each counts. Beside that,
one directory of many files with one difference, where the bound is on time.

Run by ``make bench``, or ``python -m bench compare``; alone: ``python
bench/compare.py --rows 1000000``. With more than BESIDE_ROWS rows there is no
yardstick but ourselves with 10 M rows, both held to two cores and 4 GB of address
space, of which the engine gets 2; that takes some 70 bytes of disk a row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # Run as a file: the checkout is not on the path.
    sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import compare_data
from bench.compare_data import Data, Planted
from bench.row import Row

SMALL_ROWS, LARGE_ROWS, BESIDE_ROWS = 1_000_000, 5_000_000, 19_999_999
TREE_ROWS = 2_000_000
DIRECTORY_ROWS = 100_000
SCALED_ROWS = 10_000_000
ROUNDS = 3
PEAK_MB_MAX = 400
DIRECTORY_S_MAX = 1.0
CONFINED = ("prlimit", "--as=4294967296", "taskset", "--cpu-list", "0,1")
GROWTH_MAX = 12 / 10
"""So many times more than linear may the largest run take."""

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


@dataclass(frozen=True, slots=True)
class Measure:
    """What a process took."""

    cpu_s: float
    wall_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.cpu_s:.2f} s CPU, {self.wall_s:.1f} s, {self.peak_mb:.0f} MB"


Engine = Callable[[Path], Measure]


def run(workdir: Path, rows: int) -> list[Row]:
    """Make the data unless they are there, measure, and compare."""
    if rows > BESIDE_ROWS:
        return _growth(workdir, rows)
    results = []
    for size in sorted({min(rows, SMALL_ROWS), rows}):
        data = compare_data.prepare(workdir / str(size), size)
        small = compare_data.prepare(workdir / str(min(size, TREE_ROWS)), min(size, TREE_ROWS))
        results += _rows_of(size, measure(data, small, workdir))
    flat = compare_data.one_directory(workdir / "flat", min(rows, DIRECTORY_ROWS))
    return [*results, _flat_row(flat.rows, measure_flat(flat, workdir))]


def measure(data: Data, small: Data, workdir: Path) -> dict[str, Measure]:
    """Every engine on the same data, in turn, the tree on ``small``, scaled."""
    scale = data.rows / small.rows

    def tree(folder: Path) -> Measure:
        taken = _tree(small, folder)
        return Measure(taken.cpu_s * scale, taken.wall_s * scale, taken.peak_mb * scale)

    engines: dict[str, Engine] = {
        "parquet": lambda folder: _holdfast(data, folder, "parquet"),
        "split.parquet": lambda folder: _holdfast(data, folder, "split.parquet"),
        "tsv": lambda folder: _holdfast(data, folder, "tsv"),
        "sort": lambda folder: _sort(data, folder),
        "sets": lambda folder: _sets(data, folder),
        "tree": tree,
    }
    return _least(engines, data.rows, workdir)


def measure_flat(data: Data, workdir: Path) -> dict[str, Measure]:
    """One directory with many files: we, and a tree."""
    engines: dict[str, Engine] = {
        "parquet": lambda folder: _holdfast(data, folder, "parquet"),
        "tree": lambda folder: _tree(data, folder),
    }
    return _least(engines, data.rows, workdir, lambda taken: taken.wall_s)


def _cpu_s(taken: Measure) -> float:
    return taken.cpu_s


def _least(
    engines: dict[str, Engine], rows: int, workdir: Path, what: Callable[[Measure], float] = _cpu_s
) -> dict[str, Measure]:
    """What each engine took in the round in which it took least CPU, or least of ``what``."""
    best: dict[str, Measure] = {}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            with tempfile.TemporaryDirectory(dir=workdir) as folder:
                taken = engine(Path(folder))
            print(f"    {rows:>12,}  {name:14}  {taken}", file=sys.stderr, flush=True)
            if name not in best or what(taken) < what(best[name]):
                best[name] = taken
    return best


def _holdfast(data: Data, folder: Path, form: str, *, is_confined: bool = False) -> Measure:
    out = folder / "out"
    command = [sys.executable, "-m", "holdfast.cli.main", "compare", "--json", "--temp-dir", str(folder)]
    if is_confined:
        command = [*CONFINED, *command, "--memory-limit", "2GB"]
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


def _tree(data: Data, folder: Path) -> Measure:
    files = [str(data.file(side, "tsv")) for side in ("expected", "actual")]
    script = Path(__file__).with_name("object_tree.py")
    taken = _measured([sys.executable, str(script), *files, str(folder / "found")])
    _must_be_lines("tree", folder / "found", data.planted())
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
    forms = {"parquet": "Parquet (path)", "split.parquet": "Parquet (dir, name)", "tsv": "TSV"}
    targets = {
        "sort": {"parquet": 5.0 if large else least, "split.parquet": None, "tsv": 4.0 if large else least},
        "sets": dict.fromkeys(("parquet", "tsv"), 3.0 if large else None),
        "tree": {"parquet": 10.0 if large else None},
    }
    names = {"sort": "sort+comm", "sets": "Python sets", "tree": f"tree of {min(rows, TREE_ROWS):,}, scaled"}
    results = []
    for yardstick, wanted in targets.items():
        for form, target in wanted.items():
            what = f"{rows:,}, {forms[form]} / {names[yardstick]}"
            results.append(_ratio(what, best[form], best[yardstick], target))
    for form in forms:
        ours, sort = best[form].peak_mb, best["sort"].peak_mb
        memory = (f"{ours:.0f} MB", f"{sort:.0f} MB", sort / ours, 3.0 if large else None)
        bound = (f"{PEAK_MB_MAX} MB at most", ours < PEAK_MB_MAX)
        results.append(Row(f"{rows:,}, {forms[form]}, peak memory / sort+comm", *memory, *bound))
    return results


def _ratio(what: str, ours: Measure, yardstick: Measure, target: float | None) -> Row:
    return Row(what, _cpu(ours), _cpu(yardstick), yardstick.cpu_s / ours.cpu_s, target)


def _flat_row(rows: int, best: dict[str, Measure]) -> Row:
    ours, tree = best["parquet"].wall_s, best["tree"].wall_s
    what = f"one directory of {rows:,} files, one difference / tree"
    bound = (f"{DIRECTORY_S_MAX:g} s at most", ours < DIRECTORY_S_MAX)
    return Row(what, f"{ours:.2f} s", f"{tree:.2f} s", tree / ours, None, *bound)


def _growth(workdir: Path, rows: int) -> list[Row]:
    """The largest listings beside SCALED_ROWS: how much more they take than the rows are more."""
    taken: dict[int, Measure] = {}
    for size in (SCALED_ROWS, rows):
        taken[size] = measure_confined(workdir, size)
        print(f"    {size:>12,}  parquet         {taken[size]}", file=sys.stderr, flush=True)
    less, more = taken[SCALED_ROWS], taken[rows]
    scale = rows / SCALED_ROWS
    results = []
    for what, unit, ours, linear in (
        ("CPU", "s CPU", more.cpu_s, less.cpu_s * scale),
        ("time", "s", more.wall_s, less.wall_s * scale),
    ):
        name = f"{rows:,}, Parquet (path), {what} / {SCALED_ROWS:,}, scaled"
        results.append(Row(name, f"{ours:.1f} {unit}", f"{linear:.1f} {unit}", linear / ours, 1 / GROWTH_MAX))
    peaks = (f"{more.peak_mb:.0f} MB", f"{less.peak_mb:.0f} MB", None, None)
    return [*results, Row(f"{rows:,}, peak memory, 4 GB allowed", *peaks)]


def measure_confined(workdir: Path, rows: int) -> Measure:
    """What Holdfast takes for Parquet listings of any length, with 4 GB and two processors, once."""
    data = compare_data.prepare(workdir / f"{rows}-parquet", rows, forms=("parquet",))
    with tempfile.TemporaryDirectory(dir=workdir) as folder:
        return _holdfast(data, Path(folder), "parquet", is_confined=True)


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
