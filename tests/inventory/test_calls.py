"""The Python API: each call is one transaction with what it requires, and says what stands in the way.

Method: calls on both kinds of store; what the rules allow is StoreSuite's, here
it is that each call asks for the right thing, in one change set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData

from holdfast.inventory import calls, whereabouts
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Head, Store
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.changes import ROWS_MAX
from holdfast.model.errors import BadInput, BrokenInvariant, Conflict, InvalidName, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import Dataset, Door, Evidence, FileColumns, Group, Lock, Permission, Site, Staging
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.store_hooks import ManualClock

DATA = DatasetKey("/data")
ONE, TWO = BlockKey(DATA, "one"), BlockKey(DATA, "two")
WHO = {"actor": "me", "cause": "a test"}
FILES = calls.columns(calls.NewFile(f"/data/{name}", size) for size, name in enumerate("abc", 1))


@pytest.fixture(name="store", params=["memory", "sqlite"])
def _store(request: pytest.FixtureRequest, fast_folder: Path) -> Iterator[Store]:
    made: Store = MemoryStore(clock=ManualClock())
    if request.param == "sqlite":
        made = SqlStore.create(fast_folder / "inventory.sqlite", clock=ManualClock())
    sites = [Site(name, (Door("posix", f"/store/{name}"),)) for name in "AB"]
    _commit(made, *(c.PutSite(site) for site in sites), c.PutGroup(Group("physics")))
    _commit(made, c.CreateDataset(Dataset(DATA, is_open=True)))
    yield made
    made.close()


def _commit(store: Store, *changes: c.Change) -> Head:
    return store.commit(c.ChangeSet(changes, "test", "to begin with"))


def _kinds(store: Store, after: Head) -> list[str]:
    (entry,) = store.entries(after.cursor)
    assert (entry.actor, entry.cause) == ("me", "a test")
    return [change.kind for change in entry.changes]


def test_files_are_registered_one_after_the_other(store: Store) -> None:
    head = calls.register_files(store, ONE, FILES, site="A", group="physics", verified_us=7, **WHO)
    more = calls.columns([calls.NewFile("/data/d", 4, {"adler32": "1F", "md5": "A" * 32})])
    assert calls.register_files(store, ONE, more, **WHO).position == head.position + 1
    with store.snapshot() as snapshot:
        assert list(snapshot.files(ONE).lfns()) == ["/data/a", "/data/b", "/data/c", "/data/d"]
        assert snapshot.files(ONE).checksums_of(3) == {"adler32": "0000001f", "md5": "a" * 32}
        (replica,) = snapshot.replicas(block=ONE)
    assert (replica.group, replica.n_files, replica.verified_us, replica.is_complete) == ("physics", 3, 7, False)
    with pytest.raises(Conflict) as caught:
        calls.register_files(store, TWO, FILES, **WHO)
    assert caught.value.rows == ("/data/a", "/data/b", "/data/c")


def test_replicas_are_registered_completed_assigned_and_removed(store: Store) -> None:
    begin = calls.register_files(store, ONE, FILES, **WHO)
    with pytest.raises(Conflict, match="no replica at A") as caught:
        calls.complete(store, "A", [ONE], **WHO)
    assert caught.value.rows == (str(ONE),)
    after = calls.register_replicas(store, "A", [ONE], group="physics", is_custodial=True, **WHO)
    assert _kinds(store, begin) == ["blocks-arrived"]
    calls.register_files(store, ONE, calls.columns([calls.NewFile("/data/d", 4)]), **WHO)
    calls.complete(store, "A", [ONE], verified_us=9, **WHO)
    calls.assign_replicas(store, "A", [ONE], is_custodial=False, **WHO)
    with store.snapshot() as snapshot:
        (replica,) = snapshot.replicas()
    assert (replica.is_complete, replica.n_files, replica.group, replica.is_custodial) == (True, 4, "physics", False)
    with pytest.raises(Conflict, match="last known copy") as caught:
        calls.remove_replicas(store, "A", [ONE], evidence=Evidence.STATED, **WHO)
    assert caught.value.rows == ("/data/a", "/data/b", "/data/c", "/data/d")
    last = calls.remove_replicas(store, "A", [ONE], evidence=Evidence.DECLARED, reason="broken disk", **WHO)
    assert last.position == after.position + 4
    with store.snapshot() as snapshot:
        assert snapshot.replicas() == []


def test_files_are_removed_by_their_names_in_one_transaction(store: Store) -> None:
    calls.register_files(store, ONE, FILES, **WHO)
    begin = calls.register_files(store, TWO, calls.columns([calls.NewFile("/x/a", 1), calls.NewFile("/x/b", 2)]), **WHO)
    calls.remove_files(store, ["/data/c", "/x/a", "/data/a"], reason="made twice", **WHO)
    assert _kinds(store, begin) == ["remove-files", "remove-files"]
    with store.snapshot() as snapshot:
        assert [list(snapshot.files(block).lfns()) for block in (ONE, TWO)] == [["/data/b"], ["/x/b"]]
    with pytest.raises(UnknownName, match="/data/c and 1 more"):
        calls.remove_files(store, ["/data/b", "/data/c", "/x/a"], **WHO)


def test_files_are_renamed_by_their_names_in_one_transaction(store: Store) -> None:
    calls.register_files(store, ONE, FILES, site="A", **WHO)
    begin = calls.register_files(store, TWO, calls.columns([calls.NewFile("/x/a", 1)]), **WHO)
    new = {"/data/c": "/new/c", "/x/a": "/a", "/data/a": "/data/z"}
    with pytest.raises(Conflict, match="held by A") as caught:
        calls.rename_files(store, new, **WHO)
    assert set(caught.value.rows) == {"/data/a", "/data/c"}
    calls.rename_files(store, new, evidence=Evidence.DECLARED, **WHO)
    assert _kinds(store, begin) == ["rename-files", "rename-files"]
    with store.snapshot() as snapshot:
        found = [list(snapshot.files(block).lfns()) for block in (ONE, TWO)]
    assert found == [["/data/z", "/data/b", "/new/c"], ["/a"]]
    with pytest.raises(InvalidName):
        calls.rename_files(store, {"/a": "relative"}, **WHO)


@pytest.mark.parametrize("block", [ONE, TWO])
def test_no_name_passes_from_file_to_file_in_one_call(store: Store, block: BlockKey) -> None:
    calls.register_files(store, ONE, calls.columns([calls.NewFile("/b", 1)]), **WHO)
    first = 1 if block == ONE else 0
    calls.register_files(store, block, calls.columns([calls.NewFile("/c", 1 + first)]), **WHO)
    before = store.head()
    for new in ({"/b": "/c", "/c": "/d"}, {"/c": "/d", "/b": "/c"}, {"/b": "/c", "/c": "/b"}):
        with pytest.raises(BadInput, match="in one call"):
            calls.rename_files(store, new, **WHO)
    assert store.head() == before
    calls.rename_files(store, {"/c": "/d"}, **WHO)
    calls.rename_files(store, {"/b": "/c"}, **WHO)


def test_a_proof_reaches_replicas_that_are_complete(store: Store) -> None:
    calls.register_files(store, ONE, FILES, site="A", verified_us=5, **WHO)
    calls.register_replicas(store, "A", [ONE], verified_us=9, **WHO)
    with store.snapshot() as snapshot:
        assert snapshot.replicas()[0].verified_us == 5
    calls.verified(store, "A", [ONE], 9, **WHO)
    with store.snapshot() as snapshot:
        assert snapshot.replicas()[0].verified_us == 9
    with pytest.raises(Conflict, match="no replica at B"):
        calls.verified(store, "B", [ONE], 9, **WHO)


def test_permissions_are_set_under_requirements(store: Store) -> None:
    head = calls.register_files(store, ONE, FILES, **WHO)
    items = [Permission("/data", "", "me", "us", 0o755), Permission("/data", "a", "me", "us", 0o640, "user::rw-")]
    require = [need.StillThere(("/data/a",)), need.NotLocked(DATA), need.DatasetUnchanged(DATA, head.position)]
    calls.set_permissions(store, items, require=require, **WHO)
    with store.snapshot() as snapshot:
        assert snapshot.permissions() == items
    _commit(store, c.PutLock(Lock("l", "you", DATA)))
    with pytest.raises(Conflict, match="locked by you"):
        calls.set_permissions(store, items[:1], require=require, **WHO)


CALLS: dict[str, Callable[..., Head]] = {
    "register_files": lambda store, **more: calls.register_files(
        store, TWO, calls.columns([calls.NewFile("/y", 1)]), **more
    ),
    "register_replicas": lambda store, **more: calls.register_replicas(store, "B", [ONE], **more),
    "complete": lambda store, **more: calls.complete(store, "A", [ONE], **more),
    "verified": lambda store, **more: calls.verified(store, "A", [ONE], 9, **more),
    "assign_replicas": lambda store, **more: calls.assign_replicas(store, "A", [ONE], group="", **more),
    "remove_replicas": lambda store, **more: calls.remove_replicas(
        store, "A", [ONE], evidence=Evidence.DECLARED, **more
    ),
    "remove_files": lambda store, **more: calls.remove_files(store, ["/z"], **more),
    "rename_files": lambda store, **more: calls.rename_files(store, {"/z": "/zz"}, **more),
    "set_permissions": lambda store, **more: calls.set_permissions(store, [Permission("/", "", "a", "b", 0)], **more),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_holds_only_under_its_requirements(store: Store, name: str) -> None:
    calls.register_files(store, ONE, FILES, site="A", **WHO)
    calls.register_files(store, BlockKey(DATA, "z"), calls.columns([calls.NewFile("/z", 1)]), **WHO)
    before = store.head()
    with pytest.raises(Conflict, match="not registered any more"):
        CALLS[name](store, require=(need.StillThere(("/gone",)),), **WHO)
    assert store.head() == before
    after = CALLS[name](store, require=(need.StillThere(("/z",)),), **WHO)
    assert after == store.head()
    assert after.position == before.position + 1


class Meddling:
    """A store in which somebody else commits between a call's look and its commit, ``n_times``."""

    def __init__(self, store: Store, meddle: Callable[[int], object], n_times: int) -> None:
        self._store, self._meddle, self._n_left = store, meddle, n_times
        self.n_commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, change_set: c.ChangeSet) -> Head:
        self.n_commits += 1
        if self._n_left:
            self._n_left -= 1
            self._meddle(self._n_left)
        return self._store.commit(change_set)


