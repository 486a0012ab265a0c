"""Reasons: what FTS3 says of a file that failed, as one of our codes. Pure.

It says ``SCOPE [number] words``: who failed (SOURCE, DESTINATION, TRANSFER for
what lies between them, STAGING, ARCHIVING, or the service itself), and why, by
the numbers of Linux' errors. Scope and number decide, never the words.

Rules
  * A number that says nothing certain is passing: the same try may succeed.
  * Of a failure between the two ends nobody is accused. ``is_suspect``: it
    may be that bytes were wrong, or that the source has gone; whoever wants to
    know has to ask the source.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

from holdfast.operations.codes import Code

_REASON = re.compile(r"\s*([A-Z_]+) \[(\d{1,6})\]")

_REFUSED = frozenset({errno.EACCES, errno.EPERM})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_LONG = frozenset({errno.ENAMETOOLONG, errno.E2BIG})
_UNKNOWN = frozenset({errno.EPROTONOSUPPORT})
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})
_SUSPECT = frozenset({errno.EIO, errno.EINVAL, errno.ENOENT})

_SOURCE = {
    _GONE: Code.SOURCE_MISSING,
    _REFUSED: Code.SOURCE_REFUSED,
    _LONG: Code.UNNAMEABLE,
    _UNKNOWN: Code.UNSUPPORTED,
}
_DESTINATION = {
    _FULL: Code.DESTINATION_FULL,
    _REFUSED: Code.DESTINATION_REFUSED,
    frozenset({errno.EISDIR}): Code.DESTINATION_OCCUPIED,
    _LONG: Code.UNNAMEABLE,
    _UNKNOWN: Code.UNSUPPORTED,
}
_BETWEEN = {
    _FULL: Code.DESTINATION_FULL,
    _LONG: Code.UNNAMEABLE,
    _UNKNOWN: Code.UNSUPPORTED,
    frozenset({errno.ECANCELED}): Code.STOPPED,
}

_TABLES: dict[str, tuple[dict[frozenset[int], Code], Code]] = {
    "SOURCE": (_SOURCE, Code.SOURCE_FAILED),
    "STAGING": (_SOURCE, Code.SOURCE_FAILED),
    "DESTINATION": (_DESTINATION, Code.DESTINATION_FAILED),
    "ARCHIVING": (_DESTINATION, Code.DESTINATION_FAILED),
    "TRANSFER": (_BETWEEN, Code.ENGINE_FAILED),
}
"""For each scope the codes of numbers, and that of all others."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a file failed."""

    code: Code
    is_suspect: bool = False
    """It may be the source's fault, though it is not said."""
    is_occupied: bool = False
    """Something was in the place already."""


def of(text: str) -> Reason:
    """What the reason of a file says; ENGINE_FAILED if it is of no form that is known."""
    found = _REASON.match(text)
    if found is None:
        return Reason(Code.ENGINE_FAILED)
    scope, number = found[1], int(found[2])
    table, other = _TABLES.get(scope, ({}, Code.ENGINE_FAILED))
    code = next((code for numbers, code in table.items() if number in numbers), other)
    return Reason(
        code,
        is_suspect=scope in ("SOURCE", "TRANSFER")
        and code in (Code.SOURCE_FAILED, Code.ENGINE_FAILED)
        and number in _SUSPECT,
        is_occupied=scope in ("DESTINATION", "TRANSFER") and number == errno.EEXIST,
    )
