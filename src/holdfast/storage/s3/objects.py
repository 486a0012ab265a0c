"""S3Objects: looking at what is in a bucket, and reading it; what else does needs this first.

Rules
  * That an object is not there is believed if two different questions say so.
  * Digests are believed if they are of the whole object's bytes: an ETag only
    where the door says that it is an MD5.
  * Whoever is told that something is refused, or is no object, finds ``place``
    in the error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache

from holdfast.model.errors import InvalidName, OperatorError, PeerError
from holdfast.storage import told
from holdfast.storage.driver import (
    CHUNK_BYTES,
    AlreadyThere,
    ChangedWhileRead,
    Kind,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    Unsupported,
)
from holdfast.storage.s3 import replies as s3_replies
from holdfast.storage.s3.door import S3Door
from holdfast.storage.s3.listing import DIRECTORY
from holdfast.storage.s3.prefix import Course, Prefix
from holdfast.storage.s3.ranges import KeyRange
from holdfast.storage.s3.replies import SECOND_NS, Page
from holdfast.storage.s3.requests import S3Client, Streaming

TOLD = frozenset({"crc32c", "sha256"})
"""Algorithms of which stores keep digests."""

_NO_MD5 = ("x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-customer-algorithm")


class S3Objects:
    """The objects of one door. ``place`` is how errors name what was asked for."""

    def __init__(self, client: S3Client, door: S3Door) -> None:
        self._client = client
        self._door = door

    def key(self, path: str, place: str) -> str:
        """The key of a file; InvalidName if that is longer than keys may be."""
        try:
            return self._door.key(path)
        except InvalidName as error:
            error.place = place
            raise

    def below(self, path: str, place: str) -> Prefix:
        """The keys below a directory."""
        return Prefix(self._client, self._door.keys_below(path), place)

    async def first(self, path: str, place: str, keys_max: int = 1) -> Page:
        """The first few of what is below a directory."""
        below = self.below(path, place)
        course = Course(below)
        page = course.checked(await below.page(KeyRange(), keys_max=keys_max))
        # A page may be empty and yet not the last: what was deleted lately is passed over, a thousand keys at a time.
        while page.more is not None and not (page.objects or page.prefixes):
            page = course.checked(await below.page(KeyRange(), page.more, keys_max=keys_max))
        return page

    async def look(
        self, path: str, place: str, headers: Mapping[str, str] | None = None
    ) -> tuple[Stat, Mapping[str, str]]:
        """What an object is, with all that the store says of it; what a prefix is."""
        try:
            reply = await self._client.call("HEAD", self.key(path, place), headers=headers, place=place)
        except (NotThere, NotAllowed, OperatorError, Unsupported) as error:
            # HEAD has no body to say more. A listing has, and shows whether this is a prefix.
            if await self.is_directory(path, place) and isinstance(error, NotThere):
                return DIRECTORY, {}
            raise
        try:
            return _stat_of(reply.headers), reply.headers
        except PeerError as error:
            error.place = place
            raise

    async def is_directory(self, path: str, place: str) -> bool:
        """Whether any key lies below."""
        page = await self.first(path, place)
        return bool(page.objects or page.prefixes)

    async def require_object(
        self, path: str, place: str, headers: Mapping[str, str] | None = None
    ) -> tuple[Stat, Mapping[str, str]]:
        """The same of an object; NotAFile if it is none."""
        stat, said = (DIRECTORY, {}) if path == "/" else await self.look(path, place, headers)
        if stat.kind is not Kind.FILE:
            raise NotAFile("is a directory", place=place)
        return stat, said

    async def refuse_nothing(self, path: str, place: str) -> None:
        """Nothing is below ``path``: it may be an object, or not be there at all."""
        stat, _ = await self.look(path, place)
        if stat.kind is Kind.FILE:
            raise NotADirectory("is a file", place=place)

    async def refuse_taken(self, path: str, place: str) -> None:
        """AlreadyThere if an object or a prefix has that name."""
        if path != "/":
            try:
                await self.look(path, place)
            except NotThere:
                return
        raise AlreadyThere("is there already", place=place)

    async def refuse_object(self, path: str, place: str) -> None:
        """AlreadyThere if an object has that name: one question, for whoever has looked for prefixes before."""
        try:
            await self._client.call("HEAD", self.key(path, place), place=place)
        except NotThere:
            return
        raise AlreadyThere("is there already", place=place)

    async def refuse_directory(self, path: str, place: str) -> None:
        """NotAFile if only a prefix has that name."""
        try:
            await self.require_object(path, place)
        except NotThere:
            return

    async def read(self, path: str, place: str, expected: Stat | None) -> AsyncIterator[bytes]:
        """The bytes of an object, of the ``expected`` one if given; ChangedWhileRead if it does not stay the same."""
        if path == "/":
            raise NotAFile("is a directory", place=place)
        try:
            async with self._client.open(self.key(path, place), place=place) as streaming:
                stat = _stat_of(streaming.headers)
                if expected is not None and not stat.is_still(expected):
                    raise ChangedWhileRead("is not the file any more that was looked at")
                async for chunk in _chunks(streaming, stat.size):
                    yield chunk
        except NotThere as error:
            await self.require_object(path, place)
            raise ChangedWhileRead("was not there a moment ago", place=place) from error
        # What came in one piece cannot have changed in between.
        if stat.size > CHUNK_BYTES:
            await self.require_same(path, place, stat)

    async def require_same(self, path: str, place: str, stat: Stat) -> None:
        """ChangedWhileRead unless it is still what was said of it."""
        try:
            now, _ = await self.look(path, place)
        except NotThere as error:
            raise ChangedWhileRead("was removed meanwhile", place=place) from error
        if not now.is_still(stat):
            raise ChangedWhileRead("is not what it was a moment ago", place=place)

    def told(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The digests of the whole object's bytes that a reply tells."""
        known: dict[str, str] = {}
        if headers.get("x-amz-checksum-type", "FULL_OBJECT") == "FULL_OBJECT":
            for name in TOLD:
                known |= told.from_base64(name, headers.get(f"x-amz-checksum-{name}", "")).checksums
        if self._door.etag_is_md5 and not any(name in headers for name in _NO_MD5):
            known |= told.from_hex("md5", s3_replies.etag(headers.get("ETag"))).checksums
        return known


async def _chunks(streaming: Streaming, size: int) -> AsyncIterator[bytes]:
    """The body in pieces of CHUNK_BYTES and a little more; PeerError if it ends early."""
    held: list[bytes] = []
    ready = done = 0
    while piece := await streaming.next():
        held.append(piece)
        ready += len(piece)
        if ready >= CHUNK_BYTES:
            yield b"".join(held)
            held, done, ready = [], done + ready, 0
    if done + ready != size:
        raise PeerError("the answer broke off")
    if held:
        yield b"".join(held)


def _stat_of(headers: Mapping[str, str]) -> Stat:
    size = headers.get("Content-Length", "")
    if not (size.isascii() and size.isdigit()):
        raise PeerError("the storage does not say how large the object is")
    return Stat(Kind.FILE, int(size), _time_ns(headers.get("Last-Modified", "")), s3_replies.etag(headers.get("ETag")))


@lru_cache(maxsize=1024)
def _time_ns(text: str) -> int:
    try:
        return int(parsedate_to_datetime(text).timestamp()) * SECOND_NS
    except (TypeError, ValueError, OverflowError):
        raise PeerError(f"{text[:40]!r} is no time") from None
