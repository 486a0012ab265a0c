"""Moved files, judged: what is asked to go is no file that the site lacks, under another name.

Rules
  * Sizes are all that Holdfast can tell of a file that it does not know; here the bytes are known. Of the same bytes is
    of the same size: what is called a violation here is one by the coarser rule, too.
  * A site lacks what the check by which is acted, or the last one, calls so or could not see, and what a replica of it
    has not got and nobody else has to keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.consistency.classes import MAY_BE_LACKING, UNSEEN
from holdfast.inventory.store import Snapshot
from holdfast.model import names
from holdfast.model.records import DeletionRequest, SiteStatus
from holdfast.storage import parts
from holdfast.testing.simulation.checking import Checked
from holdfast.testing.simulation.span import Places, doomed_files
from holdfast.testing.simulation.world import SITES, World


def judge_moved(world: World, before: Snapshot, request: DeletionRequest, checked: Checked | None) -> Iterator[str]:
    """S3: no orphan of a request that checks or cleanings have made is a moved copy of what is lacking."""
    site, by_data = request.site, dict[bytes, list[str]]()
    for lfn, data in world.content.items():
        by_data.setdefault(data, []).append(lfn)
    lacking = _Lacking(world, before, site, checked, doomed_files(before))
    for orphan in request.orphans:
        node = world.mirror[site].get(orphan.path)
        for lfn in by_data.get(node.data, ()) if node is not None and node.data else ():
            why = lacking.why(lfn, is_part=parts.is_part_name(names.split(orphan.path)[1]))
            if why:
                yield f"S3: {site}:{orphan.path} was asked to go, and is a moved copy of {lfn}, {why}"


@dataclass(frozen=True)
class _Lacking:
    """What a site lacks by a check and by the inventory."""

    world: World
    before: Snapshot
    site: str
    checked: Checked | None
    doomed: Places

    def why(self, lfn: str, *, is_part: bool) -> str:
        """Why a file is lacking so that what may be a copy of it stays; "" if it is not."""
        record, is_kept = self.before.lookup([lfn])[0], self._is_kept(lfn)
        if record is None or (is_part and is_kept):
            return ""
        replicas = self.before.replicas(block=record.block, site=self.site)
        is_held = any(replica.holds(record.ordinal) for replica in replicas)
        path = self.world.path(self.site, lfn)
        for finding in self.checked.findings if self.checked is not None else ():
            if finding.cls in MAY_BE_LACKING and finding.block is not None and finding.lfn == lfn:
                return f"which the check calls {finding.cls.value}"
            is_above = finding.cls in UNSEEN and finding.n_files and f"{path}/".startswith(f"{finding.path}/")
            if is_above and is_held:
                return f"which the check could not see in {finding.path}"
        return "which the site has not got, nor anybody else to keep" if replicas and not (is_held or is_kept) else ""

    def _is_kept(self, lfn: str) -> bool:
        return any(
            (other, lfn) not in self.doomed
            and self.world.sites[other].status is SiteStatus.READY
            and lfn in self.world.held(self.before, other)
            for other in SITES
            if other != self.site
        )
