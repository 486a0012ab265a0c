"""ScriptedServer: an HTTP server that says what a test tells it to, down to the byte.

It lives in the test's own event loop, keeps connections, and writes down every
request. The script gets the request and the writer: it returns the bytes of
the reply, or writes, waits and closes itself and returns None.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class Request:
    """One request; names of headers are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """Which of the connections it came by, from 1."""


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[bytes | None]]


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole reply; underscores in names of headers are dashes, and Content-Length may be given otherwise."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in named.items())]
    if "content-length" not in {name.lower() for name in named}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def multistatus(*responses: str) -> bytes:
    """The body of a reply to PROPFIND."""
    return f'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">{"".join(responses)}</D:multistatus>'.encode()


def member(href: str, *, size: int | None = None, mtime: str = "Sat, 21 Nov 2026 05:29:03 GMT", more: str = "") -> str:
    """One response: a file if it has a size, else a collection."""
    kind = "<D:resourcetype><D:collection/></D:resourcetype>" if size is None else "<D:resourcetype/>"
    length = "" if size is None else f"<D:getcontentlength>{size}</D:getcontentlength>"
    time = f"<D:getlastmodified>{mtime}</D:getlastmodified>" if mtime else ""
    properties = f"<D:prop>{kind}{length}{time}{more}</D:prop><D:status>HTTP/1.1 200 OK</D:status>"
    return f"<D:response><D:href>{href}</D:href><D:propstat>{properties}</D:propstat></D:response>"


@dataclass(slots=True)
class ScriptedServer:
    """Serves while its ``async with`` block lasts."""

    script: Script
    deaf_to: str = ""
    """A method of which the body is never read."""
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}" if self.tls is None else f"https://localhost:{self.port}"

    def methods(self) -> list[str]:
        """The methods that were asked, in order."""
        return [request.method for request in self.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 16, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        number = self._connections
        try:
            while request := await _read(reader, number, self.deaf_to):
                self.requests.append(request)
                answer = await self.script(request, writer)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader, connection: int, deaf_to: str) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    if method == deaf_to:
        await asyncio.Event().wait()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body, connection)
