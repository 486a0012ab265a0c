"""A keeper goes on, and tells the truth about its age, through slow answers, endless news, faults and restores."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from holdfast.inventory import keeper as keepers
from holdfast.inventory.image.image import Image
from holdfast.inventory.keeper import Keeper
from holdfast.inventory.store import Cursor, JournalEntry
from holdfast.model.errors import Behind, DatabaseAway, ResyncNeeded
from holdfast.testing.memory_store import MemoryStore
from inventory.kept import LONG_S, add_group, load_image, wait_until


class Steered:
    """A store with a hook where entries are read: ``before_reading`` may wait, write, or raise."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.before_reading: Callable[[], None] = lambda: None
        self.after_reading: Callable[[], None] = lambda: None

    def entries(self, after: Cursor | None = None, *, limit: int = 1000) -> Iterable[JournalEntry]:
        self.before_reading()
        found = list(self.inner.entries(after, limit=limit))
        self.after_reading()
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle keeper looks often, and is soon closed."""
    monkeypatch.setattr(keepers, "WAIT_S", 0.05)


@pytest.fixture
def store() -> Iterator[Steered]:
    steered = Steered()
    yield steered
    steered.before_reading = steered.after_reading = lambda: None


def test_the_age_counts_from_the_question_and_not_from_the_answer(store: Steered) -> None:
    now, asked, answered, asked_again, go_on = [0.0], *(threading.Event() for _ in range(4))

    def slow_answer() -> None:
        asked.set()
        assert answered.wait(LONG_S)

    def next_question() -> None:
        asked_again.set()
        assert go_on.wait(LONG_S)

    with Keeper(store, load_image, monotonic=lambda: now[0]) as keeper:
        store.after_reading = slow_answer
        asked.clear()
        assert asked.wait(LONG_S)  # The journal was looked at, at 0; nobody knows what it has got since.
        now[0] = 40.0
        store.before_reading, store.after_reading = next_question, lambda: None
        answered.set()
        assert asked_again.wait(LONG_S)  # By now the answer has been taken in.
        with pytest.raises(Behind, match=r"40\.0 s ago"):
            keeper.snapshot(age_s_max=30.0)
        go_on.set()
        keeper.snapshot(age_s_max=30.0, timeout_s=LONG_S)


def test_an_image_that_never_comes_to_rest_is_not_old_and_is_folded(
    store: Steered, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, number, folded = [0.0], [0], threading.Event()

    def news() -> None:
        number[0] += 1
        now[0] += 1.0
        add_group(store.inner, f"group{number[0]}")

    fold_step = Image.fold_step
    monkeypatch.setattr(Image, "fold_step", lambda image: folded.set() or fold_step(image))
    with Keeper(store, load_image, monotonic=lambda: now[0]) as keeper:
        store.before_reading = news
        wait_until(lambda: number[0] > 5)
        for _ in range(20):
            assert keeper.status().age_s <= 3.0
        folded.clear()
        assert folded.wait(LONG_S)


@pytest.mark.parametrize("error", [ValueError("not one of ours"), DatabaseAway("away"), MemoryError()])
def test_no_error_ends_the_following(store: Steered, error: Exception) -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise error

    with Keeper(store, load_image) as keeper:
        store.before_reading = fail
        assert failed.wait(LONG_S)
        wait_until(lambda: bool(keeper.status().problem))
        assert type(error).__name__ in keeper.status().problem or str(error) == keeper.status().problem
        missed = add_group(store.inner, "a")
        store.before_reading = lambda: None
        assert keeper.snapshot(missed, timeout_s=LONG_S).groups() == ["a"]
        assert keeper.status().problem == ""


def test_a_log_that_cannot_be_written_stops_nobody(store: Steered, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def warning(self, *_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail() -> None:
        raise DatabaseAway("away")

    monkeypatch.setattr(keepers, "_log", Full())
    with Keeper(store, load_image) as keeper:
        store.before_reading = fail
        wait_until(lambda: keeper.status().problem == "away")
        missed = add_group(store.inner, "a")
        store.before_reading = lambda: None
        assert keeper.snapshot(missed, timeout_s=LONG_S).groups() == ["a"]


def test_an_error_in_publishing_stops_nobody(
    store: Steered, fast_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("not one of ours")

    with Keeper(store, load_image, publish_to=fast_folder, publish_every_s=0.01) as keeper:
        with monkeypatch.context() as patched:
            patched.setattr(keepers.Publisher, "publish", fail)
            head = add_group(store.inner, "a")
            assert keeper.snapshot(head, timeout_s=LONG_S).groups() == ["a"]
            wait_until(lambda: "not one of ours" in keeper.status().publishing_problem)
        wait_until(lambda: keeper.status().publishing_problem == "")


def test_a_head_after_a_restore_is_waited_for_and_one_before_it_known(store: Steered) -> None:
    for name in "abc":
        last = add_group(store.inner, name)
    with store.inner.snapshot() as snapshot:
        kept = snapshot.head
    restored = store.inner.restored("another", position=1)
    with Keeper(store, load_image) as keeper:
        assert keeper.snapshot(kept).groups() == ["a", "b", "c"]
        store.inner = restored
        new = restored.head()
        # The image has passed position 2, but of the other history.
        with pytest.raises(Behind):
            keeper.snapshot(new)
        assert keeper.snapshot(new, timeout_s=LONG_S).groups() == ["a"]
        with pytest.raises(ResyncNeeded):
            keeper.snapshot(last, timeout_s=LONG_S)


def test_a_history_that_was_replaced_twice(store: Steered) -> None:
    first = add_group(store.inner, "a")
    lost = [add_group(store.inner, name) for name in "bcde"][-2]
    store.inner = store.inner.restored("second", position=1)
    for name in "vwxyz":
        last = add_group(store.inner, name)
    store.inner = store.inner.restored("third", position=last.position)
    with Keeper(store, load_image) as keeper:
        # Its position is one of ours, and older than the last restore; yet it was lost in the one before.
        with pytest.raises(ResyncNeeded):
            keeper.snapshot(lost)
        assert "a" in keeper.snapshot(first).groups()
        assert "z" in keeper.snapshot(last).groups()


def test_whether_a_head_is_on_the_history_cannot_be_told_while_the_store_is_away(store: Steered) -> None:
    old = add_group(store.inner, "a")
    store.inner = store.inner.restored("another", position=1)

    def away() -> None:
        raise DatabaseAway("away")

    with Keeper(store, load_image) as keeper:
        store.before_reading = away
        with pytest.raises(Behind, match="cannot tell") as caught:
            keeper.snapshot(old)
        assert caught.value.retryable
        store.before_reading = lambda: None
        assert keeper.snapshot(old, timeout_s=LONG_S).groups() == ["a"]
