"""Where a WebDAV server sends us, and whether we go there.

Rules
  * Never from https to http, whatever was asked.
  * Looking (GET, HEAD, OPTIONS, PROPFIND) is done wherever the server says.
  * What changes something, or carries the address or token of another storage,
    is sent on only where the server says that the method stays (307, 308), and
    only to the host of the door's root, whatever its port.
  * The bytes of a file (PUT) may go to another host: dCache, DPM and XRootD have
    servers for that. Our token is not shown there.
"""

from __future__ import annotations

from aiohttp import ClientResponse
from yarl import URL

from holdfast.model.errors import PeerError
from holdfast.storage.driver import Unsupported

LOOKING = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND"})
_SENDING = frozenset({"PUT"})
_MOVED = frozenset({301, 302, 307, 308})
_MOVED_WITH_METHOD = frozenset({307, 308})


def is_one(method: str, status: int) -> bool:
    """Whether ``status`` sends ``method`` elsewhere."""
    return status in (_MOVED if method in LOOKING else _MOVED_WITH_METHOD)


def target_of(reply: ClientResponse, door_host: str | None, place: str) -> URL:
    """Where ``reply`` sends us; PeerError if that is nowhere, Unsupported if we do not go there."""
    try:
        target = reply.url.join(URL(reply.headers.get("Location", ""), encoded=True))
        host = target.host
    except ValueError:
        host = None
    if not host or target.scheme not in ("http", "https"):
        raise PeerError("the storage sends us to an address that is none", place=place)
    if reply.url.scheme == "https" and target.scheme != "https":
        raise Unsupported(
            "the storage sends us from https to http, where nobody follows",
            place=place,
            hint="let its servers speak https, too",
        )
    if reply.method not in LOOKING | _SENDING and host != door_host:
        raise Unsupported(
            f"the storage sends {reply.method} to another host, where nobody follows",
            place=place,
            hint="use the door of that host, or another protocol",
        )
    return target
