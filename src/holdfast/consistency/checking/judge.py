"""Judge differences: which are real, now that the listing is over.

Pure: a piece of differences, the hidden places and a snapshot taken after the
listing in, findings out.

Rules
  * What is ignored by the configuration is (``ignored.py``).
  * What lies in a place that was not listed is not judged, nor is what the
    listing shows under a name that it contradicts itself about.
  * Missing or wrong only if the inventory still says that the file is there,
    and has not been told anything of that block at the site since the listing
    began: it may have gone and come back meanwhile. Nor if it is to be deleted:
    then its bytes may be gone before the inventory is told.
  * Wrong only if it was not written lately, by its mtime: somebody may be at it.
  * Orphan only if the inventory neither has nor awaits it there and nobody is
    publishing it. A young file is ignored, temporary part or not; young is by
    the later of its mtime and its last change, which moving it in is, and by
    as much later as the storage's times may be wrong.
  * A locked orphan, one that may be somebody's last copy, or a copy that nobody
    has registered (``unregistered.py``), is an orphan still; that it must stay is
    a matter of deletion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from holdfast.consistency.checking import doomed
from holdfast.consistency.checking.awaited import Asked
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.checking.unregistered import unregistered
from holdfast.consistency.classes import TRAITS, WRONG, Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.unlisted import Unlisted
from holdfast.inventory import deletion
from holdfast.inventory.store import Head, Snapshot
from holdfast.model import names
from holdfast.model.errors import UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, Site
from holdfast.storage import parts

SECOND_NS = 1_000_000_000
YOUNG = "too young to be judged"


class Judge:
    """Judges pieces of differences against one snapshot; remembers the replicas it has looked up.

    ``before`` is where the inventory stood before the listing began.
    """

    def __init__(
        self,
        view: Snapshot,
        site: Site,
        unlisted: Unlisted,
        asked: Asked,
        *,
        ignored: Ignored,
        before: Head,
        now_us: int,
        ignore_age_s: int,
        resolution_ns: int = 1,
    ) -> None:
        self._view = view
        self._asked = asked
        self._ignored = ignored
        self._before = before
        self._touched = view.changed_since(before.position)[0]
        self._site = site
        self._unlisted = unlisted
        self._now_us = now_us
        # A time may be as much later as is cut off when it is told; no age at all needs no care.
        self._youngest_ns = now_us * 1000 - (ignore_age_s * SECOND_NS + resolution_ns - 1 if ignore_age_s else 0)
        self._replicas: dict[BlockKey, BlockReplica | None] = {}
        self._doomed = doomed.Doomed(view, site.name)

    def judge(self, piece: Sequence[Finding]) -> Iterator[Finding]:
        """The findings that are left of a piece of differences, in order of class and path."""
        yield from self._judge_expected([each for each in piece if each.cls in WRONG])
        yield from self._judge_orphans([each for each in piece if each.cls is Class.ORPHAN])
        yield from (each for each in piece if each.cls in (Class.UNLISTED, Class.IGNORED))

    def _judge_expected(self, piece: Sequence[Finding]) -> Iterator[Finding]:
        for finding in piece:
            hidden = self._unlisted.hiding(finding.path, seen=TRAITS[finding.cls].is_there)
            if hidden is not None:
                self._unlisted.hide(hidden)
            else:
                reason = self._ignored.reason(finding) or self._changed(finding)
                reason = reason or self._written_lately(finding)
                yield replace(finding, cls=Class.IGNORED, reason=reason) if reason else finding

    def _written_lately(self, finding: Finding) -> str:
        """Why a wrong file may be somebody's who is writing it; "" if not. A time far ahead of ours tells nothing.

        By its mtime alone: where a storage keeps checksums beside the file, our asking for one is the last change.
        """
        written_ns, ahead_ns = finding.mtime_ns, 2 * self._now_us * 1000 - self._youngest_ns
        is_young = written_ns is not None and self._youngest_ns < written_ns <= ahead_ns
        return f"{YOUNG}: it was written lately" if is_young else ""

    def _changed(self, finding: Finding) -> str:
        """What happens to an expected file, or happened while we listed; "" if nothing."""
        gone = "no longer expected: it went while we listed"
        if finding.block is None:
            return gone
        if finding.block not in self._replicas:
            self._replicas[finding.block] = self._replica(finding.block)
        replica = self._replicas[finding.block]
        if replica is None or not replica.holds(finding.ordinal):
            return gone
        if self._doomed.has(finding.block, finding.ordinal):
            return doomed.REASON
        # Two entries may have one time, so the positions are asked, too.
        if replica.updated_us >= self._before.at_us and replica.block.dataset in self._touched:
            return "it may have come back: files of its block came or went while we listed"
        return ""

    def _replica(self, block: BlockKey) -> BlockReplica | None:
        try:
            found = self._view.replicas(block=block, site=self._site.name)
        except UnknownName:
            return None  # The dataset went while we listed.
        return found[0] if found else None

    def _judge_orphans(self, piece: Sequence[Finding]) -> Iterator[Finding]:
        piece = [finding for finding in piece if self._unlisted.hiding(finding.path, seen=True) is None]
        paths = [finding.path for finding in piece]
        obstacles = {each.path: each for each in deletion.obstacles(self._view, self._site, paths, now_us=self._now_us)}
        wanted = {path for path, each in obstacles.items() if each.ground is deletion.Ground.WANTED}
        reasons = {path: each.reason for path, each in obstacles.items()}
        stray = unregistered(self._view, self._site, self._asked, sorted(wanted))
        reasons |= stray
        wanted -= stray.keys()
        for finding in piece:
            reason = reasons.get(finding.path, "")
            ignored = self._ignored.reason(finding)
            if ignored:
                yield replace(finding, cls=Class.IGNORED, reason=ignored)
            elif finding.path in wanted:
                yield replace(finding, cls=Class.IGNORED, reason=reason)
            elif finding.since_ns is None or finding.since_ns > self._youngest_ns:
                is_part = parts.is_part_name(names.split(finding.path)[1])
                young = "a temporary part of a copy" if is_part else YOUNG
                yield replace(finding, cls=Class.IGNORED, reason=young)
            else:
                yield replace(finding, reason=f"must stay: {reason}") if reason else finding
