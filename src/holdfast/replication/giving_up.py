"""Giving up a publication that will not be finished."""

from __future__ import annotations

from holdfast.inventory.store import Store
from holdfast.model.changes import AbandonStaged, ChangeSet
from holdfast.model.errors import Conflict, UnknownName
from holdfast.model.names import DatasetKey
from holdfast.replication.registration import find_dataset
from holdfast.replication.scan_table import ScanTable


def give_up(store: Store, dataset: DatasetKey, *, actor: str) -> None:
    """Forget an unfinished publication, from wherever it was; a publisher at work on it is stopped.

    The files at the site stay. UnknownName if there is nothing to give up,
    Conflict if the dataset is published.
    """
    with store.snapshot() as snapshot:
        found = find_dataset(snapshot, dataset)
    if found is not None and found.is_visible:
        raise Conflict(f"dataset {dataset} is published and cannot be given up", rows=(str(dataset),))
    table = ScanTable(store)
    claims = table.claim_all(dataset)
    if found is None and not claims:
        raise UnknownName(f"dataset {dataset} is not being published")
    if found is not None:
        store.commit(ChangeSet(changes=(AbandonStaged(dataset),), actor=actor, cause="publication given up"))
    for claim in claims:
        table.forget(claim)
