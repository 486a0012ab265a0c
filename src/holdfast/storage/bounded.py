"""Bounded: blocking calls that have an end for whoever waits for them, whatever the system does with them.

A thread that asks a file system which does not answer (a network mount whose
server has gone) cannot be cancelled, and may be stuck for days. Here whoever
waits goes on after ``limit_s`` without a sign of life, and the thread stays.

Rules
  * Each Bounded has threads of its own, THREADS_MAX at most: who is stuck there
    keeps nobody else waiting. Further calls wait for a thread, for the limit, too.
  * A call that nobody waits for any more, and that was not begun, never is.
  * The threads end with the process, stuck or not, and by themselves when there
    is nothing to do.
  * ``look`` is for what changes nothing: a cancelled caller does not wait. With
    ``act`` he sees the cancellation when the call is over, or the limit.
  * What belongs to an open file goes through a ``Lane``, one call after the
    other. What lets go of the file is done by the stuck thread itself when it
    comes back: nobody closes a descriptor under its hands.

Raises PeerError where the limit has passed.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

from holdfast.model.errors import PeerError

THREADS_MAX = 32
IDLE_S = 10.0
"""After so long without work a thread ends."""

_T = TypeVar("_T")


class Bounded:
    """The calls of one storage."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._threads = Threads(THREADS_MAX)

    async def look(self, function: Callable[[], _T], *, moved: Callable[[], object] = lambda: None) -> _T:
        """What ``function`` returns or raises. ``moved``: something that changes as long as it gets on."""
        return await self._answer(*self._begin(function), moved, lambda: 0.0)

    async def act(
        self,
        function: Callable[[], _T],
        *,
        moved: Callable[[], object] = lambda: None,
        patience_s: Callable[[], float] = lambda: 0.0,
    ) -> _T:
        """The same for what changes something. ``patience_s``: how much longer than the limit it may be silent now."""
        return await self._carried_out(*self._begin(function), moved, patience_s)

    def now(self, function: Callable[[], _T], limit_s: float) -> _T:
        """What ``function`` returns or raises; blocking, for ``limit_s`` at most."""
        try:
            return self._threads.submit(function).result(limit_s)
        except TimeoutError as error:
            raise _silent(limit_s) from error

    def lane(self) -> Lane:
        """For the calls on one open file."""
        return Lane(self)

    def _begin(self, function: Callable[[], _T]) -> tuple[_Running[_T], asyncio.Future[_T]]:
        running = _Running(function)
        future = asyncio.get_running_loop().run_in_executor(self._threads, running)
        return running, future

    async def _answer(
        self,
        running: _Running[_T],
        future: asyncio.Future[_T],
        moved: Callable[[], object],
        patience_s: Callable[[], float],
    ) -> _T:
        silent_s = 0.0
        try:
            while not future.done():
                before = moved()
                await asyncio.wait([future], timeout=self.limit_s)
                silent_s = silent_s + self.limit_s if moved() == before else 0.0
                if not future.done() and silent_s >= self.limit_s + patience_s():
                    raise _silent(silent_s)
            return future.result()
        finally:
            if not future.done():
                running.give_up()
                future.add_done_callback(_heard)

    async def _carried_out(
        self,
        running: _Running[_T],
        future: asyncio.Future[_T],
        moved: Callable[[], object],
        patience_s: Callable[[], float],
    ) -> _T:
        waiting = asyncio.ensure_future(self._answer(running, future, moved, patience_s))
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            while not waiting.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.exception()  # Looked at, so that it is not reported as lost: the cancellation comes first.
            raise


class Lane:
    """Calls that share an open file."""

    def __init__(self, bounded: Bounded) -> None:
        self._bounded = bounded
        self._last: _Running[Any] | None = None

    async def act(
        self,
        function: Callable[[], _T],
        *,
        moved: Callable[[], object] = lambda: None,
        patience_s: Callable[[], float] = lambda: 0.0,
    ) -> _T:
        """As ``Bounded.act``, when the one before is over."""
        running, future = self._bounded._begin(function)
        self._last = running
        return await self._bounded._carried_out(running, future, moved, patience_s)

    async def end(self, let_go: Callable[[], None]) -> None:
        """Let go of the file: in a thread; or, where one is stuck with it, when that comes back."""
        if not self.ends_later(let_go):
            await self._bounded.act(let_go)

    def ends_later(self, let_go: Callable[[], None]) -> bool:
        """The same where letting go does not take long; False: nothing is stuck, do it."""
        return self._last is not None and self._last.afterwards(let_go)


class _Running(Generic[_T]):
    """A function that is called once, or not at all."""

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._is_begun = self._is_over = False
        self._after: list[Callable[[], None]] = []

    def __call__(self) -> _T:
        with self._lock:
            if self._is_over:
                raise asyncio.CancelledError
            self._is_begun = True
        try:
            return self._function()
        finally:
            with self._lock:
                self._is_over = True
            for each in self._after:
                with suppress(Exception):  # Nobody is there to hear of it.
                    each()

    def give_up(self) -> None:
        """Do not begin it any more."""
        with self._lock:
            self._is_over |= not self._is_begun

    def afterwards(self, function: Callable[[], None]) -> bool:
        """Call something when it is over, in its thread; False: it is over."""
        with self._lock:
            if not self._is_over:
                self._after.append(function)
            return not self._is_over


class Threads(Executor):
    """Threads that end with the process, whatever they are at."""

    def __init__(self, n_max: int) -> None:
        self._n_max = n_max
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._condition = threading.Condition()
        self._n_threads = self._n_idle = 0

    def submit(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Call a function in a thread."""
        if self._pid != os.getpid():
            self._begin()  # A process that was forked has none of our threads.
        future: Future[_T] = Future()
        with self._condition:
            self._work.append((future, lambda: function(*args, **kwargs)))
            if len(self._work) > self._n_idle and self._n_threads < self._n_max:
                self._n_threads += 1
                threading.Thread(target=self._run, name="holdfast-storage", daemon=True).start()
            self._condition.notify()
        return future

    def _run(self) -> None:
        while (work := self._next()) is not None:
            future, function = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                # Whatever it is, whoever waits has to hear of it.
                except BaseException as error:  # noqa: BLE001
                    future.set_exception(error)
            del work, future, function

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._condition:
            self._n_idle += 1
            self._condition.wait_for(lambda: bool(self._work), IDLE_S)
            self._n_idle -= 1
            if self._work:
                return self._work.popleft()
            self._n_threads -= 1
            return None


def _silent(seconds: float) -> PeerError:
    hint = "does what is mounted there still answer?"
    return PeerError(f"the file system has not answered for {seconds:.0f} s", hint=hint)


def _heard(future: asyncio.Future[Any]) -> None:
    """How a call ended that nobody waits for is no error that somebody has missed."""
    if not future.cancelled():
        future.exception()
