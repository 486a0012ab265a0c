"""The invariants of the inventory as code: what must hold at every position.

Each function yields a Finding for each violation and nothing else; the numbers
are those of ``docs/invariants.md``. Those over a Snapshot serve every form of
the inventory (and the simulator); those over a connection look at what only
the SQL form has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from holdfast.inventory import journal, schema
from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.changes import Origin, touched
from holdfast.model.errors import HoldfastError
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockReplica, FileColumns, Request, RequestState, check_files


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: the invariant's number ("I3"), where, and what."""

    invariant: str
    place: str
    message: str


def check_files_of_blocks(view: Snapshot) -> Iterator[Finding]:
    """I3 and I4: blocks are the sums of their files; files are valid and found where they are."""
    for dataset in view.datasets(staged=True):
        for block in view.blocks(dataset.key):
            files = view.files(block.key)
            if (len(files), sum(files.sizes)) != (block.n_files, block.size):
                message = f"says {block.n_files} files, {block.size} bytes; has {len(files)}, {sum(files.sizes)}"
                yield Finding("I3", str(block.key), message)
            try:
                check_files(files)
            except HoldfastError as error:
                yield Finding("I4", str(block.key), error.message)
            found = view.lookup(list(files.lfns()))
            places = [(record.block, record.ordinal) if record else None for record in found]
            if places != [(block.key, ordinal) for ordinal in range(len(files))]:
                yield Finding("I4", str(block.key), "a look-up of its LFNs finds other files")


def check_replicas(view: Snapshot) -> Iterator[Finding]:
    """I5: replicas have a block and a site, and say truly what they hold."""
    sites = {site.name for site in view.sites()}
    blocks: dict[BlockKey, Block] = {
        block.key: block for dataset in view.datasets(staged=True) for block in view.blocks(dataset.key)
    }
    current: tuple[BlockKey, FileColumns] | None = None
    for replica in view.replicas():
        place = f"{replica.block} at {replica.site}"
        if replica.site not in sites:
            yield Finding("I5", place, "the site is not known")
        block = blocks.get(replica.block)
        if block is None:
            yield Finding("I5", place, "the block is not known")
            continue
        if current is None or current[0] != replica.block:
            current = (replica.block, view.files(replica.block))
        yield from _check_replica(replica, block, current[1], place)


def _check_replica(replica: BlockReplica, block: Block, files: FileColumns, place: str) -> Iterator[Finding]:
    held = replica.files(block.n_files)
    if not held.within(block.n_files):
        yield Finding("I5", place, f"holds files beyond the {block.n_files} of its block")
        return
    if replica.held is not None and len(replica.held) == block.n_files:
        yield Finding("I5", place, "holds all files but is not marked complete")
    size = sum(files.sizes[ordinal] for ordinal in held) if len(files) == block.n_files else replica.size
    if (replica.n_files, replica.size) != (len(held), size):
        yield Finding("I5", place, f"says {replica.n_files} files, {replica.size} bytes; holds {len(held)}, {size}")
    if replica.held == FileSet() and replica.verified_us is not None:
        yield Finding("I5", place, "holds nothing but was verified")


def check_datasets(view: Snapshot) -> Iterator[Finding]:
    """I6: what is staged says from where; what is visible and closed has files."""
    sites = {site.name for site in view.sites()}
    for dataset in view.datasets(staged=True):
        if dataset.staging is not None and dataset.staging.site not in sites:
            yield Finding("I6", str(dataset.key), f"is staged at the unknown site {dataset.staging.site}")


def check_requests(view: Snapshot) -> Iterator[Finding]:
    """I7 and I8: open copies have replicas to fill; open deletions touch nothing that is had or awaited."""
    for copy in view.copy_requests():
        there = {replica.block.block for replica in view.replicas(dataset=copy.dataset, site=copy.site)}
        lacking = sorted({part.block for part in copy.scope} - there)
        if lacking:
            yield Finding("I7", f"request {copy.id}", f"no replica of block {lacking[0]} at {copy.site}")
    for deletion in view.deletion_requests():
        rules = view.site(deletion.site).doors[0].rules
        lfns = [pfn.lfn_of(rules, orphan.path) for orphan in deletion.orphans]
        for record in view.lookup([lfn for lfn in lfns if lfn is not None]):
            if record is not None and view.replicas(block=record.block, site=deletion.site):
                yield Finding("I8", f"request {deletion.id}", f"{record.lfn} is had or awaited at {deletion.site}")
    requests: list[Request] = [*view.copy_requests(), *view.deletion_requests()]
    for request in requests:
        if request.state is not RequestState.OPEN:
            yield Finding("I7", f"request {request.id}", f"is listed as open and says {request.state.value}")


