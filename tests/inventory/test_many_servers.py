"""Many servers on one database: whichever is killed, the others go on, and nobody hears anything wrong.

Method: three server processes on a real PostgreSQL, four writers and eight
readers who go to any of them, and kills by a seeded plan: servers (kill -9),
sessions of the database, the database itself (a crash and a start). Each write
has parts that only make sense together (``twin_writes``), so that every answer
can be judged by itself; in the end the journal is compared with what was
acknowledged. As many kills as HOLDFAST_KILLS asks for, KILLS_EACH a run.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.inventory.backup import backup, restore
from holdfast.inventory.image import sql_load
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Head
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model.clock import system_clock
from holdfast.model.errors import Behind, DatabaseAway, ResyncNeeded
from holdfast.model.records import Group
from holdfast.testing.inventory_server import digest_of
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.server_process import ServerProcess
from holdfast.testing.store_journal_rules import assert_chained
from inventory import twin_writes
from inventory.gated_line import GatedLine
from inventory.server_world import N_READERS, N_WRITERS, ServerWorld

KILLS = int(os.environ.get("HOLDFAST_KILLS", "10"))
KILLS_EACH = 25
LONG_S = 30.0

pytestmark = pytest.mark.slow


@pytest.mark.real("postgresql")
@pytest.mark.parametrize("seed", range(1, 2 + (KILLS - 1) // KILLS_EACH))
def test_whatever_is_killed(postgres: PostgresServer, tmp_path: Path, seed: int) -> None:
    url = postgres.new_database()
    with closing(SqlStore.create(url)) as store:
        beginning = store.commit(twin_writes.beginning(N_WRITERS))
    world = ServerWorld(postgres, url, tmp_path, seed=seed, beginning=beginning)
    try:
        world.start()
        world.disturb(min(KILLS, KILLS_EACH))
        world.finish()
        _assert_all_agree(world, url)
        _assert_journal(world, url)
        _assert_worth_it(world)
    except BaseException as error:
        error.add_note(world.note())
        raise
    finally:
        world.close()


def _assert_all_agree(world: ServerWorld, url: str) -> None:
    """Every server comes to the end by itself, and says what the database says."""
    with closing(SqlStore.open(url)) as store:
        head = store.head()
        with store.reading() as connection:
            expected = digest_of(sql_load.load(connection).snapshot())
        with store.snapshot() as snapshot:
            assert digest_of(snapshot) == expected
    for server in world.servers:
        answer = server.read(head, timeout_s=LONG_S, age_s_max=5.0, digest=True, **twin_writes.question(N_WRITERS))
        assert (answer["head"], answer["digest"]) == (head, expected)
        twin_writes.assert_whole(answer, N_WRITERS)
        assert server.status()["problem"] == ""


def _assert_journal(world: ServerWorld, url: str) -> None:
    """Every write is in the journal once; those that were told a position are there."""
    with closing(SqlStore.open(url)) as store:
        assert_chained(store)
        entries = list(store.entries(limit=1_000_000))
        causes = Counter(entry.cause for entry in entries)
        assert causes == Counter([*world.acknowledged, "beginning"])
        at = {entry.cause: entry for entry in entries}
        for name, head in world.acknowledged.items():
            assert at[name].cursor == head.cursor or (name in world.found and at[name].position <= head.position)
        assert verify(store) == []


def _assert_worth_it(world: ServerWorld) -> None:
    """It was a test: what should happen did happen, and nothing was complained of that nobody expects."""
    for kind in ("whatever", "own writes", "young", "digest"):
        assert world.events[f"reads of {kind}"] >= N_READERS, world.events
    assert world.events["digests compared"]
    for log in world.logs:
        assert "Traceback" not in log.read_text(), log.read_text()
    print(f"seed {world.seed}: {dict(sorted(world.events.items()))}, {len(world.acknowledged)} writes")  # noqa: T201


Started = Callable[..., ServerProcess]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Starts servers, which are gone at the end."""
    servers: list[ServerProcess] = []

    def start(*arguments: str | Path) -> ServerProcess:
        servers.append(ServerProcess(arguments, tmp_path / f"server{len(servers)}.log"))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def _add_group(server: ServerProcess, name: str) -> Head:
    return server.commit(c.ChangeSet((c.PutGroup(Group(name)),), "me", name))


