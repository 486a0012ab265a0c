"""Two real XRootD servers, a worker, and people who add, copy, delete, move and break files all the time.

Threads: the worker's, the people's, and the test's, which checks. Each has an
inventory connection and drivers of its own. Everything that people do behind
the back of Holdfast is noted with its moment, before it is done.

``stable`` files are published at both sites; each is hurt at one site only, so
that a good copy is always left. ``busy`` ones come and go through Holdfast.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.config import OperationsSettings
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model.clock import system_clock
from holdfast.model.errors import Conflict
from holdfast.model.names import DatasetKey
from holdfast.model.records import Door, RequestState, Site
from holdfast.operations import executor, requests
from holdfast.replication.publication import PublishOutcome
from holdfast.replication.publish import publish
from holdfast.storage import doors
from holdfast.storage.driver import StorageDriver

if TYPE_CHECKING:
    from holdfast.testing.servers.xrootd_server import XrootdServer

STABLE = DatasetKey("stable", "v1")
N_STABLE, N_DIRS = 48, 12
IGNORE_AGE_S = 6
SETTINGS = OperationsSettings(
    concurrency=4, attempts_max=3, retry_delay_s_min=0.1, retry_delay_s_max=0.5, held_retry_s=2.0
)
_T = TypeVar("_T")


@dataclass
class Notes:
    """What people did behind the back of Holdfast, by site and path: when, in us."""

    content: dict[str, bytes] = field(default_factory=dict)
    """What each published file has to be, by LFN."""
    hurt: dict[tuple[str, str], int] = field(default_factory=dict)
    dark: dict[tuple[str, str], int] = field(default_factory=dict)
    """Files that nobody publishes: put, or moved there."""
    growing: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """Files that somebody is writing all the time, and will publish."""


class RaceWorld:
    """The two sites, ONE and TWO, and an inventory in ``folder``."""

    def __init__(self, folder: Path, servers: dict[str, XrootdServer]) -> None:
        self.folder, self.servers, self.notes = folder, servers, Notes()
        self.inventory = folder / "inventory.db"
        with closing(SqlStore.create(self.inventory)) as store:
            for name, server in servers.items():
                server.make_directory("/t")
                site = Site(name, (Door("xroot", f"{server.root_url}/t"),))
                store.commit(c.ChangeSet((c.PutSite(site),), actor="test", cause="test"))

    # ---- the disks, behind the servers ------------------------------------------------

    def place(self, site: str, path: str) -> Path:
        return self.servers[site].data / f"t{path}"

    def put(self, site: str, path: str, data: bytes) -> None:
        self.servers[site].put(f"/t{path}", data)

    def files(self, site: str) -> dict[str, bytes]:
        root = self.place(site, "")
        return {f"/{each.relative_to(root)}": each.read_bytes() for each in root.rglob("*") if each.is_file()}

    # ---- what threads share ------------------------------------------------------------

    def store(self) -> SqlStore:
        return SqlStore.open(self.inventory)

    async def with_driver(self, site: str, use: Callable[[StorageDriver], Coroutine[Any, Any, _T]]) -> _T:
        driver = doors.open_driver("xroot", f"{self.servers[site].root_url}/t", site=site)
        try:
            return await use(driver)
        finally:
            await driver.close()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Workers are at it meanwhile."""
        over = threading.Event()

        async def work(store: SqlStore) -> None:
            def drivers(site: Site) -> StorageDriver:
                return doors.open_driver("xroot", site.first_door.root, site=site.name)

            running = asyncio.ensure_future(
                executor.run(
                    store,
                    drivers,
                    settings=SETTINGS,
                    clock=system_clock,
                    workers_dir=self.folder / "workers",
                    forever=True,
                )
            )
            while not over.is_set() and not running.done():
                await asyncio.sleep(0.05)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

        def run() -> None:
            with closing(self.store()) as store:
                asyncio.run(work(store))

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run)
            try:
                yield
            finally:
                over.set()
            running.result()

    def wait_until_idle(self, store: SqlStore, limit_s: float = 60.0) -> None:
        """Until nothing is open any more."""
        end_s = time.monotonic() + limit_s
        while True:
            with store.snapshot() as view:
                open_ = [*view.copy_requests(), *view.deletion_requests()]
            if not open_:
                return
            assert time.monotonic() < end_s, f"open still: {open_}"
            time.sleep(0.1)


