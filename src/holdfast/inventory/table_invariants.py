"""The invariants of the inventory's tables as code: what only the SQL form has. The rest is in ``invariants``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, func, select

from holdfast.inventory import journal, schema, sql_journal
from holdfast.inventory.invariants import Violation
from holdfast.inventory.store import Cursor
from holdfast.model.changes import touched
from holdfast.model.errors import HoldfastError


def check_journal(connection: Connection) -> Iterator[Violation]:
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
                    yield Violation(
                        "I1", place, f"follows position {position}: {_missing(position + 1, row.position - 1)}"
                    )
                if row.at_us < at_us:
                    yield Violation("I1", place, "is earlier than the entry before it")
                yield from _check_entry(row, digest, named.get(row.position, set()), place)
                position, digest, at_us, epoch = row.position, row.digest, row.at_us, row.epoch
    if (head.position, head.digest, head.epoch) != (position, digest, epoch):
        yield Violation("I1", "head", f"says position {head.position}, the journal ends at {position}")


def _missing(first: int, last: int) -> str:
    return f"position {first} is missing" if first == last else f"positions {first} to {last} are missing"


def _start_us(connection: Connection) -> int:
    """The time of the last entry that is not kept any more."""
    return connection.scalar(select(schema.start.c.at_us)) or 0


def _check_entry(row: Row[Any], before: str, kept: set[tuple[str, str]], place: str) -> Iterator[Violation]:
    try:
        body = journal.unpack(row.body, position=row.position)
        changes = journal.decode(body, position=row.position)
    except HoldfastError as error:
        yield Violation("I1", place, error.message)
        return
    if row.digest != sql_journal.digest_of(row, body, before):
        yield Violation("I1", place, "its digest does not follow from the entry before it")
    for change in changes:
        datasets, sites = touched(change)
        named = {("dataset", str(key)) for key in datasets} | {("site", name) for name in sites}
        for kind, item in sorted(named - kept):
            message = f"{change.kind} touches {kind} {item}, the side table does not say so"
            yield Violation("I2", place, message, (kind, item))


def _touched_between(connection: Connection, first: int, last: int) -> dict[int, set[tuple[str, str]]]:
    """What the side table names, by position."""
    table = schema.touched.c
    query = select(table.position, table.kind, table.item).where(table.position.between(first, last))
    named: dict[int, set[tuple[str, str]]] = {}
    for position, kind, item in connection.execute(query):
        named.setdefault(position, set()).add((kind, item))
    return named


def check_ordinals(connection: Connection) -> Iterator[Violation]:
    """I3: the ordinals of a block are 0, 1, 2 ... without a gap."""
    table = schema.file.c
    query = (
        select(table.block_id, func.count(), func.min(table.ordinal), func.max(table.ordinal))
        .group_by(table.block_id)
        .having((func.min(table.ordinal) != 0) | (func.max(table.ordinal) != func.count() - 1))
    )
    for block_id, count, low, high in connection.execute(query):
        yield Violation("I3", f"block number {block_id}", f"{count} files have ordinals from {low} to {high}")


def check_cursors(connection: Connection) -> Iterator[Violation]:
    """I9: no reader is ahead of the journal, or on another history."""
    head = connection.execute(select(schema.head)).one()
    first = sql_journal.start(connection)
    for row in connection.execute(select(schema.cursor)).all():
        place = f"cursor {row.name}"
        if row.position > head.position:
            yield Violation("I9", place, f"is at {row.position}, ahead of the journal at {head.position}")
        elif row.position < first.position:
            yield Violation(
                "I9", place, f"is at {row.position}, before the journal, which begins after {first.position}"
            )
        elif sql_journal.point(connection, row.position) != Cursor(row.epoch, row.position, row.digest):
            yield Violation("I9", place, f"is on another history at position {row.position}")


def check_file_format(connection: Connection) -> Iterator[Violation]:
    """I10: the database itself is sound and its references hold."""
    if connection.dialect.name == "sqlite":  # PostgreSQL proves each page that it reads, where checksums are on.
        for (message,) in connection.exec_driver_sql("PRAGMA integrity_check(20)").all():
            if message != "ok":
                yield Violation("I10", "database", str(message))
    for table in schema.metadata.sorted_tables:
        for reference in sorted(table.foreign_keys, key=lambda each: each.parent.name):
            child, parent = reference.parent, reference.column
            dangling = select(child).distinct().outerjoin_from(table, parent.table, child == parent)
            for (number,) in connection.execute(dangling.where(parent.is_(None)).order_by(child).limit(20)):
                message = f"{child.name} {number} refers to a {parent.table.name} that is not there"
                yield Violation("I10", f"table {table.name}", message)


CONNECTION_CHECKS: tuple[Callable[[Connection], Iterator[Violation]], ...] = (
    check_file_format,
    check_journal,
    check_ordinals,
    check_cursors,
)
