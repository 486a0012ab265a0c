"""``holdfast links``: how well files come from one site to another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from holdfast.cli import completing, options, show
from holdfast.cli.context import Context, open_context
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations.batches.lease import monotonic_s
from holdfast.operations.batches.links import Link
from holdfast.operations.engines.making import make_engines
from holdfast.operations.places import Places
from holdfast.operations.showing import link_overview
from holdfast.operations.showing.link_overview import LinkStatus


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("links")(links_command)


def links_command(
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="SITE", help="Only links from this site.", autocompletion=completing.sites),
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option("--to", metavar="SITE", help="Only links to this site.", autocompletion=completing.sites),
    ] = None,
    failing: Annotated[
        bool, typer.Option("--failing", help="Only links that have failed since their last success.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Links: how well files come from one site to another.

    The rate is that of a single file. Waiting are the files that would take the
    link now; active are those that a worker has claimed, and at most that many
    are under way at once as the limit says: of one batch, and of the whole link
    where that has a limit. Failing are the tries since the last success; the
    last error is shown as long as there are any. Engines are those at work; where
    none is, those that can serve the two sites, in their order, of those that
    the configuration allows.
    """
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            for name in filter(None, (source, destination)):
                snapshot.site(name)
        found = link_overview.statuses(context.store, context.config.operations, now_us=context.clock())
        found = [
            each
            for each in found
            if source in (None, each.figures.source)
            and destination in (None, each.figures.destination)
            and (each.figures.n_failed_row or not failing)
        ]
        able = asyncio.run(_able(context, found))
    if json:
        show.document({"links": [_facts(each, able[place]) for place, each in enumerate(found)]})
        return
    columns = ("from", "to", "engines", "rate", "files", "size", "waiting", "active", "limit", "failing", "last error")
    numbers = ("rate", "files", "size", "waiting", "active", "limit", "failing")
    show.table(columns, [_row(each, able[place]) for place, each in enumerate(found)], right=numbers)


async def _able(context: Context, statuses: Sequence[LinkStatus]) -> list[list[str] | None]:
    """The engines that can serve each link; None where that cannot be known, for a door does not open."""
    places = Places(context.sites.driver)
    with context.store.snapshot() as snapshot:
        places.take_in(snapshot.sites())
    engines = make_engines(context.config.operations, context.sites.access, clock=context.clock, monotonic=monotonic_s)

    def able(figures: Link) -> list[str] | None:
        try:
            return engines.able(places.door(figures.source).top, places.door(figures.destination).top)
        except BrokenInvariant:
            raise
        except HoldfastError:
            return None

    try:
        return [able(status.figures) for status in statuses]
    finally:
        await engines.close()
        await places.close()


def _row(status: LinkStatus, able: Sequence[str] | None) -> tuple[str, ...]:
    figures = status.figures
    is_failing = figures.n_failed_row and figures.last_failure_us is not None
    limit = str(status.settings.streams) + (f" of {status.per_link}" if status.per_link is not None else "")
    return (
        figures.source,
        figures.destination,
        ", ".join(status.at_work or (status.settings.engines if able is None else able)) or "none",
        "" if figures.rate_bytes_s is None else f"{show.size(round(figures.rate_bytes_s))}/s",
        show.number(figures.n_done),
        show.size(figures.size_done),
        show.number(status.n_waiting),
        show.number(status.n_active),
        limit,
        show.number(figures.n_failed_row),
        f"{show.time(figures.last_failure_us)}: {figures.last_error}" if is_failing else "",
    )


def _facts(status: LinkStatus, able: Sequence[str] | None) -> dict[str, Any]:
    figures = status.figures
    return {
        "source": figures.source,
        "destination": figures.destination,
        "engines": status.settings.engines,
        "engines_able": able,
        "engines_at_work": status.at_work,
        "rate_bytes_s": figures.rate_bytes_s,
        "files_done": figures.n_done,
        "size_done": figures.size_done,
        "files_waiting": status.n_waiting,
        "files_active": status.n_active,
        "streams": status.settings.streams,
        "per_link": status.per_link,
        "failures_since_success": figures.n_failed_row,
        "failures": figures.n_failed,
        "last_error": figures.last_error or None,
        "last_code": figures.last_code,
        "last_failure": show.time_exact(figures.last_failure_us),
        "last_success": show.time_exact(figures.last_success_us),
    }
