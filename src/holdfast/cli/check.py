"""``holdfast check``: compare a site with the inventory, and put it right if asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import check_show, options, running, show, site_listing
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.consistency import check as checking
from holdfast.consistency import findings, repair
from holdfast.consistency.check import CheckSettings
from holdfast.consistency.duckdb_session import engine_limits
from holdfast.consistency.findings import LACKING, Class
from holdfast.consistency.repair import Asker, Repair
from holdfast.consistency.report import FINDINGS, Report, write_json
from holdfast.model.clock import show_time
from holdfast.model.errors import BadInput, HoldfastError
from holdfast.model.records import RequestState
from holdfast.operations import requests
from holdfast.operations.deleting.report import DeletionReport, PathState
from holdfast.operations.progress import RunReport
from holdfast.storage.driver import StorageDriver


@dataclass(frozen=True, slots=True)
class Mending:
    """What is to be done about a report. ``orphan_limit`` None: no orphan is to go."""

    copies: bool
    fraction_max: float
    orphan_limit: int | None
    dry_run: bool
    no_wait: bool
    quiet: bool


@dataclass(slots=True)
class Mended:
    """What was asked for, and what came of it."""

    asked: Repair = field(default_factory=Repair)
    copied: RunReport | None = None
    deleted: tuple[DeletionReport, ...] = ()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check_command)


def check_command(
    site: Annotated[str, typer.Argument(metavar="SITE", help="The site to check.")],
    *,
    checksums: Annotated[
        bool, typer.Option("--checksums", help="Also read every file, and note which blocks were proved whole.")
    ] = False,
    mend: Annotated[
        bool,
        typer.Option("--repair", help="Bring good copies of what is missing or wrong, and try again what is held."),
    ] = False,
    delete_orphans: Annotated[
        bool, typer.Option("--delete-orphans", help="Remove what nobody knows; needs --orphan-limit.")
    ] = False,
    orphan_limit: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Remove orphans only if there are at most so many.")
    ] = None,
    max_fraction: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Repair and delete only if at most this part is wrong; default: consistency.missing_fraction_max.",
        ),
    ] = None,
    ignore_age: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=0, help="Unknown files younger are left alone; default: ignore_age_s."),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only ask for it; `transfers run`, `deletions run` do it.")
    ] = False,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="List anew, even if an interrupted check could be gone on with.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare what a site holds with what the inventory says, and put it right if asked.

    The site is changed only with --repair or --delete-orphans. The inventory is
    told what they ask for and, with --checksums, when which blocks were proved;
    with --dry-run it is told nothing. A check that was interrupted while it
    listed is gone on with. Exit code 0: they agree, or everything was put right;
    1: something is left, awaited files included. The report is written in any
    case and stays in the folder that is named at the end.
    """
    if delete_orphans != (orphan_limit is not None):
        raise BadInput("--delete-orphans and --orphan-limit belong together", hint="say how many may go at most")
    with open_context() as context:
        settings = _settings(context, site, checksums=checksums, ignore_age=ignore_age, afresh=afresh, dry_run=dry_run)
        report = _checked(context, site, settings, quiet=quiet or json)
        if not json:
            check_show.show_report(report)
        mended = None
        if mend or delete_orphans:
            fraction = context.config.consistency.missing_fraction_max if max_fraction is None else max_fraction
            mending = Mending(mend, fraction, orphan_limit, dry_run, no_wait, quiet or json)
            mended = Mended()
            try:
                _mend(context, report, mending, mended)
            except HoldfastError as error:
                if json:  # The check itself has ended well, and what it found is worth having.
                    show.document({**_document(report, mended), "put_right": False, "error": str(error)})
                raise
            if not dry_run:
                write_json(Path(report.folder), _document(report, mended))
            if not json:
                check_show.show_mended(mended.asked, mended.copied, mended.deleted, dry_run=dry_run)
        if json:
            show.document(_document(report, mended))
    if not (report.agrees if mended is None else _is_put_right(report, mended)):
        raise typer.Exit(1)


