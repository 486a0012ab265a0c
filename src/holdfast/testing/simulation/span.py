"""Span: what the inventory asked for, had and was told during one deed, people's words in its midst included.

A deed is judged by what was asked at any moment of it: somebody may ask for the
opposite while it goes on, and what was sent before is carried out nevertheless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.inventory.store import JournalEntry, Snapshot
from holdfast.model import changes as c
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles

Places = frozenset[tuple[str, str]]
"""Files at sites, by site and LFN."""


@dataclass(frozen=True)
class Span:
    """The inventory ``before`` and ``after`` a deed, and the entries between them."""

    before: Snapshot
    after: Snapshot
    entries: Sequence[JournalEntry]
    doomed_before: Places = field(init=False)
    doomed_after: Places = field(init=False)
    """Files of replicas that are asked to go, as it began and as it ended."""
    doomed: Places = field(init=False)
    """The same at any moment of it."""
    gone: Places = field(init=False)
    """Files that the inventory was told to be gone meanwhile."""
    arrived: Places = field(init=False)
    """Files that the inventory was told to have come meanwhile, one by one."""
    asked: Places = field(init=False)
    """Files that a copy was asked for meanwhile."""

    def __post_init__(self) -> None:
        before = doomed_files(self.before)
        doomed, gone, arrived, asked = set(before), set(), set(), set()
        for change in (change for entry in self.entries for change in entry.changes):
            if isinstance(change, c.RequestDeletion) and change.request.dataset is not None:
                doomed |= files_of(self.after, change.request.dataset, change.request.site, change.request.scope)
            elif isinstance(change, c.FilesDeleted | c.FilesGone):
                part = BlockFiles(change.block.block, change.ordinals)
                gone |= files_of(self.after, change.block.dataset, change.site, (part,))
            elif isinstance(change, c.FilesArrived):
                part = BlockFiles(change.block.block, change.ordinals)
                arrived |= files_of(self.after, change.block.dataset, change.site, (part,))
            elif isinstance(change, c.RequestCopy):
                asked |= files_of(self.after, change.request.dataset, change.request.site, change.request.scope)
        for name, places in (
            ("doomed_before", before),
            ("doomed_after", doomed_files(self.after)),
            ("doomed", doomed),
            ("gone", gone),
            ("arrived", arrived),
            ("asked", asked),
        ):
            object.__setattr__(self, name, frozenset(places))

    def may_be_replaced(self, site: str, lfn: str) -> bool:
        """Whether a copy that was asked for at any moment may replace what lies in this file's place."""
        asked = [
            change.request for entry in self.entries for change in entry.changes if isinstance(change, c.RequestCopy)
        ]
        asked += self.before.copy_requests(site=site)
        may = [each for each in asked if each.site == site and each.replace]
        return any((site, lfn) in files_of(self.after, each.dataset, site, each.scope) for each in may)

    def was_awaited(self, site: str, lfn: str) -> bool:
        """Whether the inventory had or awaited a file at a site at any moment."""
        return (site, lfn) in self.asked or is_awaited(self.before, site, lfn) or is_awaited(self.after, site, lfn)


def doomed_files(view: Snapshot) -> Places:
    """The files of replicas that are asked to go."""
    found = set[tuple[str, str]]()
    for request in view.deletion_requests():
        if request.dataset is not None:
            found |= files_of(view, request.dataset, request.site, request.scope)
    return frozenset(found)


def is_awaited(view: Snapshot, site: str, lfn: str) -> bool:
    """Whether the inventory has or awaits files of an LFN's block at a site."""
    record = view.lookup([lfn])[0] if lfn else None
    return record is not None and bool(view.replicas(block=record.block, site=site))


def is_wanted(view: Snapshot, site: str, lfn: str) -> bool:
    """Whether the inventory has or awaits this very file at a site."""
    record = view.lookup([lfn])[0] if lfn else None
    if record is None:
        return False
    if any(replica.holds(record.ordinal) for replica in view.replicas(block=record.block, site=site)):
        return True
    requests = view.copy_requests(dataset=record.block.dataset, site=site)
    parts = [part for request in requests for part in request.scope if part.block == record.block.block]
    return any(part.ordinals is None or record.ordinal in part.ordinals for part in parts)


def files_of(view: Snapshot, dataset: DatasetKey, site: str, scope: Sequence[BlockFiles]) -> set[tuple[str, str]]:
    """The files of a part of a dataset, at one site."""
    found = set()
    for part in scope:
        lfns = list(view.files(BlockKey(dataset, part.block)).lfns())
        found |= {(site, lfns[ordinal]) for ordinal in part.files(len(lfns))}
    return found
