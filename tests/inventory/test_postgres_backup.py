"""Backup and restore with PostgreSQL: the same promises as on SQLite, and the way from one to the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Boolean, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint, insert, select, update
from test_verify import make_store

from holdfast.inventory import schema
from holdfast.inventory.backup import backup, check, restore
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.inventory.verify import verify
from holdfast.model.changes import ChangeSet, CreateDataset, PutGroup, PutLock, RegisterFiles, StartEpoch
from holdfast.model.errors import OperatorError, ResyncNeeded
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Group, Lock
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.snapshots import described
from holdfast.testing.store_hooks import files

pytestmark = [pytest.mark.slow, pytest.mark.real("postgresql")]

ROOM = MetaData()
TASK = Table(
    "backup_task",
    ROOM,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("is_done", Boolean, nullable=False, default=False),
    UniqueConstraint("name"),
)
Index("backup_task_open", TASK.c.name, sqlite_where=~TASK.c.is_done, postgresql_where=~TASK.c.is_done)
OTHER_ROOM = MetaData()
OTHER = Table("backup_other", OTHER_ROOM, Column("id", Integer, primary_key=True))
DATA = DatasetKey("/more")


def clock() -> int:
    return 5_000_000


def add_group(store: Store, name: str) -> None:
    store.commit(ChangeSet((PutGroup(Group(name)),), actor="test", cause="test"))


class Place:
    """A SQLite inventory with content, a PostgreSQL schema, and stores that are closed at the end."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.url = server.new_schema()
        self.opened: list[SqlStore] = []
        self.sqlite = self.keep(make_store(folder))
        add_group(self.sqlite, "phys")
        self.sqlite.commit(ChangeSet((CreateDataset(Dataset(DATA, is_open=True)),), "me", "why"))
        self.sqlite.commit(ChangeSet((RegisterFiles(BlockKey(DATA, "0"), 0, files(1200)),), "me", "why"))
        self.sqlite.commit(ChangeSet((PutLock(Lock("l", "me", DATA)),), "me", "why"))

    def keep(self, store: SqlStore) -> SqlStore:
        self.opened.append(store)
        return store

    def postgres(self) -> SqlStore:
        """The inventory at ``url``, which has the content of the SQLite one."""
        copy = self.folder / f"for-postgres-{len(self.opened)}"
        backup(self.sqlite, copy, rooms=[ROOM])
        restore(copy, self.url, clock=clock, actor="me", rooms=[ROOM])
        return self.keep(SqlStore.open(self.url))


@pytest.fixture
def place(postgres: PostgresServer, tmp_path: Path) -> Iterator[Place]:
    made = Place(postgres, tmp_path)
    yield made
    for store in made.opened:
        store.close()


def rows_of(store: SqlStore, table: Table) -> list[tuple[object, ...]]:
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]


def test_from_sqlite_to_postgres_and_back(place: Place) -> None:
    store = place.postgres()
    assert verify(store) == []
    head = backup(store, place.folder / "back")
    assert head == store.head()
    restore(place.folder / "back", place.folder / "again.db", clock=clock, actor="me")
    again = place.keep(SqlStore.open(place.folder / "again.db"))
    assert verify(again) == []
    assert again.head().position == place.sqlite.head().position + 2
    for table in schema.metadata.sorted_tables:
        if table is not schema.head:
            kept = rows_of(place.sqlite, table)
            assert rows_of(again, table)[: len(kept)] == kept
            assert rows_of(store, table)[: len(kept)] == kept
    add_group(again, "new")
    assert verify(again) == []


