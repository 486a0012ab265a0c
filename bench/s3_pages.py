"""A stand-in for an object store that only lists, from canned pages, each after a fixed latency.

    python -m bench.s3_pages KEYS PREFIXES LATENCY_MS       prints its port, and serves until its input ends

``tree/pNNNN/file_NNNNNNNNN.root`` lies below as many prefixes as were asked for,
``flat/file_NNNNNNNNN.root`` in one, KEYS of each. It answers ListObjectsV2 with
``prefix``, ``delimiter``, ``start-after`` and continuation, a thousand keys a
page; bodies are the same thousand objects with other digits put in, so that
serving costs next to nothing beside listing.
"""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_right
from dataclasses import dataclass
from urllib.parse import parse_qsl

PAGE_KEYS = 1000

_OBJECT = (
    b"<Contents><Key>@@@@@@@@@@@@@@@@@@@@%03d.root</Key><LastModified>2026-11-21T05:29:39.000Z</LastModified>"
    b"<ETag>&quot;900150983cd24fb0d6963f7d28e17f72&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass>"
    b"</Contents>"
)
_PLACE = b"@" * 20
"""What stands for a key's beginning: its prefix and all digits but the last three."""
_OBJECTS = [_OBJECT % (number, 1_000_000 + number) for number in range(PAGE_KEYS)]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one layout in their order; ``each`` below each of the prefixes, if it has any."""

    count: int
    each: int = 0

    def key(self, number: int) -> bytes:
        """The key of that number."""
        return self.beginning(number) + b"%03d.root" % (number % PAGE_KEYS)

    def beginning(self, number: int) -> bytes:
        """All of it but what a page's objects have themselves."""
        if self.each:
            place, within = divmod(number, self.each)
            return b"tree/p%04d/file_%06d" % (place, within // PAGE_KEYS)
        return b"flat/file_%06d" % (number // PAGE_KEYS)

    def after(self, key: bytes) -> int:
        """The number of the first key after a text."""
        return bisect_right(range(self.count), key, key=self.key)

    def page(self, first: int, end: int) -> bytes:
        """The objects from one number on: a page's worth, not beyond ``end``."""
        last = min(first + PAGE_KEYS, end)
        parts = []
        while first < last:
            within = first % PAGE_KEYS
            stop = min(PAGE_KEYS, within + last - first)
            parts.append(b"".join(_OBJECTS[within:stop]).replace(_PLACE, self.beginning(first)))
            first += stop - within
        return b"".join(parts)


class Store:
    """Both layouts."""

    def __init__(self, count: int, prefixes: int, latency_s: float) -> None:
        self._each = max(PAGE_KEYS, count // prefixes // PAGE_KEYS * PAGE_KEYS)
        self._prefixes = prefixes
        self._tree = Keys(self._each * prefixes, self._each)
        self._flat = Keys(count)
        self.latency_s = latency_s

    def answer(self, query: dict[str, str]) -> bytes:
        """The body for one request."""
        prefix = query.get("prefix", "").encode()
        if query.get("delimiter") and prefix in (b"", b"tree/"):
            return self._prefixes_of(prefix, query)
        keys = self._flat if prefix.startswith(b"flat/") else self._tree
        first, end = keys.after(prefix), keys.after(prefix + b"\xff")
        if token := query.get("continuation-token"):
            first = int(token)
        elif after := query.get("start-after"):
            first = max(first, keys.after(after.encode()))
        sent = max(0, min(end - first, PAGE_KEYS))
        token = f"<NextContinuationToken>{first + sent}</NextContinuationToken>" if first + sent < end else ""
        return _body(keys.page(first, end), sent, token, query)

    def _prefixes_of(self, prefix: bytes, query: dict[str, str]) -> bytes:
        below = [b"flat/", b"tree/"] if not prefix else [b"tree/p%04d/" % place for place in range(self._prefixes)]
        told = b"".join(b"<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % each for each in below[:PAGE_KEYS])
        return _body(told, len(below), "", query)


def _body(content: bytes, count: int, token: str, query: dict[str, str]) -> bytes:
    encoding = "<EncodingType>url</EncodingType>" if "encoding-type" in query else ""
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>bucket</Name><KeyCount>{count}</KeyCount><MaxKeys>{PAGE_KEYS}</MaxKeys>{encoding}"
        f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{token}"
    )
    return head.encode() + content + b"</ListBucketResult>"


class _Connection(asyncio.Protocol):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            target = self._held[:end].split(b" ", 2)[1].decode()
            self._held = self._held[end + 4 :]
            query = dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))
            self._loop.call_later(self._store.latency_s, self._reply, query)

    def _reply(self, query: dict[str, str]) -> None:
        body = self._store.answer(query)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        self._transport.write(body)


async def _serve(store: Store) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(store), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Store(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000)))
