"""The checksums that the journal tells of, kept while it is replayed: what the image does not keep.

A file's checksums are one hash here, so that verifying ten million files does
not take gigabytes.
"""

from __future__ import annotations

from array import array

import xxhash

from holdfast.inventory.store import JournalEntry, Snapshot
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
                made._blocks[block.key] = _hashes(view.files(block.key))
        return made

    def take(self, entry: JournalEntry) -> None:
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

    def differ(self, block: BlockKey, files: FileColumns) -> bool:
        """Whether the files of a block have other checksums in ``files``."""
        return self._blocks.get(block, array("Q")) != _hashes(files)


def _hashes(files: FileColumns) -> array[int]:
    texts = [""] * len(files)
    for algorithm, digests in sorted(files.checksums.items()):
        pairs = zip(texts, digests, strict=True)
        texts = [text if digest is None else f"{text}{algorithm}={digest} " for text, digest in pairs]
    return array("Q", (xxhash.xxh3_64_intdigest(text.encode()) for text in texts))
