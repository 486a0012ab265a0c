"""MemoryStore keeps the Store contract, and can be made to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model.clock import Clock
from holdfast.model.errors import BrokenInvariant
from holdfast.model.records import Group
from holdfast.testing.memory_store import FAULT_POINTS, MemoryStore
from holdfast.testing.store_hooks import ManualClock
from holdfast.testing.store_room_rules import ROOM, ProcessCrash, add_task, tasks
from holdfast.testing.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    def make_store(self, clock: Clock) -> Store:
        return MemoryStore(clock=clock)

    def reopen(self, store: Store, clock: Clock) -> Store:
        assert isinstance(store, MemoryStore)
        return store.reopen(clock=clock)

    def restored(self, store: Store, clock: Clock) -> Store:
        assert isinstance(store, MemoryStore)
        return store.restored(f"after {store.head().epoch}")


def _add_group(store: Store, name: str = "physics") -> None:
    change_set = c.ChangeSet((c.PutGroup(Group(name)),), "me", "why")
    store.commit(change_set, also=add_task(store.head().position))


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_crash_before_the_effect_leaves_none_and_after_it_all(point: str) -> None:
    wanted = ""

    def faults(reached: str) -> None:
        if reached == wanted:
            raise ProcessCrash

    store = MemoryStore(clock=ManualClock(), faults=faults)
    room = store.room(ROOM)
    _add_group(store)
    wanted = point
    before = (store.head(), tasks(room), store.cursors())

    def write_room() -> None:
        with room.write() as connection:
            add_task(99)(connection)

    actions: dict[str, Callable[[], None]] = {
        "commit": lambda: _add_group(store, "another"),
        "room": write_room,
        "advance": lambda: store.advance("reader", store.head().cursor),
    }
    with pytest.raises(ProcessCrash):
        actions[point.partition(".")[0]]()
    again = store.reopen(faults=lambda _: None)
    after = (again.head(), tasks(again.room(ROOM)), again.cursors())
    assert (after != before) == point.endswith(".done")
    _add_group(again, "third")


def test_each_fault_point_is_reached() -> None:
    reached: Counter[str] = Counter()
    store = MemoryStore(clock=ManualClock(), faults=lambda point: reached.update([point]))
    room = store.room(ROOM)
    _add_group(store)
    with room.write() as connection:
        add_task(99)(connection)
    store.advance("reader", store.head().cursor)
    assert reached == Counter(FAULT_POINTS)


def test_a_dead_store_does_nothing_more() -> None:
    store = MemoryStore(clock=ManualClock())
    again = store.reopen()
    for call in (store.head, store.cursors, store.entries, lambda: _add_group(store)):
        with pytest.raises(BrokenInvariant):
            call()
    assert again.head().position == 0


def test_a_writer_who_waits_for_himself_is_told() -> None:
    store = MemoryStore(clock=ManualClock())
    room = store.room(ROOM)
    with room.write(), pytest.raises(BrokenInvariant, match="asks for it again"):
        _add_group(store)
    _add_group(store)
    assert store.head().position == 1
