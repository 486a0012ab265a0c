"""What becomes of a block replica when files are registered, arrive or go. Pure.

Shared by every form the inventory has, so that they cannot disagree.

Rules
  * A replica that holds all files of its block has ``held`` None, and only then;
    so has every replica of a block without files.
  * ``size`` and ``n_files`` are those of the held files.
  * ``verified_us`` is the oldest proof among the held files; None as soon as
    one of them has none, or there are none.
  * ``updated_us`` is when files last arrived or went. New names, proofs and
    groups, and what becomes of the block's other files, leave it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockReplica


def empty(block: BlockKey, site: str, group: str, at_us: int) -> BlockReplica:
    """A replica that was asked for and holds nothing yet."""
    return BlockReplica(block, site, group=group, held=FileSet(), updated_us=at_us)


def awaited(block: Block, site: str, group: str, at_us: int) -> BlockReplica:
    """A replica that was asked for and holds nothing yet, which of a block without files is all."""
    made = empty(block.key, site, group, at_us)
    return made if block.n_files else replace(made, held=None)


def whole(replica: BlockReplica, block: Block, *, verified_us: int | None, at_us: int) -> BlockReplica:
    """``replica`` after what it lacked of its block has arrived."""
    if replica.held is None:
        return replica
    proved = _proved(replica, verified_us) if block.n_files else None
    return replace(replica, held=None, n_files=block.n_files, size=block.size, verified_us=proved, updated_us=at_us)


SizeOf = Callable[[FileSet], int]
"""The bytes of some files of a block: a block of ten thousand need not be read for three of them."""


def summed(sizes: Sequence[int]) -> SizeOf:
    """The bytes of some files, of the sizes of all by ordinal."""
    return lambda files: sum(sizes[ordinal] for ordinal in files)


def with_files(
    replica: BlockReplica,
    ordinals: Iterable[int] | None,
    block: Block,
    size_of: SizeOf,
    *,
    verified_us: int | None,
    at_us: int,
) -> BlockReplica:
    """``replica`` after files of its block have arrived; ordinals None: all."""
    before = replica.files(block.n_files)
    after = FileSet.full(block.n_files) if ordinals is None else before | FileSet.of(ordinals)
    new = after - before
    if not new:
        return replica
    is_complete = len(after) == block.n_files
    return replace(
        replica,
        held=None if is_complete else after,
        n_files=len(after),
        size=block.size if is_complete else replica.size + size_of(new),
        verified_us=_proved(replica, verified_us),
        updated_us=at_us,
    )


def _proved(replica: BlockReplica, verified_us: int | None) -> int | None:
    """The oldest proof, once files proved at ``verified_us`` are added."""
    if not replica.n_files:
        return verified_us
    both = replica.verified_us is not None and verified_us is not None
    return min(replica.verified_us or 0, verified_us or 0) if both else None


def without_files(
    replica: BlockReplica, ordinals: FileSet, block: Block, size_of: SizeOf, *, at_us: int
) -> BlockReplica:
    """``replica`` after files of its block have gone; it stays, perhaps holding nothing."""
    before = replica.files(block.n_files)
    gone = before & ordinals
    left = before - gone
    if not gone:
        return replica
    return replace(
        replica,
        held=left,
        n_files=len(left),
        size=replica.size - size_of(gone) if left else 0,
        verified_us=replica.verified_us if left else None,
        updated_us=at_us,
    )


def verified(replica: BlockReplica, verified_us: int) -> BlockReplica:
    """``replica`` after all that it holds was proved; an older proof than the one it has, come late, alters nothing."""
    if not replica.n_files:
        return replica
    return replace(replica, verified_us=max(verified_us, replica.verified_us or 0))


def unproved(replica: BlockReplica) -> BlockReplica:
    """``replica`` once nothing that it holds is proved any more."""
    return replace(replica, verified_us=None)


def of_grown_block(replica: BlockReplica, n_files_before: int) -> BlockReplica:
    """``replica`` once its block has new files that it does not hold: no longer complete."""
    return replace(replica, held=FileSet.full(n_files_before)) if replica.held is None else replica


def of_shrunk_block(replica: BlockReplica, removed: Iterable[int], n_files_before: int) -> BlockReplica:
    """``replica`` once its block has lost files that it did not hold; the files behind them have moved up."""
    if replica.held is None:
        return replica
    gaps = sorted(set(removed))
    complete = len(replica.held) == n_files_before - len(gaps)
    held = FileSet.of(ordinal - bisect_left(gaps, ordinal) for ordinal in replica.held)
    return replace(replica, held=None if complete else held)


def renamed(replica: BlockReplica, ordinals: Iterable[int]) -> BlockReplica:
    """``replica`` once these files have other names: if it holds one, it is not proved any more."""
    if not any(replica.holds(ordinal) for ordinal in ordinals):
        return replica
    return unproved(replica)


def assigned(replica: BlockReplica, group: str | None, is_custodial: bool | None) -> BlockReplica:
    """``replica`` as another group's, custodial or not; None leaves it."""
    return replace(
        replica,
        group=replica.group if group is None else group,
        is_custodial=replica.is_custodial if is_custodial is None else is_custodial,
    )
