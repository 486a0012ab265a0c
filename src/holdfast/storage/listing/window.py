"""Window: how many requests may be under way at one door at a time.

The rate of a listing is requests under way divided by the time an answer takes,
so there must be many; but beyond what a door works on at once, more requests
only wait in its queue, and beyond what it bears they fail. Where that is, only
the door knows, and it changes by the hour. The window finds it out from how
long answers take and how many requests fail. Pure: moments are arguments.

It looks at *rounds*: a number of outcomes of requests that were all sent since
the window last changed, so that each change is judged by what it did.

Rules
  * It begins small and doubles with every round as long as answers take no
    longer and nothing fails; it never passes the limit, and is never below 1.
  * While answers take as long as ever, it grows; while they take up to
    ``TOLERANCE`` times as long, it creeps up; beyond, it shrinks.
  * When many requests fail, it is halved. Where they failed it remembers as the
    *ceiling*, below which it grows as before and above which it feels its way.
  * Shrinking that does not help is undone: if half as many requests take as
    long, then our number is not the cause. What fails with few under way, too,
    is usual, and only more than that counts.
  * A window that is not used does not grow: nothing is known of what is above.
"""

from __future__ import annotations

from math import inf, sqrt

START = 8
"""Every door bears as many: what fails with no more under way, fails for another cause."""

HOLDS = 1.25
"""Answers that take at most so many times as long as at best: no queue at the door."""

TOLERANCE = 1.6
"""Answers that take so many times as long as at best: enough of a queue that the door is never idle."""

HELPED = 0.85
"""Shrinking has helped if answers take at most this share of what they took before."""

REMEASURED_S = 15.0
"""How often the time that an answer takes without a queue is measured anew, with half as many under way."""

CREEP_S = 2.0
"""How often a window at its ceiling tries a little more."""

OUTCOMES_MIN, OUTCOMES_MAX = 16, 128
"""How many outcomes make a round: few enough to be quick, enough for a median and a share."""

EXPLAINED = 3.0
"""Up to so many times as much as fails anyway is no sign of having asked for too much."""

FAILED_SHARE = 0.02
"""More failures than this beyond what is usual, and the window is halved."""


