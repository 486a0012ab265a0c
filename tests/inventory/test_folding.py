"""Folding of callers: alone with plain numbers, and in commits to SQLite.

Method: the turn is held until all callers wait, so that they must be folded;
the number of transactions tells that they were.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select

from holdfast.inventory import folding
from holdfast.inventory.folding import Folding, Take
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.turn import Line
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, BrokenInvariant, DatabaseAway, UnknownName
from holdfast.model.names import DatasetKey
from holdfast.model.records import Group
from holdfast.testing.store_journal_rules import assert_chained

ROOM = MetaData()
TASK = Table("folded_task", ROOM, Column("id", Integer, primary_key=True))


class Crash(BaseException):
    """Something that no handler of errors sees."""


class Work:
    """A Folding of numbers that holds each fold up until it is let go, and remembers what was done at once."""

    def __init__(self, act: Callable[[int], int] = lambda item: 10 * item) -> None:
        self.folding: Folding[int, int] = Folding(self._carry_out)
        self.folds: list[list[int]] = []
        self._act = act
        self._turn = threading.Semaphore(0)

    def _carry_out(self, take: Take[int, int]) -> None:
        self._turn.acquire()
        tickets = take()
        self.folds.append([ticket.item for ticket in tickets])
        for ticket in tickets:
            ticket.answer(self._act(ticket.item))

    def submit(self, pool: ThreadPoolExecutor, item: int, weight: int = 1) -> Future[int]:
        """Ask, and return when the caller is in the queue."""
        before = self._n_asked()
        asked = pool.submit(self.folding.run, item, weight)
        while self._n_asked() == before and not asked.done():
            time.sleep(0.001)
        return asked

    def _n_asked(self) -> int:
        return len(self.folding._waiting)

    def let_go(self, n_folds: int = 1) -> None:
        self._turn.release(n_folds)


def test_who_waits_is_folded_in_the_order_of_asking() -> None:
    work = Work()
    with ThreadPoolExecutor(8) as pool:
        asked = [work.submit(pool, number) for number in range(5)]
        work.let_go()
        assert [each.result() for each in asked] == [0, 10, 20, 30, 40]
    assert work.folds == [[0, 1, 2, 3, 4]]


def test_who_comes_later_is_in_the_next_fold_and_leads_it() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def act(item: int) -> int:
        if item == 0:
            entered.set()
            go_on.wait(30)
        return threading.get_ident()

    work = Work(act)
    with ThreadPoolExecutor(8) as pool:
        first = work.submit(pool, 0)
        work.let_go(3)
        assert entered.wait(30)
        later = [work.submit(pool, number) for number in (1, 2, 3)]
        go_on.set()
        leaders = {each.result() for each in later}
    assert (work.folds, len(leaders)) == ([[0], [1, 2, 3]], 1)
    assert first.result() not in leaders


def test_a_fold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MOST_ITEMS", 3)
    monkeypatch.setattr(folding, "MOST_WEIGHT", 10)
    work = Work()
    with ThreadPoolExecutor(16) as pool:
        weights = [1, 1, 1, 1, 8, 2, 99, 1]
        asked = [work.submit(pool, number, weight) for number, weight in enumerate(weights)]
        work.let_go(9)
        assert [each.result() for each in asked] == [10 * number for number in range(8)]
    assert work.folds == [[0, 1, 2], [3, 4], [5], [6], [7]]


def test_what_fails_the_fold_fails_all_each_with_an_error_of_its_own() -> None:
    def act(item: int) -> int:
        raise BadInput("full", place="disk", hint="free some")

    work = Work(act)
    with ThreadPoolExecutor(8) as pool:
        asked = [work.submit(pool, number) for number in range(3)]
        work.let_go()
        errors = [each.exception() for each in asked]
    assert [str(error) for error in errors] == ["disk: full (free some)"] * 3
    assert len({id(error) for error in errors}) == 3


def test_an_interrupt_ends_only_the_call_it_came_to() -> None:
    interrupted = []

    def act(item: int) -> int:
        if not interrupted:
            interrupted.append(item)
            raise KeyboardInterrupt
        return 10 * item

    work = Work(act)
    with ThreadPoolExecutor(8) as pool:
        asked = [work.submit(pool, number) for number in range(3)]
        work.let_go(2)
        assert isinstance(asked[0].exception(), KeyboardInterrupt)
        assert [each.result() for each in asked[1:]] == [10, 20]
    assert work.folds == [[0, 1, 2], [1, 2]]


def test_who_asks_from_within_is_refused() -> None:
    def act(item: int) -> int:
        return work.folding.run(item + 1)

    work = Work(act)
    work.let_go()
    with pytest.raises(BrokenInvariant, match="asks for it again"):
        work.folding.run(1)


def test_a_line_is_first_come_first_served() -> None:
    line, order = Line(), []

    def stand(number: int) -> None:
        with line.turn():
            order.append(number)

    with ThreadPoolExecutor(8) as pool, line.turn():
        for number in range(5):
            pool.submit(stand, number)
            while len(line._waiting) <= number:
                time.sleep(0.001)
    assert order == list(range(5))


@pytest.fixture
def store(fast_folder: Path) -> Iterator[SqlStore]:
    store = SqlStore.create(fast_folder / "inventory.sqlite")
    store.room(ROOM)
    yield store
    store.close()


@contextmanager
def held(store: SqlStore, pool: ThreadPoolExecutor, *commits: Callable[[], object]) -> Iterator[list[Future[object]]]:
    """Commits that all wait until the context ends, in this order."""
    asked: list[Future[object]] = []
    waiting = store._committing._folding._waiting
    with store.writing():
        for number, commit in enumerate(commits):
            asked.append(pool.submit(commit))
            while len(waiting) <= number:
                time.sleep(0.001)
        yield asked


def group(name: str, *requirements: need.Requirement) -> c.ChangeSet:
    return c.ChangeSet((c.PutGroup(Group(name)),), "me", "why", requirements)


def adding(number: int, error: BaseException | None = None) -> Callable[[Connection], None]:
    def add(connection: Connection) -> None:
        connection.execute(insert(TASK).values(id=number))
        if error is not None:
            raise error

    return add


def seen(store: SqlStore) -> tuple[list[str], list[int]]:
    assert_chained(store)
    assert verify(store) == []
    with store.reading() as connection:
        tasks = list(connection.scalars(select(TASK.c.id).order_by(TASK.c.id)))
    with store.snapshot() as snapshot:
        return snapshot.groups(), tasks


def test_each_has_its_own_entry_and_head(store: SqlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        with held(store, pool, *(lambda name=name: store.commit(group(name)) for name in "abcd")) as asked:
            pass
        heads = [each.result() for each in asked]
    assert [head.position for head in heads] == [1, 2, 3, 4]
    assert [entry.cursor for entry in store.entries()] == [head.cursor for head in heads]
    assert seen(store)[0] == ["a", "b", "c", "d"]


def test_what_one_asks_wrongly_undoes_only_itself(store: SqlStore) -> None:
    none = need.DatasetVisible(DatasetKey("/none"))
    crash, wrong = Crash("crash"), ValueError("wrong")
    with ThreadPoolExecutor(8) as pool:
        with held(
            store,
            pool,
            lambda: store.commit(group("a"), also=adding(1)),
            lambda: store.commit(group("b"), also=adding(2, crash)),
            lambda: store.commit(group("c", none), also=adding(3)),
            lambda: store.commit(c.ChangeSet((c.PutGroup(Group("d")), c.RemoveLock("x")), "me", "why"), also=adding(4)),
            lambda: store.commit(group("e"), also=adding(5, wrong)),
            lambda: store.commit(group("f"), also=adding(6)),
        ) as asked:
            pass
        outcomes = [each.exception() or each.result().position for each in asked]  # type: ignore[attr-defined]
    assert (outcomes[0], outcomes[1], outcomes[4], outcomes[5]) == (1, crash, wrong, 2)
    assert isinstance(outcomes[2], UnknownName)
    assert isinstance(outcomes[3], UnknownName)
    assert seen(store) == (["a", "f"], [1, 6])


def test_one_sees_what_those_before_it_did(store: SqlStore) -> None:
    create = c.ChangeSet((c.PutGroup(Group("a")),), "me", "why")
    with ThreadPoolExecutor(8) as pool:
        with held(
            store,
            pool,
            lambda: store.commit(create),
            lambda: store.commit(c.ChangeSet((), "me", "why")),
            lambda: store.commit(c.ChangeSet((), "me", "why"), also=adding(1)),
            lambda: store.commit(group("b")),
        ) as asked:
            pass
        positions = [each.result().position for each in asked]  # type: ignore[attr-defined]
    assert positions == [1, 1, 1, 2]
    assert seen(store) == (["a", "b"], [1])


def test_when_the_commit_fails_nobody_is_told_success(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    deferred = MetaData()
    parent = Table("parent", deferred, Column("id", Integer, primary_key=True))
    with store.writing() as connection:
        deferred.create_all(connection)
        connection.exec_driver_sql(
            "CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)"
        )

    def orphan(connection: Connection) -> None:  # The database finds it out only at the COMMIT.
        connection.exec_driver_sql("INSERT INTO child VALUES (7)")

    assert parent.name == "parent"
    with ThreadPoolExecutor(8) as pool:
        with held(
            store, pool, lambda: store.commit(group("a")), lambda: store.commit(group("b"), also=orphan)
        ) as asked:
            pass
        assert [type(each.exception()).__name__ for each in asked] == ["IntegrityError"] * 2
    assert seen(store) == ([], [])
    assert store.commit(group("c")).position == 1


def test_a_full_database_fails_the_fold_and_no_more(store: SqlStore) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.exec_driver_sql("CREATE TABLE ballast AS SELECT randomblob(1000000) AS b")

    with ThreadPoolExecutor(8) as pool:
        with held(store, pool, lambda: store.commit(group("a")), lambda: store.commit(group("b"), also=fill)) as asked:
            pass
        outcomes = [each.exception() for each in asked]
    assert "the disk is full" in str(outcomes[1])
    names = seen(store)[0]
    assert names == (["a"] if outcomes[0] is None else [])


def test_a_commit_within_a_commit_is_refused(store: SqlStore) -> None:
    with pytest.raises(BrokenInvariant, match="asks for it again"):
        store.commit(group("a"), also=lambda _: store.commit(group("b")) and None)
    assert seen(store) == ([], [])


@pytest.mark.slow
def test_a_commit_within_a_write_transaction_is_refused_and_disturbs_nobody(store: SqlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        again = pytest.raises(BrokenInvariant, match="asks for it again")
        with held(store, pool, lambda: store.commit(group("a"))) as asked, again:
            store.commit(group("b"))
        with store.writing():
            other = SqlStore.open(store.path)
            with pytest.raises(BrokenInvariant, match="asks for it again"), other.writing():
                pass
            other.close()
        assert asked[0].result()
    assert seen(store) == (["a"], [])


def test_what_is_away_for_one_is_tried_again_for_it_alone(store: SqlStore) -> None:
    tried = {"a": 0, "b": 0}

    def counting(name: str, n_away: int) -> Callable[[Connection], None]:
        def count(connection: Connection) -> None:
            tried[name] += 1
            adding(tried[name] + 10 * (name == "b"))(connection)
            if tried[name] <= n_away:
                raise DatabaseAway("for a moment")

        return count

    with ThreadPoolExecutor(8) as pool:
        with held(
            store,
            pool,
            lambda: store.commit(group("a"), also=counting("a", 0)),
            lambda: store.commit(group("b"), also=counting("b", 2)),
            lambda: store.commit(group("c")),
        ) as asked:
            pass
        positions = [each.result().position for each in asked]  # type: ignore[attr-defined]
    assert (positions, tried) == ([1, 3, 2], {"a": 1, "b": 3})
    assert seen(store) == (["a", "b", "c"], [1, 13])


def test_what_stays_away_for_one_fails_it_alone(store: SqlStore) -> None:
    impatient = SqlStore.open(store.path, patience_s=0)
    with ThreadPoolExecutor(8) as pool:
        with held(
            impatient,
            pool,
            lambda: impatient.commit(group("a")),
            lambda: impatient.commit(group("b"), also=adding(1, DatabaseAway("for ever"))),
            lambda: impatient.commit(group("c")),
        ) as asked:
            pass
        outcomes = [type(each.exception()) for each in asked]
    impatient.close()
    assert outcomes == [type(None), DatabaseAway, type(None)]
    assert seen(store) == (["a", "c"], [])


def test_many_threads_lose_and_double_nothing(store: SqlStore) -> None:
    def work(worker: int) -> list[int]:
        return [store.commit(group(f"w{worker}-{n}"), also=adding(100 * worker + n)).position for n in range(30)]

    with ThreadPoolExecutor(8) as pool:
        positions = list(pool.map(work, range(8)))
    assert all(mine == sorted(mine) for mine in positions)
    assert sorted(chain.from_iterable(positions)) == list(range(1, 241))
    assert [len(each) for each in seen(store)] == [240, 240]
