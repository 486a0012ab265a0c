"""The one family of errors, ordered by who has to act.

Rules
  * Everything Holdfast raises on purpose is a HoldfastError; a foreign
    exception is wrapped where it enters, its original kept as ``__cause__``.
  * ``place`` says where (file and line, site and path, table and row),
    ``hint`` what to do about it; the message itself is one line.
  * ``retryable`` is true only where the same call may succeed unchanged.
  * Exit codes are part of the family's contract and documented in
    ``holdfast --help``; HTTP codes are chosen at the edge that has HTTP.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable


class HoldfastError(Exception):
    """Base of the family.

    ``message`` is one line without a full stop; ``place`` and ``hint`` may be
    empty.
    """

    exit_code = 70
    retryable = False

    def __init__(self, message: str, *, place: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint

    @property
    def advised(self) -> str:
        """The message with its hint, for those who know the place."""
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __str__(self) -> str:
        return f"{self.place}: {self.advised}" if self.place else self.advised


class BadInput(HoldfastError):
    """The caller gave something that cannot be used; nothing was done."""

    exit_code = 2


class InvalidName(BadInput):
    """A name breaks the naming rules of ``holdfast.model.names``."""


class UnknownName(BadInput):
    """A site, dataset, block, file, lock or request that is not there."""


COMPARED_MAX = 500
"""How many names are compared letter by letter with one that is not there."""


def unknown_name(what: str, name: str, known: Iterable[str], *, hint: str = "") -> UnknownName:
    """The error for a name that is not there, with the nearest that are; ``hint`` is for where none is near."""
    near = difflib.get_close_matches(name, _likely(name, list(known)), 3)
    return UnknownName(f"there is no {what} {name!r}", hint=f"did you mean {', '.join(near)}?" if near else hint)


def _likely(name: str, known: list[str]) -> list[str]:
    """Those of very many names that begin or end most like ``name``: comparing all would take seconds."""
    if len(known) <= COMPARED_MAX:
        return known
    likely: dict[str, None] = {}
    for turned in (False, True):
        order = sorted(text[::-1] for text in known) if turned else sorted(known)
        place = bisect_left(order, name[::-1] if turned else name)
        around = order[max(0, place - COMPARED_MAX // 4) : place + COMPARED_MAX // 4]
        likely.update(dict.fromkeys(text[::-1] if turned else text for text in around))
    return list(likely)


class OperatorError(HoldfastError):
    """The installation cannot go on until its operator acts: disk full, read-only folder, wrong schema."""

    exit_code = 2


class DatabaseAway(OperatorError):
    """The database cannot be reached or used for the moment; nothing was changed, the same call may succeed later."""

    retryable = True


class OutcomeUnknown(OperatorError):
    """The database went away while it was committing, and stayed away: the change may be in the journal or not.

    It is there if the journal's entry at ``position`` has this ``digest``. Where there is no position, only the
    tables of a room were written.
    """

    def __init__(self, message: str, *, position: int = 0, digest: str = "", place: str = "", hint: str = "") -> None:
        super().__init__(message, place=place, hint=hint)
        self.position = position
        self.digest = digest


class Behind(HoldfastError):
    """A server's image has not come as far as was asked for; the same call may succeed later, or at another server."""

    retryable = True


class PeerError(HoldfastError):
    """A storage, service or other far side failed."""

    exit_code = 3
    retryable = True


class WorkerStuck(PeerError):
    """Calls of a storage do not end, though nobody waits for their answer: only with the process that made them."""


class Conflict(HoldfastError):
    """A precondition does not hold; nothing was done.

    ``rows`` names what is in the way, at most a few hundred items.
    """

    exit_code = 4

    def __init__(self, message: str, *, rows: tuple[str, ...] = (), place: str = "", hint: str = "") -> None:
        super().__init__(message, place=place, hint=hint)
        self.rows = rows


class ResyncNeeded(Conflict):
    """A journal reader's cursor is not on our history, or fell behind what is kept."""


class BrokenInvariant(HoldfastError):
    """Our own bug or damaged state: raised at once and never swallowed."""

    exit_code = 70
