"""Backup and restore: whole or not at all, proved before use, and a new epoch afterwards."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table
from test_verify import DATASET, make_store

from holdfast.inventory.backup import backup, check, restore
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import verify
from holdfast.model.changes import ChangeSet, ConfirmRestore, PutGroup, StartEpoch, UpdateDataset
from holdfast.model.errors import Conflict, OperatorError, ResyncNeeded
from holdfast.model.records import Group
from holdfast.model.requirements import StillOrphans


def clock() -> int:
    return 5_000_000


def add_group(store: SqlStore, name: str) -> None:
    store.commit(ChangeSet((PutGroup(Group(name)),), actor="test", cause="test"))


def groups(store: SqlStore) -> list[str]:
    with store.snapshot() as snapshot:
        return snapshot.groups()


def beside(inventory: Path) -> list[str]:
    """The files in the inventory's folder that do not belong to it."""
    return sorted(path.name for path in inventory.parent.iterdir() if not path.name.startswith(inventory.name))


def test_a_backup_is_a_whole_inventory_at_one_position(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    head = backup(store, tmp_path / "copy.db")
    add_group(store, "later")
    copy = SqlStore.open(tmp_path / "copy.db")
    assert head == copy.head()
    assert store.head().position == head.position + 1
    assert verify(copy) == []
    assert groups(copy) == []


def test_a_backup_never_replaces_a_file(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OperatorError, match="there already"):
        backup(store, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_backup_of_a_broken_inventory_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE journal SET cause = 'forged' WHERE position = 2")
    before = beside(store.path)
    with pytest.raises(OperatorError, match="journal is broken"):
        backup(store, tmp_path / "copy.db")
    assert beside(store.path) == before


def test_a_restore_brings_the_old_content_back_in_a_new_epoch(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    old = backup(store, tmp_path / "copy.db")
    add_group(store, "lost")
    head = restore(tmp_path / "copy.db", store.path, clock=clock, actor="me@here")
    assert (head.position, store.head()) == (old.position + 1, head)
    assert head.epoch != old.epoch
    assert groups(store) == []
    assert verify(store) == []
    last = list(store.entries(old.cursor))
    assert [entry.changes for entry in last] == [(StartEpoch(old.epoch, old.position, old.digest),)]
    assert last[0].actor == "me@here"


def test_a_reader_of_the_lost_history_is_told_and_one_of_the_kept_goes_on(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    kept = store.head().cursor
    backup(store, tmp_path / "copy.db")
    add_group(store, "lost")
    lost = store.head().cursor
    restore(tmp_path / "copy.db", store.path, clock=clock, actor="me")
    add_group(store, "new")
    with pytest.raises(ResyncNeeded):
        store.entries(lost)
    assert [entry.position for entry in store.entries(kept)] == [kept.position + 1, kept.position + 2]


def test_a_restore_into_an_empty_place_makes_the_inventory(tmp_path: Path) -> None:
    backup(make_store(tmp_path), tmp_path / "copy.db")
    (tmp_path / "elsewhere").mkdir()
    restore(tmp_path / "copy.db", tmp_path / "elsewhere" / "inventory.db", clock=clock, actor="me")
    store = SqlStore.open(tmp_path / "elsewhere" / "inventory.db")
    assert verify(store) == []
    with store.snapshot() as snapshot:
        assert [dataset.key for dataset in snapshot.datasets()] == [DATASET]


def test_readers_that_hold_a_snapshot_keep_it_over_a_restore(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    backup(store, tmp_path / "copy.db")
    add_group(store, "lost")
    with store.snapshot() as snapshot:
        restore(tmp_path / "copy.db", store.path, clock=clock, actor="me")
        assert snapshot.groups() == ["lost"]
    assert groups(store) == []


@pytest.mark.parametrize("damage", ["truncated", "garbage", "forged", "empty"])
def test_a_bad_backup_is_refused_and_changes_nothing(tmp_path: Path, damage: str) -> None:
    store = make_store(tmp_path)
    copy = tmp_path / "copy.db"
    backup(store, copy)
    add_group(store, "kept")
    if damage == "truncated":
        copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
    elif damage == "garbage":
        copy.write_bytes(b"garbage" * 1000)
    elif damage == "empty":
        copy.write_bytes(b"")
    else:
        with sqlite3.connect(copy) as connection:
            connection.execute("UPDATE journal SET actor = 'somebody' WHERE position = 2")
    head = store.head()
    files = beside(store.path)
    with pytest.raises(OperatorError):
        restore(copy, store.path, clock=clock, actor="me")
    assert store.head() == head
    assert groups(store) == ["kept"]
    assert beside(store.path) == files


def test_the_inventory_cannot_be_its_own_backup(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with pytest.raises(OperatorError, match="itself"):
        restore(store.path, store.path, clock=clock, actor="me")


def test_writes_go_on_after_a_restore(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    backup(store, tmp_path / "copy.db")
    head = restore(tmp_path / "copy.db", store.path, clock=clock, actor="me")
    after = store.commit(ChangeSet((UpdateDataset(DATASET, required_copies=2),), actor="me", cause="test"))
    assert after.position == head.position + 1
    assert after.epoch == head.epoch
    assert verify(store) == []


def test_a_backup_can_be_proved_without_restoring_it(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    head = backup(store, tmp_path / "copy.db")
    assert check(tmp_path / "copy.db") == head
    (tmp_path / "copy.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(OperatorError, match=r"copy\.db"):
        check(tmp_path / "copy.db")


def test_an_error_names_the_backup_and_not_a_temporary_file(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    backup(store, tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as connection:
        connection.execute("UPDATE journal SET actor = 'somebody' WHERE position = 2")
    with pytest.raises(OperatorError) as caught:
        restore(tmp_path / "copy.db", store.path, clock=clock, actor="me")
    assert caught.value.place == str(tmp_path / "copy.db")


def test_rooms_that_are_younger_than_the_backup_begin_empty(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    backup(store, tmp_path / "copy.db")
    metadata = MetaData()
    table = Table("room_table", metadata, Column("id", Integer, primary_key=True))
    room = store.room(metadata)
    with room.write() as connection:
        connection.execute(table.insert().values(id=1))
    restore(tmp_path / "copy.db", store.path, clock=clock, actor="me")
    with room.read() as connection:
        assert connection.execute(table.select()).all() == []


def test_after_a_restore_no_unknown_file_goes_until_it_is_confirmed(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    backup(store, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", store.path, clock=clock, actor="me")
    orphans = ChangeSet((), "me", "test", requirements=(StillOrphans("A", ("/dark",)),))
    with pytest.raises(Conflict, match="restored from a backup"):
        store.commit(orphans)
    store.commit(ChangeSet((ConfirmRestore(store.head().epoch),), "me", "test"))
    store.commit(orphans)
    assert verify(store) == []
