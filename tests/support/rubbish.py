"""A server that answers everything with rubbish, the same for the same seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

BYTES = 100_000


@asynccontextmanager
async def rubbish(seed: int = 1) -> AsyncIterator[int]:
    """The port at which it listens; it waits for the first bytes of whoever connects."""
    chance = random.Random(seed)
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            await reader.read(20)
            writer.write(chance.randbytes(BYTES))
            await writer.drain()
            # Whoever is content with that may go on asking.
            while await reader.read(1 << 16):
                pass
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0)
