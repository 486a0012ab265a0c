"""Verify on both databases: it finds damage there, and says since when, and who touched what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from holdfast.inventory.invariants import Violation
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.sqlite_database import SqliteDatabase
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model.errors import DatabaseAway
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Group
from holdfast.testing.store_hooks import ManualClock, copy_request, files, site
from inventory.places import Places, execute, places

__all__ = ["places"]

ONE, TWO = DatasetKey("/data/1"), DatasetKey("/data/2")


def _commit(store: SqlStore, *changes: c.Change, actor: str = "me", cause: str = "why") -> int:
    return store.commit(c.ChangeSet(changes, actor, cause)).position


@pytest.fixture
def store(places: Places) -> SqlStore:
    """Two sites; two datasets of one block, whole at A, in part at B. The last entry is at position 4."""
    made = places.create(ManualClock())
    _fill(made)
    return made


def _fill(made: SqlStore) -> None:
    _commit(made, *(c.PutSite(site(name)) for name in "AB"))
    for key in (ONE, TWO):
        block = BlockKey(key, "block")
        columns = files(3, directory=key.name)
        _commit(
            made,
            c.CreateDataset(Dataset(key, is_open=True)),
            c.RegisterFiles(block, 0, columns, site="A", verified_us=5),
            copy_request(str(key), dataset=key),
            c.FilesArrived(block, "B", (0,), 7),
        )
    _commit(made, c.PutGroup(Group("physics")))


@pytest.mark.parametrize(
    ("invariant", "statement"),
    [
        ("I1", "UPDATE journal SET cause = 'forged' WHERE position = 3"),
        ("I1", "UPDATE journal SET at_us = 1 WHERE position = 3"),
        ("I1", "DELETE FROM journal WHERE position = 4"),
        ("I1", "UPDATE head SET position = position - 1"),
        ("I2", "DELETE FROM journal_touched WHERE kind = 'site' AND position = 3"),
        ("I2", "UPDATE journal_touched SET item = 'Z' WHERE kind = 'site' AND item = 'A' AND position = 3"),
        ("I3", "UPDATE block SET n_files = n_files + 1"),
        ("I3", "DELETE FROM file WHERE ordinal = 1"),
        ("I4", "UPDATE directory SET path = '/d/../e' WHERE path = '/data/1'"),
        ("I4", "UPDATE file SET size = -1 WHERE ordinal = 0"),
        ("I5", "UPDATE replica SET n_files = 2 WHERE held IS NOT NULL"),
        ("I5", "UPDATE replica SET size = size + 1 WHERE held IS NULL"),
        ("I7", "DELETE FROM replica WHERE held IS NOT NULL"),
        ("I9", "UPDATE cursor SET position = 1000"),
        ("I9", "UPDATE cursor SET epoch = 'another'"),
        ("I11", "UPDATE replica SET verified_us = 6 WHERE held IS NULL"),
        ("I11", "INSERT INTO owner_group VALUES ('nobody-asked')"),
        ("I11", "UPDATE file SET adler32 = 7 WHERE ordinal = 0"),
        ("I12", "INSERT INTO journal_touched_before VALUES ('site', 'A', 99)"),
    ],
)
def test_damage_is_found_and_dated(store: SqlStore, invariant: str, statement: str) -> None:
    assert verify(store) == []
    _commit(store, c.PutGroup(Group("late")))
    execute(store, statement)
    findings = verify(store)
    assert invariant in {each.invariant for each in findings}
    if "head" not in statement and "cursor" not in statement:
        assert {each.since for each in findings} == {(4, 5)}


@pytest.mark.slow
@pytest.mark.real("postgresql")
def test_a_file_in_no_directory_is_found(postgres_url: str) -> None:
    """PostgreSQL guards the other references itself, SQLite this one, too: test_verify breaks it with the guard off."""
    store = SqlStore.create(postgres_url)
    _fill(store)
    execute(store, "UPDATE file SET dir_id = 77 WHERE ordinal = 0 AND block_id = (SELECT min(id) FROM block)")
    assert "I10" in {each.invariant for each in verify(store)}
    store.close()


def test_before_the_first_clean_verify_nothing_is_known_of_when(store: SqlStore) -> None:
    execute(store, "INSERT INTO owner_group VALUES ('nobody-asked')")
    (finding,) = verify(store)
    assert (finding.since, finding.touches, finding.about) == (None, (), None)
    assert "verify" not in store.cursors()


def test_the_entries_that_touched_it_are_named(store: SqlStore) -> None:
    assert verify(store) == []
    assert store.cursors()["verify"] == store.head().cursor
    for number in range(3):
        key = (ONE, TWO)[number % 2]
        _commit(store, c.UpdateDataset(key, required_copies=number + 2), actor=f"user{number}", cause="more copies")
    execute(store, "UPDATE replica SET size = size + 1 WHERE held IS NULL AND block_id = (SELECT min(id) FROM block)")
    found = [each for each in verify(store) if each.invariant == "I5"]
    assert [(each.about, each.since) for each in found] == [(("dataset", str(ONE)), (4, 7))]
    assert [(touch.position, touch.actor, touch.cause) for touch in found[0].touches] == [
        (5, "user0", "more copies"),
        (7, "user2", "more copies"),
    ]


def test_what_nobody_touched_was_changed_behind_the_journal(store: SqlStore) -> None:
    assert verify(store) == []
    _commit(store, c.UpdateDataset(TWO, required_copies=2))
    execute(store, "UPDATE file SET adler32 = 7 WHERE ordinal = 0 AND block_id = (SELECT min(id) FROM block)")
    findings = verify(store)
    assert {(each.about, each.since, each.touches) for each in findings} == {(("dataset", str(ONE)), (4, 5), ())}


def test_broken_stays_dated_by_the_last_clean_one(store: SqlStore) -> None:
    assert verify(store) == []
    execute(store, "INSERT INTO owner_group VALUES ('nobody-asked')")
    for position in (5, 6):
        _commit(store, c.PutGroup(Group(f"group{position}")))
        (finding,) = verify(store)
        assert finding.since == (4, position)
    execute(store, "DELETE FROM owner_group WHERE name = 'nobody-asked'")
    assert verify(store) == []
    assert store.cursors()["verify"].position == 6


def test_a_look_that_is_not_whole_is_not_kept(store: SqlStore) -> None:
    assert verify(store, replay=False) == []
    assert store.cursors() == {}


class Unwritable(SqliteDatabase):
    """A database that cannot be written for the moment."""

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        raise DatabaseAway("it cannot be written", place=self.place)
        yield


def test_a_store_that_cannot_be_written_is_verified_all_the_same(tmp_path: Path) -> None:
    store = SqlStore.create(tmp_path / "inventory.db")
    _commit(store, c.PutGroup(Group("physics")))
    unwritable = SqlStore(Unwritable(store.path), patience_s=0.0)
    assert verify(unwritable) == []
    assert store.cursors() == {}
    execute(store, "INSERT INTO owner_group VALUES ('nobody-asked')")
    findings: list[Violation] = verify(unwritable)
    assert [each.invariant for each in findings] == ["I11"]
    unwritable.close()
    store.close()
