"""Watching requests until they have their outcome: a table that is drawn anew, or lines where there is no terminal.

What is looked at, when, and where it is drawn are arguments; the rate is
measured between looks.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from holdfast.cli import request_show, show
from holdfast.model.clock import Clock
from holdfast.operations.showing.overview import RequestStatus

SPAN_S = 30.0
"""Rates are those of the last so many seconds."""

Look = Callable[[], Sequence[RequestStatus]]
Draw = Callable[[Sequence[RequestStatus]], None]


def watch(
    look: Look,
    *,
    clock: Clock,
    interval_s: float,
    is_silent: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Sequence[RequestStatus]:
    """Draw what ``look`` finds, unless ``is_silent``, until all of it is over; returns what was seen last."""
    rates = _Rates()
    drawing = _not_at_all() if is_silent else _on_screen(clock) if sys.stdout.isatty() else _in_lines(clock)
    with drawing as draw:
        while True:
            found = [rates.measured(status, monotonic()) for status in look()]
            draw(found)
            if all(map(request_show.is_over, found)):
                return found
            sleep(interval_s)


class _Rates:
    """Measures how fast each request gets on."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def measured(self, status: RequestStatus, now_s: float) -> RequestStatus:
        """The status with the rate since a while ago, as soon as there is any."""
        seen = self._seen.setdefault(status.request.id, deque())
        seen.append((now_s, status.size_done))
        while len(seen) > 2 and seen[0][0] < now_s - SPAN_S:
            seen.popleft()
        first_s, first_size = seen[0]
        moved = status.size_done - first_size
        if moved <= 0 or now_s <= first_s:
            return status
        return replace(status, rate_bytes_s=moved / (now_s - first_s))


def total(statuses: Sequence[RequestStatus]) -> str:
    """All of them in one line."""
    open_ones = [status for status in statuses if not request_show.is_over(status)]
    n_done, n_files = sum(status.n_done for status in statuses), sum(status.n_files or 0 for status in statuses)
    rates = [status.rate_bytes_s for status in open_ones if status.rate_bytes_s]
    left = sum(status.size_left or 0 for status in open_ones)
    n_over = len(statuses) - len(open_ones)
    text = f"{n_over} of {show.plural(len(statuses), 'request')} over, {n_done:,} of {n_files:,} files"
    if left:
        text += f", {show.size(left)} left"
    if rates:
        text += f", {request_show.rate(sum(rates))}"
    return text


@contextmanager
def _on_screen(clock: Clock) -> Iterator[Draw]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as live:

        def draw(statuses: Sequence[RequestStatus]) -> None:
            rows = [request_show.row(status, now_us=clock()) for status in statuses]
            drawn = show.drawn(request_show.COLUMNS, rows, right=request_show.RIGHT)
            live.update(Group(drawn, Text(total(statuses))), refresh=True)

        yield draw


@contextmanager
def _not_at_all() -> Iterator[Draw]:
    yield lambda statuses: None


@contextmanager
def _in_lines(clock: Clock) -> Iterator[Draw]:
    told: dict[str, object] = {}

    def draw(statuses: Sequence[RequestStatus]) -> None:
        for status in statuses:
            # What passes by itself, as time does, is no news.
            news = (status.condition, status.n_done, status.worst and (status.worst.state, status.worst.error))
            if told.get(status.request.id) != news:
                told[status.request.id] = news
                show.line(_line(status, now_us=clock()))
        sys.stdout.flush()

    yield draw


def _line(status: RequestStatus, *, now_us: int) -> str:
    id, what, site, state, done, files, *_, reason = request_show.row(status, now_us=now_us)
    return f"{id} {what} at {site}: {state}, {done} of {files} files{f': {reason}' if reason else ''}"