def test_a_call_by_names_looks_again_when_the_files_have_moved(store: Store) -> None:
    names = [calls.NewFile(f"/data/{number}", number) for number in range(6)]
    calls.register_files(store, ONE, calls.columns(names), **WHO)
    meddling = Meddling(store, lambda left: calls.remove_files(store, [f"/data/{left}"], **WHO), 2)
    calls.remove_files(meddling, ["/data/4"], **WHO)
    assert meddling.n_commits == 3
    with store.snapshot() as snapshot:
        assert list(snapshot.files(ONE).lfns()) == ["/data/2", "/data/3", "/data/5"]


def test_a_registration_looks_again_when_the_block_has_grown(store: Store) -> None:
    def meddle(left: int) -> None:
        calls.register_files(store, ONE, calls.columns([calls.NewFile(f"/other/{left}", 1)]), **WHO)

    meddling = Meddling(store, meddle, 2)
    calls.register_files(meddling, ONE, FILES, **WHO)
    with store.snapshot() as snapshot:
        assert list(snapshot.files(ONE).lfns())[:3] == ["/other/1", "/other/0", "/data/a"]


def test_registrations_in_one_block_wait_for_each_other(store: Store) -> None:
    n_threads, n_calls = 12, 8
    looks: list[int] = []

    class Counting(Meddling):
        def commit(self, change_set: c.ChangeSet) -> Head:
            looks.append(1)
            return super().commit(change_set)

    counting = Counting(store, lambda _: None, 0)

    def register(thread: int) -> None:
        for number in range(n_calls):
            one = calls.columns([calls.NewFile(f"/many/{thread}/{number}", 1)])
            calls.register_files(counting, ONE, one, **WHO)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(register, range(n_threads)))
    assert len(looks) == n_threads * n_calls
    with store.snapshot() as snapshot:
        assert snapshot.blocks(DATA)[0].n_files == n_threads * n_calls


