"""Doomed: what an open deletion takes from a site, and no check should miss or bring back.

Its bytes may be gone before the inventory is told.

Pure: a snapshot in, answers out; remembers what it has looked up.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey

REASON = "it is to be deleted there"


class Doomed:
    """What the open deletions of replicas at a site name."""

    def __init__(self, view: Snapshot, site: str) -> None:
        self._view = view
        self._site = site
        requests = view.deletion_requests(site=site)
        self._blocks = {BlockKey(each.dataset, part.block) for each in requests if each.dataset for part in each.scope}
        self._files: dict[DatasetKey, Mapping[tuple[str, str], FileSet]] = {}

    def files(self, block: BlockKey) -> FileSet:
        """The files of a block that are to go."""
        if block not in self._blocks:
            return FileSet()
        if block.dataset not in self._files:
            self._files[block.dataset] = deletion.condemned(self._view, block.dataset)
        return self._files[block.dataset].get((block.block, self._site), FileSet())

    def has(self, block: BlockKey, ordinal: int) -> bool:
        """Whether a file is to go."""
        return ordinal in self.files(block)
