"""What becomes of a block replica when files are registered, arrive or go. Pure.

Shared by every form the inventory has, so that they cannot disagree.

Rules
  * A replica that holds all files of its block has ``held`` None, and only then.
  * ``size`` and ``n_files`` are those of the held files.
  * ``verified_us`` is the oldest proof among the held files; None as soon as
    one of them has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica


def empty(block: BlockKey, site: str, group: str, at_us: int) -> BlockReplica:
    """A replica that was asked for and holds nothing yet."""
    return BlockReplica(block, site, group=group, held=FileSet(), updated_us=at_us)


def with_files(
    replica: BlockReplica,
    ordinals: Iterable[int] | None,
    sizes: Sequence[int],
    *,
    verified_us: int | None,
    at_us: int,
) -> BlockReplica:
    """``replica`` after files have arrived. ``sizes`` are those of all files of its block, by ordinal."""
    before = replica.files(len(sizes))
    after = FileSet.full(len(sizes)) if ordinals is None else before | FileSet.of(ordinals)
    if not len(after - before):
        return replica
    if before:
        both = replica.verified_us is not None and verified_us is not None
        verified_us = min(replica.verified_us or 0, verified_us or 0) if both else None
    return _holding(replica, after, sizes, verified_us, at_us)


def without_files(replica: BlockReplica, ordinals: Iterable[int], sizes: Sequence[int], *, at_us: int) -> BlockReplica:
    """``replica`` after files have gone; it stays, perhaps holding nothing."""
    before = replica.files(len(sizes))
    after = before - FileSet.of(ordinals)
    if after == before:
        return replica
    return _holding(replica, after, sizes, replica.verified_us if after else None, at_us)


def verified(replica: BlockReplica, verified_us: int) -> BlockReplica:
    """``replica`` after all that it holds was proved; an older proof than the one it has, come late, alters nothing."""
    if replica.held == FileSet():
        return replica
    return replace(replica, verified_us=max(verified_us, replica.verified_us or 0))


def of_grown_block(replica: BlockReplica, n_files_before: int) -> BlockReplica:
    """``replica`` once its block has new files that it does not hold: no longer complete."""
    return replace(replica, held=FileSet.full(n_files_before)) if replica.held is None else replica


def _holding(
    replica: BlockReplica, files: FileSet, sizes: Sequence[int], verified_us: int | None, at_us: int
) -> BlockReplica:
    complete = len(files) == len(sizes)
    return replace(
        replica,
        held=None if complete else files,
        n_files=len(files),
        size=sum(sizes) if complete else sum(sizes[ordinal] for ordinal in files),
        verified_us=verified_us,
        updated_us=at_us,
    )
