"""``holdfast journal``: what happened, in order."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from holdfast.cli import hints, journal_lines, options, show
from holdfast.cli.context import open_context
from holdfast.cli.progress import progress
from holdfast.inventory import checkpoints, journal_reading, retention
from holdfast.inventory.file_trail import FileTrail, Told
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Cursor, JournalEntry, Store
from holdfast.model import names
from holdfast.model.clock import DAY_US
from holdfast.model.errors import BadInput, UnknownName, unknown_name

POLL_S = 0.5
BATCH = 1000
KEEP_DAYS_MAX = 1_000_000

app = typer.Typer(no_args_is_help=True, help="The journal: every change, in order.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="journal")


@app.command("tail")
def tail(
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="How many entries.")] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each new entry, until interrupted.")
    ] = False,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="DATASET", help="Only entries that touch this dataset.")
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="SITE", help="Only entries that touch this site.")
    ] = None,
    lfn: Annotated[
        str | None,
        typer.Option("--lfn", metavar="LFN", help="Only what is about this file or all of its block or dataset."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; with --follow one per line for each entry.")
    ] = False,
) -> None:
    """The last entries, oldest first.

    Each with who did it and why. Why a copy of a file is not at a site any more,
    --lfn and --site together tell: of each entry the changes that are about that
    file at that site are shown, and the others counted. With --json entries are
    whole.
    """
    if lfn is not None and dataset is not None:
        raise BadInput("--lfn says the dataset, too", hint="say one of --lfn and --dataset")
    with open_context() as context:
        if lfn is not None:
            _tail_of_file(context.store, lfn, site, count, follow=follow, as_json=json)
            return
        items = _items(context.store, dataset, site)
        end = end_of(context.store)
        entries = journal_reading.last(context.store, count, items, until=end.position if end else 0)
        _write_tail(context.store, journal_lines.whole(entries), follow=follow, as_json=json)
        if follow:
            _follow(
                context.store,
                end,
                lambda entries: journal_lines.whole(journal_reading.touching(context.store, entries, items)),
                as_json=json,
            )


def _tail_of_file(store: SqlStore, lfn: str, site: str | None, count: int, *, follow: bool, as_json: bool) -> None:
    with store.snapshot() as snapshot:
        (file,), end = snapshot.lookup([lfn]), snapshot.head.cursor
    if file is None:
        raise _unknown_file(lfn, site)
    _items(store, None, site)
    trail = FileTrail(store, file, site)
    _write_tail(store, trail.last(count, until=end.position), follow=follow, as_json=as_json)
    if follow:
        _follow(store, end, trail.go_on, as_json=as_json)


def _write_tail(store: SqlStore, told: Sequence[Told], *, follow: bool, as_json: bool) -> None:
    if as_json and not follow:
        show.document({"entries": [journal_lines.record(each.entry) for each in told]})
    else:
        journal_lines.write(store, told, as_json=as_json)


def _unknown_file(lfn: str, site: str | None) -> UnknownName:
    seen = hints.findings_below(site)
    return UnknownName(
        f"there is no file {lfn}", hint=f"say --dataset, if you know of which it was; what no dataset had, {seen} tells"
    )


@app.command("export")
def export(
    after: Annotated[int, typer.Option("--after", min=0, help="Only entries after this position.")] = 0,
    until: Annotated[
        int | None, typer.Option("--until", min=0, help="Only entries up to this position.", show_default=False)
    ] = None,
) -> None:
    """The journal as JSON lines, one entry each, oldest first.

    Where entries that were asked for are not kept any more, standard error says
    at which position the export begins.
    """
    with open_context() as context:
        first = context.store.start().position
        if after < first and (until is None or until > after):
            show.note(f"the export begins at position {first + 1}: earlier entries are not kept")
        journal_lines.write_json(journal_reading.between(context.store, max(after, first), until))


@app.command("trim")
def trim(
    keep_days: Annotated[
        float | None, typer.Option("--keep-days", min=0, help="Keep the entries of so many days.", show_default=False)
    ] = None,
    keep_entries: Annotated[
        int | None, typer.Option("--keep-entries", min=1, help="Keep so many entries.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="Make a checkpoint if none here serves, whatever is kept.")
    ] = False,
    drop_cursors: Annotated[
        bool, typer.Option("--drop-cursors", help="Also cut off readers that have not read all that goes.")
    ] = False,
    replay: Annotated[
        bool,
        typer.Option("--replay/--no-replay", help="Verify the inventory first, as `holdfast verify` does."),
    ] = True,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Let old entries of the journal go.

    With both --keep-days and --keep-entries, what either keeps is kept; the last
    entry always is. Before the first entry goes, a checkpoint is made: a proved
    copy of the inventory in the folder `checkpoints` beside it, from which history
    can be restarted. It serves later trims, too, as far as it reaches.

    If the checkpoint was lost or lies on another machine, a trim makes a new one,
    even if no entry has to go; --checkpoint alone does only that. If it is
    damaged, that needs --no-replay as well. One made with --no-replay serves no
    trim that has to prove what it does: that makes a new one.

    Readers that keep their cursor here and have not read all that would go stop
    the trim. With --drop-cursors they lose their cursor and have to start again
    from a snapshot.
    """
    if keep_days is None and keep_entries is None and not checkpoint:
        raise BadInput("what is to be kept?", hint="say --keep-days or --keep-entries")
    if keep_days is not None and not (math.isfinite(keep_days) and keep_days <= KEEP_DAYS_MAX):
        raise BadInput(f"--keep-days {keep_days:g} is no number of days", hint=f"at most {KEEP_DAYS_MAX:,}")
    with open_context() as context:
        folder = context.state_dir / checkpoints.FOLDER
        plan = retention.plan(
            context.store,
            folder,
            keep_entries=keep_entries,
            keep_since_us=_since_us(keep_days, keep_entries, context.clock()),
            replay=replay,
        )
        if dry_run:
            _show_plan(plan, json=json)
            return
        with progress("Trimming", unit="steps", quiet=quiet) as update:
            trimmed = retention.trim(
                context.store,
                folder,
                plan,
                clock=context.clock,
                actor=context.actor,
                drop_cursors=drop_cursors,
                replay=replay,
                progress=lambda name: update(note=name),
            )
    _show_trimmed(trimmed, json=json)


