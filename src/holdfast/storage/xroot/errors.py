"""What answers of XRootD mean in the words of the StorageDriver contract.

A status is the dictionary that the client library hands over: ``code`` is the
client's word, ``errno`` the server's where the server answered.

Rules
  * Numbers decide, never texts; the text is only passed on, on one line and
    without what follows a question mark: there stand tokens.
  * Numbers that stand for several things are Unclear; whoever asked looks closer.
  * What is not known is PeerError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from holdfast.model.errors import BadInput, HoldfastError, InvalidName, OperatorError, PeerError
from holdfast.storage.driver import AlreadyThere, NoSpace, NotAFile, NotAllowed, NotThere, Unsupported

Status = Mapping[str, Any]

SERVER_ANSWERED = 400
"""The client's code for "the server said no"; its reason is in ``errno``."""
DISCONNECTED = 104
EXPIRED = 206
PARTIAL = 3


class Unclear(PeerError):
    """The server's number stands for several things: not a directory, not empty, not supported, and real trouble."""


class Unreachable(PeerError):
    """There is no connection, or it broke."""


class Garbled(PeerError):
    """The client library could make nothing of an answer."""


_BY_SERVER: dict[int, type[HoldfastError]] = {
    3000: BadInput,  # Invalid argument.
    3002: InvalidName,  # Argument too long.
    3009: NoSpace,
    3010: NotAllowed,
    3005: Unclear,  # File system error.
    3011: NotThere,
    3012: Unclear,  # Server error.
    3013: Unsupported,
    3015: NotAFile,
    3016: NotAFile,  # Is a directory.
    3018: AlreadyThere,
    3021: NoSpace,  # Over quota.
    3025: NoSpace,  # Read-only file system.
    3028: OperatorError,  # TLS is required.
    3030: NotAllowed,  # Authentication failed.
}

_BY_CLIENT: dict[int, type[HoldfastError]] = {
    13: Unsupported,
    203: NotAllowed,  # Login failed.
    204: NotAllowed,  # Authentication failed.
    303: Garbled,
    304: NotThere,
}

_WORDS: dict[type[HoldfastError], str] = {
    NotThere: "no such file or directory",
    AlreadyThere: "is there already",
    NotAFile: "is a directory, not a file",
}

_HINTS: dict[type[HoldfastError], str] = {
    NotAllowed: "look at the credentials of the site and at the storage's permissions",
    NoSpace: "free space, raise the quota, or make the storage writable",
    OperatorError: "write the door's root as roots://",
}

UNREACHABLE = frozenset({101, 102, 103, DISCONNECTED, 107, 108})
"""Client's words for: there is no connection."""

_PREFIX = re.compile(r"\A(\[[A-Z]+\]\s*)?(Server responded with an error:\s*)?(\[\d+\]\s*)?")
_AFTER_MARK = re.compile(r"\?\S*|(?i:authz|bearer|token)\S*[= ]\S+")


def text_of(status: Status) -> str:
    """The reason that a status gives, on one line and without secrets."""
    line = " ".join(str(status.get("message", "")).split())
    return _AFTER_MARK.sub("?...", _PREFIX.sub("", line)).strip()[:300] or "no reason given"


def meaning(status: Status, place: str) -> HoldfastError:
    """A status that is not ok, as an error of the contract."""
    family = _family(status)
    message = _WORDS.get(family) or text_of(status)
    hint = _HINTS.get(family, "")
    if family is Unreachable:
        message = f"the server cannot be reached: {message.lower()}"
    return family(message, place=place, hint=hint)


def _family(status: Status) -> type[HoldfastError]:
    if status["code"] == SERVER_ANSWERED:
        return _BY_SERVER.get(status["errno"], PeerError)
    if status["code"] in UNREACHABLE:
        return Unreachable
    return _BY_CLIENT.get(status["code"], PeerError)
