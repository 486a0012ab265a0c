"""Publish, copy, check and delete, killed by SIGKILL at every named step, restarted until they are done.

Goal: after each kill the inventory is sound and nothing good is lost; after the
last restart all work is done, once. (The steps of the inventory's own work:
``test_inventory_crash.py``.)
Method: chains. A chain is one installation on real SQLite and real disks, on
which each command is killed at one step after the other, restarted each time,
and at last let through. Two chains together hit every step once at least; as
many pairs are run as HOLDFAST_KILLS asks for (10 kills: one pair, 25 kills;
`make soak`: 200). From the second pair on kills come at later passes too, each
command is killed once within one of its commits, as they come, and once at a
random moment from outside.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from crash_world import CrashWorld, Ran

from holdfast.model import steps

WORK = {
    "publish": steps.STEPS["publish"],
    # The dead of the kills before are there to be buried.
    "copy": (*steps.STEPS["copy"], *steps.STEPS["work"]),
    "check": steps.STEPS["check"],
    "delete": steps.STEPS["deletion"],
}
"""The commands, in their order, and the steps that each is killed at."""
NAMES = tuple(name for names in WORK.values() for name in names)
KILLS = int(os.environ.get("HOLDFAST_KILLS", "10"))
MANY = 200
"""From so many kills on each step has to be hit five times."""
# A quarter more than asked for: some kills at later passes find that the work is done before.
PAIRS = max(1, -(-KILLS * 5 // (len(NAMES) * 4)))
RESTARTS_MAX = 3
COMMITS_MOST = 2
"""One of so many next commits of a command is killed, where after the other kills there are still some to come."""
PASSED_OFTEN = (
    "publish.hashed",
    "publish.block-staged",
    "copy.claimed",
    "copy.part-written",
    "copy.renamed",
    "copy.reported",
    "deletion.claimed",
    "deletion.deleted",
    "deletion.reported",
)
"""Steps that one command of the small world passes several times."""


@dataclass
class Chain:
    """The kills of one chain: by command, in the order of the steps; and how it went."""

    number: int
    kills: dict[str, list[str]]
    random_s: dict[str, float | None]
    hits: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    random_hits: Counter[str] = field(default_factory=Counter)
    """Kills from outside, by the last step passed before."""


def planned(n_pairs: int) -> list[Chain]:
    """Two chains a pair: one kills at every second step, the other at the steps between."""
    chains = []
    for number in range(2 * n_pairs):
        source = random.Random(number)
        own = [name for place, name in enumerate(NAMES) if place % 2 == number % 2]
        kills = {
            command: [f"{name}:{_count(name, source, number)}" for name in names if name in own]
            for command, names in WORK.items()
        }
        for each in kills.values() if number > 1 else ():
            commit = f"{source.choice(steps.STEPS['commit'])}:{source.randint(1, COMMITS_MOST)}"
            each.append(commit)
        chains.append(Chain(number, kills, {name: source.uniform(0.0, 0.25) if number > 1 else None for name in kills}))
    return chains


def _count(name: str, source: random.Random, number: int) -> int:
    return source.choice((1, 1, 2, 3)) if name in PASSED_OFTEN and number > 1 else 1


def run_chain(chain: Chain, folder: Path) -> None:
    """Publish, copy, damage, check and delete under the kills of ``chain``, with all proofs."""
    world = CrashWorld(folder, seed=chain.number)
    try:
        _phase(world, chain, "publish", [world.publish])
        world.prove_published()
        world.ask_for_c()
        _phase(world, chain, "copy", [world.copy, ["transfers", "run", "--quiet"]])
        world.prove_copied()
        world.damage_b()
        _phase(world, chain, "check", [world.check])
        world.prove_copied()
        world.prove_quarantine()
        world.prove_history()
        _phase(world, chain, "delete", [world.delete, ["deletions", "run", "--quiet"]])
        world.prove_deleted()
        world.prove_nothing_was_done_twice()
    except BaseException as error:
        error.add_note(f"chain {chain.number} in {folder}: " + "; ".join(world.log))
        raise


def _phase(world: CrashWorld, chain: Chain, name: str, commands: Sequence[list[str]]) -> None:
    """Kill the first command at each of its steps, then let all through."""
    for at in chain.kills[name]:
        step = at.partition(":")[0]
        ran = world.run(commands[0], at=at)
        (chain.hits if ran.was_killed else chain.misses)[step] += 1
        if ran.was_killed:
            assert ran.passed[-1] == step
        else:
            assert ran.code == 0, ran.output
        world.prove_sound()
    after_s = chain.random_s[name]
    if after_s is not None:
        ran = world.run(commands[0], after_s=after_s)
        if ran.was_killed:
            chain.random_hits[ran.passed[-1] if ran.passed else "before the first step"] += 1
        world.prove_sound()
    for command in commands:
        _finish(world, command)


def _finish(world: CrashWorld, command: list[str]) -> None:
    """Run a command until it says that all is well."""
    ran: Ran | None = None
    for _ in range(RESTARTS_MAX):
        ran = world.run(command)
        if ran.code == 0:
            return
    raise AssertionError(f"{command[0]} does not come to its end: {ran}")


def histogram(chains: Sequence[Chain]) -> str:
    """A line a step: how often it was hit, and missed."""
    hits, misses, moments = (
        sum((getattr(chain, name) for chain in chains), Counter()) for name in ("hits", "misses", "random_hits")
    )
    lines = [f"{'step':26}{'killed there':>14}{'not reached':>13}{'killed at random after':>24}"]
    shown = ("before the first step", *NAMES, *steps.STEPS["commit"])
    lines += [f"{name:26}{hits[name]:14}{misses[name]:13}{moments[name]:24}" for name in shown]
    lines.append(f"{'all':26}{hits.total():14}{misses.total():13}{moments.total():24}")
    return "\n".join(lines)


def test_two_chains_hit_every_step() -> None:
    kills = [at for chain in planned(1) for each in chain.kills.values() for at in each]
    assert sorted(kills) == sorted(f"{name}:1" for name in NAMES)


@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * PAIRS)
def test_killed_anywhere_everything_is_finished(tmp_path: Path) -> None:
    chains = planned(PAIRS)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(run_chain, chain, tmp_path / f"chain{chain.number}") for chain in chains]
        try:
            for each in running:
                each.result()
        finally:
            for each in running:
                each.cancel()
    text = histogram(chains)
    sys.stdout.write(f"\n{text}\n")
    hits: Counter[str] = sum((chain.hits for chain in chains), Counter())
    assert min(hits[name] for name in NAMES) >= (5 if KILLS >= MANY else 1), text
    assert hits.total() >= KILLS
