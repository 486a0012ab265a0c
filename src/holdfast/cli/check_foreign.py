"""``holdfast check --inventory ...``: a site beside another catalogue than ours; what it finds is told as lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast import logs
from holdfast.cli import show
from holdfast.cli.consistency_states import states_of
from holdfast.cli.context import Context
from holdfast.cli.progress import progress
from holdfast.consistency import findings
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.class_words import MEANINGS, NAMES
from holdfast.consistency.classes import FOREIGN, TRAITS, UNSEEN, Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.report import FINDINGS
from holdfast.consistency.run_folder import run_name
from holdfast.consistency.sources.foreign_check import AfterWanted, run_foreign_check
from holdfast.consistency.sources.foreign_report import ForeignReport
from holdfast.consistency.sources.lists import ListsRegistry
from holdfast.consistency.sources.opening import Wanted, open_inventories
from holdfast.consistency.sources.registry import Result, Told
from holdfast.consistency.sources.siteinfo import FileSites, InventorySites, SiteInfo
from holdfast.model.errors import BadInput
from holdfast.operations import requests

_log = logs.get("cli")

SAMPLES = 2
SNAPSHOT = "snapshot"

InventoryName = Annotated[
    str | None,
    typer.Option(
        "--inventory",
        metavar="NAME",
        help="Compare with snapshot (our own inventory), sql, dump or a plug-in's; default: catalogue.inventory.",
    ),
]
Before = Annotated[
    str, typer.Option("--before", metavar="DUMP", help="A dump of the catalogue made before the site is listed.")
]
After = Annotated[
    str, typer.Option("--after", metavar="DUMP", help="One made after that; without it, the site is listed only.")
]
Lfns = Annotated[
    bool | None, typer.Option("--lfns/--paths", help="Whether names in dumps are LFNs; default: as the dump is known.")
]
Sites = Annotated[
    Path | None, typer.Option("--sites", metavar="FILE", help="Read the site from this file, not from our inventory.")
]
Lists = Annotated[
    Path | None, typer.Option("--lists", metavar="DIR", help="Write the lists for that catalogue into this folder.")
]


@dataclass(frozen=True, slots=True)
class ForeignOptions:
    """What was said: the inventory, where sites are told of (None: ours), where lists go (None: beside the report)."""

    wanted: Wanted
    sites: Path | None = None
    lists: Path | None = None
    json: bool = False
    quiet: bool = False


def chosen(
    context: Context,
    *,
    inventory: str | None,
    before: str,
    after: str,
    are_lfns: bool | None,
    sites: Path | None,
    lists: Path | None,
    json: bool,
    quiet: bool,
) -> ForeignOptions | None:
    """What was said of another catalogue; None if a site is to be compared with our own inventory."""
    name = inventory or ("dump" if before or after else context.config.catalogue.inventory)
    wanted = Wanted(name, before, after, are_lfns)
    if wanted != Wanted(SNAPSHOT):
        return ForeignOptions(wanted, sites, lists, json, quiet)
    if sites or lists:
        raise BadInput(
            "--sites and --lists are about other catalogues", hint="say --inventory sql, dump or a plug-in's"
        )
    return None


def check_foreign(context: Context, site: str, settings: CheckSettings, options: ForeignOptions) -> int:
    """Check a site, show what was found, write the lists; the exit code: 0 if they agree, else 1.

    A site that is listed, before the second dump was made, is a check that is not finished: 1, too.
    """
    try:
        report = _checked(context, site, settings, options)
    except AfterWanted as wanted:
        if options.json:
            so_far = {"site": site, "state": "listed", "agrees": False}
            show.document({**so_far, "reason": wanted.message, "hint": wanted.hint})
        else:
            show.line(f"{site}: {wanted.message}")
            show.line(wanted.hint)
        return 1
    document = report.to_json()
    registry = ListsRegistry(options.lists, fraction_max=context.config.catalogue.lists_fraction_max)
    told = registry.tell(Result(document, Path(report.folder) / FINDINGS))
    if options.json:
        show.document(show.with_moments({**document, "lists": told.place, "lists_withheld": told.withheld}))
    else:
        _show(report, told)
    return 0 if report.agrees else 1


def _checked(context: Context, name: str, settings: CheckSettings, options: ForeignOptions) -> ForeignReport:
    info: SiteInfo = InventorySites(context.store) if options.sites is None else FileSites(options.sites)
    site = info.site(name)
    if options.sites is None:
        states_of(context).get(name).require_ready()
    if not info.is_ready(name):
        _log.warning("the site is not ready, and may not show what it holds", site=name, status=site.status.value)
    before, after = open_inventories(options.wanted, context.config.catalogue, context.store, settings.limits)
    run = run_name(context.clock(), requests.random_id())
    with progress("Checking", unit="steps", quiet=options.quiet or options.json) as update:

        def tell(what: str, done: int, total: int | None) -> None:
            update(completed=done, total=total, note=what)

        return context.with_doors(
            site,
            site.first_door,
            lambda doors: run_foreign_check(
                before,
                after,
                site,
                doors,
                reports=context.config.catalogue.reports,
                settings=settings,
                clock=context.clock,
                run=run,
                progress=tell,
            ),
        )


def _show(report: ForeignReport, told: Told) -> None:
    rows: list[tuple[Any, ...]] = []
    for cls in FOREIGN:
        if TRAITS[cls].in_foreign_check.shows(report.counts[cls]):
            size = "" if cls in UNSEEN else show.size(report.sizes[cls])
            rows.append((NAMES[cls], show.number(report.counts[cls]), size, MEANINGS[cls]))
    before = report.before
    rows.append(("expected", show.number(before.files), show.size(before.size), "by the catalogue, before"))
    rows.append(("found", show.number(report.actual), show.size(report.actual_size), f"at {report.site}"))
    show.table(("", "files", "bytes", "meaning"), rows, right=("files", "bytes"))
    for finding in _samples(report):
        reason = f": {finding.reason}" if finding.reason else ""
        show.line(f"  {NAMES[finding.cls]}: {finding.path}{reason}")
    for said, when in ((report.before, "before"), (report.after, "after")):
        if said.without_path:
            names = show.plural(said.without_path, "name")
            show.line(f"  {names} of the catalogue ({when}) have no path here, as {said.without_path_shown[0]}")
    state = "agrees with" if report.agrees else "differs from"
    folders = show.plural(report.directories, "folder")
    show.line(f"{report.site} {state} {report.inventory} ({folders} listed, {report.seconds:.1f} s)")
    show.line(f"report: {report.folder}")
    show.line(f"lists: {told.place}" if told.place else f"no lists: {told.withheld}")


def _samples(report: ForeignReport) -> list[Finding]:
    """The first few findings of each class."""
    shown: dict[Class, list[Finding]] = {cls: [] for cls in FOREIGN}
    for finding in findings.read_table(Path(report.folder) / FINDINGS, tuple(shown)):
        if len(shown[finding.cls]) < SAMPLES:
            shown[finding.cls].append(finding)
    return [finding for each in shown.values() for finding in each]
