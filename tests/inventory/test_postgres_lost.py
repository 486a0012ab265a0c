"""What becomes of commits and readers when PostgreSQL, or the line to it, goes away.

Method: a real server; a proxy cuts the line exactly at the COMMIT, before the
server has got it or after it has answered; the server is stopped, crashed and
started. Whatever happens, the journal says afterwards what really happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select

from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import Conflict, DatabaseAway, HoldfastError, OutcomeUnknown
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset, Group
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.store_journal_rules import assert_chained
from inventory.cutting_proxy import COMMIT, CuttingProxy

pytestmark = [pytest.mark.slow, pytest.mark.real("postgresql")]

ROOM = MetaData()
TASK = Table("lost_task", ROOM, Column("id", Integer, primary_key=True))
DATA = DatasetKey("/data")


def group(name: str, *requirements: need.Requirement) -> c.ChangeSet:
    return c.ChangeSet((c.PutGroup(Group(name)),), "me", "why", requirements)


def nothing(*requirements: need.Requirement) -> c.ChangeSet:
    return c.ChangeSet((), "me", "why", requirements)


class Line:
    """A store behind a line that can be cut, another one that is always there, and a room's table."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.url = server.new_schema()
        self.proxy = CuttingProxy(server.port)
        self.direct = SqlStore.create(self.url)
        self.direct.commit(c.ChangeSet((c.CreateDataset(Dataset(DATA, is_open=True)),), "me", "why"))
        self.room = self.direct.room(ROOM)
        self.n_calls = 0
        self.opened: list[SqlStore] = []
        self.store = self.open(patience_s=30)

    def open(self, *, patience_s: float, sleep: Callable[[float], None] | None = None) -> SqlStore:
        more = {} if sleep is None else {"sleep": sleep}
        self.opened.append(SqlStore.open(self.proxy.url(self.url, self.server.port), patience_s=patience_s, **more))
        return self.opened[-1]

    def close(self) -> None:
        for store in [*self.opened, self.direct]:
            store.close()
        self.proxy.close()

    def also(self, connection: Connection) -> None:
        self.n_calls += 1
        connection.execute(insert(TASK).values(id=1))

    def tasks(self) -> int:
        with self.room.read() as connection:
            return len(connection.execute(select(TASK)).all())

    def groups(self) -> list[str]:
        assert_chained(self.direct)
        with self.direct.snapshot() as snapshot:
            return snapshot.groups()


@pytest.fixture
def line(postgres: PostgresServer) -> Iterator[Line]:
    made = Line(postgres)
    yield made
    postgres.restore()
    made.close()


@pytest.mark.parametrize(
    ("words", "after", "n_calls"),
    [
        (b"pg_advisory_xact_lock", False, 1),
        (b"INSERT INTO journal ", False, 2),
        (b"INSERT INTO journal ", True, 2),
        (COMMIT, False, 2),
        (COMMIT, True, 1),
    ],
)
def test_a_commit_happens_once_wherever_the_line_breaks(line: Line, words: bytes, after: bool, n_calls: int) -> None:
    line.proxy.arm(words, after=after)
    head = line.store.commit(group("a"), also=line.also)
    assert line.proxy.n_cuts == 1
    assert (line.n_calls, line.tasks(), line.groups()) == (n_calls, 1, ["a"])
    assert head == line.direct.head() == line.store.head()
    assert head.position == 2


@pytest.mark.parametrize(("after", "n_calls"), [(False, 2), (True, 1)])
def test_also_alone_happens_once(line: Line, after: bool, n_calls: int) -> None:
    line.proxy.arm(COMMIT, after=after)
    assert line.store.commit(nothing(), also=line.also) == line.direct.head()
    assert (line.proxy.n_cuts, line.n_calls, line.tasks()) == (1, n_calls, 1)


@pytest.mark.parametrize("after", [False, True])
def test_folded_commits_happen_once_each(line: Line, after: bool) -> None:
    with ThreadPoolExecutor(8) as pool:
        with line.direct.writing():  # All of them wait by the time the turn is free.
            first = pool.submit(line.store.commit, group("first"))
            rest = [pool.submit(line.store.commit, group(f"g{number}")) for number in range(6)]
            refused = pool.submit(line.store.commit, group("refused", need.DatasetVisible(DatasetKey("/none"))))
            line.proxy.arm(COMMIT, after=after)
        heads = [each.result() for each in (first, *rest)]
        with pytest.raises(HoldfastError, match="/none"):
            refused.result()
    assert line.proxy.n_cuts == 1
    assert sorted(head.position for head in heads) == list(range(2, 9))
    assert {entry.cursor for entry in line.direct.entries()} >= {head.cursor for head in heads}
    assert len(line.groups()) == 7


def test_what_another_wrote_meanwhile_is_not_taken_for_ours(line: Line) -> None:
    line.proxy.arm(COMMIT, after=False, when_cut=lambda: _commit_elsewhere(line, group("theirs")))
    head = line.store.commit(group("ours"))
    assert (head.position, line.groups()) == (3, ["ours", "theirs"])
    assert head == line.direct.head()