class Window:
    """The window of one door. ``size`` requests may be under way."""

    def __init__(self, limit: int, start: int = START) -> None:
        if limit < 1 or start < 1:
            raise ValueError(f"a window from {start} to {limit}")
        self._limit = limit
        self.size = min(start, limit)
        self._doubling = True
        self._best_s = inf
        """The median of a round without a queue."""
        self._measured_at = -inf
        """When that was last put to the test."""
        self._tried: tuple[int, float] | None = None
        """Size and median from which the window was shrunk to see whether that helps."""
        self._borne = 0
        """The most at which nothing failed that is not usual."""
        self._ceiling = limit
        self._usual_share = 0.0
        """What fails however few are under way."""
        self._failing_size, self._failing_share = 0, 1.0
        """At what size more than that failed, the last time, and how much."""
        self._crept_at = -inf
        self._creeps = 0
        self._usual_s = 0.0
        """The median of the last round."""
        self._wanted = self._fullest = self._round_size = 0
        self._begin_round(-inf, -inf)

    def answered(self, started: float, now: float, under_way: int) -> None:
        """A request sent at ``started`` has been answered; ``under_way`` were so, itself included."""
        if started >= self._since:
            self._seconds.append(now - started)
            self._count(now, under_way)

    def failed(self, started: float, now: float, under_way: int) -> None:
        """A request sent at ``started`` has failed, or was not answered in time."""
        if started >= self._since:
            self._failed_seconds.append(now - started)
            self._count(now, under_way)

    def _count(self, now: float, under_way: int) -> None:
        if under_way > self._fullest:
            self._fullest = under_way
        if len(self._seconds) + len(self._failed_seconds) >= self._wanted and now >= self._until:
            self._judge(now)

    def _begin_round(self, now: float, since: float) -> None:
        self._since = since
        # The first answers to what was sent since come together; failures often come sooner.
        self._until = max(now, since) + 1.5 * self._usual_s
        self._seconds: list[float] = []
        self._failed_seconds: list[float] = []
        self._fullest = 0
        self._round_size = self.size
        self._wanted = min(max(2 * self.size, OUTCOMES_MIN), OUTCOMES_MAX)

    def _judge(self, now: float) -> None:
        before = self.size
        if self._seconds:
            self._usual_s = sorted(self._seconds)[len(self._seconds) // 2]
        share = self._failed_share()
        outcomes = len(self._seconds) + len(self._failed_seconds)
        if len(self._failed_seconds) > 1 and share > _surely_above(
            self._usual_share + FAILED_SHARE, 2 / sqrt(outcomes)
        ):
            self._halve(share)
        elif self._seconds:
            clean = share <= _surely_above(self._usual_share + FAILED_SHARE / 2, 1 / sqrt(outcomes))
            self._follow(self._usual_s, now, clean=clean)
        self._learn_usual(share, outcomes)
        if self.size == before:
            self._begin_round(now, self._since)
        else:
            # What is sent right after shrinking still stands in the queue that was there before.
            self._begin_round(now, now if self.size > before else now + self._usual_s)

    # Failures.

    def _failed_share(self) -> float:
        """How much of the window was taken up by what failed: a place where all fails at once has many failures."""
        if not self._failed_seconds or not self._usual_s:
            return float(bool(self._failed_seconds))
        failed = sum(min(max(seconds / self._usual_s, 0.1), 1.0) for seconds in self._failed_seconds)
        return failed / (failed + len(self._seconds))

    def _learn_usual(self, share: float, outcomes: int) -> None:
        if share < 0.5 and self._round_size <= max(START, 0.6 * self._failing_size):
            # What fails with so few under way fails for another cause than their number.
            self._usual_share += min(outcomes / 100, 1.0) * (share - self._usual_share)
            if EXPLAINED * self._usual_share > self._failing_share:
                self._ceiling = self._limit
        elif share < self._usual_share / 2:
            self._usual_share *= 0.95

    def _halve(self, share: float) -> None:
        if self._borne < self._fullest and share > EXPLAINED * self._usual_share:
            found = max(self._borne, int(0.95 * self._fullest * (1 - share)), START)
            self._ceiling = min(found, self._limit)
        if share < 0.5:
            self._failing_size, self._failing_share = self.size, share
        floor = min(START, self.size) if share < 0.5 else 1
        self.size = max(floor, self.size // 2)
        self._doubling, self._tried, self._creeps = False, None, 0

    # Times.

    def _follow(self, median: float, now: float, *, clean: bool) -> None:
        if self._tried is not None:
            self._end_trial(median, now)
            return
        if self._measured_at == -inf:
            self._measured_at = now
        self._best_s = min(self._best_s, median)
        ratio = median / self._best_s if self._best_s > 0 else 1.0
        if ratio > TOLERANCE:
            self._shrink(ratio, median)
        elif now - self._measured_at > REMEASURED_S and self.size > 1:
            self._try(self.size // 2, median)
        elif clean and self._fullest >= 0.8 * self.size:
            self._grow(ratio, now)

    def _shrink(self, ratio: float, median: float) -> None:
        if self._doubling or ratio < 2:
            # Right after doubling the queue is not as long yet as it will be: nothing to compare with.
            self._doubling, self.size = False, max(1, int(self.size * max(0.5, TOLERANCE / ratio)))
        else:
            self._try(max(1, self.size // 2), median)

    def _try(self, smaller: int, median: float) -> None:
        if smaller < self.size:
            self._tried = (self.size, median)
            self._doubling, self.size = False, smaller

    def _end_trial(self, median: float, now: float) -> None:
        """With fewer under way, what do answers take? If as long as before, it is not our number that slows them."""
        assert self._tried is not None
        before, median_before = self._tried
        self._tried = None
        if median > HELPED * median_before:
            self.size, self._best_s, self._measured_at = before, median, now
        elif median > TOLERANCE * self._best_s:
            self._shrink(median / self._best_s, median)
        elif median_before <= TOLERANCE * self._best_s:
            # It was tried only to measure, and there was a queue. Perhaps there still is one.
            self._best_s = median
            self._try(max(1, self.size // 2), median)

    def _grow(self, ratio: float, now: float) -> None:
        self._borne = max(self._borne, self.size)
        if self.size >= self._ceiling:
            self._creep(now)
            return
        self._creeps = 0
        if ratio > HOLDS:
            self._doubling = False
            larger = self.size + max(1, int(sqrt(self.size) / 2))
        elif self._doubling:
            larger = 2 * self.size
        else:
            larger = self.size + max(1, self.size // 4)
        self.size = min(larger, self._ceiling)
        self._crept_at = now

    def _creep(self, now: float) -> None:
        if now - self._crept_at >= CREEP_S:
            self._crept_at = now
            self._creeps += 1
            self.size = min(self._limit, self.size + max(self._creeps, int(0.02 * min(self._creeps, 4) * self.size)))
            self._ceiling = max(self._ceiling, self.size)


def _surely_above(share: float, deviation: float) -> float:
    """More than chance alone makes of ``share``; ``deviation`` is so many times one over the root of the outcomes."""
    return share + deviation * sqrt(share)
