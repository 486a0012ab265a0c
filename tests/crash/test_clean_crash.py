"""Cleaning an area, killed by SIGKILL at every step of it, restarted until it is done.

Goal: until operations carry out what was asked for nothing is touched; what was
asked for is asked for once, and what is protected or young is never touched.
Method: real processes on real SQLite and real disks.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_world import CrashWorld

from holdfast.inventory.verify import verify
from holdfast.model import steps
from holdfast.model.records import RequestState

AREA = "/store/unmerged"
OLD = tuple(f"{AREA}/run{number % 2}/f{number}" for number in range(5))
KEPT = (f"{AREA}/protected/f", "/store/data/f")
CONFIG = f"""
[cleaning]
protected_command = ["echo", "{AREA}/protected"]
files_of_listed_max = 1.0
directories_of_listed_max = 1.0

[[cleaning.areas]]
path = "{AREA}"
min_age_days = 0
"""
CLEAN = ["clean", "area", "B", "--quiet"]


def build(folder: Path) -> CrashWorld:
    """Site B with an area; all in it is old enough."""
    world = CrashWorld(folder, seed=1)
    (folder / "holdfast.toml").write_text(CONFIG)
    for path in (*OLD, *KEPT):
        world.place("B", path).parent.mkdir(parents=True, exist_ok=True)
        world.place("B", path).write_text(path)
    world.place("B", f"{AREA}/empty/deep").mkdir(parents=True)
    return world


@pytest.mark.slow
@pytest.mark.parametrize("step", steps.STEPS["clean"])
def test_killed_at_a_step(tmp_path: Path, step: str) -> None:
    world = build(tmp_path / "world")
    killed = world.run(CLEAN, at=step)
    assert killed.was_killed, killed.output
    assert sorted(world.files("B")) == sorted((*OLD, *KEPT))
    assert world.place("B", f"{AREA}/empty/deep").is_dir()
    done = world.run(CLEAN)
    assert done.code == 0, done.output
    assert sorted(world.files("B")) == sorted(KEPT)
    assert not world.place("B", f"{AREA}/empty").exists()
    store = world.store()
    assert verify(store) == []
    with store.snapshot() as view:
        asked = view.deletion_requests(only_open=False)
    store.close()
    assert [each.state for each in asked] == [RequestState.DONE] * len(asked)
    paths = [request.path(number) for request in asked for number in range(request.n_paths)]
    assert sorted(paths) == sorted([*OLD, f"{AREA}/empty", f"{AREA}/empty/deep"])
