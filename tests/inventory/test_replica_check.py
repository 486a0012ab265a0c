"""The check of replicas' files: bitmaps say what going through the files one by one says, and no file is read for it.

Method: a small world drawn by hypothesis, on a MemoryStore; the oracle here
asks the questions of the rule for each file by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.inventory import deletion
from holdfast.inventory.deletion import Ground
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model.errors import HoldfastError
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    Dataset,
    DeletionRequest,
    Group,
    Lock,
    RequestState,
    SiteStatus,
    StorageType,
)
from holdfast.testing.memory_snapshot import MemorySnapshot
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.memory_tables import Tables
from holdfast.testing.store_hooks import ManualClock, files, site
from support.soak import examples

DATA = DatasetKey("/data/one")
BLOCK = BlockKey(DATA, "x")
SITES = ("A", "B", "C", "D")
N_FILES = 5
ORDINALS = st.integers(1, 2**N_FILES - 1).map(lambda bits: tuple(FileSet(bits)))
ALL: tuple[int, ...] = tuple(range(N_FILES))
HELD = st.lists(st.one_of(st.sampled_from([ALL, ALL, ()]), ORDINALS), min_size=len(SITES), max_size=len(SITES))

Step = tuple[Any, ...]
STEPS = st.one_of(
    st.tuples(st.just("copy"), st.sampled_from(SITES), st.one_of(st.just(ALL), ORDINALS)),
    st.tuples(st.just("delete"), st.sampled_from(SITES), ORDINALS),
    st.tuples(st.just("lock"), st.sampled_from(SITES), st.integers(0, N_FILES - 1)),
)
KINDS = st.lists(
    st.tuples(
        st.sampled_from([*(SiteStatus.READY,) * 4, SiteStatus.MORGUE]),
        st.sampled_from([StorageType.DISK, StorageType.TAPE, StorageType.TAPE]),
    ),
    min_size=len(SITES),
    max_size=len(SITES),
)


def commit(store: MemoryStore, *changes: c.Change) -> None:
    """One change set; what is refused does not happen."""
    with contextlib.suppress(HoldfastError):
        store.commit(c.ChangeSet(changes, "tester", "a test"))


def world(
    held: Sequence[tuple[int, ...]],
    steps: Sequence[Step],
    kinds: Sequence[tuple[SiteStatus, StorageType]],
    required_copies: int,
) -> MemoryStore:
    """A block that sites hold parts of, with copies, deletions and locks."""
    store = MemoryStore(clock=ManualClock(), epoch="e")
    commit(store, *(c.PutSite(site(name)) for name in SITES), c.PutGroup(Group("physics")))
    commit(store, c.CreateDataset(Dataset(DATA, is_open=True)), c.RegisterFiles(BLOCK, 0, files(N_FILES)))
    for place, what in zip(SITES, held, strict=True):
        asked = c.RequestCopy(CopyRequest(place, DATA, place, (BlockFiles("x", what),)))
        commit(store, asked, c.FilesArrived(BLOCK, place, what, 1), c.CloseRequest(place, RequestState.DONE))
    for number, (deed, place, what) in enumerate(steps):
        id = f"{deed}-{number}"
        if deed == "copy":
            commit(store, c.RequestCopy(CopyRequest(id, DATA, place, (BlockFiles("x", what),))))
        if deed == "delete":
            request = DeletionRequest(id, place, dataset=DATA, scope=(BlockFiles("x", what),))
            commit(store, c.RequestDeletion(request))
        if deed == "lock":
            commit(store, c.PutLock(Lock(id, "me", lfn=f"/data/one/file{what}", sites=place)))
    for name, (status, kind) in zip(SITES, kinds, strict=True):
        commit(store, c.PutSite(replace(site(name, status=status), storage_type=kind)))
    commit(store, c.UpdateDataset(DATA, required_copies=required_copies))
    return store


def ground(view: Snapshot, place: str, ordinal: int) -> Ground | None:
    """Why one file must stay, by the words of the rule."""
    sites = {each.name: each for each in view.sites()}
    if any(lock.covers(place, "", 1) and lock.lfn == f"/data/one/file{ordinal}" for lock in view.locks()):
        return Ground.LOCKED

    def names(scope: Sequence[BlockFiles]) -> bool:
        return any(part.ordinals is None or ordinal in part.ordinals for part in scope)

    condemned = {request.site for request in view.deletion_requests() if names(request.scope)}
    kept = {each.site for each in view.replicas() if each.holds(ordinal)} - condemned
    good = {name for name in kept - {place} if sites[name].status is SiteStatus.READY}
    if len(good) < view.dataset(DATA).required_copies:
        return Ground.LAST_COPY
    on_disk = {name for name in good if sites[name].storage_type is StorageType.DISK}
    wanting = {request.site for request in view.copy_requests() if names(request.scope)} - {place}
    return Ground.NEEDED if wanting - kept and not on_disk else None


@settings(max_examples=examples(150), deadline=None)
@given(HELD, st.lists(STEPS, max_size=6), KINDS, st.sampled_from([1, 1, 2, 3]), st.sampled_from(SITES))
def test_many_files_are_checked_as_each_by_itself(
    held_at: Sequence[tuple[int, ...]],
    steps: Sequence[Step],
    kinds: Sequence[tuple[SiteStatus, StorageType]],
    required_copies: int,
    place: str,
) -> None:
    with world(held_at, steps, kinds, required_copies).snapshot() as view:
        found = deletion.replica_obstacles(view, place, BLOCK, FileSet.full(N_FILES), now_us=1)
        held = next((each.files(N_FILES) for each in view.replicas(block=BLOCK, site=place)), FileSet())
        expected = {ordinal: why for ordinal in held if (why := ground(view, place, ordinal)) is not None}
    told = [(ordinal, obstacle.ground) for obstacle in found for ordinal in obstacle.files]
    assert dict(told) == expected
    assert len(told) == len(expected)


class Unread(MemorySnapshot):
    """A snapshot of which no file may be read."""

    __slots__ = ()

    def files(self, block: BlockKey) -> Any:
        """An error."""
        raise AssertionError(f"the files of {block} are read")


def test_no_file_is_read_for_the_check() -> None:
    store = MemoryStore(clock=ManualClock(), epoch="e")
    commit(store, *(c.PutSite(site(name)) for name in SITES), c.CreateDataset(Dataset(DATA, is_open=True)))
    keys = tuple(BlockKey(DATA, f"{number:04}") for number in range(20))
    for number, key in enumerate(keys):
        commit(store, c.RegisterFiles(key, 0, files(500, directory=f"/{number}"), site="A"))
    commit(store, c.BlocksArrived("B", keys), c.PutLock(Lock("l", "me", lfn="/7/file3")))
    with store.snapshot() as view:
        tables = view._tables  # type: ignore[attr-defined]
        assert isinstance(tables, Tables)
        wanted = {key: FileSet.full(500) for key in keys}
        found = deletion.replica_obstacles_of_blocks(Unread(tables), "B", wanted, now_us=1)
    assert {key: [(each.files, each.ground) for each in obstacles] for key, obstacles in found.items()} == {
        keys[7]: [(FileSet.of([3]), Ground.LOCKED)]
    }
