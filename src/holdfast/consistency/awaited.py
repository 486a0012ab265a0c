"""Awaited: the files that the inventory wants at a site and does not count as there.

A replica of a visible dataset that is partial lacks files: a copy is on its
way, has failed, was cancelled, or nobody has asked for one. A site that lacks
them does not agree, whoever is at work on it.

Pure: a snapshot in, findings out, in order of block and ordinal.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.consistency.findings import Class, Finding
from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.names import BlockKey
from holdfast.model.records import Site

UNASKED = "asked for by nobody"


class Asked:
    """What the open copy requests at a site name."""

    def __init__(self, view: Snapshot, site: str) -> None:
        self._ordinals: dict[BlockKey, dict[str, frozenset[int] | None]] = {}
        for request in view.copy_requests():
            if request.site == site:
                for part in request.scope:
                    wanted = None if part.ordinals is None else frozenset(part.ordinals)
                    self._ordinals.setdefault(BlockKey(request.dataset, part.block), {})[request.id] = wanted

    def by(self, block: BlockKey, ordinal: int) -> str:
        """The id of a request that names the file; "" if there is none."""
        for id, wanted in self._ordinals.get(block, {}).items():
            if wanted is None or ordinal in wanted:
                return id
        return ""


def awaited(view: Snapshot, site: Site) -> Iterator[Finding]:
    """A finding for each awaited file; those that the site's rules have no path for are unlisted."""
    visible = {dataset.key for dataset in view.datasets()}
    asked = Asked(view, site.name)
    for replica in view.replicas(site=site.name):
        if replica.block.dataset not in visible or replica.is_complete:
            continue
        files = view.files(replica.block)
        for ordinal, lfn in enumerate(files.lfns()):
            if replica.holds(ordinal):
                continue
            path, id = pfn.path_of(site.doors[0].rules, lfn), asked.by(replica.block, ordinal)
            if path is None:
                yield Finding(Class.UNLISTED, lfn, "the site's rules have no path for it", lfn=lfn)
                continue
            reason = f"request {id} is to bring it" if id else UNASKED
            size = files.sizes[ordinal]
            yield Finding(Class.AWAITED, path, reason, lfn, replica.block, ordinal, expected_size=size)
