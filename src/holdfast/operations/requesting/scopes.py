"""Scope: which files of one dataset a request is about, block by block. Pure.

Rules
  * The normal form names each block once, in order, all of its files by None.
  * As bitmaps a scope is cut and compared in a step a block, however many
    files that block has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from holdfast.model.errors import UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Block, BlockFiles

Files = Mapping[str, FileSet]
"""Files of one dataset, by block; no block without any."""

NO_FILES: Files = MappingProxyType({})


def normal(blocks: Sequence[Block], scope: Sequence[BlockFiles] | None) -> tuple[BlockFiles, ...]:
    """A scope in its one normal form: all blocks for None; sorted, each block once, None where all files are meant."""
    if scope is None:
        return tuple(BlockFiles(block.key.block) for block in blocks)
    n_files = {block.key.block: block.n_files for block in blocks}
    merged: dict[str, set[int] | None] = {}
    for part in scope:
        so_far = merged.get(part.block, set())
        merged[part.block] = None if part.ordinals is None or so_far is None else so_far | set(part.ordinals)
    return tuple(
        BlockFiles(name, None if wanted is None or len(wanted) == n_files.get(name) else tuple(sorted(wanted)))
        for name, wanted in sorted(merged.items())
        if wanted is None or wanted
    )


def covers(greater: Sequence[BlockFiles], lesser: Sequence[BlockFiles]) -> bool:
    """Whether everything in the normal scope ``lesser`` is also in the normal scope ``greater``."""
    known = {part.block: part.ordinals for part in greater}
    for part in lesser:
        if part.block not in known:
            return False
        ordinals = known[part.block]
        if ordinals is not None and (part.ordinals is None or not set(part.ordinals) <= set(ordinals)):
            return False
    return True


def files_of(scope: Iterable[BlockFiles], n_files: Mapping[str, int]) -> dict[str, FileSet]:
    """The files of a scope; ``n_files`` of each block of the dataset. Blocks that are not there have none."""
    found: dict[str, FileSet] = {}
    for part in scope:
        wanted = FileSet.full(n_files.get(part.block, 0)) if part.ordinals is None else FileSet.of(part.ordinals)
        if wanted:
            found[part.block] = found.get(part.block, FileSet()) | wanted
    return found


def without(files: Files, others: Files) -> dict[str, FileSet]:
    """Those of ``files`` that are not among ``others``."""
    left = {block: wanted - others.get(block, FileSet()) for block, wanted in files.items()}
    return {block: wanted for block, wanted in left.items() if wanted}


def common(files: Files, others: Files) -> dict[str, FileSet]:
    """Those of ``files`` that are also among ``others``."""
    both = {block: wanted & others[block] for block, wanted in files.items() if block in others}
    return {block: wanted for block, wanted in both.items() if wanted}


def count(files: Files) -> int:
    """How many files these are."""
    return sum(map(len, files.values()))


def require_known(dataset: DatasetKey, blocks: Iterable[Block], scope: Iterable[BlockFiles]) -> None:
    """UnknownName for a block that the dataset does not have."""
    known = {block.key.block for block in blocks}
    for part in scope:
        if part.block not in known:
            raise UnknownName(f"there is no block {BlockKey(dataset, part.block)}")
