"""Holders: which sites hold files of a block that may be taken from there.

Pure: a snapshot in, sets of files out. A turn looks at few of the blocks that
wait, or at all of them: they are read when they are asked for, and then with
their neighbours, BLOCKS at a time.

Rules
  * Usable is what a READY site holds and no open deletion asks for; by a copy
    that was asked for no later than the deletion, that, too.
  * What no site holds to stay serves every copy, whenever it was asked for: as
    a last copy it cannot go anyway, and the deletion waits for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import or_

from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockReplica, SiteStatus
from holdfast.operations.batch import QueuedRequest

BLOCKS = 100
"""So many blocks are read at a time."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held of one block."""

    usable: Mapping[str, FileSet] = field(default_factory=dict)
    """Files by site, in the order of the sites' names; no site without any."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The bytes of these, for sites that hold a part of the block, where the inventory tells."""
    unusable: tuple[str, ...] = ()
    """Why other sites do not count, for people: "bern (morgue)"."""
    leaving: Mapping[str, tuple[tuple[int, FileSet], ...]] = field(default_factory=dict)
    """What is held by READY sites and is to go from there: since when each part is asked to."""

    def usable_for(self, copy: QueuedRequest) -> Mapping[str, FileSet]:
        """``usable`` for one copy: with what is to go, if that was asked for later or nobody else has it."""
        if not self.leaving:
            return self.usable
        usable = dict(self.usable)
        staying = reduce(or_, self.usable.values(), FileSet())
        for site, parts in self.leaving.items():
            going = [files for asked_us, files in parts if asked_us < copy.created_us]
            leaving = reduce(or_, (files for _, files in parts))
            files = leaving - (reduce(or_, going, FileSet()) & staying)
            if files:
                usable[site] = usable.get(site, FileSet()) | files
        return dict(sorted(usable.items()))


Holders = Callable[[BlockKey], Holding]
"""What is held of a block; nothing of one that is not known."""

NOTHING = Holding()


def read_holders(snapshot: Snapshot, blocks: Collection[BlockKey]) -> Holders:
    """Who holds these blocks. Reads from the snapshot when asked, so that must still be open then."""
    return _Reader(snapshot, blocks).held


class _Reader:
    """Blocks that may be asked for, in the order given, and what was read of them."""

    def __init__(self, snapshot: Snapshot, blocks: Collection[BlockKey]) -> None:
        self._snapshot = snapshot
        self._status = {site.name: site.status for site in snapshot.sites()}
        self._blocks = list(dict.fromkeys(blocks))
        self._places = {block: place for place, block in enumerate(self._blocks)}
        self._read: dict[BlockKey, Holding] = {}
        self._condemned: dict[DatasetKey, Mapping[tuple[str, str], list[tuple[int, FileSet]]]] = {}

    def held(self, block: BlockKey) -> Holding:
        """What is held of one block."""
        found = self._read.get(block)
        if found is None:
            place = self._places.get(block)
            if place is None:
                return NOTHING
            start = place // BLOCKS * BLOCKS
            self._take(self._blocks[start : start + BLOCKS])
            found = self._read[block]
        return found

    def _take(self, keys: list[BlockKey]) -> None:
        blocks = self._snapshot.find_blocks(keys)
        replicas = self._snapshot.find_replicas_of_blocks(keys)
        for dataset in dict.fromkeys(key.dataset for key in keys):
            if dataset not in self._condemned:
                self._condemned[dataset] = deletion.condemned_since(self._snapshot, dataset)
        for key in keys:
            there = replicas.get(key)
            self._read[key] = self._holding(there, blocks[key].n_files) if there else NOTHING

    def _holding(self, replicas: list[BlockReplica], n_files: int) -> Holding:
        condemned = self._condemned[replicas[0].block.dataset]
        usable: dict[str, FileSet] = {}
        sizes: dict[str, int] = {}
        unusable: list[str] = []
        leaving: dict[str, tuple[tuple[int, FileSet], ...]] = {}
        for replica in replicas:
            files = _full(n_files) if replica.held is None else replica.held
            going = condemned.get((replica.block.block, replica.site)) if condemned else None
            left = files if going is None else files - reduce(or_, (part for _, part in going))
            status = self._status.get(replica.site, SiteStatus.UNKNOWN)
            if left and status is SiteStatus.READY:
                usable[replica.site] = left
                if replica.held is not None and left == files:
                    sizes[replica.site] = replica.size
            elif files:
                unusable.append(f"{replica.site} ({'to be deleted' if not left else status})")
            if going is not None and left != files and status is SiteStatus.READY:
                leaving[replica.site] = tuple((asked_us, part & files) for asked_us, part in going)
        return Holding(usable, sizes, tuple(unusable), leaving)


@lru_cache(maxsize=1024)
def _full(n_files: int) -> FileSet:
    """All files of a block: one object for all replicas of all blocks of that length."""
    return FileSet.full(n_files)
