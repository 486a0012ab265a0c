"""KeyStore: an object store of keys alone, in the test's own loop, that lists as stores do and lies when told to.

It knows both ways of listing and HEAD; of everything else it answers what
``answers`` says. Keys are any bytes; a page has ``page_keys`` of them.
"""

from __future__ import annotations

import asyncio
import ssl
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote_from_bytes, unquote_to_bytes

LISTED = "2026-03-04T05:06:07.890Z"
HEADED = "Wed, 04 Mar 2026 05:06:07 GMT"
ETAG = '"0123456789abcdef0123456789abcdef"'


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    key: bytes
    query: Mapping[str, str]
    headers: Mapping[str, str]


Answer = bytes | None
Answers = Callable[[Asked], Answer]
"""The whole reply to a request, head and body; None: the store's own."""


def reply(status: int, body: bytes = b"", headers: str = "") -> bytes:
    """A reply as it goes over the wire."""
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def error(status: int, code: str, message: str = "") -> bytes:
    """A refusal as stores write it."""
    return reply(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


@dataclass
class KeyStore:
    """See the module's docstring."""

    keys: Iterable[bytes] = ()
    page_keys: int = 1000
    answers: Answers = lambda asked: None
    is_encoding: bool = True
    is_ordered: bool = True
    """It begins where ``start-after`` says."""
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    latency_s: float = 0.0

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[KeyStore]:
        """Listen at a free port of the loopback."""
        self._sorted = sorted(self.keys)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    def root(self, prefix: str = "", **options: object) -> str:
        """The root of a door to it."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"s3://bucket/{prefix}?endpoint=http://127.0.0.1:{self.port}&allow_http=true{more}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                self.in_flight += 1
                self.in_flight_max = max(self.in_flight_max, self.in_flight)
                await asyncio.sleep(self.latency_s)
                self.in_flight -= 1
                said = self.answers(asked)
                writer.write(self._own(asked) if said is None else said)
                await writer.drain()
                if said is not None and not said.startswith(b"HTTP/1.1 "):
                    break
        writer.close()

    def _own(self, asked: Asked) -> bytes:
        if not asked.key:
            return reply(200, self._listing(asked.query))
        if asked.key not in set(self._sorted):
            return reply(404) if asked.method == "HEAD" else error(404, "NoSuchKey")
        body = b"" if asked.method == "HEAD" else b"x" * len(asked.key)
        told = f"Last-Modified: {HEADED}\r\nETag: {ETAG}\r\n"
        return reply(200, body, told).replace(b"Length: 0", b"Length: %d" % len(asked.key), 1)

    def _listing(self, query: Mapping[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", "").encode(), query.get("delimiter", "").encode()
        is_new = query.get("list-type") == "2"
        after = bytes.fromhex(query.get("continuation-token", ""))
        after = after or query.get("start-after" if is_new else "marker", "").encode(errors="surrogateescape")
        found: list[tuple[bytes, bool]] = []
        more = False
        from_there = self.is_ordered or "start-after" not in query
        place = bisect_right(self._sorted, after) if from_there else 0
        for key in self._sorted[place:]:
            if not key.startswith(prefix) or (after.endswith(delimiter) and delimiter and key.startswith(after)):
                continue
            rest, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, b"", b"")
            what = (prefix + rest + mark, True) if mark else (key, False)
            if found and found[-1] == what:
                continue
            if len(found) == min(self.page_keys, int(query.get("max-keys", "1000"))):
                more = True
                break
            found.append(what)
        return self._page(found, more, is_new, query.get("encoding-type") == "url" and self.is_encoding)

    def _page(self, found: list[tuple[bytes, bool]], more: bool, is_new: bool, encoded: bool) -> bytes:
        def shown(key: bytes) -> str:
            text = quote_from_bytes(key, safe="/-_.*").replace("%20", "+") if encoded else key.decode()
            return text if encoded else text.replace("&", "&amp;").replace("<", "&lt;")

        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{space}">']
        parts.append(f"<Name>bucket</Name><IsTruncated>{str(more).lower()}</IsTruncated>")
        parts.append("<EncodingType>url</EncodingType>" if encoded else "")
        if is_new:
            parts.append(f"<KeyCount>{len(found)}</KeyCount>")
            parts.append(f"<NextContinuationToken>{found[-1][0].hex()}</NextContinuationToken>" if more else "")
        elif more:
            parts.append(f"<NextMarker>{shown(found[-1][0])}</NextMarker>")
        for key, is_prefix in found:
            if is_prefix:
                parts.append(f"<CommonPrefixes><Prefix>{shown(key)}</Prefix></CommonPrefixes>")
            else:
                parts.append(
                    f"<Contents><Key>{shown(key)}</Key><LastModified>{LISTED}</LastModified>"
                    f"<ETag>{ETAG.replace(chr(34), '&quot;')}</ETag><Size>{len(key)}</Size></Contents>"
                )
        return "".join([*parts, "</ListBucketResult>"]).encode()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    key = unquote_to_bytes(path).removeprefix(b"/bucket").removeprefix(b"/")
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, errors="surrogateescape")
    return Asked(method, key, dict(pairs), headers)
