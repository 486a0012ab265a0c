"""The journal in SQL: its rows and the head, written and read.

Who calls here has a connection and, to write, the writer's turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from holdfast.inventory import journal, schema
from holdfast.inventory.database import check_version
from holdfast.inventory.store import Cursor, Head, JournalEntry
from holdfast.inventory.trimming import not_on_history
from holdfast.model.changes import ChangeSet, Origin
from holdfast.model.errors import BrokenInvariant, OutcomeUnknown

READ_ROWS = 100
"""Of a whole journal so many entries are in memory at once: PostgreSQL's client would fetch them all."""


def begin_history(connection: Connection, epoch: str) -> None:
    """Write the head of an empty journal."""
    values = {"epoch": epoch, "first_epoch": epoch, "position": 0, "at_us": 0, "schema_version": schema.VERSION}
    connection.execute(insert(schema.head).values(id=1, digest=journal.genesis(epoch), **values))


def append(
    connection: Connection,
    head: Head,
    change_set: ChangeSet,
    body: bytes,
    touched: set[tuple[str, str]],
    *,
    at_us: int,
    epoch: str = "",
) -> Head:
    """Write the next journal entry and move the head to it."""
    epoch, position, origin = epoch or head.epoch, head.position + 1, change_set.origin
    digest = journal.digest(
        head.digest,
        body,
        epoch=epoch,
        position=position,
        at_us=at_us,
        actor=change_set.actor,
        cause=change_set.cause,
        origin=origin,
    )
    row = {"position": position, "epoch": epoch, "at_us": at_us, "digest": digest, "body": journal.pack(body)}
    row |= {"actor": change_set.actor, "cause": change_set.cause}
    row |= {"origin_endpoint": origin and origin.endpoint, "origin_message": origin and origin.message_id}
    connection.execute(insert(schema.journal).values(**row))
    if touched:
        rows = [{"position": position, "kind": kind, "item": item} for kind, item in sorted(touched)]
        connection.execute(insert(schema.touched), rows)
    moved = update(schema.head).where(schema.head.c.position == head.position)
    moved = moved.values(epoch=epoch, position=position, digest=digest, at_us=at_us)
    if connection.scalar(moved.returning(schema.head.c.position)) != position:
        raise BrokenInvariant(f"the head moved during a commit at position {position}")
    return Head(epoch, position, digest, at_us)


def has(connection: Connection, head: Head) -> bool:
    """Whether the entry at this position is, or was, this very one; OutcomeUnknown if it is too long ago."""
    first, table = start(connection), schema.journal.c
    if head.position < first.position:
        message = (
            f"whether the commit of position {head.position} stands cannot be told: that entry is not kept any more"
        )
        raise OutcomeUnknown(message, position=head.position, digest=head.digest)
    if head.position == first.position:
        return first.digest == head.digest
    return connection.scalar(select(table.digest).where(table.position == head.position)) == head.digest


def start(connection: Connection) -> Cursor:
    """The point before the first entry that is kept."""
    row = connection.execute(select(schema.start)).one_or_none()
    if row is not None:
        return Cursor(row.epoch, row.position, row.digest)
    epoch: str = connection.execute(select(schema.head.c.first_epoch)).scalar_one()
    return Cursor(epoch, 0, journal.genesis(epoch))


def point(connection: Connection, position: int) -> Cursor | None:
    """The point of our history at a position: that of the entry there, or the start; None if nothing is kept of it."""
    first = start(connection)
    if position == first.position:
        return first
    table = schema.journal.c
    row = connection.execute(select(table.epoch, table.digest).where(table.position == position)).one_or_none()
    return None if row is None else Cursor(row.epoch, position, row.digest)


def entries_after(connection: Connection, position: int, limit: int) -> Sequence[Row[Any]]:
    """The rows of the entries after a position, oldest first."""
    table = schema.journal
    return connection.execute(
        select(table).where(table.c.position > position).order_by(table.c.position).limit(limit)
    ).all()


def chained(rows: Iterable[Row[Any]], before: Cursor) -> Iterator[JournalEntry]:
    """The entries of these rows, each proved to follow from the one before it; BrokenInvariant.

    Who follows the journal takes nothing in that is not what was committed.
    """
    for row in rows:
        if row.position != before.position + 1:
            raise lost(before.position + 1)
        body = journal.unpack(row.body, position=row.position)
        if digest_of(row, body, before.digest) != row.digest:
            message = (
                "the journal entry is not the one that was written: its digest does not follow from the one before"
            )
            raise BrokenInvariant(message, place=f"position {row.position}", hint=_DAMAGED)
        entry = _entry(row, body)
        yield entry
        before = entry.cursor


_DAMAGED = "nothing was taken in; run `holdfast verify`"


def lost(position: int) -> BrokenInvariant:
    """The error for an entry that has to be there."""
    return BrokenInvariant("the journal entry is missing", place=f"position {position}", hint=_DAMAGED)


def digest_of(row: Row[Any], body: bytes, before: str) -> str:
    """The digest that an entry has to have after the digest ``before``."""
    fields = {"epoch": row.epoch, "position": row.position, "at_us": row.at_us}
    return journal.digest(before, body, **fields, actor=row.actor, cause=row.cause, origin=_origin(row))


def read_entries(connection: Connection, after: int = 0) -> Iterator[JournalEntry]:
    """All entries that are kept after a position, one by one."""
    query = select(schema.journal).where(schema.journal.c.position > after).order_by(schema.journal.c.position)
    with connection.execute(query.execution_options(yield_per=READ_ROWS)) as result:
        for row in result:
            yield entry_of(row)


def entry_of(row: Row[Any]) -> JournalEntry:
    """An entry from its row."""
    return _entry(row, journal.unpack(row.body, position=row.position))


def _entry(row: Row[Any], body: bytes) -> JournalEntry:
    changes = journal.decode(body, position=row.position)
    return JournalEntry(row.epoch, row.position, row.at_us, row.actor, row.cause, _origin(row), changes, row.digest)


def _origin(row: Row[Any]) -> Origin | None:
    return None if row.origin_endpoint is None else Origin(row.origin_endpoint, row.origin_message)


def check_cursor(connection: Connection, cursor: Cursor) -> None:
    """ResyncNeeded unless ``cursor`` is a point of our history."""
    head = connection.execute(select(schema.head)).one()
    check_version(head.schema_version, "the inventory")
    first = start(connection)
    is_within = first.position <= cursor.position <= head.position
    known = point(connection, cursor.position) if is_within else None
    if is_within and known is None:
        raise lost(cursor.position)
    if cursor != known:
        raise not_on_history(cursor, first, Cursor(head.epoch, head.position, head.digest))