def _settings(
    context: Context, site: str, *, checksums: bool, ignore_age: int | None, afresh: bool, dry_run: bool
) -> CheckSettings:
    configured, storage = context.config.consistency, context.config.storage.for_site(site)
    return CheckSettings(
        limits=engine_limits(memory=f"{configured.memory_limit_mb}MB"),
        with_checksums=checksums,
        listing=site_listing.limits_of(storage),
        walk_processes=storage.walk_processes,
        ignore_age_s=configured.ignore_age_s if ignore_age is None else ignore_age,
        resume_age_s=configured.resume_age_s,
        afresh=afresh,
        dry_run=dry_run,
    )


def _checked(context: Context, site: str, settings: CheckSettings, *, quiet: bool) -> Report:
    with context.store.snapshot() as snapshot:
        record = snapshot.site(site)
    run = f"{show_time(context.clock()).replace(':', '')}-{requests.random_id()[:6]}"
    with progress("Checking", unit="steps", quiet=quiet) as update:

        def tell(what: str, done: int, total: int | None) -> None:
            update(completed=done, total=total, note=what)

        return context.with_doors(
            record,
            record.doors[0],
            lambda doors: checking.check(
                context.store,
                doors,
                site,
                reports=context.config.consistency.reports,
                settings=settings,
                clock=context.clock,
                actor=context.actor,
                run=run,
                progress=tell,
            ),
        )


def _mend(context: Context, report: Report, mending: Mending, mended: Mended) -> None:
    """Ask for what mends the site and, unless told not to, carry it out; told in ``mended`` as it goes."""
    # All gates before anything is asked for: half of what was wanted is not what was wanted.
    if mending.orphan_limit is not None:
        repair.check_orphan_gates(report, limit=mending.orphan_limit, fraction_max=mending.fraction_max)
    with context.store.snapshot() as snapshot:
        record = snapshot.site(report.site)
    context.with_driver(record, lambda driver: _ask(context, driver, report, mending, mended.asked))
    if mending.dry_run or mending.no_wait:
        return
    copies, deletions = _open_requests(context, report.site, mending)
    if copies or deletions:
        done = running.carry_out(context, [*copies, *deletions], quiet=mending.quiet)
        mended.copied = replace(done, deletions=()) if copies else None
        mended.deleted = done.deletions


async def _ask(context: Context, driver: StorageDriver, report: Report, mending: Mending, asked: Repair) -> None:
    new_id = requests.random_id
    asker = Asker(context.store, driver, context.actor, context.clock, new_id, dry_run=mending.dry_run)
    table, fraction_max = Path(report.folder) / FINDINGS, mending.fraction_max
    if mending.copies:
        lacking = findings.read_table(table, LACKING)
        await repair.repair(asker, report, lacking, asked, fraction_max=fraction_max)
    if mending.orphan_limit is not None:
        await repair.delete_orphans(
            asker,
            report,
            findings.read_table(table, (Class.ORPHAN,)),
            asked,
            lacking=findings.read_table(table, LACKING),
            limit=mending.orphan_limit,
            fraction_max=fraction_max,
        )


def _open_requests(context: Context, site: str, mending: Mending) -> tuple[list[str], list[str]]:
    """The copies and deletions to be carried out: those just asked for, and what an interrupted run has left.

    What that one asked for is awaited now, and no check finds it missing again.
    """
    with context.store.snapshot() as view:
        copies = [each.id for each in view.copy_requests() if each.site == site]
        deletions = [each.id for each in view.deletion_requests() if each.site == site]
    return (
        copies if mending.copies else [],
        deletions if mending.orphan_limit is not None else [],
    )


def _is_put_right(report: Report, mended: Mended | None) -> bool:
    """Whether nothing that the check found is left, by what the executors say."""
    if mended is None or report.unlisted_places:
        return False
    copies = mended.copied.requests if mended.copied else ()
    if not all(request.state is RequestState.DONE for request in copies):
        return False
    # Orphans that an earlier run asked for are in its request and in ours: they are counted once.
    asked = [each for each in mended.deleted if each.request in mended.asked.deletion_requests]
    gone = sum(each.count(PathState.DELETED, PathState.GONE) for each in asked)
    n_copied = mended.asked.copies + mended.asked.under_way if mended.copied else 0
    lacking = sum(report.counts[cls] for cls in LACKING)
    return (n_copied, gone) == (lacking, report.counts[Class.ORPHAN])


def _document(report: Report, mended: Mended | None) -> dict[str, Any]:
    document = report.to_json()
    if mended is not None:
        document["repair"] = show.jsonable(mended)
        document["put_right"] = _is_put_right(report, mended)
    return document
