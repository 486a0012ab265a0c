"""Good copies: which copies of a file count, for whoever lets one go or hopes for another.

Rules
  * A copy counts if it is there to stay: a READY site holds it, and no open
    deletion asks for it there (``condemned``).
  * Of each file so many are required as its dataset says, one at least.
  * Whoever asks for a site leaves that one out: ``besides``.

Pure: a snapshot in, sets of files out. Blocks, replicas and sites are asked for
once, what is condemned once for each dataset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from holdfast.inventory.condemned import condemned
from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockReplica


class GoodCopies:
    """The copies of the files of some blocks; a block that is not known is left out. KeyError for any other."""

    def __init__(self, view: Snapshot, keys: Collection[BlockKey]) -> None:
        self.blocks = view.find_blocks(keys)
        self.replicas: Mapping[BlockKey, Sequence[BlockReplica]] = view.find_replicas_of_blocks(keys)
        self.ready = {site.name: site for site in view.sites() if site.is_ready}
        """The sites whose copies count, by name."""
        self._datasets = view.find_datasets({key.dataset for key in self.blocks})
        names: dict[DatasetKey, set[str]] = {}
        for key in self.blocks:
            names.setdefault(key.dataset, set()).add(key.block)
        self._condemned = {dataset: condemned(view, dataset, blocks=blocks) for dataset, blocks in names.items()}
        self._staying: dict[BlockKey, dict[str, FileSet]] = {}

    def held(self, key: BlockKey, site: str) -> FileSet:
        """The files of a block that a site holds, to stay or not."""
        n_files = self.blocks[key].n_files
        return next((each.files(n_files) for each in self.replicas[key] if each.site == site), FileSet())

    def condemned(self, key: BlockKey, site: str) -> FileSet:
        """The files of a block that are to go from a site, held there or not."""
        return self._condemned[key.dataset].get((key.block, site), FileSet())

    def staying(self, key: BlockKey, *, besides: str) -> dict[str, FileSet]:
        """By site, in the order of names, the files of a block that are there to stay, one site left out."""
        if key not in self._staying:
            n_files = self.blocks[key].n_files
            self._staying[key] = {
                each.site: each.files(n_files) - self.condemned(key, each.site)
                for each in self.replicas[key]
                if each.site in self.ready
            }
        return {site: files for site, files in self._staying[key].items() if site != besides}

    def required(self, key: BlockKey) -> int:
        """So many copies of each file of a block there have to be."""
        return max(1, self._datasets[key.dataset].required_copies)


def held_by(n_least: int, holders: Collection[FileSet]) -> FileSet:
    """The files that at least so many of the holders have."""
    if n_least > len(holders):  # A dataset may require any number.
        return FileSet()
    often = [FileSet()] * n_least
    """At place i: what more than i of those seen so far have."""
    for held in holders:
        for place in range(n_least - 1, 0, -1):
            often[place] = often[place] | (often[place - 1] & held)
        often[0] = often[0] | held
    return often[-1]
