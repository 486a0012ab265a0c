"""MendingAsker: who asks for what a report calls for, and what was asked for so far.

Rules
  * What is asked for and that it was, because of this run and about which paths, are one transaction (``recorder``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from holdfast import logs
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.gates import Gates
from holdfast.consistency.history.deeds import DeedKind, Deeds
from holdfast.consistency.history.runs import History
from holdfast.consistency.report import Report
from holdfast.inventory.dry_run import Also
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock
from holdfast.model.errors import Conflict
from holdfast.model.records import Door
from holdfast.model.requirements import Requirement, SameDoor
from holdfast.storage.driver import StorageDriver

_log = logs.get("consistency")


@dataclass
class Repair:
    """What was asked for, or would be: requests by id, files, and what was left alone and why."""

    copy_requests: list[str] = field(default_factory=list)
    deletion_requests: list[str] = field(default_factory=list)
    """Those for orphans."""
    directory_requests: list[str] = field(default_factory=list)
    copies: int = 0
    copied_size: int = 0
    under_way: int = 0
    """Files that an open request is to bring anyway, or has brought since the check."""
    retried: dict[str, int] = field(default_factory=dict)
    """Requests that were held and are tried again, with how many files of them."""
    deletions: int = 0
    deleted_size: int = 0
    directories: int = 0
    """Empty directories that are to go."""
    going: dict[str, str] = field(default_factory=dict)
    """Orphans that an open request is to take away anyway: paths, and the requests."""
    going_directories: dict[str, str] = field(default_factory=dict)
    """The same of empty directories."""
    unrecoverable: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MendingAsker:
    """Who asks, through what: the arguments every function here needs."""

    store: Store
    driver: StorageDriver
    actor: str
    clock: Clock
    new_id: Callable[[], str]
    door: Door
    """The door that the report was made through: what was seen behind it says nothing of what is behind another."""
    dry_run: bool = False
    despite: tuple[str, ...] = ()
    """By which words gates were opened or left out that the configuration closes; whoever asks later why is told."""

    def cause(self, report: Report) -> str:
        """Why something is asked for."""
        despite = f" ({', '.join(self.despite)})" if self.despite else ""
        return f"check {report.run} of {report.site}{despite}"

    def same_door(self, site: str) -> tuple[Requirement, ...]:
        """What has to be so yet at the commit, for what was seen to count."""
        return (SameDoor(site, self.door),)

    def recorder(self, report: Report, kind: DeedKind, request: str, findings: Sequence[Finding]) -> Also:
        """What notes that ``request`` asks for something about ``findings`` because of a report."""
        history, at_us = History(self.store, clock=self.clock), self.clock()
        by_class: dict[Class, list[Finding]] = {}
        for finding in findings:
            by_class.setdefault(finding.cls, []).append(finding)
        notes = [
            history.recorder(report.run, cls, request, len(those), sum(each.size for each in those), at_us)
            for cls, those in by_class.items()
        ]
        notes.append(Deeds(self.store).recorder(report.site, kind, request, findings, at_us))

        def also(connection: Connection) -> None:
            for note in notes:
                note(connection)

        return also


def require_open(report: Report, gates: Gates, *classes: Class) -> None:
    """Conflict, with all reasons, if the gate of a class is closed."""
    closed = [gates[cls] for cls in classes if not gates[cls].is_open]
    reasons = list(dict.fromkeys(reason for gate in closed for reason in gate.reasons))
    if reasons:
        hint = "look at the report; what may be more is in `holdfast config show`, and in `holdfast check --help`"
        raise refused(report, f"{'; '.join(reasons)}; nothing is changed", hint)


def refused(report: Report, message: str, hint: str = "") -> Conflict:
    """The error of who may not act on a report, told to the log."""
    _log.info("gates refused", site=report.site, run=report.run, reason=message)
    return Conflict(message, rows=(report.site,), hint=hint)
