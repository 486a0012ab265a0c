"""What goes wrong between us and FTS3.

Rules
  * Statuses decide, never texts.
  * Away may pass within seconds, and what was asked may be asked again: ids of
    jobs are ours, so that nothing happens twice. Everything else that is
    EngineDown waits for somebody to act.
  * Rejected is about what was asked, and says nothing against the service.
"""

from __future__ import annotations

from holdfast.model.errors import PeerError
from holdfast.operations.engine import EngineDown

DELEGATION_STATUS = 419
_BUSY = frozenset({408, 425, 429})


class Away(EngineDown):
    """It does not answer, or is busy. ``wait_s``: how long it asks to be left alone."""

    def __init__(self, message: str, *, wait_s: float = 0.0, place: str = "", hint: str = "") -> None:
        super().__init__(message, place=place, hint=hint)
        self.wait_s = wait_s


class Refused(EngineDown):
    """It does not want us."""


class Rejected(PeerError):
    """It does not do what was asked; ``status`` says why."""

    def __init__(self, message: str, *, status: int, place: str = "") -> None:
        super().__init__(message, place=place)
        self.status = status


def meaning(status: int, said: str, *, place: str, retry_after: str = "") -> PeerError:
    """What a status means that is no success."""
    message = f"FTS answered {status}" + (f": {said}" if said else "")
    if status == 401:
        return Refused(message, place=place, hint="look at proxy or token under [operations.fts]")
    if status in _BUSY or status >= 500:
        digits = retry_after.strip()
        return Away(message, wait_s=float(digits[:6]) if digits.isascii() and digits.isdigit() else 0.0, place=place)
    return Rejected(message, status=status, place=place)
