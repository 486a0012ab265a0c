"""Files over WebDAV: read to the end or told, written whole or not at all.

Rules
  * A file is read between two looks at it; if they differ it is ChangedWhileRead.
  * A new file travels under a part's name and gets its own by MOVE, when it is
    there with all its bytes. A failure removes the part, if PROPFIND says that
    it is a file.
  * What is to be a part anyway is sent under its own name, which is looked at
    right before. Others may have that name, too: a failure removes it only if
    the server said that it has made it for us. Otherwise it may stay behind.
  * Nothing is replaced: the name is looked at before the bytes travel, and
    again right before the MOVE, which is told not to overwrite. Servers that
    overwrite nevertheless (XRootD) leave the time of one request in which
    another process may take the name; within one driver nobody can.
  * A part that was made here and seen to be a file is one: nobody else has its
    name. So it is not looked at once more before it gets another.
  * A MOVE whose answer got lost is looked after: it is done if the file stands
    at its new name and not at its old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from holdfast.model import names
from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage import parts
from holdfast.storage.driver import (
    CHUNK_BYTES,
    NOT_TOLD,
    AlreadyThere,
    ChangedWhileRead,
    Kind,
    NotADirectory,
    NotAFile,
    NotKept,
    NotThere,
    Stat,
)
from holdfast.storage.webdav.body import Body
from holdfast.storage.webdav.door import WebDavDoor
from holdfast.storage.webdav.errors import Disconnected
from holdfast.storage.webdav.habits import Habits
from holdfast.storage.webdav.looks import WebDavLooks

_DONE = frozenset({200, 201, 204})
_MADE_MAX = 4096
_MOMENT_S = 5.0
_CLEANING_S = 10.0
"""How long a failed call goes on to remove its part."""


_T = TypeVar("_T")


@dataclass(slots=True)
class Part:
    """A file on its way: under a name that is nobody else's (``own``), or under one that was asked for."""

    path: str
    own: bool
    made: bool = False
    """The server has said that it made it for us."""


Send = Callable[[Part], Awaitable[int]]
Look = Callable[[str], Awaitable[Stat]]


