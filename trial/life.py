"""Life: a day at the real sites, with workers at work, and everything that dies in it.

Copies and deletions are asked for, by the commands and by the Python API; files
are registered one by one meanwhile. Then a server of the inventory is killed,
the database, an XRootD server in the middle of copies and another in the middle
of a check, and the WebDAV site is gone for a while. Whoever looks after them
starts each again, and the workers if one has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from holdfast.model.clock import system_clock
from holdfast.model.records import BlockFiles
from holdfast.operations import requests
from holdfast.storage.listing.ledger_file import LEDGER
from trial.amounts import BLOCKS_A_DATASET
from trial.checks import Checks
from trial.files import block_key, directory_of
from trial.inventory import ACTOR, Registrar
from trial.plan import REAL, Use
from trial.processes import Command, Commands
from trial.world import World

THREADS = 4
FAR_SIDE_FAILED = 3
"""The exit code of a worker whose database is away."""
WAIT_S = 7200.0
DOWN_S = 3.0
"""For so long a server that was killed is not there."""


class Workers:
    """The workers of copies and of deletions, and who starts one again that has ended."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._ended = threading.Event()
        self._running: dict[str, Command] = {}
        self.codes: list[int] = []
        """How those ended that were started again, in their order."""
        for group in ("transfers", "deletions"):
            self._start(group)
        self._thread = threading.Thread(target=self._look_after, daemon=True)
        self._thread.start()

    def wrong(self, n_in_trouble: int) -> list[str]:
        """Workers that ended otherwise than for the database's sake, or after the first ``n_in_trouble``, in peace."""
        ended = [f"a worker ended with {code}" for code in self.codes if code != FAR_SIDE_FAILED]
        return ended + [f"a worker ended with {code}, and nothing was killed" for code in self.codes[n_in_trouble:]]

    def end(self) -> None:
        """End them in good order."""
        self._ended.set()
        self._thread.join()
        for command in self._running.values():
            command.end()

    def _start(self, group: str) -> None:
        self._running[group] = self._commands.start(group, "run", "--forever", "--quiet", name=f"{group} run")

    def _look_after(self) -> None:
        while not self._ended.wait(1.0):
            for group, command in self._running.items():
                code = command.process.poll()
                if code is not None:
                    self.codes.append(code)
                    self._start(group)


@contextmanager
def workers(world: World) -> Iterator[Workers]:
    """Workers while the context lasts."""
    made = Workers(world.commands)
    try:
        yield made
    finally:
        made.end()


