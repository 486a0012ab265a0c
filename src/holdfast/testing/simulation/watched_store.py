"""WatchedStore: a store that remembers what it has acknowledged.

The store proper may forget, lie or reuse positions; what its callers were told
is kept here, outside of it, for the checkers to hold it to.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection, MetaData

from holdfast.inventory.store import Cursor, Head, JournalEntry, RoomTables, Snapshot
from holdfast.model.changes import ChangeSet
from holdfast.testing.memory_store import MemoryStore


class WatchedStore:
    """The Store contract, passed on to ``inner``; ``acknowledged`` are the heads its callers were given."""

    def __init__(self, inner: MemoryStore, acknowledged: list[Head]) -> None:
        self.inner = inner
        self.acknowledged = acknowledged

    def head(self) -> Head:
        """Where the journal ends now."""
        return self.inner.head()

    def commit(self, change_set: ChangeSet, *, also: Callable[[Connection], None] | None = None) -> Head:
        """Do it, and keep what was answered."""
        head = self.inner.commit(change_set, also=also)
        if change_set.changes:
            self.acknowledged.append(head)
        return head

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """The inventory as it is now."""
        return self.inner.snapshot()

    def entries(self, after: Cursor | None = None, *, limit: int = 1000) -> list[JournalEntry]:
        """The entries after a cursor."""
        return self.inner.entries(after, limit=limit)

    def start(self) -> Cursor:
        """The point before the first kept entry."""
        return self.inner.start()

    def trim(self, through: int, *, drop_cursors: bool = False) -> Cursor:
        """Keep the entries up to a position no longer."""
        return self.inner.trim(through, drop_cursors=drop_cursors)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head is beyond a position."""
        return self.inner.wait(after, timeout_s)

    def cursor(self, name: str) -> Cursor | None:
        """How far a reader has come."""
        return self.inner.cursor(name)

    def cursors(self) -> dict[str, Cursor]:
        """All readers."""
        return self.inner.cursors()

    def advance(self, name: str, cursor: Cursor) -> None:
        """Keep how far a reader has come."""
        self.inner.advance(name, cursor)

    def room(self, tables: MetaData) -> RoomTables:
        """The tables of one room."""
        return self.inner.room(tables)

    def close(self) -> None:
        """Use this store no more."""
        self.inner.close()
