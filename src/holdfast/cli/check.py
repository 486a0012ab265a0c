"""``holdfast check``: compare a site with the inventory, and put it right if asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from holdfast.cli import check_foreign, check_options, check_show, options, run_show, running, show, site_listing
from holdfast.cli.check_words import require_sense
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.consistency.checking import check as checking
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.comparing.duckdb_session import limits_of
from holdfast.consistency.mending import acting
from holdfast.consistency.mending.acting import Acted, Wishes
from holdfast.consistency.mending.acting_tools import ActingTools
from holdfast.consistency.mending.overrides import Overrides
from holdfast.consistency.mending.put_right import is_put_right
from holdfast.consistency.report import Report, write_json
from holdfast.consistency.run_folder import run_name
from holdfast.model.errors import BadInput, HoldfastError
from holdfast.model.records import Site
from holdfast.operations import requests


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check_command)


def check_command(
    site: check_options.SiteName,
    *,
    checksums: check_options.Checksums = False,
    mend: check_options.Repair = False,
    delete_orphans: check_options.DeleteOrphans = False,
    remove_empty: check_options.RemoveEmpty = False,
    act: check_options.Act = False,
    unconfirmed: check_options.Unconfirmed = False,
    despite_empty: check_options.DespiteEmpty = False,
    no_quarantine: check_options.NoQuarantine = False,
    again: check_options.Again = False,
    orphan_limit: check_options.OrphanLimit = None,
    max_fraction: check_options.MaxFraction = None,
    inventory: check_foreign.InventoryName = None,
    before: check_foreign.Before = "",
    after: check_foreign.After = "",
    lfns: check_foreign.Lfns = None,
    sites: check_foreign.Sites = None,
    lists: check_foreign.Lists = None,
    ignore_age: check_options.IgnoreAge = None,
    no_wait: check_options.NoWait = False,
    afresh: check_options.Afresh = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare what a site holds with what the inventory says, and put it right if asked.

    The site is changed only with --repair, --delete-orphans, --remove-empty or
    --act, and only if it is in mode act and the gates are open: limits, and
    confirmation by several checks. The inventory is told what they ask for and,
    with --checksums, when which blocks were proved; with --dry-run neither, but
    the check is one of the site's history like any other. A check that
    was interrupted while it listed is gone on with. Exit code 0: they agree,
    or everything was put right; 1: something is left, awaited files included. The
    report is written in any case and stays in the folder that is named at the end.
    With another catalogue's --inventory nothing is changed: what is found is
    written as lists for it.
    """
    overrides = Overrides(
        unconfirmed=unconfirmed,
        max_fraction=max_fraction,
        orphan_limit=orphan_limit,
        despite_empty=despite_empty,
        no_quarantine=no_quarantine,
        again=again,
    )
    wishes = Wishes(
        copies=mend or act,
        orphans=delete_orphans or act,
        empty_directories=remove_empty or act,
        as_far_as_open=act,
    )
    require_sense(wishes, overrides, no_wait=no_wait)
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
        with context.store.snapshot() as snapshot:
            record = snapshot.site(site)
        report = _checked(context, record, settings, quiet=quiet or json)
        if not json:
            check_show.show_report(report)
        acted = None
        if wishes.classes:
            said = _Said(wishes=wishes, overrides=overrides, dry_run=dry_run, no_wait=no_wait, json=json, quiet=quiet)
            acted = _acted(context, record, report, said)
        if json:
            show.document(show.with_moments({**_document(context, report, acted), "dry_run": dry_run}))
    if not (report.agrees if acted is None else is_put_right(report, acted)):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What was said about acting."""

    wishes: Wishes
    overrides: Overrides
    dry_run: bool
    no_wait: bool
    json: bool
    quiet: bool


def _acted(context: Context, record: Site, report: Report, said: _Said) -> Acted:
    """Act on a report, and wait for what was asked for, unless that was not wanted."""
    acted = Acted()
    try:
        _act(context, record, report, said, acted)
    except HoldfastError as error:
        if said.json:  # The check itself has ended well, and what it found is worth having.
            told = {"put_right": False, "error": str(error), "dry_run": said.dry_run}
            show.document(show.with_moments({**_document(context, report, acted), **told}))
        raise
    if not said.dry_run:
        write_json(Path(report.folder), _document(context, report, acted))
    if not said.json:
        check_show.show_acted(acted, dry_run=said.dry_run or bool(acted.dry_mode))
    return acted


def _act(context: Context, record: Site, report: Report, said: _Said, acted: Acted) -> None:
    who = (context.actor, context.clock, requests.random_id)
    tools = ActingTools(context.store, record, context.config.consistency, *who, said.dry_run)
    wishes, overrides = said.wishes, said.overrides
    context.with_driver(record, lambda driver: acting.act(tools, driver, report, wishes, acted, overrides=overrides))
    if not said.no_wait:
        quiet = said.quiet or said.json
        acting.await_requests(tools, wishes, acted, lambda ids: running.carry_out(context, ids, quiet=quiet))


def _settings(
    context: Context, site: str, *, checksums: bool, ignore_age: int | None, afresh: bool, dry_run: bool
) -> CheckSettings:
    for_all, storage = context.config.consistency, context.config.storage.for_site(site)
    configured = for_all.for_site(site)
    return CheckSettings(
        limits=limits_of(for_all),
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
    run = run_name(context.clock(), requests.random_id())
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


def _document(context: Context, report: Report, acted: Acted | None) -> dict[str, Any]:
    document = report.to_json()
    if acted is not None:
        document["repair"] = _acted_document(context, acted)
        document["put_right"] = is_put_right(report, acted)
    return document


def _acted_document(context: Context, acted: Acted) -> dict[str, Any]:
    shown: dict[str, Any] = show.jsonable(acted)
    shown["copied"] = None if acted.copied is None else run_show.document(context, acted.copied)
    shown["gates"] = {cls.value: show.jsonable(gate) for cls, gate in acted.gates.items()}
    return shown
