"""Looks: what a WebDAV server says of a name, and of what is in a directory.

Rules
  * A directory is asked for with Depth 1, and read while it comes in: memory
    is bounded by PAGE_ENTRIES members.
  * Of a file whose size or time the answer lacks the server is asked by HEAD;
    what it does not say then either is NOT_TOLD. If it does not know the name
    then, that is reported: no name that was listed is dropped.
  * An answer about one name counts if it names that very one.
  * What is asked while an answer is read goes by connections of another kind.
  * An answer in which the storage's own protocol was upset by a name (XRootD:
    a line break in a name shifts everything after it) is recognised: every
    name in it is asked for by itself, and what is not there is reported.
  * So is a name that may have been cut off (XRootD again).
  * An answer that the server broke off because the directory changed under its
    hands is asked for again, TRIES times in all, if nothing was handed on yet.
  * What speaks for more than was said is in ``doubt``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from operator import itemgetter
from typing import TypeVar
from urllib.parse import unquote

from holdfast.model import names
from holdfast.model.errors import HoldfastError, InvalidName, PeerError
from holdfast.storage.driver import (
    NOT_TOLD,
    DirectoryListing,
    Entry,
    Kind,
    NotADirectory,
    NotAllowed,
    NotThere,
    Stat,
    Unnameable,
    Unsupported,
)
from holdfast.storage.webdav import errors as webdav_errors
from holdfast.storage.webdav import members as webdav_members
from holdfast.storage.webdav import times as webdav_times
from holdfast.storage.webdav.door import By, Reply, WebDavDoor
from holdfast.storage.webdav.habits import MULTISTATUS, SHORTENED_BYTES, XML, Habits
from holdfast.storage.webdav.members import FoundMembers
from holdfast.storage.webdav.propfind import ALL_PROPERTIES, OK, PROPERTIES, Member, Multistatus, Upset, few

PAGE_ENTRIES = 4096
TRIES = 6
PAUSE_S = 0.05
"""Before a list that the server closed early is asked for again, longer each time: its directory is being changed."""
LOOKS_AT_ONCE = 16
"""How many names of one answer are asked for by themselves at a time."""

_NO_PROPFIND = frozenset({405, 501})
# What XRootD's own protocol writes on the line after a name.
_STATUS_LINE = re.compile(r"\d+ \d+ \d+ \d+( \d+ \d+ [0-7]{4} \S+ \S+)?\Z", re.ASCII)

_T = TypeVar("_T")
_R = TypeVar("_R")


class WebDavLooks:
    """Asks the server behind one door. Paths have been validated before they come here."""

    def __init__(self, door: WebDavDoor, habits: Habits) -> None:
        self._door = door
        self._habits = habits

    async def stat(self, path: str, *, proved: bool = False, by: By = By.KEPT) -> Stat:
        """What ``path`` is. A server without PROPFIND tells files only, unless ``proved``: then it is Unsupported."""
        await self._habits.allow(path)
        headers = {**XML, "Depth": "0"}
        async with self._door.ask("PROPFIND", path, headers=headers, body=PROPERTIES, by=by) as reply:
            members = await self._members(reply, path) if reply.status == MULTISTATUS else []
        if reply.status != MULTISTATUS and (reply.status not in _NO_PROPFIND or proved):
            raise await self._why_not(reply, path)
        if not members:
            return await self._head(path, Stat(Kind.FILE, NOT_TOLD, NOT_TOLD))
        member = _itself(members, self._base(reply, path), self._door.place(path))
        if member.status != OK:
            raise webdav_errors.meaning("PROPFIND", member.status, place=self._door.place(path))
        return await self._complete(path, webdav_members.stat_of(member))

    async def pages(self, path: str, *, another_way: bool = False) -> AsyncGenerator[DirectoryListing, None]:
        """What is in a directory, in pieces, each in order; at least one."""
        await self._habits.allow(path)
        await self._habits.cuts("/")  # From the first listing on it is known which names cannot be asked for.
        for tries in range(1, TRIES + 1):
            handed_on = False
            try:
                async with aclosing(self._once(path, another_way)) as pages:
                    async for page in pages:
                        handed_on = True
                        yield page
                return
            except Upset:
                if handed_on or tries == TRIES:
                    raise
                await asyncio.sleep(PAUSE_S * tries)

    async def _once(self, path: str, another_way: bool) -> AsyncGenerator[DirectoryListing, None]:
        headers = {**XML, "Depth": "1"} | ({"Cache-Control": "no-cache"} if another_way else {})
        body = ALL_PROPERTIES if another_way else PROPERTIES
        answer, held, seen = Multistatus(place=self._door.place(path)), list[Member](), _Seen()
        by = By.FRESH if another_way else By.KEPT
        async with self._door.ask("PROPFIND", path, headers=headers, body=body, by=by) as reply:
            async for data in reply.content.iter_any() if reply.status == MULTISTATUS else _nothing():
                answer.feed(data)
                held += answer.take()
                while len(held) > PAGE_ENTRIES:
                    members = held[:PAGE_ENTRIES]
                    del held[:PAGE_ENTRIES]
                    yield await self._page(members, path, reply, seen)
        if reply.status != MULTISTATUS:
            raise await self._why_not(reply, path)
        answer.close()
        # The last piece without the connection: to complete it others may be needed, and they are counted.
        seen.last = True
        yield await self._page(held + answer.take(), path, reply, seen)

    def _base(self, reply: Reply, path: str) -> str:
        """The server's path of what was asked for, also where we were sent elsewhere."""
        if str(reply.url) == self._door.url(path):
            return self._door.root.path_of(path)
        return unquote(reply.url.raw_path, errors="surrogateescape").rstrip("/") or "/"

    async def _members(self, reply: Reply, path: str) -> list[Member]:
        members = await few(reply.content.iter_any(), self._door.place(path))
        if not members:
            raise PeerError("the storage answers without saying anything", place=self._door.place(path))
        return members

    async def _page(self, members: Sequence[Member], path: str, reply: Reply, seen: _Seen) -> DirectoryListing:
        base = self._base(reply, path)
        way, doubt = await self._habits.way(members, path, base)
        found = webdav_members.read(members, base, way)
        seen.add(found, self._door.place(path))
        if doubt:
            seen.doubts.append(doubt)
        if suspects := [entry for entry in found.entries if _is_suspect(entry.name)]:
            await self._sort_out(found, suspects, path, seen)
        seen.pages += 1
        if any(entry.stat.size == NOT_TOLD or entry.stat.mtime_ns == NOT_TOLD for entry in found.entries):
            await self._complete_all(path, found)
        found.entries.sort(key=itemgetter(0))  # Of code points and of UTF-8 bytes the order is the same.
        return DirectoryListing(tuple(found.entries), tuple(found.unnameable), seen.doubt() if seen.last else "")

    async def _sort_out(self, found: FoundMembers, suspects: Sequence[Entry], path: str, seen: _Seen) -> None:
        """Keep of the ``suspects`` what is there; if a status line was taken for a name, doubt all others, too."""
        there = await _each(suspects, lambda entry: self._is_there(path, entry))
        lost = [entry.name for entry, is_there in zip(suspects, there, strict=True) if not is_there]
        if not lost:
            return
        found.entries = [entry for entry in found.entries if entry.name not in lost]
        if not any(map(_STATUS_LINE.match, lost)):
            self._habits.shortened = True
            found.unnameable += [_unnameable(name, "its name goes on, and the storage cuts it off") for name in lost]
            return
        if seen.pages or not seen.last:
            raise Unsupported(
                "the storage's answer is upset by a line break in a name, in a directory too large to sort it out",
                place=self._door.place(path),
                hint="rename the file on the storage, or list the site by another protocol",
            )
        there = await _each(found.entries, lambda entry: self._is_there(path, entry))
        lost += [entry.name for entry, is_there in zip(found.entries, there, strict=True) if not is_there]
        found.entries = [entry for entry, is_there in zip(found.entries, there, strict=True) if is_there]
        reason = "the storage names it and does not have it: its answer is upset by a line break in a name"
        found.unnameable += [_unnameable(name, reason) for name in lost]
        seen.doubts.append("the answer is upset by a line break in a name, so that others are missing")

    async def _is_there(self, path: str, entry: Entry) -> bool:
        try:
            await self.stat(names.join(path, entry.name), by=By.BESIDE)
        except NotThere:
            return False
        except InvalidName:
            return True  # It has a "?", and cannot be asked for.
        return True

    async def _complete_all(self, path: str, found: FoundMembers) -> None:
        async def one(entry: Entry) -> Entry | Unnameable:
            try:
                return Entry(entry.name, await self._complete(names.join(path, entry.name), entry.stat))
            except NotThere:
                # It may have gone meanwhile, or be listed by a name by which it cannot be asked for.
                if entry.stat.size != NOT_TOLD:
                    return entry
                return _unnameable(entry.name, "the storage names it, and does not know it when it is asked for it")

        told = await _each(found.entries, one)
        found.entries = [each for each in told if isinstance(each, Entry)]
        found.unnameable += [each for each in told if isinstance(each, Unnameable)]

    async def _complete(self, path: str, stat: Stat) -> Stat:
        if stat.kind is not Kind.FILE or NOT_TOLD not in (stat.size, stat.mtime_ns):
            return stat
        try:
            return await self._head(path, stat)
        except (InvalidName, NotAllowed, Unsupported):
            return stat

    async def _head(self, path: str, stat: Stat) -> Stat:
        """``stat`` with what HEAD says beside."""
        await self._habits.allow(path)
        async with self._door.ask("HEAD", path, by=By.BESIDE) as reply:
            if reply.status != OK:
                raise self._door.refusal(reply, path)
            size = webdav_members.size_of(reply.headers.get("Content-Length", ""))
            mtime_ns = webdav_times.parse(reply.headers.get("Last-Modified", ""))
        return stat._replace(
            size=size if stat.size == NOT_TOLD else stat.size,
            mtime_ns=mtime_ns if stat.mtime_ns == NOT_TOLD else stat.mtime_ns,
            version=stat.version or reply.headers.get("ETag", ""),
        )

    async def _why_not(self, reply: Reply, path: str) -> HoldfastError:
        """What it means that there is no answer for ``path``: a file above it is not always called by its name.

        Its connection has been given back: others may be needed.
        """
        refusal = self._door.refusal(reply, path)
        if (reply.status == 409 or (reply.status >= 500 and type(refusal) is PeerError)) and path != "/":
            above = names.split(path)[0]
            try:
                if (await self.stat(above)).kind is not Kind.DIRECTORY:
                    return NotADirectory(f"{above} is no directory", place=self._door.place(path))
            except HoldfastError as error:
                if isinstance(error, NotADirectory):
                    return NotADirectory(error.message, place=self._door.place(path))
        return refusal


