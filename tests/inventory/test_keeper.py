"""A keeper serves whole snapshots that are as new as was asked for, or says that it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from holdfast.inventory.image.image import Image
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.keeper import Keeper
from holdfast.inventory.store import Store
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Behind, Conflict, DatabaseAway, ResyncNeeded
from holdfast.model.names import BlockKey
from holdfast.model.records import FileColumns
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.random_changes import BEGINNING, OPEN
from holdfast.testing.snapshots import assert_same
from inventory.kept import LONG_S, add_group, load_image, wait_until


class Away:
    """A store whose database can be away."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.is_away = threading.Event()

    def __getattr__(self, name: str) -> object:
        if self.is_away.is_set():
            raise DatabaseAway("the database is away")
        return getattr(self.inner, name)


@pytest.fixture
def keep() -> Iterator[Callable[..., Keeper]]:
    with ExitStack() as held:
        yield lambda store, **more: held.enter_context(Keeper(store, load_image, **more))


def test_own_writes_can_be_read(keep: Callable[..., Keeper]) -> None:
    store = MemoryStore()
    keeper = keep(store)
    for number in range(20):
        head = add_group(store, f"group{number}")
        snapshot = keeper.snapshot(head, timeout_s=LONG_S)
        assert snapshot.head.position >= head.position
        assert f"group{number}" in snapshot.groups()
    with store.snapshot() as there:
        assert_same(there, keeper.snapshot(head))


def test_what_is_not_there_yet_is_refused(keep: Callable[..., Keeper]) -> None:
    store = MemoryStore()
    keeper = keep(store)
    with pytest.raises(Behind, match="at position 0, not yet at 1") as caught:
        keeper.snapshot(1)
    assert caught.value.retryable


def test_a_store_that_is_away_stops_no_reader(keep: Callable[..., Keeper]) -> None:
    store = Away()
    head = add_group(store.inner, "a")
    now = [0.0]
    keeper = keep(store, monotonic=lambda: now[0])
    assert keeper.snapshot(head, age_s_max=5).groups() == ["a"]
    store.is_away.set()
    wait_until(lambda: bool(keeper.status().problem))
    now[0] = 60.0
    assert keeper.snapshot(head).groups() == ["a"]
    assert "away" in keeper.status().problem
    assert keeper.status().age_s == 60.0
    with pytest.raises(Behind, match=r"60\.0 s ago") as caught:
        keeper.snapshot(head, age_s_max=5)
    assert "away" in caught.value.hint
    store.is_away.clear()
    after = add_group(store.inner, "b")
    assert keeper.snapshot(after, timeout_s=LONG_S, age_s_max=5).groups() == ["a", "b"]
    wait_until(lambda: not keeper.status().problem)


def test_another_history_makes_a_new_image(keep: Callable[..., Keeper]) -> None:
    store = Away()
    for name in "abc":
        last = add_group(store.inner, name)
    keeper = keep(store)
    assert keeper.snapshot(last).groups() == ["a", "b", "c"]
    store.is_away.set()
    store.inner = store.inner.restored("another", position=1)
    store.is_away.clear()
    after = [add_group(store.inner, name) for name in "xyz"][-1]
    assert keeper.snapshot(after, timeout_s=LONG_S).groups() == ["a", "x", "y", "z"]
    with pytest.raises(ResyncNeeded, match="not on this history"):
        keeper.snapshot(last, timeout_s=LONG_S)


def test_it_publishes_for_others(keep: Callable[..., Keeper], fast_folder: Path) -> None:
    store = MemoryStore()
    keeper = keep(store, publish_to=fast_folder, publish_every_s=0.01)
    reader = PublishedImage(fast_folder)
    head = add_group(store, "a")
    wait_until(lambda: reader.snapshot().head == head)
    assert_same(keeper.snapshot(head), reader.snapshot())
    with pytest.raises(Conflict):
        Keeper(store, load_image, publish_to=fast_folder)


