"""Usage: what the active batches take up of the limits, and which files they have to do with.

Pure: batches in, counts and sets of files out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.operations.batch import Batch, RequestKind

Place = tuple[str, ...]
"""What has a limit: one of the functions below makes it."""

Busy = Mapping[tuple[BlockKey, str], FileSet]
"""Files that somebody has to do with, by block and site: that are written, read or deleted there."""


def link(source: str, destination: str) -> Place:
    """From one site to another."""
    return "link", source, destination


def into(site: str) -> Place:
    """To a site."""
    return "in", site


def out(site: str) -> Place:
    """From a site."""
    return "out", site


def owner(name: str) -> Place:
    """For an owner."""
    return "owner", name


def deletions(site: str) -> Place:
    """Deletions at a site."""
    return "deletions", site


@dataclass(frozen=True, slots=True)
class StreamUsage:
    """How many files are under way."""

    places: Mapping[Place, int] = field(default_factory=dict)
    """Of all workers."""
    slots: Mapping[int, int] = field(default_factory=dict)
    """Copies of this worker, by the number of their request."""
    sites: Mapping[Place, int] = field(default_factory=dict)
    """Copies of this worker, by the sites to which and from which they go."""
    requests: frozenset[int] = frozenset()
    """The numbers of requests that have something under way, with whatever worker."""


def usage_of(active: Iterable[Batch], worker: str, streams: Callable[[Batch], int]) -> StreamUsage:
    """What active batches take up. ``streams``: how many files of one are under way at once at most."""
    places: Counter[Place] = Counter()
    slots: Counter[int] = Counter()
    sites: Counter[Place] = Counter()
    requests = set()
    for batch in active:
        request = batch.request
        n_files = min(batch.n_files, streams(batch))
        requests.add(request.number)
        if request.kind.is_deletion:
            places[deletions(batch.site)] += n_files
            continue
        for place in places_of_copy(request.owner, batch.source, batch.site):
            places[place] += n_files
        if batch.worker == worker:
            slots[request.number] += n_files
            sites[into(batch.site)] += n_files
            sites[out(batch.source)] += n_files
    return StreamUsage(places, slots, sites, frozenset(requests))


def places_of_copy(of_owner: str, source: str, destination: str) -> tuple[Place, ...]:
    """All that a copy counts for, the slots apart."""
    return owner(of_owner), into(destination), out(source), link(source, destination)


def busy_of(active: Iterable[Batch]) -> dict[tuple[BlockKey, str], FileSet]:
    """The files that active batches write, read or delete. Orphans are of no block and are left out."""
    found: dict[tuple[BlockKey, str], FileSet] = {}
    for batch in active:
        if batch.request.kind is not RequestKind.ORPHANS:
            for site in (batch.site, batch.source):
                if site:
                    found[batch.block_key, site] = found.get((batch.block_key, site), FileSet()) | batch.files
    return found
