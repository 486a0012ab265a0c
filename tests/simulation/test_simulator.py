"""The simulator: some seeds without a violation, and the same trace for the same seed, in any process.

That its checkers can fail, and do, is shown by planted bugs: ``test_mutants.py``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter

import pytest

from holdfast.inventory.store import Head
from holdfast.model.errors import BrokenInvariant
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.simulation import timeless
from holdfast.testing.simulator import main, simulate

SEEDS = int(os.environ.get("HOLDFAST_SEEDS", "5"))
FIRST = 5
"""So many seeds are run for what they bring about; the others follow them."""
CHUNKS = 5
"""Tests that the seeds are divided among, so that they run side by side."""
AT_LEAST = {
    "files copied": 30,
    "files of replicas deleted": 10,
    "files had back": 3,
    "files purged": 5,
    "files declared lost": 5,
    "files: rename": 3,
    "workers past their lease": 1,
}
"""What the first few seeds have to bring about: what is always refused breaks no rule, and finds nothing either."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 10 * SEEDS)]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_seeds(chunk: int) -> None:
    for seed in range(FIRST + chunk, FIRST + SEEDS, CHUNKS):
        assert simulate(seed).files


def test_the_first_seeds_bring_about_what_is_to_be_tried() -> None:
    counted = sum((simulate(seed).people for seed in range(FIRST)), Counter[str]())
    assert {what: counted[what] for what, least in AT_LEAST.items() if counted[what] < least} == {}


def test_the_same_seed_gives_the_same_trace() -> None:
    """In this process, and in another one that orders its sets otherwise."""
    first, second = simulate(11, 40), simulate(11, 40)
    assert first.trace == second.trace
    assert (first.faults, first.steps) == (second.faults, second.steps)
    assert first.faults
    command = [sys.executable, "-m", "holdfast.testing.simulator", "--seed", "11", "--steps", "40", "--trace"]
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.splitlines()[: len(first.trace)] == first.trace


def test_another_seed_is_another_world() -> None:
    assert simulate(12, 10).trace != simulate(13, 10).trace


def test_more_processes_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds that are divided among processes come to the same end, told in the same words."""
    told = []
    for jobs in ("1", "2"):
        assert main(["--seed", "3", "--seeds", "2", "--steps", "8", "--jobs", jobs]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "people: " in told[0]
    assert "faults: " in told[0]


def test_the_command_tells_the_seed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--steps", "6"]) == 0
    assert "1 seeds of 6 deeds, no violation" in capsys.readouterr().out
    monkeypatch.setattr(MemoryStore, "commit", _broken)
    with pytest.raises(BrokenInvariant):
        main(["--seed", "1", "--steps", "6"])


def _broken(*arguments: object, **options: object) -> Head:
    raise BrokenInvariant("planted")


def test_waiting_takes_no_time_and_being_stuck_is_told() -> None:
    clock = timeless.SimulatedClock()
    began = clock.now_us
    timeless.run(asyncio.sleep(3600), clock)
    assert clock.now_us - began >= 3600 * 1_000_000

    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(timeless.Stuck):
        timeless.run(wait_for_ever(), clock)
