"""The part of ``holdfast check`` that acts: what is wished for, asked for and carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.cli import run_show, running, show
from holdfast.cli.check_words import Words
from holdfast.cli.consistency_states import states_of
from holdfast.cli.context import Context
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import LACKING, Class
from holdfast.consistency.history.states import Mode
from holdfast.consistency.mending import acting
from holdfast.consistency.mending.acting import Acting, Wishes
from holdfast.consistency.mending.asker import Asker, Gates, Repair, require_open
from holdfast.consistency.report import Report
from holdfast.model.records import RequestState, Site
from holdfast.operations import requests
from holdfast.operations.deletion_report import DeletionReport, PathState
from holdfast.operations.progress import RunReport
from holdfast.storage.driver import StorageDriver

_SEEN_TO = (*LACKING, Class.ORPHAN, Class.EMPTY_DIRECTORY, Class.IGNORED)
"""What is mended, or need not be. Whatever else is found is left."""

_GONE = (PathState.DELETED, PathState.GONE, PathState.MOVED)


@dataclass(frozen=True, slots=True)
class Mending:
    """What is to be done about a report."""

    wishes: Wishes
    words: Words
    dry_run: bool
    quiet: bool


@dataclass(slots=True)
class Mended:
    """What was asked for, and what came of it."""

    asked: Repair = field(default_factory=Repair)
    copied: RunReport | None = None
    deleted: tuple[DeletionReport, ...] = ()
    gates: Gates = field(default_factory=dict)
    dry_mode: str = ""
    """Why this was a dry run, if nobody asked for one."""

    @property
    def left(self) -> dict[Class, tuple[str, ...]]:
        """The classes that something is found of and that may not be acted on, with the reasons."""
        return {cls: gate.reasons for cls, gate in self.gates.items() if gate.found and not gate.is_open}


def mend(
    context: Context, record: Site, report: Report, mending: Mending, limits: EngineLimits, mended: Mended
) -> None:
    """Ask for what mends the site and, unless told not to, carry it out; told in ``mended`` as it goes.

    ``record`` is the site as it was checked.
    """
    configured = context.config.consistency
    settings = mending.words.settings(configured.for_site(report.site))
    state = states_of(context).get(report.site)
    mended.dry_mode = state.mode_refusal
    # What would be done is asked of the gates as if it could be.
    state = replace(state, mode=Mode.ACT)
    gates = acting.gates_of(context.store, report, settings, state, limits, now_us=context.clock())
    mended.gates = {cls: gates[cls] for cls in mending.wishes.classes}
    dry_run = mending.dry_run or bool(mended.dry_mode)
    if not mending.wishes.as_far_as_open:
        require_open(report, gates, *acting.closed(gates, mending.wishes))

    async def ask(driver: StorageDriver) -> None:
        door = record.first_door
        who = (context.actor, context.clock, requests.random_id)
        asker = Asker(context.store, driver, *who, door, dry_run, mending.words.despite)
        await Acting(asker, report, gates, settings, limits).act(mending.wishes, mended.asked)

    context.with_driver(record, ask)
    if dry_run or mending.words.no_wait:
        return
    copies, deletions = _open_requests(context, report.site, mending.wishes)
    if copies or deletions:
        done = running.carry_out(context, [*copies, *deletions], quiet=mending.quiet)
        mended.copied = replace(done, deletions=()) if copies else None
        mended.deleted = done.deletions


def document(context: Context, mended: Mended) -> dict[str, Any]:
    """What was done, for machines."""
    shown: dict[str, Any] = show.jsonable(mended)
    shown["copied"] = None if mended.copied is None else run_show.document(context, mended.copied)
    shown["gates"] = {cls.value: show.jsonable(gate) for cls, gate in mended.gates.items()}
    return shown


def _open_requests(context: Context, site: str, wishes: Wishes) -> tuple[list[str], list[str]]:
    """The copies and deletions to be carried out: those just asked for, and what an interrupted run has left.

    What that one asked for is awaited now, and no check finds it missing again.
    """
    with context.store.snapshot() as view:
        copies = [each.id for each in view.copy_requests() if each.site == site]
        deletions = [each.id for each in view.deletion_requests() if each.site == site]
    return (
        copies if wishes.copies else [],
        deletions if wishes.orphans or wishes.empty_directories else [],
    )


def is_put_right(report: Report, mended: Mended | None) -> bool:
    """Whether nothing that the check found is left, by what the executors say."""
    if mended is None or report.unlisted_places or any(report.counts[cls] for cls in Class if cls not in _SEEN_TO):
        return False
    copies = mended.copied.requests if mended.copied else ()
    if not all(request.state is RequestState.DONE for request in copies):
        return False
    asked = mended.asked
    gone = _gone_by(mended, asked.deletion_requests) + _gone_by_earlier(mended, asked.going)
    directories = _gone_by(mended, asked.directory_requests) + _gone_by_earlier(mended, asked.going_directories)
    if Class.EMPTY_DIRECTORY in mended.gates and directories != report.counts[Class.EMPTY_DIRECTORY]:
        return False
    n_copied = asked.copies + asked.under_way if mended.copied else 0
    lacking = sum(report.counts[cls] for cls in LACKING)
    return (n_copied, gone) == (lacking, report.counts[Class.ORPHAN])


def _gone_by(mended: Mended, requests: Sequence[str]) -> int:
    return sum(each.count(*_GONE) for each in mended.deleted if each.request in requests)


def _gone_by_earlier(mended: Mended, going: Mapping[str, str]) -> int:
    """How many of what was to go anyway have gone; those requests may name more than this check found."""
    outcomes = [(each.request, outcome) for each in mended.deleted for outcome in each.outcomes]
    return sum(going.get(outcome.path) == request and outcome.state in _GONE for request, outcome in outcomes)
