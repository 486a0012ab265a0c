"""Judge differences: which are real, now that the listing is over.

Pure: a piece of differences, the hidden places and a snapshot taken after the
listing in, findings out.

Rules
  * What lies in a place that was not listed is not judged.
  * Missing or wrong only if the inventory still says that the file is there.
  * Orphan only if the inventory neither has nor awaits it there and nobody is
    publishing it; a young file or one of our own temporary parts is ignored.
  * A locked orphan, or one that may be somebody's last copy, is an orphan
    still; that it must stay is a matter of deletion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from holdfast.consistency.findings import WRONG, Class, Finding
from holdfast.consistency.unlisted import Unlisted
from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model import names
from holdfast.model.errors import UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, Site
from holdfast.storage import parts

SECOND_NS = 1_000_000_000


class Judge:
    """Judges pieces of differences against one snapshot; remembers the replicas it has looked up."""

    def __init__(self, view: Snapshot, site: Site, unlisted: Unlisted, *, now_us: int, ignore_age_s: int) -> None:
        self._view = view
        self._site = site
        self._unlisted = unlisted
        self._now_us = now_us
        self._youngest_ns = now_us * 1000 - ignore_age_s * SECOND_NS
        self._replicas: dict[BlockKey, BlockReplica | None] = {}

    def judge(self, piece: Sequence[Finding]) -> Iterator[Finding]:
        """The findings that are left of a piece of differences, in order of class and path."""
        yield from self._judge_expected([each for each in piece if each.cls in WRONG])
        yield from self._judge_orphans([each for each in piece if each.cls is Class.ORPHAN])
        yield from (each for each in piece if each.cls in (Class.UNLISTED, Class.IGNORED))

    def _judge_expected(self, piece: Sequence[Finding]) -> Iterator[Finding]:
        for finding in piece:
            hidden = self._unlisted.hiding(finding.path) if finding.cls is Class.MISSING else None
            if hidden is not None:
                self._unlisted.hide(hidden)
            elif self._is_held(finding):
                yield finding
            else:
                yield replace(finding, cls=Class.IGNORED, reason="no longer expected: it went while we listed")

    def _is_held(self, finding: Finding) -> bool:
        if finding.block is None:
            return False
        if finding.block not in self._replicas:
            self._replicas[finding.block] = self._replica(finding.block)
        replica = self._replicas[finding.block]
        return replica is not None and (replica.held is None or finding.ordinal in replica.held)

    def _replica(self, block: BlockKey) -> BlockReplica | None:
        try:
            found = self._view.replicas(block=block, site=self._site.name)
        except UnknownName:
            return None  # The dataset went while we listed.
        return found[0] if found else None

    def _judge_orphans(self, piece: Sequence[Finding]) -> Iterator[Finding]:
        paths = [finding.path for finding in piece]
        obstacles = {each.path: each for each in deletion.obstacles(self._view, self._site, paths, now_us=self._now_us)}
        for finding in piece:
            obstacle = obstacles.get(finding.path)
            if obstacle is not None and obstacle.ground is deletion.Ground.WANTED:
                yield replace(finding, cls=Class.IGNORED, reason=obstacle.reason)
            elif parts.is_part_name(names.split(finding.path)[1]):
                yield replace(finding, cls=Class.IGNORED, reason="a temporary part of a copy")
            elif finding.mtime_ns is None or finding.mtime_ns > self._youngest_ns:
                yield replace(finding, cls=Class.IGNORED, reason="too young to be judged")
            else:
                yield replace(finding, reason=f"must stay: {obstacle.reason}") if obstacle else finding
