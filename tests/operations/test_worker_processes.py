"""Workers in processes of their own, on one inventory: they share the work, and who sleeps or dies harms nobody.

Method: real processes, on SQLite and on PostgreSQL, between folders. One is
stopped (SIGSTOP) for longer than its lease, or killed; what is in place and what
the journal tells say whether anything was done twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from operations_world import World

from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.storage.posix.driver import PosixDriver
from support.processes import is_there
from support.soak import only_in_soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.real("postgresql"))]
SCRIPT = Path(__file__).with_name("worker_process.py")
N_FILES = 60
WORK_S_MAX = 60


class Place:
    """Three folders, an inventory, and workers that begin together."""

    def __init__(self, folder: Path, inventory: Path | str, store: Store) -> None:
        def make(site: str) -> PosixDriver:
            (folder / site).mkdir()
            return PosixDriver(folder / site, label=site)

        self.folder, self.inventory = folder, inventory
        self.world = World(folder, make, store=store)
        self.lfns = self.world.publish(N_FILES, n_blocks=10)
        self.world.ask("B")

    def worker(self, at: str = "") -> subprocess.Popen[str]:
        """A process that waits for ``go``."""
        command = [sys.executable, str(SCRIPT), str(self.inventory), str(self.folder), *([at] if at else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        wait_until(lambda: (self.folder / f"ready{process.pid}").exists() or process.poll() is not None)
        return process

    def go(self) -> None:
        (self.folder / "go").touch()

    def in_place(self) -> dict[str, int]:
        """Which file has which place on the disk at B."""
        return {path: (self.folder / "B" / path[1:]).stat().st_ino for path in self.world.paths("B")}

    def assert_done_once(self) -> None:
        self.world.assert_copied(self.lfns)
        assert verify(self.world.store) == []
        told = [each for entry in self.world.store.entries(limit=10_000) for each in entry.changes]
        arrived = Counter(
            (each.block.block, ordinal)
            for each in told
            if isinstance(each, c.FilesArrived)
            for ordinal in each.ordinals
        )
        assert len(arrived) == N_FILES
        assert set(arrived.values()) == {1}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    inventory = (
        tmp_path / "inventory.db"
        if request.param == "sqlite"
        else str(request.getfixturevalue("postgres").new_database())
    )
    with closing(SqlStore.create(inventory)) as store:
        yield Place(tmp_path, inventory, store)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Until a question is answered with yes."""
    end_s = time.monotonic() + WORK_S_MAX
    while not is_so():
        assert time.monotonic() < end_s, "it takes too long"
        time.sleep(0.01)


def copied(process: subprocess.Popen[str]) -> int:
    """How many files a worker has copied that came to its end."""
    output, _ = process.communicate(timeout=WORK_S_MAX)
    assert process.returncode == 0
    return int(output)


def test_two_share_the_work(place: Place) -> None:
    workers = [place.worker(), place.worker()]
    place.go()
    shares = [copied(each) for each in workers]
    assert sum(shares) == N_FILES
    assert min(shares) > 0
    place.assert_done_once()


@pytest.mark.parametrize(
    ("place", "at"),
    [
        ("sqlite", "copy.claimed:3"),
        ("sqlite", "copy.part-written:7"),
        ("sqlite", "copy.renamed:5"),
        ("sqlite", "copy.reported:2"),
        pytest.param("postgresql", "copy.part-written:7", marks=pytest.mark.real("postgresql")),
        pytest.param("postgresql", "copy.renamed:5", marks=[pytest.mark.real("postgresql"), only_in_soak]),
        pytest.param("postgresql", "copy.reported:2", marks=[pytest.mark.real("postgresql"), only_in_soak]),
    ],
    indirect=["place"],
)
def test_one_that_is_stopped_for_longer_than_its_lease_and_goes_on(place: Place, at: str) -> None:
    sleeper = place.worker(at)
    place.go()
    wait_until(lambda: is_stopped(sleeper.pid))
    other = place.worker()
    assert copied(other) > 0
    place.assert_done_once()
    before, head = place.in_place(), place.world.store.head()
    os.kill(sleeper.pid, signal.SIGCONT)
    copied(sleeper)
    assert place.in_place() == before
    assert place.world.store.head() == head
    place.assert_done_once()


def test_one_that_is_killed_is_followed(place: Place) -> None:
    killed = place.worker("copy.part-written:9")
    place.go()
    wait_until(lambda: is_stopped(killed.pid))
    killed.kill()
    killed.communicate()
    assert not is_there(killed.pid)
    other = place.worker()
    copied(other)
    place.assert_done_once()


def is_stopped(pid: int) -> bool:
    """Whether a process neither runs nor waits."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
