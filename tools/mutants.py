"""Plant bugs and see that the simulator finds them, each within SEEDS_MAX seeds of STEPS deeds.

    python tools/mutants.py [--jobs 2] [--write] [NAME...]

A mutant is a patch in tests/simulation/mutants/. Its heading says what it plants, the rules of docs/invariants.md of
which one has to catch it, and the seed that did so last, which is tried first.

Rules
  * The source is copied and patched; what is tried is the copy, in a process of its own, and it says so.
  * A patch that does not apply exactly has failed; so has one whose bug is not found, or found by none of its rules.
  * ``--write`` puts the seeds that found them into the headings.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "simulation" / "mutants"
SEEDS_MAX = 100
STEPS = 200
"""Deeds of each seed, as in a run without a bug."""
SEED_S_MAX = 120
"""A seed that takes longer hangs."""
_HEADING = re.compile(r"(?P<about>.+?)\nRules: (?P<rules>[A-Za-z0-9 ]+)\nSeed: (?P<seed>[0-9]+)\n\n", re.DOTALL)


@dataclass(frozen=True)
class Mutant:
    """A planted bug."""

    path: Path
    about: str
    rules: frozenset[str]
    seed: int

    @property
    def name(self) -> str:
        """That of its file."""
        return self.path.stem

    def apply(self, folder: Path) -> str:
        """Patch the source in a folder; why that does not go, or ""."""
        command = ["git", "apply", "--whitespace=nowarn", "--unidiff-zero", str(self.path)]
        # A repository around the folder would have its own opinion.
        environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        return done.stderr.strip() if done.returncode else ""

    def write_seed(self, seed: int) -> None:
        """Put another seed into the heading."""
        text = self.path.read_text()
        self.path.write_text(text.replace(f"\nSeed: {self.seed}\n", f"\nSeed: {seed}\n", 1))


def mutants(names: Sequence[str] = ()) -> list[Mutant]:
    """Those of these names, or all; ValueError for a name that there is none of, or a heading that is not one."""
    known = {path.stem: path for path in sorted(FOLDER.glob("*.patch"))}
    unknown = sorted(set(names) - known.keys())
    if unknown or not known:
        raise ValueError(f"no such mutants: {', '.join(unknown)}; there are {', '.join(known)}")
    return [read(known[name]) for name in names or known]


def read(path: Path) -> Mutant:
    """The mutant in a patch; ValueError for a heading that is not one."""
    heading = _HEADING.match(path.read_text())
    if heading is None:
        raise ValueError(f"{path} does not begin with what it plants, its rules and a seed")
    return Mutant(path, heading["about"], frozenset(heading["rules"].split()), int(heading["seed"]))


@contextmanager
def planted(mutant: Mutant) -> Iterator[Path]:
    """A copy of the source with the bug in it; ValueError if the patch does not apply."""
    with tempfile.TemporaryDirectory(prefix=f"holdfast-mutant-{mutant.name}-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "src" / "holdfast", folder / "src" / "holdfast")
        if refused := mutant.apply(folder):
            raise ValueError(f"the patch does not apply: {refused}")
        yield folder / "src"


@dataclass(frozen=True)
class Found:
    """What came of one mutant: the seed that found it and the violations, or why none did."""

    mutant: Mutant
    seed: int = -1
    violations: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_right(self) -> bool:
        """Whether it was found by one of its rules."""
        return not self.problem and bool(self.mutant.rules & {each.partition(":")[0] for each in self.violations})

    @property
    def told(self) -> str:
        """In a line."""
        if self.problem:
            return f"NOT FOUND  {self.mutant.name}: {self.problem}"
        by = "found" if self.is_right else f"FOUND BY ANOTHER RULE than {' '.join(sorted(self.mutant.rules))}"
        return f"{by}  {self.mutant.name}: seed {self.seed}: {self.violations[0][:160]}"


def find(mutant: Mutant, *, steps: int = STEPS, seeds_max: int = SEEDS_MAX) -> Found:
    """Try its seed, and then all."""
    try:
        with planted(mutant) as source:
            for first, n_seeds in ((mutant.seed, 1), (0, seeds_max)):
                failed = _failed(source, first, n_seeds, steps)
                if failed is not None:
                    return Found(mutant, failed["seed"], tuple(failed["violations"]))
    except (ValueError, subprocess.TimeoutExpired) as error:
        return Found(mutant, problem=str(error))
    return Found(mutant, problem=f"not within {seeds_max} seeds")


def _failed(source: Path, first: int, n_seeds: int, steps: int) -> dict[str, Any] | None:
    """The first seed that fails, with its violations, as the simulator tells it."""
    command = [sys.executable, "-m", "holdfast.testing.simulator", "--json"]
    command += [f"--seed={first}", f"--seeds={n_seeds}", f"--steps={steps}"]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    limit_s = SEED_S_MAX * n_seeds
    done = subprocess.run(command, env=environment, cwd=source, capture_output=True, text=True, timeout=limit_s)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise ValueError(f"the simulator itself failed: {done.stderr[-2000:]}") from None
    if not Path(told["package"]).is_relative_to(source):
        raise ValueError(f"what ran was not the mutant but {told['package']}")
    failed: dict[str, Any] | None = told["failed"]
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Try some mutants or all; exit code 1 if one is not found by its rules."""
    parser = argparse.ArgumentParser(description="Plant bugs that the simulator has to find.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants, by the names of their patches; default: all")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once")
    parser.add_argument("--write", action="store_true", help="put the seeds that found them into the headings")
    given = parser.parse_args(arguments)
    with ThreadPoolExecutor(given.jobs) as pool:
        is_right = True
        for found in pool.map(find, mutants(given.names)):
            sys.stdout.write(f"{found.told}\n")
            sys.stdout.flush()
            is_right &= found.is_right
            if given.write and found.is_right and found.seed != found.mutant.seed:
                found.mutant.write_seed(found.seed)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
