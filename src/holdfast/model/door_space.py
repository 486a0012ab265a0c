"""Where a door leads to, as far as its text tells: for seeing that two sites are one storage.

One folder as two sites is how a last copy is deleted: the inventory counts two
replicas of one file.

Rules
  * Pure text: nothing is resolved, connected or looked up. Mounts, links and
    aliases of hosts are not seen.
  * One server shows one tree: whichever of the protocols with URLs is spoken
    to the same host and port, the same path is the same place. What is not
    said of a port is the usual one of the scheme.
  * ``posix`` and ``file:`` are this machine. A bucket is a directory of its
    S3 endpoint.
  * Of a protocol that is not ours only doors of the same protocol are compared.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from holdfast.model.records import Door

_PORTS = {
    **dict.fromkeys(("http", "dav"), 80),
    **dict.fromkeys(("https", "davs"), 443),
    **dict.fromkeys(("root", "roots", "xroot", "xroots"), 1094),
    "srm": 8446,
    "gsiftp": 2811,
}
_ENCODED = ("http", "https", "dav", "davs")
"""Schemes whose paths are percent-encoded."""

_WITH_URLS = ("http", "https", "dav", "davs", "webdav", "xroot", "xrdfs", "gfal", "srm", "gsiftp")
_AMAZON = "amazonaws.com"


class Space(NamedTuple):
    """A tree of files, and a directory in it: an absolute path, or what a protocol that is not ours has as root."""

    tree: str
    path: str


def overlap(one: Door, other: Door) -> bool:
    """Whether one root lies in the other."""
    first, second = space(one), space(other)
    above, below = (f"{each.path.rstrip('/')}/" for each in (first, second))
    return first.tree == second.tree and (above.startswith(below) or below.startswith(above))


def space(door: Door) -> Space:
    """Where the root of a door lies."""
    read = _READERS.get(door.protocol)
    try:
        found = None if read is None else read(door)
    except ValueError:  # No URL at all: whoever opens the door says so.
        found = None
    return found or Space(f"{door.protocol}:", door.place)


def _here(door: Door) -> Space:
    is_url = "://" in door.root
    return Space("file", _plain(urlsplit(door.root).path if is_url else door.root, is_encoded=is_url))


def _of_url(door: Door) -> Space | None:
    parts = urlsplit(door.root)
    scheme = parts.scheme.lower()
    if scheme == "file":
        return Space("file", _plain(door.root.partition("://")[2], is_encoded=False))
    if scheme not in _PORTS or parts.hostname is None:
        return None
    path = parse_qs(parts.query).get("SFN", [parts.path])[-1] if scheme == "srm" else parts.path
    return Space(f"{parts.hostname}:{parts.port or _PORTS[scheme]}", _plain(path, is_encoded=scheme in _ENCODED))


def _of_bucket(door: Door) -> Space:
    parts = urlsplit(door.root)
    endpoint = urlsplit(parse_qs(parts.query).get("endpoint", [""])[-1])
    tree = _AMAZON
    if endpoint.hostname is not None and not endpoint.hostname.endswith(f".{_AMAZON}"):
        tree = f"{endpoint.hostname}:{endpoint.port or _PORTS.get(endpoint.scheme, 443)}"
    return Space(tree, _plain(f"/{parts.netloc}{parts.path}", is_encoded=True))


def _plain(path: str, *, is_encoded: bool) -> str:
    text = unquote(path) if is_encoded else path
    return posixpath.normpath(f"/{text.lstrip('/')}")


_READERS: dict[str, Callable[[Door], Space | None]] = {
    "posix": _here,
    "s3": _of_bucket,
    **dict.fromkeys(_WITH_URLS, _of_url),
}
