"""carried_out: what has begun is over when its caller goes on.

A call that changes a storage is not abandoned halfway because somebody lost interest; and a thread cannot be
cancelled: with ``asyncio.to_thread`` alone a cancelled caller goes on while the thread still writes, or still uses a
descriptor that the caller is about to close.

Rules
  * The work is done once, to its end.
  * A cancellation is seen by the caller, but only when the work is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def carried_out(work: Awaitable[_T]) -> _T:
    """What ``work``, a coroutine or a future, returns or raises; CancelledError after it has ended."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # Looked at, so that it is not reported as lost: the cancellation comes first.
        raise


async def settled(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What a blocking ``function`` returns or raises, run in a thread; CancelledError after it has ended."""
    return await carried_out(asyncio.to_thread(function, *args, **kwargs))
