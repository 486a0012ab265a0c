"""Tables: everything the inventory knows at one position, never written.

A change gives new Tables that share with the old all that it does not concern;
so a snapshot is a reference, and what fails half-way leaves nothing behind.
Blocks, sites and groups have numbers here that are the image's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.inventory import journal
from holdfast.inventory.image import file_table, replica_table
from holdfast.inventory.image.block_columns import BlockRow
from holdfast.inventory.image.block_table import BlockTable
from holdfast.inventory.image.file_table import FileTable
from holdfast.inventory.image.layered import GONE, Layered
from holdfast.inventory.image.replica_columns import ReplicaRow
from holdfast.inventory.image.replica_table import ReplicaTable
from holdfast.inventory.store import Head
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Block, BlockReplica, Dataset, Lock, Permission, Request, RequestState, Restore, Site

SMALL = (
    "sites",
    "groups",
    "datasets",
    "locks",
    "open_requests",
    "closed_requests",
    "permissions",
    "touched_datasets",
    "touched_sites",
)
"""The tables that are mappings of records."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Words by number and numbers by word; a number is never given to another word."""

    words: tuple[str, ...] = ()
    by_word: Layered[str, int] = field(default_factory=Layered)

    def with_word(self, word: str) -> Numbers:
        """These numbers, one for ``word`` among them."""
        if word in self.by_word:
            return self
        return Numbers((*self.words, word), self.by_word.with_item(word, len(self.words)))


@dataclass(frozen=True, slots=True)
class TableSizes:
    """How large pieces grow, and how many changes make it pay to bring them into columns."""

    chunk_blocks: int = replica_table.CHUNK_BLOCKS
    changed_min: int = replica_table.CHANGED_MIN
    files: file_table.FileTableSizes = field(default_factory=file_table.FileTableSizes)


