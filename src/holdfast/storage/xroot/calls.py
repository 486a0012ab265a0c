"""Calls: asynchronous calls of the XRootD client library as awaitables.

The library answers in threads of its own. A call is begun with a callback; the
callback puts the answer into a queue and wakes the event loop once for all
answers that come before it gets to them.

Rules
  * A call that is begun always ends: with the answer, or after ``limit_s``
    with a status that says so. An answer that comes later is dropped; what it
    opened is closed (``late``).
  * A status is never an exception here: ``holdfast.storage.xroot.errors``.
  * What a call hands to the library lives until the library has answered.
  * The library resolves names in the thread that begins a call: while there
    is no connection, calls begin in a thread.
  * A name that is not UTF-8 kills an answer: the library reports the error to
    ``sys.excepthook`` and calls nobody. We hook in there, and listings that
    were on their way are asked for once more in a way that tells.
"""

from __future__ import annotations

import asyncio
import functools
import math
import sys
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

from holdfast.storage.carried_out import carried_out
from holdfast.storage.xroot.errors import DISCONNECTED, EXPIRED, UNREACHABLE, Status

SUSPECT_S = 1.0
"""After an answer was lost: how long other listings have to come by themselves before they are asked for again."""

SLOWEST_BYTES_PER_S = 20_000_000
"""How fast a storage at least reads or writes a file to the end when that is what we wait for."""

_TIMEOUT_MAX = 65_000
_SUSPECTED = -1

Start = Callable[..., Any]
Late = Callable[[], object]


class CallAnswer(NamedTuple):
    """What became of a call; ``response`` is as the library made it, None if there is nothing or an error."""

    status: Status
    response: Any

    @property
    def ok(self) -> bool:
        """Whether the call did what it should."""
        return bool(self.status["ok"])


Future = asyncio.Future[CallAnswer]


