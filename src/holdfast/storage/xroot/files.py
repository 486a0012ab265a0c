"""Reading and writing the contents of one file over XRootD.

Rules
  * Up to IN_FLIGHT pieces are on their way at a time; they are given in order.
  * ``Reading`` says at the end whether what it has read is one state of the
    file: the size and time at its end are those at its beginning, and as many
    bytes came.
  * ``Part`` is new, or is not made at all; it is synchronised and of the right
    size before anybody hears of it. A server that sees us die removes it.
  * The library does not recover by itself (``door`` sees to that): it
    would open a file once more behind our back.
  * An open file is closed, whatever happens; nobody waits for that longer than
    the time limit of a call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator

from pyxrootd import client as library  # type: ignore[import-untyped]
from XRootD.client.flags import OpenFlags

from holdfast.model.errors import PeerError
from holdfast.storage.carried_out import carried_out
from holdfast.storage.driver import CHUNK_BYTES, AlreadyThere, ChangedWhileRead, Stat
from holdfast.storage.xroot.calls import CallAnswer, Calls, Future
from holdfast.storage.xroot.errors import meaning
from holdfast.storage.xroot.listing import stat_of

IN_FLIGHT = 4

_MODE = 0o644
_NEW_PART = int(OpenFlags.NEW | OpenFlags.MAKEPATH | OpenFlags.POSC)
_NEW = int(OpenFlags.NEW)
_READ = int(OpenFlags.READ)


class Opened:
    """A file that the library has open."""

    def __init__(self, calls: Calls, url: str, place: str) -> None:
        self._calls = calls
        self._url = url
        self._place = place
        self._file = library.File()
        self._is_open = False
        self._pending: deque[Future] = deque()
        self.made = False
        """Whether the file is ours: opening it has made it, or may have."""

    async def open_with(self, flags: int) -> None:
        """Open the file; an error of the contract, or Unclear."""
        file = self._file
        opening = self._calls.begin(file.open, self._url, flags, _MODE, late=lambda: _close_late(file))
        try:
            self._checked(await (opening if flags == _READ else carried_out(opening)))
        finally:
            # Also if we were cancelled in the meantime: then it is open all the same.
            self._is_open = opening.done() and not opening.cancelled() and opening.result().ok

    async def look(self, *, anew: bool) -> Stat:
        """What the file is; ``anew``: asked of the server, and not of the library."""
        return stat_of(self._checked(await self._calls.ask(self._file.stat, anew)).response)

    async def close(self, *, limit_s: float = 0.0) -> CallAnswer | None:
        """Close the file, once; its answer, None if it was closed already."""
        while self._pending:
            await carried_out(self._pending.popleft())
        if not self._is_open:
            return None
        self._is_open = False
        return await self._calls.act(self._file.close, limit_s=limit_s)

    def _checked(self, answer: CallAnswer) -> CallAnswer:
        if not answer.ok:
            raise meaning(answer.status, self._place)
        return answer


class Reading(Opened):
    """One file being read from its beginning to its end."""

    async def open(self) -> Stat:
        """Open the file; its Stat at the beginning."""
        await self.open_with(_READ)
        self._before = await self.look(anew=False)
        return self._before

    async def chunks(self) -> AsyncIterator[bytes]:
        """All bytes of the file; ChangedWhileRead as soon as there are too few."""
        size, offset = self._before.size, 0
        sizes: deque[int] = deque()
        while offset < size or self._pending:
            while offset < size and len(self._pending) < IN_FLIGHT:
                sizes.append(min(CHUNK_BYTES, size - offset))
                self._pending.append(self._calls.begin(self._file.read, offset, sizes[-1]))
                offset += sizes[-1]
            data = self._checked(await self._pending[0]).response
            self._pending.popleft()
            if len(data) != sizes.popleft():
                raise ChangedWhileRead("changed while it was read", place=self._place)
            yield data

    async def verify(self) -> Stat:
        """The Stat of what has been read; ChangedWhileRead if that is not one state of the file."""
        after = await self.look(anew=True)
        if (after.size, after.mtime_ns) != (self._before.size, self._before.mtime_ns):
            raise ChangedWhileRead("changed while it was read", place=self._place)
        return after


class Part(Opened):
    """One new file being written; whoever made it removes it if it comes to nothing."""

    async def open(self) -> None:
        """Make the file and the directories it needs; AlreadyThere if it is there."""
        self.made = True
        try:
            await self.open_with(_NEW_PART)
        except AlreadyThere:
            self.made = False
            raise

    async def fill(self, chunks: AsyncIterable[bytes]) -> None:
        """Write all, synchronise, prove the size, close."""
        offset = 0
        async for block in blocks(chunks):
            while len(self._pending) >= IN_FLIGHT:
                await self._written()
            self._pending.append(self._calls.begin(self._file.write, block, offset, len(block)))
            offset += len(block)
        while self._pending:
            await self._written()
        limit_s = self._calls.patience_s(offset)
        self._checked(await self._calls.act(self._file.sync, limit_s=limit_s))
        found = await self.look(anew=True)
        if found.size != offset:
            raise PeerError(f"the storage kept {found.size} bytes of {offset}", place=self._place)
        answer = await self.close(limit_s=limit_s)
        assert answer is not None
        self._checked(answer)

    async def _written(self) -> None:
        answer = await self._pending[0]
        self._pending.popleft()
        self._checked(answer)


class Placeholder(Opened):
    """An empty file of a name that nobody has. Of two that are made at one time, the server makes both: ``claims``."""

    async def make(self) -> str:
        """Make it; AlreadyThere if the name is taken. The id by which the storage knows the empty file."""
        await self.open_with(_NEW)
        try:
            answer = self._checked(await self._calls.ask(self._file.stat, False))
            return str(answer.response["id"])
        finally:
            await self.close()


async def blocks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of at least CHUNK_BYTES, the last excepted; none if there are no bytes."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if size:
        yield b"".join(held)


def _close_late(file: library.File) -> None:
    """Close a file that was opened when nobody waited for it any more; it lives until that is answered."""
    asyncio.get_running_loop().run_in_executor(None, file.close, 10)
