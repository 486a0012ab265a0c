"""The invariants of the inventory as code: what must hold at every position.

Each function yields a Finding for each violation and nothing else; the numbers
are those of ``docs/invariants.md``. Those over a Snapshot serve every form of
the inventory (and the simulator); those over a connection look at what only
the SQL form has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, func, select

from holdfast.inventory import journal, schema, sql_journal
from holdfast.inventory.store import Cursor, Snapshot
from holdfast.model import pfn
from holdfast.model.changes import touched
from holdfast.model.errors import HoldfastError
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockReplica, FileColumns, FileRecord, Request, RequestState, check_files

LOOKUP_ROWS = 5000
"""So many files are looked up at once."""


@dataclass(frozen=True, slots=True)
class Touch:
    """An entry that touched what a finding is about."""

    position: int
    at_us: int
    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: the invariant's number ("I3"), where, and what; and since when, where that is known."""

    invariant: str
    place: str
    message: str
    about: tuple[str, str] | None = None
    """What it is about, as the side table names it: ("dataset", key) or ("site", name)."""
    since: tuple[int, int] | None = None
    """The last position at which all was sound, and the position that was looked at."""
    touches: tuple[Touch, ...] = ()
    """The last entries between the two that touched what it is about."""


def check_files_of_blocks(view: Snapshot) -> Iterator[Finding]:
    """I3 and I4: blocks are the sums of their files; files are valid and found where they are."""
    waiting: list[tuple[BlockKey, FileColumns]] = []
    for dataset in view.datasets(staged=True):
        for block in view.blocks(dataset.key):
            files = view.files(block.key)
            if (len(files), sum(files.sizes)) != (block.n_files, block.size):
                message = f"says {block.n_files} files, {block.size} bytes; has {len(files)}, {sum(files.sizes)}"
                yield Finding("I3", str(block.key), message, _about(block.key))
            try:
                check_files(files)
            except HoldfastError as error:
                yield Finding("I4", str(block.key), error.message, _about(block.key))
            waiting.append((block.key, files))
            if sum(len(each) for _, each in waiting) >= LOOKUP_ROWS:
                yield from _check_lookup(waiting, view)
                waiting = []
    yield from _check_lookup(waiting, view)


def _check_lookup(blocks: Sequence[tuple[BlockKey, FileColumns]], view: Snapshot) -> Iterator[Finding]:
    """I4: each file is found under its LFN. Many blocks are asked for together."""
    try:
        found = iter(view.lookup([lfn for _, files in blocks for lfn in files.lfns()]))
    except HoldfastError as error:  # A name that is none: told already, and nothing else can be asked then.
        yield Finding("I4", str(blocks[0][0]), f"its files cannot be looked up: {error.message}", _about(blocks[0][0]))
        return
    for key, files in blocks:
        records = list(islice(found, len(files)))
        if any(record is None or record.ordinal != row or record.block != key for row, record in enumerate(records)):
            yield Finding("I4", str(key), "a look-up of its LFNs finds other files", _about(key))


def _about(block: BlockKey) -> tuple[str, str]:
    return "dataset", str(block.dataset)


def check_replicas(view: Snapshot) -> Iterator[Finding]:
    """I5: replicas have a block and a site, and say truly what they hold."""
    sites = {site.name for site in view.sites()}
    blocks: dict[BlockKey, Block] = {
        block.key: block for dataset in view.datasets(staged=True) for block in view.blocks(dataset.key)
    }
    current: tuple[BlockKey, Sequence[int]] | None = None
    for replica in view.replicas():
        place = f"{replica.block} at {replica.site}"
        if replica.site not in sites:
            yield Finding("I5", place, "the site is not known", ("site", replica.site))
        block = blocks.get(replica.block)
        if block is None:
            yield Finding("I5", place, "the block is not known", _about(replica.block))
            continue
        # A complete one is as large as its block, and whether the block is right is asked of the block.
        if replica.held is not None and (current is None or current[0] != replica.block):
            current = (replica.block, view.files(replica.block).sizes)
        sizes = current[1] if current is not None and replica.held is not None else ()
        yield from _check_replica(replica, block, sizes, place)


