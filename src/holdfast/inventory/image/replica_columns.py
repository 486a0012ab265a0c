"""ReplicaColumns: the block replicas of a range of blocks as arrays; never written.

A row costs 25 bytes: block and site number, owner's number, marks, and two
times. A complete replica has the block's own totals, so its own are not kept;
the few partial ones have theirs, with the bitmap of what they hold, in columns
beside. Rows lie in the order of block and site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.inventory.image.remembered import Remembered

Array = npt.NDArray[Any]

CUSTODIAL = 1
PARTIAL = 2
NEVER = -1
"""In place of ``verified_us`` None."""


class ReplicaRow(NamedTuple):
    """One replica. ``held`` None: complete, and then ``n_files`` and ``size`` are those of its block, and 0 here."""

    owner: int
    is_custodial: bool
    held: int | None
    n_files: int
    size: int
    verified_us: int | None
    updated_us: int


Rows = Mapping[int, ReplicaRow]
"""The replicas of one block, by the number of the site."""

DTYPES = {
    "block": "<u4",
    "site": "<u2",
    "owner": "<u2",
    "marks": "u1",
    "verified_us": "<i8",
    "updated_us": "<i8",
    "partial": "<u4",
    "held": "u1",
    "held_ends": "<u8",
    "partial_files": "<i8",
    "partial_size": "<i8",
}
"""``partial`` are the places of partial rows, in order; ``held`` their bitmaps, one after the other.

``starts``, where the rows of each block begin, is made from these.
"""


class ReplicaColumns:
    """The replicas of blocks ``first`` to ``first + n_blocks - 1``."""

    __slots__ = (
        "_partial_blocks",
        "_site_bytes",
        "_starts",
        "_starts_view",
        "arrays",
        "first",
        "n_blocks",
        "remembered",
    )

    def __init__(self, first: int, n_blocks: int, arrays: Mapping[str, Array]) -> None:
        if "starts" not in arrays:
            starts = np.searchsorted(arrays["block"], np.arange(first, first + n_blocks + 1))
            arrays = {**arrays, "starts": starts.astype("<u4")}
        self.first, self.n_blocks, self.arrays = first, n_blocks, arrays
        self._starts = arrays["starts"]
        self._starts_view, self._site_bytes = self._starts.data, arrays["site"].view("u1").data
        self.remembered = Remembered()
        """The last thing that somebody found out about these columns."""
        self._partial_blocks = frozenset(arrays["block"][arrays["partial"]].tolist())

    @staticmethod
    def empty(first: int, n_blocks: int) -> ReplicaColumns:
        """No replica of any of these blocks."""
        arrays = {name: np.zeros(0, dtype=dtype) for name, dtype in DTYPES.items()}
        arrays["held_ends"] = np.zeros(1, dtype="<u8")
        return ReplicaColumns(first, n_blocks, arrays)

    def __len__(self) -> int:
        return len(self.arrays["block"])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def rows_of(self, block: int) -> dict[int, ReplicaRow]:
        """The replicas of one block, in the order of the sites' numbers."""
        place = block - self.first
        span = range(int(self._starts[place]), int(self._starts[place + 1]))
        return {int(self.arrays["site"][row]): self.row(row) for row in span}

    def complete_sites(self, block: int) -> bytes | None:
        """The site numbers of a block, two bytes each; None if one of its replicas is partial."""
        if block in self._partial_blocks:
            return None
        place = block - self.first
        return bytes(self._site_bytes[2 * self._starts_view[place] : 2 * self._starts_view[place + 1]])

    def row(self, place: int) -> ReplicaRow:
        """One row by its place."""
        columns = self.arrays
        marks, verified_us = int(columns["marks"][place]), int(columns["verified_us"][place])
        held: int | None = None
        n_files = size = 0
        if marks & PARTIAL:
            which = int(np.searchsorted(columns["partial"], place))
            start, end = columns["held_ends"][which : which + 2].tolist()
            held = int.from_bytes(columns["held"][start:end].tobytes(), "little")
            n_files, size = int(columns["partial_files"][which]), int(columns["partial_size"][which])
        return ReplicaRow(
            int(columns["owner"][place]),
            bool(marks & CUSTODIAL),
            held,
            n_files,
            size,
            None if verified_us == NEVER else verified_us,
            int(columns["updated_us"][place]),
        )

    def places_at(self, blocks: Array, site: int) -> Array:
        """For each of these blocks the place of its replica at ``site``; -1 where there is none."""
        starts, ends = (
            self._starts[blocks - self.first].astype("<i8"),
            self._starts[blocks - self.first + 1].astype("<i8"),
        )
        found = np.full(len(blocks), -1, dtype="<i8")
        sites = self.arrays["site"]
        for step in range(int((ends - starts).max(initial=0))):
            places = starts + step
            inside = np.flatnonzero(places < ends)
            hit = inside[sites[places[inside]] == site]
            found[hit] = places[hit]
        return found

    def with_rows(self, changed: Mapping[int, Mapping[int, ReplicaRow | None]]) -> ReplicaColumns:
        """The columns after changes by block and site; None takes a replica away."""
        blocks, sites, rows = [], [], []
        for block, by_site in changed.items():
            for site, row in by_site.items():
                blocks.append(block)
                sites.append(site)
                rows.append(row)
        new_keys = _keys(np.array(blocks, dtype="<u4"), np.array(sites, dtype="<u2"))
        kept = ~np.isin(_keys(self.arrays["block"], self.arrays["site"]), new_keys)
        put = [place for place, row in enumerate(rows) if row is not None]
        added = columns_of([blocks[i] for i in put], [sites[i] for i in put], [rows[i] for i in put])  # type: ignore[misc]
        return ReplicaColumns(self.first, self.n_blocks, _merged(_selected(self.arrays, kept), added))


