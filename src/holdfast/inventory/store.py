"""Store: the durable inventory and its journal, and the snapshots read from it.

The only way in is ``commit``: one ChangeSet, one SQL transaction, one journal
entry at the next position. The only ways out are snapshots (what is) and
entries (what happened). There is no third.

Rules
  * A commit is atomic, durable when ``commit`` returns, and serial: one writer
    at a time over all processes. If it raises, nothing happened.
  * Positions are 1, 2, 3 ... without a gap, in commit order, over epochs. A
    change set without changes only checks its requirements (and carries
    ``also``) and takes no position.
  * ``at_us`` never runs backwards, whatever the clock does.
  * Every entry's digest covers the digest before it. (epoch, position, digest)
    is the identity of a history; a reader whose cursor does not lie on ours
    gets ResyncNeeded, never a guess.
  * Old entries may be trimmed, never the last one, and positions go on. A reader before ``start`` gets ResyncNeeded;
    what a snapshot says, ``changed_since`` and ``last_touched`` too, is not altered by it.
  * Requirements are checked first (``requirements``), then each change against the state its
    predecessors left (``holdfast.inventory.rules``); a violation is a Conflict,
    UnknownName or BadInput that names the rows.
  * A snapshot is one position of the inventory, whole; it does not move while
    it is held, and holding it stops nobody.
  * While a database server is away, a commit that has had no effect is tried again for a while; then ``also`` is
    called again too. What is raised in the end says that nothing happened, or that this cannot be known
    (OutcomeUnknown).
  * Rooms may keep their own passing state beside the inventory (``room``), in
    tables of their own, written in the same turn: alone by ``write``, or
    together with a change set by ``commit(also=...)``.

Every implementation passes ``holdfast.testing.store_suite``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.model.changes import Change, ChangeSet, Origin
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    Block,
    BlockReplica,
    CopyRequest,
    Dataset,
    DeletionRequest,
    FileColumns,
    FileRecord,
    Lock,
    Permission,
    ReplicaSum,
    Request,
    Restore,
    Site,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData


@dataclass(frozen=True, slots=True)
class Cursor:
    """A point of a history: what a reader of the journal keeps."""

    epoch: str
    position: int
    digest: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal ends: the cursor of its last entry, and that entry's time."""

    epoch: str
    position: int
    digest: str
    at_us: int

    @property
    def cursor(self) -> Cursor:
        """The point a reader has reached that knows everything up to here."""
        return Cursor(self.epoch, self.position, self.digest)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One change set as the journal keeps it."""

    epoch: str
    position: int
    at_us: int
    actor: str
    cause: str
    origin: Origin | None
    changes: tuple[Change, ...]
    digest: str

    @property
    def cursor(self) -> Cursor:
        """The point a reader has reached that has taken this entry in."""
        return Cursor(self.epoch, self.position, self.digest)


class Snapshot(Protocol):
    """The inventory at one position. Lists are in the order of their keys.

    Staged datasets are left out of ``datasets`` unless asked for; everything
    else answers for them too, for they are in the inventory. The ``find_``
    methods take many keys in any order, some of them perhaps twice, and leave
    out what is not there; their answers have no order.
    """

    @property
    def head(self) -> Head:
        """The position this snapshot shows."""

    @property
    def digests(self) -> frozenset[str]:
        """The algorithms whose digests of files are kept here; FileColumns and FileRecord have no others."""

    def sites(self) -> list[Site]:
        """All sites."""

    def site(self, name: str) -> Site:
        """One site; UnknownName with the nearest known names."""

    def groups(self) -> list[str]:
        """The names of all groups."""

    def datasets(self, *, staged: bool = False) -> list[Dataset]:
        """All visible datasets, with ``staged`` also the others."""

    def dataset(self, key: DatasetKey) -> Dataset:
        """One dataset, visible or not; UnknownName."""

    def blocks(self, dataset: DatasetKey) -> list[Block]:
        """The blocks of a dataset; UnknownName if there is no such dataset."""

    def files(self, block: BlockKey) -> FileColumns:
        """All files of a block by ordinal; UnknownName."""

    def find_files(self, keys: Collection[BlockKey]) -> Mapping[BlockKey, FileColumns]:
        """All files of those of many blocks that are there, by ordinal."""

    def replicas(
        self, *, dataset: DatasetKey | None = None, block: BlockKey | None = None, site: str | None = None
    ) -> list[BlockReplica]:
        """Block replicas, of one dataset, of one block, at one site, or all."""

    def find_datasets(self, keys: Collection[DatasetKey]) -> Mapping[DatasetKey, Dataset]:
        """Those of many datasets that are there, visible or not."""

    def find_blocks(self, keys: Collection[BlockKey]) -> Mapping[BlockKey, Block]:
        """Those of many blocks that are there."""

    def find_replicas(self, keys: Collection[BlockKey], site: str) -> Mapping[BlockKey, BlockReplica]:
        """The replicas of many blocks at one site; a block without one there is left out."""

    def find_replicas_of_blocks(self, keys: Collection[BlockKey]) -> Mapping[BlockKey, list[BlockReplica]]:
        """All replicas of many blocks, by site; an unknown block is left out, one without any has an empty list."""

    def sums(self) -> list[ReplicaSum]:
        """The sums over all block replicas by site, group, status of the dataset and whether that is staged."""

    def lookup(self, lfns: Sequence[str]) -> list[FileRecord | None]:
        """Each LFN's file or None, in the order asked. Unparsable LFNs are InvalidName."""

    def blocks_below(self, directories: Collection[str]) -> Mapping[str, list[BlockKey]]:
        """The blocks of the files whose LFNs lie in each directory, however deep; one without any is left out."""

    def locks(self) -> list[Lock]:
        """All locks, expired ones too."""

    def copy_requests(
        self, *, only_open: bool = True, dataset: DatasetKey | None = None, site: str | None = None
    ) -> list[CopyRequest]:
        """Copies that were asked for, of all datasets to all sites or of one, oldest first."""

    def deletion_requests(
        self, *, only_open: bool = True, dataset: DatasetKey | None = None, site: str | None = None
    ) -> list[DeletionRequest]:
        """Deletions that were asked for, oldest first; with ``dataset`` those of its replicas only."""

    def request(self, id: str) -> Request | None:
        """One request, open or not; None if there is none."""

    def restored(self) -> Restore | None:
        """The last restore of a backup; None if there never was one."""

    def permissions(self) -> list[Permission]:
        """What is known of owners and modes, directories first."""

    def changed_since(self, position: int) -> tuple[frozenset[DatasetKey], frozenset[str]]:
        """Datasets and sites that entries after ``position`` have touched."""

    def longest_directory(self) -> int:
        """Bytes of the longest directory that a registered file lies in, or more."""

    def last_touched(self) -> tuple[dict[DatasetKey, int], dict[str, int]]:
        """The position of the last entry that touched each dataset and each site, those no longer there too."""


