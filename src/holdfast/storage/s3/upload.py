"""Making objects: in one piece, in parts, or as a copy of another.

Nothing is to be seen of an object before it is whole: that is how object
stores are. What is uploaded in parts is bound together at the end, or given up
with all its parts.

Rules
  * A new object replaces none: the store is asked to see to that, and is looked
    at right before all the same, since some pass over the question. Of several
    in one process exactly one succeeds, whatever the store.
  * Every body is signed with its SHA-256, which the store checks; that of an
    object in one piece is handed over as its checksum too, to be told later.
  * A failure on our side, a cancellation included, gives up the upload; if even
    that fails, the parts stay in the store, unseen, for its own housekeeping.
  * Bounded memory: three parts at most.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.driver import Unsupported
from holdfast.storage.s3 import replies as s3_replies
from holdfast.storage.s3.door import encode
from holdfast.storage.s3.requests import Reply, S3Client

PARTS_OF_ONE_SIZE = 250
PART_BYTES_MAX = 512 << 20
COPY_BYTES_MAX = 1 << 30
"""More than that is copied in pieces of it: the store copies each within a call's time limit."""
NEW = {"if-none-match": "*"}

_AT_ONCE = 2

Call = Callable[[Mapping[str, str]], Awaitable[Reply]]
"""A request that is given some more headers."""


@dataclass(frozen=True, slots=True)
class NewName:
    """A key that a new object is to have, and none that is there already."""

    refuse: Callable[[], Awaitable[None]]
    """Raises AlreadyThere if the key is taken."""
    turn: asyncio.Lock
    """Held by whoever of this process is about to take the key: some stores decide races wrongly."""
    conditional: bool = True
    """Whether the store is asked to replace nothing."""

    async def take(self, call: Call, wish: Mapping[str, str] | None = None) -> Reply:
        """Make the request by which the object gets its key, with further headers if the store can do with them."""
        async with self.turn:
            await self.refuse()
            if not self.conditional:
                return await call({})
            with suppress(Unsupported):
                return await call({**(wish or {}), **NEW})
            await self.refuse()
            return await call({})


class Sent(NamedTuple):
    """What the store has acknowledged of a new object."""

    etag: str
    size: int
    """How many bytes were sent."""
    in_parts: bool