def _wait_until(is_so: Callable[[], bool]) -> None:
    ticking = threading.Event()
    for _ in range(int(LONG_S / 0.02)):
        if is_so():
            return
        ticking.wait(0.02)
    raise AssertionError("it did not become so")


@pytest.mark.real("postgresql")
def test_a_server_that_is_cut_off_says_so_and_comes_back(postgres: PostgresServer, started: Started) -> None:
    url = postgres.new_database()
    SqlStore.create(url).close()
    with GatedLine(postgres.port) as line:
        there = started(url)
        cut_off = started(url.replace(f":{postgres.port}/", f":{line.port}/"), "--patience", "0.5")
        known = _add_group(there, "before")
        assert cut_off.read(known, timeout_s=LONG_S, age_s_max=5, groups=True)["groups"] == ["before"]
        line.cut()
        _wait_until(lambda: bool(cut_off.status()["problem"]))
        missed = _add_group(there, "meanwhile")
        assert cut_off.read(groups=True)["groups"] == ["before"]
        with pytest.raises(Behind, match="not yet at 2") as caught:
            cut_off.read(missed, timeout_s=0.2)
        assert "database" in caught.value.hint
        _wait_until(lambda: cut_off.status()["age_s"] > 1.5)
        with pytest.raises(Behind, match="s ago"):
            cut_off.read(age_s_max=1.5)
        with pytest.raises(DatabaseAway):
            _add_group(cut_off, "never")
        line.open()
        answer = cut_off.read(missed, timeout_s=LONG_S, age_s_max=5, groups=True)
        assert answer["groups"] == ["before", "meanwhile"]
        assert cut_off.status()["problem"] == ""
        own = _add_group(cut_off, "after")
        assert there.read(own, timeout_s=LONG_S, groups=True)["groups"] == ["after", "before", "meanwhile"]


@pytest.mark.real("postgresql")
def test_a_server_whose_database_stands_still_gets_old_and_says_so(postgres: PostgresServer, started: Started) -> None:
    url = postgres.new_database()
    SqlStore.create(url).close()
    with GatedLine(postgres.port) as line:
        there = started(url)
        held = started(url.replace(f":{postgres.port}/", f":{line.port}/"))
        known = _add_group(there, "before")
        held.read(known, timeout_s=LONG_S)
        line.hold()
        missed = _add_group(there, "meanwhile")
        _wait_until(lambda: held.status()["age_s"] > 2.0)
        assert held.read(groups=True)["groups"] == ["before"]
        with pytest.raises(Behind):
            held.read(age_s_max=2.0)
        line.open()
        assert held.read(missed, timeout_s=LONG_S, age_s_max=2.0, groups=True)["groups"] == ["before", "meanwhile"]


def test_a_restored_backup_under_running_servers(started: Started, tmp_path: Path) -> None:
    place = tmp_path / "inventory.db"
    with closing(SqlStore.create(place)) as store:
        first, second = started(place), started(place)
        kept = _add_group(first, "kept")
        second.read(kept, timeout_s=LONG_S)
        backup(store, tmp_path / "copy.db")
        lost = [_add_group(first, f"lost{number}") for number in range(5)][-1]
        for server in (first, second):
            assert len(server.read(lost, timeout_s=LONG_S, groups=True)["groups"]) == 6
        restored = restore(tmp_path / "copy.db", place, clock=system_clock, actor="me")
        for server in (second, first):
            # The new head is lower than what the image has seen; that must not pass for having it.
            assert server.read(restored, timeout_s=LONG_S, groups=True)["groups"] == ["kept"]
        new = _add_group(second, "new")
        for server in (first, second):
            assert server.read(new, timeout_s=LONG_S, age_s_max=5, groups=True)["groups"] == ["kept", "new"]
            assert server.read(kept, groups=True)["groups"] == ["kept", "new"]
            with pytest.raises(ResyncNeeded):
                server.read(lost, timeout_s=LONG_S)
        digests = {server.read(new, digest=True)["digest"] for server in (first, second)}
        with store.snapshot() as snapshot:
            assert digests == {digest_of(snapshot)}
        assert verify(store) == []
