"""What goes wrong around a worker must not cost more than itself: hung storages, no room, a database that is away.

Method: workers in simulated time, with drivers that hang; where a process has to
end, a process.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import pytest
from operations_world import SETTINGS
from shared_world import Seat, SharedWorld, SlowDriver
from sqlalchemy import update

from holdfast.model.errors import DatabaseAway, WorkerStuck
from holdfast.model.names import DatasetKey
from holdfast.model.records import RequestState, Site
from holdfast.operations.batches import tables
from holdfast.operations.progress import RunProgress
from holdfast.operations.work.scheduling import Scheduler
from holdfast.storage.driver import Stat, StorageDriver

EIGHT = SETTINGS.model_copy(update={"concurrency": 8})


@pytest.fixture
def world(tmp_path: Path) -> SharedWorld:
    return SharedWorld(tmp_path)


class Hung(SlowDriver):
    """Its writes never end; ``ignores``: not even when they are cancelled, while the test lasts."""

    is_over = False

    def __init__(self, inner: StorageDriver, *, ignores: bool = False) -> None:
        super().__init__(inner, 0)
        self._ignores = ignores

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        while True:
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                if Hung.is_over or not self._ignores:
                    raise


def hang(world: SharedWorld, site: str, **given: Any) -> None:
    """One site hangs from now on, the others do not."""
    Hung.is_over = False

    def open_driver(at: Site) -> StorageDriver:
        inner = world.drivers[at.name]
        return Hung(inner, **given) if at.name == site else SlowDriver(inner, 0)

    world.drivers_of = lambda seat: open_driver  # type: ignore[method-assign]


async def ended(work: asyncio.Task[Any]) -> BaseException | None:
    work.cancel()
    (end,) = await asyncio.gather(work, return_exceptions=True)
    return end if isinstance(end, BaseException) else None


def test_one_who_finds_no_room_looks_seldom(world: SharedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    n_looks = 0
    choose = Scheduler.choose

    def counted(self: Scheduler, *given: Any, **named: Any) -> Any:
        nonlocal n_looks
        n_looks += 1
        return choose(self, *given, **named)

    world.publish(12, n_blocks=12)
    world.ask("B")
    one_by_one = SETTINGS.model_copy(update={"per_site_in": 1})

    async def second() -> None:
        await asyncio.sleep(1)
        monkeypatch.setattr(Scheduler, "choose", counted)
        working = asyncio.ensure_future(world.work(Seat("second"), settings=one_by_one))
        await asyncio.sleep(60)
        await ended(working)

    async def first() -> None:
        working = asyncio.ensure_future(world.work(Seat("first", call_s=1000), settings=one_by_one))
        await asyncio.sleep(62)
        await ended(working)

    world.together(first(), second())
    assert 10 < n_looks < 150  # Of both together, who look up every second.


def test_a_site_that_hangs_leaves_room_for_the_others(world: SharedWorld) -> None:
    datasets = [DatasetKey(f"/sky/s{number}", "1") for number in range(5)]
    for dataset in datasets:
        world.publish(8, dataset=dataset)
    hang(world, "B")

    async def main() -> None:
        for dataset in datasets[:4]:
            world.ask("B", dataset=dataset, owner="x")
        working = asyncio.ensure_future(world.work(Seat("service"), forever=True, settings=EIGHT))
        await asyncio.sleep(30)
        request = world.ask("C", dataset=datasets[4], owner="me")
        await asyncio.sleep(30)
        assert world.request(request.id).state is RequestState.DONE
        await ended(working)

    world.together(main())


@pytest.mark.parametrize("how", ["lease lost", "interrupted"])
def test_what_does_not_end_ends_the_worker(world: SharedWorld, how: str) -> None:
    world.publish(4)
    world.ask("B")
    hang(world, "B", ignores=True)

    async def main() -> None:
        working = asyncio.ensure_future(world.work(Seat("service"), forever=True, settings=EIGHT))
        await asyncio.sleep(5)
        before_s = world.time.monotonic()
        if how == "interrupted":
            working.cancel()
        else:
            with world.store.room(tables.metadata).write() as connection:
                connection.execute(update(tables.worker).values(is_dead=True))
        with pytest.raises(WorkerStuck, match="begun at B does not end") as caught:
            await working
        assert caught.value.exit_code == 3
        waited_s = world.time.monotonic() - before_s
        assert SETTINGS.call_limit_s <= waited_s < SETTINGS.call_limit_s + 2 * SETTINGS.lease_s
        Hung.is_over = True

    world.together(main())


@pytest.mark.parametrize("kind", ["deletion", "copy"])
def test_a_database_that_is_away_is_no_failure_of_the_storage(
    world: SharedWorld, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish(30, at="AB" if kind == "deletion" else "A")
    id = world.ask_replica_deletion("B") if kind == "deletion" else world.ask("B").id
    one_by_one = SETTINGS.model_copy(update={"deletions_per_site": 1, "concurrency": 1})
    told: list[RunProgress] = []
    head = world.store.head

    async def main() -> None:
        working = asyncio.ensure_future(
            world.work(Seat("service", call_s=0.1), forever=True, settings=one_by_one, progress=told.append)
        )
        await asyncio.sleep(1)

        def away() -> Any:
            raise DatabaseAway("the database cannot be reached")

        monkeypatch.setattr(world.store, "head", away)
        await asyncio.sleep(10)
        monkeypatch.setattr(world.store, "head", head)
        await asyncio.sleep(60)
        assert world.request(id).state is RequestState.DONE
        await ended(working)

    world.together(main())
    assert told[-1].files_failed == told[-1].files_held == 0


ENDING = """
import asyncio, signal, sys
from holdfast.cli import ending
from holdfast.model.errors import WorkerStuck

async def stuck():
    print("begun", flush=True)
    while True:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            pass

async def raises():
    asyncio.create_task(stuck())
    await asyncio.sleep(0)
    raise WorkerStuck("it does not end")

ending.run({work}())
"""


def test_the_process_ends_with_what_does_not_end() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING.format(work="raises")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (3, "holdfast: error: it does not end\n")


@pytest.mark.slow
def test_who_is_interrupted_twice_ends_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDING.format(work="stuck")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(20):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(1)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 130
