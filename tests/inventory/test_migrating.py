"""Migrating: an inventory of the first release becomes one of ours, whole or not at all, with all it knows.

Method: what the first release really wrote, kept as SQL (``old_inventory``); on
PostgreSQL the same rows in the tables that the first revision makes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, update

from holdfast.inventory import migrating, schema
from holdfast.inventory.backup import restore
from holdfast.inventory.migrating import migrate, revisions
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model.clock import system_clock
from holdfast.model.errors import DatabaseAway, OperatorError
from holdfast.model.records import DeletionRequest, Door, Group, Orphan, Site
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.snapshots import described
from inventory.old_inventory import POSITION, make_file, make_postgres
from inventory.table_shapes import shapes

ROOM = MetaData()
TASK = Table("migrating_task", ROOM, Column("id", Integer, primary_key=True))


@pytest.fixture
def old(fast_folder: Path) -> Path:
    return make_file(fast_folder / "inventory.db")


@pytest.fixture
def stores() -> Iterator[list[SqlStore]]:
    opened: list[SqlStore] = []
    yield opened
    for store in opened:
        store.close()


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir() if not each.name.endswith(("-wal", "-shm", ".writer")))


def group(name: str) -> c.ChangeSet:
    return c.ChangeSet((c.PutGroup(Group(name)),), "me", "why")


def check_kept(store: SqlStore) -> None:
    """All that the first release knew is there, and work goes on."""
    assert store.head().position == POSITION
    assert verify(store) == []
    with store.snapshot() as snapshot:
        assert [site.name for site in snapshot.sites()] == ["A", "B", "C"]
        assert [file is not None for file in snapshot.lookup(["/old/x/b.root", "/old/gräf/_9", "/old/x/_9"])] == [
            True,
            True,
            False,
        ]
        assert [lock.id for lock in snapshot.locks()] == ["lock-1"]
        assert [each.mode for each in snapshot.permissions()] == [0o755, 0o640]
        assert [request.id for request in snapshot.copy_requests()] == ["r1"]
    assert store.cursors()["reader"].position == POSITION
    assert store.commit(group("new")).position == POSITION + 1


def test_the_last_revision_is_our_version() -> None:
    found = revisions()
    assert [script.revision for script in found] == [f"{number:04}" for number in range(1, schema.VERSION + 1)]
    assert all(script.doc and "\n" not in script.doc for script in found)
    assert [script.revision for script in revisions(schema.VERSION)] == []


def test_an_old_inventory_is_refused_with_the_remedy(old: Path) -> None:
    with pytest.raises(OperatorError, match=f"its schema is 1, ours is {schema.VERSION}") as caught:
        SqlStore.open(old)
    assert "holdfast migrate" in caught.value.hint


def test_migrating_keeps_all_and_leaves_a_copy_of_the_old(old: Path, stores: list[SqlStore]) -> None:
    before = dump(old)
    migrated = migrate(old)
    assert (migrated.found, migrated.version) == (1, schema.VERSION)
    assert len(migrated.done) == schema.VERSION - 1
    assert migrated.copy == old.with_name("inventory.db.schema-1")
    assert dump(migrated.copy) == before
    stores.append(SqlStore.open(old))
    check_kept(stores[0])
    assert beside(old) == ["inventory.db", "inventory.db.schema-1"]


def test_migrating_gives_the_tables_of_a_new_inventory(old: Path, fast_folder: Path, stores: list[SqlStore]) -> None:
    migrate(old, keep_copy=False)
    stores += [SqlStore.open(old), SqlStore.create(fast_folder / "new.db")]
    with stores[0].reading() as migrated, stores[1].reading() as new:
        assert shapes(migrated) == shapes(new)
    assert beside(old) == ["inventory.db", "new.db"]


def test_rooms_keep_their_tables(old: Path) -> None:
    migrate(old)
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT lfn, state FROM operations_task").fetchall() == [("/old/gräf/_9", "queued")]
        assert connection.execute("SELECT seq FROM sqlite_sequence").fetchall() == [(3,)]


def test_one_that_is_ours_stays_as_it_is(old: Path) -> None:
    migrate(old)
    before = dump(old)
    again = migrate(old)
    assert (again.found, again.version, again.done, again.copy) == (schema.VERSION, schema.VERSION, (), None)
    assert dump(old) == before


def test_a_dry_run_says_it_and_undoes_it(old: Path) -> None:
    before = dump(old)
    tried = migrate(old, dry_run=True)
    assert (tried.found, tried.version, len(tried.done)) == (1, schema.VERSION, schema.VERSION - 1)
    assert tried.copy == old.with_name("inventory.db.schema-1")
    assert dump(old) == before
    assert beside(old) == ["inventory.db"]


def test_a_migration_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dump(old)

    class Broken:
        doc = "breaks"

        class module:  # noqa: N801 - stands for a module
            @staticmethod
            def upgrade() -> None:
                raise OperatorError("the disk is full")

    monkeypatch.setattr(migrating, "revisions", lambda after: [*revisions(after), Broken])
    with pytest.raises(OperatorError, match="disk is full"):
        migrate(old)
    assert dump(old) == before
    assert beside(old) == ["inventory.db"]


def test_rows_that_refer_to_nothing_stop_it(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("DELETE FROM site WHERE name = 'B'")
        connection.commit()
    before = dump(old)
    with pytest.raises(Exception, match="replica would refer to nothing"):
        migrate(old, keep_copy=False)
    assert dump(old) == before


def test_copies_of_earlier_attempts_are_kept(old: Path) -> None:
    old.with_name("inventory.db.schema-1").write_text("mine")
    assert migrate(old).copy == old.with_name("inventory.db.schema-1.2")
    assert old.with_name("inventory.db.schema-1").read_text() == "mine"


def test_two_at_once_migrate_once(old: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        # Only one thread may use Alembic at a time; the other is a process.
        command = [sys.executable, "-c", f"from holdfast.inventory.migrating import migrate; migrate({str(old)!r})"]
        other = pool.submit(subprocess.run, command, capture_output=True, check=True, timeout=60, env=os.environ)
        migrate(old)
        other.result()
    with closing(SqlStore.open(old)) as store:
        assert verify(store) == []
    assert len(list(old.parent.glob("*.schema-1*"))) == 1


@pytest.mark.parametrize(
    ("version", "words"), [(0, "which no release has written"), (99, f"its schema is 99, ours is {schema.VERSION}")]
)
def test_what_is_not_known_is_refused(old: Path, version: int, words: str) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE head SET schema_version = ?", (version,))
        connection.commit()
    before = dump(old)
    with pytest.raises(OperatorError, match=words):
        migrate(old)
    assert dump(old) == before


def test_what_is_not_there_is_not_made(fast_folder: Path) -> None:
    with pytest.raises(OperatorError, match="there is no inventory"):
        migrate(fast_folder / "none.db")
    assert list(fast_folder.iterdir()) == []


def test_a_backup_of_the_first_release_can_be_restored(old: Path, fast_folder: Path, stores: list[SqlStore]) -> None:
    before = old.read_bytes()
    head = restore(old, fast_folder / "restored.db", clock=system_clock, actor="me")
    assert head.position == POSITION + 1
    stores.append(SqlStore.open(fast_folder / "restored.db"))
    assert verify(stores[0]) == []
    assert old.read_bytes() == before


def test_what_was_asked_to_be_deleted_before_there_were_moves_is_deleted(
    fast_folder: Path, stores: list[SqlStore]
) -> None:
    path, asked = fast_folder / "inventory.db", DeletionRequest("d", "A", (Orphan("/dark", 1, 2),))
    store = SqlStore.create(path)
    store.commit(c.ChangeSet((c.PutSite(Site("A", (Door("posix", "/A"),))), c.RequestDeletion(asked)), "me", "why"))
    with store.snapshot() as snapshot:
        (before,) = snapshot.deletion_requests()
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        (body,) = connection.execute("SELECT body FROM request").fetchone()
        older = {name: value for name, value in json.loads(body).items() if name not in ("into", "directories")}
        assert len(older) == len(json.loads(body)) - 2
        connection.execute("UPDATE request SET body = ?", (json.dumps(older),))
        connection.execute("UPDATE head SET schema_version = 4")
        connection.commit()
    with pytest.raises(OperatorError, match="its schema is 4"):
        SqlStore.open(path)
    assert len(migrate(path).done) == schema.VERSION - 4
    stores.append(SqlStore.open(path))
    with stores[0].snapshot() as snapshot:
        assert snapshot.deletion_requests() == [before]
        assert (before.into, before.directories) == ("", ())
    assert verify(stores[0]) == []


def _writes(store: SqlStore) -> dict[str, Callable[[], object]]:
    room = store.room(ROOM)

    def write() -> None:
        with room.write() as connection:
            connection.execute(insert(TASK).values(id=1))

    cursor = store.head().cursor
    return {
        "commit": lambda: store.commit(group("late")),
        "advance": lambda: store.advance("reader", cursor),
        "room": write,
        "entries": lambda: store.entries(cursor),
        "head": store.head,
    }


def check_a_running_program_is_stopped(store: SqlStore) -> None:
    """Somebody migrates the inventory to a later release; a program of ours has it open."""
    store.commit(group("early"))
    calls = _writes(store)
    with store.database.writing() as connection:
        connection.execute(update(schema.head).values(schema_version=schema.VERSION + 1))
    for name, call in calls.items():
        with pytest.raises(OperatorError, match=f"its schema is {schema.VERSION + 1}, ours is") as caught:
            call()
        assert "release" in caught.value.hint, name
    with store.database.writing() as connection:
        connection.execute(update(schema.head).values(schema_version=schema.VERSION))
        assert connection.execute(TASK.select()).all() == []
    with store.snapshot() as snapshot:
        assert snapshot.groups() == ["early"]
    assert store.cursors() == {}


def test_a_running_program_of_the_older_release_is_stopped(fast_folder: Path, stores: list[SqlStore]) -> None:
    stores.append(SqlStore.create(fast_folder / "inventory.db"))
    check_a_running_program_is_stopped(stores[0])


ALEMBIC_IS_NOT_LOADED = """
import sys
from holdfast.cli.main import main
main({arguments!r})
assert "sqlalchemy" in sys.modules
assert "alembic" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["site", "list"], ["backup", "saved.db"], ["migrate"]], ids=lambda each: each[0])
def test_short_commands_do_not_load_alembic(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "holdfast.toml").write_text("")
    SqlStore.create(tmp_path / "state/inventory.db").close()
    script = ALEMBIC_IS_NOT_LOADED.format(arguments=arguments)
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
@pytest.mark.real("postgresql")
class TestPostgres:
    @pytest.fixture
    def url(self, postgres: PostgresServer, old: Path) -> str:
        url = postgres.new_schema()
        make_postgres(url, old)
        return url

    def test_an_old_inventory_is_refused_with_the_remedy(self, url: str) -> None:
        with pytest.raises(OperatorError, match=f"its schema is 1, ours is {schema.VERSION}") as caught:
            SqlStore.open(url)
        assert "holdfast migrate" in caught.value.hint

    def test_migrating_keeps_all(self, url: str, old: Path, stores: list[SqlStore]) -> None:
        migrated = migrate(url)
        assert (migrated.found, migrated.version, migrated.copy) == (1, schema.VERSION, None)
        migrate(old)
        stores += [SqlStore.open(url), SqlStore.open(old)]
        with stores[0].snapshot() as one, stores[1].snapshot() as other:
            assert described(one) == described(other)
        check_kept(stores[0])

    def test_migrating_gives_the_tables_of_a_new_inventory(
        self, url: str, postgres: PostgresServer, stores: list[SqlStore]
    ) -> None:
        migrate(url)
        stores += [SqlStore.open(url), SqlStore.create(postgres.new_schema())]
        with stores[0].reading() as migrated, stores[1].reading() as new:
            assert shapes(migrated) == shapes(new)

    def test_new_numbers_go_on_after_the_old(self, url: str, stores: list[SqlStore]) -> None:
        migrate(url)
        stores.append(SqlStore.open(url))
        with stores[0].writing() as connection:
            made = connection.execute(insert(schema.directory).values(path="/new")).inserted_primary_key
        assert made == (3,)

    def test_a_dry_run_undoes_it(self, url: str) -> None:
        assert migrate(url, dry_run=True).version == schema.VERSION
        with pytest.raises(OperatorError, match="its schema is 1"):
            SqlStore.open(url)

    def test_who_reads_for_too_long_is_not_waited_for(
        self, url: str, stores: list[SqlStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("holdfast.inventory.postgres_database.MIGRATION_WAIT_S", 0.1)
        with closing(migrating.database_at(url)) as database, database.reading() as reader:
            reader.exec_driver_sql("SELECT count(*) FROM file")
            with pytest.raises(DatabaseAway, match="gave up waiting"):
                migrate(url)
        migrate(url)
        stores.append(SqlStore.open(url))
        check_kept(stores[0])

    def test_a_running_program_of_the_older_release_is_stopped(
        self, postgres: PostgresServer, stores: list[SqlStore]
    ) -> None:
        stores.append(SqlStore.create(postgres.new_schema()))
        check_a_running_program_is_stopped(stores[0])
