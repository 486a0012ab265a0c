"""SqlStore keeps the Store contract; and what can be wrong with a SQLite file."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.inventory import schema
from holdfast.inventory.backup import backup, restore
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model.clock import Clock
from holdfast.model.errors import BadInput, BrokenInvariant, OperatorError
from holdfast.model.records import Dataset, Group
from holdfast.testing.snapshots import described
from holdfast.testing.store_hooks import BLOCK, DATA, ManualClock, files
from holdfast.testing.store_journal_rules import assert_chained
from holdfast.testing.store_suite import StoreSuite
from support.users import Unprivileged


class TestSqlStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, fast_folder: Path) -> None:
        self.folder = fast_folder
        self.n_restored = 0

    def make_store(self, clock: Clock) -> Store:
        return SqlStore.create(self.folder / "inventory.sqlite", clock=clock)

    def reopen(self, store: Store, clock: Clock) -> Store:
        assert isinstance(store, SqlStore)
        store.close()
        return SqlStore.open(store.path, clock=clock)

    def restored(self, store: Store, clock: Clock) -> Store:
        assert isinstance(store, SqlStore)
        self.n_restored += 1
        copy = self.folder / f"backup-{self.n_restored}"
        place = self.folder / f"restored-{self.n_restored}"
        backup(store, copy)
        restore(copy, place, clock=clock, actor="tester")
        return SqlStore.open(place, clock=clock)


def _add_group(store: Store, name: str) -> int:
    return store.commit(c.ChangeSet((c.PutGroup(Group(name)),), "me", "why")).position


@pytest.fixture
def path(fast_folder: Path) -> Path:
    """An inventory with a few entries, closed, all in one file."""
    path = fast_folder / "inventory.sqlite"
    store = SqlStore.create(path, clock=ManualClock())
    for name in "abc":
        _add_group(store, name)
    store.commit(c.ChangeSet((c.CreateDataset(Dataset(DATA, is_open=True)),), "me", "why"))
    store.commit(c.ChangeSet((c.RegisterFiles(BLOCK, 0, files(3000)),), "me", "why"))
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


def test_a_new_inventory_replaces_nothing(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(OperatorError, match="an inventory already") as caught:
        SqlStore.create(path)
    assert caught.value.place == str(path)
    store = SqlStore.open(path)
    assert store.head().position == 5
    store.close()
    assert len(before) == path.stat().st_size


def test_a_new_inventory_makes_its_folder(fast_folder: Path) -> None:
    store = SqlStore.create(fast_folder / "a" / "b" / "inventory.sqlite")
    assert store.path.is_file()
    store.close()


def test_a_new_inventory_needs_a_place(fast_folder: Path) -> None:
    (fast_folder / "file").write_text("no folder")
    with pytest.raises(OperatorError) as caught:
        SqlStore.create(fast_folder / "file" / "inventory.sqlite")
    assert caught.value.place


def test_an_inventory_that_is_not_there(fast_folder: Path) -> None:
    with pytest.raises(OperatorError, match="there is no inventory") as caught:
        SqlStore.open(fast_folder / "none.sqlite")
    assert "holdfast init" in caught.value.hint
    assert list(fast_folder.iterdir()) == []
    with pytest.raises(OperatorError, match="there is no inventory"):
        SqlStore.open(fast_folder)


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 100_000, b"SQLite format 3\0" + b"\0" * 5000])
def test_a_file_that_is_no_inventory(fast_folder: Path, content: bytes) -> None:
    path = fast_folder / "inventory.sqlite"
    path.write_bytes(content)
    with pytest.raises(OperatorError) as caught:
        SqlStore.open(path)
    assert caught.value.place == str(path)
    assert path.read_bytes() == content


def test_a_database_of_somebody_else(fast_folder: Path) -> None:
    path = fast_folder / "inventory.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(OperatorError, match="no inventory of Holdfast"):
        SqlStore.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, schema.VERSION + 1, 99])
def test_an_inventory_of_another_release(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE head SET schema_version = ?", (version,))
        connection.commit()
    with pytest.raises(OperatorError, match=f"schema is {version}") as caught:
        SqlStore.open(path)
    assert ("release" if version > schema.VERSION else "migrate") in caught.value.hint


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.99])
def test_a_file_that_is_cut_off_is_told(path: Path, part: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])

    def read_all() -> None:
        store = SqlStore.open(path)
        try:
            assert_chained(store)
            with store.snapshot() as snapshot:
                described(snapshot)
        finally:
            store.close()

    with pytest.raises((OperatorError, BrokenInvariant)):
        read_all()


def test_an_entry_that_is_damaged_is_told_with_its_place(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE journal SET body = x'00' WHERE position = 2")
        connection.commit()
    store = SqlStore.open(path)
    with pytest.raises(BrokenInvariant, match="position 2"):
        list(store.entries())
    store.close()


def test_a_reader_of_another_program_stops_nobody(path: Path) -> None:
    store = SqlStore.open(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM head").fetchone()
        assert _add_group(store, "d") == 6
        assert other.execute("SELECT position FROM head").fetchone() == (5,)
    store.close()


def test_every_commit_is_synchronous(path: Path) -> None:
    store = SqlStore.open(path)
    with store.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def _write_groups(path: Path, prefix: str, n_groups: int) -> None:
    """What a process of its own does."""
    store = SqlStore.open(path)
    for number in range(n_groups):
        _add_group(store, f"{prefix}{number}")
    store.close()


def _read_steadily(path: Path, start: object, found: object) -> None:
    """Take a snapshot, say so, and look at it again after the other process has written."""
    store = SqlStore.open(path)
    with store.snapshot() as snapshot:
        before = described(snapshot)
        found.put("taken")  # type: ignore[attr-defined]
        start.wait(30)  # type: ignore[attr-defined]
        found.put(described(snapshot) == before)  # type: ignore[attr-defined]
    found.put(store.head().position)  # type: ignore[attr-defined]
    store.close()


def test_two_processes_write_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_groups, args=(path, prefix, 20)) for prefix in ("left", "right")]
    for worker in workers:
        worker.start()
    _write_groups(path, "here", 20)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    store = SqlStore.open(path)
    assert store.head().position == 65
    assert_chained(store)
    with store.snapshot() as snapshot:
        assert len(snapshot.groups()) == 63
    store.close()


def test_a_snapshot_in_another_process_does_not_move(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, found = context.Event(), context.Queue()
    reader = context.Process(target=_read_steadily, args=(path, start, found))
    reader.start()
    assert found.get(timeout=60) == "taken"
    store = SqlStore.open(path)
    position = _add_group(store, "d")
    start.set()
    assert found.get(timeout=60) is True
    assert found.get(timeout=60) == position
    reader.join(60)
    assert reader.exitcode == 0
    store.close()


def test_the_log_of_a_process_that_died_is_replayed(path: Path) -> None:
    store = SqlStore.open(path)
    position = _add_group(store, "d")
    # As a killed process leaves it: the log is not folded into the file, nobody said goodbye.
    copy = path.with_name("copy.sqlite")
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    store.close()
    again = SqlStore.open(copy)
    assert again.head().position == position
    assert_chained(again)
    again.close()


def test_half_a_transaction_in_the_log_is_dropped(path: Path) -> None:
    store = SqlStore.open(path)
    position = _add_group(store, "d")
    _add_group(store, "e")
    copy, log = path.with_name("copy.sqlite"), path.with_name(f"{path.name}-wal").read_bytes()
    copy.write_bytes(path.read_bytes())
    copy.with_name("copy.sqlite-wal").write_bytes(log[:-100])
    store.close()
    again = SqlStore.open(copy)
    assert again.head().position == position
    assert_chained(again)
    again.close()


def test_a_store_says_what_it_refuses_before_the_turn(path: Path) -> None:
    store = SqlStore.open(path)
    with store.writing(), pytest.raises(BadInput):
        store.commit(c.ChangeSet((c.RemoveLock("\udcff"),), "me", "why"))
    store.close()


def test_a_turn_that_cannot_be_had_is_the_operators_affair(path: Path) -> None:
    store = SqlStore.open(path)
    (path.parent / "inventory.sqlite.writer").unlink(missing_ok=True)
    (path.parent / "inventory.sqlite.writer").mkdir()
    with pytest.raises(OperatorError) as caught:
        _add_group(store, "d")
    assert caught.value.place.endswith(".writer")
    assert store.head().position == 5
    store.close()


@pytest.mark.real("unprivileged user")
@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_may_not_be_written(unprivileged: Unprivileged, mode: int) -> None:
    path = unprivileged.folder / "inventory.sqlite"
    with unprivileged.acting():
        SqlStore.create(path).close()
        path.chmod(mode)
        with pytest.raises(OperatorError) as caught:
            _add_group(SqlStore.open(path), "d")
    assert str(path) in caught.value.place


@pytest.mark.real("unprivileged user")
def test_a_folder_that_may_not_be_written(unprivileged: Unprivileged) -> None:
    folder = unprivileged.folder / "state"
    with unprivileged.acting():
        folder.mkdir()
        folder.chmod(0o555)
        for place in (folder / "inventory.sqlite", folder / "below" / "inventory.sqlite"):
            with pytest.raises(OperatorError) as caught:
                SqlStore.create(place)
            assert str(folder) in caught.value.place
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["a b?x", "100%41", "#1", "q&a=1"])
def test_a_path_is_a_path_whatever_it_contains(fast_folder: Path, name: str) -> None:
    folder = fast_folder / name
    store = SqlStore.create(folder / "inventory.sqlite")
    _add_group(store, "a")
    backup(store, folder / "backup")
    store.close()
    restore(folder / "backup", folder / "restored", clock=ManualClock(), actor="tester")
    with closing(SqlStore.open(folder / "restored")) as restored, restored.snapshot() as snapshot:
        assert snapshot.groups() == ["a"]
    assert [path.name for path in fast_folder.iterdir()] == [name]
