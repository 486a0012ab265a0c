"""Other processes map what a server publishes: whole states only, never an older one, whatever becomes of the files.

Method: a server process on SQLite that publishes as often as it can, an image of
small pieces that are merged all the time, three processes that map it and
are asked without a pause, and a server that is killed and started again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.inventory.image.publisher import MANIFEST
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Head
from holdfast.model.errors import BrokenInvariant
from holdfast.testing.inventory_server import digest_of
from holdfast.testing.server_process import ServerDied, ServerProcess
from inventory import twin_writes
from inventory.twin_writes import TwinWrites

N_WRITES, N_KILLS = 120, 2
LONG_S = 30.0

pytestmark = pytest.mark.slow


class Published:
    """A server, those who map what it publishes, and what they have answered."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.image = folder / "image"
        with closing(SqlStore.create(place)) as store:
            store.commit(twin_writes.beginning(1))
        more = ["--publish", self.image, "--publish-every", "0.01", "--small"]
        self.server = ServerProcess([place, *more], folder / "server.log")
        self.mappers = [ServerProcess(["--mapped", self.image], folder / f"mapper{number}.log") for number in range(3)]
        self.stopped = threading.Event()
        self.digests: dict[int, str] = {}

    def start(self) -> None:
        """The server first: the others need something to map."""
        self.server.start()
        for mapper in self.mappers:
            mapper.start()

    def read_on(self, mapper: ServerProcess) -> int:
        """Ask again and again, and judge; returns how many states were seen."""
        positions = [0]
        while not self.stopped.is_set():
            answer = mapper.read(digest=True, **twin_writes.question(1))
            twin_writes.assert_whole(answer, 1)
            position = answer["head"].position
            assert position >= positions[-1], f"back from {positions[-1]} to {position}"
            assert self.digests.setdefault(position, answer["digest"]) == answer["digest"]
            positions += [position] * (position > positions[-1])
        return len(positions) - 1

    def wait_for(self, mapper: ServerProcess, head: Head) -> None:
        """Until ``head`` has been published."""
        _wait_until(lambda: mapper.read()["head"].position >= head.position)


def _is_whole(mapper: ServerProcess) -> bool:
    try:
        mapper.read()
    except BrokenInvariant:
        return False
    return True


def _wait_until(is_so: Callable[[], bool]) -> None:
    ticking = threading.Event()
    for _ in range(int(LONG_S / 0.01)):
        if is_so():
            return
        ticking.wait(0.01)
    raise AssertionError("it did not become so")


@pytest.fixture
def published(tmp_path: Path, fast_folder: Path) -> Iterator[Published]:
    made = Published(tmp_path, fast_folder / "inventory.db")
    try:
        made.start()
        yield made
    finally:
        made.stopped.set()
        for process in [made.server, *made.mappers]:
            process.kill()


def _write(server: ServerProcess, writes: TwinWrites, count: int) -> Head:
    for _ in range(count):
        head = server.commit(writes.next())
    return head


def test_readers_see_whole_states_while_a_server_commits_and_dies(published: Published) -> None:
    writes = TwinWrites(0)
    with ThreadPoolExecutor(len(published.mappers)) as pool:
        readers: list[Future[int]] = [pool.submit(published.read_on, mapper) for mapper in published.mappers]
        try:
            for _ in range(N_KILLS):
                head = _write(published.server, writes, N_WRITES // (N_KILLS + 1))
                published.server.kill()
                published.server.start()
            head = _write(published.server, writes, N_WRITES // (N_KILLS + 1))
            for mapper in published.mappers:
                published.wait_for(mapper, head)
        finally:
            published.stopped.set()
        assert min(reader.result() for reader in readers) > N_WRITES // 20
    answer = published.server.read(head, digest=True)
    assert {mapper.read(digest=True)["digest"] for mapper in published.mappers} == {answer["digest"]}
    assert published.server.status()["publishing"] == ""


def test_a_reader_outlives_the_files_it_has_mapped(published: Published, fast_folder: Path) -> None:
    writes, mapper = TwinWrites(0), published.mappers[0]
    published.wait_for(mapper, _write(published.server, writes, 30))
    before = mapper.read(hold="before", digest=True, **twin_writes.question(1))
    mapped = set(published.image.glob("*.part"))
    published.wait_for(mapper, _write(published.server, writes, 60))
    assert mapped - set(published.image.glob("*.part")), "nothing that was mapped has been removed"
    for path in published.image.iterdir():
        path.unlink(missing_ok=True)  # The server still merges, and removes some itself.
    again = mapper.read(held="before", digest=True, **twin_writes.question(1))
    assert again == before
    head = _write(published.server, writes, 1)
    # All of it, though the server had written most of it before; what came while we removed may name what is gone.
    _wait_until(lambda: (published.image / MANIFEST).exists() and _is_whole(mapper))
    published.wait_for(mapper, head)
    with closing(SqlStore.open(fast_folder / "inventory.db")) as store, store.snapshot() as snapshot:
        assert digest_of(snapshot) == mapper.read(digest=True)["digest"]


def test_whoever_is_asked_when_it_is_dead(published: Published) -> None:
    published.server.kill()
    with pytest.raises(ServerDied):
        published.server.status()
    assert published.mappers[0].read()["head"].position == 1
