"""What is PostgreSQL's own: the turn, durability, the order of text, news, errors, and verify on it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Column, Connection, MetaData, String, Table, Text, insert, select
from sqlalchemy.exc import IntegrityError

from holdfast.inventory import postgres_news
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, BrokenInvariant, DatabaseAway, HoldfastError, OperatorError
from holdfast.model.records import Dataset, Door, Group, Permission, Site
from holdfast.testing import postgres_server
from holdfast.testing.postgres_server import PASSWORD, PostgresServer
from holdfast.testing.store_hooks import BLOCK, DATA, files
from holdfast.testing.store_journal_rules import assert_chained
from support.logged import logged

pytestmark = [pytest.mark.slow, pytest.mark.real("postgresql")]

ROOM = MetaData()
WORDS = Table("words", ROOM, Column("word", Text, primary_key=True), Column("short", String(9), nullable=False))
MIXED = ["B", "Z", "a", "b", "z", "é"]
"""In the order of their bytes; no language has it so."""


@pytest.fixture
def store(postgres: PostgresServer) -> Iterator[SqlStore]:
    store = SqlStore.create(postgres.new_schema())
    yield store
    store.close()


def group(name: str) -> c.ChangeSet:
    return c.ChangeSet((c.PutGroup(Group(name)),), "me", "why")


def test_every_commit_is_synchronous(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    postgres.run(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    postgres.run(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_isolation = 'serializable'")
    store = SqlStore.create(url)
    with store.writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
        assert connection.exec_driver_sql(query).scalar() == 1
    with store.reading() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
    store.close()


def test_a_server_without_fsync_is_warned_of(fast_folder: Path) -> None:
    programs = postgres_server.installed_programs()
    assert programs is not None
    fast_folder.chmod(0o755)
    with postgres_server.postgres_server(programs, within=fast_folder, settings={"fsync": "off"}) as careless:
        url = careless.new_schema()
        SqlStore.create(url).close()
        with logged() as events:
            SqlStore.open(url).close()
    assert [event["log_level"] for event in events if "fsync" in event["event"]] == ["warning"]


def test_text_is_in_the_order_of_bytes_whatever_the_database_says(postgres: PostgresServer) -> None:
    url = postgres.new_database(language="en")
    assert postgres.run("SELECT 'a' < 'B'", url=url) == [(True,)]
    store = SqlStore.create(url)
    room = store.room(ROOM)

    def add(connection: Connection) -> None:
        connection.execute(insert(WORDS), [{"word": word, "short": word} for word in MIXED])

    names = [c.PutGroup(Group(word)) for word in reversed(MIXED[:5])]
    store.commit(c.ChangeSet((*names, c.CreateDataset(Dataset(DATA, is_open=True))), "me", "why"), also=add)
    with room.read() as connection:
        for column in WORDS.c:
            assert list(connection.scalars(select(column).order_by(column))) == MIXED
    with store.snapshot() as snapshot:
        assert snapshot.groups() == MIXED[:5]
    store.close()


def test_inventories_of_other_schemas_do_not_wait(postgres: PostgresServer) -> None:
    one, other = (SqlStore.create(postgres.new_schema()) for _ in range(2))
    with one.writing():
        assert other.commit(group("a")).position == 1
    with one.snapshot() as first, other.snapshot() as second:
        assert (first.groups(), second.groups()) == ([], ["a"])
    one.close()
    other.close()


def test_several_stores_take_turns(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    SqlStore.create(url).close()
    with ExitStack() as opened, ThreadPoolExecutor(4) as pool:
        stores = [SqlStore.open(url) for _ in range(4)]
        for store in stores:
            opened.callback(store.close)

        def work(number: int) -> list[int]:
            return [stores[number].commit(group(f"w{number}-{n}")).position for n in range(20)]

        positions = chain.from_iterable(pool.map(work, range(4)))
        assert sorted(positions) == list(range(1, 81))
        assert_chained(stores[0])


def test_two_make_one_inventory(postgres: PostgresServer) -> None:
    url = postgres.new_schema()

    def make(_: int) -> str:
        try:
            SqlStore.create(url).close()
        except OperatorError as error:
            return error.message
        return ""

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(make, range(3))) == ["", *["there is an inventory already"] * 2]


def test_an_error_that_was_passed_over_is_not_committed(store: SqlStore) -> None:
    store.room(ROOM)

    def careless(connection: Connection) -> None:
        connection.execute(insert(WORDS).values(word="a", short="a"))
        with pytest.raises(IntegrityError):
            connection.execute(insert(WORDS).values(word="a", short="a"))

    with pytest.raises(BrokenInvariant, match="passed over"):
        store.commit(c.ChangeSet((), "me", "why"), also=careless)
    with pytest.raises(BrokenInvariant, match="passed over"), store.writing() as connection:
        careless(connection)
    with store.reading() as connection:
        assert connection.execute(select(WORDS)).all() == []
    assert store.commit(group("a")).position == 1


def test_a_session_is_not_kept_by_news_of_the_past(store: SqlStore) -> None:
    for number in range(1, 4):
        store.commit(group(f"g{number}"))
        assert store.wait(number - 1, 60)
        assert not store.wait(number, 0)


def test_news_comes_by_notification(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_news, "LOOK_EVERY_S", 600.0)
    with ThreadPoolExecutor(1) as pool:
        for number in range(3):
            waiting = pool.submit(store.wait, number, 60)
            store.commit(group(f"g{number}"))
            assert waiting.result()


def test_news_comes_without_notification(
    store: SqlStore, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_news, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(type(store.database), "announce", lambda *_: None)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, 0, 60)
        store.commit(group("a"))
        assert waiting.result()


def test_closing_ends_the_waiting(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_news, "LOOK_EVERY_S", 0.05)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, 10, 60)
        threading.Event().wait(0.1)
        store.close()
        assert not waiting.result(30)


def _refusal(url: str, *, creating: bool = False) -> HoldfastError:
    with pytest.raises(HoldfastError) as caught:
        (SqlStore.create if creating else SqlStore.open)(url).close()
    assert PASSWORD not in str(caught.value)
    assert quote(PASSWORD) not in str(caught.value)
    return caught.value


def test_errors_name_place_and_remedy(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    cases = {
        "there is no inventory": url,
        "there is no such database": postgres.url("none"),
        "refuses user or password": postgres.url(user="nobody"),
        "cannot be reached": "postgresql://user:secret@127.0.0.1:1/db",
        "no schema": f"{url}?options=-csearch_path%3Dnone",
    }
    for message, place in cases.items():
        error = _refusal(place, creating=message == "no schema")
        assert message in error.message
        assert isinstance(error, OperatorError)
        assert error.hint
        assert error.place.startswith("postgresql://")
        assert "secret" not in str(error)
        assert error.retryable is (message == "cannot be reached")
    assert "password" in _refusal(postgres.url(password="wrong")).message


def test_a_password_anywhere_in_the_url_is_not_shown(postgres: PostgresServer) -> None:
    url = postgres.url("none").replace(f":{quote(PASSWORD)}@", "@") + f"?password={quote(PASSWORD)}"
    assert "there is no such database" in _refusal(url).message


@pytest.mark.parametrize(
    "url", ["mysql://a:secret@b/c", "postgresql://a:secret@b:port/c", "http://secret", "://secret"]
)
def test_what_is_no_place_for_an_inventory(url: str) -> None:
    error = _refusal(url)
    assert isinstance(error, BadInput)
    assert "secret" not in str(error)


def test_an_inventory_replaces_nothing(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    SqlStore.create(url).close()
    assert "an inventory already" in _refusal(url, creating=True).message
    theirs = postgres.new_database()
    postgres.run("CREATE TABLE theirs (a int)", url=theirs)
    assert "somebody else" in _refusal(theirs, creating=True).message
    postgres.run("CREATE TABLE head (a int)", url=theirs)
    assert "no inventory of Holdfast" in _refusal(theirs).message


def test_an_inventory_of_another_release(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    SqlStore.create(url).close()
    postgres.run("UPDATE head SET schema_version = 99", url=url)
    assert "schema is 99" in _refusal(url).message


def test_a_database_of_another_character_set(postgres: PostgresServer) -> None:
    name = f"latin_{time.monotonic_ns()}"
    postgres.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    assert "LATIN1" in _refusal(postgres.url(name), creating=True).message


def test_a_read_only_database_may_be_read(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    SqlStore.create(url).close()
    postgres.run(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
    store = SqlStore.open(url, patience_s=0)
    assert store.head().position == 0
    # Our own sessions ask for a transaction that writes, which a user's default does not forbid; a standby does.
    assert store.commit(group("a")).position == 1
    store.close()


def test_a_user_who_may_not_write_is_told(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    SqlStore.create(url).close()
    role = f"reader_{time.monotonic_ns()}"
    postgres.run(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    postgres.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", url=url)
    store = SqlStore.open(postgres.url(url.rpartition("/")[2], user=role))
    assert store.head().position == 0
    with pytest.raises(OperatorError, match="we may not do that") as caught:
        store.commit(group("a"))
    assert not caught.value.retryable
    store.close()


def test_a_server_without_connections_left_is_told(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    SqlStore.create(url).close()
    postgres.run(f"ALTER DATABASE {url.rpartition('/')[2]} CONNECTION LIMIT 0")
    role = f"plain_{time.monotonic_ns()}"
    postgres.run(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    error = _refusal(postgres.url(url.rpartition("/")[2], user=role))
    assert isinstance(error, DatabaseAway)
    assert "no connection left" in error.message


def test_text_with_a_nul_is_refused(store: SqlStore) -> None:
    with pytest.raises(BadInput, match="NUL"):
        store.commit(c.ChangeSet((c.PutGroup(Group("a")),), "me", "why\0"))
    assert store.head().position == 0


def test_verify_finds_a_sound_inventory_and_damage(store: SqlStore) -> None:
    store.commit(c.ChangeSet((c.PutSite(Site("A", (Door("posix", "/a"),))),), "me", "why"))
    store.commit(c.ChangeSet((c.CreateDataset(Dataset(DATA, is_open=True)),), "me", "why"))
    store.commit(c.ChangeSet((c.RegisterFiles(BLOCK, 0, files(100), site="A"),), "me", "why"))
    store.commit(c.ChangeSet((c.SetPermissions((Permission("/d", "", "me", "us", 0o755),)),), "me", "why"))
    store.advance("reader", store.head().cursor)
    assert verify(store) == []
    for statement, invariant in (
        ("UPDATE file SET dir_id = 77 WHERE ordinal = 3", "I10"),
        ("UPDATE file SET block_id = 77 WHERE ordinal = 4", "I10"),
        ("UPDATE file SET size = 1 WHERE ordinal = 0", "I3"),
        ("UPDATE journal SET cause = 'forged' WHERE position = 2", "I1"),
    ):
        with store.writing() as connection:
            connection.exec_driver_sql(statement)
        assert invariant in {finding.invariant for finding in verify(store)}


def test_the_client_library_is_asked_for_by_name() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from holdfast.inventory.sql_store import SqlStore\n"
        "from holdfast.model.errors import OperatorError\n"
        "try: SqlStore.open('postgresql://host/db')\n"
        "except OperatorError as error: print(error.hint)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "holdfast[postgres]" in told.stdout


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:se@SECRET@127.0.0.1/x", "an '@' too many"),
        ("postgresql://me:SECRET@127.0.0.1:1/x?foo=bar", "foo"),
        ("postgresql://me:SECRET@127.0.0.1:1/x?connect_timeout=abc", "connect_timeout"),
        ("postgresql://me:SECRET@/x?host=127.0.0.1&host=127.0.0.2&port=1&port=1", "127.0.0.2"),
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_its_password(url: str, says: str) -> None:
    with pytest.raises(HoldfastError, match=says) as caught:
        SqlStore.open(url, patience_s=0)
    assert "SECRET" not in str(caught.value)
