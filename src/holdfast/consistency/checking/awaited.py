"""Awaited: the files that open copies are to bring to a site and that are not counted as there.

A replica may lack files on purpose: nobody has asked for them, or they were
deleted there.

Rules
  * A file is awaited exactly if an open copy request asks for it at the site,
    the replica does not hold it, and no open deletion takes it from there.
  * What nobody asks for is expected by nobody: neither missing nor awaited.
  * What is ignored by the configuration is so here, too: nobody is told of it, and no repair tries it again.
  * If several requests ask for a file, one that moves is named before one that is held.

Pure: a snapshot and what is held in, findings out, in order of block and ordinal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from holdfast.consistency.checking.doomed import Doomed
from holdfast.consistency.checking.held import HeldCopies
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Site


class Asked:
    """What the open copy requests at a site name."""

    def __init__(self, view: Snapshot, site: str) -> None:
        self.requests = view.copy_requests(site=site)
        keys = {BlockKey(each.dataset, part.block): None for each in self.requests for part in each.scope}
        self.blocks = view.find_blocks(keys)
        self._files: dict[BlockKey, dict[str, FileSet]] = {}
        for request in self.requests:
            for part in request.scope:
                key = BlockKey(request.dataset, part.block)
                files = self._files.setdefault(key, {})
                files[request.id] = files.get(request.id, FileSet()) | part.files(self.blocks[key].n_files)

    def files(self, block: BlockKey) -> FileSet:
        """All files of a block that are asked for."""
        together = FileSet()
        for files in self._files.get(block, {}).values():
            together = together | files
        return together

    def by(self, block: BlockKey, ordinal: int) -> list[str]:
        """The ids of the requests that name a file, the oldest first."""
        return [id for id, files in self._files.get(block, {}).items() if ordinal in files]


class Awaited:
    """The awaited files of a site. ``n_held`` counts, while they are found, those that are held, by request."""

    def __init__(self, view: Snapshot, site: Site, asked: Asked, held: HeldCopies, ignored: Ignored) -> None:
        self._view, self._site, self._ignored = view, site, ignored
        self._asked, self._held = asked, held
        self.n_held: Counter[str] = Counter()

    def findings(self) -> Iterator[Finding]:
        """A finding for each awaited file; those that the site's rules have no path for are unlisted."""
        doomed = Doomed(self._view, self._site.name)
        there = self._view.find_replicas(self._asked.blocks, self._site.name)
        for key, block in sorted(self._asked.blocks.items()):
            here = there[key].files(block.n_files) if key in there else FileSet()
            lacking = self._asked.files(key) - here - doomed.files(key)
            if lacking:
                yield from self._of(key, lacking)

    def _of(self, key: BlockKey, lacking: FileSet) -> Iterator[Finding]:
        files = self._view.files(key)
        for ordinal in lacking:
            lfn = files.lfn(ordinal)
            path = pfn.path_of(self._site.first_door.rules, lfn)
            if path is None:
                yield Finding(Class.UNLISTED, lfn, "the site's rules have no path for it", lfn=lfn)
                continue
            id, why = self._brought_by(key, ordinal)
            reason = f"request {id} is to bring it" + (f"; held: {why}" if why else "")
            finding = Finding(Class.AWAITED, path, reason, lfn, key, ordinal, expected_size=files.sizes[ordinal])
            left = self._ignored.reason(finding)
            if why and not left:
                self.n_held[id] += 1
            yield replace(finding, cls=Class.IGNORED, reason=left) if left else finding

    def _brought_by(self, key: BlockKey, ordinal: int) -> tuple[str, str]:
        """The request that brings a file, and why it is held; "" if it is not."""
        found = [(id, self._held.reason(id, key.block, ordinal)) for id in self._asked.by(key, ordinal)]
        return next((each for each in found if not each[1]), found[0])
