"""The window, at doors that are simulated: it finds what they bear, quickly, and notices when that changes."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from holdfast.storage.listing.window import START, Window

BASE_S = 0.1


@dataclass
class Door:
    """Answers after ``base_s`` of the moment, ``workers`` at once (None: all), and refuses beyond ``bears``."""

    base_s: Callable[[float], float] = lambda now: BASE_S
    workers: int | None = None
    bears: int | None = None
    noise: float = 0.0
    fails: Callable[[float], float] = lambda now: 0.0
    """The share that fails whatever is asked."""
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    busy: int = 0

    def __post_init__(self) -> None:
        self.free = [0.0] * (self.workers or 0)

    def ask(self, now: float) -> tuple[float, bool]:
        """When the outcome is known, and whether it is an answer."""
        if self.bears is not None and self.busy >= self.bears:
            return now + 0.02, False
        self.busy += 1
        took = self.base_s(now) * (self.chance.lognormvariate(0, self.noise) if self.noise else 1)
        good = self.chance.random() >= self.fails(now)
        if self.workers is None:
            return now + took, good
        begun = max(now, heapq.heappop(self.free))
        heapq.heappush(self.free, begun + took)
        return begun + took, good


@dataclass
class Second:
    """What happened in one second."""

    sizes: list[int] = field(default_factory=list)
    answers: int = 0
    failures: int = 0
    seconds: float = 0.0

    @property
    def latency_s(self) -> float:
        """The mean time of an answer."""
        return self.seconds / max(1, self.answers)


def lead(window: Window, door: Door, until: float, *, work: Callable[[float], int] = lambda now: 10**9) -> list[Second]:
    """Keep the window full, if there is ``work`` for so many; what happened second by second."""
    now, under_way, number = 0.0, 0, 0
    outcomes: list[tuple[float, int, float, bool]] = []
    seconds = [Second() for _ in range(int(until) + 1)]
    while now < until:
        while under_way < min(window.size, max(1, work(now))):
            ended, good = door.ask(now)
            number, under_way = number + 1, under_way + 1
            heapq.heappush(outcomes, (ended, number, now, good))
        now, _, started, good = heapq.heappop(outcomes)
        if now >= until:
            break
        second = seconds[int(now)]
        second.sizes.append(window.size)
        if good:
            window.answered(started, now, under_way)
            second.answers, second.seconds = second.answers + 1, second.seconds + now - started
        else:
            window.failed(started, now, under_way)
            second.failures += 1
        under_way -= 1
        door.busy -= not (door.bears is not None and not good and now - started < BASE_S / 2)
    return seconds


def test_it_begins_small_and_never_passes_the_limit() -> None:
    assert Window(300).size == START
    assert Window(3).size == 3
    assert Window(300, start=20).size == 20
    for second in lead(Window(300), Door(), 5):
        assert max(second.sizes, default=0) <= 300
    for limit in (1, 3, 20):
        for second in lead(Window(limit), Door(bears=10, noise=0.5, fails=lambda now: 0.1), 30):
            assert 1 <= min(second.sizes, default=1) <= max(second.sizes, default=1) <= limit
    with pytest.raises(ValueError, match="0"):
        Window(0)


def test_where_all_is_answered_at_once_it_is_at_512_within_three_seconds() -> None:
    window = Window(512)
    seconds = lead(window, Door(), 4)
    assert max(seconds[2].sizes) == 512
    assert min(seconds[3].sizes) == 512


def test_29000_directories_behind_100_ms_take_less_than_eleven_seconds() -> None:
    seconds = lead(Window(512), Door(), 11)
    assert sum(second.answers for second in seconds) > 29_000


@pytest.mark.parametrize("noise", [0.3, 0.7])
def test_answers_that_vary_do_not_hold_it_back(noise: float) -> None:
    seconds = lead(Window(512), Door(noise=noise), 20)
    assert sum(second.answers for second in seconds[5:20]) > 0.75 * 15 * 512 / BASE_S / (1 + noise**2)


@pytest.mark.parametrize("workers", [8, 32, 100, pytest.param(300, marks=pytest.mark.slow)])
def test_a_door_with_so_many_workers_is_kept_busy_without_a_long_queue(workers: int) -> None:
    seconds = lead(Window(1024), Door(workers=workers), 90)
    settled = seconds[10:90]
    sizes = sorted(size for second in settled for size in second.sizes)
    assert workers / 2 <= sizes[len(sizes) // 2] <= 2 * workers
    assert max(second.latency_s for second in settled) <= 3 * BASE_S
    assert sum(second.answers for second in settled) > 0.93 * 80 * workers / BASE_S


@pytest.mark.parametrize("bears", [12, 40, 100, pytest.param(300, marks=pytest.mark.slow)])
def test_a_door_that_refuses_beyond_a_number_is_asked_about_so_much(bears: int) -> None:
    seconds = lead(Window(1024), Door(bears=bears), 90)
    settled = seconds[20:90]
    assert max(size for second in settled for size in second.sizes) <= 1.15 * bears + 2
    assert sum(second.answers for second in settled) > 0.6 * 70 * bears / BASE_S


@pytest.mark.parametrize("workers", [None, 64])
def test_a_door_that_is_slow_for_a_minute_is_asked_as_much_as_before_soon_after(workers: int | None) -> None:
    slow = Door(lambda now: 20 * BASE_S if 10 <= now < 70 else BASE_S, workers=workers)
    seconds = lead(Window(512), slow, 90)
    before = sum(second.answers for second in seconds[5:10])
    assert sum(second.answers for second in seconds[80:85]) > 0.9 * before
    # What the slow door could do, it was asked to do.
    assert sum(second.answers for second in seconds[20:70]) > 0.6 * 50 * (workers or 512) / (20 * BASE_S)


def test_a_door_that_fails_altogether_is_asked_little_and_then_as_much_as_before() -> None:
    seconds = lead(Window(512), Door(lambda now: BASE_S, fails=lambda now: float(10 <= now < 15)), 40)
    assert max(seconds[13].sizes) <= 2
    assert seconds[35].answers > 0.9 * seconds[9].answers


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_failures_that_do_not_depend_on_how_much_is_asked_do_not_hold_it_back_for_long(share: float) -> None:
    seconds = lead(Window(512), Door(fails=lambda now: share), 60)
    assert sum(second.answers for second in seconds[45:60]) > 0.6 * 15 * 512 * (1 - share) / BASE_S


def test_a_window_that_is_not_used_does_not_grow() -> None:
    window = Window(512)
    seconds = lead(window, Door(), 25, work=lambda now: 5 if now < 20 else 10**9)
    assert max(seconds[19].sizes) <= 2 * START
    assert max(seconds[24].sizes) == 512


def test_answers_that_take_no_time_do_no_harm() -> None:
    window = Window(64)
    for moment in range(1000):
        window.answered(moment, moment, window.size)
        window.failed(moment, moment, window.size)
    assert 1 <= window.size <= 64