class Files:
    """Contents and names of files behind one door. Paths have been validated before they come here."""

    def __init__(self, door: WebDavDoor, habits: Habits, looks: WebDavLooks) -> None:
        self._door = door
        self._habits = habits
        self._looks = looks
        self._naming: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._made: dict[str, Stat] = {}
        self._moved: dict[str, tuple[Stat, float]] = {}

    def naming(self, path: str) -> asyncio.Lock:
        """Held by whoever in this driver is about to make ``path``; some servers refuse the second with 423."""
        return self._naming.setdefault(path, asyncio.Lock())

    def made(self, path: str) -> Stat | None:
        """The Stat of a part that was made here, as it was then; None if it may be anything."""
        return self._made.get(path)

    def seen(self, path: str) -> Stat | None:
        """The same; and once of a file that has got this name here a moment ago."""
        stat, at_s = self._moved.pop(path, (None, 0.0))
        return self._made.get(path) or (stat if asyncio.get_running_loop().time() - at_s < _MOMENT_S else None)

    async def file(self, path: str) -> Stat:
        """The Stat of a file; NotAFile if it is none."""
        stat = await self._looks.stat(path)
        if stat.kind is not Kind.FILE:
            raise NotAFile("is a directory or something else, not a file", place=self._door.place(path))
        return stat

    async def read(self, path: str, before: Stat) -> AsyncGenerator[bytes, None]:
        """The bytes of the file that ``before`` was said of."""
        seen = 0
        try:
            async with self._door.ask("GET", path) as reply:
                if reply.status != 200 or reply.headers.get("Content-Encoding", "identity") != "identity":
                    raise self._door.refusal(reply, path)
                held: list[bytes] = []
                async for data in reply.content.iter_any():
                    held.append(data)
                    seen += len(data)
                    if sum(map(len, held)) >= CHUNK_BYTES:
                        yield b"".join(held)
                        held.clear()
                if held:
                    yield b"".join(held)
        except (PeerError, NotThere) as error:
            # A file that shrinks or goes while it is read looks like a broken connection.
            await self._require_unchanged(path, before, error)
            raise
        await self._require_unchanged(path, before, None)
        if before.size not in (seen, NOT_TOLD):
            raise PeerError(f"{seen} bytes came of a file of {before.size}", place=self._door.place(path))

    async def _require_unchanged(self, path: str, before: Stat, cause: HoldfastError | None) -> None:
        try:
            after = await self._looks.stat(path)
        except NotThere:
            raise ChangedWhileRead("went away while it was read", place=self._door.place(path)) from cause
        except HoldfastError:
            if cause is None:
                raise
            return
        if after != before:
            raise ChangedWhileRead("changed while it was read", place=self._door.place(path)) from cause

    async def require_free(self, path: str, make_directory: Callable[[str], Awaitable[None]]) -> None:
        """AlreadyThere if anything has the name; else its directory is made if it is missing."""
        await self._refuse_taken(path)
        above = names.split(path)[0]
        try:
            kind = (await self._looks.stat(above)).kind
        except NotThere:
            await make_directory(above)
        else:
            if kind is not Kind.DIRECTORY:
                raise NotADirectory(f"{above} is no directory", place=self._door.place(path))

    async def arrive(self, path: str, send: Send, look: Look | None = None) -> Stat:
        """Let ``send`` make a file under a part's name, and give it its own; it says how many bytes there must be.

        ``look`` is how a part that keeps its name is looked at when it is sent.
        """
        if parts.is_part_name(names.split(path)[1]):
            async with self.naming(path):
                await self._refuse_taken(path)
                return await self.arrive_unseen(path, send, look)
        async with self._discarded(Part(parts.part_path(path), own=True)) as part:
            stat = await self._sent(part, path, await send(part), self._looks.stat)
            async with self.naming(path):
                await self._refuse_taken(path)
                await self.move(part.path, path, stat, replace=False)
            return await self._looks.stat(path)

    async def arrive_unseen(self, path: str, send: Send, look: Look | None = None) -> Stat:
        """Let ``send`` make what is to be a part anyway; who has looked that the name is free is not asked."""
        async with self._discarded(Part(path, own=False)) as part:
            stat = await self._sent(part, path, await send(part), look or self._looks.stat)
        _remember(self._made, path, stat)
        return stat

    async def _sent(self, part: Part, path: str, size: int, look: Look) -> Stat:
        """The Stat of what was sent, which has to have ``size``; PeerError if it is not all there."""
        place = self._door.place(path)
        try:
            stat = await look(part.path)
        except NotThere as error:
            raise NotKept("the storage says that it has the file, and it is not there", place=place) from error
        if stat.kind is Kind.DIRECTORY:
            raise NotAFile("the storage says that it has the file, and it is a directory", place=place)
        if size not in (stat.size, NOT_TOLD):
            raise PeerError(f"{stat.size} of {size} bytes have arrived", place=place)
        if size == NOT_TOLD and stat.size in (0, NOT_TOLD):
            raise PeerError("nobody tells how many bytes there must be, and none are to be seen", place=place)
        return stat

    async def move(self, source: str, target: str, moved: Stat, *, replace: bool) -> None:
        """Give a file another name. What is there was looked at; 403, 409 and 500 are whatever they are."""
        headers = {"Destination": await self._habits.destination(target), "Overwrite": "T" if replace else "F"}
        self._made.pop(source, None)
        try:
            async with self._door.ask("MOVE", source, headers=headers) as reply:
                if reply.status not in _DONE:
                    raise self._door.refusal(reply, target)
        except Disconnected:
            if not await self._has_moved(source, target, moved):
                raise
        _remember(self._moved, target, (moved, asyncio.get_running_loop().time()))

    async def _has_moved(self, source: str, target: str, moved: Stat) -> bool:
        with suppress(NotThere):
            await self._looks.stat(source)
            return False
        with suppress(NotThere):
            arrived = await self._looks.stat(target)
            return (arrived.kind, arrived.size) == (moved.kind, moved.size)
        return False

    async def remove(self, path: str) -> None:
        """Remove what is surely a file."""
        self._made.pop(path, None)
        self._moved.pop(path, None)
        async with self._door.ask("DELETE", path) as reply:
            if reply.status in _DONE:
                return
            refusal = self._door.refusal(reply, path)
        # XRootD says of what is gone that it is not empty.
        await self._looks.stat(path)
        raise refusal

    async def put(self, part: Part, body: Body) -> int:
        """Send a file; how many bytes it has."""
        # Not for our own: sent twice, because an answer got lost, the second would be refused.
        headers = {} if part.own else {"If-None-Match": "*"}
        async with self._door.ask("PUT", part.path, headers=headers, body=body) as reply:
            if reply.status not in _DONE:
                raise self._door.refusal(reply, part.path)
            part.made = True
        return body.size

    async def _refuse_taken(self, path: str) -> None:
        with suppress(NotThere):
            await self._looks.stat(path)
            raise AlreadyThere("is there already", place=self._door.place(path))

    @asynccontextmanager
    async def _discarded(self, part: Part) -> AsyncIterator[Part]:
        """A part that is removed if what is done with it fails."""
        try:
            yield part
        except BaseException:
            if part.own or part.made:
                await self._discard(part.path)
            raise

    async def _discard(self, path: str) -> None:
        """Remove a part of ours if it is a file by now, also when we are cancelled."""

        async def remove() -> None:
            with suppress(HoldfastError, TimeoutError):
                async with asyncio.timeout(_CLEANING_S):
                    if (await self._looks.stat(path, proved=True)).kind is Kind.FILE:
                        await self.remove(path)

        removing = asyncio.ensure_future(remove())
        while not removing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([removing])


def _remember(known: dict[str, _T], path: str, what: _T) -> None:
    while len(known) >= _MADE_MAX:
        del known[next(iter(known))]
    known[path] = what
