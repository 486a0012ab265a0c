"""Seeded simulator: sites, store, clock and faults in memory, Holdfast at work among them, and checkers that watch.

    python -m holdfast.testing.simulator --seed 7 [--steps 200] [--seeds 100] [--jobs 2] [--keep-going]

One seed decides everything: who does what, which call fails, where the process
dies. After each deed the checkers look from outside whether all that Holdfast
promises still holds; at the end the faults stop, and everything that can be put
right has to come right.

Rules
  * The same seed gives the same trace, in any process.
  * A violation names the seed and shows the trace up to it; nothing is
    repaired or left out to go on.
  * Errors of Holdfast's family are outcomes; anything else that comes out of a
    deed, BrokenInvariant included, is a violation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import holdfast
from holdfast import logs
from holdfast.model import steps
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.testing import amounts
from holdfast.testing.simulation import ending
from holdfast.testing.simulation.checkers import Checkers
from holdfast.testing.simulation.deeds import PEOPLE, WEIGHTS, Deed, Deeds
from holdfast.testing.simulation.faults import CALM, WEATHER, Crash, Faults
from holdfast.testing.simulation.lasting import last_deeds
from holdfast.testing.simulation.one_engine import one_engine
from holdfast.testing.simulation.world import World

STEPS = 100
CRASH_PART = 0.25
"""How many of our deeds die on the way, if they come so far."""
PLANNED_PART = 0.7
"""How often what somebody has planned to do next is what comes next."""
TRACE_SHOWN = 60
MEMORY = "/dev/shm"


class SimulationFailed(Exception):
    """Something does not hold. The message has the seed, what is violated and how it came to it."""

    def __init__(self, seed: int, violations: Sequence[str], trace: Sequence[str]) -> None:
        self.seed = seed
        self.violations = tuple(violations)
        self.trace = tuple(trace)
        lines = [f"seed {seed}: {len(violations)} violations", *violations[:20], "trace:", *trace[-TRACE_SHOWN:]]
        super().__init__("\n".join(lines))


@dataclass
class Result:
    """What one simulation has been through."""

    seed: int
    trace: list[str] = field(default_factory=list)
    deeds: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    """What people, disks and clocks have done that is trouble to us."""
    faults: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    parts_left: int = 0
    files: int = 0
    lost: int = 0


def simulate(seed: int, n_steps: int = STEPS) -> Result:
    """One run; SimulationFailed if anything does not hold."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-simulation-", dir=_memory()) as folder,
        amounts.shrunk(),
        one_engine(),
    ):
        return _Simulation(seed, Path(folder)).run(n_steps)