class RoomTables(Protocol):
    """A room's own tables beside the inventory."""

    def write(self) -> AbstractContextManager[Connection]:
        """One transaction in the writer's turn: committed at the end, undone by an exception."""

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view of the room's tables."""


class Store(Protocol):
    """The durable inventory. The module's docstring is the contract."""

    def head(self) -> Head:
        """Where the journal ends now."""

    def commit(self, change_set: ChangeSet, *, also: Callable[[Connection], None] | None = None) -> Head:
        """Do it all or nothing; returns the head after it."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """The inventory as it is now, held still."""

    def entries(self, after: Cursor | None = None, *, limit: int = 1000) -> Iterable[JournalEntry]:
        """The entries after a cursor (None: from the first kept), oldest first; ResyncNeeded."""

    def start(self) -> Cursor:
        """The point before the first kept entry: the earliest from which a reader can go on."""

    def trim(self, through: int, *, drop_cursors: bool = False) -> Cursor:
        """Keep the entries up to ``through`` no longer; returns the start then. None to remove: nothing is done.

        Conflict, naming the readers, if a named cursor would be cut off, unless these cursors are to be dropped, too.
        BadInput if no entry would stay. Who wants to restart history some day calls ``holdfast.inventory.retention``.
        """

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head's position is beyond ``after``: True as soon as it is, False when the time is over.

        No time at all is a look. A database that is away has no news; the next read tells that it is away.
        """

    def cursor(self, name: str) -> Cursor | None:
        """How far the reader ``name`` has come; None if there is no such reader."""

    def advance(self, name: str, cursor: Cursor) -> None:
        """Keep how far the reader ``name`` has come; ResyncNeeded if the cursor is not on our history."""

    def cursors(self) -> dict[str, Cursor]:
        """All readers that keep their cursor here."""

    def room(self, tables: MetaData) -> RoomTables:
        """The tables of one room, made if they are not there."""

    def close(self) -> None:
        """Let go of files and connections; calling twice does no harm."""
