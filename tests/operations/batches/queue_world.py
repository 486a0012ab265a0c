"""A queue with requests and workers in it, on any store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from holdfast.inventory.store import Store
from holdfast.model.fileset import FileSet
from holdfast.model.names import DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Orphan
from holdfast.operations.batch import Batch, BatchFailure, BatchState, NewBatch, QueuedRequest, Settled
from holdfast.operations.batches.queue import Queue
from holdfast.operations.batches.workers import NewWorker, Workers
from holdfast.operations.codes import Code

POSTGRES = pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.real("postgresql")])
"""The store on a server, among the parameters of a test."""

DATA = DatasetKey("/data/one", "1")
NOW_US = 1_000_000_000
WAIT_US_MAX = 3_600_000_000
SIZE = 10
"""Of every file, where a test does not say otherwise."""


class QueueWorld:
    """A queue, and shorthands for what tests do to it again and again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.queue = Queue(store)
        self.workers = Workers(store)
        self.now_us = NOW_US

    # ---- making ---------------------------------------------------------------------

    def request(self, id: str = "r", **more: Any) -> QueuedRequest:
        """A copy that is known and not planned."""
        [known] = self.queue.take_in([copy(id, **more)])
        return known

    def planned(self, id: str = "r", blocks: Mapping[str, int] | None = None, **more: Any) -> QueuedRequest:
        """A copy that is planned: its blocks and how many files each has."""
        return self.plan(self.request(id, **more), {"b": 10} if blocks is None else blocks)

    def plan(self, request: QueuedRequest, blocks: Mapping[str, int]) -> QueuedRequest:
        """Plan all of a request."""
        return self.queue.add(request, new_batches(blocks), "end", True)

    def worker(self, id: str = "w", *, host: str = "here") -> str:
        """A worker that is known."""
        self.workers.register(NewWorker(id, host, 1, 60.0))
        return id

    # ---- doing ----------------------------------------------------------------------

    def claim(
        self, batch: Batch, ordinals: Iterable[int] | None = None, *, claim: str = "c", worker: str = "w"
    ) -> Batch | None:
        """Claim some files of a batch."""
        files = batch.files if ordinals is None else FileSet.of(ordinals)
        with self.queue.write() as connection:
            return self.queue.claim(
                connection,
                batch,
                files,
                SIZE * len(files),
                worker=worker,
                claim=claim,
                source="A",
                engine="local",
                now_us=self.now_us,
            )

    def claimed(self, ordinals: Iterable[int] | None = None, *, claim: str = "c", worker: str = "w") -> Batch:
        """Claim some files of the first batch that waits."""
        taken = self.claim(self.waiting()[0], ordinals, claim=claim, worker=worker)
        assert taken is not None
        return taken

    def settle(self, *settled: Settled) -> frozenset[str]:
        """Settle claims."""
        with self.queue.write() as connection:
            return self.queue.settle(connection, settled, now_us=self.now_us)

    def finish(self, claim: str, ordinals: Iterable[int], *, n_found: int = 0) -> bool:
        """Files are done."""
        files = FileSet.of(ordinals)
        with self.queue.write() as connection:
            return self.queue.finish(connection, claim, files, SIZE * len(files), n_found)

    def fail(self, claim: str, *failures: BatchFailure) -> bool:
        """Files have failed."""
        with self.queue.write() as connection:
            return self.queue.fail(connection, claim, failures, now_us=self.now_us)

    def release(self, claim: str) -> bool:
        """Give a claim back."""
        with self.queue.write() as connection:
            return self.queue.release(connection, claim, now_us=self.now_us)

    def withdraw(self, request: QueuedRequest, block: str, ordinals: Iterable[int]) -> list[int]:
        """Take files out; returns those that were taken."""
        with self.queue.write() as connection:
            taken = self.queue.withdraw(connection, request.number, {block: FileSet.of(ordinals)})
        return list(taken.get(block, FileSet()))

    # ---- looking --------------------------------------------------------------------

    def waiting(self, *, limit: int = 100_000) -> list[Batch]:
        """What may be tried now."""
        with self.queue.read() as connection:
            return self.queue.waiting(connection, now_us=self.now_us, wait_us_max=WAIT_US_MAX, limit=limit)

    def held(self) -> list[Batch]:
        """What is held."""
        with self.queue.read() as connection:
            return self.queue.held(connection)

    def active(self) -> list[Batch]:
        """What is claimed."""
        with self.queue.read() as connection:
            return self.queue.active(connection)

    def next_due_us(self) -> int | None:
        """When something may be tried."""
        with self.queue.read() as connection:
            return self.queue.next_due_us(connection, now_us=self.now_us, wait_us_max=WAIT_US_MAX)

    def there(self, id: str = "r") -> QueuedRequest:
        """A request as it is now."""
        found = self.queue.find(id)
        assert found is not None
        return found


def copy(id: str = "r", *, site: str = "B", **more: Any) -> CopyRequest:
    """A request for a copy."""
    return CopyRequest(id, DATA, site, (BlockFiles("b"),), **more)


def deletion(id: str = "d", *, site: str = "B") -> DeletionRequest:
    """A request for the deletion of replicas."""
    return DeletionRequest(id, site, dataset=DATA, scope=(BlockFiles("b"),))


def orphans(id: str = "o", *, site: str = "B") -> DeletionRequest:
    """A request for the removal of orphans."""
    return DeletionRequest(id, site, (Orphan("/left/one", 1, 0),))


def new_batches(blocks: Mapping[str, int]) -> list[NewBatch]:
    """Batches of whole blocks: names and numbers of files."""
    return [NewBatch(name, FileSet.full(n_files), SIZE * n_files) for name, n_files in blocks.items()]


def failure(ordinals: Iterable[int], state: BatchState = BatchState.RETRY, **more: Any) -> BatchFailure:
    """Files that have failed once, for a reason that may pass."""
    files = FileSet.of(ordinals)
    usual: dict[str, Any] = {"attempts": 1, "code": Code.SOURCE_FAILED, "error": "the source is away"}
    return BatchFailure(files, SIZE * len(files), state, **(usual | more))


def shape(batches: Iterable[Batch]) -> list[tuple[str, list[int]]]:
    """Blocks and files, for comparing."""
    return [(batch.block, list(batch.files)) for batch in batches]
