"""GoodCopies: only what a ready site holds to stay counts, by files, as the words of the rules say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.copies import GoodCopies, held_by
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, DeletionRequest, RequestState, SiteStatus
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.store_hooks import ManualClock, files, site

DATA = DatasetKey("/data")
BLOCK = BlockKey(DATA, "x")
N_FILES = 4


def commit(store: MemoryStore, *changes: c.Change) -> None:
    store.commit(c.ChangeSet(changes, "tester", "a test"))


@pytest.fixture
def store() -> MemoryStore:
    """A holds the files 0 and 1, B all, C the last one."""
    store = MemoryStore(clock=ManualClock(), epoch="e")
    commit(store, *(c.PutSite(site(name)) for name in "ABC"))
    commit(store, c.CreateDataset(Dataset(DATA, is_open=True)), c.RegisterFiles(BLOCK, 0, files(N_FILES)))
    for name, held in (("A", (0, 1)), ("B", (0, 1, 2, 3)), ("C", (3,))):
        commit(
            store,
            c.RequestCopy(CopyRequest(name, DATA, name, (BlockFiles("x", held),))),
            c.FilesArrived(BLOCK, name, held, 1),
            c.CloseRequest(name, RequestState.DONE),
        )
    commit(store, c.UpdateDataset(DATA, required_copies=2))
    return store


def staying(store: MemoryStore, besides: str = "") -> dict[str, list[int]]:
    with store.snapshot() as view:
        found = GoodCopies(view, [BLOCK]).staying(BLOCK, besides=besides)
    return {name: list(held) for name, held in found.items()}


def test_what_ready_sites_hold_counts(store: MemoryStore) -> None:
    assert staying(store) == {"A": [0, 1], "B": [0, 1, 2, 3], "C": [3]}
    assert staying(store, besides="B") == {"A": [0, 1], "C": [3]}


@pytest.mark.parametrize("status", sorted(set(SiteStatus) - {SiteStatus.READY}))
def test_a_site_that_is_not_ready_does_not_count(store: MemoryStore, status: SiteStatus) -> None:
    assert not replace(site("B"), status=status).is_ready
    commit(store, c.PutSite(site("B", status=status)))
    assert staying(store) == {"A": [0, 1], "C": [3]}


def test_what_is_to_go_does_not_count(store: MemoryStore) -> None:
    commit(store, c.UpdateDataset(DATA, required_copies=1))
    commit(store, c.RequestDeletion(DeletionRequest("go", "B", dataset=DATA, scope=(BlockFiles("x", (0, 3)),))))
    assert staying(store) == {"A": [0, 1], "B": [1, 2], "C": [3]}
    with store.snapshot() as view:
        copies = GoodCopies(view, [BLOCK])
    assert (list(copies.held(BLOCK, "B")), list(copies.condemned(BLOCK, "B"))) == ([0, 1, 2, 3], [0, 3])
    assert list(copies.condemned(BLOCK, "A")) == []


def test_one_copy_is_required_at_least(store: MemoryStore) -> None:
    with store.snapshot() as view:
        assert GoodCopies(view, [BLOCK]).required(BLOCK) == 2
        assert GoodCopies(view, [BlockKey(DATA, "none")]).blocks == {}


@given(st.integers(1, 4), st.lists(st.sets(st.integers(0, 5)), max_size=5))
def test_held_by_counts_holders(n_least: int, holders: list[set[int]]) -> None:
    expected = {each for each in range(6) if sum(each in held for held in holders) >= n_least}
    assert set(held_by(n_least, list(map(FileSet.of, holders)))) == expected
    assert not held_by(2**40, list(map(FileSet.of, holders)))
