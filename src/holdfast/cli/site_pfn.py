"""``holdfast site pfn``: where a site's rules put an LFN, and which of them did it."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import options, pfn_text, show, site_door
from holdfast.cli.context import open_context
from holdfast.model import names


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pfn")(show_pfn)


def show_pfn(
    name: Annotated[str, typer.Argument(metavar="SITE", help="The site's name.")],
    lfn: Annotated[str, typer.Argument(metavar="LFN", help="The logical file name; it need not be registered.")],
    door: site_door.DoorOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which rule of which chain made it, on standard error.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Where a site's rules put an LFN; exit code 1 if nowhere.

    Without --door by the first door, which is the one that copies and removals
    go through.
    """
    text = str(names.lfn(lfn))
    with open_context() as context, context.store.snapshot() as snapshot:
        chosen = site_door.find(snapshot.site(names.site_name(name)), door)
    pfn = chosen.pfn(text)
    if json:
        show.document({"site": name, "lfn": text, **pfn_text.explanation(chosen, text)})
    elif explain:
        for said in pfn_text.explain(chosen, text):
            show.note(said)
    if pfn is None:
        if not json:
            show.note(f"{name} has no PFN for {text}")
        raise typer.Exit(1)
    if not json:
        show.line(pfn)
