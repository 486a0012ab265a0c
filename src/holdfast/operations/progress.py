"""Progress and RunReport: what a worker says while it works and when it ends. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from holdfast.model.records import CopyRequest
from holdfast.operations.deletion_report import DeletionReport

ERRORS_MAX = 100
"""As many errors as a report names."""
LIKEWISE = "; likewise other files"
"""Ends an error that stands for several files."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far the requests being worked on have come, those of earlier runs and of other workers included."""

    files_done: int = 0
    """Files brought or found in place."""
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    files_failed: int = 0
    """Copies that were given up for good."""
    files_held: int = 0
    """Copies that wait for somebody, or for a site."""
    bytes_per_s: float = 0.0
    retries: int = 0
    deletions_done: int = 0
    """Files deleted, gone already, or rightly left alone."""
    deletions_total: int = 0
    message: str = ""
    """What we are waiting for, or the last error; "" if all is well."""


Listener = Callable[[RunProgress], None]


@dataclass(frozen=True, slots=True)
class BadSource:
    """A site that has not the file that it should have by the inventory's word."""

    site: str
    lfn: str
    error: str
    is_missing: bool = False
    """It has none; else: another one."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run of a worker has done; what others did meanwhile is in the states of the requests only."""

    seed: int
    seconds: float = 0.0
    files_copied: int = 0
    bytes_copied: int = 0
    files_found: int = 0
    """Already in place and proved, so not copied."""
    files_replaced: int = 0
    """Of those copied: a different file lay in their place, and is gone now."""
    files_failed: int = 0
    """Given up for good."""
    files_held: int = 0
    """Files of the requests worked on that are held in the end: not done, nor tried again before something changes."""
    retries: int = 0
    requests: tuple[CopyRequest, ...] = ()
    """The copies that were worked on, as the inventory has them at the end."""
    deletions: tuple[DeletionReport, ...] = ()
    """The deletions that were worked on."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Requests with files that are held, or that somebody holds back, by id, and why."""
    stopped: Mapping[str, str] = field(default_factory=dict)
    """Sites where work was given up for now, and why; their requests stay open."""
    on_hold: frozenset[str] = frozenset()
    """Of ``held``: those that somebody holds back."""
    bad_sources: tuple[BadSource, ...] = ()
    errors: tuple[str, ...] = ()
    """What went wrong, a line for files that failed alike at one site; with the name of the first of them."""
    is_busy: bool = False
    """Other workers are at what is left, and we were asked not to wait."""
