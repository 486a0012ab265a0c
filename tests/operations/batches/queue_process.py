"""Workers in processes of their own, for tests: one that works beside others, one that is killed."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from queue_world import SIZE, QueueWorld, failure

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import BatchState, Settled
from holdfast.operations.batches.lease import WorkerFile


def claim_and_hang(place: Path | str, folder: Path, id: str, told: Connection) -> None:
    """Be a worker that has claimed a batch, say so, and do nothing any more."""
    file = WorkerFile(folder, id)
    file.acquire()
    with closing(SqlStore.open(place)) as store:
        world = QueueWorld(store)
        world.worker(id, host=os.uname().nodename)
        world.claimed(range(5), claim=f"{id}claim", worker=id)
        told.send(True)
        time.sleep(600)


def work(place: Path | str, id: str, seed: int, told: Connection) -> None:
    """Claim, finish, fail and give back at random until nothing is left; tell which files were finished."""
    chance = random.Random(seed)
    finished: list[tuple[str, int]] = []
    with closing(SqlStore.open(place)) as store:
        world = QueueWorld(store)
        world.worker(id)
        n_claims = 0
        while not all(map(world.queue.is_idle, world.queue.known_open())):
            for batch in chance.sample(waiting := world.waiting(), min(3, len(waiting))):
                n_claims += 1
                files = FileSet.of(chance.sample(list(batch.files), min(batch.n_files, 7)))
                claim = f"{id}{n_claims}"
                if world.claim(batch, files, claim=claim, worker=id) is None:
                    continue
                done = FileSet.of(each for each in files if chance.random() < 0.7)
                failed = failure(list(files - done)[:2], BatchState.RETRY, left=())
                settled = Settled(claim, done, SIZE * len(done), 0, (failed,) if failed.files else (), gives_back=True)
                assert world.settle(settled) == {claim}
                assert world.settle(settled) == frozenset()
                finished += [(batch.block, ordinal) for ordinal in done]
        world.workers.gone(id)
    told.send(finished)