def test_registrations_in_one_block_by_many_processes_all_succeed(fast_folder: Path, store: Store) -> None:
    if not isinstance(store, SqlStore):
        pytest.skip("only one process has a store in memory")
    n_others, n_calls = 6, 10
    stores = [SqlStore.open(store.path) for _ in range(n_others)]  # Each a line of its own, as processes have.

    def register(number: int) -> None:
        for row in range(n_calls):
            calls.register_files(stores[number], ONE, calls.columns([calls.NewFile(f"/{number}/{row}", 1)]), **WHO)

    with ThreadPoolExecutor(n_others) as pool:
        list(pool.map(register, range(n_others)))
    for each in stores:
        each.close()
    with store.snapshot() as snapshot:
        assert snapshot.blocks(DATA)[0].n_files == n_others * n_calls


def test_a_registration_within_a_write_transaction_is_refused(store: Store) -> None:
    with pytest.raises(BrokenInvariant, match="asks for it again"), store.room(MetaData()).write():
        calls.register_files(store, ONE, FILES, **WHO)
    calls.register_files(store, ONE, FILES, **WHO)


def test_a_call_that_never_finds_quiet_gives_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "LOOKS_MAX", 8)
    calls.register_files(store, ONE, FILES, **WHO)
    meddling = Meddling(store, lambda _: _commit(store, c.UpdateDataset(DATA)), 10**6)
    with pytest.raises(Conflict, match="has changed"):
        calls.remove_files(meddling, ["/data/a"], **WHO)
    assert meddling.n_commits == calls.LOOKS_MAX


