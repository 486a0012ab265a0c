"""Address: where an XRootD door is, and what is shown to it.

    root://host:1094//base    roots:// speaks TLS; xroot:// and xroots:// are the same

Rules
  * Paths are not encoded in any way: that is the protocol. So a question mark
    cannot be in one; whatever follows it would be taken for parameters.
  * Every driver has connections of its own, marked by a parameter that stays
    with the client. So no door shows what belongs to another: the proxy and
    the file with the token are parameters of the connection, the token itself
    goes with each request.
  * What is not configured is not shown: proxies and tokens that lie about on
    this machine are nobody's business but the configuration's.
  * A token is only shown over TLS: a door of ``root://`` with a token is
    refused (``require_encryption``). XRootD's own client holds it likewise.
  * Certificate authorities are one for the whole process: that is the client
    library. A second door with others is refused.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from holdfast.model import names
from holdfast.model.errors import BadInput, InvalidName, OperatorError
from holdfast.storage.access import Access

MARK = "?"
"""What cannot be in a path."""

_ROOT = re.compile(r"(?P<scheme>x?roots?)://(?P<host>[^/?#@\s]+)(?P<path>/[^?]*)?\Z")
_HINT = "write root://host:port//folder"
_NOBODY = "/dev/null"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Address:
    """The server and the folder there that is the root of a door; ``base`` is "" or begins with a slash."""

    scheme: str
    host: str
    base: str

    def path(self, path: str) -> str:
        """What the server knows a path of ours as."""
        return (self.base + path).rstrip("/") or "/"


class Ticket(NamedTuple):
    """What is shown: parameters of the connection, and parameters of each request ("" or beginning with the mark)."""

    connection: str
    request: str


def parse(root: str) -> Address:
    """The address in a door's root; BadInput if it is none."""
    found = _ROOT.match(root)
    if found is None:
        raise BadInput(f"{_shown(root)!r} is not the root of an XRootD door", hint=_HINT)
    base = "/" + (found["path"] or "").strip("/")
    try:
        names.directory(base)
    except InvalidName as error:
        raise BadInput(f"{_shown(root)!r} is not the root of an XRootD door: {error.message}", hint=_HINT) from error
    return Address(found["scheme"].removeprefix("x"), found["host"], "" if base == "/" else base)


def require_encryption(scheme: str, access: Access, place: str) -> None:
    """OperatorError if there is a token and ``scheme`` is the plain protocol.

    A server that demands TLS makes a plain connection an encrypted one, but only the server's word decides that.
    """
    if access.settings.token is not None and scheme.removeprefix("x") == "root":
        raise OperatorError(
            "the token of the site would be sent unencrypted", place=place, hint="write the door's root as roots://"
        )


class Tickets:
    """What one driver shows to its door."""

    def __init__(self, access: Access) -> None:
        self._access = access
        settings = access.settings
        _use_authorities(settings.authorities)
        self._fixed = (
            # Keeps our connections apart from those of every other driver in this process.
            f"xrdcl.intent=holdfast{next(_NUMBERS)}"
            f"&XrdCl.ConnectionWindow={math.ceil(settings.connect_timeout_s)}"
            f"&XrdCl.StreamTimeout={math.ceil(settings.call_timeout_s)}"
            f"&xrd.gsiusrcrt={_NOBODY}&xrd.gsiusrkey={_NOBODY}"
            f"&xrd.ztn={_parameter('token', settings.token)}"
        )
        self._asks_nothing = settings.proxy is None and settings.token is None
        self._nothing = Ticket(f"{self._fixed}&xrd.gsiusrpxy={_NOBODY}", "")

    async def ticket(self) -> Ticket:
        """What is to be shown now; OperatorError if there is nothing good to show."""
        if self._asks_nothing:
            return self._nothing
        proxy = await self._access.proxy()
        token = await self._access.token()
        connection = f"{self._fixed}&xrd.gsiusrpxy={_parameter('proxy', proxy)}"
        return Ticket(connection, f"{MARK}authz=Bearer%20{token}" if token else "")


def _parameter(what: str, path: Path | None) -> str:
    text = _NOBODY if path is None else str(path)
    if any(mark in text for mark in "?&= \t\n"):
        hint = "the client library cannot be told of a file with ?, &, = or a blank in its name"
        raise OperatorError(f"the file of the {what} has a name that cannot be used here", place=text, hint=hint)
    return text


_authorities_lock = threading.Lock()
_authorities_used: list[Path] = []


def _use_authorities(authorities: Path | None) -> None:
    """Let the library trust these; it looks at the environment once, when it first needs them."""
    if authorities is None:
        return
    with _authorities_lock:
        if _authorities_used and _authorities_used[0] != authorities:
            raise OperatorError(
                "XRootD doors of one process share their certificate authorities, and another site has others",
                place=str(authorities),
                hint=f"name one folder for both, or use {_authorities_used[0]} here too, or another protocol",
            )
        _authorities_used[:] = [authorities]
        os.environ["X509_CERT_DIR" if authorities.is_dir() else "X509_CERT_FILE"] = str(authorities)


def _shown(root: str) -> str:
    """A root for an error, without what may be a password."""
    return re.sub(r"//[^/@]*@", "//...@", root)[:200]
