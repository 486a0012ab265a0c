"""Delta: files that came lately, their columns and their hashes, not yet in the base."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from holdfast.inventory.image.file_chunk import FileChunk
from holdfast.inventory.image.hash_run import HashRun


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """A chunk and the hashes of its LFNs."""

    chunk: FileChunk
    run: HashRun

    def without(self, blocks: Collection[int]) -> Delta:
        """The same without some blocks; self if it has none of them."""
        chunk = self.chunk.without(blocks)
        return self if chunk is self.chunk else replace(self, chunk=chunk)
