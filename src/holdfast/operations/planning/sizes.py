"""Sizes: how long each file of a batch is, for batches that are cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.model.fileset import FileSet
from holdfast.operations.batch import Batch

Sizes = Callable[[Batch], Sequence[int]]
"""The bytes of each file of a batch's block by ordinal; of each orphan of its request."""


def first(
    batch: Batch, files: FileSet, size: int | None, sizes: Sizes, *, files_max: int, size_max: int | None
) -> tuple[FileSet, int]:
    """The first of some files of a batch that together keep the bounds, at least one; and their bytes.

    ``size``: those of all of ``files``, if they are known.
    """
    if files == batch.files:
        size = batch.size
    if size is not None and len(files) <= files_max and (size_max is None or size <= size_max):
        return files, size
    every = sizes(batch)
    size = stop = 0
    for number, ordinal in enumerate(files):
        if number and (number >= files_max or (size_max is not None and size + every[ordinal] > size_max)):
            break
        size += every[ordinal]
        stop = ordinal + 1
    return files & FileSet.full(stop), size
