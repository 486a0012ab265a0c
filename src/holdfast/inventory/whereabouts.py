"""Where files are: from LFNs to PFNs, one or a hundred thousand, and the files of a dataset.

Works on any snapshot. Blocks and their replicas are asked for once each, and
where a site's rules only exchange a prefix they are applied once to each
directory.

Rules
  * A place is a site that holds the file, as far as the inventory knows; its
    PFN is that of the site's first door, None if the door's rules have none.
  * Answers are in the order asked; None for an LFN that is not registered.
  * A file of a dataset that is still being published is found, and marked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from holdfast.inventory.store import Snapshot
from holdfast.model import names, pfn
from holdfast.model.names import LFN_BYTES_MAX, DatasetKey
from holdfast.model.records import Block, BlockReplica, Door, FileColumns, FileRecord


@dataclass(frozen=True, slots=True)
class Place:
    """One file at one site."""

    site: str
    pfn: str | None
    block_is_complete: bool
    verified_us: int | None


@dataclass(frozen=True, slots=True)
class Located:
    """A file and where it is, by site."""

    file: FileRecord
    places: tuple[Place, ...]
    is_visible: bool
    """False while its dataset is being published."""


def locate(snapshot: Snapshot, lfns: Sequence[str], *, sites: Collection[str] | None = None) -> list[Located | None]:
    """Each LFN's file and where it is, at ``sites`` if they are given; InvalidName for what is no LFN, UnknownName."""
    wanted = snapshot.sites() if sites is None else [snapshot.site(name) for name in sorted(set(sites))]
    doors = {site.name: mapper(site.doors[0]) for site in wanted}
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
    file: FileRecord, replicas: Sequence[BlockReplica], doors: dict[str, Callable[[str, str], str | None]]
) -> tuple[Place, ...]:
    dir, name = names.split(file.lfn)
    return tuple(
        Place(replica.site, doors[replica.site](dir, name), replica.held is None, replica.verified_us)
        for replica in replicas
        if replica.holds(file.ordinal)
    )


def mapper(door: Door) -> Callable[[str, str], str | None]:
    """The PFN through a door of a directory and name of an LFN, the same as ``door.pfn`` of the whole."""
    if not pfn.is_one_to_one(door.rules):
        return lambda dir, name: door.pfn(names.join(dir, name))
    bases: dict[str, tuple[str, int] | None] = {}

    def mapped(dir: str, name: str) -> str | None:
        if dir not in bases:
            bases[dir] = _base(door, dir)
        base = bases[dir]
        if base is None:
            return None
        if base[1] + 4 * len(name) > LFN_BYTES_MAX:  # Perhaps too long for a path; whole, it is told.
            return door.pfn(names.join(dir, name))
        return base[0] + name

    return mapped


def _base(door: Door, dir: str) -> tuple[str, int] | None:
    """What comes before a name in this directory, and how many bytes of it are the path; None: there is no PFN."""
    sample = names.join(dir, "x")
    path = pfn.path_of(door.rules, sample)
    whole = door.pfn(sample)
    return None if path is None or whole is None else (whole[:-1], len(path[:-1].encode()))


def list_dataset(snapshot: Snapshot, dataset: DatasetKey) -> Iterator[tuple[Block, FileColumns]]:
    """The blocks of a dataset with their files, block after block; UnknownName."""
    for block in snapshot.blocks(dataset):
        yield block, snapshot.files(block.key)
