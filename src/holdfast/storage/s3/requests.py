"""S3Client: signed requests to one bucket, and what becomes of them.

Listing and looking need more than the clients of object stores at hand give:
keys that such a client cannot name make its whole listing fail or come back
altered, and codes of errors, digests and counts do not come back at all. So
requests are made here, over aiohttp.

Rules
  * One request at a time goes over a connection; at most ``CALLS_MAX`` are on
    their way.
  * Nothing is followed: a redirect is an error. What was signed for one host
    is shown to no other.
  * Nothing is asked twice, but where a kept connection turns out to be closed.
  * Silence of ``call_timeout_s`` ends a request, in either direction; a large
    body that moves may take as long as it takes.
  * "200 OK" with an error in it is that error.
  * A body that ends early, and whatever is no HTTP, is PeerError.
  * No header, query or signature is in any error.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import aiohttp
from aiohttp.payload import Payload
from yarl import URL

from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import BrokenInvariant, HoldfastError, OperatorError, PeerError
from holdfast.storage.access import Access
from holdfast.storage.s3 import replies as s3_replies
from holdfast.storage.s3.door import S3Door, encode
from holdfast.storage.s3.errors import meaning
from holdfast.storage.s3.signing import EMPTY_SHA256, signed_headers

CALLS_MAX = 256
REPLY_BYTES_MAX = 8 << 20
"""A page of a listing has at most 1,000 keys of 1,024 bytes, tripled by their encoding, and what is said of each."""

_PIECE_BYTES = 256 << 10
_HASHED_AT_ONCE = 1 << 20


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Streaming:
    """An answer whose body is still to come."""

    def __init__(self, response: aiohttp.ClientResponse, silence_s: float) -> None:
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._silence_s = silence_s

    async def next(self) -> bytes:
        """Some more bytes; b"" at the end."""
        with _far_side(self._silence_s):
            async with asyncio.timeout(self._silence_s):
                return await self._response.content.readany()


class S3Client:
    """Everybody's requests to the bucket of one door. Made inside a running event loop."""

    def __init__(self, door: S3Door, access: Access, *, clock: Clock = system_clock) -> None:
        self._door = door
        self._access = access
        self._clock = clock
        self._base = URL(door.base, encoded=True)
        self._slots = asyncio.Semaphore(CALLS_MAX)
        self._silence_s = access.settings.call_timeout_s
        self._secrets: tuple[str, ...] = ()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=access.settings.connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=1 << 20,
            # What an object was stored as is what it is read as.
            headers={"Accept-Encoding": "identity", "User-Agent": "holdfast"},
        )

    @property
    def door(self) -> S3Door:
        """Where its requests go."""
        return self._door

    async def call(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        body_sha256: str = "",
        place: str,
    ) -> Reply:
        """The whole answer to one request for an object, or for the bucket itself if there is no key."""
        digest = body_sha256 or await _sha256(body)
        async with self._sent(method, key, query or {}, headers or {}, body, digest, place) as response:
            data = await self._whole(response)
            if response.status >= 300 or s3_replies.is_complaint(data):
                raise self._refusal(response, data, method)
            return Reply(response.status, response.headers, data)

    @asynccontextmanager
    async def open(self, key: str, *, place: str) -> AsyncIterator[Streaming]:
        """An object's headers, and then its bytes."""
        async with self._sent("GET", key, {}, {}, b"", EMPTY_SHA256, place) as response:
            if response.status >= 300:
                raise self._refusal(response, await self._whole(response), "GET")
            yield Streaming(response, self._silence_s)

    def require_open(self) -> None:
        """BrokenInvariant after ``close``."""
        if self._session.closed:
            raise BrokenInvariant("the driver has been closed")

    async def close(self) -> None:
        """Let go of all connections."""
        await self._session.close()

    @asynccontextmanager
    async def _sent(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        digest: str,
        place: str,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._slots:
                response = await self._ask(method, key, query, headers, body, digest)
                try:
                    yield response
                finally:
                    # What was not read to its end is not worth waiting for: the connection goes with it.
                    response.release() if response.content.at_eof() else response.close()
        except HoldfastError as error:
            error.place = error.place or place
            raise

    async def _ask(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, digest: str
    ) -> aiohttp.ClientResponse:
        self.require_open()
        # Credentials first, and outside of any time limit of the call: renewing them may take its time.
        keys = await self._access.keys()
        if keys:
            self._secrets = (keys.access_key_id, keys.secret_access_key, *filter(None, [keys.session_token]))
        tls: Any = await self._access.tls() if self._door.secure else True
        path = f"{self._base.raw_path.rstrip('/')}/{encode(key, keep='/')}"
        asked = "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(query.items()))
        signed = signed_headers(
            keys,
            method=method,
            host=self._base.raw_authority,
            path=path,
            query=asked,
            headers=headers,
            body_sha256=digest,
            region=self._door.region,
            at_us=self._clock(),
        )
        url = URL(f"{self._base.scheme}://{self._base.raw_authority}{path}{'?' if asked else ''}{asked}", encoded=True)
        with _far_side(self._silence_s):
            async with asyncio.timeout(self._silence_s) as limit:
                loop = asyncio.get_running_loop()

                def moves() -> None:
                    limit.reschedule(loop.time() + self._silence_s)

                sent = _Body(body, moves) if body else None
                return await self._session.request(
                    method, url, headers=signed, data=sent, ssl=tls, allow_redirects=False
                )

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        stream = Streaming(response, self._silence_s)
        pieces: list[bytes] = []
        size = 0
        while piece := await stream.next():
            size += len(piece)
            if size > REPLY_BYTES_MAX:
                raise PeerError(f"the answer is longer than {REPLY_BYTES_MAX} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _refusal(self, response: aiohttp.ClientResponse, data: bytes, method: str) -> HoldfastError:
        # Some stores repeat what we are known by.
        return meaning(response.status, s3_replies.complaint(data, self._secrets), method=method)


class _Body(Payload):
    """Bytes to send; ``moves`` hears of every piece that the connection has taken."""

    _autoclose = True

    def __init__(self, data: bytes, moves: Callable[[], None]) -> None:
        super().__init__(data, content_type="application/octet-stream")
        self._size = len(data)
        self._moves = moves

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """As text; nobody asks for it."""
        data: bytes = self._value
        return data.decode(encoding, errors)

    async def write(self, writer: Any) -> None:
        """Send all of it, piece by piece."""
        view = memoryview(self._value)
        for start in range(0, len(view), _PIECE_BYTES):
            await writer.write(view[start : start + _PIECE_BYTES])
            self._moves()


@contextmanager
def _far_side(silence_s: float) -> Iterator[None]:
    """Errors of the way there as errors of the peer."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise OperatorError(
            f"the storage's certificate is not trusted: {error.certificate_error}",
            hint="set the authorities of the site in holdfast.toml",
        ) from error
    except TimeoutError as error:
        # aiohttp's own time-outs come through here too.
        what = str(error) if isinstance(error, aiohttp.ClientError) else f"not a byte for {silence_s:g} s"
        raise PeerError(f"the storage is silent: {what}") from error
    except aiohttp.ClientPayloadError as error:
        raise PeerError("the answer broke off") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PeerError(f"the storage cannot be reached or understood: {_words(error)}") from error


def _words(error: Exception) -> str:
    """The cause in one short line; never a URL, which some errors of aiohttp show."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "nobody knows the name of the host"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number).lower() if number and number > 0 else "no connection"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed"
    if isinstance(error, aiohttp.ClientResponseError):
        return "what came back is no HTTP"
    return " ".join(type(error).__name__.split())


async def _sha256(data: bytes) -> str:
    if not data:
        return EMPTY_SHA256
    if len(data) < _HASHED_AT_ONCE:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
