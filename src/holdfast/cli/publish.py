"""``holdfast publish``: register a directory tree at a site as a dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from holdfast.cli import options, show
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import Update, progress
from holdfast.model import names
from holdfast.model.errors import BadInput
from holdfast.model.names import DatasetKey
from holdfast.model.records import Site
from holdfast.replication.giving_up import check_give_up, give_up
from holdfast.replication.preview import preview
from holdfast.replication.publication import (
    Description,
    OnProgress,
    Phase,
    Preview,
    PublishOutcome,
    PublishProgress,
    PublishReport,
)
from holdfast.replication.publish import publish
from holdfast.storage import doors
from holdfast.storage.driver import StorageDriver

Result = TypeVar("Result")

PROBLEMS_SHOWN = 20

_DOING = {
    Phase.SCAN: "listing",
    Phase.READ: "reading",
    Phase.RECHECK: "listing again",
    Phase.REGISTER: "registering",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish")(publish_command)


def publish_command(
    directory: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR", help="The directory: of this machine if the site is local, else as the site has it."
        ),
    ] = None,
    *,
    dataset: Annotated[str, typer.Option(metavar="NAME[#VERSION]", help="What it is to be called.")],
    site: Annotated[str | None, typer.Option(metavar="SITE", help="The site where it lies.")] = None,
    type: Annotated[str, typer.Option(help="The dataset's type.")] = "",
    software_version: Annotated[str, typer.Option(help="The software that made it.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="More to say of it; repeatable.")
    ] = None,
    group: Annotated[str, typer.Option(help="The group that owns this copy.")] = "",
    copies: Annotated[int, typer.Option(min=1, help="How many copies there have to be.")] = 1,
    digest: Annotated[
        str | None, typer.Option(metavar="sha256|blake3", help="The digest beside adler32; default: publish.digest.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Files read at the same time; default: publish.workers.")
    ] = None,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Give up the unfinished publication of the dataset.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Register a directory tree at a site as a dataset, with checksums.

    Others see the dataset once all of it is in. Run it again if it was
    interrupted: what has been read is not read again. Exit code 1: some files
    changed meanwhile, nothing is visible yet; run it again.
    """
    key = names.dataset_key(dataset)
    description = Description(type, software_version, _metadata(metadata or []), group, copies)
    with open_context() as context:
        if abandon:
            _give_up(context, key, dry_run=dry_run, json=json)
            return
        if directory is None or site is None:
            raise BadInput("publish needs DIR and --site", hint="see `holdfast publish --help`")
        call = _Call(context, _site(context, site), directory, key, quiet=quiet)
        settings = context.config.publish
        if dry_run:
            _show_preview(call.preview(description, digest or settings.digest), json=json)
            return
        report = call.publish(description, digest or settings.digest, workers or settings.workers)
    _show_report(report, json=json)
    if report.outcome is PublishOutcome.INCOMPLETE:
        raise typer.Exit(1)


def path_within(site: Site, directory: str) -> str:
    """``directory`` as a path within ``site``; BadInput if it is not there.

    Where the site is a folder of this machine, ``directory`` is a path of this
    machine, links followed; else it is a path of the site already.
    """
    root = doors.folder_of(site.first_door)
    if root is None:
        return names.directory("/" + directory.strip("/"))
    there = Path(directory).resolve()
    if not there.is_relative_to(root):
        raise BadInput(f"{there} lies outside the root of site {site.name}", hint=f"its root is {root}")
    below = there.relative_to(root).as_posix()
    return "/" if below == "." else names.directory(f"/{below}")


