"""Local walk: list a tree that the operating system shows us, with as many processes as there are cores.

A packet of directories goes to a worker, which walks it and what is below by
directory handles and writes the rows; the ledger books what it says
in one step. What it did not get to waits again, for any worker.

Rules
  * The result is that of the engine over a PosixDriver, and can be gone on with
    by either.
  * The packet of a worker that dies is walked again by another; after
    ``DEATHS_MAX`` deaths in a row the walk ends with an error.
  * One of the workers is this process; it looks after the others now and then.
    None is started for a tree that is walked before it would be.
  * A worker that has nothing to do gets a part of what others have: they are
    told to hurry, and give back what is left of their packets.
  * Killed at any moment, nothing that was booked is lost or repeated, and no
    worker goes on writing for long.

Raises what DiskLedger raises, what is wrong with the top if that cannot be
listed, and OperatorError if the root cannot be opened or the workers cannot work.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection as connections
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from holdfast import logs
from holdfast.model.errors import HoldfastError, OperatorError
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.found import Walked
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.local_packet import ATTEMPTS, Expected, LocalPacket, Task
from holdfast.storage.listing.local_worker import HURRY, without_collecting
from holdfast.storage.listing.part_files import told_of
from holdfast.storage.listing.skipping import Skip, enter_all
from holdfast.storage.listing.summary import ListingCounts, Summary
from holdfast.storage.posix.driver import PosixDriver
from holdfast.storage.posix.rooted import Rooted

DEATHS_MAX = 3
PACKET_MAX = 512
"""Directories in a packet; with what is below them it is work for seconds."""

ROWS_MAX = 1 << 18
SECONDS_MAX = 5.0
"""As much is lost at most of a packet whose worker dies."""

LOOK_S = 0.2
"""How often to look whether the walk is to stop, where there is nothing else to do."""

_log = logs.get("storage")

_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from holdfast.storage.listing.local_worker import main
main(int(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class LocalProgress:
    """How far a local walk is: what is booked, and how many directories are known and not given to a worker."""

    counts: ListingCounts
    waiting: int


Progress = Callable[[LocalProgress], None]


def never() -> bool:
    """Do not stop."""
    return False


def walk_local(
    root: Path,
    ledger: DiskLedger,
    *,
    workers: int | None = None,
    skip: Skip = enter_all,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = never,
    rows_max: int = ROWS_MAX,
    seconds_max: float = SECONDS_MAX,
    attempts: int = ATTEMPTS,
    expected: Expected | None = None,
) -> Summary | None:
    """List what waits in the ledger, below ``root``, and finish it; None if ``stopped`` said so before the end.

    ``skip`` and ``expected`` go to other processes: functions of a module, or values that can be called.
    ``progress`` is called after each packet.
    """
    PosixDriver(root)  # What is wrong with a root is told in the words of those who list it otherwise.
    task = Task(ledger.folder, ledger.plan.top, skip, rows_max, seconds_max, attempts, expected)
    crew = _Crew(root.resolve(strict=True), task, workers or len(os.sched_getaffinity(0)), ledger, progress)
    try:
        return ledger.finish() if crew.walk(stopped) else None
    finally:
        crew.dismiss()


class _Crew:
    """This process and ``size`` - 1 others, and what each of them has to do."""

    def __init__(self, root: Path, task: Task, size: int, ledger: DiskLedger, progress: Progress | None) -> None:
        self._root = root
        self._rooted = Rooted(root)
        self._task = task
        self._size = size
        self._ledger = ledger
        self._progress = progress
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, _Worker] = {}
        self._deaths = 0

    def walk(self, stopped: Callable[[], bool]) -> bool:
        """Walk until nothing waits; False if it was stopped before."""
        while not stopped():
            packet = self._take()
            self._give_out()
            if packet:
                with without_collecting(), told_of(self._task.folder):
                    walked = LocalPacket(self._rooted, self._task, self._attend, stopped).walk(packet)
                self._book(packet, walked)
            elif self._busy:
                for worker in self._busy.values():
                    worker.hurry()
                self._hear(LOOK_S)
            else:
                return True
        return False

    def dismiss(self) -> None:
        """Send all home; what they have not answered yet is walked again another time."""
        for worker in (*self._idle, *self._busy.values()):
            worker.end()
        self._idle, self._busy = [], {}
        self._rooted.close()

    def _attend(self) -> bool:
        """Look after the others, in the midst of our own packet; whether one of them has nothing to do."""
        if self._busy:
            self._hear(0)
        self._give_out()
        return len(self._busy) < self._size - 1

    def _give_out(self) -> None:
        while len(self._busy) < self._size - 1 and self._ledger.waiting:
            worker = self._idle.pop() if self._idle else _Worker(self._root, self._task)
            worker.begin(self._take())
            self._busy[worker.connection] = worker

    def _take(self) -> Sequence[WaitingDirectory]:
        """What one is to do next: so much that there is something for the others, too."""
        return self._ledger.take(max(1, min(PACKET_MAX, self._ledger.waiting // (2 * self._size))))

    def _hear(self, timeout_s: float) -> None:
        """Book what was answered."""
        for each in connections.wait([*self._busy], timeout_s):
            assert isinstance(each, Connection)
            worker = self._busy.pop(each)
            packet, answer = worker.packet, worker.answer()
            if answer is None:
                self._bury(worker, packet)
                continue
            self._idle.append(worker)
            if isinstance(answer, HoldfastError):
                raise answer
            # Whoever waits begins with what there is already, while this is brought to disk.
            self._give_out()
            self._book(packet, answer)
            self._deaths = 0

    def _book(self, packet: Sequence[WaitingDirectory], walked: Walked) -> None:
        self._ledger.book(packet, walked)
        if self._progress is not None:
            self._progress(LocalProgress(self._ledger.counts, self._ledger.waiting))

    def _bury(self, worker: _Worker, packet: Sequence[WaitingDirectory]) -> None:
        self._deaths += 1
        reason = worker.end()
        _log.warning("a worker of the local walk died", reason=reason, deaths=self._deaths)
        if self._deaths >= DEATHS_MAX:
            raise OperatorError(
                f"the processes that list die one after the other: {reason}",
                place=str(self._root),
                hint="is there enough memory? what was listed is kept",
            )
        self._ledger.give_back(packet)


class _Worker:
    """A process that lists, and our end of the line to it."""

    def __init__(self, root: Path, task: Task) -> None:
        ours, theirs = socket.socketpair()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 — closed by ``end``.
        with ours, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, json.dumps(sys.path), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                # Threads for sums that nobody asks for take a while to start.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
            self.connection = Connection(ours.detach())
        self.packet: Sequence[WaitingDirectory] = ()
        self._hurries = False
        self._send((root, task))

    def begin(self, packet: Sequence[WaitingDirectory]) -> None:
        """Give it something to do."""
        self.packet, self._hurries = packet, False
        self._send(packet)

    def hurry(self) -> None:
        """Let it come back soon with what is left."""
        if not self._hurries:
            self._hurries = True
            self._send(HURRY)

    def answer(self) -> Walked | HoldfastError | None:
        """What it says; None if it is dead."""
        try:
            answer: Walked | HoldfastError = self.connection.recv()
        except (EOFError, OSError):
            return None
        return answer

    def end(self) -> str:
        """Let it be gone; how it ended, for people."""
        self.connection.close()
        self._process.kill()
        code = self._process.wait()
        with self._errors as errors:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().split("\n")[-1]
        return said or (f"signal {-code}" if code < 0 else f"exit code {code}")

    def _send(self, message: object) -> None:
        with suppress(OSError):  # It is dead: that will be noticed when nothing is heard from it.
            self.connection.send(message)