SNAPSHOT_CHECKS: tuple[Callable[[Snapshot], Iterator[Finding]], ...] = (
    check_files_of_blocks,
    check_replicas,
    check_datasets,
    check_requests,
)


def check_journal(connection: Connection) -> Iterator[Finding]:
    """I1 and I2: positions without a gap, digests a chain, time forward; the side table complete."""
    head = connection.execute(select(schema.head)).one()
    position, digest, at_us, epoch = 0, journal.genesis(head.first_epoch), 0, head.first_epoch
    for row in connection.execute(select(schema.journal).order_by(schema.journal.c.position)):
        place = f"position {row.position}"
        position += 1
        if row.position != position:
            yield Finding("I1", place, f"position {position} is missing")
            position = row.position
        if row.at_us < at_us:
            yield Finding("I1", place, "is earlier than the entry before it")
        body = journal.unpack(row.body, position=row.position)
        origin = None if row.origin_endpoint is None else Origin(row.origin_endpoint, row.origin_message)
        fields = {"epoch": row.epoch, "position": row.position, "at_us": row.at_us}
        expected = journal.digest(digest, body, **fields, actor=row.actor, cause=row.cause, origin=origin)
        if row.digest != expected:
            yield Finding("I1", place, "its digest does not follow from the entry before it")
        yield from _check_touched(connection, row.position, body)
        digest, at_us, epoch = row.digest, row.at_us, row.epoch
    if (head.position, head.digest, head.epoch) != (position, digest, epoch):
        yield Finding("I1", "head", f"says position {head.position}, the journal ends at {position}")


def _check_touched(connection: Connection, position: int, body: bytes) -> Iterator[Finding]:
    table = schema.touched.c
    rows = connection.execute(select(table.kind, table.item).where(table.position == position))
    kept = {(row.kind, row.item) for row in rows}
    for change in journal.decode(body, position=position):
        datasets, sites = touched(change)
        named = {("dataset", str(key)) for key in datasets} | {("site", name) for name in sites}
        for kind, item in sorted(named - kept):
            yield Finding(
                "I2", f"position {position}", f"{change.kind} touches {kind} {item}, the side table does not say so"
            )


def check_ordinals(connection: Connection) -> Iterator[Finding]:
    """I3: the ordinals of a block are 0, 1, 2 ... without a gap."""
    table = schema.file.c
    query = (
        select(table.block_id, func.count(), func.min(table.ordinal), func.max(table.ordinal))
        .group_by(table.block_id)
        .having((func.min(table.ordinal) != 0) | (func.max(table.ordinal) != func.count() - 1))
    )
    for block_id, count, low, high in connection.execute(query):
        yield Finding("I3", f"block number {block_id}", f"{count} files have ordinals from {low} to {high}")


def check_cursors(connection: Connection) -> Iterator[Finding]:
    """I9: no reader is ahead of the journal, or on another history."""
    head = connection.execute(select(schema.head)).one()
    digests = select(schema.journal.c.digest)
    for row in connection.execute(select(schema.cursor)).all():
        place = f"cursor {row.name}"
        if row.position > head.position:
            yield Finding("I9", place, f"is at {row.position}, ahead of the journal at {head.position}")
        elif row.position:
            known = connection.scalar(digests.where(schema.journal.c.position == row.position))
            if known != row.digest:
                yield Finding("I9", place, f"has another digest at position {row.position}")


def check_file_format(connection: Connection) -> Iterator[Finding]:
    """I10: the database itself is sound and its references hold."""
    for (message,) in connection.exec_driver_sql("PRAGMA integrity_check(20)").all():
        if message != "ok":
            yield Finding("I10", "database", str(message))
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        yield Finding("I10", f"table {table}", f"row {row} refers to a {parent} that is not there")


CONNECTION_CHECKS: tuple[Callable[[Connection], Iterator[Finding]], ...] = (
    check_file_format,
    check_journal,
    check_ordinals,
    check_cursors,
)
