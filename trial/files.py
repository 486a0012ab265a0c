"""Files: what the trial's files are called, how large they are and what is in them, all by their number.

Pure. A file begins with a few bytes that have its number, and goes on with
zeros: it is sparse on disk, no two are equal, and its adler32 is computed
without reading it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import FileColumns
from trial.amounts import BLOCKS_A_DATASET, FILES_A_BLOCK

TOP = "/store/trial"
SIZES = (700, 5_000, 700, 30_000, 700, 5_000, 700, 5_000, 30_000, 120_000)
"""In bytes; a file has one of them by the last digit of its number."""

_ADLER = 65_521
_SCATTER = 2_654_435_761


@dataclass(frozen=True, slots=True)
class File:
    """One file, by its number."""

    number: int

    @property
    def name(self) -> str:
        """The last component of its LFN."""
        return f"f{self.number:010d}-{self.number * _SCATTER & 0xFFFFFFFF:08x}.root"

    @property
    def lfn(self) -> str:
        """Its LFN, which is also its path at every site."""
        return f"{directory_of(self.number // FILES_A_BLOCK)}/{self.name}"

    @property
    def size(self) -> int:
        """Bytes."""
        return SIZES[self.number % len(SIZES)]

    @property
    def head(self) -> bytes:
        """What it begins with."""
        return f"file {self.number:012d}\n".encode()

    @property
    def adler32(self) -> str:
        """The checksum of the whole of it."""
        return adler32(self.head, self.size)

    @property
    def data(self) -> bytes:
        """All of it."""
        return self.head.ljust(self.size, b"\0")


def adler32(head: bytes, size: int) -> str:
    """The checksum of ``head`` and the zeros that make it ``size`` bytes long."""
    value = zlib.adler32(head)
    low, high = value & 0xFFFF, value >> 16
    return f"{(high + (size - len(head)) * low) % _ADLER << 16 | low:08x}"


def dataset_key(dataset: int) -> DatasetKey:
    """The name of a dataset."""
    return DatasetKey(f"/Trial/Run{dataset // 1000:03d}/D{dataset:06d}")


def block_key(block: int) -> BlockKey:
    """The name of a block."""
    return BlockKey(dataset_key(block // BLOCKS_A_DATASET), f"{block % BLOCKS_A_DATASET:04d}")


def dataset_directory(dataset: int) -> str:
    """The directory of all files of a dataset."""
    return f"{TOP}/run{dataset // 1000:03d}/d{dataset:06d}"


def directory_of(block: int) -> str:
    """The directory of all files of a block."""
    return f"{dataset_directory(block // BLOCKS_A_DATASET)}/b{block:08d}"


def blocks_of(dataset: int) -> range:
    """The numbers of the blocks of a dataset."""
    return range(dataset * BLOCKS_A_DATASET, (dataset + 1) * BLOCKS_A_DATASET)


def files_of(block: int) -> Iterator[File]:
    """The files of a block."""
    return map(File, range(block * FILES_A_BLOCK, (block + 1) * FILES_A_BLOCK))


def columns_of(block: int) -> FileColumns:
    """The files of a block as they are registered."""
    files = list(files_of(block))
    return FileColumns(
        dirs=(directory_of(block),),
        dir_index=(0,) * len(files),
        names=tuple(file.name for file in files),
        sizes=tuple(file.size for file in files),
        checksums={"adler32": tuple(file.adler32 for file in files)},
    )
