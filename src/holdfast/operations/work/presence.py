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
from collections.abc import Callable
from functools import partial
from pathlib import Path

from holdfast import logs
from holdfast.model import steps
from holdfast.operations.batch import Batch
from holdfast.operations.batches import lease as leases
from holdfast.operations.batches.lease import Lease, Watch, WorkerFile
from holdfast.operations.batches.workers import NewWorker, WorkerRow, Workers
from holdfast.operations.carrying.outside import Tools

_log = logs.get("operations")


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

    def bury(
        self, may_still_run: Callable[[Batch, float, bool], bool], can_adopt: Callable[[Batch], bool]
    ) -> tuple[list[Batch], list[Batch]]:
        """Take over from dead workers: what is in the queue again, as it was claimed; and what is claimed by us now.

        ``may_still_run``: whether a call for a batch may still be carried out, so
        many seconds after we have learnt of its worker's death, which is proven or
        not. ``can_adopt``: whether we can go on with the job at a service that a
        batch has.
        """
        now_s = self._tools.outside.monotonic()
        if self._watched_s is not None and now_s - self._watched_s < self._tools.settings.lease_s / 6:
            return [], []
        self._watched_s = now_s
        taken: list[Batch] = []
        adopted: list[Batch] = []
        for id in self._watch.dead(self._workers.known()):
            if id == self.id:
                continue  # Our own lease tells us.
            since = self._watch.dead_for_s(id), self._watch.is_proven(id)
            found, ours = self._bury(id, lambda batch, since=since: may_still_run(batch, *since), can_adopt)  # type: ignore[misc]
            steps.reach("work.buried")
            if found or ours:
                _log.warning("a worker is dead", worker=id, batches=len(found), jobs_taken_up=len(ours))
            leases.remove_file(self._folder, id)
            taken += found
            adopted += ours
        return taken, adopted

    def _bury(
        self, id: str, waits: Callable[[Batch], bool], can_adopt: Callable[[Batch], bool]
    ) -> tuple[list[Batch], list[Batch]]:
        queue, outside = self._tools.queue, self._tools.outside
        with queue.write() as connection:
            adopted = []
            for batch in queue.active(connection):
                if batch.worker == id and batch.handle and can_adopt(batch):
                    claim = outside.new_id()
                    mine = queue.adopt(connection, batch, worker=self.id, claim=claim, now_us=outside.clock())
                    adopted += [mine] if mine is not None else []
            taken = self._workers.bury(connection, id, now_us=outside.clock(), waits=waits)
        return taken, adopted

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
