"""Giving up a publication that will not be finished."""

from __future__ import annotations

from holdfast.inventory.store import Store
from holdfast.model.changes import AbandonStaged, ChangeSet
from holdfast.model.errors import Conflict, UnknownName
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset
from holdfast.replication.registration import find_dataset
from holdfast.replication.scan_table import ScanTable


def check_give_up(store: Store, dataset: DatasetKey) -> Dataset | None:
    """What ``give_up`` would raise, without doing it; what is staged of the dataset."""
    with store.snapshot() as snapshot:
        found = find_dataset(snapshot, dataset)
    if found is not None and found.is_visible:
        raise Conflict(f"dataset {dataset} is published and cannot be given up", rows=(str(dataset),))
    if found is None and not ScanTable(store).has_any(dataset):
        raise UnknownName(f"dataset {dataset} is not being published")
    return found


def give_up(store: Store, dataset: DatasetKey, *, actor: str) -> None:
    """Forget an unfinished publication, from wherever it was; a publisher at work on it is stopped.

    The files at the site stay. UnknownName if there is nothing to give up,
    Conflict if the dataset is published.
    """
    found = check_give_up(store, dataset)
    table = ScanTable(store)
    claims = table.claim_all(dataset)
    if found is not None:
        store.commit(ChangeSet(changes=(AbandonStaged(dataset),), actor=actor, cause="publication given up"))
    for claim in claims:
        table.forget(claim)
