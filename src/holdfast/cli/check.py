"""``holdfast check``: compare a site with the inventory, and put it right if asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import check_foreign, check_mend, check_show, completing, options, show, site_listing
from holdfast.cli.check_mend import Mended, Mending
from holdfast.cli.check_words import Words
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.consistency.checking import check as checking
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.comparing.duckdb_session import EngineLimits, engine_limits
from holdfast.consistency.mending.acting import Wishes
from holdfast.consistency.report import Report, write_json
from holdfast.model.clock import show_time
from holdfast.model.errors import BadInput, HoldfastError
from holdfast.model.records import Site
from holdfast.operations import requests


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check_command)


def check_command(
    site: Annotated[str, typer.Argument(metavar="SITE", help="The site to check.", autocompletion=completing.sites)],
    *,
    checksums: Annotated[
        bool,
        typer.Option("--checksums", help="Also prove the checksum of every file, and note which blocks are whole."),
    ] = False,
    mend: Annotated[
        bool,
        typer.Option("--repair", help="Bring good copies of what is missing or wrong, and try again what is held."),
    ] = False,
    delete_orphans: Annotated[
        bool, typer.Option("--delete-orphans", help="Quarantine or delete what nobody knows, once it is confirmed.")
    ] = False,
    remove_empty: Annotated[
        bool, typer.Option("--remove-empty", help="Remove empty directories, once they are confirmed.")
    ] = False,
    act: Annotated[
        bool, typer.Option("--act", help="All three, as far as the gates are open; what is left is told.")
    ] = False,
    unconfirmed: Annotated[
        bool, typer.Option("--unconfirmed", help="Act on what this check has found, even if no other has yet.")
    ] = False,
    despite_empty: Annotated[
        bool, typer.Option("--despite-empty", help="Repair a site that shows no file at all: its disk was replaced.")
    ] = False,
    no_quarantine: Annotated[
        bool, typer.Option("--no-quarantine", help="Delete orphans at once instead of moving them aside.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask even for removals that somebody has cancelled.")] = False,
    orphan_limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Remove orphans only if there are at most N, whatever part of the files they are."
        ),
    ] = None,
    max_fraction: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            min=0,
            max=1,
            help="Act only if at most this part of the files is missing or wrong; default: missing_fraction_max.",
        ),
    ] = None,
    inventory: check_foreign.InventoryName = None,
    before: check_foreign.Before = "",
    after: check_foreign.After = "",
    lfns: check_foreign.Lfns = None,
    sites: check_foreign.Sites = None,
    lists: check_foreign.Lists = None,
    ignore_age: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", min=0, help="Unknown and wrong files younger are left alone; default: ignore_age_s."
        ),
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

    The site is changed only with --repair, --delete-orphans, --remove-empty or
    --act, and only if it is in mode act and the gates are open: limits, and
    confirmation by several checks. The inventory is told what they ask for and,
    with --checksums, when which blocks were proved; with --dry-run it is told
    nothing. A check that was interrupted while it listed is gone on with. Exit
    code 0: they agree, or everything was put right; 1: something is left, awaited
    files included. The report is written in any case and stays in the folder that
    is named at the end. With another catalogue's --inventory nothing is changed:
    what is found is written as lists for it.
    """
    words = Words(
        unconfirmed=unconfirmed,
        max_fraction=max_fraction,
        orphan_limit=orphan_limit,
        despite_empty=despite_empty,
        no_quarantine=no_quarantine,
        again=again,
        no_wait=no_wait,
    )
    wishes = Wishes(
        copies=mend or act,
        orphans=delete_orphans or act,
        empty_directories=remove_empty or act,
        is_again=again,
        as_far_as_open=act,
    )
    words.require_sense(wishes)
    with open_context() as context:
        settings = _settings(context, site, checksums=checksums, ignore_age=ignore_age, afresh=afresh, dry_run=dry_run)
        foreign = check_foreign.chosen(
            context,
            inventory=inventory,
            before=before,
            after=after,
            are_lfns=lfns,
            sites=sites,
            lists=lists,
            json=json,
            quiet=quiet,
        )
        if foreign is not None:
            if wishes.classes or checksums:
                raise BadInput(
                    "a site is only compared with another catalogue, nothing is done about it",
                    hint="leave out --repair, --delete-orphans, --remove-empty, --act and --checksums",
                )
            raise typer.Exit(check_foreign.check_foreign(context, site, settings, foreign))
        is_quarantined = context.config.consistency.for_site(site).quarantine and not no_quarantine
        mending = Mending(replace(wishes, is_quarantined=is_quarantined), words, dry_run, quiet or json)
        with context.store.snapshot() as snapshot:
            record = snapshot.site(site)
        report = _checked(context, record, settings, quiet=quiet or json)
        if not json:
            check_show.show_report(report)
        mended = None
        if wishes.classes:
            mended = _mended(context, record, report, mending, settings.limits, json=json)
        if json:
            show.document(show.with_moments({**_document(context, report, mended), "dry_run": dry_run}))
    if not (report.agrees if mended is None else check_mend.is_put_right(report, mended)):
        raise typer.Exit(1)


def _mended(
    context: Context, record: Site, report: Report, mending: Mending, limits: EngineLimits, *, json: bool
) -> Mended:
    mended = Mended()
    try:
        check_mend.mend(context, record, report, mending, limits, mended)
    except HoldfastError as error:
        if json:  # The check itself has ended well, and what it found is worth having.
            told = {"put_right": False, "error": str(error), "dry_run": mending.dry_run}
            show.document(show.with_moments({**_document(context, report, mended), **told}))
        raise
    if not mending.dry_run:
        write_json(Path(report.folder), _document(context, report, mended))
    if not json:
        check_show.show_mended(mended, dry_run=mending.dry_run or bool(mended.dry_mode))
    return mended


def _settings(
    context: Context, site: str, *, checksums: bool, ignore_age: int | None, afresh: bool, dry_run: bool
) -> CheckSettings:
    for_all, storage = context.config.consistency, context.config.storage.for_site(site)
    configured = for_all.for_site(site)
    return CheckSettings(
        limits=engine_limits(memory=f"{for_all.memory_limit_mb}MB"),
        with_checksums=checksums,
        listing=site_listing.limits_of(storage),
        walk_processes=storage.walk_processes,
        ignore_age_s=configured.ignore_age_s if ignore_age is None else ignore_age,
        ignored=Ignored(configured.ignore_directories, configured.ignore_datasets),
        resume_age_s=for_all.resume_age_s,
        history_days=for_all.history_days,
        shrunk_fraction_max=configured.shrunk_fraction_max,
        afresh=afresh,
        dry_run=dry_run,
    )


def _checked(context: Context, record: Site, settings: CheckSettings, *, quiet: bool) -> Report:
    run = f"{show_time(context.clock()).replace(':', '')}-{requests.random_id()[:6]}"
    with progress("Checking", unit="steps", quiet=quiet) as update:

        def tell(what: str, done: int, total: int | None) -> None:
            update(completed=done, total=total, note=what)

        return context.with_doors(
            record,
            record.first_door,
            lambda doors: checking.check(
                context.store,
                doors,
                record,
                reports=context.config.consistency.reports,
                settings=settings,
                clock=context.clock,
                actor=context.actor,
                run=run,
                progress=tell,
            ),
        )


def _document(context: Context, report: Report, mended: Mended | None) -> dict[str, Any]:
    document = report.to_json()
    if mended is not None:
        document["repair"] = check_mend.document(context, mended)
        document["put_right"] = check_mend.is_put_right(report, mended)
    return document