def _check_replica(replica: BlockReplica, block: Block, sizes: Sequence[int], place: str) -> Iterator[Finding]:
    held, about = replica.files(block.n_files), _about(replica.block)
    if not held.within(block.n_files):
        yield Finding("I5", place, f"holds files beyond the {block.n_files} of its block", about)
        return
    if replica.held is not None and len(replica.held) == block.n_files:
        yield Finding("I5", place, "holds all files but is not marked complete", about)
    size = block.size if replica.held is None else replica.size
    if len(sizes) == block.n_files and replica.held is not None:
        size = sum(sizes[ordinal] for ordinal in held)
    if (replica.n_files, replica.size) != (len(held), size):
        message = f"says {replica.n_files} files, {replica.size} bytes; holds {len(held)}, {size}"
        yield Finding("I5", place, message, about)
    if not replica.n_files and replica.verified_us is not None:
        yield Finding("I5", place, "holds nothing but was verified", about)


def check_datasets(view: Snapshot) -> Iterator[Finding]:
    """I6: what is staged says from where; what is visible and closed has files."""
    sites = {site.name for site in view.sites()}
    for dataset in view.datasets(staged=True):
        if dataset.staging is not None and dataset.staging.site not in sites:
            message = f"is staged at the unknown site {dataset.staging.site}"
            yield Finding("I6", str(dataset.key), message, ("dataset", str(dataset.key)))


def check_requests(view: Snapshot) -> Iterator[Finding]:
    """I7 and I8: open copies have replicas to fill; open deletions touch nothing that is had or awaited."""
    for copy in view.copy_requests():
        there = {replica.block.block for replica in view.replicas(dataset=copy.dataset, site=copy.site)}
        lacking = sorted({part.block for part in copy.scope} - there)
        if lacking:
            message = f"no replica of block {lacking[0]} at {copy.site}"
            yield Finding("I7", f"request {copy.id}", message, ("dataset", str(copy.dataset)))
    for deletion in view.deletion_requests():
        rules = view.site(deletion.site).doors[0].rules
        lfns = [pfn.lfn_of(rules, orphan.path) for orphan in deletion.orphans]
        for record in view.lookup([lfn for lfn in lfns if lfn is not None]):
            if record is not None and _is_wanted(record, deletion.site, view):
                message = f"{record.lfn} is had or awaited at {deletion.site}"
                yield Finding("I8", f"request {deletion.id}", message, _about(record.block))
    requests: list[Request] = [*view.copy_requests(), *view.deletion_requests()]
    for request in requests:
        if request.state is not RequestState.OPEN:
            yield Finding("I7", f"request {request.id}", f"is listed as open and says {request.state.value}")


def _is_wanted(file: FileRecord, site: str, view: Snapshot) -> bool:
    """Whether a site holds a file, or awaits it; that it has others of the block is no matter."""
    if any(replica.holds(file.ordinal) for replica in view.replicas(block=file.block, site=site)):
        return True
    here = [each for each in view.copy_requests() if (each.dataset, each.site) == (file.block.dataset, site)]
    parts = [part for each in here for part in each.scope if part.block == file.block.block]
    return any(part.ordinals is None or file.ordinal in part.ordinals for part in parts)


SNAPSHOT_CHECKS: tuple[Callable[[Snapshot], Iterator[Finding]], ...] = (
    check_files_of_blocks,
    check_replicas,
    check_datasets,
    check_requests,
)


