"""``holdfast check``: compare a site with the inventory, and put it right if asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from holdfast.cli import copy, options, show
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.consistency import check as checking
from holdfast.consistency import findings, repair
from holdfast.consistency.check import CheckSettings
from holdfast.consistency.duckdb_session import engine_limits
from holdfast.consistency.findings import WRONG, Class, Finding
from holdfast.consistency.repair import Asker, Repair
from holdfast.consistency.report import FINDINGS, Report, write_json
from holdfast.model.clock import show_time
from holdfast.model.errors import BadInput
from holdfast.model.records import RequestState
from holdfast.operations import deletion, lockfile, requests
from holdfast.operations.deletion import DeletionReport, PathState
from holdfast.operations.progress import RunReport
from holdfast.storage.driver import StorageDriver

Result = TypeVar("Result")

SAMPLES = 2
"""How many paths of each class the table shows."""
LEFT_SHOWN = 10

_MEANINGS = {
    Class.MISSING: "should be there",
    Class.ORPHAN: "nobody knows them (dark data)",
    Class.SIZE_MISMATCH: "wrong size",
    Class.CHECKSUM_MISMATCH: "right size, wrong content",
    Class.UNLISTED: "not judged: not listed or not readable",
    Class.IGNORED: "young, in flight or just changed",
}


@dataclass(frozen=True, slots=True)
class Mending:
    """What is to be done about a report; None: nothing of the kind."""

    fraction_max: float | None
    orphan_limit: int | None
    dry_run: bool
    no_wait: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class Mended:
    """What was asked for, and what came of it."""

    asked: Repair
    copied: RunReport | None = None
    deleted: tuple[DeletionReport, ...] = ()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check_command)


def check_command(
    site: Annotated[str, typer.Argument(metavar="SITE", help="The site to check.")],
    *,
    checksums: Annotated[bool, typer.Option("--checksums", help="Also read every file and prove it.")] = False,
    mend: Annotated[
        bool, typer.Option("--repair", help="Bring good copies of what is missing or wrong from other sites.")
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
            min=0, max=1, help="Repair only if at most this part is wrong; default: consistency.missing_fraction_max."
        ),
    ] = None,
    ignore_age: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=0, help="Unknown files younger are left alone; default: ignore_age_s."),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only ask for repairs; `transfers run` does them.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare what a site holds with what the inventory says, and put it right if asked.

    Without --repair or --delete-orphans nothing is changed. Exit code 0: they
    agree, or everything was put right; 1: something is left. The report stays
    in the folder that is named at the end.
    """
    if delete_orphans != (orphan_limit is not None):
        raise BadInput("--delete-orphans and --orphan-limit belong together", hint="say how many may go at most")
    with open_context() as context:
        settings = _settings(context, checksums, ignore_age)
        report = _checked(context, site, settings, quiet=quiet or json)
        if not json:
            _show_report(report)
        mended = None
        if mend or delete_orphans:
            fraction = context.config.consistency.missing_fraction_max if max_fraction is None else max_fraction
            mending = Mending(fraction if mend else None, orphan_limit, dry_run, no_wait, quiet or json)
            mended = _mend(context, report, mending)
            if not dry_run:
                write_json(Path(report.folder), _document(report, mended))
            if not json:
                _show_mended(mended, dry_run=dry_run)
        if json:
            show.document(_document(report, mended))
    if not (report.agrees if mended is None else _is_put_right(report, mended)):
        raise typer.Exit(1)


def _settings(context: Context, checksums: bool, ignore_age: int | None) -> CheckSettings:
    configured = context.config.consistency
    return CheckSettings(
        limits=engine_limits(memory=f"{configured.memory_limit_mb}MB"),
        with_checksums=checksums,
        list_concurrency=configured.list_concurrency,
        ignore_age_s=configured.ignore_age_s if ignore_age is None else ignore_age,
    )


def _checked(context: Context, site: str, settings: CheckSettings, *, quiet: bool) -> Report:
    run = f"{show_time(context.clock()).replace(':', '')}-{requests.random_id()[:6]}"
    with progress("Checking", unit="steps", quiet=quiet) as update:

        def tell(what: str, done: int, total: int | None) -> None:
            update(completed=done, total=total, note=what)

        return _with_driver(
            context,
            site,
            lambda driver: checking.check(
                context.store,
                driver,
                site,
                reports=context.config.consistency.reports,
                settings=settings,
                clock=context.clock,
                actor=context.actor,
                run=run,
                progress=tell,
            ),
        )


def _with_driver(context: Context, site: str, work: Callable[[StorageDriver], Awaitable[Result]]) -> Result:
    """Run ``work`` with a driver for the site, closed afterwards."""

    async def run() -> Result:
        with context.store.snapshot() as snapshot:
            record = snapshot.site(site)
        driver = context.driver(record)
        try:
            return await work(driver)
        finally:
            await driver.close()

    return asyncio.run(run())


def _mend(context: Context, report: Report, mending: Mending) -> Mended:
    """Ask for what mends the site and, unless told not to, carry it out."""

    async def ask(driver: StorageDriver) -> Repair:
        new_id = requests.random_id
        asker = Asker(context.store, driver, context.actor, context.clock, new_id, dry_run=mending.dry_run)
        table = Path(report.folder) / FINDINGS
        asked = Repair()
        if mending.fraction_max is not None:
            wrong = findings.read_table(table, WRONG)
            await repair.repair(asker, report, wrong, asked, fraction_max=mending.fraction_max)
        if mending.orphan_limit is not None:
            orphans = findings.read_table(table, (Class.ORPHAN,))
            await repair.delete_orphans(asker, report, orphans, asked, limit=mending.orphan_limit)
        return asked

    asked = _with_driver(context, report.site, ask)
    if mending.dry_run or mending.no_wait:
        return Mended(asked)
    copies, deletions = _open_requests(context, report.site, mending)
    copied = copy.carry_out(context, copies, quiet=mending.quiet) if copies else None
    return Mended(asked, copied, _delete(context, deletions))


def _open_requests(context: Context, site: str, mending: Mending) -> tuple[list[str], list[str]]:
    """The copies and deletions to be carried out: those just asked for, and what an interrupted run has left.

    What that one asked for is awaited now, and no check finds it missing again.
    """
    with context.store.snapshot() as view:
        copies = [each.id for each in view.copy_requests() if each.site == site]
        deletions = [each.id for each in view.deletion_requests() if each.site == site]
    return (
        copies if mending.fraction_max is not None else [],
        deletions if mending.orphan_limit is not None else [],
    )


def _delete(context: Context, only: list[str]) -> tuple[DeletionReport, ...]:
    if not only:
        return ()
    lock_path = context.state_dir / lockfile.DELETIONS
    done = deletion.run(context.store, context.driver, clock=context.clock, lock_path=lock_path, only=only)
    return tuple(asyncio.run(done))


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
    n_copied = mended.asked.copies if mended.copied else 0
    wrong = sum(report.counts[cls] for cls in WRONG)
    return (n_copied, gone) == (wrong, report.counts[Class.ORPHAN])


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
            rows.append((cls.value.replace("_", " "), show.number(report.counts[cls]), sizes, _MEANINGS[cls]))
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
