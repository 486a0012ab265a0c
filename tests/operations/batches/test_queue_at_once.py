"""Workers in several threads and processes on one queue: each file is finished once; the dead are taken over from."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from queue_process import claim_and_hang, work
from queue_world import POSTGRES, SIZE, QueueWorld, shape

from holdfast.inventory.sql_store import SqlStore
from holdfast.operations.batches import lease
from holdfast.operations.batches.lease import Watch

_spawning = multiprocessing.get_context("spawn")

on_disk = pytest.mark.parametrize("place", ["sqlite", POSTGRES], indirect=True)


@pytest.fixture
def shared(place: Path | str) -> Iterator[QueueWorld]:
    """A queue that other processes open, too."""
    with closing(SqlStore.create(place)) as store:
        yield QueueWorld(store)


@pytest.mark.slow
@on_disk
def test_several_processes_finish_each_file_once(place: Path | str, shared: QueueWorld) -> None:
    blocks = {f"b{number}": 30 for number in range(4)}
    request = shared.planned(blocks=blocks)
    finished: list[tuple[str, int]] = []
    workers = []
    for number in range(3):
        here, there = _spawning.Pipe(duplex=False)
        process = _spawning.Process(target=work, args=(place, f"w{number}", number, there), daemon=True)
        process.start()
        there.close()
        workers.append((process, here))
    for process, here in workers:
        finished += here.recv()
        process.join()
        assert process.exitcode == 0
    assert sorted(finished) == sorted(itertools.product(blocks, range(30)))
    now = shared.there()
    assert (now.n_done, now.n_files, now.size_done, now.size) == (120, 120, 120 * SIZE, 120 * SIZE)
    assert shared.queue.counts(request).n_files == {}
    assert shared.workers.known() == []


@on_disk
def test_threads_of_one_process_get_different_batches(shared: QueueWorld) -> None:
    shared.planned(blocks={"b": 50})
    for name in ("w0", "w1"):
        shared.worker(name)
    taken: list[list[int]] = []

    def claim(worker: str) -> None:
        for number in range(25):
            while True:
                [batch] = shared.waiting() or [None]
                if batch is None:
                    return
                mine = shared.claim(batch, [next(iter(batch.files))], claim=f"{worker}x{number}", worker=worker)
                if mine is not None:
                    taken.append(list(mine.files))
                    break

    threads = [threading.Thread(target=claim, args=(name,)) for name in ("w0", "w1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [[ordinal] for ordinal in range(50)]
    assert len(shared.active()) == 50


@pytest.mark.slow
@on_disk
def test_a_killed_worker_is_known_to_be_dead_at_once_and_its_claim_is_queued_again(
    place: Path | str, shared: QueueWorld, tmp_path: Path
) -> None:
    shared.planned(blocks={"b": 10})
    shared.worker()
    folder = tmp_path / lease.FOLDER
    here, there = _spawning.Pipe(duplex=False)
    process = _spawning.Process(target=claim_and_hang, args=(place, folder, "doomed", there), daemon=True)
    process.start()
    assert here.recv()
    watch = Watch(os.uname().nodename, is_alive=lambda id: lease.is_alive(folder, id))
    assert watch.dead(shared.workers.known()) == []
    assert lease.is_alive(folder, "doomed") is True
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert lease.is_alive(folder, "doomed") is False
    assert watch.dead(shared.workers.known()) == ["doomed"]
    with shared.queue.write() as connection:
        [taken] = shared.workers.bury(connection, "doomed", now_us=1)
    assert (taken.claim, list(taken.files)) == ("doomedclaim", [0, 1, 2, 3, 4])
    assert [row.id for row in shared.workers.known()] == ["w"]
    assert not shared.queue.standing(["doomedclaim"], "doomed")
    assert not shared.finish("doomedclaim", [0]), "a late result of the dead changes nothing"
    again = next(batch for batch in shared.waiting() if 0 in batch.files)
    assert again.left == ("doomedclaim",)
    assert shape(shared.waiting()) == [("b", [5, 6, 7, 8, 9]), ("b", [0, 1, 2, 3, 4])]
