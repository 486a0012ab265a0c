"""CheckRun: what one check carries from step to step, and how it is done: against our inventory or another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency.checking.ignored import NOTHING, Ignored
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.run_folder import RunFolder
from holdfast.inventory.store import Store
from holdfast.model.clock import DAY_US, Clock
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.limits import DEFAULTS, ListingLimits

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and of how much (None: not known)."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How to check. ``limits`` are those of the comparison's engine, ``listing`` those of the listing.

    Interrupted checks older than ``resume_age_s`` are not gone on with, none are ``afresh``. A dry run does not note
    what was proved, and forgets nothing.
    """

    limits: EngineLimits
    with_checksums: bool = False
    listing: ListingLimits = DEFAULTS
    walk_processes: int | None = None
    read_concurrency: int = 4
    ignore_age_s: int = 86_400
    ignored: Ignored = NOTHING
    resume_age_s: int = 604_800
    history_days: float = 365
    shrunk_fraction_max: float = 0.5
    afresh: bool = False
    dry_run: bool = False

    @property
    def history_us(self) -> int:
        """For how long is remembered what is not so any more."""
        return round(self.history_days * DAY_US)


def silent(what: str, done: int, total: int | None) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True, kw_only=True)
class SiteRun:
    """What any run carries from step to step. The first of the ``doors`` is the one that is read through."""

    site: Site
    doors: Sequence[StorageDriver]
    settings: CheckSettings
    clock: Clock
    folder: RunFolder
    progress: Progress

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self.folder.path


@dataclass(frozen=True, kw_only=True)
class CheckRun(SiteRun):
    """What the check of a site against our own inventory carries."""

    store: Store
    actor: str
