"""A loop without time and without threads, so that equal calls have equal outcomes.

Rules
  * Waiting takes no time: when nothing can run, the clock is put forward to
    the moment at which something can.
  * What is given to a thread is done at once, in the caller's turn.
  * When nothing can ever run again, that is a finding (``Stuck``), not a
    test that hangs.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from holdfast.model.clock import SECOND_US

T = TypeVar("T")

START_US = 1_700_000_000_000_000
WAIT_S_MAX = 10 * 86_400
"""Nobody waits so long within one deed."""
LOOK_US = 10
"""By how much the clock moves each time somebody looks."""


class Stuck(Exception):
    """Everybody waits for somebody else."""


class SimulatedClock:
    """Wall time, which somebody may set; and how long everything has lasted, which nobody can.

    Both move a little at each look, and with the loop's time.
    """

    def __init__(self) -> None:
        self.now_us = START_US
        self._passed_us = 0

    def __call__(self) -> int:
        """Microseconds since 1970."""
        self._move(LOOK_US)
        return self.now_us

    def monotonic(self) -> float:
        """Seconds that have passed."""
        return self._passed_us / SECOND_US

    def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        self._move(int(seconds * SECOND_US))

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; a negative number sets it back."""
        self.now_us += int(seconds * SECOND_US)

    def _move(self, span_us: int) -> None:
        self.now_us += span_us
        self._passed_us += span_us


class _Selector(selectors.SelectSelector):
    """Never waits: it tells ``pass_time`` how long it would have waited."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Stuck("nothing is left that could ever run")
        if not ready and timeout:
            self._pass_time(timeout)
        return ready


class TimelessLoop(asyncio.SelectorEventLoop):
    """The loop; ``clock`` moves with it."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._time_s = 0.0
        self._wall = clock
        super().__init__(_Selector(self._forward))
        # What a crash leaves behind is nobody's to look at.
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Seconds that were not waited."""
        return self._time_s

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Do it now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future

    def _forward(self, seconds: float) -> None:
        self._time_s += seconds
        if self._time_s > WAIT_S_MAX:
            raise Stuck(f"{WAIT_S_MAX} s were waited, and nothing has come to an end")
        self._wall.pass_time(seconds)


def run(work: Coroutine[Any, Any, T], clock: SimulatedClock) -> T:
    """``asyncio.run`` in no time."""
    with asyncio.Runner(loop_factory=lambda: TimelessLoop(clock)) as runner:
        return runner.run(work)