@dataclass(frozen=True, slots=True)
class ImageTables:
    """See the module's docstring."""

    head: Head
    sites: Layered[str, Site] = field(default_factory=Layered)
    groups: Layered[str, None] = field(default_factory=Layered)
    datasets: Layered[DatasetKey, Dataset] = field(default_factory=Layered)
    blocks: BlockTable = field(default_factory=BlockTable)
    files: FileTable = field(default_factory=FileTable.empty)
    replicas: ReplicaTable = field(default_factory=ReplicaTable)
    site_numbers: Numbers = field(default_factory=Numbers)
    owner_numbers: Numbers = field(default_factory=Numbers)
    locks: Layered[str, Lock] = field(default_factory=Layered)
    open_requests: Layered[str, Request] = field(default_factory=Layered)
    closed_requests: Layered[str, Request] = field(default_factory=Layered)
    """Apart, because they grow for ever, and the open ones are asked for all the time."""
    permissions: Layered[tuple[str, str], Permission] = field(default_factory=Layered)
    touched_datasets: Layered[DatasetKey, int] = field(default_factory=Layered)
    """The last position that touched each dataset, forgotten ones too."""
    touched_sites: Layered[str, int] = field(default_factory=Layered)
    restore: Restore | None = None

    @classmethod
    def empty(cls, epoch: str, sizes: TableSizes | None = None) -> ImageTables:
        """The state before the first entry; ``epoch`` is "" where it is not known yet."""
        return cls(Head(epoch, 0, journal.genesis(epoch) if epoch else "", 0)).of_sizes(sizes or TableSizes())

    def of_sizes(self, sizes: TableSizes) -> ImageTables:
        """These tables, which must hold no file yet, with pieces of other sizes from now on."""
        replicas = replace(self.replicas, chunk_blocks=sizes.chunk_blocks, changed_min=sizes.changed_min)
        blocks = replace(self.blocks, changed_min=sizes.changed_min)
        return replace(self, blocks=blocks, replicas=replicas, files=FileTable.empty(sizes=sizes.files))

    def number(self, key: BlockKey) -> int:
        """The number of a block; LookupError if it is not known."""
        row = self.blocks.row(key)
        if row is None:
            raise LookupError(str(key))
        return row.number

    def block(self, key: BlockKey) -> Block:
        """A block; LookupError if it is not known."""
        row = self.blocks.row(key)
        if row is None:
            raise LookupError(str(key))
        return Block(key, row.n_files, row.size)

    def replica(self, key: BlockKey, row: BlockRow, site: int, found: ReplicaRow) -> BlockReplica:
        """A replica's row as a record; ``row`` is its block's."""
        owner, is_custodial, held, n_files, size, verified_us, updated_us = found
        if held is None:
            n_files, size = row.n_files, row.size
        return BlockReplica(
            key,
            self.site_numbers.words[site],
            self.owner_numbers.words[owner],
            is_custodial,
            None if held is None else FileSet(held),
            n_files,
            size,
            verified_us,
            updated_us,
        )

    def replicas_of(self, key: BlockKey) -> list[BlockReplica]:
        """The replicas of a block, by site; none if the block is not known."""
        row = self.blocks.row(key)
        if row is None:
            return []
        found = self.replicas.rows_of(row.number).items()
        return sorted((self.replica(key, row, *each) for each in found), key=lambda replica: replica.site)

    def replica_at(self, key: BlockKey, site: str) -> BlockReplica | None:
        """The replica of a block at a site."""
        row, number = self.blocks.row(key), self.site_numbers.by_word.get(site)
        if row is None or number is None:
            return None
        found = self.replicas.row(row.number, number)
        return None if found is None else self.replica(key, row, number, found)

    def replicas_at(self, keys: Sequence[BlockKey], site: str) -> list[BlockReplica]:
        """The replicas of many blocks at a site; blocks without one there are left out."""
        number = self.site_numbers.by_word.get(site)
        known = [(key, row) for key, row in ((key, self.blocks.row(key)) for key in keys) if row is not None]
        if number is None or not known:
            return []
        found = self.replicas.rows_at([row.number for _, row in known], number)
        pairs = zip(known, found, strict=True)
        return [self.replica(key, row, number, each) for (key, row), each in pairs if each is not None]

    def request(self, id: str) -> Request | None:
        """A request, open or not."""
        return self.open_requests.get(id) or self.closed_requests.get(id)

    def with_request(self, request: Request) -> ImageTables:
        """These tables after a request was put, a new one or one that has changed; a closed one stays closed."""
        if request.state is RequestState.OPEN:
            return replace(self, open_requests=self.open_requests.with_item(request.id, request))
        left = self.open_requests
        if request.id in left:
            left = left.with_item(request.id, GONE)
        return replace(self, open_requests=left, closed_requests=self.closed_requests.with_item(request.id, request))

    def with_replicas(self, replicas: Iterable[BlockReplica]) -> ImageTables:
        """These tables after replicas of known blocks were put."""
        sites, owners = self.site_numbers, self.owner_numbers
        changes: dict[int, dict[int, ReplicaRow | None]] = {}
        for replica in replicas:
            row = self.blocks.row(replica.block)
            if row is None:
                raise LookupError(str(replica.block))
            if replica.site not in sites.by_word:
                sites = sites.with_word(replica.site)
            if replica.group not in owners.by_word:
                owners = owners.with_word(replica.group)
            put = row_of(replica, owners.by_word[replica.group])
            changes.setdefault(row.number, {})[sites.by_word[replica.site]] = put
        table = self.replicas.with_rows(changes)
        return replace(self, replicas=table, site_numbers=sites, owner_numbers=owners)

    def without_replicas(self, keys: Iterable[BlockKey], site: str) -> ImageTables:
        """These tables without the replicas of some blocks at a site."""
        number = self.site_numbers.by_word.get(site)
        if number is None:
            return self
        there = (replica.block for replica in self.replicas_at(list(keys), site))
        changes: dict[int, Mapping[int, ReplicaRow | None]] = {self.number(key): {number: None} for key in there}
        return replace(self, replicas=self.replicas.with_rows(changes))

    def settled(self, changed_max: int) -> ImageTables:
        """The same tables with at most so many changes beside each small table, and each chunk of replicas."""
        replicas = self.replicas
        while (chunk := replicas.folding(changed_max)) is not None:
            replicas = replicas.folded(chunk)
        small = {name: getattr(self, name) for name in SMALL}
        folded = {name: table.folded() for name, table in small.items() if table.n_changes > changed_max}
        return replace(self, replicas=replicas, **folded)

    def with_folded_blocks(self) -> ImageTables | None:
        """The same tables after one bounded step of bringing blocks or replicas into columns; None if none pays."""
        if self.blocks.wants_folding:
            return replace(self, blocks=self.blocks.folded())
        chunk = self.replicas.folding()
        return None if chunk is None else replace(self, replicas=self.replicas.folded(chunk))


def row_of(replica: BlockReplica, owner: int) -> ReplicaRow:
    """A record as a row; a complete one has no totals of its own."""
    if replica.held is None:
        return ReplicaRow(owner, replica.is_custodial, None, 0, 0, replica.verified_us, replica.updated_us)
    held = replica.held.bits
    return ReplicaRow(
        owner, replica.is_custodial, held, replica.n_files, replica.size, replica.verified_us, replica.updated_us
    )
