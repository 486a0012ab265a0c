"""Markers: what a storage tells of a copy that it makes, and how the copy has ended.

    Perf Marker
    Stripe Index: 0
    Stripe Bytes Transferred: 1048576
    Total Stripe Count: 1
    End
    success: Created          or          failure: why

Rules
  * Bytes that do not grow in the middle of a copy are borne for the time limit
    of a call. Before the first and after the last there may be queues and
    checksums: that is borne STALLED_LIMITS times as long.
  * Of a failure one line is shown, without addresses, queries, the tokens that
    were used, and whatever else looks like a secret.
"""

from __future__ import annotations

import asyncio
import errno
import re
from urllib.parse import quote, unquote

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.abilities import FarFile, Progress
from holdfast.storage.driver import FarNotAllowed, NoSpace, NotThere
from holdfast.storage.webdav.door import Reply

LINE_BYTES_MAX = 1 << 16
WORDS_MAX = 200
STALLED_LIMITS = 10
HIDDEN_CHARS_MIN = 4
"""What is shorter is no secret, and in many a word."""

_BYTES = re.compile(rb"\s*Stripe Bytes Transferred:\s*(\d{1,19})\s*\Z")
_STRIPE = re.compile(rb"\s*Stripe Index:\s*(\d{1,6})\s*\Z")
_STATUS = re.compile(r"status(?: code)?:? (\d{3})\b")
_ERRNO = re.compile(r"\(code=(\d{1,4})\)")
_BY_STATUS: dict[str, type[HoldfastError]] = {
    "404": NotThere,
    "401": FarNotAllowed,
    "403": FarNotAllowed,
    "413": NoSpace,
    "507": NoSpace,
}
_SECRETS = re.compile(r"(?i)[a-z][a-z0-9+.\-]*://\S*|\?\S*|bearer\s+\S+|[A-Za-z0-9_\-]{40,}(?:\.[A-Za-z0-9_\-]+)*")


async def followed(reply: Reply, place: str, *, size: int, limit_s: float, progress: Progress | None) -> str:
    """The last line of the answer that says something; ``progress`` hears what the markers say.

    ``size`` is how many bytes there will be, or NOT_TOLD; ``limit_s`` the time limit of a call.
    """
    done: dict[int, int] = {}
    stripe, last, held = 0, b"", b""
    watch = _Watch(size, limit_s)
    async for data in reply.content.iter_any():
        *lines, held = (held + data).split(b"\n")
        for line in lines:
            last = line.strip() or last
            if found := _STRIPE.match(line):
                stripe = int(found[1])
            elif found := _BYTES.match(line):
                done[stripe] = int(found[1])
                watch.saw(sum(done.values()))
                if progress is not None:
                    progress(sum(done.values()))
        if len(held) > LINE_BYTES_MAX or len(done) > LINE_BYTES_MAX:
            raise PeerError("the storage tells of the copy in lines without end", place=place)
        watch.check(place)
    return (held.strip() or last).decode(errors="replace")


class _Watch:
    """Whether a copy goes on, and not only the talk of it."""

    def __init__(self, size: int, limit_s: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._size, self._limit_s = size, limit_s
        self._done, self._grown_at = 0, self._clock()

    def saw(self, done: int) -> None:
        """So many bytes have come by now."""
        if done > self._done:
            self._done, self._grown_at = done, self._clock()

    def check(self, place: str) -> None:
        """PeerError if none has come for too long."""
        in_the_middle = 0 < self._done < self._size
        patience_s = self._limit_s if in_the_middle else STALLED_LIMITS * self._limit_s
        if self._clock() - self._grown_at > patience_s:
            raise PeerError(f"no byte has been copied for {patience_s:g} s, though the storage goes on", place=place)


def failure(words: str, far: FarFile, own_token: str, place: str) -> HoldfastError:
    """What the last line says that went wrong.

    The status of the other side, or the number of the storage's own error, decides the family where it is named.
    """
    words = _stripped(words, far, own_token)
    found = _STATUS.search(words)
    shown = _SECRETS.sub("...", "".join(each if each.isprintable() else " " for each in words))[:WORDS_MAX]
    family = _BY_STATUS.get(found[1] if found else "", PeerError)
    if (number := _ERRNO.search(words)) and int(number[1]) in (errno.ENOSPC, errno.EDQUOT):
        family = NoSpace
    return family(f"the copy between storages failed: {shown}", place=place)


def _stripped(words: str, far: FarFile, own_token: str) -> str:
    """``words`` without what nobody is to see: the address of the far file and its parts, and the tokens."""
    address = far.url.partition("://")[2]
    path, _, query = address.partition("?")
    hidden = {far.url, address, path.partition("/")[2], query, far.token, own_token}
    hidden |= {pair.partition("=")[2] for pair in query.split("&")}
    hidden |= {change(each) for each in hidden for change in (unquote, quote, lambda text: quote(text, safe=""))}
    for each in sorted(hidden, key=len, reverse=True):
        if len(each) >= HIDDEN_CHARS_MIN or (each and each in (far.token, own_token)):
            words = words.replace(each, "...")
    return words
