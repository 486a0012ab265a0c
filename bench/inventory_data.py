"""A made-up inventory of any size: the same files, blocks and replicas for every bench and every run.

100 files a block and a directory, datasets of 5 blocks on average, 5 replicas
of each block over 50 sites, owned by 10 groups. LFNs have 141 bytes and end in a
UUID and ``.root``; every file has a size and an adler32. What a seed makes is
made again from the same seed; the columns are kept on disk, and mapped.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import Door, FileColumns, Site

BLOCK_FILES = 100
REPLICAS = 5
SITES = 50
GROUPS = 10
DATASET_BLOCKS_MAX = 9
"""Datasets have 1 to 9 blocks."""
LFN_BYTES = 141
NAME_BYTES = 41
SEED = 1

_DIRECTORY_BYTES = LFN_BYTES - 1 - NAME_BYTES
_COLUMNS = ("uuids", "sizes", "adler32", "datasets", "replica_sites", "replica_groups")
_HEX = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], dtype="<u1")
_DASHES = (8, 13, 18, 23)
_DIGITS = tuple(place for place in range(36) if place not in _DASHES)

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class BlockData:
    """One block with its files and where it is."""

    key: BlockKey
    files: FileColumns
    sites: tuple[str, ...]
    groups: tuple[str, ...]
    """The owner of the replica at each of the sites."""


@dataclass(frozen=True)
class InventoryData:
    """All of it as columns. Rows of files lie in the order of their blocks; a block's files are sorted by name."""

    uuids: Array
    """16 bytes a file."""
    sizes: Array
    adler32: Array
    datasets: Array
    """The number of each block's dataset, ascending."""
    replica_sites: Array
    """The numbers of each block's sites, ascending."""
    replica_groups: Array
    """The number of the group of each of these replicas."""

    @property
    def n_files(self) -> int:
        """How many files there are."""
        return len(self.sizes)

    @property
    def n_blocks(self) -> int:
        """How many blocks there are; only the last may have fewer than 100 files."""
        return len(self.datasets)

    @property
    def n_replicas(self) -> int:
        """How many block replicas there are."""
        return int(self.replica_sites.size)

    @cached_property
    def block_n_files(self) -> Array:
        """How many files each block has."""
        starts = np.arange(self.n_blocks) * BLOCK_FILES
        return np.minimum(self.n_files - starts, BLOCK_FILES)

    @cached_property
    def block_sizes(self) -> Array:
        """The bytes of each block."""
        return np.add.reduceat(self.sizes, np.arange(self.n_blocks) * BLOCK_FILES)

    def first_blocks(self, n_blocks: int) -> InventoryData:
        """The same with fewer blocks."""
        of_files = (column[: n_blocks * BLOCK_FILES] for column in (self.uuids, self.sizes, self.adler32))
        of_blocks = (column[:n_blocks] for column in (self.datasets, self.replica_sites, self.replica_groups))
        return InventoryData(*of_files, *of_blocks)

    def span(self, block: int) -> slice:
        """The rows of the files of a block."""
        return slice(block * BLOCK_FILES, min((block + 1) * BLOCK_FILES, self.n_files))

    def block_key(self, block: int) -> BlockKey:
        """The identity of a block, by number."""
        return BlockKey(dataset_key(int(self.datasets[block])), f"{block:08d}")

    def names(self, rows: slice) -> list[str]:
        """The last components of the LFNs of some files."""
        text = self.name_bytes(rows).tobytes().decode("ascii")
        return [text[start : start + NAME_BYTES] for start in range(0, len(text), NAME_BYTES)]

    def name_bytes(self, rows: slice) -> Array:
        """The same as characters, 41 a row."""
        uuids = self.uuids[rows]
        names = np.empty((len(uuids), NAME_BYTES), dtype="<u1")
        names[:, _DIGITS] = _HEX[uuids].reshape(len(uuids), 32)
        names[:, _DASHES] = ord("-")
        names[:, 36:] = list(b".root")
        return names

    def lfn(self, row: int) -> str:
        """The LFN of one file."""
        return f"{directory(row // BLOCK_FILES)}/{self.names(slice(row, row + 1))[0]}"

    def lfns(self, rows: slice) -> list[str]:
        """The LFNs of successive files."""
        first = rows.start
        prefixes = {
            place: f"{directory(place)}/" for place in range(first // BLOCK_FILES, -(-rows.stop // BLOCK_FILES))
        }
        return [prefixes[row // BLOCK_FILES] + name for row, name in enumerate(self.names(rows), first)]

    def files(self, block: int) -> FileColumns:
        """The files of one block."""
        return self.columns(self.span(block))

    def columns(self, rows: slice) -> FileColumns:
        """Successive files, of whatever blocks."""
        names = tuple(self.names(rows))
        digests = _HEX[self.adler32[rows].astype(">u4").view("<u1")].tobytes().decode("ascii")
        adler32 = tuple(digests[start : start + 8] for start in range(0, len(digests), 8))
        first = rows.start // BLOCK_FILES
        dirs = tuple(directory(place) for place in range(first, -(-rows.stop // BLOCK_FILES)))
        dir_index = tuple((np.arange(rows.start, rows.stop) // BLOCK_FILES - first).tolist())
        return FileColumns(dirs, dir_index, names, tuple(self.sizes[rows].tolist()), {"adler32": adler32})

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[BlockData]:
        """Blocks with their files and replicas, in order."""
        for block in range(first, self.n_blocks if last is None else last):
            sites = tuple(map(site_name, self.replica_sites[block].tolist()))
            groups = tuple(map(group_name, self.replica_groups[block].tolist()))
            yield BlockData(self.block_key(block), self.files(block), sites, groups)


def site_name(number: int) -> str:
    """The name of a site."""
    return f"T2_XY_Site{number:02d}"


def group_name(number: int) -> str:
    """The name of a group."""
    return f"group{number}"


def dataset_key(number: int) -> DatasetKey:
    """The identity of a dataset, by number."""
    return DatasetKey(f"/Primary{number % 997:03d}_TuneCP5_13TeV-pythia8/Summer26-{number:07d}/NANOAODSIM")


def directory(block: int) -> str:
    """The directory of a block's files: 99 bytes."""
    text = f"/store/mc/Summer26UL{block % 3}/NANOAODSIM/106X_v{block % 7}-v1/{block // 1000:05d}/{block:08d}/"
    return text + "d" * (_DIRECTORY_BYTES - len(text))


PREFIX_RULES = tuple(PfnRules.prefix("/store", f"/pool{number:02d}/store") for number in range(SITES))
"""One leading directory exchanged for another, as most sites have it."""

GENERAL_RULES = PfnRules(
    chains=(
        (RewriteStep(r"/store/unmerged/(.*)", "/scratch/{0}"),),
        (
            RewriteStep(r"/store/(mc|data)/([^/]+)/([^/]+)/(.*)", "/disk/{0}/{2}/{1}/{3}"),
            RewriteStep(r"/disk/mc/(.*)/([^/]+)", "/disk/simulation/{0}/{1}"),
        ),
    )
)
"""Chains of two, the first of which does not fit."""


def sites(*, general: bool = False) -> list[Site]:
    """All sites, with prefix rules or with general ones."""
    return [
        Site(site_name(number), (Door("davs", f"davs://site{number:02d}.example.org:2880", rules),))
        for number, rules in enumerate((GENERAL_RULES,) * SITES if general else PREFIX_RULES)
    ]


def make(rows: int, seed: int = SEED) -> InventoryData:
    """The inventory of ``rows`` files that belongs to a seed."""
    chance = np.random.default_rng(seed)
    n_blocks = -(-rows // BLOCK_FILES)
    sizes = chance.integers(1 << 20, 1 << 32, rows, dtype="<i8")
    adler32 = chance.integers(0, 1 << 32, rows, dtype="<u4")
    lengths = chance.integers(1, DATASET_BLOCKS_MAX + 1, n_blocks)
    datasets = np.repeat(np.arange(n_blocks, dtype="<u4"), lengths)[:n_blocks]
    # The places of the five least of fifty random numbers: five different sites.
    places = np.argpartition(chance.random((n_blocks, SITES), dtype="<f4"), REPLICAS, axis=1)[:, :REPLICAS]
    replica_sites = np.sort(places.astype("<u1"), axis=1)
    replica_groups = chance.integers(0, GROUPS, (n_blocks, REPLICAS), dtype="<u1")
    return InventoryData(_uuids(chance, n_blocks)[:rows], sizes, adler32, datasets, replica_sites, replica_groups)


def _uuids(chance: np.random.Generator, n_blocks: int) -> Array:
    """Random UUIDs of version 4, sorted within each block; the few with equal beginnings may be out of order."""
    halves = chance.integers(0, 1 << 64, (n_blocks, BLOCK_FILES, 2), dtype="<u8")
    halves[:, :, 0] = np.sort(halves[:, :, 0], axis=1)
    uuids = halves.astype(">u8").view("<u1").reshape(n_blocks * BLOCK_FILES, 16)
    uuids[:, 6] = (uuids[:, 6] & 0x0F) | 0x40
    uuids[:, 8] = (uuids[:, 8] & 0x3F) | 0x80
    return uuids


def prepare(folder: Path, rows: int, seed: int = SEED) -> InventoryData:
    """The same, mapped from files below ``folder``, made unless they are there."""
    kept = folder / f"inventory-{rows}-{seed}"
    if not (kept / "whole.json").exists():
        shutil.rmtree(kept, ignore_errors=True)
        making = kept.with_name(f"{kept.name}.{os.getpid()}")
        making.mkdir(parents=True)
        data = make(rows, seed)
        for name in _COLUMNS:
            np.save(making / f"{name}.npy", getattr(data, name))
        (making / "whole.json").write_text(json.dumps({"files": rows, "seed": seed}))
        making.rename(kept)
    return InventoryData(**{name: np.load(kept / f"{name}.npy", mmap_mode="r") for name in _COLUMNS})
