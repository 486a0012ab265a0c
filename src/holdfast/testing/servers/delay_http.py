"""HttpFaults: what a proxy that sees HTTP does to some of the requests on a connection.

Requests are told apart without reading them whole: no client of ours sends one
before the reply to the last has begun, so the first bytes after some of a reply
begin a new request, if they look like that.

Rules
  * What does not begin like HTTP (TLS, another protocol) passes unchanged.
  * Of a request that is answered here the server hears nothing, and its body is
    dropped.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import NamedTuple

RETRY_AFTER_S = 1

_REQUEST = re.compile(rb"[A-Z]{3,16} [/*h]")
_REPLY = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_ANSWERS = {
    "unavailable": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n" % RETRY_AFTER_S,
    "forbidden": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
}


class Verdict(NamedTuple):
    """What becomes of some bytes of a client: they go on, or are answered, or are dropped."""

    is_new: bool = False
    goes_on: bool = True
    answer: bytes | None = None
    fault: str = ""


_PASS = Verdict()
_DROP = Verdict(goes_on=False)


class HttpFaults:
    """The requests of one connection; ``share`` says how often a fault happens."""

    def __init__(self, dice: random.Random, share: Callable[[str], float]) -> None:
        self._dice = dice
        self._share = share
        self._is_open = True
        self._goes_on = True
        self._halves = False
        self._head = b""

    def request(self, data: bytes) -> Verdict:
        """What becomes of bytes from the client."""
        if not self._is_open or not _REQUEST.match(data):
            return _PASS if self._goes_on else _DROP
        self._is_open, self._goes_on = False, True
        for fault, answer in _ANSWERS.items():
            if self._happens(fault):
                self._is_open, self._goes_on = True, False
                return Verdict(True, False, answer, fault)
        self._halves = self._happens("half_body")
        self._head = b""
        return Verdict(True, fault="half_body" if self._halves else "")

    def reply(self, data: bytes) -> bytes | None:
        """What is left of bytes of the server where the reply ends with them; None: all, and it goes on."""
        self._is_open = True
        if not self._halves:
            return None
        already = len(self._head)
        self._head += data
        end = self._head.find(_HEAD_END)
        found = _REPLY.match(self._head)
        if end < 0 or found is None or found.group(1).startswith(b"1"):
            if found is not None and end >= 0:
                self._head = b""
            return None
        end += len(_HEAD_END)
        length = _LENGTH.search(self._head[:end])
        n_body = len(self._head) - end
        if (length is not None and int(length.group(1)) == 0) or found.group(1) in (b"204", b"304"):
            self._halves = False  # There is nothing of which there could be a half.
            return None
        if n_body == 0:
            return None
        self._halves = False
        return data[: max(0, end + n_body // 2 - already)]

    def _happens(self, fault: str) -> bool:
        share = self._share(fault)
        return share > 0 and self._dice.random() < share
