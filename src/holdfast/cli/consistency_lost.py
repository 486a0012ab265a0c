"""``holdfast consistency lost``: files that no disk can give back, and declaring them lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import completing, options, show
from holdfast.cli.context import Context, open_context
from holdfast.consistency import findings
from holdfast.consistency.classes import WRONG
from holdfast.consistency.findings import Finding
from holdfast.consistency.history.kept_report import require_here
from holdfast.consistency.history.runs import History
from holdfast.consistency.mending import declaring, losses
from holdfast.consistency.mending.acting_tools import ActingTools
from holdfast.consistency.mending.losses import Hope, Loss
from holdfast.consistency.report import FINDINGS, Report
from holdfast.model import names
from holdfast.model.errors import BadInput
from holdfast.operations import requests

SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lost")(lost_command)


def lost_command(
    site: Annotated[
        str, typer.Argument(metavar="SITE", help="The site that lacks them.", autocompletion=completing.sites)
    ],
    *,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="DATASET", help="Only files of this one.", autocompletion=completing.datasets),
    ] = None,
    declare: Annotated[
        bool, typer.Option("--declare", help="Declare lost what is gone: the inventory then knows of no copy there.")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; needed to declare.")] = "",
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Show what a site lacks and no disk elsewhere can give back.

    Meant are the missing and wrong files of its last check. They may be on tape
    only, at sites that are not ready, or gone. Only what is gone can be declared
    lost, and only what was seen so in as many checks as consistency.lost_runs says;
    each is looked at once more right before. That cannot be taken back: it is told
    to everybody who reads the journal. Exit code 1: there are files that are gone.
    """
    if declare and not reason.strip():
        raise BadInput("it is not said why these files are to be declared lost", hint="give --reason")
    if reason and not declare:
        raise BadInput("--reason says why files are declared lost", hint="give --declare, too, or leave it out")
    with open_context() as context:
        report = _last_report(context, site)
        found = _losses(context, report, dataset)
        declared = _declare(context, report, found, reason, dry_run=dry_run) if declare else []
    if json:
        files = [_document(each) for each in found]
        about = {"site": report.site, "run": report.run, "dry_run": dry_run}
        show.document({**about, "files": files, "declared": _paths(declared)})
    else:
        _show(report, found, declared, dry_run=dry_run)
    n_left = sum(each.hope is Hope.NONE for each in found) - len(declared)
    if declare and n_left and not json:
        show.note(
            f"{show.plural(n_left, 'file')} not declared: not seen so in enough checks (lost_runs), or not so any more"
        )
    if n_left or (dry_run and declared):
        raise typer.Exit(1)


def _last_report(context: Context, site: str) -> Report:
    with context.store.snapshot() as view:
        view.site(site)
    report = History(context.store, clock=context.clock).require_last_report(site)
    require_here(report)
    return report


def _losses(context: Context, report: Report, dataset: str | None) -> list[Loss]:
    table = findings.read_table(Path(report.folder) / FINDINGS, WRONG)
    with context.store.snapshot() as view:
        if dataset is not None:
            dataset = str(view.dataset(names.dataset_key(dataset)).key)
        found = losses.losses(view, report.site, table)
        return [each for each in found if dataset is None or _dataset(each.finding) == dataset]


def _declare(context: Context, report: Report, found: Sequence[Loss], reason: str, *, dry_run: bool) -> list[Finding]:
    with context.store.snapshot() as view:
        record = view.site(report.site)
    who = (context.actor, context.clock, requests.random_id)
    tools = ActingTools(context.store, record, context.config.consistency, *who, dry_run)
    return context.with_driver(
        record, lambda driver: declaring.declare_lost(tools, driver, report, found, reason=reason)
    )


def _show(report: Report, found: Sequence[Loss], declared: Sequence[Finding], *, dry_run: bool) -> None:
    by_dataset = Counter((_dataset(each.finding), each.hope.value) for each in found)
    rows = [(name, show.number(number), hope) for (name, hope), number in sorted(by_dataset.items())]
    if rows:
        show.table(("dataset", "files", "where they are"), rows, right=("files",))
    for each in found[:SHOWN]:
        where = f" at {', '.join(each.sites)}" if each.sites else ""
        show.line(f"  {each.hope.value}{where}: {each.finding.lfn}")
    if len(found) > SHOWN:
        show.line(f"  and {show.number(len(found) - SHOWN)} more; --json has all")
    if not found:
        lacked = f"nothing that {report.site} lacked in check {report.run}, and should still have"
        show.line(f"{lacked}, is without another copy on disk")
    if declared:
        would = "would declare" if dry_run else "declared"
        show.line(f"{would} {show.plural(len(declared), 'file')} lost")


def _document(loss: Loss) -> dict[str, object]:
    finding = loss.finding
    return {
        "lfn": finding.lfn,
        "path": finding.path,
        "class": finding.cls,
        "dataset": _dataset(finding),
        "size": finding.size,
        "hope": loss.hope,
        "sites": loss.sites,
    }


def _dataset(finding: Finding) -> str:
    return "" if finding.block is None else str(finding.block.dataset)


def _paths(declared: Sequence[Finding]) -> list[str]:
    return [each.path for each in declared]
