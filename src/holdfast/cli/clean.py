"""``holdfast clean``: what is old in production areas, or has lain long in quarantine, goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from holdfast.cli import completing, options, running, show, site_listing
from holdfast.cli.consistency_states import states_of
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.consistency import findings
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning import areas_cleaning, quarantine_purge
from holdfast.consistency.cleaning.areas import areas_of
from holdfast.consistency.cleaning.areas_cleaning import ProtectedSources
from holdfast.consistency.cleaning.cleaned import Cleaned
from holdfast.consistency.cleaning.limits import GoingLimits
from holdfast.consistency.cleaning.protecting.source import sources_of
from holdfast.consistency.cleaning.tools import CleaningTools, OnListing
from holdfast.consistency.comparing.duckdb_session import limits_of
from holdfast.model import names
from holdfast.operations import requests
from holdfast.storage.driver import StorageDriver

SAMPLES = 2
"""How many paths are shown of what stays for one reason."""

SiteArgument = Annotated[
    str, typer.Argument(metavar="SITE", help="The site to clean.", autocompletion=completing.sites)
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Only ask for it; `deletions run` does it.")]
Again = Annotated[bool, typer.Option("--again", help="Ask even for what somebody has called off.")]

Work = Callable[[CleaningTools, Sequence[StorageDriver]], Awaitable[Cleaned]]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="clean",
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Cleaning: what is old in production areas and quarantine.",
    )
    group.command("area")(area_command)
    group.command("quarantine")(quarantine_command)
    app.add_typer(group)


def area_command(
    site: SiteArgument,
    *,
    despite_shrunk: Annotated[
        bool,
        typer.Option("--despite-shrunk", help="Believe lists of protected paths that are far shorter than before."),
    ] = False,
    again: Again = False,
    no_wait: NoWait = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Delete what is old in production areas, and not protected.

    Protected is what running workflows need. The areas are in [[cleaning.areas]] of
    the configuration, and who says what is protected in [cleaning]. These are asked
    before the areas are listed and again afterwards; if one of them fails, or sends
    a list that is not to be believed, nothing is done. Files and empty directories
    that are older than the area's age, not protected and not wanted by the
    inventory are asked to go, and then deleted. Exit code 1: more than the limits
    allow would go, or the site is not in mode act.
    """
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            snapshot.site(site)  # What is wrong with the name is said before what is wrong with its settings.
        settings = context.config.cleaning.for_site(names.site_name(site))
        areas = areas_of(context.config.cleaning.areas_of(site), site)
        sources = sources_of(settings, clock=context.clock)
        protecting = ProtectedSources.of(sources, settings, despite_shrunk=despite_shrunk)
        limits = GoingLimits.of(settings)
        _clean(
            context,
            site,
            lambda tools, doors: areas_cleaning.clean_areas(tools, doors, areas, protecting, limits),
            again=again,
            no_wait=no_wait,
            dry_run=dry_run,
            json=json,
            quiet=quiet,
        )


