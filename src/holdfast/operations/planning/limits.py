"""Limits: how many files may be under way at once, in all and at each place, and how great a batch may be.

Values only; what is left of them is ``rooms``' business. None is no limit. All
limits count files that are under way at the same time ("streams"), not files
that are claimed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.config import OperationsSettings


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Of one link."""

    per_link: int | None = None
    streams: int = 4
    """Of one batch."""
    batch_files: int = 1000
    batch_size: int = 100_000_000_000
    """Bytes of a batch at most, unless it is a single file."""


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """Of one site."""

    into: int | None = None
    out: int | None = None
    deletions: int = 8
    """Deletions have their own limit, and no other."""


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """Of everything."""

    slots: int
    """Of copies, for one worker. All other limits are for all workers together."""
    per_owner: int | None = None
    request_share: float = 0.75
    """Of the slots, what one request gets at most."""
    deletion_files: int = 1000
    """How many files are deleted under one claim at most."""
    of_link: Callable[[str, str], LinkLimits] = lambda _source, _destination: LinkLimits()
    of_site: Callable[[str], SiteLimits] = lambda _site: SiteLimits()
    site_share: float = 1.0
    """Of the slots, what one site gets at most as a destination (as a source one more), if it has no limit there."""

    def request_slots(self) -> int:
        """How many slots one request gets at most: its share, one at least, and never the last of several."""
        share = int(self.slots * self.request_share + 1e-9)
        return max(1, min(share, self.slots - 1))

    def site_slots(self) -> int:
        """How many slots one destination gets at most, if it has no limit: its share, rounded up."""
        return max(1, math.ceil(self.slots * self.site_share - 1e-9))

    def spare(self, most: int) -> int:
        """How many of a limit are kept for requests that have nothing under way: one, where that is a small part."""
        return min(1, int(most * (1 - self.request_share) + 1e-9))


def of_settings(settings: OperationsSettings) -> WorkLimits:
    """The limits of a configuration."""

    def of_link(source: str, destination: str) -> LinkLimits:
        link = settings.for_link(source, destination)
        per_link = settings.per_link if link.per_link is None else link.per_link
        return LinkLimits(per_link, link.streams, link.batch_files, link.batch_size)

    def of_site(name: str) -> SiteLimits:
        site = settings.for_site(name)
        return SiteLimits(site.per_site_in, site.per_site_out, site.deletions_per_site)

    return WorkLimits(
        slots=settings.concurrency,
        per_owner=settings.per_owner,
        request_share=settings.request_share,
        site_share=settings.site_share,
        of_link=of_link,
        of_site=of_site,
    )
