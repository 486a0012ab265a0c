"""Body: the bytes of a file that is to be sent, kept until the server has them.

XRootD (up to at least 5.5) refuses bodies of unknown length as soon as they
arrive in pieces, and storages that send us to a disk server want the bytes a
second time. (``Expect: 100-continue`` is no way out: XRootD's answer to it says
that the connection ends, and clients that believe it, ours among them, hear
nothing more.) So they are collected before they are sent: small files in memory,
large ones in a file without a name in the system's folder for temporary files.

Rules
  * An error of the source comes through untouched, before anything was sent.
  * A body can be sent any number of times.
  * Sending ends with TimeoutError when nothing was taken for the time limit.
  * Nothing stays behind, also if the process dies.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from typing import IO

from holdfast.model.errors import OperatorError
from holdfast.storage.carried_out import settled
from holdfast.storage.driver import CHUNK_BYTES

MEMORY_BYTES_MAX = 8 << 20
"""What is larger goes to disk."""

PATIENCE_S = 2.0
"""How long a server that sends us elsewhere may take to say so, before the bytes are sent to it after all."""


class Body:
    """See the module's docstring; made by ``collect``, ended by ``close``."""

    def __init__(self) -> None:
        self.size = 0
        self.patient = False
        """Wait for an answer before sending."""
        self._held = bytearray()
        self._file: IO[bytes] | None = None

    async def collect(self, chunks: AsyncIterable[bytes]) -> None:
        """Take all bytes of the source."""
        async for chunk in chunks:
            self.size += len(chunk)
            self._held += chunk
            if len(self._held) > (MEMORY_BYTES_MAX if self._file is None else CHUNK_BYTES):
                await self._to_disk()
        if self._file is not None:
            await self._to_disk()

    async def _to_disk(self) -> None:
        try:
            await settled(self._write_held)
        except OSError as error:
            raise OperatorError(
                f"a file of more than {MEMORY_BYTES_MAX} bytes cannot be kept until it is sent: {error.strerror}",
                place=tempfile.gettempdir(),
                hint="free space there, or name another folder in TMPDIR",
            ) from error

    def _write_held(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        rest = memoryview(bytes(self._held))
        self._held.clear()
        while rest:
            rest = rest[self._file.write(rest) :]

    async def sent(self, limit: asyncio.Timeout, silence_s: float) -> AsyncIterator[bytes]:
        """All bytes from the beginning; ``limit`` is moved on while somebody takes them."""
        _move(limit, silence_s + PATIENCE_S if self.patient else silence_s)
        if self.patient:
            # Whoever sends us elsewhere answers now; this is then left in the middle.
            await asyncio.sleep(PATIENCE_S)
        position = 0
        while position < self.size:
            chunk = await self._chunk(position)
            position += len(chunk)
            yield chunk
            _move(limit, silence_s)

    async def _chunk(self, position: int) -> bytes:
        if self._file is None:
            return bytes(memoryview(self._held)[position : position + CHUNK_BYTES])
        file = self._file
        return await asyncio.to_thread(_read_at, file, position)

    def close(self) -> None:
        """Forget the bytes; calling twice does no harm."""
        self._held.clear()
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _move(limit: asyncio.Timeout, silence_s: float) -> None:
    # A server may answer before it has everything: then nobody waits any more.
    with suppress(RuntimeError):
        limit.reschedule(asyncio.get_running_loop().time() + silence_s)


def _read_at(file: IO[bytes], position: int) -> bytes:
    file.seek(position)
    data = file.read(CHUNK_BYTES)
    if not data:
        raise OSError(None, "the file that kept it was cut")
    return data
