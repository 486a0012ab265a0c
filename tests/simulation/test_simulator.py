"""The simulator: some seeds without a violation, the same trace for the same seed, and planted bugs that it finds.

The planted bugs (mutants) prove that the checkers can fail: each is the loss of
one safeguard, patched in for the test, and has to be found within SEEDS_MAX
seeds. Which seed finds it is no secret and no promise: another change may move
it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from holdfast.consistency import gates
from holdfast.consistency.unlisted import Unlisted
from holdfast.inventory import copies
from holdfast.inventory.deletion import paths, replicas
from holdfast.inventory.store import Head, Store
from holdfast.model.errors import BrokenInvariant
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import Batch
from holdfast.operations.batches import claims
from holdfast.operations.carrying.fence import Fence
from holdfast.operations.deleting import aftermath, gate, removal
from holdfast.operations.deleting.gate import ClaimGate
from holdfast.operations.engines import proving, standing
from holdfast.testing import memory_store
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.simulation import timeless
from holdfast.testing.simulator import SimulationFailed, main, simulate

SEEDS = int(os.environ.get("HOLDFAST_SEEDS", "5"))
CHUNKS = 5
"""Tests that the seeds are divided among, so that they run side by side."""
SEEDS_MAX = 100

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 10 * SEEDS)]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_seeds(chunk: int) -> None:
    for seed in range(chunk, SEEDS, CHUNKS):
        assert simulate(seed).files


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


# Planted bugs.


def _proves_nothing(patch: pytest.MonkeyPatch) -> None:
    """Copies count without a look at what the destination has stored."""

    async def prove(*arguments: object, **options: object) -> None:
        return None

    patch.setattr(proving, "prove", prove)


def _forgets_locks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(paths, "_locked", lambda *arguments: None)
    patch.setattr(replicas._Check, "_locks_on", lambda *arguments: iter(()))


def _trusts_failed_directories(patch: pytest.MonkeyPatch) -> None:
    """What could not be listed is missing."""
    patch.setattr(Unlisted, "hiding", lambda self, path, *, seen=False: None)


def _trusts_an_empty_listing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gates, "_of_listing", lambda *arguments: iter(()))


def _acknowledges_before_commit(patch: pytest.MonkeyPatch) -> None:
    """The last commit before a crash was not on disk."""
    commit, reopen = MemoryStore.commit, MemoryStore.reopen
    before: dict[int, tuple[Any, int]] = {}

    def keeping(self: MemoryStore, *arguments: Any, **options: Any) -> Head:
        before[id(self._disk)] = (self._disk.tables, len(self._disk.entries))
        return commit(self, *arguments, **options)

    def forgetting(self: MemoryStore, **options: Any) -> MemoryStore:
        tables, n_entries = before[id(self._disk)]
        self._disk.tables = tables
        del self._disk.entries[n_entries:]
        return reopen(self, **options)

    patch.setattr(MemoryStore, "commit", keeping)
    patch.setattr(MemoryStore, "reopen", forgetting)


def _reuses_a_position(patch: pytest.MonkeyPatch) -> None:
    entry = memory_store._entry

    def reusing(*arguments: Any, **options: Any) -> Any:
        made = entry(*arguments, **options)
        return replace(made, position=made.position - 1) if made.position == 7 else made

    patch.setattr(memory_store, "_entry", reusing)


def _deletes_before_the_gate(patch: pytest.MonkeyPatch) -> None:
    """Things are deleted because they were asked for; nobody looks whether they still may go."""

    async def object_to(self: ClaimGate, target: object) -> None:
        return None

    patch.setattr(gate, "requirements", lambda *arguments: ())
    patch.setattr(ClaimGate, "object_to", object_to)


def _deletes_what_has_changed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(removal.Target, "difference", lambda self, found, resolution_ns: "")


def _copies_what_is_good(patch: pytest.MonkeyPatch) -> None:
    """What lies at the destination is always wrong, and may always go."""
    look = standing.look

    async def doubting(*arguments: Any, **options: Any) -> Any:
        found = await look(*arguments, **options)
        return found if found.stat is None else replace(found, difference="planted")

    patch.setattr(standing, "look", doubting)
    patch.setattr(standing.Standing, "require_room", lambda self, transfer: None)


def _counts_what_is_to_go(patch: pytest.MonkeyPatch) -> None:
    """A copy that is itself asked to be deleted counts as one that stays, by the check and by who looks elsewhere."""

    def condemned(*arguments: object, **options: object) -> dict[tuple[str, str], FileSet]:
        return {}

    patch.setattr(copies, "condemned", condemned)


def _goes_on_past_its_lease(patch: pytest.MonkeyPatch) -> None:
    """A worker never asks whether what it has claimed is still its own."""

    async def check(self: Fence, claim: str) -> None:
        return None

    patch.setattr(Fence, "check", check)


def _tells_nobody_what_it_deleted(patch: pytest.MonkeyPatch) -> None:
    """A deletion that is given up half way is forgotten with all that it has done."""

    async def look(store: Store, places: object, batch: Batch) -> aftermath.Looked:
        return aftermath.Looked(store.head(), FileSet(), batch.files)

    patch.setattr(aftermath, "look", look)
    patch.setattr(claims, "claimed", lambda connection, number: {})


@dataclass(frozen=True)
class Mutant:
    """A planted bug, the rules of which one has to catch it, and the seed that did when this was written."""

    plant: Callable[[pytest.MonkeyPatch], None]
    rules: frozenset[str]
    seed: int = 0


MUTANTS = (
    Mutant(_proves_nothing, frozenset({"S1", "S2"}), seed=2),
    Mutant(_forgets_locks, frozenset({"S3", "S5"})),
    Mutant(_trusts_failed_directories, frozenset({"S4"}), seed=2),
    Mutant(_trusts_an_empty_listing, frozenset({"S4"}), seed=3),
    Mutant(_acknowledges_before_commit, frozenset({"T1", "I1"})),
    Mutant(_reuses_a_position, frozenset({"I1", "T1", "I11"})),
    Mutant(_deletes_before_the_gate, frozenset({"S3", "S5"}), seed=20),
    Mutant(_deletes_what_has_changed, frozenset({"S3", "S5"}), seed=1),
    Mutant(_copies_what_is_good, frozenset({"S2", "end"}), seed=1),
    Mutant(_counts_what_is_to_go, frozenset({"S5", "T7"}), seed=5),
    Mutant(_goes_on_past_its_lease, frozenset({"S6"}), seed=10),
    Mutant(_tells_nobody_what_it_deleted, frozenset({"S5"}), seed=2),
)


def _first_failure(seeds: Iterable[int]) -> SimulationFailed | None:
    for seed in seeds:
        try:
            simulate(seed)
        except SimulationFailed as failed:
            return failed
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.plant.__name__[1:])
def test_planted_bugs_are_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known seed is tried first, because it is quick; if another change has moved it, all are."""
    mutant.plant(monkeypatch)
    failed = _first_failure(dict.fromkeys((mutant.seed, *range(SEEDS_MAX))))
    assert failed is not None, f"not found within {SEEDS_MAX} seeds"
    assert f"seed {failed.seed}" in str(failed)
    assert mutant.rules & {violation.partition(":")[0] for violation in failed.violations}, failed
    sys.stdout.write(f"found by seed {failed.seed}: {failed.violations[0]}\n")


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
