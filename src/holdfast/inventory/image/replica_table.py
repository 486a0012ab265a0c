"""ReplicaTable: all block replicas at one position: columns by ranges of blocks, and what has changed since.

Never written; ``with_...`` methods return the table after a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from holdfast.inventory.image.layered import Layered
from holdfast.inventory.image.replica_columns import PARTIAL, Array, ReplicaColumns, ReplicaRow

CHUNK_BLOCKS = 1 << 16
"""How many blocks the columns of one chunk are about: what is rewritten at once."""
CHANGED_MIN = 512
"""Fewer changed blocks of a chunk are not worth rewriting it."""


@dataclass(frozen=True, slots=True)
class ReplicaTable:
    """Replicas by block and site number. A block's replicas of later make go before those in the columns."""

    chunks: tuple[ReplicaColumns, ...] = ()
    changed: Layered[int, Mapping[int, ReplicaRow | None]] = field(default_factory=Layered)
    """By block what differs from the columns, by site; None for a replica that is there no more."""
    chunk_blocks: int = CHUNK_BLOCKS
    changed_min: int = CHANGED_MIN

    def rows_of(self, block: int) -> dict[int, ReplicaRow]:
        """The replicas of one block by site."""
        chunk = block // self.chunk_blocks
        rows: dict[int, ReplicaRow] = self.chunks[chunk].rows_of(block) if chunk < len(self.chunks) else {}
        for site, row in self.changed.get(block, {}).items():
            if row is None:
                rows.pop(site, None)
            else:
                rows[site] = row
        return rows

    def row(self, block: int, site: int) -> ReplicaRow | None:
        """One replica; None if there is none."""
        changed = self.changed.get(block)
        if changed is not None and site in changed:
            return changed[site]
        chunk = block // self.chunk_blocks
        return self.chunks[chunk].rows_of(block).get(site) if chunk < len(self.chunks) else None

    def rows_at(self, blocks: list[int], site: int) -> list[ReplicaRow | None]:
        """For each of these blocks its replica at one site."""
        found: list[ReplicaRow | None] = [None] * len(blocks)
        array = np.array(blocks, dtype="<i8")
        for number, chunk in enumerate(self.chunks):
            of_chunk = np.flatnonzero(array // self.chunk_blocks == number)
            places = chunk.places_at(array[of_chunk], site)
            there = places >= 0
            for index, place in zip(of_chunk[there].tolist(), places[there].tolist(), strict=True):
                found[index] = chunk.row(place)
        for index, block in enumerate(blocks):
            changed = self.changed.get(block)
            if changed is not None and site in changed:
                found[index] = changed[site]
        return found

    def complete_sites(self, block: int) -> bytes | None:
        """The site numbers (two bytes each, native order) of a block whose replicas are all complete and unchanged."""
        if block in self.changed:
            return None
        chunk = block // self.chunk_blocks
        return self.chunks[chunk].complete_sites(block) if chunk < len(self.chunks) else b""

    def with_rows(self, changes: Mapping[int, Mapping[int, ReplicaRow | None]]) -> ReplicaTable:
        """The table after some replicas were put, or taken away where None."""
        items = {block: {**self.changed.get(block, {}), **by_site} for block, by_site in changes.items()}
        return replace(self, changed=self.changed.with_items(items))

    def with_rows_at(self, site: int, rows: Mapping[int, ReplicaRow]) -> ReplicaTable:
        """The table after the replicas of some blocks at one site were put."""
        items: dict[int, Mapping[int, ReplicaRow | None]] = {}
        for block, row in rows.items():
            old = self.changed.get(block)
            items[block] = {site: row} if old is None else {**old, site: row}
        return replace(self, changed=self.changed.with_items(items))

    def blocks(self) -> Iterator[int]:
        """The numbers of the blocks that have replicas, or had some lately."""
        for chunk in self.chunks:
            yield from (int(block) for block in np.unique(chunk.arrays["block"]) if int(block) not in self.changed)
        yield from self.changed

    def blocks_at(self, site: int) -> list[int]:
        """The numbers of the blocks that have a replica at one site."""
        found: set[int] = set()
        for chunk in self.chunks:
            found.update(chunk.arrays["block"][chunk.arrays["site"] == site].tolist())
        for block, by_site in self.changed.items():
            if site in by_site:
                (found.discard if by_site[site] is None else found.add)(block)
        return sorted(found)

    def folding(self, changed_max: int | None = None) -> int | None:
        """The chunk of which more than ``changed_max`` blocks have changed, so that rewriting it pays; None if none."""
        most = self.changed_min if changed_max is None else changed_max
        counts: dict[int, int] = {}
        for block in self.changed:
            counts[block // self.chunk_blocks] = counts.get(block // self.chunk_blocks, 0) + 1
        return next((chunk for chunk, count in sorted(counts.items()) if count > most), None)

    def folded(self, number: int) -> ReplicaTable:
        """The same table with the changes of one chunk in its columns."""
        chunks = list(self.chunks)
        while len(chunks) <= number:
            chunks.append(ReplicaColumns.empty(len(chunks) * self.chunk_blocks, self.chunk_blocks))
        ours = {block: by_site for block, by_site in self.changed.items() if block // self.chunk_blocks == number}
        chunks[number] = chunks[number].with_rows(ours)
        rest = {block: by_site for block, by_site in self.changed.items() if block // self.chunk_blocks != number}
        return replace(
            self, chunks=tuple(chunks), changed=Layered[int, Mapping[int, ReplicaRow | None]]().with_items(rest)
        )

    def __len__(self) -> int:
        changed = np.array(sorted(self.changed), dtype="<u4")
        in_columns = sum(int((~np.isin(chunk.arrays["block"], changed)).sum()) for chunk in self.chunks)
        return in_columns + sum(len(self.rows_of(block)) for block in self.changed)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns."""
        return sum(chunk.nbytes for chunk in self.chunks)


def is_partial(marks: Array) -> Array:
    """Which rows are partial."""
    partial: Array = (marks & PARTIAL) != 0
    return partial
