"""A listing killed by SIGKILL, at named steps and anywhere, is gone on with and equals one that ran through."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.model import steps
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import LISTING
from storage.listing.ledgers import rows_of
from storage.listing.planted import plant_many
from support.fast_folder import fast_folder

pytestmark = pytest.mark.slow

N_KILLS = int(os.environ.get("HOLDFAST_KILLS", "10"))
SCRIPT = Path(__file__).with_name("listing_process.py")


class Place:
    """A tree, and the folder its listing goes to."""

    def __init__(self, folder: Path, way: str, n_directories: int = 300) -> None:
        self.root = folder / "root"
        self.trace = folder / "trace"
        self.listing = folder / "listing"
        self._way = way
        plant_many(self.root, n_directories, 3)
        (self.root / "d0/odd\udcff").touch()
        (self.root / "d0/link").symlink_to("/")

    def run(self, at: str = "", *, after_s: float | None = None, into: Path | None = None) -> bool:
        """Whether it came to its end; it dies ``at`` STEP:COUNT, or by our hand a while after its first step."""
        self.trace.unlink(missing_ok=True)
        arguments = [self._way, str(self.root), str(into or self.listing), at, str(self.trace)]
        process = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], stderr=subprocess.PIPE, text=True)
        if after_s is not None:
            while process.poll() is None and not self.trace.exists():
                time.sleep(0.002)
            time.sleep(after_s)
            process.kill()
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGKILL), errors
        return process.returncode == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as made:
        yield made


@pytest.mark.parametrize("way", ["local", "engine"])
def test_killed_many_times_it_equals_one_that_ran_through(folder: Path, way: str) -> None:
    place = Place(folder, way, 60 * N_KILLS if N_KILLS < 25 else 1500)
    assert place.run(into=folder / "through")
    passed = Counter(place.trace.read_text().split())
    assert set(passed) == set(steps.STEPS["listing"])
    source = random.Random(2)
    killed = 0
    while not (place.listing / LISTING).exists():
        # At the first of their kind: each run comes a little further, and there are enough of them.
        if killed >= N_KILLS:
            place.run()
        elif killed % 2:
            killed += not place.run(after_s=source.uniform(0, 0.01))
        else:
            killed += not place.run(f"{source.choice(['listing.saved', 'listing.part-written'])}:1")
    assert rows_of(place.listing) == rows_of(folder / "through")
    summary, through = Listing.open(place.listing).summary, Listing.open(folder / "through").summary
    assert summary.counts == through.counts
    assert summary.resumed >= min(N_KILLS, 20)


@pytest.mark.parametrize("way", ["local", "engine"])
@pytest.mark.parametrize("step", steps.STEPS["listing"])
def test_killed_at_each_step(folder: Path, way: str, step: str) -> None:
    place = Place(folder, way)
    assert place.run(into=folder / "through")
    assert not place.run(f"{step}:1")
    if step == "listing.revealed":
        assert (place.listing / "ledger.db").exists()
    else:
        assert place.run()
    assert rows_of(place.listing) == rows_of(folder / "through")
