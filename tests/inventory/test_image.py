"""Every form of the inventory says the same, whatever happens to it.

A state machine commits random change sets to a SqlStore and a MemoryStore, the
oracle over plain dictionaries, with the same clock: both accept, with the same
digest, or both refuse, with the same words. An image that follows, one that was
loaded, one whose pieces are so small that it folds all the time, one that was
published and mapped, and both stores answer alike after every step.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.inventory import verify
from holdfast.inventory.image import sql_load
from holdfast.inventory.image.file_table import FileTableSizes as FileSizes
from holdfast.inventory.image.image import Image, follow, load
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.image.publisher import Publisher
from holdfast.inventory.image.tables import ImageTables, TableSizes
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Head, JournalEntry, Snapshot, Store
from holdfast.model import changes as c
from holdfast.model.errors import BrokenInvariant, HoldfastError, ResyncNeeded
from holdfast.model.records import Group
from holdfast.testing import random_changes
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.random_changes import BEGINNING, OPEN
from holdfast.testing.snapshots import assert_same, described
from holdfast.testing.store_hooks import ManualClock, site
from support.fast_folder import fast_folder
from support.soak import examples

EPOCH = "the-epoch"
SMALL = TableSizes(chunk_blocks=2, changed_min=0, files=FileSizes(chunk=8, partition=8, fold_at_once=2, merge_from=4))


def _outcome(store: Store, change_set: c.ChangeSet) -> object:
    try:
        return store.commit(change_set)
    except HoldfastError as error:
        return type(error), str(error), getattr(error, "rows", ())


class Forms(RuleBasedStateMachine):
    """Two stores, an image that follows, and one that is loaded now and then."""

    def __init__(self, place: str = "") -> None:
        super().__init__()
        self.held = ExitStack()
        self.clock = ManualClock(now_us=10)
        path = self.held.enter_context(fast_folder()) / "inventory.sqlite"
        self.sql = SqlStore.create(place or path, clock=self.clock, epoch=EPOCH)
        self.memory = MemoryStore(clock=self.clock, epoch=EPOCH)
        for store in (self.sql, self.memory):
            store.commit(BEGINNING)
        self.follower = Image.empty()
        self.folding = Image(ImageTables.empty("", SMALL))
        folder = self.held.enter_context(fast_folder())
        self.publisher = self.held.enter_context(Publisher(folder))
        self.published = PublishedImage(folder)
        self.loaded = Image.empty(EPOCH)
        self.frozen: list[tuple[Snapshot, dict[str, object]]] = []

    @rule(seeds=st.lists(st.integers(0, 2**32), min_size=5, max_size=12))
    def commit(self, seeds: list[int]) -> None:
        for seed in seeds:
            with self.memory.snapshot() as view:
                change_set = random_changes.change_set(seed, view)
            assert _outcome(self.sql, change_set) == _outcome(self.memory, change_set)
            self.clock.now_us = max(0, self.clock.now_us + seed % 7 - 2)
            self.all_forms_say_the_same()

    @rule(how=st.sampled_from(["columns", "sql", "memory"]))
    def load_again(self, how: str) -> None:
        if how == "columns":
            with self.sql.reading() as connection:
                self.loaded = sql_load.load(connection, sizes=SMALL)
        else:
            with (self.sql if how == "sql" else self.memory).snapshot() as snapshot:
                self.loaded = load(snapshot)
        self.frozen += [(image.snapshot(), described(image.snapshot())) for image in (self.follower, self.loaded)]
        self.memory = self.memory.reopen()

    @rule()
    def fold(self) -> None:
        while self.folding.fold_step():
            assert_same(self.follower.snapshot(), self.folding.snapshot())
        self.frozen.append((self.folding.snapshot(), described(self.folding.snapshot())))

    @rule(goes_on=st.booleans())
    def publish(self, goes_on: bool) -> None:
        self.publisher.publish(self.folding.tables)
        mapped = self.published.snapshot()
        assert_same(self.folding.snapshot(), mapped)
        self.frozen.append((mapped, described(mapped)))
        if goes_on:  # As a server does that was started again.
            self.folding = Image(self.published.tables())

    @invariant()
    def all_forms_say_the_same(self) -> None:
        follow(self.memory, self.loaded)
        assert follow(self.sql, self.follower) == follow(self.sql, self.folding) == self.sql.head()
        with self.sql.snapshot() as sql, self.memory.snapshot() as memory:
            images = (self.follower, self.loaded, self.folding)
            assert_same(sql, memory, *(image.snapshot() for image in images))

    def teardown(self) -> None:
        assert list(self.sql.entries()) == list(self.memory.entries())
        assert verify.verify(self.sql) == []
        for snapshot, before in self.frozen:
            assert described(snapshot) == before
        self.sql.close()
        self.held.close()


TestForms = Forms.TestCase
TestForms.settings = settings(
    max_examples=examples(6),
    stateful_step_count=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.slow
@pytest.mark.real("postgresql")
def test_forms_with_postgresql(postgres: PostgresServer) -> None:
    forms, chance = Forms(postgres.new_database()), random.Random(1)
    for how in ("columns", "sql", "memory", "columns"):
        forms.commit([chance.randrange(2**32) for _ in range(12)])
        forms.fold()
        forms.publish(goes_on=how == "sql")
        forms.load_again(how)
        forms.all_forms_say_the_same()
    assert forms.follower.head.position > 16
    forms.teardown()


def test_every_change_is_among_the_random_ones() -> None:
    kinds = set(c.Change.__args__) - {c.StartEpoch}  # type: ignore[attr-defined]
    assert random_changes.CHANGES.keys() == kinds


def _store(n_entries: int, clock: ManualClock | None = None) -> MemoryStore:
    store = MemoryStore(clock=clock or ManualClock(), epoch=EPOCH)
    for number in range(n_entries):
        store.commit(c.ChangeSet((c.PutGroup(Group(f"g{number}")),), "me", "why"))
    return store


def test_an_image_follows_in_portions() -> None:
    store = _store(7)
    image = Image.empty()
    assert [follow(store, image, 3).position for _ in range(4)] == [3, 6, 7, 7]
    assert image.head == store.head()


def test_an_image_takes_no_entry_out_of_turn() -> None:
    entries = _store(4).entries()
    image = Image.empty()
    image.apply_all(entries[:2])
    for wrong in (entries[0], entries[1], entries[3]):
        with pytest.raises(ResyncNeeded):
            image.apply(wrong)
    assert image.head.position == 2
    image.apply(entries[2])
    assert image.head.cursor == entries[2].cursor


def test_entries_are_taken_in_together_or_not_at_all() -> None:
    entries = _store(4).entries()
    image = Image.empty()
    with pytest.raises(ResyncNeeded):
        image.apply_all([entries[0], entries[1], entries[3]])
    assert image.head == Head("", 0, "", 0)
    assert image.snapshot().groups() == []


def test_an_image_takes_no_entry_of_another_epoch() -> None:
    store = _store(2)
    image = Image.empty()
    follow(store, image)
    foreign = replace(store.entries()[1], epoch="another", position=3)
    with pytest.raises(ResyncNeeded):
        image.apply(foreign)
    with pytest.raises(ResyncNeeded):
        Image.empty("another").apply(store.entries()[0])


@pytest.mark.parametrize("seen", range(4))
def test_an_image_that_saw_no_more_follows_across_a_restore(seen: int) -> None:
    store = _store(3)
    image = Image.empty()
    image.apply_all(store.entries(limit=seen))
    again = store.restored("another")
    again.commit(c.ChangeSet((c.PutGroup(Group("new")),), "me", "why"))
    assert follow(again, image) == again.head()
    with again.snapshot() as snapshot:
        assert_same(snapshot, image.snapshot())
        assert_same(snapshot, load(snapshot).snapshot())


def test_an_image_that_saw_more_must_be_made_anew() -> None:
    store = _store(5)
    image = Image.empty()
    follow(store, image)
    before = described(image.snapshot())
    for position in (0, 3, 4):
        with pytest.raises(ResyncNeeded):
            follow(store.restored("another", position=position), image)
    assert described(image.snapshot()) == before


def test_an_epoch_begins_where_it_says() -> None:
    store = _store(3)
    again = store.restored("another", position=2)
    image = Image.empty()
    image.apply_all(store.entries())
    start = again.entries()[2]
    with pytest.raises(ResyncNeeded):
        image.apply(replace(start, position=4))
    elsewhere = store.restored("elsewhere", position=3).entries()[3]
    wrong = c.StartEpoch("unknown", 3, elsewhere.changes[0].restored_digest)  # type: ignore[union-attr]
    with pytest.raises(ResyncNeeded):
        image.apply(replace(elsewhere, changes=(wrong,)))
    image.apply(elsewhere)
    assert image.head.epoch == "elsewhere"


def test_an_entry_that_makes_no_sense_is_a_broken_invariant() -> None:
    store = _store(1)
    image = Image.empty()
    follow(store, image)
    head = store.head()
    senseless = JournalEntry(EPOCH, 2, head.at_us, "me", "why", None, (c.AbandonStaged(OPEN),), "0" * 64)
    with pytest.raises(BrokenInvariant, match="position 2"):
        image.apply(senseless)
    assert image.head == head


def test_entries_can_be_checked_by_the_rules() -> None:
    store = _store(1)
    bad = replace(store.entries()[0], position=2, changes=(c.PutSite(site("A")), c.RemoveLock("none")))
    image = Image.empty()
    follow(store, image)
    image.apply_all([bad])
    image = Image.empty()
    follow(store, image)
    with pytest.raises(HoldfastError, match="no lock"):
        image.apply_all([bad], checked=True)
    assert image.snapshot().sites() == []


def test_assert_same_tells_the_difference() -> None:
    one, other = _store(2), _store(3)
    with one.snapshot() as first, other.snapshot() as second, pytest.raises(AssertionError, match="head"):
        assert_same(first, second)
