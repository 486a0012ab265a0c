"""carried_out: something asynchronous that is over when its caller goes on.

What ``settled`` is for functions in threads, for coroutines: a call that
changes a storage is not abandoned halfway because somebody lost interest.

Rules
  * The coroutine runs once, to its end.
  * A cancellation is seen by the caller, but only when the coroutine is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


async def carried_out(work: Coroutine[Any, Any, _T]) -> _T:
    """What ``work`` returns or raises; CancelledError after it has ended."""
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