def _memory() -> str | None:
    """A folder in memory, where this machine has one: what simulated processes write need not reach a disk."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None


class _Simulation:
    """One seed at work."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self._world = World(seed, folder)
        self._deeds = Deeds(self._world)
        self._checkers = Checkers()
        self._result = Result(seed)
        self._number = 0

    def run(self, n_steps: int) -> Result:
        beginning = [Deeds.add_files, Deeds.add_files, Deeds.publish, Deeds.ask_copy]
        for number in range(n_steps):
            deed = beginning[number] if number < len(beginning) else self._next_deed()
            is_ours = deed not in PEOPLE
            faults = self._faults() if is_ours and number >= len(beginning) else self._calm()
            self._do(deed.__name__.replace("_", " "), lambda deed=deed: deed(self._deeds), faults, is_ours=is_ours)  # type: ignore[misc]
        for violation in ending.settle(self._deeds, self._do_at_the_end):
            self._judge([violation])
        with self._world.store.snapshot() as view:
            self._judge(list(ending.unfinished(self._world, view)))
        self._judge(list(last_deeds(self._deeds, self._checkers.asked.looks, self._do_at_the_end)))
        self._result.parts_left = ending.left_behind(self._world)
        self._result.people += self._world.counts
        self._result.files, self._result.lost = len(self._world.content), ending.lost(self._world)
        return self._result

    def _do_at_the_end(self, name: str, act: Callable[[], str]) -> None:
        self._do(f"end: {name}", act, self._calm())

    def _next_deed(self) -> Deed:
        """What somebody has planned, if nothing comes in between; else whatever happens."""
        planned, source = self._deeds.planned, self._world.source
        if planned and source.random() < PLANNED_PART:
            return planned.pop(0)
        (deed,) = source.choices([deed for deed, _ in WEIGHTS], [weight for _, weight in WEIGHTS])
        return deed

    def _calm(self) -> Faults:
        return self._bound(Faults(random.Random(f"{self._seed}:calm"), CALM))

    def _faults(self) -> Faults:
        source = self._world.source
        faults = Faults(random.Random(f"{self._seed}:{self._number}"), source.choice(WEATHER))
        if source.random() < CRASH_PART:
            kind, most = source.choice((("step", 8), ("driver", 150), ("store", 12)))
            faults.crash_at = (kind, source.randint(1, source.randint(1, most)))
        return self._bound(faults)

    def _bound(self, faults: Faults) -> Faults:
        faults.die, faults.spoil = self._world.die, self._spoil
        return faults

    def _spoil(self, site: str, path: str) -> bool:
        """A storage says that it has written a file, and has not: not as it was given."""
        tree = self._world.trees[site]
        data = tree.find_file(path).data
        if not data:
            return False
        if self._world.faults.source.random() < 0.3:
            tree.truncate(path, len(data) - 1)
        else:
            tree.flip_byte(path, len(data) // 2)
        return True

    def _do(self, name: str, act: Callable[[], str], faults: Faults, *, is_ours: bool = True) -> None:
        """One deed, with a line in the trace and all checks after it."""
        world, self._number = self._world, self._number + 1
        with world.store.snapshot() as before:
            world.faults = faults
            self._deeds.begin()
            violations: list[str] = []
            outcome = self._outcome(act, faults, violations)
            world.faults = self._calm()
            if not is_ours:
                world.look()
            head = world.store.head()
            self._result.trace.append(
                f"{self._number:4} {name}: {outcome} | {len(faults.steps)} steps,"
                f" {faults.n_faults} faults | {head.position} {head.digest[:8]} | {world.clock.now_us}"
            )
            self._result.deeds[name] += 1
            self._result.faults += faults.counts
            self._result.steps.update(faults.steps)
            violations += faults.trespasses
            self._deeds.has_worked_undisturbed &= not faults.n_troubles
            self._judge([*violations, *self._checkers.after(world, self._deeds, before)])

    def _outcome(self, act: Callable[[], str], faults: Faults, violations: list[str]) -> str:
        """What became of a deed, in a word."""
        try:
            with steps.observed(faults.on_step):
                outcome = act()
        except (Crash, BaseExceptionGroup):
            outcome = ""
            if not faults.is_dead:
                violations.append(f"bug: {traceback.format_exc()}")
        except HoldfastError as error:
            outcome = f"{type(error).__name__}: {error.message}"
            if isinstance(error, BrokenInvariant) and not faults.is_dead:
                violations.append(f"bug: {traceback.format_exc()}")
        except Exception as error:  # noqa: BLE001
            outcome = type(error).__name__
            if not faults.is_dead:
                violations.append(f"bug: {traceback.format_exc()}")
        # Whatever a dying process says, nobody hears it.
        return f"died after {faults.steps[-1] if faults.steps else 'nothing'}" if faults.is_dead else outcome

    def _judge(self, violations: list[str]) -> None:
        if violations:
            raise SimulationFailed(self._seed, violations, self._result.trace)


@dataclass(frozen=True)
class Failure:
    """A seed that failed, as one process can tell another."""

    seed: int
    violations: tuple[str, ...]
    trace: tuple[str, ...]


def _one(seed: int, n_steps: int) -> Result | Failure:
    """One seed, in whatever process."""
    logs.configure("error", json=False)
    try:
        return simulate(seed, n_steps)
    except SimulationFailed as failed:
        return Failure(failed.seed, failed.violations, failed.trace)


def _all(seeds: Sequence[int], n_steps: int, jobs: int) -> Iterator[Result | Failure]:
    """Every seed in its order, by so many processes. They are begun anew, so that none inherits what another has."""
    each = partial(_one, n_steps=n_steps)
    if jobs == 1:
        yield from map(each, seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(each, seeds)
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass
class Summary:
    """What some seeds have been through, counted; ``failures`` are those that did not hold, in their order."""

    counted: dict[str, Counter[str]] = field(
        default_factory=lambda: {what: Counter() for what in ("deeds", "people", "faults", "steps", "files")}
    )
    failures: list[Failure] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one seed."""
        for what in ("deeds", "people", "faults", "steps"):
            self.counted[what] += getattr(result, what)
        self.counted["files"] += Counter(published=result.files, lost=result.lost, parts_left=result.parts_left)

    def to_json(self) -> str:
        """For programs; ``package`` is where the code was that ran, ``failed`` the first seed that did not hold."""
        failures = [{"seed": each.seed, "violations": each.violations} for each in self.failures]
        told = {"failed": failures[0] if failures else None, "failures": failures, "package": holdfast.__file__}
        return json.dumps({**self.counted, **told})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run some seeds; exit code 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.simulator", description="Simulate, by seed.")
    parser.add_argument("--seed", type=int, required=True, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--steps", type=int, default=STEPS, help="deeds a seed, before the end")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--keep-going", action="store_true", help="go on after a seed that fails")
    parser.add_argument("--trace", action="store_true", help="show all that happens")
    parser.add_argument("--json", action="store_true", help="tell the end as JSON")
    given = parser.parse_args(arguments)
    summary = Summary()
    seeds = range(given.seed, given.seed + given.seeds)
    for ended in _with_bar(_all(seeds, given.steps, given.jobs), len(seeds)):
        if isinstance(ended, Failure):
            summary.failures.append(ended)
            if not given.keep_going:
                break
            continue
        summary.add(ended)
        if given.trace:
            sys.stdout.write("\n".join(ended.trace) + "\n")
    sys.stdout.write(f"{summary.to_json()}\n" if given.json else _told(summary, given.seeds, given.steps))
    return 1 if summary.failures else 0


def _with_bar(ended: Iterator[Result | Failure], n_seeds: int) -> Iterable[Result | Failure]:
    """The same, with a bar for people on standard error."""
    from rich.console import Console
    from rich.progress import track

    is_seen = sys.stderr.isatty() and n_seeds > 1
    return track(ended, "Seeds", total=n_seeds, console=Console(stderr=True), transient=True, disable=not is_seen)


def _told(summary: Summary, n_seeds: int, n_steps: int) -> str:
    if summary.failures:
        return "".join(_failure_told(each, n_steps) for each in summary.failures)
    lines = [f"{n_seeds} seeds of {n_steps} deeds, no violation"]
    for what, counts in summary.counted.items():
        lines.append(f"{what}: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}")
    return "\n".join(lines) + "\n"


def _failure_told(failed: Failure, n_steps: int) -> str:
    again = f"again: python -m holdfast.testing.simulator --seed {failed.seed} --steps {n_steps}"
    return f"{SimulationFailed(failed.seed, failed.violations, failed.trace)}\n{again}\n"


if __name__ == "__main__":
    sys.exit(main())
