"""Progress and RunReport: what an executor says while it works and when it ends. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from holdfast.model.records import CopyRequest
from holdfast.operations.engine import SourceFault

ERRORS_MAX = 100
"""As many errors as a report names; it counts them all."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the requests being worked on have come, those of earlier runs included."""

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    files_failed: int = 0
    files_active: int = 0
    bytes_per_s: float = 0.0
    retries: int = 0
    message: str = ""
    """What we are waiting for, or the last error; "" if all is well."""


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run of an executor has done."""

    seed: int
    seconds: float = 0.0
    files_copied: int = 0
    bytes_copied: int = 0
    files_found: int = 0
    """Already in place and proved, so not copied."""
    files_replaced: int = 0
    """Of those copied: a different file lay in their place, and is gone now."""
    files_failed: int = 0
    retries: int = 0
    requests: tuple[CopyRequest, ...] = ()
    """The requests that were worked on, as the inventory has them at the end."""
    stopped: Mapping[str, str] = field(default_factory=dict)
    """Destinations where work was given up for now, and why; their requests stay open."""
    wrong_sources: tuple[SourceFault, ...] = ()
    errors: tuple[str, ...] = ()
    is_busy: bool = False
    """Nothing was done: another executor is at work, and we were asked not to wait."""
