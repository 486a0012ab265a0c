"""``holdfast copy``: bring a dataset to another site."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import completing, lock, options, request_show, running, show
from holdfast.cli.context import Context, open_context
from holdfast.model import names
from holdfast.model.names import DatasetKey
from holdfast.model.records import PRIORITY_MOST, PRIORITY_USUAL, BlockFiles, CopyRequest, RequestState, SiteStatus
from holdfast.operations import requests
from holdfast.operations.requesting import needs, scopes
from holdfast.operations.showing import overview


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("copy")(copy_command)


def copy_command(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="What to copy: NAME or NAME#VERSION.", autocompletion=completing.datasets
        ),
    ],
    *,
    to: Annotated[str, typer.Option(metavar="SITE", help="The site to bring it to.", autocompletion=completing.sites)],
    block: Annotated[
        list[str] | None, typer.Option("--block", help="Only this block; may be given several times.")
    ] = None,
    group: Annotated[str, typer.Option(help="The group that will own the copy.")] = "",
    priority: Annotated[
        int, typer.Option(min=1, max=PRIORITY_MOST, help="How urgent it is: 1 the least, 5 the most.")
    ] = PRIORITY_USUAL,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="DURATION|DATE",
            help="When it is of no use any more: 90min, 12h, 30d, 2030-01-31[T12:00]; UTC.",
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it stays in the journal.")] = None,
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
    that copy fails, unless --replace is given and no lock names the file. A
    deletion of the same files there that nobody has begun is taken back. What
    was asked for before stays as it was asked for. Exit code 1: it was held back
    by somebody; 3: some files could not be copied, or the site is full or lets
    nobody in; 4: the site is not to be used (with --no-wait it is waited for).
    """
    key = names.dataset_key(dataset)
    scope = None if block is None else [BlockFiles(each) for each in block]
    with open_context() as context:
        asked = requests.request_copy(
            context.store,
            key,
            to,
            scope=scope,
            reason=reason if reason is not None else f"copy {key} to {to}",
            actor=context.actor,
            clock=context.clock,
            group=group,
            may_replace=replace,
            priority=priority,
            deadline_us=lock.expiry(deadline, now_us=context.clock(), option="--deadline"),
            may_wait=no_wait,
            dry_run=dry_run,
        )
        if dry_run:
            _show_need(context, key, to, scope, json=json)
        elif json and (no_wait or asked.request.state is not RequestState.OPEN):
            show.document(running.asked_document(context, asked))
        elif no_wait or asked.request.state is not RequestState.OPEN:
            request_show.print_asked(asked, "transfers")
            _show_waitroom(context, asked.request)
        else:
            running.carry_out_asked(context, asked, kinds=overview.COPIES, json=json, quiet=quiet)


def _show_waitroom(context: Context, request: CopyRequest) -> None:
    with context.store.snapshot() as snapshot:
        status = snapshot.site(request.site).status
    if request.state is RequestState.OPEN and status is not SiteStatus.READY:
        show.note(f"{request.site} is {status}: it is held (site unavailable) until that is ready")


def _show_need(context: Context, key: DatasetKey, to: str, scope: list[BlockFiles] | None, *, json: bool) -> None:
    with context.store.snapshot() as snapshot:
        need = needs.need_of(snapshot, key, to, scope)
    n_condemned = scopes.count(need.condemned)
    if json:
        counts = {
            "files": need.n_files,
            "size": need.size,
            "held": need.n_held,
            "condemned": n_condemned,
            "without_source": need.n_without_source,
        }
        show.document({"dataset": key, "site": to, "dry_run": True, **counts})
        return
    show.line(f"would copy {show.plural(need.n_files, 'file')}, {show.size(need.size)}, of {key} to {to}")
    if need.n_held:
        show.line(f"{to} holds {show.plural(need.n_held, 'file')} already")
    if n_condemned:
        show.line(f"{to} holds {show.plural(n_condemned, 'file')} that it is to lose; that would be taken back")
    if need.n_without_source:
        show.note(f"{show.plural(need.n_without_source, 'file')} would be held: no other ready site holds them")
