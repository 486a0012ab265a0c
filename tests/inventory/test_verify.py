"""Verify finds each kind of damage done to the tables behind the inventory's back, and nothing on a sound one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.inventory import verify as verifying
from holdfast.inventory.invariants import Violation
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import INVARIANTS, verify
from holdfast.model.changes import (
    ChangeSet,
    CreateDataset,
    FilesArrived,
    PutLock,
    PutSite,
    RegisterFiles,
    RequestCopy,
    RevealDataset,
)
from holdfast.model.errors import DatabaseAway
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, Door, FileColumns, Lock, Site, Staging

DATASET = DatasetKey("/a/b", "v1")
BLOCK = BlockKey(DATASET, "0000")
FILES = FileColumns(("/d", "/e"), (0, 0, 1), ("x", "y", "x"), (1, 2, 4), {"adler32": ("00000001", None, "00000003")})


def make_store(folder: Path) -> SqlStore:
    store = SqlStore.create(folder / "inventory.db", clock=iter(range(1, 1000)).__next__)
    sites = tuple(PutSite(Site(name, (Door("posix", f"/{name}"),))) for name in ("A", "B"))
    for change in (
        *sites,
        CreateDataset(Dataset(DATASET, staging=Staging("A", "/d"))),
        RegisterFiles(BLOCK, 0, FILES, "A", verified_us=1),
        RevealDataset(DATASET, 3, 7),
        RequestCopy(CopyRequest("r1", DATASET, "B", (BlockFiles("0000"),))),
        FilesArrived(BLOCK, "B", (0,), 2),
        PutLock(Lock("l1", "me", dataset=DATASET)),
    ):
        store.commit(ChangeSet((change,), actor="test", cause="test"))
    store.advance("reader", store.head().cursor)
    return store


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return make_store(tmp_path)


def broken(store: SqlStore, *statements: str) -> set[str]:
    """The numbers of the invariants that verify finds broken after ``statements``."""
    connection = sqlite3.connect(store.path)
    with connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, f"nothing done by {statement}"
    connection.close()
    return {finding.invariant for finding in verify(store)}


def test_a_sound_inventory_is_clean(store: SqlStore) -> None:
    assert verify(store) == []


def test_a_new_inventory_is_clean(tmp_path: Path) -> None:
    assert verify(SqlStore.create(tmp_path / "new.db")) == []


@pytest.mark.parametrize(
    ("invariant", "statement"),
    [
        ("I1", "UPDATE journal SET cause = 'forged' WHERE position = 3"),
        ("I1", "UPDATE journal SET at_us = 99999 WHERE position = 2"),
        ("I1", "DELETE FROM journal WHERE position = 1"),
        ("I1", "UPDATE head SET position = position - 1"),
        ("I1", "UPDATE head SET digest = (SELECT digest FROM journal WHERE position = 1)"),
        ("I2", "DELETE FROM journal_touched WHERE kind = 'site' AND position = 6"),
        ("I3", "UPDATE block SET n_files = n_files + 1"),
        ("I3", "UPDATE block SET size = size - 1"),
        ("I3", "DELETE FROM file WHERE ordinal = 1"),
        ("I4", "UPDATE directory SET path = '/d/../e' WHERE path = '/d'"),
        ("I4", "UPDATE file SET size = -1 WHERE ordinal = 0"),
        ("I5", "UPDATE replica SET n_files = 2 WHERE held IS NOT NULL"),
        ("I5", "UPDATE replica SET size = size + 1 WHERE held IS NULL"),
        ("I5", "UPDATE replica SET held = x'07' WHERE held IS NOT NULL"),
        ("I5", "UPDATE replica SET held = x'ff' WHERE held IS NOT NULL"),
        ("I6", """UPDATE dataset SET body = json_set(body, '$.staging', json('{"site":"Z","directory":"/"}'))"""),
        ("I7", "DELETE FROM replica WHERE held IS NOT NULL"),
        ("I9", "UPDATE cursor SET position = 1000"),
        ("I9", "UPDATE cursor SET digest = (SELECT digest FROM journal WHERE position = 1)"),
        ("I10", "UPDATE replica SET site_id = 77 WHERE held IS NULL"),
        ("I11", "UPDATE replica SET verified_us = 5 WHERE held IS NULL"),
        ("I11", "INSERT INTO owner_group VALUES ('nobody-asked')"),
        ("I11", "UPDATE file SET adler32 = 7 WHERE ordinal = 0"),
        ("I12", "INSERT INTO journal_touched_before VALUES ('site', 'A', 99)"),
        ("I13", "UPDATE request SET state = 'done'"),
        ("I13", "UPDATE request SET kind = 'deletion'"),
        ("I13", "UPDATE request SET kind = 'other'"),
        ("I13", "UPDATE request SET site = 'A'"),
        ("I13", "UPDATE request SET dataset = NULL"),
        ("I13", "UPDATE request SET dataset = '/a/b'"),
        ("I13", "UPDATE request SET id = 'r2'"),
        ("I13", "UPDATE request SET body = '{'"),
        ("I13", "UPDATE dataset SET is_staged = 1"),
        ("I13", "UPDATE dataset SET is_staged = 2"),
        ("I13", "UPDATE dataset SET name = '/a/c'"),
        ("I13", "UPDATE dataset SET version = 'v2'"),
        ("I13", "UPDATE dataset SET body = '{}'"),
        ("I13", "UPDATE item_lock SET id = 'l2'"),
        ("I13", "UPDATE item_lock SET body = 'x'"),
        ("I13", "UPDATE site SET name = 'C' WHERE name = 'B'"),
        ("I13", "UPDATE site SET body = 'x' WHERE name = 'B'"),
        ("I14", "UPDATE request SET body = json_set(body, '$.scope[0].block', '0001')"),
        ("I14", "UPDATE request SET body = json_set(body, '$.scope[0].ordinals', json('[3]'))"),
        ("I14", "UPDATE request SET body = json_set(body, '$.dataset[0]', '/a')"),
        ("I14", "UPDATE request SET body = json_set(body, '$.site', 'Z')"),
    ],
)
def test_damage_is_found(store: SqlStore, invariant: str, statement: str) -> None:
    assert invariant in broken(store, statement)


def test_a_deletion_of_what_is_had_is_found(store: SqlStore) -> None:
    body = '{"id":"d1","site":"A","orphans":[{"path":"/d/x","size":1,"mtime_ns":0}],"state":"open"}'
    assert "I8" in broken(store, f"INSERT INTO request VALUES ('d1', 'deletion', 'open', 'A', NULL, '{body}')")


def test_every_invariant_has_a_test_of_its_own_here() -> None:
    cases = {mark.args[1][place][0] for mark in test_damage_is_found.pytestmark for place in range(len(mark.args[1]))}
    assert cases | {"I8"} == set(INVARIANTS)


def test_an_unreadable_journal_is_a_finding_and_not_a_traceback(store: SqlStore) -> None:
    assert "I10" in broken(store, "UPDATE journal SET body = x'00' WHERE position = 4")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE head SET position = 'x'",
        "DELETE FROM head",
        "UPDATE journal SET position = 'x' WHERE position = 3",
        "UPDATE journal SET body = 'x' WHERE position = 3",
        "UPDATE journal SET digest = 'x' WHERE position = 3",
        "UPDATE journal_touched SET kind = 'x' WHERE position = 3",
        "UPDATE cursor SET position = 'x'",
        "UPDATE block SET n_files = -5",
        "UPDATE block SET n_files = 'x'",
        "UPDATE file SET adler32 = 'x' WHERE ordinal = 0",
        "UPDATE file SET md5 = 'x' WHERE ordinal = 0",
        "UPDATE file SET size = 'x' WHERE ordinal = 0",
        "UPDATE replica SET held = 'x'",
        "UPDATE site SET body = '{}'",
    ],
)
def test_damage_that_no_check_can_read_is_a_finding_with_its_place(store: SqlStore, statement: str) -> None:
    broken(store, statement)
    findings = verify(store)
    assert "I10" in {finding.invariant for finding in findings}
    assert all(finding.place and "\n" not in finding.message for finding in findings)


def test_damage_is_found_where_a_verify_was_clean_before(store: SqlStore) -> None:
    assert verify(store) == []
    assert "I10" in broken(store, "UPDATE cursor SET position = 'x'")


def test_a_body_that_does_not_fit_is_found_with_its_row(store: SqlStore) -> None:
    broken(store, "UPDATE request SET state = 'done'", "UPDATE site SET body = '{' WHERE name = 'B'")
    found = {finding.place: finding for finding in verify(store) if finding.invariant == "I13"}
    assert found["request r1"].message == "the column state says done, the record open"
    assert found["site B"].message.startswith("its body cannot be read: ")
    assert found["site B"].about == ("site", "B")


def test_a_database_that_is_away_is_no_finding() -> None:
    """The check that is cut off by it stops verify: what could not be read is not broken."""

    def cut_off() -> Iterator[Violation]:
        yield Violation("I1", "head", "before")
        raise DatabaseAway("gone")

    guarded = verifying._guarded("check_journal", cut_off())
    assert next(guarded).place == "head"
    with pytest.raises(DatabaseAway):
        next(guarded)
