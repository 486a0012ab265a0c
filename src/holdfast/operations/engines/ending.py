"""Ending what runs beside us, before we go on ourselves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any


async def ended(running: Collection[asyncio.Future[Any]]) -> None:
    """Cancel what still runs and wait until it has cleaned up, however often we are cancelled ourselves meanwhile."""
    for each in running:
        each.cancel()
    cancelled = False
    while any(not each.done() for each in running):
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError:
            cancelled = True
    for each in running:
        if not each.cancelled():
            each.exception()  # Looked at, so that it is not reported as lost where another one counts.
    if cancelled:
        raise asyncio.CancelledError
