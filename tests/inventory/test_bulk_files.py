"""Bulk changes of the files of one great block take time by their number, not by its square."""

from __future__ import annotations

import os
import time

import pytest

from holdfast.inventory import calls
from holdfast.model import changes as c
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset
from holdfast.testing.store_hooks import ManualClock
from inventory.places import Places, places

__all__ = ["places"]

DATA = DatasetKey("/data")
BLOCK = BlockKey(DATA, "block")
WHO = {"actor": "me", "cause": "a test"}
N_FILES = 90_000
"""By the square, removing a third of them takes half a minute."""
ENOUGH_S = 15


@pytest.mark.slow
def test_a_third_of_a_great_block_is_renamed_and_removed_in_seconds(places: Places) -> None:
    if places.kind != "sqlite" and "HOLDFAST_SOAK" not in os.environ:
        pytest.skip("only in make soak")
    store, third = places.create(ManualClock()), N_FILES // 3
    store.commit(c.ChangeSet((c.CreateDataset(Dataset(DATA, is_open=True)),), "me", "to begin with"))
    lfns = [f"/data/{number // 100}/{number}" for number in range(N_FILES)]
    for start in range(0, N_FILES, third):
        new = [calls.NewFile(lfn, 1) for lfn in lfns[start : start + third]]
        calls.register_files(store, BLOCK, calls.columns(new), **WHO)
    began_s = time.process_time()
    calls.rename_files(store, {lfn: f"/new{lfn}" for lfn in lfns[third : 2 * third]}, **WHO)
    calls.remove_files(store, lfns[:third], **WHO)
    taken_s = time.process_time() - began_s
    with store.snapshot() as snapshot:
        left = list(snapshot.files(BLOCK).lfns())
    assert left == [*(f"/new{lfn}" for lfn in lfns[third : 2 * third]), *lfns[2 * third :]]
    assert taken_s < ENOUGH_S