def part_bytes(number: int, first: int) -> int:
    """How large the part of that number (from 0) is: parts are few, and how long the stream will be nobody knows."""
    return min(first << number // PARTS_OF_ONE_SIZE, max(first, PART_BYTES_MAX))


async def upload(client: S3Client, key: str, chunks: AsyncIterable[bytes], *, name: NewName, place: str) -> Sent:
    """Make a new object of a stream."""
    pieces = _pieces(chunks, client.door.part_bytes)
    data = await anext(pieces)
    following = await anext(pieces, b"")
    if not following:
        return Sent(await _put(client, key, data, name, place), len(data), in_parts=False)
    size = 0
    async with _Multipart(client, key, place) as parts:
        while data:
            size += len(data)
            await parts.add(data)
            data, following = following, await anext(pieces, b"") if following else b""
        return Sent(await parts.complete(name), size, in_parts=True)


async def copy(
    client: S3Client, source: str, target: str, *, etag: str, size: int, name: NewName | None, place: str
) -> None:
    """Let the store copy an object, if it is still that one; without a ``name`` over whatever is there."""
    headers = {"x-amz-copy-source": f"/{encode(client.door.bucket)}/{encode(source, keep='/')}"}
    if etag:
        headers["x-amz-copy-source-if-match"] = f'"{etag}"'
    if size <= COPY_BYTES_MAX:

        async def put(more: Mapping[str, str]) -> Reply:
            return await client.call("PUT", target, headers={**headers, **more}, place=place)

        reply = await (name.take(put) if name else put({}))
        s3_replies.receipt(reply.body, "CopyObjectResult", "ETag")
        return
    async with _Multipart(client, target, place) as parts:
        for start in range(0, size, COPY_BYTES_MAX):
            end = min(start + COPY_BYTES_MAX, size) - 1
            await parts.add_copy({**headers, "x-amz-copy-source-range": f"bytes={start}-{end}"})
        await parts.complete(name)


async def _put(client: S3Client, key: str, data: bytes, name: NewName, place: str) -> str:
    digest = (await asyncio.to_thread(hashlib.sha256, data)).digest()

    async def put(headers: Mapping[str, str]) -> Reply:
        return await client.call("PUT", key, headers=headers, body=data, body_sha256=digest.hex(), place=place)

    reply = await name.take(put, {"x-amz-checksum-sha256": base64.b64encode(digest).decode()})
    return s3_replies.etag(reply.headers.get("ETag"))


class _Multipart:
    """An upload in parts: either completed within its ``async with``, or given up at the end of it."""

    def __init__(self, client: S3Client, key: str, place: str) -> None:
        self._client = client
        self._key = key
        self._place = place
        self._id = ""
        self._parts: list[asyncio.Task[str]] = []
        self._completed = False

    async def __aenter__(self) -> _Multipart:
        reply = await self._client.call("POST", self._key, query={"uploads": ""}, place=self._place)
        self._id = s3_replies.receipt(reply.body, "InitiateMultipartUploadResult", "UploadId")
        return self

    async def __aexit__(self, *raised: object) -> None:
        if not self._completed:
            # To its end, whatever else is cancelled meanwhile: nobody else knows of these parts.
            giving_up = asyncio.ensure_future(self._give_up())
            try:
                await asyncio.shield(giving_up)
            except asyncio.CancelledError:
                await asyncio.wait([giving_up])
                raise

    async def add(self, data: bytes) -> None:
        """Send the next part, while the one before it may still be on its way."""
        await self._begin(self._send(len(self._parts) + 1, data))

    async def add_copy(self, headers: Mapping[str, str]) -> None:
        """Let the store copy the next part."""
        await self._begin(self._copy(len(self._parts) + 1, headers))

    async def complete(self, name: NewName | None) -> str:
        """Bind the parts together; the ETag of the whole."""
        etags = [await part for part in self._parts]
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()

        async def post(headers: Mapping[str, str]) -> Reply:
            query = {"uploadId": self._id}
            return await self._client.call(
                "POST", self._key, query=query, headers=headers, body=body, place=self._place
            )

        reply = await (name.take(post) if name else post({}))
        etag = s3_replies.receipt(reply.body, "CompleteMultipartUploadResult", "ETag")
        self._completed = True
        return s3_replies.etag(etag)

    async def _begin(self, part: Coroutine[Any, Any, str]) -> None:
        if len(self._parts) >= _AT_ONCE:
            try:
                await self._parts[-_AT_ONCE]
            except BaseException:
                part.close()
                raise
        self._parts.append(asyncio.ensure_future(part))

    async def _send(self, number: int, data: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": self._id}
        reply = await self._client.call("PUT", self._key, query=query, body=data, place=self._place)
        etag = reply.headers.get("ETag")
        if not etag:
            raise PeerError("the storage acknowledged a part without its ETag", place=self._place)
        return etag

    async def _copy(self, number: int, headers: Mapping[str, str]) -> str:
        query = {"partNumber": str(number), "uploadId": self._id}
        reply = await self._client.call("PUT", self._key, query=query, headers=headers, place=self._place)
        return s3_replies.receipt(reply.body, "CopyPartResult", "ETag")

    async def _give_up(self) -> None:
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        with suppress(HoldfastError):
            await self._client.call("DELETE", self._key, query={"uploadId": self._id}, place=self._place)


async def _pieces(chunks: AsyncIterable[bytes], first: int) -> AsyncIterator[bytes]:
    """The stream in pieces of the sizes of parts; at least one, and none but that is empty."""
    held: list[bytes] = []
    size = number = 0
    async for chunk in chunks:
        view = memoryview(chunk)
        while size + len(view) >= (wanted := part_bytes(number, first)):
            taken = wanted - size
            yield b"".join([*held, view[:taken]])
            view, held, size, number = view[taken:], [], 0, number + 1
        if view:
            held.append(bytes(view))
            size += len(view)
    if held or not number:
        yield b"".join(held)
