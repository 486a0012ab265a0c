"""Copies from one storage to another over HTTP, past us (third-party copy).

The storage that is asked by COPY fetches (header ``Source``) or sends (header
``Destination``), and tells how far it is in *performance markers*:

    Perf Marker
    Stripe Index: 0
    Stripe Bytes Transferred: 1048576
    Total Stripe Count: 1
    End
    success: Created          or          failure: why

Rules
  * The status says only that it began. It has succeeded if the last line begins
    with ``success``; an answer that ends otherwise is PeerError.
  * Success is believed when the file is there with all its bytes.
  * What is fetched travels under a part's name like any other new file, so that
    whatever a failure leaves behind is ours and is removed.
  * The token for the other storage is handed on only over https. Of the
    storage's words errors have one line, without addresses, queries, the tokens
    that were used, and whatever else looks like a secret.
  * Where nobody says how many bytes there must be, no bytes are no file.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote

from holdfast.model.errors import BadInput, HoldfastError, OperatorError, PeerError
from holdfast.storage.driver import (
    NOT_TOLD,
    AlreadyThere,
    FarFile,
    Kind,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    Unsupported,
)
from holdfast.storage.webdav import members as webdav_members
from holdfast.storage.webdav.door import SCHEMES, Door, Reply
from holdfast.storage.webdav.files import Files, Part
from holdfast.storage.webdav.habits import MULTISTATUS, XML
from holdfast.storage.webdav.looks import Looks
from holdfast.storage.webdav.propfind import NOT_FOUND, OK, PROPERTIES, few

LINE_BYTES_MAX = 1 << 16
WORDS_MAX = 200
HIDDEN_CHARS_MIN = 4
"""What is shorter is no secret, and in many a word."""

_BEGUN = frozenset({200, 201, 202})
_BYTES = re.compile(rb"\s*Stripe Bytes Transferred:\s*(\d{1,19})\s*\Z")
_STRIPE = re.compile(rb"\s*Stripe Index:\s*(\d{1,6})\s*\Z")
_STATUS = re.compile(r"status(?: code)?:? (\d{3})\b")
_SECRETS = re.compile(r"(?i)[a-z][a-z0-9+.\-]*://\S*|\?\S*|bearer\s+\S+|[A-Za-z0-9_\-]{40,}(?:\.[A-Za-z0-9_\-]+)*")

Progress = Callable[[int], None] | None
MakeDirectory = Callable[[str], Awaitable[None]]


class Copies:
    """Copies that the storage behind one door makes."""

    def __init__(self, door: Door, looks: Looks, files: Files) -> None:
        self._door = door
        self._looks = looks
        self._files = files

    async def pull(self, path: str, source: FarFile, make_directory: MakeDirectory, progress: Progress) -> Stat:
        """Let the storage fetch ``source``."""
        place = self._door.place(path)
        await self._files.require_free(path, make_directory)
        headers = {"Source": _address(source, place), "Overwrite": "F", **self._credentials(source, place)}
        try:
            size = await self._far_size(source, place)
        except NotAFile:
            raise
        except (BadInput, OperatorError, PeerError):
            size = NOT_TOLD  # Only the storage gets there.

        async def send(part: Part) -> int:
            def begun() -> None:
                part.made = True

            await self._copy(part.path, headers, source, place, progress, begun, frozenset({400, 405, 501}))
            return size

        return await self._files.arrive(path, send)

    async def push(self, path: str, destination: FarFile, progress: Progress) -> None:
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
        await self._copy(path, headers, destination, place, progress, lambda: None, frozenset({405, 501, 502}))
        try:
            arrived = await self._far_size(destination, place)
        except NotThere:
            raise PeerError("the storage says that it has sent the file, and it is not there", place=place) from None
        if arrived not in (stat.size, NOT_TOLD):
            raise PeerError(f"{arrived} of {stat.size} bytes have arrived at the destination", place=place)

    async def _copy(
        self,
        path: str,
        headers: dict[str, str],
        far: FarFile,
        place: str,
        progress: Progress,
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
            last = await _followed(reply, progress, place)
        if last.lower().startswith("success"):
            return
        if not last.lower().startswith("failure"):
            raise PeerError("the storage broke off before it said how the copy ended", place=place)
        raise _failure(_stripped(last, far, own_token), place)

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


async def _followed(reply: Reply, progress: Progress, place: str) -> str:
    """The last line of the answer that says something; ``progress`` hears what the markers say."""
    done: dict[int, int] = {}
    stripe, last, held = 0, b"", b""
    async for data in reply.content.iter_any():
        *lines, held = (held + data).split(b"\n")
        for line in lines:
            last = line.strip() or last
            if found := _STRIPE.match(line):
                stripe = int(found[1])
            elif found := _BYTES.match(line):
                done[stripe] = int(found[1])
                if progress is not None:
                    progress(sum(done.values()))
        if len(held) > LINE_BYTES_MAX or len(done) > LINE_BYTES_MAX:
            raise PeerError("the storage tells of the copy in lines without end", place=place)
    return (held.strip() or last).decode(errors="replace")


def _stripped(words: str, far: FarFile, own_token: str) -> str:
    """``words`` without what nobody is to see: the address of the far file and its parts, and the tokens."""
    address = far.url.partition("://")[2]
    path, _, query = address.partition("?")
    hidden = {far.url, address, path.partition("/")[2], query, far.token, own_token}
    hidden |= {pair.partition("=")[2] for pair in query.split("&")}
    hidden |= {change(each) for each in hidden for change in (unquote, quote, lambda text: quote(text, safe=""))}
    for each in sorted(hidden, key=len, reverse=True):
        if len(each) >= HIDDEN_CHARS_MIN or (each and each in (far.token, own_token)):
            words = words.replace(each, "...")
    return words


def _failure(words: str, place: str) -> HoldfastError:
    """What the last line says that went wrong; the status of the other side, where it is named, decides the family."""
    found = _STATUS.search(words)
    shown = _SECRETS.sub("...", "".join(each if each.isprintable() else " " for each in words))[:WORDS_MAX]
    family = {"404": NotThere, "401": NotAllowed, "403": NotAllowed}.get(found[1] if found else "", PeerError)
    return family(f"the copy between storages failed: {shown}", place=place)


def _of_the_other(error: HoldfastError, place: str) -> HoldfastError:
    return type(error)(f"the other storage cannot be looked at: {error.message}", place=place)


def _address(far: FarFile, place: str) -> str:
    """The address of a far file in http or https; Unsupported if it has none."""
    scheme, mark, rest = far.url.partition("://")
    known = SCHEMES.get(scheme.lower())
    if known is None or not mark or not rest or not rest.isprintable() or not rest.isascii():
        raise Unsupported("the other storage is not reached over http or https", place=place)
    return f"{known}://{rest}"
