"""Other copies, judged: what goes is held to stay by enough others, and these show it, or were proved lately."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.model.records import BlockReplica, FileRecord, SiteStatus
from holdfast.testing.simulation.span import Span
from holdfast.testing.simulation.world import DAY_S, SITES, World


@dataclass(frozen=True)
class Others:
    """The copies that one deed's deletions rest on. ``span`` is that deed's."""

    world: World
    span: Span
    proved_after_us: int
    """What was proved later than that counted without a look, for any worker of the deed."""

    def judge(self, site: str, lfn: str, record: FileRecord) -> Iterator[str]:
        """S7: a file of a known dataset has gone from a site."""
        place = f"{site}:{self.world.path(site, lfn)}"
        staying = self._staying(site, lfn)
        required = max(1, self.span.before.dataset(record.block.dataset).required_copies)
        if len(staying) < required:
            yield f"S7: {place} was removed, and only {len(staying)} of {required} other sites have it to stay"
            return
        seen = {other for other in staying if self._is_proved(other, record) or self._shows(other, lfn, record.size)}
        if len(seen) < required:
            yield f"S7: {place} was removed, and only {len(seen)} of {required} other sites show it"

    def _staying(self, site: str, lfn: str) -> set[str]:
        """The other sites that have it to stay by the inventory's word, as the deed began or as it ended."""
        views = ((self.span.before, self.span.doomed_before), (self.span.after, self.span.doomed_after))
        return {
            other
            for view, doomed in views
            for other in SITES
            if other != site
            and (other, lfn) not in doomed
            and self.world.sites[other].status is SiteStatus.READY
            and lfn in self.world.held(view, other)
        }

    def _is_proved(self, site: str, record: FileRecord) -> bool:
        found: list[BlockReplica] = []
        for view in (self.span.before, self.span.after):
            found += view.replicas(block=record.block, site=site)
        return any((each.verified_us or 0) > self.proved_after_us for each in found)

    def _shows(self, site: str, lfn: str, size: int) -> bool:
        """Whether a look there could have seen it, in its size, at any moment of the deed."""
        path, world = self.world.path(site, lfn), self.world
        if site in world.unmounted:
            return False
        return any(path in files and len(files[path].data) == size for files in (world.mirror[site], world.files(site)))


def others_of(world: World, span: Span, verified_age_days: float, began_us: int) -> Others:
    """Those of a deed that began then, whose most trusting worker believed proofs for so many days."""
    return Others(world, span, began_us - int(verified_age_days * DAY_S * 1_000_000))
