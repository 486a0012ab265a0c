"""Tables: the inventory's state as dictionaries, shared between positions until one of them changes.

What has been published is never written again. A change works on a ``draft``,
which shares every dictionary with its source and copies one before it first
writes to it; so a snapshot is a reference, a failed change leaves nothing
behind, and the price is a copy of the outer dictionaries a change touches.
Inner dictionaries are replaced, never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from holdfast.inventory import journal
from holdfast.inventory.store import Head
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Block, BlockReplica, Dataset, FileColumns, Lock, Permission, Request, Restore, Site

K = TypeVar("K")
V = TypeVar("V")


class Table(Generic[K, V]):
    """A dictionary that is copied before the first write to it."""

    __slots__ = ("_is_own", "_rows")

    def __init__(self, rows: dict[K, V] | None = None) -> None:
        self._rows: dict[K, V] = rows or {}
        self._is_own = False

    @property
    def rows(self) -> Mapping[K, V]:
        """The rows, for reading."""
        return self._rows

    def own(self) -> dict[K, V]:
        """The rows, for writing by the draft that this table belongs to."""
        if not self._is_own:
            self._rows, self._is_own = dict(self._rows), True
        return self._rows

    def draft(self) -> Table[K, V]:
        """The same rows for another draft."""
        return Table(self._rows)


@dataclass(slots=True)
class Tables:
    """Everything the inventory knows at one position."""

    head: Head
    sites: Table[str, Site] = field(default_factory=Table)
    groups: Table[str, None] = field(default_factory=Table)
    datasets: Table[DatasetKey, Dataset] = field(default_factory=Table)
    blocks: Table[DatasetKey, dict[str, Block]] = field(default_factory=Table)
    files: Table[BlockKey, FileColumns] = field(default_factory=Table)
    directories: Table[str, dict[str, tuple[BlockKey, int]]] = field(default_factory=Table)
    """Block and ordinal of each file, by the directory and the name of its LFN."""
    replicas: Table[BlockKey, dict[str, BlockReplica]] = field(default_factory=Table)
    locks: Table[str, Lock] = field(default_factory=Table)
    requests: Table[str, Request] = field(default_factory=Table)
    permissions: Table[tuple[str, str], Permission] = field(default_factory=Table)
    touched_datasets: Table[DatasetKey, int] = field(default_factory=Table)
    """The last position that touched each dataset, forgotten ones too."""
    touched_sites: Table[str, int] = field(default_factory=Table)
    restore: Restore | None = None

    @classmethod
    def empty(cls, epoch: str) -> Tables:
        """The state before the first entry; ``epoch`` is "" where it is not known yet."""
        return cls(Head(epoch, 0, journal.genesis(epoch) if epoch else "", 0))

    def draft(self) -> Tables:
        """A state to be changed, beginning as this one."""
        return Tables(
            self.head,
            self.sites.draft(),
            self.groups.draft(),
            self.datasets.draft(),
            self.blocks.draft(),
            self.files.draft(),
            self.directories.draft(),
            self.replicas.draft(),
            self.locks.draft(),
            self.requests.draft(),
            self.permissions.draft(),
            self.touched_datasets.draft(),
            self.touched_sites.draft(),
            self.restore,
        )

    def index_files(self, block: BlockKey, files: FileColumns, first_ordinal: int) -> None:
        """Make the files of a block known by their LFNs."""
        new: list[dict[str, tuple[BlockKey, int]]] = [{} for _ in files.dirs]
        for row, (place, name) in enumerate(zip(files.dir_index, files.names, strict=True)):
            new[place][name] = (block, first_ordinal + row)
        directories = self.directories.own()
        for directory, entries in zip(files.dirs, new, strict=True):
            if entries:
                directories[directory] = {**directories.get(directory, {}), **entries}

    def forget_files(self, block: BlockKey) -> None:
        """Undo ``index_files`` for all files of a block."""
        directories = self.directories.own()
        for directory in self.files.rows[block].dirs:
            left = {name: place for name, place in directories[directory].items() if place[0] != block}
            if left:
                directories[directory] = left
            else:
                del directories[directory]


def joined(first: FileColumns, second: FileColumns) -> FileColumns:
    """The rows of both; directories in the order of their first row, checksum columns without any digest left out."""
    places: dict[str, int] = {}
    dir_index = tuple(
        places.setdefault(files.dirs[place], len(places)) for files in (first, second) for place in files.dir_index
    )
    checksums = {}
    for algorithm in {**first.checksums, **second.checksums}:
        column = (
            *first.checksums.get(algorithm, (None,) * len(first)),
            *second.checksums.get(algorithm, (None,) * len(second)),
        )
        if any(digest is not None for digest in column):
            checksums[algorithm] = column
    return replace(
        first,
        dirs=tuple(places),
        dir_index=dir_index,
        names=first.names + second.names,
        sizes=first.sizes + second.sizes,
        checksums=checksums,
    )
