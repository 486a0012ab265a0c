"""Registrations: all of the inventory in bulk, and single files through two servers while these are killed.

In bulk: by the Python API, datasets with their blocks, files and replicas in
change sets of some thousand files. One by one: threads that each write to
whichever server answers; whose answer was lost asks whether the file is there
before registering it again, as the contract says one can.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model.clock import system_clock
from holdfast.model.errors import DatabaseAway, OutcomeUnknown
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, FileColumns
from holdfast.testing.server_process import ServerDied, ServerProcess
from trial.amounts import FILES_A_DATASET
from trial.book import Book
from trial.files import File, block_key, blocks_of, columns_of, dataset_key
from trial.plan import Plan
from trial.real_sites import RealSite

ACTOR = "trial"
CHANGE_SET_DATASETS = 20
LIVE = DatasetKey("/Trial/Live/Files")
LIVE_FROM = 800_000_000_000
"""Numbers of the files that are registered one by one."""
PATIENCE_S = 900.0
_NOTHING = c.ChangeSet((), ACTOR, "asking what became of a registration")


def register_all(store: Store, plan: Plan, update: Callable[[int], object]) -> int:
    """Register every dataset of the plan; how many change sets that took. ``update`` hears of files."""
    datasets = range(plan.amounts.n_datasets)
    n_change_sets = 0
    for start in range(0, len(datasets), CHANGE_SET_DATASETS):
        some = datasets[start : start + CHANGE_SET_DATASETS]
        changes = tuple(change for dataset in some for change in _registered(plan, dataset))
        store.commit(c.ChangeSet(changes, ACTOR, "the beginning"))
        n_change_sets += 1
        update(len(some) * FILES_A_DATASET)
    return n_change_sets


def _registered(plan: Plan, dataset: int) -> Iterator[c.Change]:
    key, (first, *others) = dataset_key(dataset), plan.sites_of(dataset)
    proved_us = system_clock()
    yield c.CreateDataset(Dataset(key, is_open=True))
    for block in blocks_of(dataset):
        yield c.RegisterFiles(block_key(block), 0, columns_of(block), first, verified_us=proved_us)
    for site in others:
        yield c.BlocksArrived(site, tuple(map(block_key, blocks_of(dataset))), verified_us=proved_us)
    yield c.UpdateDataset(key, is_open=False)


class Registrar:
    """Registers single files at the real sites, each put there before, by some threads."""

    def __init__(self, servers: Sequence[ServerProcess], sites: Sequence[RealSite], book: Book, *, seed: int) -> None:
        self._servers, self._sites, self._book = servers, sites, book
        self._seed = seed
        self._mutex = threading.Lock()
        self.latencies_s: list[float] = []
        self.events: Counter[str] = Counter()
        self.n_done = 0

    def prepare(self, store: Store) -> None:
        """Make the dataset that they come into."""
        store.commit(c.ChangeSet((c.CreateDataset(Dataset(LIVE, is_open=True)),), ACTOR, "one by one"))

    def register(self, n_files: int, *, threads: int) -> None:
        """Register so many; returns when all are there. Raises what went wrong in a thread."""
        with ThreadPoolExecutor(threads) as pool:
            work = [pool.submit(self._some, number, range(number, n_files, threads)) for number in range(threads)]
            for each in work:
                each.result()

    def _some(self, thread: int, numbers: range) -> None:
        random = Random(f"{self._seed} {thread}")
        for ordinal, number in enumerate(numbers):
            file, site = File(LIVE_FROM + number), self._sites[number % len(self._sites)]
            with self._mutex:
                site.make_directory(file.lfn.rpartition("/")[0])
            site.put(file.lfn, file)
            self._book.put_single(site.name, file)
            began = time.monotonic()
            self._until_there(random, _registering(file, site.name, BlockKey(LIVE, f"{thread:04d}"), ordinal), file.lfn)
            with self._mutex:
                self.latencies_s.append(time.monotonic() - began)
                self.n_done += 1

    def _until_there(self, random: Random, change_set: c.ChangeSet, lfn: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        is_unsure = False
        while True:
            server = random.choice(self._servers)
            try:
                if is_unsure and _is_there(server, lfn):
                    self._count("was there after all")
                    return
                is_unsure = False
                server.commit(change_set)
                return
            except DatabaseAway:
                self._count("database away")
            except (ServerDied, OutcomeUnknown, TimeoutError) as error:
                self._count(f"no answer: {type(error).__name__}")
                is_unsure = True
            if time.monotonic() > deadline:
                raise RuntimeError(f"{lfn} could not be registered for {PATIENCE_S:.0f} s")
            time.sleep(0.1)

    def _count(self, event: str) -> None:
        with self._mutex:
            self.events[event] += 1


def _registering(file: File, site: str, block: BlockKey, ordinal: int) -> c.ChangeSet:
    directory, _, name = file.lfn.rpartition("/")
    columns = FileColumns((directory,), (0,), (name,), (file.size,), {"adler32": (file.adler32,)})
    return c.ChangeSet((c.RegisterFiles(block, ordinal, columns, site, verified_us=system_clock()),), ACTOR, "a file")


def _is_there(server: ServerProcess, lfn: str) -> bool:
    """Whether a file is registered, and never will be by what was sent before if it is not.

    A change set without changes takes the writer's turn: nothing from before is under way any more.
    """
    answer = server.read(server.commit(_NOTHING), timeout_s=30.0, lookup=[lfn])
    return answer["lookup"][0] is not None
