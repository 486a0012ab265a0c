"""Accompanying: a copy that others make, watched from outside.

The storage that makes it may say for long that it goes on and that no further
byte has come: there may be a queue, or the storage at the other end is dead.

Rules
  * As long as bytes come nobody is asked. When none have come for ``every_s``,
    the other end is looked at, again and again.
  * The copy is given up when the other end does not answer: Silent. What it
    answers is not judged here.
  * However it ends, the copy is over, and has cleaned up, when we return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from holdfast.model.errors import BrokenInvariant, HoldfastError, PeerError
from holdfast.operations.engines.ending import ended

_T = TypeVar("_T")


class Silent(Exception):
    """The other end does not answer; ``error`` is what looking at it has raised."""

    def __init__(self, error: PeerError) -> None:
        super().__init__(error.message)
        self.error = error


async def accompanied(
    copying: Coroutine[Any, Any, _T],
    done: Callable[[], int],
    look: Callable[[], Awaitable[object]],
    *,
    every_s: float,
) -> _T:
    """What the copy gives. ``done`` says how many bytes have come; ``look`` asks the other end for anything."""
    running = asyncio.ensure_future(copying)
    watching = asyncio.ensure_future(_silence(done, look, every_s))
    try:
        await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise Silent(watching.result())
    finally:
        await ended((running, watching))
    return running.result()


async def _silence(done: Callable[[], int], look: Callable[[], Awaitable[object]], every_s: float) -> PeerError:
    """Returns when the other end has not answered."""
    while True:
        before = done()
        await asyncio.sleep(every_s)
        if done() > before:
            continue
        try:
            await look()
        except BrokenInvariant:
            raise
        except PeerError as error:
            return error
        except HoldfastError:
            pass  # An answer, too.