class People:
    """They do one thing after the other, until ``stop``; an error of theirs is raised there."""

    def __init__(self, world: RaceWorld, seed: int) -> None:
        self._world, self._notes = world, world.notes
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._n = 0
        self.done: Counter[str] = Counter()
        self._busy: list[DatasetKey] = []

    def start(self) -> None:
        """Let them begin."""
        self._running = self._pool.submit(self._live)

    def stop(self) -> None:
        """Let them come to an end."""
        self._over.set()
        self._pool.shutdown()
        self._running.result()

    def _live(self) -> None:
        deeds = [deed for deed, weight in self._deeds() for _ in range(weight)]
        with closing(self._world.store()) as self._store, closing(asyncio.new_event_loop()) as self._loop:
            while not self._over.wait(self._random.uniform(0.0, 0.06)):
                deed = self._random.choice(deeds)
                with suppress(Conflict):  # Not now: the other copy is not there yet, say.
                    deed()
                    self.done[deed.__name__.strip("_")] += 1
            self._publish_growing()

    def _deeds(self) -> list[tuple[Callable[[], None], int]]:
        return [
            (self._publish, 2),
            (self._copy, 4),
            (self._delete, 3),
            (self._cancel, 1),
            (self._hurt, 6),
            (self._restore, 1),
            (self._add_dark, 4),
            (self._remove_dark, 1),
            (self._grow, 6),
        ]

    def _site(self) -> str:
        return self._random.choice(sorted(self._world.servers))

    # ---- through Holdfast ----------------------------------------------------------------

    def _publish(self) -> None:
        self._n += 1
        site, key = self._site(), DatasetKey(f"busy{self._n}", "v1")
        for number in range(self._random.randint(1, 4)):
            lfn = f"/busy/d{self._n}/f{number}"
            self._notes.content[lfn] = f"{lfn} ".encode() * self._random.randint(1, 50)
            self._world.put(site, lfn, self._notes.content[lfn])
        self._publish_at(site, f"/busy/d{self._n}", key)
        self._busy.append(key)

    def _publish_at(self, site: str, directory: str, key: DatasetKey) -> None:
        with self._store.snapshot() as view:
            record = view.site(site)

        async def go(driver: StorageDriver) -> None:
            report = await publish(
                self._store, driver, record, directory, key, clock=system_clock, actor="people", workers=1
            )
            assert report.outcome is PublishOutcome.PUBLISHED, report

        self._loop.run_until_complete(self._world.with_driver(site, go))

    def _copy(self) -> None:
        if self._busy:
            key = self._random.choice(self._busy)
            asking = {"reason": "race", "actor": "people", "clock": system_clock}
            requests.request_copy(self._store, key, self._site(), **asking)  # type: ignore[arg-type]

    def _delete(self) -> None:
        if self._busy:
            key = self._random.choice(self._busy)
            asking = {"reason": "race", "actor": "people", "clock": system_clock}
            requests.request_replica_deletion(self._store, key, self._site(), **asking)  # type: ignore[arg-type]

    def _cancel(self) -> None:
        with self._store.snapshot() as view:
            mine = [each for each in view.copy_requests() if each.reason == "race"]
        if mine:
            requests.cancel(self._store, self._random.choice(mine).id, reason="race", actor="people")

    # ---- behind its back ---------------------------------------------------------------------

    def _hurt(self) -> None:
        """Remove, cut off, move or spoil a stable file, always at the same site of each file."""
        number = self._random.randrange(N_STABLE)
        site, lfn = sorted(self._world.servers)[number % 2], stable(number)
        place = self._world.place(site, lfn)
        if not place.exists() or place.read_bytes() != self._notes.content[lfn]:
            return
        self._notes.hurt[site, lfn] = system_clock()
        match self._random.randrange(4):
            case 0:
                place.unlink()
            case 1:
                os.truncate(place, 5)
            case 2:
                place.unlink()  # Servers remember checksums by the file, and know its age to the second only.
                self._world.put(site, lfn, b"?" * len(self._notes.content[lfn]))
            case _:
                self._n += 1
                to = f"/moved/{self._n}"
                self._notes.dark[site, to] = system_clock()
                self._world.servers[site].make_directory("/t/moved")
                place.rename(self._world.place(site, to))

    def _restore(self) -> None:
        if self._notes.hurt:
            site, lfn = self._random.choice(sorted(self._notes.hurt))
            if not self._world.place(site, lfn).exists():
                with suppress(FileNotFoundError):  # It came back by itself, and its directory went.
                    self._world.put(site, lfn, self._notes.content[lfn])

    def _add_dark(self) -> None:
        self._n += 1
        site = self._site()
        path = self._random.choice([f"/stable/d{self._n % N_DIRS}/dark{self._n}", f"/dark/{self._n}"])
        self._notes.dark[site, path] = system_clock()
        self._world.put(site, path, b"dark %d" % self._n)

    def _remove_dark(self) -> None:
        if self._notes.dark:
            site, path = self._random.choice(sorted(self._notes.dark))
            self._world.place(site, path).unlink(missing_ok=True)

    def _grow(self) -> None:
        """Somebody writes on, one of two files."""
        site = self._site()
        path = f"/growing/{site}/file"
        before = self._notes.growing.get((site, path), b"")
        more = b"%d " % len(before)
        self._notes.growing[site, path] = before + more
        if not before:
            self._world.put(site, path, more)
            return
        with self._world.place(site, path).open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(more)

    def _publish_growing(self) -> None:
        for (site, path), data in sorted(self._notes.growing.items()):
            self._notes.content[path] = data
            self._publish_at(site, path.rpartition("/")[0], DatasetKey(f"grown{site}", "v1"))


def stable(number: int) -> str:
    """The LFN of a stable file."""
    return f"/stable/d{number % N_DIRS}/f{number}"


def publish_stable(world: RaceWorld) -> None:
    """Publish the stable files at ONE, and have them copied to TWO."""
    for number in range(N_STABLE):
        data = world.notes.content[stable(number)] = f"stable {number} ".encode() * (number + 1)
        world.put("ONE", stable(number), data)
    with closing(world.store()) as store:
        with store.snapshot() as view:
            record = view.site("ONE")

        async def go(driver: StorageDriver) -> None:
            await publish(store, driver, record, "/stable", STABLE, clock=system_clock, actor="people")

        asyncio.run(world.with_driver("ONE", go))
        asked = requests.request_copy(store, STABLE, "TWO", reason="setup", actor="people", clock=system_clock)
        with world.working():
            world.wait_until_idle(store)
        with store.snapshot() as view:
            found = view.request(asked.request.id)
        assert found is not None
        assert found.state is RequestState.DONE
