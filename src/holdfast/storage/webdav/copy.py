"""Copies from one storage to another over HTTP, past us (third-party copy).

The storage that is asked by COPY fetches (header ``Source``) or sends (header
``Destination``), and tells how far it is (``markers``).

Rules
  * The status says only that it began. It has succeeded if the last line begins
    with ``success``; an answer that ends otherwise is PeerError. Only servers
    that know COPY as the standard has it, within themselves, say anything, of
    known length, when they have sent a file.
  * Success is believed when the file is there with all its bytes.
  * What is fetched travels under a part's name like any other new file, so that
    whatever a failure leaves behind is ours and is removed.
  * The token for the other storage is handed on only over https.
  * A storage that is silent costs the time limit of a call, and so does one that
    tells again and again that no further byte has come.
  * A part is nobody else's, so it need not be looked for before it is fetched,
    once it is known that the server leaves alone what is there if it is told
    so. That is found out with the first copy, asked for twice.
  * Where nobody says how many bytes there must be, no bytes are no file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from holdfast.model import names
from holdfast.model.errors import BadInput, HoldfastError, OperatorError, PeerError
from holdfast.storage import parts
from holdfast.storage.abilities import FarFile, Progress
from holdfast.storage.driver import NOT_TOLD, AlreadyThere, Digest, Kind, NotAFile, NotKept, NotThere, Stat, Unsupported
from holdfast.storage.webdav import markers
from holdfast.storage.webdav import members as webdav_members
from holdfast.storage.webdav.door import SCHEMES, Reply, WebDavDoor
from holdfast.storage.webdav.files import Files, Part
from holdfast.storage.webdav.habits import MULTISTATUS, XML
from holdfast.storage.webdav.looks import WebDavLooks
from holdfast.storage.webdav.propfind import NOT_FOUND, OK, PROPERTIES, few
from holdfast.storage.webdav.telling import Telling

TWICE_BYTES_MAX = 64 << 20
"""Only files up to this size are copied twice to learn how the server takes that."""

_BEGUN = frozenset({200, 201, 202})
_DONE = 201
_NO_PULL = frozenset({400, 405, 501})
_NO_PUSH = frozenset({405, 501, 502})
"""Statuses of storages that do not copy this way at all."""
MakeDirectory = Callable[[str], Awaitable[None]]


class WebDavCopies:
    """Copies that the storage behind one door makes."""

    def __init__(self, door: WebDavDoor, looks: WebDavLooks, files: Files, telling: Telling) -> None:
        self._door = door
        self._looks = looks
        self._files = files
        self._telling = telling
        self._keeps: bool | None = None
        """Whether COPY leaves alone what is there, if it is told so; None: not known yet."""
        self._learning = asyncio.Lock()

    async def pull(
        self,
        path: str,
        source: FarFile,
        make_directory: MakeDirectory,
        size: int | None,
        wanted: Sequence[str],
        progress: Progress | None,
    ) -> Digest:
        """Let the storage fetch ``source``."""
        place = self._door.place(path)
        headers = {"Source": _address(source, place), "Overwrite": "F", **self._credentials(source, place)}
        is_part = parts.is_part_name(names.split(path)[1])
        is_unseen = is_part and bool(self._keeps)
        if not is_unseen:
            await self._files.require_free(path, make_directory)
        expected = await self._size_of_source(source, place) if size is None else size

        async def send(part: Part) -> int:
            def begun() -> None:
                part.made = True

            async def copy() -> None:
                await self._copy(part.path, headers, source, place, expected, progress, begun, _NO_PULL)

            try:
                await copy()
            except (BadInput, NotThere):
                # Whoever has not looked may find no directory to put it in, which servers say in many ways.
                if part.made or not is_unseen or await self._is_there(names.split(path)[0]):
                    raise
                await make_directory(names.split(path)[0])
                await copy()
            if is_part and self._keeps is None and 0 <= expected <= TWICE_BYTES_MAX:
                await self._learn(copy)
            return expected

        told: dict[str, str] = {}

        async def look(part: str) -> Stat:
            # What is there, and its digest, in one answer.
            with suppress(PeerError):
                found = await self._telling.first(part, wanted, Stat(Kind.FILE, expected, NOT_TOLD), expected)
                if found.checksums:
                    told.update(found.checksums)
                    return found.stat
            return await self._looks.stat(part)

        arrive = self._files.arrive_unseen if is_unseen else self._files.arrive
        return Digest(told, await arrive(path, send, look), frozenset(told))

    async def _learn(self, copy: Callable[[], Awaitable[None]]) -> None:
        """Once for a door: whether the same copy, asked for again, is refused because there is a file by now."""
        if self._learning.locked():
            return
        async with self._learning:
            self._keeps = False
            try:
                await copy()
            except AlreadyThere:
                self._keeps = True

    async def _is_there(self, path: str) -> bool:
        try:
            await self._looks.stat(path)
        except NotThere:
            return False
        return True

    async def _size_of_source(self, source: FarFile, place: str) -> int:
        try:
            return await self._far_size(source, place)
        except NotAFile:
            raise
        except (BadInput, OperatorError, PeerError):
            return NOT_TOLD  # Only the storage gets there.

    async def push(self, path: str, destination: FarFile, progress: Progress | None) -> None:
        """Let the storage send the file ``path``. Storages replace what is there, told so or not: so we look first."""
        place = self._door.place(path)
        stat = await self._files.file(path)
        try:
            await self._far_size(destination, place)
        except NotThere:
            pass
        else:
            raise AlreadyThere("something is at the destination already", place=place)
        headers = {"Destination": _address(destination, place), "Overwrite": "F"}
        headers |= self._credentials(destination, place)
        await self._copy(path, headers, destination, place, stat.size, progress, lambda: None, _NO_PUSH)
        try:
            arrived = await self._far_size(destination, place)
        except NotThere:
            raise NotKept("the storage says that it has sent the file, and it is not there", place=place) from None
        if arrived not in (stat.size, NOT_TOLD):
            raise PeerError(f"{arrived} of {stat.size} bytes have arrived at the destination", place=place)

    async def _copy(
        self,
        path: str,
        headers: dict[str, str],
        far: FarFile,
        place: str,
        size: int,
        progress: Progress | None,
        begun: Callable[[], None],
        unsupported: frozenset[int],
    ) -> None:
        own_token = (await self._door.authorization()).get("Authorization", "").removeprefix("Bearer ")
        async with self._door.ask("COPY", path, headers={**headers, "Credential": "none"}) as reply:
            if reply.status in unsupported:
                raise Unsupported("this server copies nothing from or to others", place=place)
            if reply.status not in _BEGUN:
                raise self._door.refusal(reply, path)
            begun()
            last = await markers.followed(reply, place, size=size, limit_s=self._door.silence_s, progress=progress)
        if last.lower().startswith("success"):
            return
        if not last.lower().startswith("failure"):
            if "Destination" in headers and reply.status == _DONE and reply.content_length is not None:
                return
            raise PeerError("the storage broke off before it said how the copy ended", place=place)
        raise markers.failure(last, far, own_token, place)

    def _credentials(self, far: FarFile, place: str) -> dict[str, str]:
        if not far.token:
            return {}
        if not (self._door.root.origin.startswith("https:") and _address(far, place).startswith("https:")):
            raise OperatorError("a token is handed on over https only", place=place, hint="use the https doors")
        return {"TransferHeaderAuthorization": f"Bearer {far.token}"}

    async def _far_size(self, far: FarFile, place: str) -> int:
        """How many bytes the other storage has; NOT_TOLD if it does not say, NotThere if it has none, NotAFile."""
        url = _address(far, place)
        headers = {**XML, "Depth": "0"}
        async with self._door.ask_elsewhere(
            "PROPFIND", url, token=far.token, headers=headers, body=PROPERTIES, place=place
        ) as reply:
            if reply.status == MULTISTATUS:
                return await _size_told(reply, place)
            if reply.status == 404:
                raise NotThere("the other storage has no such file", place=place)
        async with self._door.ask_elsewhere("HEAD", url, token=far.token, headers={}, body=b"", place=place) as reply:
            if reply.status == 200:
                return webdav_members.size_of(reply.headers.get("Content-Length", ""))
            raise _of_the_other(self._door.refusal(reply, ""), place)


async def _size_told(reply: Reply, place: str) -> int:
    members = await few(reply.content.iter_any(), place)
    if len(members) != 1:
        return NOT_TOLD
    (member,) = members
    if member.status == NOT_FOUND:
        raise NotThere("the other storage has no such file", place=place)
    if member.status != OK or not member.typed:
        return NOT_TOLD
    stat = webdav_members.stat_of(member)
    if stat.kind is not Kind.FILE:
        raise NotAFile("what the other storage has is no file", place=place)
    return stat.size


def _of_the_other(error: HoldfastError, place: str) -> HoldfastError:
    return type(error)(f"the other storage cannot be looked at: {error.message}", place=place)


def _address(far: FarFile, place: str) -> str:
    """The address of a far file in http or https; Unsupported if it has none."""
    scheme, mark, rest = far.url.partition("://")
    known = SCHEMES.get(scheme.lower())
    if known is None or not mark or not rest or not rest.isprintable() or not rest.isascii():
        raise Unsupported("the other storage is not reached over http or https", place=place)
    return f"{known}://{rest}"