class Calls:
    """The calls of one driver. ``limit_s`` is the time limit of a call for which no other is given."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._queue: deque[tuple[Future, asyncio.TimerHandle, CallAnswer, Late | None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        self._connected = False
        self._listings: set[Future] = set()
        self._losses = 0
        _watch(self)

    def begin(self, start: Start, *arguments: object, limit_s: float = 0.0, late: Late | None = None) -> Future:
        """Begin a call of the library; its answer will come."""
        limit_s = limit_s or self._limit_s
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # Whatever was to wake an earlier loop wakes nobody any more.
            self._loop, self._woken = loop, False
        future: Future = loop.create_future()
        timer = loop.call_later(limit_s, _expire, future, limit_s)
        if self._connected:
            self._start(future, timer, start, arguments, limit_s, late)
        else:
            beginning = loop.run_in_executor(None, self._start, future, timer, start, arguments, limit_s, late)
            beginning.add_done_callback(functools.partial(_hand_on, future))
        return future

    async def ask(self, start: Start, *arguments: object, limit_s: float = 0.0, late: Late | None = None) -> CallAnswer:
        """Make a call that changes nothing and wait for its answer."""
        return await self.begin(start, *arguments, limit_s=limit_s, late=late)

    async def act(self, start: Start, *arguments: object, limit_s: float = 0.0) -> CallAnswer:
        """Make a call that changes something: a caller that is cancelled hears of it when the storage has answered."""
        return await carried_out(self.begin(start, *arguments, limit_s=limit_s))

    def patience_s(self, size: int) -> float:
        """The time limit of a call for which the storage goes through all the bytes of a file, and is silent."""
        return self._limit_s + size / SLOWEST_BYTES_PER_S

    async def ask_listing(self, start: Start, path: str, flags: int) -> CallAnswer:
        """List a directory; UnicodeDecodeError if the library cannot read a name in it."""
        losses = self._losses
        future = self.begin(start, path, flags)
        self._listings.add(future)
        if self._losses != losses:
            _suspect(future)
        try:
            answer = await future
        finally:
            self._listings.discard(future)
        if answer.status["code"] != _SUSPECTED:
            return answer
        timeout = _whole(self._limit_s)
        asking = asyncio.to_thread(start, path, flags, timeout)
        try:
            return CallAnswer(*await asyncio.wait_for(asking, self._limit_s))
        except TimeoutError:
            return _expired(self._limit_s)
        except SystemError as error:
            # The library returns a result and leaves the exception standing beside it.
            raise error.__cause__ or error from None

    def lost(self) -> None:
        """Some answer was lost, perhaps to one of ours. Called in any thread."""
        self._losses += 1
        for future in tuple(self._listings):
            with suppress(RuntimeError):  # The loop has been closed: nobody waits any more.
                future.get_loop().call_soon_threadsafe(_suspect, future)

    def _start(
        self,
        future: Future,
        timer: asyncio.TimerHandle,
        start: Start,
        arguments: tuple[object, ...],
        limit_s: float,
        late: Late | None,
    ) -> None:
        # The arguments are kept in here: the library may look at them for as long as it can answer.
        def answered(status: Status, response: object, *_hosts: object, _kept: object = arguments) -> None:
            self._queue.append((future, timer, CallAnswer(status, response), late))
            if not self._woken:
                self._woken = True
                try:
                    future.get_loop().call_soon_threadsafe(self._drain)
                except RuntimeError:
                    # The loop has been closed: nobody waits any more.
                    self._woken = False

        try:
            # The library's own limit is the longer one: what we say of a call that takes too long is always the same.
            status = start(*arguments, _whole(limit_s) + 1, answered)
        except ValueError as error:
            # So it says that the connection broke under an open file.
            status = _status(DISCONNECTED, str(error))
        if not status["ok"]:
            answered(status, None)

    def _drain(self) -> None:
        self._woken = False
        while self._queue:
            future, timer, answer, late = self._queue.popleft()
            timer.cancel()
            self._connected = answer.status["code"] not in UNREACHABLE
            if future.get_loop() is not self._loop:
                continue
            if not future.done():
                future.set_result(answer)
            elif late is not None and answer.ok:
                late()


def _whole(seconds: float) -> int:
    return min(math.ceil(seconds), _TIMEOUT_MAX)


def _status(code: int, message: str) -> Status:
    return {"ok": False, "code": code, "errno": 0, "message": message}


def _expired(limit_s: float) -> CallAnswer:
    return CallAnswer(_status(EXPIRED, f"no answer for {limit_s:g} s"), None)


def _expire(future: Future, limit_s: float) -> None:
    _settle(future, _expired(limit_s))


def _settle(future: Future, answer: CallAnswer) -> None:
    if not future.done():
        future.set_result(answer)


def _suspect(future: Future) -> None:
    if not future.done():
        suspected = CallAnswer(_status(_SUSPECTED, "the answer may have been lost"), None)
        future.get_loop().call_later(SUSPECT_S, _settle, future, suspected)


def _hand_on(future: Future, beginning: asyncio.Future[None]) -> None:
    """A call that could not even be begun is our bug or the library's: its exception goes to who waits."""
    error = beginning.exception() if not beginning.cancelled() else asyncio.CancelledError()
    if error is not None and not future.done():
        future.set_exception(error)


# Lost answers.

_watching: weakref.WeakSet[Calls] = weakref.WeakSet()
_Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]
_installed: list[_Hook] = []


def _watch(calls: Calls) -> None:
    """Hear of lost answers from now on, also if somebody has put another hook in the place of ours."""
    _watching.add(calls)
    if sys.excepthook not in _installed:
        sys.excepthook = _hook_before(sys.excepthook)
        _installed.append(sys.excepthook)


def _hook_before(other: _Hook) -> _Hook:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # A name that the library cannot read is reported without any frame of Python's; nothing else is like that.
        if kind is UnicodeDecodeError and trace is None:
            for calls in tuple(_watching):
                calls.lost()
        else:
            other(kind, error, trace)

    return hook
