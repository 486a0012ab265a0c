"""``holdfast journal``: what happened, in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import select

from holdfast.cli import options, show
from holdfast.cli.context import open_context
from holdfast.inventory import schema
from holdfast.inventory.sql_store import SqlStore, entry_of
from holdfast.inventory.store import Cursor, Entry, Store
from holdfast.model import changes
from holdfast.model.changes import Change

POLL_S = 0.5
BATCH = 1000

app = typer.Typer(no_args_is_help=True, help="The journal: every change there ever was.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="journal")


@app.command("tail")
def tail(
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="How many entries.")] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each new entry, until interrupted.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; with --follow one per line for each entry.")
    ] = False,
) -> None:
    """The last entries, oldest first."""
    with open_context() as context:
        entries = _last(context.store, count)
        if json and not follow:
            show.document({"entries": [record(entry) for entry in entries]})
            return
        _write(entries, as_json=json)
        if follow:
            _follow(context.store, follow_from(context.store, entries), as_json=json)


@app.command("export")
def export(
    after: Annotated[int, typer.Option("--after", min=0, help="Only entries after this position.")] = 0,
) -> None:
    """The whole journal as JSON lines, one entry each, oldest first."""
    with open_context() as context:
        _write((entry for entry in _from_the_first(context.store) if entry.position > after), as_json=True)


@app.command("cursors")
def cursors(json: options.Json = False) -> None:
    """The readers that keep their place here, and how far behind they are."""
    with open_context() as context:
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


def _last(store: SqlStore, count: int) -> list[Entry]:
    # The store reads forward from a cursor only; where the last ones begin, only its tables say.
    query = select(schema.journal).order_by(schema.journal.c.position.desc()).limit(count)
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return [entry_of(row) for row in reversed(rows)]


def _from_the_first(store: Store) -> Iterator[Entry]:
    after: Cursor | None = None
    while entries := list(store.entries(after, limit=BATCH)):
        yield from entries
        after = entries[-1].cursor


def follow_from(store: Store, shown: Sequence[Entry]) -> Cursor | None:
    """Where to go on after ``shown``: after the last of them, or at the end of the journal; None for its beginning."""
    if shown:
        return shown[-1].cursor
    head = store.head()
    return head.cursor if head.position else None


def _follow(store: Store, after: Cursor | None, *, as_json: bool) -> None:
    while True:
        entries = list(store.entries(after, limit=BATCH))
        _write(entries, as_json=as_json)
        sys.stdout.flush()
        if entries:
            after = entries[-1].cursor
        else:
            time.sleep(POLL_S)


def _write(entries: Iterable[Entry], *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            sys.stdout.write(f"{show.json_text(record(entry))}\n")
        else:
            what = "; ".join(summary(change) for change in entry.changes)
            origin = f" from {entry.origin.endpoint}" if entry.origin else ""
            show.line(f"{entry.position:>8}  {show.time(entry.at_us)}  {entry.actor}  {entry.cause}{origin}: {what}")


def record(entry: Entry) -> dict[str, Any]:
    """An entry for ``--json``, with all its changes."""
    return {
        "epoch": entry.epoch,
        "position": entry.position,
        "at": show.time_exact(entry.at_us),
        "actor": entry.actor,
        "cause": entry.cause,
        "origin": entry.origin,
        "changes": entry.changes,
        "digest": entry.digest,
    }


def summary(change: Change) -> str:
    """A change in a few words: its kind, what it names, and how many rows it has."""
    datasets, sites = changes.touched(change)
    item = getattr(change, "lock", None)
    named = getattr(change, "id", "") or (item.item if item is not None else "")
    words = [change.kind, *sorted(map(str, datasets)), *sorted(sites), *([named] if named else [])]
    rows = changes.rows(change)
    return " ".join(words) + (f" ({show.plural(rows, 'row')})" if rows > 1 else "")
