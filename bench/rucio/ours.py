"""Our side beside Rucio's: the same files into a new inventory through the public API, and the same questions.

Datasets of 1000 files in blocks of 1000, open, as Rucio's are. The look-ups ask
a snapshot of the database, not an image in memory, since Rucio asks its database.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from bench import postgres
from bench.inventory_data import InventoryData
from holdfast.inventory import whereabouts
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Snapshot, Store
from holdfast.model.changes import BlocksArrived, Change, ChangeSet, CreateDataset, PutSite, RegisterFiles
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Dataset, Door, Site

BATCH = 10_000
CHUNK = 1_000
DATASET_FILES = 1_000
LOOK_UP_LFNS = 1_000
WARM_UP_FILES = 500
"""More files, which are not counted."""
ROUNDS = 3
SINGLES = 200
SITES = tuple(
    Site(
        f"SITE{number}",
        (Door("davs", f"davs://site{number}.example.org:2880", PfnRules.prefix("/store", f"/pool{number}/store")),),
    )
    for number in range(3)
)
LOOK_UPS = {
    "list 1": "1000 LFNs to PFNs, 1 copy",
    "list 3": "1000 LFNs to PFNs, 3 copies",
    "list single": "one LFN to its PFN",
    "get_did single": "one LFN, what is known",
}
"""What Rucio's driver calls them, and what they are."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Files or LFNs per second of wall time, and of CPU with the database's."""

    per_wall_s: float
    per_cpu_s: float

    def __str__(self) -> str:
        return f"{self.per_wall_s:,.0f}/s, {self.per_cpu_s:,.0f}/CPU s"

    def mean(self, other: Rate) -> Rate:
        """The middle of two runs."""
        return Rate((self.per_wall_s + other.per_wall_s) / 2, (self.per_cpu_s + other.per_cpu_s) / 2)

    def over(self, other: Rate) -> float:
        """The lesser of the two ratios."""
        return min(self.per_wall_s / other.per_wall_s, self.per_cpu_s / other.per_cpu_s)


def measure(place: Path | str, data: InventoryData, rows: int, server_pid: int = 0) -> dict[str, Rate]:
    """Our rates on one database, by the names that Rucio's driver gives them."""
    store = SqlStore.create(place)
    store.commit(ChangeSet(tuple(map(PutSite, SITES)), "bench", "bench"))
    rates, first = {}, 0
    for change_set in _registration(data, rows, rows + WARM_UP_FILES, CHUNK):
        store.commit(change_set)
    half = rows // 2 // DATASET_FILES * DATASET_FILES
    for chunk, share in ((BATCH, half), (CHUNK, rows - half)):
        change_sets = _registration(data, first, first + share, chunk)
        with postgres.taking(server_pid) as taken:
            for change_set in change_sets:
                store.commit(change_set)
        rates[f"register {chunk}"] = _rate(taken, share)
        first += share
    rates |= _looked_up(store, data, "list 1", server_pid)
    rates |= _singles(store, data, rows, server_pid)
    blocks = tuple(_block(number) for number in range(LOOK_UP_LFNS // DATASET_FILES))
    changes = tuple(BlocksArrived(site.name, blocks) for site in SITES[1:])
    store.commit(ChangeSet(changes, "bench", "bench"))
    rates |= _looked_up(store, data, "list 3", server_pid)
    store.close()
    return rates


def _rate(taken: postgres.Taken, n: int) -> Rate:
    return Rate(n / taken.wall_s, n / taken.cpu_s)


def _registration(data: InventoryData, first: int, last: int, chunk: int) -> list[ChangeSet]:
    """Files from ``first`` to ``last``, ``chunk`` of them a transaction; a dataset is made with its first files."""
    change_sets = []
    for start in range(first, last, chunk):
        changes: list[Change] = []
        for begin in range(start, min(start + chunk, last), DATASET_FILES):
            end = min(begin + DATASET_FILES, start + chunk, last)
            key = _block(begin // DATASET_FILES)
            changes.append(CreateDataset(Dataset(key.dataset, is_open=True)))
            changes.append(RegisterFiles(key, 0, data.columns(slice(begin, end)), SITES[0].name, verified_us=1))
        change_sets.append(ChangeSet(tuple(changes), "bench", "bench"))
    return change_sets


def _block(number: int) -> BlockKey:
    return BlockKey(DatasetKey(f"/Bench/Files-{number:06d}/RAW"), "all")


def _looked_up(store: Store, data: InventoryData, name: str, server_pid: int) -> dict[str, Rate]:
    lfns = data.lfns(slice(0, LOOK_UP_LFNS))
    n_copies = int(name.rpartition(" ")[2])
    found = []
    for _ in range(ROUNDS):
        with postgres.taking(server_pid) as taken, store.snapshot() as snapshot:
            places = _locate(snapshot, lfns)
        if [len(each) for each in places] != [n_copies] * len(lfns):
            raise AssertionError(f"not every file has {n_copies} PFNs")
        found.append(_rate(taken, len(lfns)))
    return {name: max(found, key=lambda rate: rate.per_cpu_s)}


def _singles(store: Store, data: InventoryData, rows: int, server_pid: int) -> dict[str, Rate]:
    lfns = [data.lfn(row) for row in random.Random(1).sample(range(rows), min(SINGLES, rows))]
    with postgres.taking(server_pid) as listing:
        for lfn in lfns:
            with store.snapshot() as snapshot:
                (_,) = _locate(snapshot, [lfn])
    with postgres.taking(server_pid) as knowing:
        for lfn in lfns:
            with store.snapshot() as snapshot:
                (record,) = snapshot.lookup([lfn])
            if record is None:
                raise AssertionError(f"{lfn} is not there")
    return {"list single": _rate(listing, len(lfns)), "get_did single": _rate(knowing, len(lfns))}


def _locate(snapshot: Snapshot, lfns: list[str]) -> list[list[str | None]]:
    """The PFNs of each file."""
    found = whereabouts.locate(snapshot, lfns)
    return [[place.pfn for place in each.places] if each is not None else [] for each in found]
