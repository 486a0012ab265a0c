"""settled: blocking work in a thread that is over when its caller goes on.

A thread cannot be cancelled. With ``asyncio.to_thread`` alone a cancelled
caller goes on while the thread still writes, or still uses a descriptor that
the caller is about to close.

Rules
  * The function runs once, to its end.
  * A cancellation is seen by the caller, but only when the function is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def settled(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What ``function`` returns or raises; CancelledError after it has ended."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # Looked at, so that it is not reported as lost: the cancellation comes first.
        raise