def _is_suspect(name: str) -> bool:
    return bool(_STATUS_LINE.match(name)) or (
        len(name) >= SHORTENED_BYTES // 4 and len(name.encode()) == SHORTENED_BYTES
    )


def _unnameable(name: str, reason: str) -> Unnameable:
    return Unnameable(name.encode("utf-8", "surrogateescape"), reason)


class _Seen:
    """What the pieces of one answer have said so far."""

    def __init__(self) -> None:
        self.pages = 0
        self.last = False
        self.itself = False
        self.errors = 0
        self.untyped = 0
        self.doubts: list[str] = []

    def add(self, found: FoundMembers, place: str) -> None:
        """Take the next piece; the error if the directory is none, or was refused."""
        self.errors += found.errors
        self.untyped += found.untyped
        if found.itself is None:
            return
        self.itself = True
        if found.itself_status != OK:
            raise webdav_errors.meaning("PROPFIND", found.itself_status, place=place)
        if found.itself.kind is not Kind.DIRECTORY:
            raise NotADirectory("is no directory", place=place)

    def doubt(self) -> str:
        """Why this may not be everything."""
        if self.errors:
            self.doubts.append(f"{self.errors} of its members came with an error, or from another place")
        if self.untyped:
            self.doubts.append(f"of {self.untyped} of its members it is not said whether they are files")
        if not self.itself:
            self.doubts.append("the answer does not even have the directory itself")
        return "; ".join(dict.fromkeys(self.doubts))


def _itself(members: Sequence[Member], base: str, place: str) -> Member:
    """The one that was asked for with Depth 0."""
    for way in webdav_members.Way:
        for member in members:
            if webdav_members.read((member,), base, way).itself is not None:
                return member
    raise PeerError("the storage was asked for one name and speaks of another", place=place)


async def _nothing() -> AsyncGenerator[bytes, None]:
    none: tuple[bytes, ...] = ()
    for data in none:
        yield data


async def _each(items: Sequence[_T], look: Callable[[_T], Awaitable[_R]]) -> list[_R]:
    """What ``look`` says of each, a few at a time; the first error, when those beside it are over."""
    found: list[_R] = []
    for start in range(0, len(items), LOOKS_AT_ONCE):
        some = items[start : start + LOOKS_AT_ONCE]
        for result in await asyncio.gather(*map(look, some), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
            found.append(result)
    return found
