"""Entries of the journal as people and programs see them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from holdfast.cli import request_show, show
from holdfast.inventory.file_trail import Told
from holdfast.inventory.store import JournalEntry, Store
from holdfast.model import changes
from holdfast.model.changes import Change, FilesDeleted, PutLock, RequestCopy, RequestDeletion
from holdfast.model.records import DeletionRequest, Request
from holdfast.operations import deletion_report


def whole(entries: Iterable[JournalEntry]) -> list[Told]:
    """Entries of which all changes are told."""
    return [Told(entry, entry.changes) for entry in entries]


def write(store: Store, told: Iterable[Told], *, as_json: bool) -> None:
    """Print entries, a line each."""
    if as_json:
        write_json(each.entry for each in told)
        return
    asked = _Asked(store)
    for each in told:
        entry = each.entry
        what = "; ".join(summary(change) + asked.by(change) for change in each.changes)
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
    words = [change.kind, *sorted(map(str, datasets)), *sorted(sites), *_named(change)]
    rows = changes.rows(change)
    return " ".join(words) + (f" ({show.plural(rows, 'row')})" if rows > 1 else "")


def _named(change: Change) -> list[str]:
    """What a change names beside datasets and sites."""
    if isinstance(change, PutLock):
        return [change.lock.item]
    if not isinstance(change, RequestCopy | RequestDeletion):
        id = getattr(change, "id", "")
        return [id] if id else []
    request, id = change.request, change.request.id[: request_show.ID_SHOWN]
    if not isinstance(request, DeletionRequest) or request.dataset is not None:
        return [id]
    # The journal has these by their site only: without a path nobody could tell one from another.
    return [id, "of", deletion_report.what(request), request.path(0)]


class _Asked:
    """Who asked for what has gone, and why. A deletion is deed and reason in two entries, which may lie far apart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, str] = {}

    def by(self, change: Change) -> str:
        """For ``FilesDeleted``, if the request is known; else ""."""
        if not isinstance(change, FilesDeleted):
            return ""
        if change.request not in self._known:
            with self._store.snapshot() as snapshot:
                request = snapshot.request(change.request)
            self._known[change.request] = "" if request is None else _asked_by(request)
        return self._known[change.request]


def _asked_by(request: Request) -> str:
    said = [f"asked by {request.owner}"] if request.owner else []
    said += [request.reason] if request.reason else []
    return f", {': '.join(said)}" if said else ""
