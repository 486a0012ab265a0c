"""``holdfast transfers``: the queue of copies and deletions."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from holdfast.cli import copy, options, show
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.model.errors import Conflict
from holdfast.model.records import DeletionRequest, RequestState
from holdfast.operations import deletion, lockfile, overview, requests
from holdfast.operations.deletion import DeletionReport
from holdfast.operations.overview import CopyStatus

ID_SHOWN = 12
PROBLEMS_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="transfers", no_args_is_help=True, rich_markup_mode=None, help="The queue of copies and deletions."
    )
    group.command("list")(list_command)
    group.command("show")(show_command)
    group.command("run")(run_command)
    group.command("cancel")(cancel_command)
    app.add_typer(group)


def list_command(
    all: Annotated[bool, typer.Option("--all", "-a", help="Also requests that have their outcome.")] = False,
    json: options.Json = False,
) -> None:
    """List requests and how far they are."""
    with open_context() as context:
        copies = overview.copies(context.store, only_open=not all)
        deletions = overview.deletions(context.store, only_open=not all)
    if json:
        show.document({"requests": [*map(_copy_facts, copies), *map(_deletion_facts, deletions)]})
        return
    rows = [_copy_row(status) for status in copies] + [_deletion_row(request) for request in deletions]
    columns = ("request", "what", "site", "state", "done", "failed", "files", "size", "asked")
    show.table(columns, rows, right=("done", "failed", "files", "size"))


def show_command(
    id: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id, or the beginning of it.")],
    json: options.Json = False,
) -> None:
    """Show one request, and why its files do not move."""
    with open_context() as context:
        found = overview.find(context.store, id)
        problems = overview.problems(context.store, found.request.id) if isinstance(found, CopyStatus) else []
    facts = _copy_facts(found) if isinstance(found, CopyStatus) else _deletion_facts(found)
    if json:
        show.document({**facts, "problems": problems})
        return
    show.facts([(name.replace("_", " "), str(value)) for name, value in facts.items() if value not in (None, "")])
    if problems:
        show.line()
        show.table(("file", "state", "last error"), [(each.lfn, each.state.value, each.error) for each in problems])


def run_command(
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait where another process is at work already.")
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Carry out all open copies and deletions.

    Exit code 2: a site is full or cannot be used; 3: some files could not be
    copied or deleted.
    """
    with open_context() as context:
        deleted = carry_out_deletions(context, None, wait=not no_wait, quiet=quiet or json)
        report = copy.carry_out(context, None, wait=not no_wait, quiet=quiet or json)
    if json:
        show.document({"copies": report, "deletions": deleted})
    else:
        for each in deleted:
            if each.is_busy:
                show.note(f"{each.site}: another process deletes; nothing was done here")
            else:
                show.line(f"{each.site}: {each.error or deletion.detail_of(each)}")
        if not deleted and not report.requests and not report.is_busy:
            show.line("nothing to do")
    copy.conclude(report, json=json)
    if any(each.error or each.count(deletion.PathState.FAILED) for each in deleted):
        raise typer.Exit(3)


def cancel_command(
    id: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id, or the beginning of it.")],
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Give up an open request; what has arrived or gone stays so.

    A process that works on it stops within seconds and removes what is half
    done. Exit code 4: it is over already.
    """
    with open_context() as context:
        found = overview.find(context.store, id)
        request = found.request if isinstance(found, CopyStatus) else found
        if request.state is not RequestState.OPEN:
            message = f"request {request.id} is {request.state.value} already"
            raise Conflict(message, rows=(request.id,), hint=request.detail)
        reason = f"cancelled by {context.actor}"
        requests.cancel(context.store, request.id, reason=reason, actor=context.actor, dry_run=dry_run)
    if json:
        show.document({"request": request.id, "site": request.site, "state": "cancelled", "dry_run": dry_run})
    else:
        show.line(f"{'would cancel' if dry_run else 'cancelled'} request {request.id} at {request.site}")


def carry_out_deletions(
    context: Context, only: list[str] | None, *, wait: bool = True, quiet: bool = False
) -> list[DeletionReport]:
    """Carry out these deletion requests, or all open ones, with a bar."""
    with progress("Deleting", quiet=quiet) as update:
        return asyncio.run(
            deletion.run(
                context.store,
                context.driver,
                clock=context.clock,
                lock_path=context.state_dir / lockfile.DELETIONS,
                only=only,
                wait=wait,
                waiting=show.note,
                progress=lambda done, total: update(completed=done, total=total),
            )
        )


def _copy_facts(status: CopyStatus) -> dict[str, Any]:
    request = status.request
    return {
        "request": request.id,
        "kind": "copy",
        "dataset": str(request.dataset),
        "site": request.site,
        "state": request.state.value,
        "reason": request.reason,
        "detail": request.detail,
        "files": status.n_files if status.is_planned else None,
        "size": status.size if status.is_planned else None,
        "done": status.n_done,
        "failed": status.n_failed,
        "asked": show.time_exact(request.created_us),
    }


def _deletion_facts(request: DeletionRequest) -> dict[str, Any]:
    return {
        "request": request.id,
        "kind": "deletion",
        "site": request.site,
        "state": request.state.value,
        "reason": request.reason,
        "detail": request.detail,
        "files": len(request.orphans),
        "size": sum(orphan.size for orphan in request.orphans),
        "asked": show.time_exact(request.created_us),
    }


def _copy_row(status: CopyStatus) -> tuple[str, ...]:
    request = status.request
    known = status.is_planned or request.state is not RequestState.OPEN
    return (
        request.id[:ID_SHOWN],
        str(request.dataset),
        request.site,
        request.state.value,
        show.number(status.n_done),
        show.number(status.n_failed),
        show.number(status.n_files) if known else "?",
        show.size(status.size) if known else "?",
        show.time(request.created_us),
    )


def _deletion_row(request: DeletionRequest) -> tuple[str, ...]:
    return (
        request.id[:ID_SHOWN],
        "removal of orphans",
        request.site,
        request.state.value,
        "",
        "",
        show.number(len(request.orphans)),
        show.size(sum(orphan.size for orphan in request.orphans)),
        show.time(request.created_us),
    )
