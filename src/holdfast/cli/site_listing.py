"""``holdfast site listing``: all that a site holds, in a folder on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import options, show, site_door, site_root
from holdfast.cli.context import open_context
from holdfast.cli.progress import Update, progress
from holdfast.config.storage import StorageSettings
from holdfast.model import names
from holdfast.storage.listing.limits import ListingLimits

if TYPE_CHECKING:
    from holdfast.storage.listing.progress import ListingProgress
    from holdfast.storage.listing.reading import Listing
    from holdfast.storage.listing.site_listing import OnProgress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("listing")(list_command)


def limits_of(settings: StorageSettings) -> ListingLimits:
    """How hard a site may be asked, by the configuration."""
    return ListingLimits(
        in_flight_max=settings.in_flight_max,
        attempts=settings.attempts_max,
        call_timeout_s=settings.directory_timeout_s,
        overall_timeout_s=settings.listing_timeout_s or None,
        give_up_s=settings.give_up_s,
    )


def teller(update: Update) -> OnProgress:
    """Shows the progress of a listing on a bar."""

    def tell(now: ListingProgress) -> None:
        troubles = [(now.failed, "failed"), (now.doubted, "doubted"), (now.retries, "asked again")]
        said = [f"{show.number(now.files)} files", f"{now.rate:,.0f} folders/s"]
        said += [f"{now.in_flight} at once"] if now.in_flight else []
        said += [f"{show.number(count)} {word}" for count, word in troubles if count]
        said += [f"{door.label} does not answer" for door in now.doors if door.down]
        update(completed=now.directories, total=now.directories + now.queue, note=", ".join(said))

    return tell


def list_command(
    name: Annotated[str, typer.Argument(metavar="SITE", help="The site's name.")],
    into: Annotated[Path, typer.Option("--into", metavar="FOLDER", help="Where the listing goes, or goes on.")],
    top: Annotated[str, typer.Option("--top", metavar="DIR", help="Only what is below this path of the site.")] = "/",
    door: site_door.DoorOption = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List all that a site holds, as fast as it allows, into a folder.

    Interrupted at any moment, the same command goes on where it was. The folder
    then holds entries/*.parquet (dir, name, size, mtime ...), directories/*.parquet
    with what became of each directory, oddities/*.parquet and listing.json; `holdfast compare` takes it. Exit code 1:
    something could not be listed, or its listing is in doubt.
    """
    # Only this of all commands about sites writes tables; the others are not to wait for them.
    from holdfast.storage.listing.site_listing import list_site
    from holdfast.storage.listing.summary import ListingPlan

    with open_context() as context:
        with context.store.snapshot() as snapshot:
            site = snapshot.site(names.site_name(name))
            site_root.require_beside_sites(into, snapshot.sites())
        chosen, settings = site_door.find(site, door), context.config.storage.for_site(name)
        with progress("Listing", unit="steps", quiet=quiet or json) as update:
            listing = context.with_doors(
                site,
                chosen,
                lambda drivers: list_site(
                    drivers,
                    into,
                    ListingPlan(name, names.directory(top), tuple(driver.label for driver in drivers)),
                    limits=limits_of(settings),
                    workers=settings.walk_processes,
                    progress=teller(update),
                    clock=context.clock,
                ),
            )
    if json:
        show.document({"folder": str(into), **listing.summary.to_json()})
    else:
        _show(listing)
    if not listing.summary.complete:
        raise typer.Exit(1)


def _show(listing: Listing) -> None:
    summary, counts = listing.summary, listing.summary.counts
    seconds = (summary.ended_us - summary.started_us) / 1e6
    show.facts(
        [
            ("files", f"{show.number(counts.files)}, {show.size(counts.bytes)}"),
            ("folders", f"{show.number(counts.listed)} listed in {seconds:,.1f} s"),
            *[
                (word, show.number(count))
                for word, count in (
                    ("failed", counts.failed),
                    ("in doubt", counts.doubted),
                    ("no file", counts.oddities),
                    ("resumed", summary.resumed),
                )
                if count
            ],
            ("listing", str(listing.folder)),
        ]
    )
    for word, shown in (("failed", counts.failures), ("in doubt", counts.doubts)):
        for place, reason in shown:
            show.line(f"  {word}: {place}: {reason}")
