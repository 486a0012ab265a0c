"""The yardstick of the image: the same inventory as plain Python objects (``__slots__``) and dictionaries.

Written as one would who needs it in memory and fast, in Python alone: objects
that point at each other, one dictionary from LFN to file, plain loops.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench import inventory_data
from bench.inventory_data import InventoryData


class PlainSite:
    """A site: its name and the beginning of its PFNs, exchanged for the beginning of LFNs."""

    __slots__ = ("lfn_prefix", "name", "pfn_prefix")

    def __init__(self, name: str, lfn_prefix: str, pfn_prefix: str) -> None:
        self.name = name
        self.lfn_prefix = lfn_prefix
        self.pfn_prefix = pfn_prefix

    def pfn(self, lfn: str) -> str:
        """Where ``lfn`` is at this site."""
        return self.pfn_prefix + lfn.removeprefix(self.lfn_prefix)


class PlainGroup:
    """An owner of replicas."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class PlainBlock:
    """A block; its files point at it, it points at its replicas."""

    __slots__ = ("dataset", "n_files", "name", "replicas", "size")

    def __init__(self, dataset: str, name: str, n_files: int, size: int) -> None:
        self.dataset = dataset
        self.name = name
        self.n_files = n_files
        self.size = size
        self.replicas: list[PlainReplica] = []


class PlainReplica:
    """A block at a site, owned by a group."""

    __slots__ = ("block", "group", "is_custodial", "n_files", "site", "size", "updated_us", "verified_us")

    def __init__(self, block: PlainBlock, site: PlainSite, group: PlainGroup) -> None:
        self.block = block
        self.site = site
        self.group = group
        self.is_custodial = False
        self.n_files = block.n_files
        self.size = block.size
        self.verified_us: int | None = None
        self.updated_us = 0


class PlainFile:
    """A file of a block."""

    __slots__ = ("adler32", "block", "lfn", "ordinal", "size")

    def __init__(self, lfn: str, block: PlainBlock, ordinal: int, size: int, adler32: int) -> None:
        self.lfn = lfn
        self.block = block
        self.ordinal = ordinal
        self.size = size
        self.adler32 = adler32


class PlainInventory:
    """All of it: objects in lists and dictionaries."""

    __slots__ = ("blocks", "files", "groups", "replicas", "sites")

    def __init__(self) -> None:
        self.sites: list[PlainSite] = []
        self.groups: list[PlainGroup] = []
        self.blocks: list[PlainBlock] = []
        self.replicas: list[PlainReplica] = []
        self.files: dict[str, PlainFile] = {}

    def size_by_site_and_group(self) -> dict[tuple[str, str], int]:
        """The bytes of all block replicas by the names of site and group."""
        sums: defaultdict[tuple[PlainSite, PlainGroup], int] = defaultdict(int)
        for replica in self.replicas:
            sums[replica.site, replica.group] += replica.size
        return {(site.name, group.name): size for (site, group), size in sums.items()}

    def locate(self, lfns: Sequence[str]) -> list[tuple[PlainFile, list[str]] | None]:
        """Each file with its PFNs; None if it is not there."""
        found: list[tuple[PlainFile, list[str]] | None] = []
        for lfn in lfns:
            file = self.files.get(lfn)
            if file is None:
                found.append(None)
            else:
                found.append((file, [replica.site.pfn(lfn) for replica in file.block.replicas]))
        return found

    def find(self, lfns: Sequence[str]) -> list[tuple[PlainBlock, int] | None]:
        """Each file's block and ordinal; None if it is not there."""
        files = map(self.files.get, lfns)
        return [None if file is None else (file.block, file.ordinal) for file in files]


def build(data: InventoryData, *, n_blocks_with_files: int = 0) -> PlainInventory:
    """Objects of the same content as ``data``; files only of the first blocks, for they are many."""
    plain = PlainInventory()
    for number in range(inventory_data.SITES):
        root = f"davs://site{number:02d}.example.org:2880/pool{number:02d}/store"
        plain.sites.append(PlainSite(inventory_data.site_name(number), "/store", root))
    plain.groups = [PlainGroup(inventory_data.group_name(number)) for number in range(inventory_data.GROUPS)]
    n_files, sizes = data.block_n_files.tolist(), data.block_sizes.tolist()
    for number in range(data.n_blocks):
        key = data.block_key(number)
        block = PlainBlock(str(key.dataset), key.block, n_files[number], sizes[number])
        places = zip(data.replica_sites[number].tolist(), data.replica_groups[number].tolist(), strict=True)
        block.replicas = [PlainReplica(block, plain.sites[site], plain.groups[group]) for site, group in places]
        plain.blocks.append(block)
        plain.replicas += block.replicas
        if number < n_blocks_with_files:
            _add_files(plain, data, number, block)
    return plain


def _add_files(plain: PlainInventory, data: InventoryData, number: int, block: PlainBlock) -> None:
    rows = data.span(number)
    columns = zip(data.lfns(rows), data.sizes[rows].tolist(), data.adler32[rows].tolist(), strict=True)
    for ordinal, (lfn, size, adler32) in enumerate(columns):
        plain.files[lfn] = PlainFile(lfn, block, ordinal, size, adler32)
