"""A journal that somebody has damaged by hand: verify says where, and nobody who follows it takes anything in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, update

from holdfast.inventory import journal, retention, schema, sql_journal
from holdfast.inventory.image.image import Image, follow
from holdfast.inventory.image.sql_load import load
from holdfast.inventory.keeper import Keeper
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model.errors import BrokenInvariant
from holdfast.model.records import Group
from holdfast.testing.snapshots import described
from holdfast.testing.store_hooks import ManualClock
from inventory.places import Places, execute, places

__all__ = ["places"]

N_ENTRIES = 12
LONG_S = 30.0


def _cut_body(store: SqlStore, position: int) -> None:
    table = schema.journal
    with store.writing() as connection:
        body = connection.scalar(select(table.c.body).where(table.c.position == position))
        connection.execute(update(table).where(table.c.position == position).values(body=body[:-5]))


def _other_body(store: SqlStore, position: int) -> None:
    table = schema.journal
    body = journal.pack(journal.encode(c.ChangeSet((c.PutGroup(Group("forged")),), "me", "why")))
    with store.writing() as connection:
        connection.execute(update(table).where(table.c.position == position).values(body=body))


def _swap(store: SqlStore, position: int) -> None:
    moves = ((position, 1000), (position + 1, position), (1000, position + 1))
    execute(store, *(f"UPDATE journal SET position = {to} WHERE position = {at}" for at, to in moves))


DAMAGES: dict[str, Callable[[SqlStore, int], None]] = {
    "hole": lambda store, position: execute(store, f"DELETE FROM journal WHERE position = {position}"),
    "wide hole": lambda store, position: execute(
        store, f"DELETE FROM journal WHERE position BETWEEN {position} AND {position + 1}"
    ),
    "broken digest": lambda store, position: execute(
        store, f"UPDATE journal SET digest = '{'0' * 64}' WHERE position = {position}"
    ),
    "other cause": lambda store, position: execute(
        store, f"UPDATE journal SET cause = 'forged' WHERE position = {position}"
    ),
    "swapped": _swap,
    "truncated": _cut_body,
    "other body": _other_body,
}
"""What is done to the entry at a position; each entry is one group, so that no side table stands against it."""


@dataclass
class Damaged:
    """An inventory whose journal is damaged at a position, and an image at the position before it."""

    store: SqlStore
    image: Image
    position: int
    folder: Path


@pytest.fixture(params=[*DAMAGES])
def damaged(request: pytest.FixtureRequest, places: Places, is_trimmed: bool) -> Damaged:
    """In the middle of a whole journal, or the first entry of a trimmed one."""
    store, folder = places.create(ManualClock()), places.folder / "checkpoints"
    image = Image.empty()
    for number in range(N_ENTRIES):
        store.commit(c.ChangeSet((c.PutGroup(Group(f"group{number}")),), "me", "why"))
        if number == 5:
            follow(store, image)
    if is_trimmed:
        plan = retention.plan(store, folder, keep_entries=N_ENTRIES - 6)
        retention.trim(store, folder, plan, clock=ManualClock(), actor="me")
    assert image.head.position == 6
    DAMAGES[request.param](store, 7)
    return Damaged(store, image, 7, folder)


@pytest.fixture(params=[False, True], ids=["in the middle", "at the trimmed start"])
def is_trimmed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_verify_names_the_position(damaged: Damaged) -> None:
    found = [each for each in verify(damaged.store, folder=damaged.folder) if each.invariant == "I1"]
    told = f"{found[0].place}: {found[0].message}"
    assert "position 7" in told or "positions 7 to 8" in told


def test_a_follower_takes_nothing_in(damaged: Damaged) -> None:
    before, head = described(damaged.image.snapshot()), damaged.image.head
    for _ in range(2):
        with pytest.raises(BrokenInvariant, match="position 7") as caught:
            follow(damaged.store, damaged.image)
        assert caught.value.place == "position 7"
    assert damaged.image.head == head
    assert described(damaged.image.snapshot()) == before


def test_entries_before_the_damage_can_be_had(damaged: Damaged) -> None:
    store = damaged.store
    n_before = 6 - store.start().position
    assert [entry.position for entry in store.entries(limit=n_before)] == [*range(7 - n_before, 7)]
    with pytest.raises(BrokenInvariant, match="position 7"):
        store.entries(limit=n_before + 1)


def test_nothing_is_written(damaged: Damaged) -> None:
    store = damaged.store
    with store.reading() as connection:
        before = [connection.execute(select(table)).all() for table in schema.metadata.sorted_tables]
    with pytest.raises(BrokenInvariant):
        follow(store, damaged.image)
    verify(store, folder=damaged.folder)
    with store.reading() as connection:
        after = [connection.execute(select(table)).all() for table in schema.metadata.sorted_tables]
    assert before == after


def _load(store: Store) -> Image:
    assert isinstance(store, SqlStore)
    with store.reading() as connection:
        return load(connection)


@pytest.mark.parametrize("damage", ["hole", "broken digest", "truncated"])
def test_a_keeper_goes_on_serving_what_it_has(places: Places, damage: str) -> None:
    """The commit and the damage to its entry come in one transaction, so that the keeper never sees it whole."""
    store = places.create(ManualClock())
    add = partial(_add_group, store)
    last = [add(name) for name in ("a", "b")][-1]
    told = threading.Event()
    with Keeper(store, _load) as keeper:
        assert keeper.snapshot(last, timeout_s=LONG_S).groups() == ["a", "b"]
        head = store.head()
        _commit_damaged(store, damage)
        for _ in range(int(LONG_S / 0.01)):
            if keeper.status().problem:
                break
            told.wait(0.01)
        assert f"position {head.position + 1}" in keeper.status().problem
        assert keeper.snapshot().head.position == head.position
        assert keeper.snapshot().groups() == ["a", "b"]


def _add_group(store: SqlStore, name: str) -> int:
    return store.commit(c.ChangeSet((c.PutGroup(Group(name)),), "me", "why")).position


def _commit_damaged(store: SqlStore, damage: str) -> None:
    change_set = c.ChangeSet((c.PutGroup(Group("c")),), "me", "why")
    with store.writing() as connection:
        head = SqlSnapshot(connection).head
        after = sql_journal.append(connection, head, change_set, journal.encode(change_set), set(), at_us=head.at_us)
        table = schema.journal
        this = table.c.position == after.position
        if damage == "hole":
            connection.execute(table.delete().where(this))
        elif damage == "broken digest":
            connection.execute(update(table).where(this).values(digest="0" * 64))
        else:
            connection.execute(update(table).where(this).values(body=b"cut"))
        store.database.announce(connection, after.position)