class _Call:
    """One publish or preview, with a driver and a bar for as long as it takes."""

    def __init__(self, context: Context, site: Site, directory: str, key: DatasetKey, *, quiet: bool) -> None:
        self._context = context
        self._site = site
        self._path = path_within(site, directory)
        self._key = key
        self._quiet = quiet

    def publish(self, description: Description, digest: str, workers: int | None) -> PublishReport:
        def work(driver: StorageDriver, tell: OnProgress) -> Awaitable[PublishReport]:
            context = self._context
            return publish(
                context.store,
                driver,
                self._site,
                self._path,
                self._key,
                clock=context.clock,
                actor=context.actor,
                digest=digest,
                description=description,
                workers=workers,
                progress=tell,
            )

        return self._run("Publishing", work)

    def preview(self, description: Description, digest: str) -> Preview:
        def work(driver: StorageDriver, tell: OnProgress) -> Awaitable[Preview]:
            context = self._context
            return preview(
                context.store,
                driver,
                self._site,
                self._path,
                self._key,
                clock=context.clock,
                actor=context.actor,
                digest=digest,
                description=description,
                progress=tell,
            )

        return self._run("Looking", work)

    def _run(self, title: str, work: Callable[[StorageDriver, OnProgress], Awaitable[Result]]) -> Result:
        with progress(title, unit="bytes", quiet=self._quiet) as update:
            tell = _teller(update)
            return self._context.with_driver(self._site, lambda driver: work(driver, tell))


def _give_up(context: Context, key: DatasetKey, *, dry_run: bool, json: bool) -> None:
    if dry_run:
        check_give_up(context.store, key)
    else:
        give_up(context.store, key, actor=context.actor)
    if json:
        show.document({"dataset": key, "outcome": "would-be-given-up" if dry_run else "given-up", "dry_run": dry_run})
    else:
        show.note(f"{'would be given up' if dry_run else 'given up'}: {key}")


def _site(context: Context, name: str) -> Site:
    with context.store.snapshot() as snapshot:
        return snapshot.site(name)


def _metadata(items: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items:
        key, mark, value = item.partition("=")
        if not mark or not key or key in found:
            raise BadInput(f"--metadata {item!r} is not KEY=VALUE", hint="each key once")
        found[key] = value
    return found


def _teller(update: Update) -> Callable[[PublishProgress], None]:
    def tell(now: PublishProgress) -> None:
        update(completed=now.size, total=now.size_total or None, note=f"{_DOING[now.phase]}, {now.n_files:,} files")

    return tell


def _show_preview(found: Preview, *, json: bool) -> None:
    if json:
        show.document({**dataclasses.asdict(found), "dataset": found.dataset, "dry_run": True})
        return
    if found.is_published:
        show.line(f"{found.dataset} is published already, with as much; its files would be read and compared")
        return
    show.line(f"{found.dataset} would be {_amount(found.n_files, found.size)} at {found.site}:{found.directory}")
    for lfn in found.lfns:
        show.line(f"  {lfn}")
    if found.n_files > len(found.lfns):
        show.line(f"  and {found.n_files - len(found.lfns):,} more")


def _show_report(report: PublishReport, *, json: bool) -> None:
    if json:
        show.document(report)
        return
    blocks = f", in {show.plural(report.n_blocks, 'block')}" if report.n_blocks else ""
    again = f", {report.reused_files:,} read by an earlier run" if report.reused_files else ""
    show.facts(
        [
            ("dataset", str(report.dataset)),
            ("outcome", report.outcome.value.replace("-", " ")),
            ("at", f"{report.site}:{report.directory}"),
            ("files", f"{_amount(report.n_files, report.size)}{blocks}"),
            ("read", f"{_amount(report.read_files, report.read_bytes)} in {report.seconds:.1f} s{again}"),
            ("journal", f"position {report.position}"),
        ]
    )
    if report.n_problems:
        rows = [(problem.path, problem.reason) for problem in report.problems[:PROBLEMS_SHOWN]]
        show.line()
        show.table(("not published", "why"), rows)
        if report.n_problems > len(rows):
            show.note(f"and {report.n_problems - len(rows):,} more; --json names up to {len(report.problems):,}")
        show.note("nothing is visible yet; run the same command again, it reads only what is left")


def _amount(n_files: int, size: int) -> str:
    return f"{show.plural(n_files, 'file')}, {show.size(size)}"
