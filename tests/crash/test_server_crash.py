"""The storages' servers are killed at every step of copies and deletions, and the workers with them.

Goal: whatever dies, in the end everything has come that was asked for, each file
once, with nothing else under a final name, and nothing that was good is written
again.
Method: two XRootD servers that copy from each other over HTTP, and the commands
as people type them. While a command runs, the server of its source or of its
destination gets SIGKILL when the command passes a step, and comes back a moment
later; then the command itself is killed at a step, and begun again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.storage import parts
from support import real

if TYPE_CHECKING:
    from holdfast.testing.servers.xrootd_server import XrootdServer

pytestmark = [pytest.mark.slow, pytest.mark.real("xrootd"), pytest.mark.timeout(300)]

N_FILES = 24
AWAY_S = 0.3
COMMAND_S_MAX = 120
DATASET = "crash/served#1"

SETTINGS = """
[storage]
authorities = "{authorities}"
connect_timeout_s = 2
call_timeout_s = 5
attempts_max = 1

[operations]
attempts_max = 100
retry_delay_s_min = 0.1
retry_delay_s_max = 1
call_limit_s = 8

[[operations.links]]
engines = ["http"]
streams = 3
"""


class Place:
    """An installation whose sites A and B are the two servers."""

    def __init__(self, folder: Path, servers: dict[str, XrootdServer]) -> None:
        self.folder = folder
        self.servers = servers
        self.trace = folder / "trace"
        chance = random.Random(5)
        self.content = {f"/data/d{n % 3}/f{n:02}": chance.randbytes(chance.randrange(200_000)) for n in range(N_FILES)}
        for path, data in self.content.items():
            servers["A"].put(path, data)
        authorities = next(iter(servers.values())).authority.bundle
        (folder / "holdfast.toml").write_text(SETTINGS.format(authorities=authorities))
        SqlStore.create(folder / "state/inventory.db").close()
        for site, server in servers.items():
            self.finish("site", "add", site, "--protocol", "webdav", "--root", server.https_url)

    def begin(self, *command: str, at: str = "") -> subprocess.Popen[str]:
        """Begin a command; with ``at`` it dies there."""
        self.trace.unlink(missing_ok=True)
        options = ["--small", "--trace", str(self.trace), *(["--at", at] if at else [])]
        return subprocess.Popen(
            [sys.executable, "-m", "holdfast.testing.killer", *options, "--", *command],
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *command: str) -> None:
        """A command that has to come to its end by itself."""
        process = self.begin(*command)
        output, _ = process.communicate(timeout=COMMAND_S_MAX)
        assert process.returncode == 0, output

    def finish_under_fire(self, command: Sequence[str], kills: Sequence[tuple[str, str]]) -> None:
        """The same while servers are killed: at (step passed, site), one after the other."""
        process = self.begin(*command)
        with self._firing(process, kills) as fired:
            output, _ = process.communicate(timeout=COMMAND_S_MAX)
        assert process.returncode == 0, output
        assert fired == list(kills), "it came to its end before all were killed"

    def dies(self, command: Sequence[str], at: str) -> None:
        """A command that is killed at a step."""
        process = self.begin(*command, at=at)
        output, _ = process.communicate(timeout=COMMAND_S_MAX)
        assert process.returncode == -signal.SIGKILL, output

    @contextmanager
    def _firing(
        self, process: subprocess.Popen[str], kills: Sequence[tuple[str, str]]
    ) -> Iterator[list[tuple[str, str]]]:
        fired: list[tuple[str, str]] = []
        thread = threading.Thread(target=self._fire, args=(process, kills, fired))
        thread.start()
        try:
            yield fired
        finally:
            thread.join()

    def _fire(
        self, process: subprocess.Popen[str], kills: Sequence[tuple[str, str]], fired: list[tuple[str, str]]
    ) -> None:
        for step, site in kills:
            n_before = len(self._passed())
            while step not in self._passed()[n_before:]:
                if process.poll() is not None:
                    return
                time.sleep(0.001)
            self.servers[site].kill()
            fired.append((step, site))
            time.sleep(AWAY_S)
            self.servers[site].start()

    def _passed(self) -> list[str]:
        return self.trace.read_text().split() if self.trace.exists() else []

    def there(self, site: str) -> dict[str, bytes]:
        """What lies in the folder of a server, unfinished files left out.

        One of these may stay: its server was dead when it was to be removed, or has written it after that. The next
        check of the site finds it.
        """
        root = self.servers[site].data
        found = (path for path in root.rglob("*") if path.is_file() and not parts.is_part_name(path.name))
        return {f"/{path.relative_to(root)}": path.read_bytes() for path in found}

    def written(self) -> dict[str, int]:
        """Which file is in which place at B, unfinished ones left out."""
        root = self.servers["B"].data
        found = (path for path in root.rglob("*") if path.is_file() and not parts.is_part_name(path.name))
        return {f"/{path.relative_to(root)}": path.stat().st_ino for path in found}

    def told(self, kind: type[c.FilesArrived] | type[c.FilesDeleted]) -> list[tuple[str, int]]:
        """Files at B that the journal says have come, or gone; a file for each time."""
        with closing(SqlStore.open(self.folder / "state/inventory.db")) as store:
            assert verify(store) == []
            with store.snapshot() as view:
                assert not view.copy_requests()
                assert not view.deletion_requests()
            told = [each for entry in store.entries() for each in entry.changes if isinstance(each, kind)]
        return sorted((each.block.block, ordinal) for each in told if each.site == "B" for ordinal in each.ordinals)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    real.require("xrootd")
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as one, xrootd_server(authority=one.authority) as other:
        yield Place(tmp_path, {"A": one, "B": other})


def test_servers_and_workers_that_are_killed_at_every_step(place: Place) -> None:
    copy = ["copy", DATASET, "--to", "B", "--quiet"]
    place.finish("publish", "/data", "--dataset", DATASET, "--site", "A", "--quiet")
    place.dies(copy, "copy.part-written:2")
    place.dies(copy, "copy.renamed:3")
    before = place.written()
    kills = [("copy.claimed", "B"), ("copy.part-written", "A"), ("copy.renamed", "B"), ("copy.reported", "A")]
    place.finish_under_fire(copy, kills)
    assert place.there("B") == place.there("A") == place.content
    assert before.items() <= place.written().items(), "a good file was written again"
    arrived = place.told(c.FilesArrived)
    assert len(arrived) == len(set(arrived)) == N_FILES

    delete = ["delete", DATASET, "--at", "B", "--reason", "test", "--despite-brake", "--quiet"]
    place.dies(delete, "deletion.deleted:2")
    place.finish_under_fire(delete, [("deletion.claimed", "B"), ("deletion.deleted", "B")])
    assert place.there("B") == {}
    assert place.there("A") == place.content
    gone = place.told(c.FilesDeleted)
    assert len(gone) == len(set(gone)) == N_FILES