def test_a_backup_of_postgres_is_like_one_of_sqlite(place: Place) -> None:
    place.sqlite.room(ROOM)
    backup(place.sqlite, place.folder / "one", rooms=[ROOM])
    store = place.postgres()
    backup(store, place.folder / "other", rooms=[ROOM])
    shapes = []
    for name in ("one", "other"):
        with closing(sqlite3.connect(place.folder / name)) as connection:
            shapes.append(set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")))
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert shapes[0] == shapes[1]


def test_a_backup_is_at_one_position_while_writers_go_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.postgres()
    from holdfast.inventory import backup_rows

    usual = backup_rows._copy

    def slow(source: object, target: object, table: Table) -> None:
        add_group(store, f"during-{table.name}")
        usual(source, target, table)  # type: ignore[arg-type]

    before = store.head()
    with monkeypatch.context() as patch:
        patch.setattr(backup_rows, "_copy", slow)
        head = backup(store, place.folder / "copy")
    assert before.position <= head.position < store.head().position
    assert check(place.folder / "copy") == head


def test_a_restore_brings_the_old_content_back_in_a_new_epoch(place: Place) -> None:
    store = place.postgres()
    kept = store.head().cursor
    old = backup(store, place.folder / "copy")
    add_group(store, "lost")
    lost = store.head().cursor
    with store.snapshot() as held:
        assert "lost" in held.groups()
        head = restore(place.folder / "copy", place.url, clock=clock, actor="me@here")
        assert "lost" in held.groups()
    assert (head.position, store.head()) == (old.position + 1, head)
    assert head.epoch != old.epoch
    with store.snapshot() as snapshot:
        assert snapshot.groups() == ["phys"]
    assert verify(store) == []
    (last,) = store.entries(old.cursor)
    assert last.changes == (StartEpoch(old.epoch, old.position, old.digest),)
    assert last.actor == "me@here"
    add_group(store, "new")
    with pytest.raises(ResyncNeeded):
        store.entries(lost)
    assert [entry.position for entry in store.entries(kept)] == [kept.position + 1, kept.position + 2]


def test_who_waits_hears_of_a_restore(place: Place) -> None:
    store = place.postgres()
    backup(store, place.folder / "copy")
    before = store.head().position
    restore(place.folder / "copy", place.url, clock=clock, actor="me")
    assert store.wait(before, 10)


def test_a_backup_never_replaces_a_file(place: Place) -> None:
    store = place.postgres()
    (place.folder / "taken").write_text("mine")
    with pytest.raises(OperatorError, match="there already"):
        backup(store, place.folder / "taken")
    assert (place.folder / "taken").read_text() == "mine"


def test_a_broken_inventory_has_no_backup(place: Place) -> None:
    store = place.postgres()
    with store.writing() as connection:
        connection.execute(update(schema.journal).where(schema.journal.c.position == 2).values(cause="forged"))
    before = sorted(place.folder.iterdir())
    with pytest.raises(OperatorError, match="journal is broken") as caught:
        backup(store, place.folder / "copy")
    assert caught.value.place == store.place
    assert sorted(place.folder.iterdir()) == before


@pytest.mark.parametrize("damage", ["truncated", "garbage", "forged", "newer"])
def test_a_bad_backup_is_refused_and_changes_nothing(place: Place, damage: str) -> None:
    store = place.postgres()
    copy = place.folder / "copy"
    backup(store, copy)
    if damage == "truncated":
        copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
    elif damage == "garbage":
        copy.write_bytes(b"garbage" * 1000)
    else:
        changed = "journal SET actor = 'somebody'" if damage == "forged" else "head SET schema_version = 99"
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute(f"UPDATE {changed}")
            connection.commit()
    head = store.head()
    with pytest.raises(OperatorError) as caught:
        restore(copy, place.url, clock=clock, actor="me")
    assert caught.value.place == str(copy)
    assert store.head() == head
    assert verify(store) == []


def test_somebody_elses_database_is_left_alone(place: Place) -> None:
    backup(place.sqlite, place.folder / "copy")
    url = place.server.new_database()
    place.server.run("CREATE TABLE theirs (a int)", url=url)
    with pytest.raises(OperatorError, match="somebody else's"):
        restore(place.folder / "copy", url, clock=clock, actor="me")
    assert place.server.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url=url) == [(1,)]


def test_rooms_have_their_state_as_the_backup_has_it(place: Place) -> None:
    with place.sqlite.room(ROOM).write() as connection:
        rows = [{"id": 1, "name": "a", "is_done": False}, {"id": 7, "name": "b", "is_done": True}]
        connection.execute(insert(TASK), rows)
    store = place.postgres()
    assert rows_of(store, TASK) == [(1, "a", False), (7, "b", True)]
    room, other = store.room(ROOM), store.room(OTHER_ROOM)
    with room.write() as connection:
        assert connection.execute(insert(TASK).values(name="c")).inserted_primary_key == (8,)
    backup(store, place.folder / "copy", rooms=[ROOM])
    with room.write() as connection:
        connection.execute(insert(TASK).values(name="d"))
    with other.write() as connection:
        connection.execute(insert(OTHER).values(id=1))
    restore(place.folder / "copy", place.url, clock=clock, actor="me", rooms=[ROOM, OTHER_ROOM])
    assert rows_of(store, TASK) == [(1, "a", False), (7, "b", True), (8, "c", False)]
    assert rows_of(store, OTHER) == []
    with room.write() as connection:
        # Nine was given before the restore; who remembers it must not take another's row for his.
        assert connection.execute(insert(TASK).values(name="e")).inserted_primary_key == (10,)


def test_a_room_whose_columns_have_changed_begins_empty(place: Place) -> None:
    with place.sqlite.room(ROOM).write() as connection:
        connection.execute(insert(TASK).values(id=1, name="a"))
    backup(place.sqlite, place.folder / "copy")
    changed = MetaData()
    newer = Table("backup_task", changed, Column("id", Integer, primary_key=True), Column("size", Integer))
    restore(place.folder / "copy", place.url, clock=clock, actor="me", rooms=[changed])
    assert rows_of(place.keep(SqlStore.open(place.url)), newer) == []


def test_all_content_comes_back_equal(place: Place) -> None:
    store = place.postgres()
    backup(store, place.folder / "copy")
    url = place.server.new_schema()
    restore(place.folder / "copy", url, clock=clock, actor="me")
    restore(place.folder / "copy", place.folder / "file.db", clock=clock, actor="me")
    one, other = place.keep(SqlStore.open(url)), place.keep(SqlStore.open(place.folder / "file.db"))
    with one.snapshot() as first, other.snapshot() as second:
        mine, theirs = described(first), described(second)
    # Each restore begins an epoch of its own.
    assert [question for question in mine if mine[question] != theirs.get(question)] == ["head"]
    assert len(mine) == len(theirs)
