"""kill -9 of a process that carries a job at FTS3, at every step; then another one takes it up: there is exactly one
job, every file is brought once, and nothing else is left."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fts_world import BERN, OSLO, FtsWorld, MemoryDesk, fts_world, job

from holdfast.model import steps
from holdfast.operations.engine import Transfer

pytestmark = pytest.mark.slow

STEPS = (*steps.STEPS["fts"], "copy.part-written", "copy.renamed")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtsWorld]:
    with fts_world(tmp_path_factory.mktemp("fts")) as made:
        yield made


@pytest.fixture
def world(running: FtsWorld) -> FtsWorld:
    running.server.reset()
    return running


@pytest.mark.parametrize("step", STEPS)
def test_whoever_is_killed_leaves_one_job_at_most_and_the_next_one_makes_an_end(
    world: FtsWorld, step: str, tmp_path: Path
) -> None:
    transfers = world.transfers(4)
    killed(world, transfers, step, tmp_path)
    n_made = len(world.server.jobs())
    assert n_made == (0 if step == "fts.kept" else 1)
    handle = (tmp_path / "handle").read_text()

    async def run() -> MemoryDesk:
        engine, desk = world.engine(), MemoryDesk()
        again = [replace(each, token=f"c2t{each.ordinal}") for each in transfers]
        await engine.carry(job(again, claim="c2", handle=handle), desk)
        for each in again:
            for token in (each.token, f"c1t{each.ordinal}"):
                await engine.discard(each.destination, token)
        await engine.close()
        return desk

    desk = asyncio.run(run())
    assert set(desk.verdicts.values()) <= {"copied", "found"}
    assert len(desk.outcomes) == 4
    (made,) = world.server.jobs()
    assert handle.startswith(made["job_id"])
    assert all(file["file_state"] == "FINISHED" for file in made["files"]), "none was brought twice, or over another"
    assert world.left() == [f"d/f{number}" for number in range(4)]


def killed(world: FtsWorld, transfers: list[Transfer], step: str, folder: Path) -> None:
    """A process carries these, and is killed when it reaches a step for the first time."""
    settings: dict[str, Any] = {name: value for name, value in world.settings().model_dump().items() if value}
    document = {
        "claim": "c1",
        "handle": str(folder / "handle"),
        "settings": {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()},
        "folders": {"bern": str(world.bern), "oslo": str(world.oslo)},
        "urls": {"bern": BERN, "oslo": OSLO},
        "transfers": [
            {
                "ordinal": each.ordinal,
                "token": each.token,
                "size": each.size,
                "checksums": dict(each.checksums),
                "path": each.source.path,
            }
            for each in transfers
        ],
    }
    path = folder / "job.json"
    path.write_text(json.dumps(document))
    program = Path(__file__).with_name("fts_process.py")
    ran = subprocess.run([sys.executable, str(program), str(path), step], capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
