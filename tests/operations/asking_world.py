"""A small inventory for the tests of asking: three sites, one dataset of two blocks, and a queue without workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    Dataset,
    DeletionRequest,
    Door,
    FileColumns,
    Request,
    RequestState,
    Site,
    Staging,
)
from holdfast.operations import requests
from holdfast.operations.batch import Batch, NewBatch
from holdfast.operations.batches import claims
from holdfast.operations.batches.queue import Queue
from holdfast.operations.batches.workers import NewWorker, Workers
from holdfast.operations.requesting.asking import Asked

DATASET = DatasetKey("/sky/survey", "1")
N_FILES = 4
"""In each block."""
BLOCKS = ("x", "y")
START_US = 1_700_000_000_000_000


@dataclass
class AskingWorld:
    """Sites A, B and C; A holds all of the dataset. The clock moves a little at each look."""

    store: Store
    now_us: int = START_US
    n_ids: int = 0

    def __post_init__(self) -> None:
        self.queue = Queue(self.store)
        Workers(self.store).register(NewWorker("w", "here", 1, 60.0))
        self.commit(*(c.PutSite(Site(name, (Door("memory", f"memory:{name}"),))) for name in "ABC"))
        self.publish(DATASET)

    def clock(self) -> int:
        self.now_us += 10
        return self.now_us

    def new_id(self) -> str:
        self.n_ids += 1
        return f"id{self.n_ids}"

    def commit(self, *changes: c.Change) -> None:
        self.store.commit(c.ChangeSet(changes, actor="test", cause="test"))

    def publish(self, dataset: DatasetKey, at: str = "A", required_copies: int = 1) -> None:
        """Two blocks of four files of ten bytes each."""
        directory = f"{dataset.name}/{dataset.version}"
        sizes = (10,) * N_FILES
        self.commit(
            c.CreateDataset(Dataset(dataset, required_copies=required_copies, staging=Staging(at, directory))),
            *(
                c.RegisterFiles(
                    BlockKey(dataset, block),
                    0,
                    FileColumns((directory,), (0,) * N_FILES, tuple(f"{block}{n}" for n in range(N_FILES)), sizes),
                    site=at,
                    verified_us=START_US,
                )
                for block in BLOCKS
            ),
            c.RevealDataset(dataset, len(BLOCKS) * N_FILES, len(BLOCKS) * sum(sizes)),
        )

    def bring(self, site: str, *parts: BlockFiles, dataset: DatasetKey = DATASET) -> None:
        """Let a site hold files, as if copied; all without ``parts``."""
        id = self.new_id()
        scope = parts or tuple(BlockFiles(block) for block in BLOCKS)
        arrived = [c.FilesArrived(BlockKey(dataset, part.block), site, part.ordinals, START_US) for part in scope]
        self.commit(
            c.RequestCopy(CopyRequest(id, dataset, site, scope)), *arrived, c.CloseRequest(id, RequestState.DONE)
        )

    def copy(self, site: str = "B", **given: Any) -> Asked[CopyRequest]:
        return requests.request_copy(self.store, given.pop("dataset", DATASET), site, **self._given(given))

    def delete(self, site: str = "B", **given: Any) -> Asked[DeletionRequest]:
        return requests.request_replica_deletion(self.store, given.pop("dataset", DATASET), site, **self._given(given))

    def _given(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"reason": "test", "actor": "me@here", "clock": self.clock, "new_id": self.new_id} | given

    def begin(self, request: Request, block: str, ordinals: Sequence[int], claim: str = "claim") -> Batch:
        """What a worker does: plan the whole request, then claim some files of it."""
        files = FileSet.of(ordinals)
        (known,) = self.queue.take_in([request])
        if not known.is_planned:
            parts = [(part.block, part.files(N_FILES)) for part in getattr(request, "scope", ())]
            parts += [("", FileSet.full(len(getattr(request, "orphans", ()))))] if request.dataset is None else []
            self.queue.add(known, [NewBatch(name, whole, 10 * len(whole)) for name, whole in parts], "zz", True)
        with self.queue.write() as connection:
            waiting = self.queue.waiting(connection, now_us=self.clock(), wait_us_max=10**12)
            found = next(batch for batch in waiting if batch.request.id == request.id and batch.block == block)
            claimed = claims.claim(
                connection,
                found,
                files,
                10 * len(files),
                worker="w",
                claim=claim,
                source="A",
                engine="test",
                now_us=self.clock(),
            )
        assert claimed is not None
        return claimed

    def request(self, id: str) -> Any:
        with self.store.snapshot() as snapshot:
            return snapshot.request(id)

    def scope(self, id: str) -> dict[str, set[int]]:
        """What a request asks for now."""
        return {part.block: set(part.files(N_FILES)) for part in self.request(id).scope}

    def queued(self, id: str) -> dict[str, set[int]]:
        """What is in the queue of a request, in whatever state."""
        found: dict[str, set[int]] = {}
        with self.queue.read() as connection:
            batches = [
                *self.queue.waiting(connection, now_us=self.now_us, wait_us_max=10**12),
                *self.queue.active(connection),
                *self.queue.held(connection),
            ]
        for batch in batches:
            if batch.request.id == id:
                found.setdefault(batch.block, set()).update(batch.files)
        return found

    def position(self) -> int:
        return self.store.head().position
