"""``holdfast consistency report``: pages for people to look at, and the numbers behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import completing, options, show, site_root
from holdfast.cli.context import Context, open_context
from holdfast.cli.progress import progress
from holdfast.consistency.comparing.duckdb_session import limits_of
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.states import States
from holdfast.consistency.pages.elements import PAGE
from holdfast.consistency.pages.gather import Gatherer
from holdfast.consistency.pages.making import Made, make_pages
from holdfast.model.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report_command)


def report_command(
    site: Annotated[
        str | None,
        typer.Argument(
            metavar="[SITE]",
            show_default=False,
            help="Only the pages of this site, and the index of all.",
            autocompletion=completing.sites,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where the pages go; index.html is the first.")
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", min=1, max=1000, help="The last N runs of a site get pages.")
    ] = 10,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make pages of what the checks have found, with pictures.

    The pictures show where it lies. The folder can be put wherever pages are served
    from, or be looked at as it is: nothing in it needs a network or a script. It
    has a page of all sites, one of each site over time, and one of each of its last
    runs, with lists of all that this one found. Made again, pages are replaced,
    each at once; those of earlier runs stay. With --json the numbers behind the
    pages are printed; then --out may be left out.
    """
    if out is None and not json:
        raise BadInput("it is not said where the pages are to go", hint="give --out FOLDER, or --json for numbers only")
    with open_context() as context:
        made = _make(context, site, out, runs, quiet=quiet or json)
    if json:
        told = {"out": out, "pages": made.pages, "sites": made.sites, "runs": made.runs}
        show.document(show.with_moments(told))
    elif out is not None:
        show.line(f"{show.plural(made.pages, 'page')}: {out / PAGE}")


def _require_apart(context: Context, out: Path) -> None:
    """BadInput if the pages would lie among files of our own, whose folders have the names of sites and runs, too."""
    for own in (context.config.consistency.reports, context.state_dir):
        if out.resolve().is_relative_to(own.resolve()):
            raise BadInput(f"the pages would lie among the files of {own}", place=str(out), hint="name another folder")


def _make(context: Context, site: str | None, out: Path | None, runs: int, *, quiet: bool) -> Made:
    with context.store.snapshot() as snapshot:
        sites = snapshot.sites()
        chosen = [each.name for each in sites] if site is None else [snapshot.site(site).name]
    if out is not None:
        site_root.require_beside_sites(out, sites)
        _require_apart(context, out)
    configured = context.config.consistency
    history = History(context.store, clock=context.clock)
    states = States(context.store, mode_of=lambda name: configured.for_site(name).mode, history=history)
    limits = limits_of(configured)
    gatherer = Gatherer(history, states, configured, limits, context.clock)
    with progress("Making pages", unit="steps", quiet=quiet) as update:

        def tell(done: int, total: int) -> None:
            update(completed=done, total=total)

        names = [each.name for each in sites]
        return make_pages(gatherer, names, chosen=chosen, folder=out, pages_max=runs, progress=tell)