def test_a_refusal_is_not_tried_again(store: Store) -> None:
    calls.register_files(store, ONE, FILES, site="A", **WHO)
    meddling = Meddling(store, lambda _: None, 0)
    with pytest.raises(Conflict, match="held by a site"):
        calls.remove_files(meddling, ["/data/a"], **WHO)
    assert meddling.n_commits == 1


def test_too_many_rows_are_refused_whole(store: Store) -> None:
    calls.register_files(store, ONE, FILES, **WHO)
    before = store.head()
    with pytest.raises(BadInput, match="rows"):
        calls.register_replicas(store, "A", [ONE] * (ROWS_MAX + 1), **WHO)
    assert store.head() == before


def test_columns_are_made_of_rows() -> None:
    made = calls.columns(
        [calls.NewFile("/b/x", 1, {"crc32c": "1"}), calls.NewFile("/a", 2), calls.NewFile("/b/y", 3, {"md5": "0" * 32})]
    )
    expected = {"crc32c": ("00000001", None, None), "md5": (None, None, "0" * 32)}
    assert made == FileColumns(("/b", "/"), (0, 1, 0), ("x", "a", "y"), (1, 2, 3), expected)
    for bad in (calls.NewFile("b", 1), calls.NewFile("/b", 1, {"md5": "x"}), calls.NewFile("/b", 1, {"md6": "0"})):
        with pytest.raises(BadInput):
            calls.columns([bad])


RULES = {
    "none": PfnRules(),
    "prefix": PfnRules.prefix("/data", "/{odd}/path"),
    "no prefix": PfnRules.prefix("", "/all"),
    "flat": PfnRules(((RewriteStep("/data/(.*)/([^/]*)", "/{1}/{0}"),), (RewriteStep("(/data/.*)", "{0}"),))),
}


def test_files_are_located(store: Store) -> None:
    flat = Site("C", (Door("posix", "/c", RULES["flat"]), Door("root", "root://c")))
    staged, hidden = DatasetKey("/staged", "1"), BlockKey(DatasetKey("/staged", "1"), "x")
    _commit(store, c.PutSite(flat), c.CreateDataset(Dataset(staged, staging=Staging("A", "/s"))))
    calls.register_files(store, hidden, calls.columns([calls.NewFile("/s/a", 1)]), site="A", **WHO)
    calls.register_files(store, ONE, FILES, site="A", verified_us=5, **WHO)
    calls.register_replicas(store, "C", [ONE], **WHO)
    calls.register_files(store, ONE, calls.columns([calls.NewFile("/data/d/e", 1)]), site="C", **WHO)
    with store.snapshot() as snapshot:
        found = whereabouts.locate(snapshot, ["/data/d/e", "/none", "/data/a", "/s/a", "/data/a"])
        at_c = whereabouts.locate(snapshot, ["/data/a", "/s/a"], sites=["C"])
        with pytest.raises(UnknownName):
            whereabouts.locate(snapshot, ["/data/a"], sites=["C", "none"])
        listed = list(whereabouts.list_dataset(snapshot, DATA))
        assert listed == [(block, snapshot.files(block.key)) for block in snapshot.blocks(DATA)]
        with pytest.raises(UnknownName):
            list(whereabouts.list_dataset(snapshot, DatasetKey("/none")))
    new, none, first, coming, again = found
    at_a = whereabouts.FileAtSite("A", "/store/A/data/a", block_is_complete=False, verified_us=5)
    at_flat = whereabouts.FileAtSite("C", "/c/data/a", block_is_complete=True, verified_us=None)
    assert none is None
    assert new is not None
    assert [place.pfn for place in new.places] == ["/c/e/d"]
    assert first is not None
    assert first == again
    assert first.places == (at_a, at_flat)
    assert first.is_visible
    assert coming is not None
    assert not coming.is_visible
    assert len(coming.places) == 1
    assert [each and each.places for each in at_c] == [(at_flat,), ()]


def test_a_file_that_has_no_valid_path_is_nobody_elses_trouble(store: Store) -> None:
    long = "/data" + "/".join(["", *["n" * 200] * 4])
    calls.register_files(store, ONE, calls.columns([calls.NewFile("/data/a", 1), calls.NewFile(long, 2)]), **WHO)
    calls.register_replicas(store, "A", [ONE], **WHO)
    calls.register_replicas(store, "B", [ONE], **WHO)
    _commit(store, c.PutSite(Site("B", (Door("posix", "/store/B", PfnRules.prefix("", "/" + "p" * 250)),))))
    with store.snapshot() as snapshot:
        found = whereabouts.locate(snapshot, ["/data/a", long])
    pfns = [[place.pfn for place in each.places] for each in found if each is not None]
    assert pfns == [["/store/A/data/a", f"/store/B/{'p' * 250}/data/a"], [f"/store/A{long}", None]]
