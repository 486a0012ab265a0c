"""``holdfast consistency quarantine`` and ``restore``: what lies in quarantine at a site, and having it back."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

import typer

from holdfast.cli import completing, options, show
from holdfast.cli.context import Context, open_context
from holdfast.model import names
from holdfast.model.records import Site
from holdfast.operations import quarantine
from holdfast.operations.quarantine import Lying, Quarantined
from holdfast.storage.driver import StorageDriver

SiteName = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.", autocompletion=completing.sites)]
UNKNOWN_DAY = "other"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("quarantine")(quarantine_command)
    app.command("restore")(restore_command)


def quarantine_command(
    site: SiteName,
    files: Annotated[bool, typer.Option("--files", help="Name every file, and not only how many there are.")] = False,
    json: options.Json = False,
) -> None:
    """Show what lies in quarantine at a site, day by day.

    Checks move there what nobody knows, instead of deleting it. It is deleted
    when it has lain there for long enough, and can be had back until then. Exit
    code 1: not all of it could be listed.
    """
    with open_context() as context:
        record = _site(context, site)
        found = context.with_driver(record, quarantine.lying)
    if json:
        show.document(_document(site, found))
    else:
        _show(found, with_files=files)
    if found.unlisted:
        raise typer.Exit(1)


def restore_command(
    site: SiteName,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="The files, as they lie there: with the quarantine's folder.")
    ],
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Move files back from the quarantine of a site.

    They go to where they were; nothing is replaced there. Publish them, or lock
    them: else the next checks find files again that nobody knows. The first file
    that cannot be moved ends it.
    """
    with open_context() as context:
        record = _site(context, site)
        moved: dict[str, str] = {}

        async def move_back(driver: StorageDriver) -> None:
            for path in paths:
                moved[path] = await quarantine.restore(context.store, driver, site, path, dry_run=dry_run)

        try:
            context.with_driver(record, move_back)
        finally:
            if not json:
                for original in moved.values():
                    show.line(f"{original}: {'would be back' if dry_run else 'back'}")
    if json:
        show.document({"site": site, "moved": moved, "dry_run": dry_run})
    elif dry_run:
        show.note("dry run: nothing was done")
    else:
        show.note("publish or lock what you want to keep: nobody knows it yet, and checks say so")


def _site(context: Context, name: str) -> Site:
    with context.store.snapshot() as snapshot:
        return snapshot.site(names.site_name(name))


def _by_day(found: Lying) -> dict[str, list[Quarantined]]:
    days: dict[str, list[Quarantined]] = defaultdict(list)
    for file in found.files:
        days[UNKNOWN_DAY if file.day is None else file.day.isoformat()].append(file)
    return dict(sorted(days.items()))


def _size(files: list[Quarantined]) -> int:
    return sum(max(0, file.size) for file in files)


def _show(found: Lying, *, with_files: bool) -> None:
    days = _by_day(found)
    rows = [(day, show.number(len(files)), show.size(_size(files))) for day, files in days.items()]
    show.table(("since", "files", "bytes"), rows, right=("files", "bytes"))
    if with_files:
        for file in found.files:
            show.line(file.path)
    for directory, reason in found.unlisted:
        show.note(f"{directory} is not listed: {reason}")


def _document(site: str, found: Lying) -> dict[str, Any]:
    days = {day: {"files": len(files), "size": _size(files)} for day, files in _by_day(found).items()}
    files = [
        {"path": file.path, "original": file.original, "since": file.day and file.day.isoformat(), "size": file.size}
        for file in found.files
    ]
    unlisted = [{"directory": directory, "reason": reason} for directory, reason in found.unlisted]
    return {"site": site, "days": days, "files": files, "unlisted": unlisted}
