"""Presence: this worker among the others: known, alive by its beat, and watching who is dead.

Rules
  * The lock file is held before the worker is known, and removed after it is
    forgotten.
  * A worker beats when a third of its lease is over, whatever else it does.
  * Who has lost his lease does not go on under that name: he begins anew as
    another worker.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from holdfast import logs
from holdfast.model import steps
from holdfast.operations.batches import lease as leases
from holdfast.operations.batches.lease import Lease, Watch, WorkerFile
from holdfast.operations.batches.workers import NewWorker, WorkerRow, Workers
from holdfast.operations.carrying.outside import Tools

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class DeadWorker:
    """One that shows no life any more. ``is_proven``: it cannot be asleep either."""

    id: str
    dead_for_s: float
    """How long ago we have learnt of it."""
    is_proven: bool


class Presence:
    """One worker from its registration to its end. ``folder``: of the lock files of this machine."""

    def __init__(self, tools: Tools, folder: Path, *, host: str = "", pid: int = 0) -> None:
        self._tools = tools
        self._folder = folder
        self._host = host or os.uname().nodename
        self._pid = pid or os.getpid()
        self._workers = Workers(tools.store)
        self._watch = Watch(self._host, tools.outside.monotonic, lambda id: leases.is_alive(folder, id))
        self._watched_s: float | None = None
        self._file: WorkerFile | None = None
        self.id = ""
        self.lease = Lease(lambda: False, tools.settings.lease_s, tools.outside.monotonic)

    def register(self) -> None:
        """Be known as a worker, under a new id."""
        outside, lease_s = self._tools.outside, self._tools.settings.lease_s
        self.die()
        self.id = outside.new_id()
        self._file = WorkerFile(self._folder, self.id)
        self._file.acquire()
        self._workers.register(NewWorker(self.id, self._host, self._pid, lease_s), now_us=outside.clock())
        self.lease = Lease(partial(self._beat, self.id), lease_s, outside.monotonic)
        self.lease.renew()
        steps.reach("work.registered")
        _log.debug("worker registered", worker=self.id)

    def _beat(self, id: str) -> bool:
        return self._workers.beat(id, now_us=self._tools.outside.clock())

    def beat(self) -> bool:
        """Show a sign of life, if it is time; whether our lease holds."""
        return self.lease.renew() if self.lease.is_due else self.lease.is_held()

    def others(self) -> list[WorkerRow]:
        """The workers that are known beside this one."""
        return [row for row in self._workers.known() if row.id != self.id]

    def dead(self) -> list[DeadWorker]:
        """Those who are dead, if it is time to look."""
        now_s = self._tools.outside.monotonic()
        if self._watched_s is not None and now_s - self._watched_s < self._tools.settings.lease_s / 6:
            return []
        self._watched_s = now_s
        return [
            DeadWorker(id, self._watch.dead_for_s(id), self._watch.is_proven(id))
            for id in self._watch.dead(self._workers.known())
            if id != self.id  # Our own lease tells us.
        ]

    def forget(self, dead: DeadWorker) -> None:
        """Its claims were seen to: what it has left on this machine goes."""
        leases.remove_file(self._folder, dead.id)

    def leave(self) -> None:
        """Be a worker no longer. What is still claimed is taken over when the lease is over."""
        if self._file is not None:
            self._workers.gone(self.id)
            self._file.release()
            self._file = None

    def die(self) -> None:
        """Be a worker no longer, without a word to the database; everybody on this machine sees it at once."""
        if self._file is not None:
            self._file.let_go()
            self._file = None
