"""Where files are: from LFNs to PFNs, one or a hundred thousand, and the files of a dataset.

Works on any snapshot. Blocks and their replicas are asked for once each, and a
site's rules are applied once to each directory, where that is surely right.

Rules
  * A place is a site that holds the file, as far as the inventory knows; its
    PFN is that of the site's first door, None if the door's rules have none,
    or make of the LFN what is no path.
  * Answers are in the order asked; None for an LFN that is not registered.
  * A file of a dataset that is still being published is found, and marked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.inventory.store import Snapshot
from holdfast.model.names import DatasetKey
from holdfast.model.pfn_by_directory import ByDirectory
from holdfast.model.records import Block, BlockReplica, FileColumns, FileRecord


@dataclass(frozen=True, slots=True)
class FileAtSite:
    """One file at one site."""

    site: str
    pfn: str | None
    block_is_complete: bool
    verified_us: int | None


@dataclass(frozen=True, slots=True)
class Located:
    """A file and where it is, by site."""

    file: FileRecord
    places: tuple[FileAtSite, ...]
    is_visible: bool
    """False while its dataset is being published."""


def locate(snapshot: Snapshot, lfns: Sequence[str], *, sites: Collection[str] | None = None) -> list[Located | None]:
    """Each LFN's file and where it is, at ``sites`` if they are given; InvalidName for what is no LFN, UnknownName."""
    wanted = snapshot.sites() if sites is None else [snapshot.site(name) for name in sorted(set(sites))]
    doors = {site.name: ByDirectory(site.first_door.root, site.first_door.rules) for site in wanted}
    files = snapshot.lookup(lfns)
    blocks = tuple({file.block: None for file in files if file is not None})
    datasets = snapshot.find_datasets({key.dataset for key in blocks})
    holders = {
        key: [replica for replica in replicas if replica.site in doors]
        for key, replicas in snapshot.find_replicas_of_blocks(blocks).items()
    }
    return [
        None
        if file is None
        else Located(file, _places(file, holders[file.block], doors), datasets[file.block.dataset].is_visible)
        for file in files
    ]


def _places(
    file: FileRecord, replicas: Sequence[BlockReplica], doors: Mapping[str, ByDirectory]
) -> tuple[FileAtSite, ...]:
    cut = file.lfn.rindex("/") + 1
    directory, name = file.lfn[:cut], file.lfn[cut:]
    return tuple(
        FileAtSite(replica.site, doors[replica.site].pfn(directory, name), replica.held is None, replica.verified_us)
        for replica in replicas
        if replica.holds(file.ordinal)
    )


def list_dataset(snapshot: Snapshot, dataset: DatasetKey) -> Iterator[tuple[Block, FileColumns]]:
    """The blocks of a dataset with their files, block after block; UnknownName."""
    for block in snapshot.blocks(dataset):
        yield block, snapshot.files(block.key)
