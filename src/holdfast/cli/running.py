"""Running: a worker in this process, with a bar, and what it has done in the end."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import typer

from holdfast.cli import ending, request_choice, request_show, run_show, show
from holdfast.cli.context import Context, hush
from holdfast.cli.progress import Unit, Update, progress
from holdfast.model.errors import PeerError
from holdfast.model.records import RequestState, SiteStatus
from holdfast.operations import executor
from holdfast.operations.batches.lease import monotonic_s
from holdfast.operations.deletion_report import PathState
from holdfast.operations.engines.making import make_engines
from holdfast.operations.progress import Listener, RunProgress, RunReport
from holdfast.operations.requesting.asking import Asked
from holdfast.operations.showing import overview
from holdfast.operations.showing.overview import Kinds


def carry_out(
    context: Context,
    only: Collection[str] | None,
    *,
    kinds: Kinds | None = None,
    wait: bool = True,
    forever: bool = False,
    quiet: bool = False,
) -> RunReport:
    """Work on these requests, or on all of these kinds, with a bar."""
    is_deleting = kinds == overview.DELETIONS
    if quiet and not forever:
        hush()
    unit: Unit = "files" if is_deleting else "bytes"
    with progress("Deleting" if is_deleting else "Copying", unit=unit, quiet=quiet) as update:
        return ending.run(
            executor.run(
                context.store,
                context.sites.driver,
                settings=context.config.operations,
                clock=context.clock,
                workers_dir=context.workers_dir,
                progress=_telling(update, is_deleting=is_deleting),
                only=only,
                kinds=kinds,
                wait=wait,
                forever=forever,
                waiting=show.note,
                engines=make_engines(
                    context.config.operations, context.sites.access, clock=context.clock, monotonic=monotonic_s
                ),
            )
        )


def carry_out_asked(context: Context, asked: Asked[Any], *, kinds: Kinds, json: bool, quiet: bool) -> None:
    """Carry out what was just asked for, and say what has come of it; ends the command as ``conclude`` does."""
    if not json:
        request_show.print_joined(asked)
        request_show.print_met(asked)
    report = carry_out(context, [asked.request.id], kinds=kinds, quiet=quiet or json)
    if json:
        show.document({**asked_document(context, asked), "run": run_show.counts(report)})
    conclude(context, report, json=json)


def asked_document(context: Context, asked: Asked[Any]) -> dict[str, Any]:
    """What came of asking, for programs: the request as it is now."""
    with context.store.snapshot() as snapshot:
        request = (snapshot.request(asked.request.id) if asked.request.id else None) or asked.request
    (status,) = request_choice.statuses_of(context, [request])
    return request_show.asked_facts(asked, status, now_us=context.clock())


def conclude(context: Context, report: RunReport, *, json: bool) -> None:
    """Say what a run has done, unless that was said in ``json``; ends the command with the exit code of the worst.

    PeerError, which is 3, where a storage is in the way. 3 also if anything else was given up or is held; 1 if
    nothing but somebody's word is in the way: a request held back, a site that is not to be used.
    """
    if not json:
        run_show.show_report(report)
    closed = _closed_sites(context, report)
    failing = sorted(report.stopped.keys() - closed.keys())
    if failing:
        hint = "the requests stay open: put that right, then `holdfast transfers run` or `holdfast deletions run`"
        reasons = "; ".join(f"{site}: {report.stopped[site]}" for site in failing) if json else ", ".join(failing)
        raise PeerError(f"work has stopped at {reasons}", hint=hint)
    for site, status in closed.items():
        show.note(f"{site} is {status}: `holdfast site set {site} --status ready` lets it be used")
    outcomes = [*(each.state for each in report.requests), *(each.state for each in report.deletions)]
    # Of orphans: what must stay, or is not what was listed. It is right, and still not what was asked for.
    has_left = any(each.count(PathState.SKIPPED) for each in report.deletions)
    is_open = {each.id: each.site for each in report.requests} | {each.request: each.site for each in report.deletions}
    held = {id for id in report.held if id not in report.on_hold and is_open.get(id) not in closed}
    if held or has_left or any(state is RequestState.FAILED for state in outcomes):
        raise typer.Exit(3)
    if report.held or closed:
        raise typer.Exit(1)


def _closed_sites(context: Context, report: RunReport) -> dict[str, SiteStatus]:
    """Of the sites where work has stopped: those that are not to be used, by the inventory's word."""
    with context.store.snapshot() as snapshot:
        known = {site.name: site.status for site in snapshot.sites()}
    found = {name: known.get(name, SiteStatus.READY) for name in sorted(report.stopped)}
    return {name: status for name, status in found.items() if status is not SiteStatus.READY}


def _telling(update: Update, *, is_deleting: bool) -> Listener:
    def tell(state: RunProgress) -> None:
        failed = f", {state.files_failed:,} failed" if state.files_failed else ""
        held = f", {state.files_held:,} held" if state.files_held else ""
        message = f" {state.message[:60]}" if state.message else ""
        if is_deleting:
            update(completed=state.deletions_done, total=state.deletions_total, note=f"{failed}{held}{message}")
            return
        deleted = f", {state.deletions_done:,}/{state.deletions_total:,} deleted" if state.deletions_total else ""
        note = f"{state.files_done:,}/{state.files_total:,} files{deleted}{failed}{held}{message}"
        update(completed=state.bytes_done, total=state.bytes_total, note=note)

    return tell