def quarantine_command(
    site: SiteArgument,
    *,
    again: Again = False,
    no_wait: NoWait = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Delete for good what has lain long in quarantine.

    Long is quarantine_days of [consistency], by the day in the folder's name and by
    the file's own times. What the inventory wants back by now stays, and so does
    what may be a last copy; so the site has to have been checked within
    quarantine_check_days. Exit code 1: the site is not in mode act.
    """
    with open_context() as context:
        configured = context.config.consistency.for_site(names.site_name(site))
        _clean(
            context,
            site,
            lambda tools, doors: quarantine_purge.purge_quarantine(
                tools,
                doors,
                quarantine_days=configured.quarantine_days,
                check_days=configured.quarantine_check_days,
            ),
            again=again,
            no_wait=no_wait,
            dry_run=dry_run,
            json=json,
            quiet=quiet,
        )


def _clean(
    context: Context, site: str, work: Work, *, again: bool, no_wait: bool, dry_run: bool, json: bool, quiet: bool
) -> None:
    """Clean a site, say what came of it, and carry out what was asked for."""
    with context.store.snapshot() as snapshot:
        record = snapshot.site(site)
    with progress("Listing", unit="steps", quiet=quiet or json) as update:
        tools = _tools(context, site, site_listing.teller(update), again=again, dry_run=dry_run)
        cleaned = context.with_doors(record, record.first_door, lambda doors: work(tools, doors))
    if not json:
        _show(cleaned, dry_run=dry_run)
    ids = [] if dry_run or no_wait else [*cleaned.requests, *cleaned.earlier]
    if ids:
        report = running.carry_out(context, ids, quiet=quiet or json)
        if json:
            show.document({**_document(cleaned), "dry_run": False, "run": show.jsonable(report)})
        running.conclude(context, report, json=json)
    elif json:
        show.document({**_document(cleaned), "dry_run": dry_run})
    if cleaned.refusals:
        raise typer.Exit(1)


def _tools(context: Context, site: str, tell: OnListing, *, again: bool, dry_run: bool) -> CleaningTools:
    configured, storage = context.config.consistency, context.config.storage.for_site(site)
    of_site = configured.for_site(site)
    states = states_of(context)
    return CleaningTools(
        store=context.store,
        site=site,
        reports=configured.reports,
        actor=context.actor,
        clock=context.clock,
        new_id=requests.random_id,
        state=lambda: states.get(site),
        limits=limits_of(configured),
        listing=site_listing.limits_of(storage),
        walk_processes=storage.walk_processes,
        resume_age_s=configured.resume_age_s,
        ignored=Ignored(of_site.ignore_directories, of_site.ignore_datasets),
        progress=tell,
        dry_run=dry_run,
        again=again,
    )


def _show(cleaned: Cleaned, *, dry_run: bool) -> None:
    rows = []
    for place in cleaned.places:
        listed = f"{show.number(place.files_listed)} files" if place.is_there else "not there"
        goes = (show.number(place.tally.files), show.size(place.tally.size), show.number(place.tally.directories))
        rows.append((place.path, listed, *goes))
    show.table(
        ("place", "listed", "old files", "bytes", "empty folders"), rows, right=("old files", "bytes", "empty folders")
    )
    total = cleaned.total
    for stays, count in sorted(total.stays.items()):
        show.line(f"  stays: {show.number(count)} {stays.value}")
    for path, reason in _samples(cleaned):
        show.line(f"  stays: {path}: {reason}")
    if cleaned.changed:
        show.line(f"  stays: {show.number(cleaned.changed)} not as listed any more")
    for refusal in cleaned.refusals:
        show.line(f"refused: {refusal}")
    # At a site in mode dry nothing was asked, either, though nobody said --dry-run.
    asks = "asked" if cleaned.requests or not (dry_run or cleaned.files or cleaned.directories) else "would ask"
    show.line(
        f"{asks} for the removal of {show.plural(cleaned.files, 'file')}, {show.size(cleaned.size)},"
        f" and {show.plural(cleaned.directories, 'folder')}"
    )
    show.line(f"decisions: {cleaned.decisions}")


def _samples(cleaned: Cleaned) -> list[tuple[str, str]]:
    """Some of what stays, for each reason, by path."""
    shown: dict[str, list[tuple[str, str]]] = {}
    for each in findings.read_table(cleaned.decisions, (Class.IGNORED,)) if cleaned.decisions else ():
        samples = shown.setdefault(each.reason.partition(":")[0], [])
        if len(samples) < SAMPLES:
            samples.append((each.path, each.reason))
    return [sample for _, samples in sorted(shown.items()) for sample in samples]


def _document(cleaned: Cleaned) -> dict[str, Any]:
    return {**show.jsonable(cleaned), "stays": show.jsonable(cleaned.total.stays)}
