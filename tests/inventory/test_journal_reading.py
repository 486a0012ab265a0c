"""What people ask of a journal: its end, a stretch of it, what touched one thing; whole or trimmed."""

from __future__ import annotations

import pytest

from holdfast.inventory import journal_reading
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model.errors import BrokenInvariant, UnknownName
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset, Group
from holdfast.testing.store_hooks import ManualClock, site
from inventory.places import Places, execute, places

__all__ = ["places"]

ONE, A = ("dataset", "/data/1"), ("site", "A")


@pytest.fixture
def store(places: Places) -> SqlStore:
    """A at 1, dataset 1 at 2 and 4, both at 5, a group at 3 and 6."""
    made = places.create(ManualClock())
    key = DatasetKey("/data/1")
    for changes in (
        [c.PutSite(site("A"))],
        [c.CreateDataset(Dataset(key, is_open=True))],
        [c.PutGroup(Group("three"))],
        [c.UpdateDataset(key, required_copies=2)],
        [c.UpdateDataset(key, required_copies=3), c.PutSite(site("A"))],
        [c.PutGroup(Group("six"))],
    ):
        made.commit(c.ChangeSet(tuple(changes), "me", "why"))
    return made


@pytest.mark.parametrize("is_trimmed", [False, True])
def test_the_last_that_touch_something(store: SqlStore, is_trimmed: bool) -> None:
    if is_trimmed:
        store.trim(2)
    gone = 2 if is_trimmed else 0

    def positions(count: int, *items: tuple[str, str], until: int = 99) -> list[int]:
        return [entry.position for entry in journal_reading.last(store, count, items, until=until)]

    assert positions(99) == [*range(gone + 1, 7)]
    assert positions(2, until=5) == [4, 5]
    assert positions(99, ONE) == [each for each in (2, 4, 5) if each > gone]
    assert positions(1, ONE, until=4) == [4]
    assert positions(99, ONE, A) == [5]
    assert positions(99, ("site", "B")) == positions(0) == []


def test_those_of_a_batch_that_touch_something(store: SqlStore) -> None:
    entries = list(store.entries())
    assert journal_reading.touching(store, entries, []) == entries
    assert journal_reading.touching(store, entries[2:], [ONE]) == entries[3:5]
    assert journal_reading.touching(store, entries[2:], [ONE, A]) == entries[4:5]
    assert journal_reading.touching(store, [], [ONE]) == []


def test_a_stretch(store: SqlStore) -> None:
    entries = list(store.entries())
    store.trim(2)
    assert list(journal_reading.between(store, 2)) == entries[2:]
    assert list(journal_reading.between(store, 3, 5)) == entries[3:5]
    for after, until in ((6, None), (99, None), (3, 3), (3, 1)):
        assert list(journal_reading.between(store, after, until)) == []


def test_a_stretch_with_a_hole_is_no_shorter_stretch(store: SqlStore) -> None:
    execute(store, "DELETE FROM journal WHERE position = 3")
    for after in (0, 2, 3):
        with pytest.raises(BrokenInvariant, match="position 3"):
            list(journal_reading.between(store, after))


def test_a_reader_is_dropped_by_its_name(store: SqlStore) -> None:
    store.advance("reader", store.head().cursor)
    with pytest.raises(UnknownName) as caught:
        journal_reading.drop_cursor(store, "raeder")
    assert caught.value.hint == "did you mean reader?"
    journal_reading.drop_cursor(store, "reader")
    assert store.cursors() == {}
