"""Door: requests to one WebDAV server, with credentials, time limits and redirections.

Rules
  * The token is shown over https only, and only to the host of the door's
    root, whatever its port. A storage that sends us to another host (dCache
    and DPM to their disk servers, XRootD to its data servers) puts what is
    needed there into the address it sends us to; that address is in no error.
    Our certificate is shown where TLS asks for it: that gives nothing away.
  * Redirections are followed REDIRECTIONS_MAX times; to where, says
    ``redirections``.
  * A connection that was closed while it lay idle is no failure: what may be
    asked twice is asked once more, on a fresh one.
  * Names go into addresses byte for byte, everything but letters, digits and
    ``-._~/`` encoded.
  * Nothing waits longer than ``connect_timeout_s`` for a connection, name
    look-up included, and ``call_timeout_s`` for a byte, in either direction;
    nor longer than both together until one of our own connections is free.
  * What is asked while an answer is read goes by connections that no answer of
    that kind holds (``BESIDE``): calls never wait for each other.
  * Bodies are taken as they are: nothing is decompressed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

from holdfast.model import names
from holdfast.model.errors import BadInput, BrokenInvariant, HoldfastError, InvalidName, PeerError
from holdfast.storage.access import Access
from holdfast.storage.connector import Connector
from holdfast.storage.driver import CHUNK_BYTES, NotAllowed
from holdfast.storage.webdav import errors as webdav_errors
from holdfast.storage.webdav import redirections as webdav_redirections
from holdfast.storage.webdav.body import Body
from holdfast.storage.webdav.errors import Disconnected

CONNECTIONS_MAX = 256
REDIRECTIONS_MAX = 5

Reply = aiohttp.ClientResponse


class By(Enum):
    """Which connections a request goes by."""

    KEPT = "connections that are kept"
    FRESH = "a connection of its own"
    BESIDE = "a connection of its own, for what is asked while another answer may still be read"


SCHEMES = {"http": "http", "dav": "http", "https": "https", "davs": "https"}
"""What the protocols of WebDAV are on the wire."""

_HEADER_BYTES_MAX = 1 << 16
_DRAINED_BYTES_MAX = 1 << 16
_TWICE = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "MKCOL"})
"""Methods that change nothing, or nothing more when they are asked twice."""

# What goes wrong on the way, in whatever part of aiohttp.
_TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)
# yarl and aiohttp call addresses and headers that make no sense ValueError.
_REQUEST_ERRORS = (*_TRANSPORT_ERRORS, ValueError)


@dataclass(frozen=True, slots=True)
class Root:
    """Where a door is: ``origin`` as in https://host:port, ``path`` the decoded path of its root."""

    origin: str
    path: str

    def path_of(self, path: str) -> str:
        """The server's path of a path of ours."""
        if path == "/":
            return self.path
        return path if self.path == "/" else self.path + path


def root_of(url: str, *, site: str = "") -> Root:
    """The root that a door's URL names; BadInput if it names none."""
    try:
        parts = urlsplit(url)
        path = "/" + "/".join(filter(None, unquote(parts.path, errors="strict").split("/")))
        scheme, host, port = SCHEMES.get(parts.scheme.lower()), parts.hostname, parts.port
        names.directory(path)
    except (ValueError, InvalidName) as error:
        raise BadInput(f"the root is no URL of a directory: {error}", place=site, hint=_HINT) from error
    if scheme is None or not host or parts.query or parts.fragment:
        raise BadInput("the root is no URL of a directory", place=site, hint=_HINT)
    if parts.username is not None or parts.password is not None:
        raise BadInput("the root has a user or a password in it", place=site, hint="name a token or proxy instead")
    host = f"[{host}]" if ":" in host else host
    return Root(f"{scheme}://{host}:{port or (443 if scheme == 'https' else 80)}", path)


_HINT = "write https://host:port/directory, or http, dav, davs"


class _Resolver(AbstractResolver):
    """The system's, with an end."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._resolver = DefaultResolver()

    async def resolve(self, *args: object, **kwargs: object) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._resolver.resolve(*args, **kwargs)  # type: ignore[arg-type]
        except TimeoutError as error:
            raise OSError(None, "the name server is silent") from error

    async def close(self) -> None:
        await self._resolver.close()


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked, wherever the server sends us with it."""

    method: str
    headers: Mapping[str, str]
    body: Body | bytes | None
    by: By
    silence_s: float


