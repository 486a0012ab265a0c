"""Connector: connections of aiohttp that are over when they are closed.

TLS says goodbye before a connection ends, which takes a moment; aiohttp does
not wait for that, and what is still open when the event loop ends is lost. A
far side that does not say goodbye is not waited for longer than GOODBYE_S.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakSet

import aiohttp

GOODBYE_S = 1.0


class Connector(aiohttp.TCPConnector):
    """One whose ``close`` is over when the connections are, also those that the far side let go."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._made: WeakSet[Any] = WeakSet()
        self._transports: WeakSet[Any] = WeakSet()

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(*args, **kwargs)
        self._made.add(protocol)
        self._transports.add(protocol.transport)
        return protocol

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all, and wait until they are closed, for GOODBYE_S at most."""
        await super().close(abort_ssl=abort_ssl)
        leaving = [protocol.closed for protocol in self._made]
        if leaving := [each for each in leaving if each is not None]:
            for each in leaving:
                each.add_done_callback(_heard)
            _, silent = await asyncio.wait(leaving, timeout=GOODBYE_S)
            if silent:
                for transport in list(self._transports):
                    transport.abort()
                await asyncio.wait(silent, timeout=GOODBYE_S)


def _heard(closed: asyncio.Future[None]) -> None:
    """How a connection ended that nobody wants any more is no error that somebody has missed."""
    if not closed.cancelled():
        closed.exception()
