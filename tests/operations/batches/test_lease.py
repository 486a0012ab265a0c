"""Leases: may I go on, and who is dead; by clocks that are given, each for itself. Lock files, by the system."""

from __future__ import annotations

import os
import time
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from holdfast.model.errors import DatabaseAway, OperatorError
from holdfast.operations.batches import lease
from holdfast.operations.batches.lease import CAUTION, Lease, Watch, WorkerFile
from holdfast.operations.batches.workers import WorkerRow
from support.users import Unprivileged

LEASE_S = 30.0


class Seconds:
    """A clock that goes when it is told to."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def row(id: str = "w", beat: int = 0, *, host: str = "here", is_dead: bool = False) -> WorkerRow:
    return WorkerRow(id, host, 1, LEASE_S, beat, is_dead)


# ---- the worker's own view --------------------------------------------------------------


def test_a_lease_begins_with_the_first_beat_and_lasts_from_beat_to_beat() -> None:
    now = Seconds(1000)
    held = Lease(lambda: True, LEASE_S, now)
    assert not held.is_held()
    for _ in range(5):
        assert held.is_due
        assert held.renew()
        assert held.is_held()
        now.now_s += LEASE_S / 3 - 0.1
        assert not held.is_due
        now.now_s += 0.1


def test_a_lease_is_over_when_no_beat_has_succeeded_for_so_long_and_stays_over() -> None:
    now = Seconds()
    held = Lease(lambda: True, LEASE_S, now)
    held.renew()
    now.now_s = LEASE_S * (1 - CAUTION) - 0.01
    assert held.is_held()
    now.now_s = LEASE_S
    assert not held.is_held()
    now.now_s = 0  # Not even if a clock went back, which this one never does.
    assert not held.is_held()
    assert not held.renew()


def test_a_lease_counts_from_before_its_beat() -> None:
    """The others may have seen the beat long before its answer came."""
    now = Seconds()

    def slow() -> bool:
        now.now_s += LEASE_S / 2
        return True

    held = Lease(slow, LEASE_S, now)
    assert held.renew()
    now.now_s = LEASE_S
    assert not held.is_held()


def test_a_beat_whose_answer_came_too_late_is_none() -> None:
    now = Seconds()

    def slow() -> bool:
        now.now_s += LEASE_S
        return True

    assert not Lease(slow, LEASE_S, now).renew()


def test_a_worker_that_slept_past_its_lease_does_not_even_beat() -> None:
    now = Seconds()
    beats: list[float] = []
    held = Lease(lambda: bool(beats.append(now())) or True, LEASE_S, now)
    held.renew()
    now.now_s = 2 * LEASE_S
    assert not held.renew()
    assert beats == [0.0]


def test_who_was_declared_dead_stops_at_once() -> None:
    answers = [True, False, True]
    held = Lease(lambda: answers.pop(0), LEASE_S, Seconds())
    assert held.renew()
    assert not held.renew()
    assert not held.is_held()
    assert not held.renew()
    assert answers == [True]


def test_while_the_database_is_away_the_lease_runs_out_by_itself() -> None:
    now = Seconds()
    is_away = False

    def beat() -> bool:
        if is_away:
            raise DatabaseAway("no answer")
        return True

    held = Lease(beat, LEASE_S, now)
    held.renew()
    is_away = True
    for second in range(1, 29):
        now.now_s = second
        with pytest.raises(DatabaseAway):
            held.renew()
        assert held.is_held()
    is_away = False
    assert held.renew(), "the database came back in time"
    is_away = True
    now.now_s += LEASE_S - 1
    with pytest.raises(DatabaseAway):
        held.renew()
    now.now_s += 1
    assert not held.is_held()


def test_the_machines_clock_only_goes_on() -> None:
    first = lease.monotonic_s()
    assert first <= lease.monotonic_s()
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert first >= time.clock_gettime(time.CLOCK_MONOTONIC) - 1


# ---- the others' view -------------------------------------------------------------------


def test_who_does_not_beat_for_its_lease_is_dead_by_the_watchers_own_clock() -> None:
    now = Seconds(5_000_000)
    watch = Watch("elsewhere", now)
    assert watch.dead([row("still", 7), row("lively", 7)]) == []
    now.now_s += LEASE_S - 0.1
    assert watch.dead([row("still", 7), row("lively", 8)]) == []
    now.now_s += 0.1
    assert watch.dead([row("still", 7), row("lively", 8)]) == ["still"]
    now.now_s += LEASE_S
    assert watch.dead([row("still", 7), row("lively", 8)]) == ["lively", "still"]


def test_a_watcher_that_comes_later_waits_for_itself() -> None:
    now = Seconds(LEASE_S)
    watch = Watch("elsewhere", now)
    assert watch.dead([row()]) == []
    now.now_s += LEASE_S
    assert watch.dead([row()]) == ["w"]


def test_any_other_beat_is_a_sign_of_life() -> None:
    """A backup was restored: the number is smaller than before, and yet new."""
    now = Seconds()
    watch = Watch("elsewhere", now)
    watch.dead([row(beat=9)])
    now.now_s = LEASE_S
    assert watch.dead([row(beat=3)]) == []


def test_who_was_declared_dead_is_dead_for_every_watcher() -> None:
    now = Seconds()
    watch = Watch("elsewhere", now)
    assert watch.dead([row(is_dead=True)]) == ["w"]
    assert watch.dead_for_s("w") == 0
    now.now_s += 12
    assert watch.dead([row(is_dead=True)]) == ["w"]
    assert watch.dead_for_s("w") == 12
    assert watch.dead([]) == []
    assert watch.dead_for_s("w") == 0
    assert watch.dead_for_s("nobody") == 0


@pytest.mark.parametrize(
    ("is_alive", "host", "expected"),
    [
        (False, "here", ["w"]),
        (False, "there", []),
        (True, "here", []),
        (None, "here", []),
    ],
)
def test_a_lock_that_is_free_proves_death_on_our_machine_only(
    is_alive: bool | None, host: str, expected: list[str]
) -> None:
    watch = Watch("here", Seconds(), lambda id: is_alive)
    assert watch.dead([row(host=host)]) == expected


def test_a_lock_that_is_held_does_not_keep_a_worker_alive_that_does_not_beat() -> None:
    now = Seconds()
    watch = Watch("here", now, lambda id: True)
    watch.dead([row()])
    now.now_s = LEASE_S
    assert watch.dead([row()]) == ["w"]


@given(
    offset_s=st.floats(-1e9, 1e9),
    steps=st.lists(st.tuples(st.floats(0, LEASE_S), st.sampled_from(["beat", "away", "look", "sleep"])), max_size=60),
    delay_s=st.floats(0, 5),
)
def test_nobody_is_taken_for_dead_while_it_may_go_on(
    offset_s: float, steps: list[tuple[float, str]], delay_s: float
) -> None:
    """Whatever the two clocks show: they only go equally fast."""
    now = Seconds()
    number, is_away, is_buried = 0, False, False

    def beat() -> bool:
        nonlocal number
        if is_away:
            raise DatabaseAway("no answer")
        number += 1
        now.now_s += delay_s
        return not is_buried

    held = Lease(beat, LEASE_S, now)
    watch = Watch("elsewhere", lambda: now() + offset_s)
    for pause_s, deed in steps:
        now.now_s += pause_s
        is_away = deed == "away"
        if deed in ("beat", "away"):
            try:
                held.renew()
            except DatabaseAway:
                pass
        is_buried = is_buried or (deed == "look" and watch.dead([row(beat=number)]) == ["w"])
        assert not (is_buried and held.is_held())


# ---- lock files -------------------------------------------------------------------------


def test_a_lock_file_is_held_until_it_is_released(tmp_path: Path) -> None:
    folder = tmp_path / lease.FOLDER
    assert lease.is_alive(folder, "w") is None
    mine = WorkerFile(folder, "w")
    mine.acquire()
    assert lease.is_alive(folder, "w") is True
    assert lease.is_alive(folder, "other") is None
    assert lease.lock_path(folder, "w").read_text().strip() == str(os.getpid())
    mine.release()
    mine.release()
    assert lease.is_alive(folder, "w") is None
    assert list(folder.iterdir()) == []


def test_two_workers_cannot_have_one_lock_file(tmp_path: Path) -> None:
    mine = WorkerFile(tmp_path, "w")
    mine.acquire()
    with pytest.raises(OperatorError, match="lock file"):
        WorkerFile(tmp_path, "w").acquire()
    assert lease.is_alive(tmp_path, "w") is True
    mine.release()


def test_the_lock_file_of_a_buried_worker_is_removed(tmp_path: Path) -> None:
    lease.lock_path(tmp_path, "dead").touch()
    assert lease.is_alive(tmp_path, "dead") is False
    lease.remove_file(tmp_path, "dead")
    lease.remove_file(tmp_path, "dead")
    assert lease.is_alive(tmp_path, "dead") is None


@pytest.mark.real("unprivileged user")
def test_who_may_not_look_at_a_lock_file_does_not_judge(unprivileged: Unprivileged) -> None:
    folder = unprivileged.folder / "closed"
    folder.mkdir(mode=0o755)
    lease.lock_path(folder, "w").touch(mode=0o600)
    with unprivileged.acting():
        if os.geteuid() == folder.stat().st_uid:
            os.chmod(folder, 0)
        assert lease.is_alive(folder, "w") is None
        with pytest.raises(OperatorError, match="cannot be made"):
            WorkerFile(folder, "mine").acquire()
        lease.remove_file(folder, "w")
    os.chmod(folder, 0o755)
    assert lease.is_alive(folder, "w") is False