def check_journal(connection: Connection) -> Iterator[Finding]:
    """I1 and I2: positions without a gap, digests a chain, time forward; the side table complete."""
    head = connection.execute(select(schema.head)).one()
    first = sql_journal.start(connection)
    position, digest, at_us, epoch = first.position, first.digest, _start_us(connection), first.epoch
    entries = select(schema.journal).order_by(schema.journal.c.position)
    with connection.execute(entries.execution_options(yield_per=sql_journal.READ_ROWS)) as result:
        for rows in result.partitions():
            named = _touched_between(connection, rows[0].position, rows[-1].position)
            for row in rows:
                place = f"position {row.position}"
                if row.position != position + 1:
                    yield Finding(
                        "I1", place, f"follows position {position}: {_missing(position + 1, row.position - 1)}"
                    )
                if row.at_us < at_us:
                    yield Finding("I1", place, "is earlier than the entry before it")
                yield from _check_entry(row, digest, named.get(row.position, set()), place)
                position, digest, at_us, epoch = row.position, row.digest, row.at_us, row.epoch
    if (head.position, head.digest, head.epoch) != (position, digest, epoch):
        yield Finding("I1", "head", f"says position {head.position}, the journal ends at {position}")


def _missing(first: int, last: int) -> str:
    return f"position {first} is missing" if first == last else f"positions {first} to {last} are missing"


def _start_us(connection: Connection) -> int:
    """The time of the last entry that is not kept any more."""
    return connection.scalar(select(schema.start.c.at_us)) or 0


def _check_entry(row: Row[Any], before: str, kept: set[tuple[str, str]], place: str) -> Iterator[Finding]:
    try:
        body = journal.unpack(row.body, position=row.position)
        changes = journal.decode(body, position=row.position)
    except HoldfastError as error:
        yield Finding("I1", place, error.message)
        return
    if row.digest != sql_journal.digest_of(row, body, before):
        yield Finding("I1", place, "its digest does not follow from the entry before it")
    for change in changes:
        datasets, sites = touched(change)
        named = {("dataset", str(key)) for key in datasets} | {("site", name) for name in sites}
        for kind, item in sorted(named - kept):
            message = f"{change.kind} touches {kind} {item}, the side table does not say so"
            yield Finding("I2", place, message, (kind, item))


def _touched_between(connection: Connection, first: int, last: int) -> dict[int, set[tuple[str, str]]]:
    """What the side table names, by position."""
    table = schema.touched.c
    query = select(table.position, table.kind, table.item).where(table.position.between(first, last))
    named: dict[int, set[tuple[str, str]]] = {}
    for position, kind, item in connection.execute(query):
        named.setdefault(position, set()).add((kind, item))
    return named


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
    first = sql_journal.start(connection)
    for row in connection.execute(select(schema.cursor)).all():
        place = f"cursor {row.name}"
        if row.position > head.position:
            yield Finding("I9", place, f"is at {row.position}, ahead of the journal at {head.position}")
        elif row.position < first.position:
            yield Finding("I9", place, f"is at {row.position}, before the journal, which begins after {first.position}")
        elif sql_journal.point(connection, row.position) != Cursor(row.epoch, row.position, row.digest):
            yield Finding("I9", place, f"is on another history at position {row.position}")


def check_file_format(connection: Connection) -> Iterator[Finding]:
    """I10: the database itself is sound and its references hold."""
    if connection.dialect.name == "sqlite":  # PostgreSQL proves each page that it reads, where checksums are on.
        for (message,) in connection.exec_driver_sql("PRAGMA integrity_check(20)").all():
            if message != "ok":
                yield Finding("I10", "database", str(message))
    for table in schema.metadata.sorted_tables:
        for reference in sorted(table.foreign_keys, key=lambda each: each.parent.name):
            child, parent = reference.parent, reference.column
            dangling = select(child).distinct().outerjoin_from(table, parent.table, child == parent)
            for (number,) in connection.execute(dangling.where(parent.is_(None)).order_by(child).limit(20)):
                message = f"{child.name} {number} refers to a {parent.table.name} that is not there"
                yield Finding("I10", f"table {table.name}", message)


CONNECTION_CHECKS: tuple[Callable[[Connection], Iterator[Finding]], ...] = (
    check_file_format,
    check_journal,
    check_ordinals,
    check_cursors,
)