def test_requirements_are_checked_anew(line: Line) -> None:
    theirs = c.ChangeSet((c.UpdateDataset(DATA, required_copies=3),), "me", "why")
    line.proxy.arm(COMMIT, after=False, when_cut=lambda: _commit_elsewhere(line, theirs))
    with pytest.raises(Conflict):
        line.store.commit(group("ours", need.DatasetUnchanged(DATA, 1)))
    assert (line.groups(), line.direct.head().position) == ([], 2)


def _commit_elsewhere(line: Line, change_set: c.ChangeSet) -> None:
    line.direct.commit(change_set)


@pytest.mark.parametrize("after", [False, True])
def test_an_outcome_that_cannot_be_learned_is_told_as_such(line: Line, after: bool) -> None:
    store = line.open(patience_s=0)
    line.proxy.arm(COMMIT, after=after, then_refuse=True)
    with pytest.raises(OutcomeUnknown) as caught:
        store.commit(group("a"))
    assert not caught.value.retryable
    assert "open sesame" not in str(caught.value)
    line.proxy.allow()
    entries = {entry.position: entry.digest for entry in line.direct.entries()}
    assert (entries.get(caught.value.position) == caught.value.digest) is after
    assert line.groups() == (["a"] if after else [])


def test_patience_outlasts_a_line_that_comes_back(line: Line) -> None:
    def sleep(_: float) -> None:
        line.proxy.allow()

    store = line.open(patience_s=30, sleep=sleep)
    line.proxy.arm(COMMIT, after=True, then_refuse=True)
    assert store.commit(group("a")).position == 2
    assert line.groups() == ["a"]


@pytest.mark.parametrize("after", [False, True])
def test_a_room_learns_what_became_of_its_transaction(line: Line, after: bool) -> None:
    room = line.store.room(ROOM)
    line.proxy.arm(COMMIT, after=after)

    def write() -> None:
        with room.write() as connection:
            line.also(connection)

    if after:
        write()
    else:
        with pytest.raises(DatabaseAway, match="nothing was changed"):
            write()
    assert (line.proxy.n_cuts, line.tasks()) == (1, int(after))


def test_a_rooms_outcome_that_cannot_be_learned_is_told_as_such(line: Line) -> None:
    room = line.open(patience_s=0).room(ROOM)
    line.proxy.arm(COMMIT, after=True, then_refuse=True)
    with pytest.raises(OutcomeUnknown), room.write() as connection:
        line.also(connection)
    assert line.tasks() == 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_reader_gets_the_whole_answer_or_an_error(line: Line, mode: str) -> None:
    def read() -> list[str]:
        with line.direct.snapshot() as snapshot:
            line.server.stop(mode)
            return snapshot.groups()

    with pytest.raises(DatabaseAway) as caught:
        read()
    assert caught.value.retryable
    with pytest.raises(DatabaseAway):
        line.direct.head()
    line.server.start()
    assert line.direct.head().position == 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_writer_waits_for_the_server_to_come_back(line: Line, mode: str) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            line.server.start()

    store = line.open(patience_s=60, sleep=sleep)
    line.server.stop(mode)
    assert store.commit(group("a")).position == 2
    assert waits == sorted(waits)
    assert line.groups() == ["a"]


def test_a_writer_does_not_wait_for_ever(line: Line) -> None:
    store = line.open(patience_s=0)
    line.server.stop()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(store.commit, group(name)) for name in "abcd"]
        for each in waiting:
            assert isinstance(each.exception(), DatabaseAway)
    line.server.start()
    assert line.groups() == []


def test_sessions_that_were_ended_are_replaced(line: Line) -> None:
    for number in range(3):
        assert line.direct.head().position == 1 + number
        line.server.kill_connections()
        assert line.direct.commit(group(f"g{number}")).position == 2 + number
        line.server.kill_connections()


def test_a_session_that_ends_while_it_waits_for_the_turn_waits_again(line: Line) -> None:
    with ThreadPoolExecutor(1) as pool:
        with line.direct.writing():
            waiting = pool.submit(line.store.commit, group("a"))
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory'"
            while not line.server.run(query):
                threading.Event().wait(0.01)
        assert waiting.result().position == 2
    assert line.groups() == ["a"]


def test_a_dead_writer_gives_its_turn_back(line: Line) -> None:
    def write() -> None:
        with line.direct.writing() as connection:
            line.server.kill_connections()
            assert line.store.commit(group("a")).position == 2
            line.also(connection)

    with pytest.raises(DatabaseAway):
        write()
    assert (line.groups(), line.tasks()) == (["a"], 0)


def test_waiting_goes_on_over_a_restart(line: Line) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(line.direct.wait, 1, 60)
        line.server.stop("immediate")
        assert not line.store.wait(0, 0)
        line.server.start()
        line.direct.commit(group("a"))
        assert waiting.result()
