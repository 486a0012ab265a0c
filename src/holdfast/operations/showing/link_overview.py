"""Link overview: how each link fares, what goes over it and what waits for it. Reads, never writes.

Rules
  * Links are those that were used, those that are, and those that the files
    which wait would take now. That choice is the planner's (``sources``), with
    no regard to limits and rests: those are what they wait for. A site that is
    looked at for what nobody else has (``engines/in_place``) is no link.
  * Waiting is what could be tried sooner or later: queued, or after a failure;
    not what is held, nor requests that somebody holds back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.config import LinkSettings, OperationsSettings
from holdfast.inventory.store import Snapshot, Store
from holdfast.operations.batch import Batch
from holdfast.operations.batches import links
from holdfast.operations.batches.links import Link
from holdfast.operations.batches.queue import Queue
from holdfast.operations.planning.holders import read_holders
from holdfast.operations.planning.sources import Sources

BATCHES_MAX = 10_000
"""So many batches that wait are looked at; a request for millions of files has a few hundred."""

_EVER_US = 1 << 60
"""Later than any moment that anything waits for."""


class Key(NamedTuple):
    """The names of two sites."""

    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One link: its figures, its settings, and how many files there are."""

    figures: Link
    settings: LinkSettings
    per_link: int | None
    """How many files may be under way at once; None: only other limits count."""
    n_active: int = 0
    """Files that a worker has claimed."""
    n_waiting: int = 0
    at_work: tuple[str, ...] = ()
    """The engines that bring these files now, by name."""


@dataclass(slots=True)
class _Load:
    """What is on one link."""

    n_active: int = 0
    n_waiting: int = 0
    at_work: set[str] = field(default_factory=set)


def statuses(store: Store, settings: OperationsSettings, *, now_us: int) -> list[LinkStatus]:
    """Every link, by source, then destination."""
    queue = Queue(store)
    with queue.read() as connection:
        figures = links.read_links(connection)
        active = queue.active(connection)
        waiting = queue.waiting(connection, now_us=_EVER_US, wait_us_max=0, limit=BATCHES_MAX)
    loads: dict[Key, _Load] = {Key(*key): _Load() for key in figures}
    for batch in active:
        if batch.is_over_link:
            load = loads.setdefault(Key(batch.source, batch.site), _Load())
            load.n_active += batch.n_files
            load.at_work.add(batch.engine)
    with store.snapshot() as snapshot:
        _add_waiting(
            loads, snapshot, [batch for batch in waiting if not batch.request.kind.is_deletion], figures, now_us
        )
    return [_status(key, load, figures.get(key, Link(*key)), settings) for key, load in sorted(loads.items())]


def _add_waiting(
    loads: dict[Key, _Load],
    snapshot: Snapshot,
    waiting: list[Batch],
    figures: Mapping[tuple[str, str], Link],
    now_us: int,
) -> None:
    holders = read_holders(snapshot, [batch.block_key for batch in waiting])
    sources = Sources(holders, figures, {site.name: site for site in snapshot.sites()}, now_us=now_us)
    for batch in waiting:
        for part in sources.choose(batch, batch.files).sources:
            if part.source != batch.site:
                loads.setdefault(Key(part.source, batch.site), _Load()).n_waiting += len(part.files)


def _status(key: Key, load: _Load, figures: Link, settings: OperationsSettings) -> LinkStatus:
    link = settings.for_link(*key)
    return LinkStatus(
        figures,
        link,
        settings.per_link if link.per_link is None else link.per_link,
        load.n_active,
        load.n_waiting,
        tuple(sorted(filter(None, load.at_work))),
    )
