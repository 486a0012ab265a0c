"""RoomRules: tables of the rooms beside the inventory; readers and writers at once. Part of StoreSuite."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, insert, select, update

from holdfast.inventory.store import RoomTables
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BrokenInvariant, Conflict, UnknownName
from holdfast.model.names import DatasetKey
from holdfast.model.records import Group
from holdfast.testing.snapshots import described
from holdfast.testing.store_hooks import DATA, StoreHooks, site
from holdfast.testing.store_journal_rules import assert_chained

ROOM = MetaData()
TASK = Table("test_task", ROOM, Column("id", Integer, primary_key=True), Column("state", Text, nullable=False))


class ProcessCrash(BaseException):
    """A process that dies; nothing but ``finally`` sees it."""


def add_task(number: int, state: str = "new") -> Callable[[Connection], None]:
    """Something to do in a write transaction."""

    def add(connection: Connection) -> None:
        connection.execute(insert(TASK).values(id=number, state=state))

    return add


def tasks(room: RoomTables) -> list[tuple[int, str]]:
    """All rows of the room."""
    with room.read() as connection:
        return [(row.id, row.state) for row in connection.execute(select(TASK).order_by(TASK.c.id))]


class RoomRules(StoreHooks):
    """What rooms may keep beside the inventory."""

    def test_a_room_has_tables_of_its_own(self) -> None:
        room = self.store.room(ROOM)
        assert tasks(room) == []
        with room.write() as connection:
            add_task(1)(connection)
            add_task(2)(connection)
        with room.write() as connection:
            connection.execute(update(TASK).where(TASK.c.id == 2).values(state="done"))
        assert tasks(room) == tasks(self.store.room(ROOM)) == [(1, "new"), (2, "done")]
        assert self.store.head().position == 0

    @pytest.mark.parametrize("error", [ValueError, ProcessCrash])
    def test_an_exception_undoes_a_rooms_transaction(self, error: type[BaseException]) -> None:
        room = self.store.room(ROOM)

        def fail() -> None:
            with room.write() as connection:
                add_task(1)(connection)
                raise error

        with pytest.raises(error):
            fail()
        assert tasks(room) == []
        with room.write() as connection:
            add_task(1)(connection)

    def test_also_is_committed_with_the_changes(self) -> None:
        room = self.store.room(ROOM)
        self.commit(c.PutSite(site("A")), also=add_task(1))
        assert (tasks(room), self.store.head().position) == ([(1, "new")], 1)

    def test_also_is_done_without_changes(self) -> None:
        room = self.store.room(ROOM)
        self.begin()
        before = self.store.head()
        assert self.commit(require=[need.DatasetVisible(DATA)], also=add_task(1)) == before
        assert tasks(room) == [(1, "new")]

    @pytest.mark.parametrize("error", [ValueError, ProcessCrash])
    def test_when_also_fails_nothing_happened(self, error: type[BaseException]) -> None:
        room = self.store.room(ROOM)
        before = self.described()

        def fail(connection: Connection) -> None:
            add_task(1)(connection)
            raise error

        with pytest.raises(error):
            self.commit(c.PutSite(site("A")), also=fail)
        assert (tasks(room), self.described()) == ([], before)
        self.commit(c.PutSite(site("A")), also=add_task(1))

    def test_when_a_change_or_a_requirement_fails_also_is_not_done(self) -> None:
        room = self.store.room(ROOM)
        self.begin()
        with pytest.raises(UnknownName):
            self.commit(c.PutSite(site("D")), c.RemoveLock("none"), also=add_task(1))
        with pytest.raises(UnknownName):
            self.commit(c.PutSite(site("D")), require=[need.DatasetVisible(DatasetKey("/none"))], also=add_task(2))
        assert tasks(room) == []

    def test_who_has_the_turn_does_not_get_it_again(self) -> None:
        room, head = self.store.room(ROOM), self.store.head()
        change_set = c.ChangeSet((c.PutGroup(Group("physics")),), "me", "why")
        asks: list[Callable[[], object]] = [
            lambda: self.store.commit(change_set),
            lambda: self.store.advance("reader", head.cursor),
            lambda: room.write().__enter__(),
        ]
        for ask in asks:
            with pytest.raises(BrokenInvariant, match="asks for it again"), room.write():
                ask()
            with pytest.raises(BrokenInvariant, match="asks for it again"):
                self.store.commit(change_set, also=lambda _, ask=ask: ask() and None)  # type: ignore[misc]
        assert self.store.head() == head
        self.store.commit(change_set)

    def test_a_room_is_there_after_opening_again(self) -> None:
        room = self.store.room(ROOM)
        with room.write() as connection:
            add_task(1)(connection)
        again = self.reopen(self.store, self.clock)
        assert tasks(again.room(ROOM)) == [(1, "new")]
        again.close()

    def test_a_view_of_a_room_holds_still(self) -> None:
        room = self.store.room(ROOM)
        with room.read() as connection:
            assert connection.execute(select(TASK)).all() == []
            self.commit(c.PutSite(site("A")), also=add_task(1))
            assert connection.execute(select(TASK)).all() == []
        assert tasks(room) == [(1, "new")]

    def test_nobody_sees_a_transaction_that_is_not_finished(self) -> None:
        room = self.store.room(ROOM)
        with room.write() as connection:
            add_task(1)(connection)
            assert tasks(room) == []
        assert tasks(room) == [(1, "new")]


class ConcurrencyRules(StoreHooks):
    """Readers and writers at once."""

    def test_a_snapshot_does_not_move(self) -> None:
        self.begin()
        with self.store.snapshot() as old:
            before = described(old)
            self.commit(c.UpdateDataset(DATA, required_copies=3))
            self.copied()
            self.stage(2)
            assert described(old) == before
        assert self.view().dataset(DATA).required_copies == 3

    def test_a_commit_is_seen_by_every_later_snapshot(self) -> None:
        for number in range(1, 6):
            head = self.commit(c.PutGroup(Group(f"g{number}")))
            with self.store.snapshot() as snapshot, ThreadPoolExecutor(1) as pool:
                assert (snapshot.head, len(snapshot.groups())) == (head, number)
                assert pool.submit(self.store.head).result() == head

    def test_any_number_of_snapshots_stops_nobody(self) -> None:
        self.begin()
        with ExitStack() as held:
            snapshots = []
            for number in range(30):
                snapshots.append(held.enter_context(self.store.snapshot()))
                self.commit(c.PutGroup(Group(f"g{number}")))
            assert [len(snapshot.groups()) for snapshot in snapshots] == list(range(1, 31))

    def test_many_writers_are_serial(self) -> None:
        room = self.store.room(ROOM)
        self.begin()
        first = self.store.head().position + 1

        def work(worker: int) -> list[int]:
            positions = []
            for number in range(25):
                group = c.PutGroup(Group(f"w{worker}-{number}"))
                positions.append(self.commit(group, also=add_task(worker * 25 + number)).position)
            return positions

        with ThreadPoolExecutor(4) as pool:
            positions = list(pool.map(work, range(4)))
        assert sorted(itertools.chain(*positions)) == list(range(first, first + 100))
        assert all(mine == sorted(mine) for mine in positions)
        assert len(tasks(room)) == 100
        assert_chained(self.store)

    def test_of_writers_with_the_same_requirement_one_succeeds(self) -> None:
        self.begin()
        position = self.store.head().position
        together = threading.Barrier(4)

        def work(worker: int) -> bool:
            together.wait()
            try:
                required = [need.DatasetUnchanged(DATA, position)]
                self.commit(c.UpdateDataset(DATA, required_copies=worker + 2), require=required)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(work, range(4))) == [False, False, False, True]

    def test_nobody_sees_half_a_commit(self) -> None:
        self.commit(c.PutGroup(Group("a0")), c.PutGroup(Group("b0")))
        done = threading.Event()

        def read() -> int:
            n_reads = 0
            while not done.is_set() or n_reads == 0:
                with self.store.snapshot() as snapshot:
                    groups = snapshot.groups()
                    assert len(groups) == 2 * snapshot.head.position
                    assert groups == snapshot.groups()
                n_reads += 1
            return n_reads

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for number in range(1, 30):
                    self.commit(c.PutGroup(Group(f"a{number}")), c.PutGroup(Group(f"b{number}")))
            finally:
                done.set()
            assert all(reader.result() for reader in readers)
