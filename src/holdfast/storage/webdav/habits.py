"""Habits: what a server does otherwise than the standard says, found out by harmless questions.

Where servers differ, a wrong guess reads, overwrites or removes another file
than was meant. So nobody guesses by the server's name: each habit is asked for
when it first matters, with names that are nobody's, and kept for the door.

    cut        whether what follows a "?" in a path is cut off, encoded or not: then ``/a?b`` is ``/a``
               (XRootD up to at least 5.5)
    way        how names are written into hrefs: percent-encoded, or as they are (XRootD up to at least 5.5)
    moved      how names are read from the header ``Destination``: likewise
    shortened  whether listings cut names off at SHORTENED_BYTES (XRootD; noted by whoever lists)
    takes_all  whether a directory goes with all that is in it, as the standard has it (rclone), or is refused
               while it holds something (XRootD)

Rules
  * A path that the server would take for another one is InvalidName, by every
    call, before anything is asked.
  * What cannot be found out is not assumed: the cautious answer, Unsupported,
    or a doubt. A question that is refused is no failure of whoever lists.
  * A server that writes names in both ways within one answer is doubted.
  * What was made to ask is removed, each thing whatever becomes of the others. Who is killed while asking leaves
    an empty file, and for ``takes_all`` a directory around it, both named as parts: checks report them as orphan and
    empty directory; where a server takes all, that directory is for the site to remove.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import ClientResponse

from holdfast.model import names
from holdfast.model.errors import HoldfastError, InvalidName, PeerError
from holdfast.storage import parts
from holdfast.storage.driver import Unsupported
from holdfast.storage.webdav import members as webdav_members
from holdfast.storage.webdav.body import Body
from holdfast.storage.webdav.door import By, WebDavDoor, encoded
from holdfast.storage.webdav.members import Way
from holdfast.storage.webdav.propfind import PROPERTIES, Member

MULTISTATUS = 207
_DONE = (200, 201, 204)
_REFUSED_AS_FULL = (405, 409, 412)
_WORDS_BYTES_MAX = 1000
"""Of what a server says of a refusal, so much is read."""
SHORTENED_BYTES = 254
"""Of a longer name XRootD lists this much."""
QUESTIONS_MAX = 8
"""How many disputed names are asked for before it stays a doubt."""

XML = {"Content-Type": 'application/xml; charset="utf-8"'}


class Habits:
    """The habits of the server behind one door."""

    def __init__(self, door: WebDavDoor) -> None:
        self._door = door
        self._learning = asyncio.Lock()
        self.cut: bool | None = None
        """None: not known yet."""
        self.cut_unsaid = False
        """It was asked for, and the server did not say."""
        self.shortened = False
        self.takes_all: bool | None = None
        """None: not known yet."""
        self._way: Way | None = None
        self._moved: Way | None = None

    async def allow(self, path: str) -> None:
        """InvalidName if the server would take ``path`` for another one."""
        if "?" in path and await self.cuts(path):
            raise InvalidName(
                f"path {path[:120]!r} has a '?', which this server takes for the end of the path",
                place=self._door.place(path),
                hint="rename it, or use another protocol",
            )

    async def cuts(self, path: str) -> bool:
        """Whether the server cuts paths off; found out for the sake of ``path``."""
        if self.cut is None:
            async with self._learning:
                if self.cut is None:
                    # Nobody has a file of this name; whoever cuts it finds the root.
                    found = await self._is_there(f"/?{secrets.token_hex(8)}")
                    self.cut_unsaid = found is None
                    self.cut = found
        return self.cut is not False  # If it does not say, such names are left alone, and it is asked again.

    async def way(self, members: Sequence[Member], path: str, base: str) -> tuple[Way, str]:
        """How names are written in the answer for ``path``, and the doubt that is left."""
        if webdav_members.is_plain(members):
            return self._way or Way.ENCODED, ""
        seen = webdav_members.way_of(members)
        disputed = webdav_members.disputed(members)
        if not disputed:
            return seen or self._way or Way.ENCODED, ""  # One sloppy name says nothing about other answers.
        async with self._learning:
            if self._way is None:
                self._way = await self._asked_way(disputed, path, base)
        if self._way is None:
            return seen or Way.ENCODED, "its names could be read in two ways, and the storage knows neither"
        if seen not in (None, self._way):
            return self._way, "some of its names are percent-encoded and others are not"
        return self._way, ""

    async def _asked_way(self, disputed: Sequence[str], path: str, base: str) -> Way | None:
        # What has a "?" beside might be cut, and then everything seems to be there.
        for href in sorted(disputed, key=lambda href: "?" in href or "%3f" in href.lower())[:QUESTIONS_MAX]:
            named = webdav_members.both_ways(href, base)
            if named is None:
                continue
            there = [await self._is_there(names.join(path, name)) for name in named]
            if None not in there and there[0] != there[1]:
                return Way.ENCODED if there[0] else Way.BARE
        return None

    async def destination(self, path: str) -> str:
        """The value of the header ``Destination`` that makes the server move something to ``path``."""
        there = self._door.root.path_of(path)
        if encoded(there) == there:
            return self._door.root.origin + there
        async with self._learning:
            if self._moved is None:
                self._moved = await self._asked_moved(path)
        if self._moved is Way.ENCODED:
            return self._door.root.origin + encoded(there)
        if "?" in there:
            raise Unsupported(
                "this server cannot be told to give a file that name",
                place=self._door.place(path),
                hint="use another protocol for it",
            )
        # Whoever does not decode either drops blanks, or bytes that are not ASCII, at the end of a header. What
        # follows a "?" is cut off, so that they are not at the end.
        return f"{self._door.root.origin}{there}?"

    async def _asked_moved(self, path: str) -> Way:
        above = names.split(path)[0]
        while encoded(self._door.root.path_of(above)) != self._door.root.path_of(above):
            if above == "/":
                raise Unsupported("files cannot be renamed below a root of this name", place=self._door.place(path))
            above = names.split(above)[0]
        source = names.join(above, parts.part_name())
        plain, bare = f"{source}a", f"{source}%61"
        headers = {"Destination": self._door.url(source) + "%61", "Overwrite": "F"}
        try:
            await self._put_nothing(source, path)
            async with self._door.ask("MOVE", source, headers=headers, by=By.BESIDE) as reply:
                if reply.status not in (201, 204):
                    raise self._door.refusal(reply, path)
            if await self._is_there(plain):
                return Way.ENCODED
            if await self._is_there(bare):
                return Way.BARE
        finally:
            for each in (source, plain, bare):
                with suppress(HoldfastError):
                    await self._remove(each)
        raise PeerError("the storage has moved a file to where it cannot be found", place=self._door.place(path))

    async def spare(self, path: str) -> None:
        """Unsupported if the server would remove the directory ``path`` with whatever has come into it by then."""
        if self.takes_all is None:
            async with self._learning:
                if self.takes_all is None:
                    self.takes_all = await self._asked_takes_all(path)
        if self.takes_all:
            raise Unsupported(
                "this server removes a directory with all that has come into it meanwhile",
                place=self._door.place(path),
                hint="remove it at the site itself, or use another protocol",
            )

    async def _asked_takes_all(self, path: str) -> bool:
        """Only a server that refuses a full directory for being full, and lets it go when it is empty, spares any."""
        folder = names.join(names.split(path)[0], parts.part_name())
        held = names.join(folder, parts.part_name())
        try:
            async with self._door.ask("MKCOL", folder, by=By.BESIDE) as reply:
                if reply.status not in _DONE:
                    raise self._door.refusal(reply, path)
            await self._put_nothing(held, path)
            async with self._door.ask("DELETE", folder, by=By.BESIDE) as reply:
                is_refused = await _is_refused_as_full(reply)
            if await self._is_there(held) is False:
                return True
            # Any other failure says nothing, nor does a server that lets nothing go, or that has yet to do it.
            if is_refused and await self._remove(held) in _DONE and await self._remove(folder) in _DONE:
                return False
            raise PeerError("it cannot be told whether a full directory would stay", place=self._door.place(path))
        finally:
            for each in (held, folder):
                with suppress(HoldfastError):
                    await self._remove(each)

    async def _is_there(self, path: str) -> bool | None:
        """None if the server does not say."""
        headers = {**XML, "Depth": "0"}
        async with self._door.ask("PROPFIND", path, headers=headers, body=PROPERTIES, by=By.BESIDE) as reply:
            return {MULTISTATUS: True, 404: False}.get(reply.status)

    async def _put_nothing(self, path: str, asked: str) -> None:
        async with self._door.ask("PUT", path, body=Body(), by=By.BESIDE) as reply:
            if reply.status not in _DONE:
                raise self._door.refusal(reply, asked)

    async def _remove(self, path: str) -> int:
        """Try to remove a file or directory of our own, whose name is nobody else's; the status."""
        async with self._door.ask("DELETE", path, by=By.BESIDE) as reply:
            return reply.status


async def _is_refused_as_full(reply: ClientResponse) -> bool:
    """Whether a directory was not removed because something is in it, and for no passing reason."""
    if reply.status in _REFUSED_AS_FULL:
        return True
    return reply.status == 500 and b"not empty" in (await reply.content.read(_WORDS_BYTES_MAX)).lower()  # XRootD.
