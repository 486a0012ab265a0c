"""Entries of the journal as people and programs see them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from holdfast.cli import show
from holdfast.inventory.file_trail import Told
from holdfast.inventory.store import JournalEntry, Store
from holdfast.model import changes
from holdfast.model.changes import Change, RequestDeletion
from holdfast.model.records import DeletionRequest
from holdfast.operations import deletion_report


def whole(entries: Iterable[JournalEntry]) -> list[Told]:
    """Entries of which all changes are told."""
    return [Told(entry, entry.changes) for entry in entries]


def write(store: Store, told: Iterable[Told], *, as_json: bool) -> None:
    """Print entries, a line each."""
    if as_json:
        write_json(each.entry for each in told)
        return
    for each in told:
        entry = each.entry
        what = "; ".join(summary(change) for change in each.changes)
        n_others = len(entry.changes) - len(each.changes)
        others = f" (and {show.plural(n_others, 'change')} of something else)" if n_others else ""
        origin = f" from {entry.origin.endpoint}" if entry.origin else ""
        show.line(
            f"{entry.position:>8}  {show.time(entry.at_us)}  {entry.actor}  {entry.cause}{origin}: {what}{others}"
        )


def write_json(entries: Iterable[JournalEntry]) -> None:
    """Print entries as JSON, a line each."""
    for entry in entries:
        sys.stdout.write(f"{show.json_text(record(entry))}\n")


def record(entry: JournalEntry) -> dict[str, Any]:
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
    if isinstance(change, RequestDeletion) and change.request.dataset is None:
        # The journal names these by their site only: without a path nobody could tell one from another.
        return f"{change.kind} {deletion_report.what(change.request)} {change.request.site}: {_paths(change.request)}"
    words = [change.kind, *sorted(map(str, datasets)), *sorted(sites), *([named] if named else [])]
    rows = changes.rows(change)
    return " ".join(words) + (f" ({show.plural(rows, 'row')})" if rows > 1 else "")


def _paths(request: DeletionRequest) -> str:
    n_more = request.n_paths - 1
    return request.path(0) + (f" and {n_more:,} more" if n_more else "")
