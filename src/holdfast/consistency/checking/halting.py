"""Halting: work that is given up when a person says so.

A site that is halted while it is being listed is left within POLL_S; what was
listed is kept, and the next check of the site goes on with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

POLL_S = 15.0

_T = TypeVar("_T")


async def unless_halted(work: Coroutine[Any, Any, _T], check: Callable[[], None], *, poll_s: float | None = None) -> _T:
    """What ``work`` comes to. ``check`` is called now and then, in a thread; what it raises ends the work."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=POLL_S if poll_s is None else poll_s)
            if done:
                return task.result()
            await asyncio.to_thread(check)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
