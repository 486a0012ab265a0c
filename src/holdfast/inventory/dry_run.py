"""Dry runs: they go through the whole transaction, with all that may be refused there, which is then undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from sqlalchemy import Connection

from holdfast.inventory.store import Head, Store
from holdfast.model.changes import ChangeSet

Also = Callable[[Connection], None]
"""What is written into a room's own tables in the same transaction."""


class _UndoneError(Exception):
    """Leaves a transaction that would have been accepted, so that it is undone."""


def commit(store: Store, change_set: ChangeSet, *, dry_run: bool, also: Sequence[Also] = ()) -> Head | None:
    """Commit a change set and what else belongs to it; the head after it, None after a dry run."""

    def together(connection: Connection) -> None:
        for write in also:
            write(connection)
        if dry_run:
            raise _UndoneError

    try:
        return store.commit(change_set, also=together)
    except _UndoneError:
        return None


@contextmanager
def undone_if(dry_run: bool, transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
    """A transaction, undone at its end in a dry run."""
    with suppress(_UndoneError), transaction as connection:
        yield connection
        if dry_run:
            raise _UndoneError
