"""Reading a kept journal for people: its end, a stretch of it, what touched one thing.

The store reads forward from a cursor, as followers need it; people ask
otherwise. What is not kept any more is not there, and nobody is told an error
for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, delete, exists, select

from holdfast.inventory import schema, sql_journal
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import JournalEntry
from holdfast.model.errors import unknown_name

BATCH = 1000
BACK = 50
"""Entries that are read at once on the way back: most often what is looked for is among the last."""

Item = tuple[str, str]
"""("dataset", key) or ("site", name), as the side table names them."""


def last(store: SqlStore, count: int, items: Sequence[Item] = (), *, until: int) -> list[JournalEntry]:
    """The last entries up to a position that touch all of ``items``, oldest first."""
    table = schema.journal
    query = select(table).where(table.c.position <= until, *map(_touches, items))
    query = query.order_by(table.c.position.desc()).limit(count)
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return [sql_journal.entry_of(row) for row in reversed(rows)]


def backwards(store: SqlStore, items: Sequence[Item], *, until: int) -> Iterator[JournalEntry]:
    """The entries up to a position that touch all of ``items``, the latest first; few are in memory at once."""
    while entries := last(store, BACK, items, until=until):
        yield from reversed(entries)
        until = entries[0].position - 1


def _touches(item: Item) -> ColumnElement[bool]:
    table = schema.touched.c
    return exists().where(table.position == schema.journal.c.position, table.kind == item[0], table.item == item[1])


def touching(store: SqlStore, entries: Sequence[JournalEntry], items: Sequence[Item]) -> list[JournalEntry]:
    """Those of ``entries``, which follow one another, that touch all of ``items``."""
    if not (entries and items):
        return list(entries)
    first, end, table = entries[0].position, entries[-1].position, schema.journal.c
    query = select(table.position).where(table.position.between(first, end), *map(_touches, items))
    with store.reading() as connection:
        positions = set(connection.scalars(query))
    return [entry for entry in entries if entry.position in positions]


def between(store: SqlStore, after: int, until: int | None = None) -> Iterator[JournalEntry]:
    """The kept entries after a position, up to another."""
    with store.reading() as connection:
        at = sql_journal.point(connection, after)
        end = SqlSnapshot(connection).head.position
    if at is None:
        if after > end:
            return
        raise sql_journal.lost(after)
    while entries := store.entries(at, limit=BATCH):
        for entry in entries:
            if until is not None and entry.position > until:
                return
            yield entry
            at = entry.cursor


def drop_cursor(store: SqlStore, name: str) -> None:
    """Forget a reader; UnknownName."""
    with store.writing() as connection:
        known = list(connection.scalars(select(schema.cursor.c.name).order_by(schema.cursor.c.name)))
        if name not in known:
            raise unknown_name("reader", name, known)
        connection.execute(delete(schema.cursor).where(schema.cursor.c.name == name))
