"""Nowhere: files of published datasets of which, by the inventory's word, no site has a copy any more.

They were declared lost, or found missing at their last site while a copy from another one was hoped for. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Files of one block that nobody has. ``requests`` are open copies that are to bring some of them, in vain."""

    block: BlockKey
    files: FileSet
    requests: tuple[str, ...] = ()


def nowhere(view: Snapshot, dataset: DatasetKey | None = None) -> Iterator[Nowhere]:
    """Those of all datasets, or of one, by dataset and block."""
    keys = [dataset] if dataset is not None else sorted(each.key for each in view.datasets())
    for key in keys:
        blocks = {each.key: each for each in view.blocks(key)}
        replicas = view.find_replicas_of_blocks(blocks)
        for block, record in sorted(blocks.items()):
            lacking = FileSet.full(record.n_files)
            for replica in replicas.get(block, ()):
                lacking = lacking - replica.files(record.n_files)
            if lacking:
                yield Nowhere(block, lacking, _requests(view, block, lacking, record.n_files))


def _requests(view: Snapshot, block: BlockKey, lacking: FileSet, n_files: int) -> tuple[str, ...]:
    asked = view.copy_requests(dataset=block.dataset)
    return tuple(
        request.id
        for request in asked
        if any(part.block == block.block and part.files(n_files) & lacking for part in request.scope)
    )