def test_what_cannot_be_published_stops_no_reader(keep: Callable[..., Keeper], fast_folder: Path) -> None:
    folder = fast_folder / "image"
    store = MemoryStore()
    keeper = keep(store, publish_to=folder, publish_every_s=0.01)
    folder.rename(fast_folder / "elsewhere")
    head = add_group(store, "a")
    assert keeper.snapshot(head, timeout_s=LONG_S).groups() == ["a"]
    wait_until(lambda: bool(keeper.status().publishing_problem))
    assert "cannot be published" in keeper.status().publishing_problem


def test_snapshots_outlive_their_keeper() -> None:
    store = MemoryStore()
    head = add_group(store, "a")
    with Keeper(store, load_image) as keeper:
        snapshot = keeper.snapshot(head)
    assert snapshot.groups() == ["a"]
    keeper.close()


def _refuse(store: Store) -> Image:
    raise AssertionError("the store was read")


def test_it_begins_with_what_was_published(fast_folder: Path) -> None:
    store = MemoryStore()
    store.commit(BEGINNING)
    with Keeper(store, load_image, publish_to=fast_folder):
        pass
    head = add_group(store, "later")
    with Keeper(store, _refuse, publish_to=fast_folder) as keeper, store.snapshot() as there:
        assert_same(there, keeper.snapshot(head, timeout_s=LONG_S))


@pytest.mark.parametrize("damage", ["manifest.json", "*.part"])
def test_a_damaged_publication_is_made_anew(fast_folder: Path, damage: str) -> None:
    store = MemoryStore()
    store.commit(BEGINNING)
    with Keeper(store, load_image, publish_to=fast_folder):
        pass
    path = sorted(fast_folder.glob(damage))[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssertionError, match="was read"):
        Keeper(store, _refuse, publish_to=fast_folder)
    with Keeper(store, load_image, publish_to=fast_folder) as keeper:
        assert_same(keeper.snapshot(), PublishedImage(fast_folder).snapshot())


def test_a_byte_that_has_changed_is_never_taken_over(fast_folder: Path) -> None:
    store = MemoryStore()
    store.commit(BEGINNING)
    change = c.RegisterFiles(BlockKey(OPEN, "b"), 0, FileColumns(("/on/disk",), (0,), ("a",), (1000,)))
    store.commit(c.ChangeSet((change,), "me", "why"))
    with Keeper(store, load_image, publish_to=fast_folder):
        pass
    wanted = (1000).to_bytes(8, "little")
    (path,) = (path for path in fast_folder.glob("*.part") if wanted in path.read_bytes())
    path.write_bytes(path.read_bytes().replace(wanted, (9999).to_bytes(8, "little")))
    with Keeper(store, load_image, publish_to=fast_folder) as keeper:
        record = keeper.snapshot().lookup(["/on/disk/a"])[0]
    assert record is not None
    assert record.size == 1000


def test_a_publication_of_another_history_is_not_used(fast_folder: Path) -> None:
    store = MemoryStore()
    for name in "abc":
        add_group(store, name)
    with Keeper(store, load_image, publish_to=fast_folder):
        pass
    another = store.restored("another", position=1)
    with Keeper(another, load_image, publish_to=fast_folder) as keeper:
        assert keeper.snapshot().groups() == ["a"]


def test_files_can_stay_on_disk(fast_folder: Path) -> None:
    store = MemoryStore()
    store.commit(BEGINNING)
    with Keeper(store, load_image, publish_to=fast_folder, publish_every_s=0.01, files="disk") as keeper:
        wait_until(lambda: _is_mapped(keeper.snapshot()))
        change = c.RegisterFiles(BlockKey(OPEN, "on-disk"), 0, FileColumns(("/on/disk",), (0,), ("a",), (5,)))
        head = store.commit(c.ChangeSet((change,), "me", "why"))
        wait_until(lambda: keeper.snapshot().head == head and _is_mapped(keeper.snapshot()))
        with store.snapshot() as there:
            assert_same(there, keeper.snapshot(head))
    with pytest.raises(BadInput, match="need a folder"):
        Keeper(store, load_image, files="disk")


def _is_mapped(snapshot: ImageSnapshot) -> bool:
    """Whether every column of sizes lies in a file."""
    columns = [chunk.sizes for chunk in snapshot.tables.files.every_chunk]
    return bool(columns) and not any(column.flags.writeable or column.flags.owndata for column in columns)
