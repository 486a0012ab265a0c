"""``holdfast consistency findings``: what is, or was, missing, wrong or too much at a site, and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import completing, options, request_show, show
from holdfast.cli.context import Context, open_context
from holdfast.consistency.class_words import NAMES
from holdfast.consistency.classes import KEPT, Class
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.gates import GateSettings
from holdfast.consistency.history.deeds import Deed, DeedKind, Deeds, Seen
from holdfast.consistency.history.kept_report import require_here
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.sightings import Sighting, sightings
from holdfast.model import names
from holdfast.model.errors import BadInput
from holdfast.operations.showing.conditions import conditions
from holdfast.operations.showing.overview import Condition

SHOWN = 100

_DONE = {
    DeedKind.COPY: "copy asked",
    DeedKind.QUARANTINE: "quarantine asked",
    DeedKind.DELETION: "deletion asked",
    DeedKind.DIRECTORY_REMOVAL: "removal asked",
    DeedKind.LOST: "declared lost",
}
"""What was done, as people are told."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done last about a path since it was seen, and how the request for it stands, where that is known."""

    deed: Deed
    condition: Condition | None

    @property
    def text(self) -> str:
        """For people, in one line."""
        said = f"{_DONE[self.deed.kind]} {show.time(self.deed.at_us)}"
        if self.deed.kind is DeedKind.LOST:
            return said
        id = self.deed.request[: request_show.ID_SHOWN]
        return f"{said}: {id}" if self.condition is None else f"{said}: {id}, {self.condition.value}"

    @property
    def facts(self) -> dict[str, Any]:
        """For machines."""
        deed = self.deed
        at = show.time_exact(deed.at_us)
        return {"kind": deed.kind, "request": deed.request, "at": at, "state": self.condition}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("findings")(findings_command)


def findings_command(
    site: Annotated[
        str, typer.Argument(metavar="SITE", help="The site that is meant.", autocompletion=completing.sites)
    ],
    cls: Annotated[
        Class | None,
        typer.Option("--class", metavar="CLASS", help="Only this class: missing, orphan, size_mismatch, ..."),
    ] = None,
    current: Annotated[
        bool, typer.Option("--current/--former", help="What is so now, or what was and is not any more.")
    ] = True,
    below: Annotated[
        str | None, typer.Option("--below", metavar="PATH", help="Only what is at this path of the site, or below it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most N of them.")] = SHOWN,
    json: options.Json = False,
) -> None:
    """List what the last check found, and what was done about it.

    With each: since when it was seen so. What was done is the last request for each
    path since it was first seen so, and how that stands now. Confirmed is what was
    seen in so many checks without a break, over so long, as the configuration wants
    before it is acted on; else it is said what that still takes. What the last
    check could not see stays as it was.
    """
    path_below = None if below is None else names.directory(below.rstrip("/") or "/")
    with open_context() as context:
        folder = _last_folder(context, site)
        needed = GateSettings.of(context.config.consistency.for_site(site)).confirmations
        now_us, last_run = context.clock(), folder.name
        if cls is not None and cls not in KEPT:
            hint = f"{', '.join(KEPT)} are; others are in the report"
            raise BadInput(f"findings of the class {cls.value} are not kept", hint=hint)
        found = sightings(folder, cls=cls, current=current, path_below=path_below)
        rows = list(islice(found, limit + 1))
        is_more, rows = len(rows) > limit, rows[:limit]
        done = _done(context, site, rows)
    if json:
        about = [_facts(row, each, needed, last_run, now_us=now_us) for row, each in zip(rows, done, strict=True)]
        show.document({"findings": about, "site": site, "run": last_run, "is_more": is_more})
        return
    columns = ("class", "path", "bytes", "first seen", "last seen", "checks", "done", "state")
    lines = [_row(row, each, needed, last_run, now_us=now_us) for row, each in zip(rows, done, strict=True)]
    show.table(columns, lines, right=("bytes", "checks"))
    if is_more:
        show.note(f"there are more than {show.number(limit)}: say --limit, --class or --below")


def _last_folder(context: Context, site: str) -> Path:
    """The folder of the last check of a site."""
    with context.store.snapshot() as snapshot:
        name = snapshot.site(site).name
    return require_here(History(context.store, clock=context.clock).require_last_report(name))


def _done(context: Context, site: str, rows: Sequence[Sighting]) -> list[Done | None]:
    """What was done about each of these rows."""
    seen = (Seen(row.cls, row.path, row.first_us) for row in rows)
    deeds = Deeds(context.store).last(site, seen)
    requests = {deed.request for deed in deeds.values() if deed.kind is not DeedKind.LOST}
    now = conditions(context.store, requests)
    last = (deeds.get((row.cls, row.path)) for row in rows)
    return [None if deed is None else Done(deed, now.get(deed.request)) for deed in last]


def _row(
    sighting: Sighting, done: Done | None, needed: Mapping[Class, Confirmation], last_run: str, *, now_us: int
) -> tuple[str, ...]:
    return (
        NAMES[sighting.cls],
        sighting.path,
        "" if sighting.size is None else show.number(sighting.size),
        show.time(sighting.first_us),
        show.time(sighting.last_us),
        show.number(sighting.n_runs),
        "" if done is None else done.text,
        _state(sighting, needed.get(sighting.cls), last_run, now_us=now_us),
    )


def _state(sighting: Sighting, needed: Confirmation | None, last_run: str, *, now_us: int) -> str:
    if not sighting.is_current:
        return "former"
    if sighting.last_run != last_run:
        return "could not be seen in the last check"
    if needed is None:
        return "never acted on"
    if sighting.is_confirmed(needed, now_us=now_us):
        return "confirmed"
    takes = []
    if sighting.n_runs < needed.runs:
        takes.append(f"after {show.plural(needed.runs - sighting.n_runs, 'more check')}")
    if sighting.confirmed_from_us(needed) > now_us:
        takes.append(f"not before {show.time(sighting.confirmed_from_us(needed))}")
    return f"confirmed {', '.join(takes)}"


def _facts(
    sighting: Sighting, done: Done | None, needed: Mapping[Class, Confirmation], last_run: str, *, now_us: int
) -> dict[str, Any]:
    of_class = needed.get(sighting.cls)
    is_confirmed, from_us = False, None
    if of_class is not None:
        is_confirmed = sighting.last_run == last_run and sighting.is_confirmed(of_class, now_us=now_us)
        from_us = sighting.confirmed_from_us(of_class)
    return {
        "class": sighting.cls,
        "path": sighting.path,
        "size": sighting.size,
        "mtime_ns": sighting.mtime_ns,
        "first_seen": show.time_exact(sighting.first_us),
        "first_run": sighting.first_run,
        "last_seen": show.time_exact(sighting.last_us),
        "last_run": sighting.last_run,
        "checks": sighting.n_runs,
        "is_current": sighting.is_current,
        "is_confirmed": is_confirmed,
        "confirmed_from": show.time_exact(from_us),
        "checks_needed": None if of_class is None else of_class.runs,
        "done": None if done is None else done.facts,
    }