def _since_us(keep_days: float | None, keep_entries: int | None, now_us: int) -> int | None:
    """Entries since when are kept; all of them if nobody said what may go."""
    if keep_days is None:
        return 0 if keep_entries is None else None
    return now_us - int(keep_days * DAY_US)


def _show_plan(plan: retention.TrimPlan, *, json: bool) -> None:
    serves = plan.checkpoint
    if json:
        told = {"dry_run": True, "entries": plan.n_entries, "through": plan.through, "cut_off": plan.cut_off}
        show.document({**told, "checkpoint": serves and serves.file})
        return
    new = f"a new checkpoint at position {plan.head.position} or after"
    if not plan.n_entries:
        show.line(f"nothing to trim: the journal begins at position {plan.start.position + 1}")
        if plan.lacks_checkpoint:
            show.line(f"would make {new}: none here serves")
        return
    behind = f"checkpoint {serves.file}" if serves else new
    show.line(f"would remove {_span(plan.start.position, plan.through)}, behind {behind}")
    for name in plan.cut_off:
        show.line(f"would cut off reader {name}: needs --drop-cursors")


def _show_trimmed(trimmed: retention.Trimmed, *, json: bool) -> None:
    if json:
        behind = trimmed.checkpoint and trimmed.checkpoint.file
        told = {"entries": trimmed.n_entries, "begins_at": trimmed.start.position + 1, "checkpoint": behind}
        show.document({**told, "dropped": trimmed.dropped})
        return
    first = trimmed.start.position
    if trimmed.n_entries:
        show.line(f"removed {_span(first - trimmed.n_entries, first)}; the journal begins at position {first + 1}")
    else:
        show.line(f"nothing to trim: the journal begins at position {first + 1}")
    if trimmed.checkpoint is not None and (trimmed.n_entries or trimmed.made):
        at = trimmed.checkpoint.cursor.position
        show.line(f"history can be restarted from checkpoint {trimmed.checkpoint.file}, at position {at}")
        if trimmed.made and not trimmed.checkpoint.is_replayed:
            show.line("the journal was not replayed to prove it")
    for name in trimmed.dropped:
        show.line(f"reader {name} has to start again from a snapshot")


def _span(after: int, through: int) -> str:
    count = through - after
    return f"{show.number(count)} {'entry' if count == 1 else 'entries'}, positions {after + 1} to {through}"


@app.command("cursors")
def cursors(
    drop: Annotated[
        str | None,
        typer.Option("--drop", metavar="NAME", help="Forget this reader; it starts again from a snapshot."),
    ] = None,
    json: options.Json = False,
) -> None:
    """The readers that keep their place here, and how far they are."""
    with open_context() as context:
        if drop is not None:
            journal_reading.drop_cursor(context.store, drop)
        readers, head = context.store.cursors(), context.store.head()
    if json:
        known = [
            {"reader": name, "epoch": at.epoch, "position": at.position, "behind": head.position - at.position}
            for name, at in readers.items()
        ]
        show.document({"cursors": known, "head": head.position})
        return
    show.table(
        ("reader", "position", "behind", "epoch"),
        [
            (name, show.number(at.position), show.number(head.position - at.position), at.epoch)
            for name, at in readers.items()
        ],
        right=("position", "behind"),
    )


def _items(store: SqlStore, dataset: str | None, site: str | None) -> list[tuple[str, str]]:
    """What entries have to touch, as the side table names it; UnknownName if nothing ever touched that."""
    items = [("dataset", str(names.dataset_key(dataset)))] if dataset is not None else []
    items += [("site", site)] if site is not None else []
    if items:
        with store.snapshot() as snapshot:
            datasets, sites = snapshot.last_touched()
        known = {"dataset": sorted(map(str, datasets)), "site": sorted(sites)}
        for kind, item in items:
            if item not in known[kind]:
                raise unknown_name(kind, item, known[kind])
    return items


def end_of(store: Store) -> Cursor | None:
    """The end of the journal; None if there is nothing in it."""
    head = store.head()
    return head.cursor if head.position else None


def _follow(
    store: SqlStore, after: Cursor | None, choose: Callable[[list[JournalEntry]], list[Told]], *, as_json: bool
) -> None:
    while True:
        entries = list(store.entries(after, limit=BATCH))
        journal_lines.write(store, choose(entries), as_json=as_json)
        sys.stdout.flush()
        if entries:
            after = entries[-1].cursor
        else:
            store.wait(after.position if after else 0, POLL_S)