def columns_of(blocks: Sequence[int], sites: Sequence[int], rows: Sequence[ReplicaRow]) -> dict[str, Array]:
    """Rows as arrays, in the order given."""
    partial = [place for place, row in enumerate(rows) if row.held is not None]
    held = [_bytes(rows[place].held or 0) for place in partial]
    values: dict[str, Sequence[int]] = {
        "block": blocks,
        "site": sites,
        "owner": [row.owner for row in rows],
        "marks": [CUSTODIAL * row.is_custodial | PARTIAL * (row.held is not None) for row in rows],
        "verified_us": [NEVER if row.verified_us is None else row.verified_us for row in rows],
        "updated_us": [row.updated_us for row in rows],
        "partial": partial,
        "partial_files": [rows[place].n_files for place in partial],
        "partial_size": [rows[place].size for place in partial],
    }
    arrays = {name: np.array(column, dtype=DTYPES[name]) for name, column in values.items()}
    arrays["held"] = np.frombuffer(b"".join(held), dtype="u1")
    arrays["held_ends"] = _ends([len(each) for each in held])
    return arrays


def _bytes(held: int) -> bytes:
    return held.to_bytes((held.bit_length() + 7) // 8, "little")


def _ends(lengths: Sequence[int] | Array) -> Array:
    ends = np.zeros(len(lengths) + 1, dtype="<u8")
    np.cumsum(lengths, out=ends[1:], dtype="<u8")
    return ends


def _keys(blocks: Array, sites: Array) -> Array:
    return blocks.astype("<u8") << np.uint64(16) | sites


_PER_ROW = ("block", "site", "owner", "marks", "verified_us", "updated_us")


def _selected(arrays: Mapping[str, Array], kept: Array) -> dict[str, Array]:
    """The rows where ``kept``."""
    found = {name: arrays[name][kept] for name in _PER_ROW}
    stays = kept[arrays["partial"]]
    found["partial"] = (np.cumsum(kept, dtype="<i8")[arrays["partial"][stays]] - 1).astype("<u4")
    return found | _partials(arrays, np.flatnonzero(stays))


def _partials(arrays: Mapping[str, Array], which: Array) -> dict[str, Array]:
    """What only partial rows have, of some of them, in the order given."""
    ends = arrays["held_ends"].astype("<i8")
    pieces = [arrays["held"][ends[each] : ends[each + 1]] for each in which.tolist()]
    return {
        "held": np.concatenate(pieces) if pieces else np.zeros(0, dtype="u1"),
        "held_ends": _ends([len(piece) for piece in pieces]),
        "partial_files": arrays["partial_files"][which],
        "partial_size": arrays["partial_size"][which],
    }


def _merged(first: Mapping[str, Array], second: Mapping[str, Array]) -> dict[str, Array]:
    """The rows of both, in the order of block and site."""
    both = {
        name: np.concatenate([first[name], second[name]])
        for name in (*_PER_ROW, "held", "partial_files", "partial_size")
    }
    order = np.argsort(_keys(both["block"], both["site"]), kind="stable")
    for name in _PER_ROW:
        both[name] = both[name][order]
    both["held_ends"] = np.concatenate([first["held_ends"], second["held_ends"][1:] + first["held_ends"][-1]])
    places = np.concatenate([first["partial"], second["partial"] + np.uint32(len(first["block"]))])
    where = np.empty(len(order), dtype="<u4")
    where[order] = np.arange(len(order), dtype="<u4")
    places = where[places]
    by_place = np.argsort(places, kind="stable")
    return both | {"partial": places[by_place].astype("<u4")} | _partials(both, by_place)
