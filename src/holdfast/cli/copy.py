"""``holdfast copy``: bring a dataset to another site."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from holdfast.cli import options, show
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import Update, progress
from holdfast.model import names
from holdfast.model.errors import OperatorError
from holdfast.model.names import DatasetKey
from holdfast.model.records import CopyRequest, RequestState
from holdfast.operations import executor, lockfile, requests
from holdfast.operations.progress import Listener, Progress, RunReport

ERRORS_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("copy")(copy_command)


def copy_command(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="What to copy: NAME or NAME#VERSION.")],
    *,
    to: Annotated[str, typer.Option(metavar="SITE", help="The site to bring it to.")],
    group: Annotated[str, typer.Option(help="The group that will own the copy.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite what lies in a file's place and is not that file.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Only ask for it; `transfers run` does it.")] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Bring a dataset to another site; each file is verified there before it counts.

    The request is on record first and survives interruption: run the same
    command again, or `holdfast transfers run`, and what is in place already is
    not copied again. A different file that lies in the place of one stays, and
    that copy fails, unless --replace is given and no lock names the file. Exit
    code 2: the site is full or cannot be used; 3: some files could not be
    copied.
    """
    key = names.dataset_key(dataset)
    with open_context() as context:
        request = requests.request_copy(
            context.store,
            key,
            to,
            reason=f"copy {key} to {to}",
            actor=context.actor,
            clock=context.clock,
            group=group,
            may_replace=replace,
            dry_run=dry_run,
        )
        if dry_run:
            _show_need(context, key, to, json)
            return
        if no_wait or request.state is not RequestState.OPEN:
            _show_request(request, json)
            return
        report = carry_out(context, [request.id], quiet=quiet or json)
    if json:
        show.document(report)
    conclude(report, json=json)


def carry_out(context: Context, only: list[str] | None, *, wait: bool = True, quiet: bool = False) -> RunReport:
    """Run the executor on these requests, or on all, with a bar."""
    with progress("Copying", unit="bytes", quiet=quiet) as update:
        return asyncio.run(
            executor.run(
                context.store,
                context.driver,
                settings=context.config.operations,
                clock=context.clock,
                lock_path=context.state_dir / lockfile.COPIES,
                progress=_telling(update),
                only=only,
                wait=wait,
                waiting=show.note,
            )
        )


def conclude(report: RunReport, *, json: bool) -> None:
    """Say what a run has done, unless that was said in ``json``; ends the command with the exit code of the worst."""
    if not json:
        _show_report(report)
    if report.stopped:
        sites = "; ".join(f"{site}: {why}" for site, why in sorted(report.stopped.items()))
        hint = "the request stays open: put that right, then `holdfast transfers run`"
        raise OperatorError(f"work has stopped: {sites}", hint=hint)
    if any(request.state is RequestState.FAILED for request in report.requests):
        raise typer.Exit(3)


def _telling(update: Update) -> Listener:
    def tell(state: Progress) -> None:
        note = f"{state.files_done:,}/{state.files_total:,} files"
        failed = f", {state.files_failed:,} failed" if state.files_failed else ""
        message = f" {state.message[:60]}" if state.message else ""
        update(completed=state.bytes_done, total=state.bytes_total, note=f"{note}{failed}{message}")

    return tell


def _show_need(context: Context, key: DatasetKey, to: str, json: bool) -> None:
    with context.store.snapshot() as snapshot:
        need = requests.need_of(snapshot, key, to)
    if json:
        counts = {
            "files": need.n_files,
            "size": need.size,
            "held": need.n_held,
            "without_source": need.n_without_source,
        }
        show.document({"dataset": key, "site": to, "dry_run": True, **counts})
        return
    show.line(f"would copy {show.plural(need.n_files, 'file')}, {show.size(need.size)}, of {key} to {to}")
    if need.n_held:
        show.line(f"{to} holds {show.plural(need.n_held, 'file')} already")
    if need.n_without_source:
        show.note(f"{show.plural(need.n_without_source, 'file')} would fail: no other ready site holds them")


def _show_request(request: CopyRequest, json: bool) -> None:
    if json:
        facts = {"request": request.id or None, "state": request.state, "detail": request.detail}
        show.document({"dataset": request.dataset, "site": request.site, **facts})
    elif request.state is RequestState.OPEN:
        show.line(f"request {request.id}: {request.dataset} to {request.site}")
        show.note("`holdfast transfers run` carries it out")
    else:
        show.line(f"nothing to do: {request.detail}")


def _show_report(report: RunReport) -> None:
    if report.is_busy:
        show.note("another executor is at work; nothing was done here")
    for request in report.requests:
        show.line(f"{request.dataset} to {request.site}: {request.state.value}: {request.detail or 'not finished'}")
    if report.files_copied or report.files_found:
        found = f", {show.plural(report.files_found, 'file')} found in place" if report.files_found else ""
        replaced = f", {show.plural(report.files_replaced, 'file')} replaced" if report.files_replaced else ""
        copied = f"{show.plural(report.files_copied, 'file')}, {show.size(report.bytes_copied)}"
        show.line(f"copied {copied}, in {report.seconds:.1f} s{replaced}{found}")
    for fault in report.wrong_sources[:ERRORS_SHOWN]:
        show.note(f"{fault.error}; `holdfast check {fault.site} --checksums` finds all that is wrong there")
    for error in report.errors[:ERRORS_SHOWN]:
        show.note(error)
    if len(report.errors) > ERRORS_SHOWN:
        show.note(f"and {len(report.errors) - ERRORS_SHOWN} more; see `holdfast transfers show`")
