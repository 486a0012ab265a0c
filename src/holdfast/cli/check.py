"""``holdfast check``: compare a site with the inventory, and put it right if asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import copy, options, show, site_listing, transfers
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.consistency import check as checking
from holdfast.consistency import findings, repair
from holdfast.consistency.check import CheckSettings
from holdfast.consistency.duckdb_session import engine_limits
from holdfast.consistency.findings import LACKING, Class, Finding
from holdfast.consistency.repair import Asker, Repair
from holdfast.consistency.report import FINDINGS, Report, write_json
from holdfast.model.clock import show_time
from holdfast.model.errors import BadInput, HoldfastError
from holdfast.model.records import RequestState
from holdfast.operations import deletion, requests
from holdfast.operations.deletion import DeletionReport, PathState
from holdfast.operations.progress import RunReport
from holdfast.storage.driver import StorageDriver

SAMPLES = 2
"""How many paths of each class the table shows."""
LEFT_SHOWN = 10

_MEANINGS = {
    Class.MISSING: "should be there",
    Class.ORPHAN: "nobody knows them (dark data)",
    Class.SIZE_MISMATCH: "wrong size",
    Class.CHECKSUM_MISMATCH: "right size, wrong content",
    Class.AWAITED: "wanted there, not counted as there yet",
    Class.UNLISTED: "not judged: not listed or not readable",
    Class.IGNORED: "young, in flight or just changed",
}


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
        bool, typer.Option("--repair", help="Bring good copies of what is missing, wrong or awaited from other sites.")
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
        bool, typer.Option("--no-wait", help="Only ask for repairs; `transfers run` does them.")
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
            _show_report(report)
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
                _show_mended(mended, dry_run=dry_run)
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
    if copies:
        mended.copied = copy.carry_out(context, copies, quiet=mending.quiet)
    if deletions:
        mended.deleted = tuple(transfers.carry_out_deletions(context, deletions, quiet=mending.quiet))


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
    if mended is None or report.unlisted_places or not report.top_listed:
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


def _show_report(report: Report) -> None:
    rows = []
    for cls in Class:
        if report.counts[cls] or cls is not Class.IGNORED:
            sizes = show.size(report.sizes[cls]) if cls is not Class.UNLISTED else ""
            meaning = _MEANINGS[cls]
            if cls is Class.AWAITED and report.awaited_unasked:
                meaning += f"; {show.number(report.awaited_unasked)} asked for by nobody"
            rows.append((cls.value.replace("_", " "), show.number(report.counts[cls]), sizes, meaning))
    rows.append(("expected", show.number(report.expected), show.size(report.expected_size), "by the inventory"))
    rows.append(("found", show.number(report.actual), show.size(report.actual_size), f"at {report.site}"))
    if report.with_checksums:
        rows.append(("proved", show.number(report.proved), "", "checksum read and right"))
    show.table(("", "files", "bytes", "meaning"), rows, right=("files", "bytes"))
    _show_samples(report)
    state = "agrees with" if report.agrees else "differs from"
    if not report.top_listed:
        state = "could not be listed, and cannot be compared with"
    show.line(
        f"{report.site} {state} the inventory at position {report.position_after}"
        f" ({show.plural(report.directories, 'folder')} listed, {report.seconds:.1f} s)"
    )
    show.line(f"report: {report.folder}")


def _show_samples(report: Report) -> None:
    shown: dict[Class, list[Finding]] = {}
    for finding in findings.read_table(Path(report.folder) / FINDINGS):
        if len(shown.setdefault(finding.cls, [])) < SAMPLES:
            shown[finding.cls].append(finding)
        if finding.cls is Class.IGNORED and len(shown) == len(Class):
            break
    for cls in Class:
        for finding in shown.get(cls, []):
            hides = f", {show.plural(finding.n_files, 'expected file')} below" if cls is Class.UNLISTED else ""
            reason = f": {finding.reason}{hides}" if finding.reason else ""
            show.line(f"  {cls.value.replace('_', ' ')}: {finding.path}{reason}")


def _show_mended(mended: Mended, *, dry_run: bool) -> None:
    asked = mended.asked
    would = "would ask" if dry_run else "asked"
    show.line(
        f"{would} for {show.plural(asked.copies, 'copy').replace('copys', 'copies')}, {show.size(asked.copied_size)}"
    )
    if asked.under_way:
        show.line(f"{show.plural(asked.under_way, 'file')} under way already, by earlier requests")
    show.line(f"{would} for the removal of {show.plural(asked.deletions, 'orphan')}, {show.size(asked.deleted_size)}")
    for request in mended.copied.requests if mended.copied else ():
        show.line(f"copies of {request.dataset}: {request.state.value}: {request.detail}")
    for each in mended.deleted:
        show.line(f"orphans: {deletion.detail_of(each)}{each.error}")
    for name, left in (("unrecoverable", asked.unrecoverable), ("left alone", asked.skipped)):
        for finding in left[:LEFT_SHOWN]:
            show.line(f"  {name}: {finding.path}: {finding.reason}")
        if len(left) > LEFT_SHOWN:
            show.line(f"  {name}: and {len(left) - LEFT_SHOWN} more")
