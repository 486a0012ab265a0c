"""Sources: from which site each file of a batch is best taken, and why from none.

Pure: who holds what and how the links fared in, sets of files out.

Rules
  * A source holds the file by the inventory's word, is READY, has no open
    deletion of it that was asked for before the copy, is not the destination
    and has not failed for it for good.
  * What would have NO_SOURCE may lie in its place though nobody knows it: the destination
    itself comes last, and gives what it is found to have (``engines/in_place``). What was not there is
    not looked for again while the batch remembers that.
  * Disk goes before tape; then the fewest failures in a row on the link, as far
    as they are recent; then the higher measured rate; then the name. Where
    others are measured, a link that is not counts as the fastest of them.
  * What has no room now gives way only to a source that is as good by storage
    and failures: no file is fetched from tape because the disks are busy.
  * Every file goes to one source, waits for room, or is held: SITE_UNAVAILABLE
    if it waits for a source that is stopped, ALL_FAILED if every source has
    failed for good, else NO_SOURCE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from holdfast.model.clock import SECOND_US
from holdfast.model.fileset import FileSet
from holdfast.model.records import Site, StorageType
from holdfast.operations.batch import IN_ITS_PLACE, NO_OTHER_SOURCE, Batch, Held
from holdfast.operations.planning.holders import Holders

RECENT_US = 3600 * SECOND_US
"""Failures count for so long after the last one; those that a clock further ahead has noted count as none."""

_SLOWNESS = {StorageType.DISK: 0, StorageType.BUFFER: 1, StorageType.UNKNOWN: 2, StorageType.TAPE: 3}


class LinkFigures(Protocol):
    """How a link has fared."""

    @property
    def rate_bytes_s(self) -> float | None:
        """Bytes a second of one file at a time; None: not measured."""

    @property
    def n_failed_row(self) -> int:
        """Failures since the last success."""

    @property
    def last_failure_us(self) -> int | None:
        """When the last one was."""


Links = Mapping[tuple[str, str], LinkFigures]
"""By source and destination; a link without an entry has no history."""


@dataclass(frozen=True, slots=True)
class SourceShare:
    """Files that come from one source."""

    source: str
    files: FileSet
    size: int | None = None
    """Their bytes, if these are known without reading how long each file is."""


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """Files that cannot be moved now, and why."""

    files: FileSet
    held: Held
    reason: str


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """Where the files of a batch come from. No file is in two of these; those that wait for room are in none."""

    sources: tuple[SourceShare, ...] = ()
    """The best ones first."""
    held: tuple[HeldFiles, ...] = ()


def _weighed(batch: Batch, parts: list[SourceShare]) -> tuple[SourceShare, ...]:
    """Parts, of which the size of one follows from those of the others if they are the whole batch."""
    if len(parts) == 1:
        return tuple(parts)
    unknown = [number for number, part in enumerate(parts) if part.size is None]
    if len(unknown) == 1 and sum(len(part.files) for part in parts) == batch.n_files:
        rest = batch.size - sum(part.size or 0 for part in parts)
        parts[unknown[0]] = replace(parts[unknown[0]], size=max(0, rest))
    return tuple(parts)


_Standing = tuple[int, float | None]
"""The tier, by storage and failures, and the measured rate."""

_NONE = FileSet()


def _always(source: str) -> bool:
    return True


class Sources:
    """Chooses. How good a site is as a source for another it finds out once."""

    def __init__(
        self,
        holders: Holders,
        links: Links,
        sites: Mapping[str, Site],
        *,
        now_us: int,
        stopped: Mapping[str, str] | None = None,
    ) -> None:
        """``stopped``: sites that cannot be used now though they are READY, with the reason."""
        self._holders = holders
        self._links = links
        self._sites = sites
        self._now_us = now_us
        self._stopped = stopped or {}
        self._standings: dict[tuple[str, str], _Standing | None] = {}

    def choose(self, batch: Batch, files: FileSet, has_room: Callable[[str], bool] = _always) -> SourceChoice:
        """Where some files of a batch come from; ``has_room``: whether a source can take part now."""
        held = self._holders(batch.block_key)
        usable = held.usable_for(batch.request)
        bad = batch.bad_sources
        chosen: list[SourceShare] = []
        left, waiting, last_tier = files, _NONE, -1
        for tier, _, source in self._ranked(batch.site, usable):
            if tier != last_tier:
                left, waiting, last_tier = left - waiting, _NONE, tier
            part = left & usable[source]
            if not part or source in bad:
                continue
            if not has_room(source):
                waiting |= part
                continue
            chosen.append(SourceShare(source, part, held.sizes.get(source) if part == usable[source] else None))
            left -= part
            if not left:
                return SourceChoice(_weighed(batch, chosen))
        left -= waiting
        kept = self._held(batch, left, usable) if left else []
        if self._may_look_in_place(batch):
            unseen = [part for part in kept if part.held is Held.NO_SOURCE]
            kept = [part for part in kept if part.held is not Held.NO_SOURCE]
            if has_room(batch.site):
                chosen += [SourceShare(batch.site, part.files) for part in unseen]
        return SourceChoice(tuple(chosen), tuple(kept))

    def _may_look_in_place(self, batch: Batch) -> bool:
        site = self._sites.get(batch.site)
        is_usable = site is not None and site.is_ready and batch.site not in self._stopped
        return is_usable and batch.site not in batch.bad_sources

    def _ranked(self, destination: str, names: Iterable[str]) -> list[tuple[int, float, str]]:
        """Those of some sites that may be sources, the best first, with their tier: less is better."""
        standings = [(name, standing) for name in names if (standing := self._standing(name, destination))]
        fastest: dict[int, float] = {}
        for _, (tier, rate) in standings:
            if rate is not None:
                fastest[tier] = max(rate, fastest.get(tier, rate))
        return sorted(
            (tier, -(fastest.get(tier, 0.0) if rate is None else rate), name) for name, (tier, rate) in standings
        )

    def _standing(self, source: str, destination: str) -> _Standing | None:
        """How good one site is as a source for another; None if it is none."""
        place = source, destination
        if place not in self._standings:
            self._standings[place] = self._looked_up(source, destination)
        return self._standings[place]

    def _looked_up(self, source: str, destination: str) -> _Standing | None:
        site = self._sites.get(source)
        if site is None or not site.is_ready or source == destination or source in self._stopped:
            return None
        link = self._links.get((source, destination))
        n_failed, rate = 0, None
        if link is not None:
            rate = link.rate_bytes_s
            if link.last_failure_us is not None and abs(self._now_us - link.last_failure_us) <= RECENT_US:
                n_failed = link.n_failed_row
        return (_SLOWNESS[site.storage_type] << 60) + n_failed, rate

    def _held(self, batch: Batch, files: FileSet, usable: Mapping[str, FileSet]) -> list[HeldFiles]:
        """Why these files have no source, each of them once."""
        others = {name: usable[name] for name in sorted(usable) if name != batch.site}
        bad = {name: there for name, there in others.items() if name in batch.bad_sources}
        stopped = {name: there for name, there in others.items() if name in self._stopped and name not in bad}
        grounds = [
            (Held.SITE_UNAVAILABLE, stopped, [f"{name}: {self._stopped[name]}" for name in stopped]),
            (Held.ALL_FAILED, bad, [f"{', '.join(bad)}: {batch.error or 'failed for good'}"]),
        ]
        found = []
        for held, by_site, reasons in grounds:
            part = FileSet()
            for there in by_site.values():
                part |= files & there
            if part:
                found.append(HeldFiles(part, held, "; ".join(reasons)))
                files -= part
        if files:
            found.append(HeldFiles(files, Held.NO_SOURCE, self._absence(batch)))
        return found

    def _absence(self, batch: Batch) -> str:
        unusable = self._holders(batch.block_key).unusable
        said = NO_OTHER_SOURCE + (f"; not to be used: {', '.join(unusable)}" if unusable else "")
        _, looked, found = batch.error.partition(IN_ITS_PLACE)
        return f"{said}; {looked}{found}" if looked else said
