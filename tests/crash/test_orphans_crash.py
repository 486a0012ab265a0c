"""Quarantining and removing directories, killed by SIGKILL at every step of theirs, restarted until they are done.

Goal: what was asked for is done in the end, once, and nothing else is touched; a
file is in its place or in the quarantine at every moment, whole.
Method: real processes on real SQLite and real disks; a worker is killed the
first or the third time that it passes a step.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_world import CrashWorld

from holdfast.inventory.verify import verify
from holdfast.model import quarantine, steps
from holdfast.model.clock import system_clock
from holdfast.model.records import DeletionRequest, EmptyDirectory, Orphan, RequestState
from holdfast.operations import requests

INTO = quarantine.day_folder(system_clock())
DARK = tuple(f"/data/d{number % 2}/dark{number}" for number in range(5))
DIRECTORIES = ("/idle/a/x", "/idle/a/y", "/idle/a", "/idle/b", "/idle")
RUN = ["deletions", "run", "--quiet"]


def ask(world: CrashWorld) -> None:
    """Two requests: orphans into the quarantine, and empty directories."""
    for path in DARK:
        world.place("B", path).parent.mkdir(parents=True, exist_ok=True)
        world.place("B", path).write_text(path)
    for path in DIRECTORIES:
        world.place("B", path).mkdir(parents=True, exist_ok=True)
    world.place("B", "/kept").write_text("kept")
    stats = {path: world.place("B", path).stat() for path in (*DARK, *DIRECTORIES)}
    orphans = [Orphan(path, stats[path].st_size, stats[path].st_mtime_ns) for path in DARK]
    directories = [EmptyDirectory(path, stats[path].st_mtime_ns) for path in DIRECTORIES]
    store = world.store()
    requests.request_deletion(store, "B", orphans, reason="t", actor="t", clock=system_clock, into=INTO)
    requests.request_deletion(store, "B", (), reason="t", actor="t", clock=system_clock, directories=directories)
    store.close()


def prove_nothing_is_lost(world: CrashWorld) -> None:
    """Each file is in one of its two places, as it was; what nobody asked for is there."""
    files = world.all_files("B")
    assert files.pop("/kept") == b"kept"
    found = sorted(path.removeprefix(INTO) for path in files)
    assert found == sorted(DARK)
    assert all(data.decode() == path.removeprefix(INTO) for path, data in files.items())


def prove_done(world: CrashWorld) -> None:
    """All is moved, all directories are gone, and both requests say so."""
    assert sorted(world.all_files("B")) == sorted(["/kept", *(f"{INTO}{path}" for path in DARK)])
    assert not world.place("B", "/idle").exists()
    store = world.store()
    assert verify(store) == []
    with store.snapshot() as view:
        asked: list[DeletionRequest] = view.deletion_requests(only_open=False)
    store.close()
    assert [each.state for each in asked] == [RequestState.DONE] * 2
    assert asked[0].detail == f"moved {len(DARK)}, already gone 0, skipped 0"


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("step", steps.STEPS["orphans"])
def test_killed_at_a_step(tmp_path: Path, step: str, nth: int) -> None:
    world = CrashWorld(tmp_path / "world", seed=nth)
    ask(world)
    killed = world.run(RUN, at=f"{step}:{nth}")
    assert killed.was_killed, killed.output
    prove_nothing_is_lost(world)
    done = world.run(RUN)
    assert done.code == 0, done.output
    prove_nothing_is_lost(world)
    prove_done(world)
