"""The checksums that the journal tells of, kept while it is replayed: what the image does not keep.

A file's checksums are one hash here, so that verifying ten million files does
not take gigabytes.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence

import xxhash

from holdfast.inventory.store import Entry, Snapshot
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import FileColumns


class ReplayedDigests:
    """By block, a hash of the checksums of each of its files, by ordinal."""

    def __init__(self) -> None:
        self._blocks: dict[BlockKey, array[int]] = {}

    @classmethod
    def of(cls, view: Snapshot) -> ReplayedDigests:
        """Those of all files that ``view`` shows."""
        made = cls()
        for dataset in view.datasets(staged=True):
            for block in view.blocks(dataset.key):
                made._blocks[block.key] = array("Q", _hashes(view.files(block.key)))
        return made

    def take(self, entry: Entry) -> None:
        """Take in the next entry, which the rules have accepted."""
        for change in entry.changes:
            match change:
                case c.RegisterFiles(block):
                    self._blocks.setdefault(block, array("Q")).extend(_hashes(change.files))
                case c.RemoveFiles(block, ordinals):
                    going = set(ordinals)
                    left = (hash for ordinal, hash in enumerate(self._blocks[block]) if ordinal not in going)
                    self._blocks[block] = array("Q", left)
                case c.AbandonStaged(dataset):
                    self._blocks = {key: hashes for key, hashes in self._blocks.items() if key.dataset != dataset}
                case _:
                    pass

    def differing(self, view: Snapshot) -> Iterator[BlockKey]:
        """The blocks whose files have other checksums in ``view``."""
        there = view.find_blocks(list(self._blocks))
        for block, hashes in sorted(self._blocks.items()):
            if block in there and list(hashes) != _hashes(view.files(block)):
                yield block


def _hashes(files: FileColumns) -> Sequence[int]:
    algorithms = sorted(files.checksums)
    columns = [files.checksums[algorithm] for algorithm in algorithms]
    return [_hash(algorithms, digests) for digests in zip(*columns, strict=True)] if columns else [0] * len(files)


def _hash(algorithms: Sequence[str], digests: Sequence[str | None]) -> int:
    known = [pair for pair in zip(algorithms, digests, strict=True) if pair[1] is not None]
    return xxhash.xxh3_64_intdigest(json.dumps(known).encode()) if known else 0
