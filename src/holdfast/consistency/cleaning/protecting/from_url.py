"""UrlSource: protected paths from a web server.

Rules
  * Only the answer 200 counts. Redirections are not followed: what is behind
    them may be a log-in page, or nobody's list.
  * The whole list comes in time and within its size; a server that does not say
    where its answer ends could have broken off anywhere, and is not believed.
  * Certificate and name of the server are always verified, by the authorities
    that are configured. Neither proxy nor token is shown without TLS.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import aiohttp

from holdfast.consistency.cleaning.protecting import lists
from holdfast.consistency.cleaning.protecting.lists import NotBelieved
from holdfast.model.errors import HoldfastError, OperatorError, PeerError
from holdfast.storage.access import Access
from holdfast.storage.connector import Connector

_OK = 200
_REDIRECTIONS = range(300, 400)
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class UrlSource:
    """What a GET of ``url`` gives within ``limit_s``, at most ``bytes_max``."""

    url: str
    access: Access
    limit_s: float
    bytes_max: int
    key: str

    @property
    def name(self) -> str:
        """The address; there is no secret in it."""
        return self.url

    async def paths(self, site: str) -> tuple[str, ...]:
        """What the server says; it is not told for which site, and lists that are too long do no harm."""
        try:
            data = await self._get()
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            raise PeerError(f"gave no whole list within {self.limit_s:g} s") from error
        # yarl and aiohttp call addresses and headers that make no sense ValueError.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _broken(error) from error
        return lists.parse(data, key=self.key)

    async def _get(self) -> bytes:
        is_secure = self.url.startswith("https:")
        context = await self.access.tls() if is_secure else True
        token = await self.access.token() if is_secure else ""
        headers = {
            "Accept": "application/json, text/plain;q=0.9",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        async with (
            aiohttp.ClientSession(
                connector=Connector(ssl=context, force_close=True),
                timeout=aiohttp.ClientTimeout(total=self.limit_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.get(self.url, headers=headers, allow_redirects=False) as reply,
        ):
            self._check(reply)
            data = bytearray()
            async for piece in reply.content.iter_chunked(_PIECE_BYTES):
                data += piece
                if len(data) > self.bytes_max:
                    raise NotBelieved(f"sends more than protected_size_max, {self.bytes_max:,} bytes")
            return bytes(data)

    def _check(self, reply: aiohttp.ClientResponse) -> None:
        if reply.status in _REDIRECTIONS:
            hint = "redirections are not followed; set protected_url to the address of the list itself"
            raise PeerError(f"answered {reply.status} and leads elsewhere", hint=hint)
        if reply.status != _OK:
            raise PeerError(f"answered {reply.status}")
        if reply.content_type in ("text/html", "application/xhtml+xml"):
            raise NotBelieved("sends a web page, and not a list", hint="look at it with a browser: a log-in page?")
        is_chunked = reply.headers.get("Transfer-Encoding", "").lower() == "chunked"
        if reply.content_length is None and not is_chunked:
            raise NotBelieved("does not say where its list ends")


def _broken(error: Exception) -> HoldfastError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return OperatorError("its certificate is not to be trusted", hint="look at protected_authorities")
    if isinstance(error, aiohttp.ClientPayloadError):
        return PeerError("its list breaks off")
    if isinstance(error, aiohttp.ClientConnectorError):
        return PeerError(f"cannot be reached: {(error.os_error.strerror or type(error).__name__).lower()}")
    return PeerError(f"gave no answer that makes sense ({type(error).__name__})")