def _ask(world: World) -> dict[str, float]:
    """Ask for all copies and deletions of the day; what that took."""
    began, amounts = time.monotonic(), world.plan.amounts
    blocks = [(site, block) for site in REAL for block in world.plan.blocks_for(Use.COPIED, site)]
    # One of each pair of sites after the other.
    blocks.sort(key=lambda each: each[1])
    for number, (_, block) in enumerate(blocks[: amounts.copied_blocks]):
        _copy(world, block, world.plan.third_site(block), by_command=number < amounts.by_command)
    blocks = [(site, block) for site in REAL for block in world.plan.blocks_for(Use.DELETED, site)]
    blocks.sort(key=lambda each: each[1])
    for number, (_, block) in enumerate(blocks[: amounts.deleted_blocks]):
        _delete(world, block, world.plan.sites_of(block // BLOCKS_A_DATASET)[1], by_command=number < amounts.by_command)
    return {"asking_s": round(time.monotonic() - began, 1)}


def _copy(world: World, block: int, site: str, *, by_command: bool) -> None:
    key = block_key(block)
    world.book.put_block(site, block)
    if by_command:
        world.commands.run("copy", str(key.dataset), "--to", site, "--block", key.block, "--no-wait", "--quiet")
        return
    scope, why = [BlockFiles(key.block)], "a day's work"
    who = {"reason": why, "actor": ACTOR, "clock": system_clock}
    requests.request_copy(world.store, key.dataset, site, scope=scope, may_wait=True, **who)  # type: ignore[arg-type]


def _delete(world: World, block: int, site: str, *, by_command: bool) -> None:
    key = block_key(block)
    world.book.drop_block(site, block)
    if by_command:
        why = ("--reason", "room for others", "--no-wait", "--quiet")
        world.commands.run("delete", str(key.dataset), "--at", site, "--block", key.block, *why)
        return
    requests.request_replica_deletion(
        world.store,
        key.dataset,
        site,
        scope=[BlockFiles(key.block)],
        reason="room for others",
        actor=ACTOR,
        clock=system_clock,
    )


def register_and_kill(world: World, registrar: Registrar) -> float:
    """Register single files, and kill the database and a server of the inventory meanwhile; seconds without those."""
    n_files = world.plan.amounts.single_files
    registrar.prepare(world.store)
    began = time.monotonic()
    registering = _Beside(lambda: registrar.register(n_files, threads=THREADS))
    registering.wait_until(lambda: registrar.n_done >= n_files // 4)
    world.servers[0].kill()
    registering.wait_until(lambda: registrar.n_done >= n_files // 3)
    world.start_server(0)
    registering.wait_until(lambda: registrar.n_done >= n_files // 2)
    world.kill_database()
    time.sleep(DOWN_S)
    world.start_database()
    registering.join()
    return time.monotonic() - began


def kill_a_storage(world: World, name: str) -> None:
    """kill -9 of a storage in the midst of what it does, and start it again."""
    world.real[name].server.kill()
    time.sleep(DOWN_S)
    world.start_storage(name)


def ask_and_kill(world: World, name: str) -> dict[str, float]:
    """Ask for all of the day, and kill a site's server when the first of the copies to it have come."""
    told: dict[str, float] = {}
    asking = _Beside(lambda: told.update(_ask(world)))
    _kill_in_copies(world, name, asking)
    asking.join()
    return told


def _kill_in_copies(world: World, name: str, asking: _Beside) -> None:
    coming = [block for site in REAL for block in world.plan.blocks_for(Use.COPIED, site)]
    block = min(block for block in coming if world.plan.third_site(block) == name)
    place, deadline = world.real[name].place(directory_of(block)), time.monotonic() + WAIT_S
    while not (place.is_dir() and any(place.iterdir())) and time.monotonic() < deadline:
        if not asking.is_alive():
            asking.join()  # Nothing comes if it has failed.
        time.sleep(0.02)
    with world.store.snapshot() as view:
        is_in_time = any(request.site == name for request in view.copy_requests())
    kill_a_storage(world, name)
    _note_kill(world, "a storage killed in copies to it", is_in_time=is_in_time)


def check_and_kill(world: World, checks: Checks, name: str) -> bool:
    """Kill a site's server in the middle of a check with checksums; whether that check came to its end."""
    reports = world.folder / "reports" / name
    command = checks.start(name, "--checksums")
    deadline = time.monotonic() + WAIT_S
    # The listing keeps its ledger there while it goes on.
    while not any(reports.glob(f"**/{LEDGER}")) and command.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    is_in_time = command.process.poll() is None
    kill_a_storage(world, name)
    ran = command.wait()
    if ran.document and "agrees" in ran.document:
        checks.noted(name, ran, is_disturbed=True)
    _note_kill(world, "a storage killed in a check", is_in_time=is_in_time, exit_code=ran.code)
    return ran.code in (0, 1)


def _note_kill(world: World, name: str, *, is_in_time: bool, **figures: int) -> None:
    """A kill that came too late has shown nothing."""
    world.figures.put(name, in_the_middle=is_in_time, **figures)
    world.wrong += [] if is_in_time else [f"{name}: that came too late"]


class _Beside(threading.Thread):
    """Work beside, whose error is raised where it is waited for."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self._error = error

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Until something is so, or the work is over."""
        while not is_so() and self.is_alive():
            time.sleep(0.01)

    def join(self, timeout: float | None = None) -> None:
        super().join(timeout)
        if self._error is not None:
            raise self._error