class WebDavDoor:
    """See the module's docstring."""

    def __init__(self, root: Root, access: Access, *, label: str) -> None:
        self.root = root
        self.label = label
        self._access = access
        self._origin = URL(root.origin)
        self.silence_s = access.settings.call_timeout_s
        self._sends_elsewhere = False
        self._sessions = {By.KEPT: self._make_session(force_close=False)}

    def _make_session(self, *, force_close: bool) -> aiohttp.ClientSession:
        settings = self._access.settings
        connector = Connector(
            limit=CONNECTIONS_MAX, force_close=force_close, resolver=_Resolver(settings.connect_timeout_s)
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout(self.silence_s),
            headers={"Accept-Encoding": "identity", "User-Agent": "holdfast"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_HEADER_BYTES_MAX,
            max_field_size=_HEADER_BYTES_MAX,
            read_bufsize=CHUNK_BYTES // 4,
        )

    async def close(self) -> None:
        """Let go of all connections; calling twice does no harm."""
        for session in list(self._sessions.values()):
            await session.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._sessions[By.KEPT].closed

    def place(self, path: str) -> str:
        """How errors name a path of ours."""
        return f"{self.label}:{path}"

    def url(self, path: str) -> str:
        """The address of a path of ours."""
        return self.root.origin + encoded(self.root.path_of(path))

    async def authorization(self, url: URL | None = None) -> dict[str, str]:
        """The header that shows our token to ``url``, the door's own host by default; empty where it is not shown."""
        url = url or self._origin
        if url.scheme != "https" or self._origin.scheme != "https" or url.host != self._origin.host:
            return {}
        token = await self._access.token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        by: By = By.KEPT,
        silence_s: float | None = None,
    ) -> AsyncIterator[Reply]:
        """The reply to one request, whatever its status; what breaks while it is read becomes our error, too.

        ``silence_s``: how long to wait for a byte, where that is longer than for any other request.
        """
        place = self.place(path)
        request = _Request(method, dict(headers or {}), body, by, self.silence_s if silence_s is None else silence_s)
        reply = await self._followed(request, URL(self.url(path), encoded=True), place)
        try:
            yield reply
            await self._drain(reply)
        except _TRANSPORT_ERRORS as error:
            reply.close()
            raise webdav_errors.broken(error, place=place, silence_s=request.silence_s) from error
        finally:
            # Gives the connection back if all was read, else ends it: nobody reads on for somebody who went away.
            reply.release()

    @asynccontextmanager
    async def ask_elsewhere(
        self, method: str, url: str, *, token: str, headers: Mapping[str, str], body: bytes, place: str
    ) -> AsyncIterator[Reply]:
        """The reply of another storage, to which ``token`` is shown, "" for none; redirections are not followed."""
        try:
            target = URL(url, encoded=True)
            shown = {"Authorization": f"Bearer {token}"} if token and target.scheme == "https" else {}
            reply = await self._session_for(By.KEPT).request(
                method,
                target,
                headers={**headers, **shown},
                data=body,
                ssl=await self._access.tls() if target.scheme == "https" else True,
                allow_redirects=False,
            )
        except _REQUEST_ERRORS as error:
            raise webdav_errors.broken(error, place=place, silence_s=self.silence_s) from error
        try:
            yield reply
        except _TRANSPORT_ERRORS as error:
            raise webdav_errors.broken(error, place=place, silence_s=self.silence_s) from error
        finally:
            reply.close()

    def refusal(self, reply: Reply, path: str) -> HoldfastError:
        """What a status that is no success means."""
        error = webdav_errors.meaning(
            reply.method, reply.status, place=self.place(path), retry_after=reply.headers.get("Retry-After", "")
        )
        if isinstance(error, NotAllowed) and self._origin.scheme == "http" and self._access.settings.token:
            error.hint = "tokens are shown over https only"
        return error

    async def _followed(self, request: _Request, url: URL, place: str) -> Reply:
        for count in range(REDIRECTIONS_MAX + 1):
            if isinstance(request.body, Body):
                request.body.patient = self._sends_elsewhere and count == 0
            reply = await self._asked(request, url, place)
            if not webdav_redirections.is_one(request.method, reply.status):
                return reply
            reply.close()
            url = webdav_redirections.target_of(reply, self._origin.host, place)
            self._sends_elsewhere = self._sends_elsewhere or isinstance(request.body, Body)
        raise PeerError(f"the storage sends us on and on, more than {REDIRECTIONS_MAX} times", place=place)

    async def _asked(self, request: _Request, url: URL, place: str) -> Reply:
        """One request; once more if a connection that lay idle turns out to be closed."""
        try:
            return await self._asked_once(request, url, request.by, place)
        except Disconnected:
            if request.method not in _TWICE:
                raise
        if isinstance(request.body, Body):
            # A storage that sends us elsewhere may close the connection while we still write: wait for its answer.
            request.body.patient = True
        return await self._asked_once(request, url, By.FRESH if request.by is By.KEPT else request.by, place)

    async def _asked_once(self, request: _Request, url: URL, by: By, place: str) -> Reply:
        if self.closed:
            raise BrokenInvariant("the driver has been closed", place=place)
        headers = {**request.headers, **await self.authorization(url)}
        if isinstance(request.body, Body):
            headers["Content-Length"] = str(request.body.size)
        try:
            async with asyncio.timeout(None) as limit:
                return await self._session_for(by).request(
                    request.method,
                    url,
                    headers=headers,
                    data=self._data(request.body, limit),
                    ssl=await self._access.tls() if url.scheme == "https" else True,
                    allow_redirects=False,
                    timeout=self._timeout(request.silence_s),
                )
        except _REQUEST_ERRORS as error:
            raise webdav_errors.broken(error, place=place, silence_s=request.silence_s) from error

    def _timeout(self, silence_s: float) -> aiohttp.ClientTimeout:
        settings = self._access.settings
        return aiohttp.ClientTimeout(
            total=None,
            connect=settings.connect_timeout_s + settings.call_timeout_s,
            sock_connect=settings.connect_timeout_s,
            sock_read=silence_s,
        )

    def _data(self, body: Body | bytes | None, limit: asyncio.Timeout) -> AsyncIterator[bytes] | bytes | None:
        if not isinstance(body, Body):
            return body
        return body.sent(limit, self.silence_s) if body.size else b""

    def _session_for(self, by: By) -> aiohttp.ClientSession:
        if by not in self._sessions:
            self._sessions[by] = self._make_session(force_close=True)
        return self._sessions[by]

    async def _drain(self, reply: Reply) -> None:
        """Read what is left of a small answer, so that the connection can be used again."""
        if reply.content_length is not None and reply.content_length <= _DRAINED_BYTES_MAX:
            with suppress(aiohttp.ClientPayloadError):
                await reply.read()


def encoded(path: str) -> str:
    """A path as it stands in an address; bytes that are not UTF-8 stand in ``path`` as lone surrogates."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="/")
