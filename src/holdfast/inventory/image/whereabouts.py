"""Whereabouts: from many LFNs to all their PFNs, the work per site, block and directory done once.

Rules
  * A PFN whose path would be none, say too long, is left out; the other files and sites are as ever.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from holdfast.inventory.image.tables import ImageTables
from holdfast.model import names, pfn
from holdfast.model.pfn_by_directory import ByDirectory
from holdfast.model.records import Door, Site

FEW = 32
"""So few LFNs are looked up one by one: the start of a bulk look-up costs more."""


def pfns(tables: ImageTables, lfns: Sequence[str]) -> list[list[str] | None]:
    """For each LFN its PFNs at all sites that hold it, by site, through their first doors; None: no such file.

    InvalidName if one that is not registered cannot be an LFN at all.
    """
    with _no_collection():
        return _pfns(tables, lfns)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hundreds of thousands of new texts make the collector of cycles look again and again, a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _pfns(tables: ImageTables, lfns: Sequence[str]) -> list[list[str] | None]:
    doors, holders = _doors_of(tables), _Holders(tables)
    new, n_old, holding = doors.new, doors.n_old, holders.holding
    old = doors.old if doors.keep_short(lfns) else None
    found: list[list[str] | None] = []
    for lfn, (block, ordinal) in zip(lfns, _files(tables, lfns), strict=True):
        if block < 0:
            names.lfn(lfn)
            found.append(None)
        elif old is None:
            found.append(doors.pfns(lfn, holding(block, ordinal)))
        elif lfn.startswith(old):
            rest = lfn[n_old:]
            found.append([new[site] + rest for site in holding(block, ordinal)])
        else:
            found.append([])
    return found


def _files(tables: ImageTables, lfns: Sequence[str]) -> Iterable[tuple[int, int]]:
    if len(lfns) <= FEW:
        return [tables.files.find(lfn) or (-1, -1) for lfn in lfns]
    return zip(*(column.tolist() for column in tables.files.find_all(lfns)), strict=True)


class _Doors:
    """How each site makes its PFNs, by the site's number.

    ``old`` not None: every site only exchanges it (``n_old`` characters and a
    slash) for its own ``new``. Else the makers have to be asked.
    """

    def __init__(self, sites: Mapping[str, Site], words: Sequence[str]) -> None:
        doors = [sites[word].first_door if word in sites else None for word in words]
        known = [(_exchange(door), door) for door in doors if door is not None]
        olds = {exchange[0] for exchange, _ in known if exchange is not None}
        prefix = olds.pop() if len(olds) == 1 and all(exchange is not None for exchange, _ in known) else None
        self.old = None if prefix is None else f"{prefix}/"
        self.n_old = len(prefix or "")
        self.new = [((door and _exchange(door)) or ("", ""))[1] for door in doors]
        self._bytes_added = max((pfn.bytes_added(door.rules) or 0 for _, door in known), default=0)
        self.rank = {site: rank for rank, site in enumerate(sorted(range(len(words)), key=words.__getitem__))}
        self.is_sorted = all(site == rank for site, rank in self.rank.items())
        self._makers = [None if door is None else ByDirectory(door.root, door.rules) for door in doors]

    def keep_short(self, lfns: Sequence[str]) -> bool:
        """Whether an exchange of prefixes surely makes none of these, where they are valid, too long."""
        n_spare = names.LFN_BYTES_MAX - self._bytes_added
        if n_spare == names.LFN_BYTES_MAX or 4 * max(map(len, lfns), default=0) <= n_spare:
            return True
        return max(len(lfn.encode(errors="replace")) for lfn in lfns) <= n_spare

    def pfns(self, lfn: str, sites: Iterable[int]) -> list[str]:
        """The PFNs of one file by the sites' makers."""
        cut = lfn.rindex("/") + 1
        directory, name = lfn[:cut], lfn[cut:]
        made = [maker.pfn(directory, name) for maker in (self._makers[site] for site in sites) if maker is not None]
        return [each for each in made if each is not None]


_last: tuple[Mapping[str, Site], Sequence[str], _Doors] | None = None


def _doors_of(tables: ImageTables) -> _Doors:
    """The doors of these tables' sites; those of the last call, as long as no site has changed."""
    global _last
    last = _last  # Another thread may put another: then both are right, each for its own tables.
    if last is None or last[0] is not tables.sites or last[1] is not tables.site_numbers.words:
        words = tables.site_numbers.words
        last = _last = (tables.sites, words, _Doors(tables.sites, words))
    return last[2]


class _Holders:
    """Which sites hold the files of a block, remembered for one call."""

    def __init__(self, tables: ImageTables) -> None:
        self._replicas, self._doors = tables.replicas, _doors_of(tables)
        self._blocks: dict[int, list[int]] = {}

    def holding(self, block: int, ordinal: int) -> Sequence[int]:
        """The numbers of the sites that hold a file, by name."""
        known = self._blocks.get(block)
        if known is not None:
            return known
        complete = self._replicas.complete_sites(block)
        if complete is None:
            rows = self._replicas.rows_of(block).items()
            # Which files a partial replica holds differs from file to file, so this is not remembered.
            sites = [site for site, row in rows if row.held is None or row.held >> ordinal & 1]
            return sorted(sites, key=self._doors.rank.__getitem__)
        sites = memoryview(complete).cast("H").tolist()
        if not self._doors.is_sorted:
            sites.sort(key=self._doors.rank.__getitem__)
        self._blocks[block] = sites
        return sites


def _exchange(door: Door) -> tuple[str, str] | None:
    """What a door exchanges for what, the root included; None if it does more than that, or makes no paths."""
    exchanged = pfn.exchanged_prefix(door.rules) if door.rules.chains else ("", "")
    if exchanged is None or pfn.bytes_added(door.rules) is None:
        return None
    return exchanged[0], door.root.rstrip("/") + exchanged[1]
