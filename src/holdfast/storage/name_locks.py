"""NameLocks: one at a time for each name, within one process.

For storages that cannot be asked to replace nothing: whoever looks whether a
name is free and then takes it does both while nobody else of this process may.

Rules
  * A name that nobody holds or waits for costs no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NameLocks:
    """Locks by name, made when somebody wants one."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        """How many names are held or waited for."""
        return len(self._locks)

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        """Nobody else holds ``name`` meanwhile."""
        lock, wanted = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, wanted + 1
        try:
            async with lock:
                yield
        finally:
            lock, wanted = self._locks[name]
            if wanted > 1:
                self._locks[name] = lock, wanted - 1
            else:
                del self._locks[name]
