"""The quarantine, judged: what is moved there lies whole, replaces nothing, and goes for good after its days only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.model import quarantine
from holdfast.testing.memory_tree import Node
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.others import Others
from holdfast.testing.simulation.span import Span
from holdfast.testing.simulation.world import DAY_S, SITES, World

CLOCK_DOUBT_S = 3600
"""The clock is put back now and then: a file may have looked so much older."""


def is_whole_at(world: World, site: str, file: Node, path: str) -> bool:
    """Whether a file, as it was, lies at a path now."""
    tree = world.trees[site]
    return tree.get(path) == file.data and tree.find_file(path).mtime_ns == file.mtime_ns


def judge_quarantined(
    world: World, site: str, path: str, span: Span, others: Others, *, is_restored: bool
) -> Iterator[str]:
    """S3, S5, S7, S10: one path of the quarantine that is not as it was."""
    old, new = world.mirror[site].get(path), world.files(site).get(path)
    original, place = quarantine.original(path) or "", f"{site}:{path}"
    if old is not None and new is not None:
        yield f"S5: {place} was replaced in the quarantine"
    elif new is not None:
        asked = [each for each in span.before.deletion_requests() if each.site == site and each.into]
        moved = world.mirror[site].get(original)
        if moved is None or moved.data != new.data:
            yield f"S10: {place} came into the quarantine, and is not what lay at {original}"
        elif not any(each.into + orphan.path == path for each in asked for orphan in each.orphans):
            yield f"S3: {place} came into the quarantine, and nobody asked for it"
    elif old is not None and is_restored:
        if not is_whole_at(world, site, old, original):
            yield f"S10: {place} was to come back, and does not lie whole at {original}"
    elif old is not None:
        asked = [each for each in span.before.deletion_requests() if each.site == site and not each.into]
        versions = {orphan.version for each in asked for orphan in each.orphans if orphan.path == path}
        if old.version not in versions:
            yield f"S3: {place} was removed, and nobody asked for that file to go"
        lfn = world.lfn(site, original)
        record = span.before.lookup([lfn])[0] if lfn else None
        if record is not None:
            yield from others.judge(site, lfn, record)


@dataclass
class PurgedChecker:
    """S10: nothing leaves the quarantine for good before its days are over."""

    since_us: dict[tuple[str, str], int] = field(default_factory=dict)
    """By site and path, since when a file lies in quarantine."""

    def check(self, world: World, deeds: Deeds) -> Iterator[str]:
        """What has come and gone in this deed."""
        now_us = world.clock.now_us
        lying = {(site, path) for site in SITES for path in world.files(site) if quarantine.is_quarantined(path)}
        for site, path in sorted(self.since_us.keys() - lying):
            lain_s = (now_us - self.since_us.pop((site, path))) // 1_000_000
            least_s = world.settings[site].quarantine_days * DAY_S - CLOCK_DOUBT_S
            if (site, path) in deeds.restored:
                continue
            world.counts["files purged"] += 1
            if lain_s < least_s:
                yield f"S10: {site}:{path} went for good after {lain_s} s"
        for place in sorted(lying - self.since_us.keys()):
            self.since_us[place] = now_us
