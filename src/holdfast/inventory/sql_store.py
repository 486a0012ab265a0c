"""SqlStore: the inventory in a SQLite file, the Store for one machine.

Write-ahead log, ``synchronous=FULL``: a commit is on disk when it returns.
Writers take turns (``turn.py``); readers hold a read transaction and are never
in anybody's way. Exactly one SQLite library touches the file in a process.

A failure leaves the file as it was before the commit; a process that dies
leaves a log that the next one replays or drops, by SQLite's own rules.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError

from holdfast.inventory import journal, requirements, rules, schema, sql_apply, sql_rows, sqlite_file
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.store import Cursor, Entry, Head, RoomTables, Snapshot
from holdfast.inventory.turn import turn_path, writer_turn
from holdfast.model.changes import Change, ChangeSet, Origin, RegisterFiles
from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import BrokenInvariant, OperatorError, ResyncNeeded


class SqlStore:
    """The Store of ``holdfast.inventory.store`` on SQLite."""

    def __init__(self, path: Path, *, clock: Clock = system_clock) -> None:
        self._path = path
        self._clock = clock
        self._writer = sqlite_file.engine(path, "BEGIN IMMEDIATE")
        self._reader = sqlite_file.engine(path, "BEGIN")

    @classmethod
    def create(cls, path: Path, *, clock: Clock = system_clock, epoch: str = "") -> SqlStore:
        """Make a new inventory in a file that is not there; OperatorError if it is, or cannot be made."""
        path = path.absolute()
        sqlite_file.make_folder(path.parent)
        sqlite_file.check_writable(path)
        store = cls(path, clock=clock)
        try:
            with store.writing() as connection:
                sqlite_file.check_empty(connection, path)
                schema.metadata.create_all(connection)
                _begin_history(connection, epoch or uuid.uuid4().hex)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(cls, path: Path, *, clock: Clock = system_clock) -> SqlStore:
        """Open an inventory; OperatorError if it is not there, not ours, not writable, or of another version."""
        path = path.absolute()
        if not path.is_file():
            raise OperatorError(
                "there is no inventory", place=str(path), hint="run `holdfast init` or restore a backup"
            )
        sqlite_file.check_writable(path)
        sqlite_file.check_ours(path)
        store = cls(path, clock=clock)
        try:
            with store.reading():
                return store  # With the log in place: a backup has none, and making it needs the file to itself.
        except BaseException:
            store.close()
            raise

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._path

    def head(self) -> Head:
        """Where the journal ends now."""
        with self.snapshot() as snapshot:
            return snapshot.head

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The inventory as it is now, held still."""
        with self.reading() as connection:
            yield SqlSnapshot(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction; its first statement fixes what it shows."""
        with sqlite_file.translated(self._path), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction in the writer's turn."""
        with sqlite_file.translated(self._path), writer_turn(turn_path(self._path)), self._writer.begin() as connection:
            yield connection

    def commit(self, change_set: ChangeSet, *, also: Callable[[Connection], None] | None = None) -> Head:
        """Do it all or nothing; returns the head after it."""
        body = journal.encode(change_set)  # Before the turn: the others need not wait for it.
        with self.writing() as connection:
            view = SqlSnapshot(connection)
            now_us = self._clock()
            # Journal time runs forward only; whether a lock is in force is a matter of the clock as it is now.
            at_us = max(now_us, view.head.at_us)
            for requirement in change_set.requirements:
                requirements.check(requirement, view, now_us=now_us)
            touched = _apply_all(change_set.changes, connection, view, at_us=at_us, now_us=now_us)
            if also is not None:
                also(connection)
            if not change_set.changes:
                return view.head
            return append(connection, view.head, change_set, body, touched, at_us=at_us)

    def entries(self, after: Cursor | None = None, *, limit: int = 1000) -> Iterable[Entry]:
        """The entries after a cursor, oldest first."""
        with self.reading() as connection:
            if after is not None:
                check_cursor(connection, after)
            table = schema.journal
            start = after.position if after is not None else 0
            query = select(table).where(table.c.position > start).order_by(table.c.position).limit(limit)
            rows = connection.execute(query).all()
        return [entry_of(row) for row in rows]

    def cursor(self, name: str) -> Cursor | None:
        """How far the reader ``name`` has come."""
        return self.cursors().get(name)

    def cursors(self) -> dict[str, Cursor]:
        """All readers that keep their cursor here."""
        with self.reading() as connection:
            rows = connection.execute(select(schema.cursor).order_by(schema.cursor.c.name)).all()
        return {row.name: Cursor(row.epoch, row.position, row.digest) for row in rows}

    def advance(self, name: str, cursor: Cursor) -> None:
        """Keep how far the reader ``name`` has come."""
        with self.writing() as connection:
            check_cursor(connection, cursor)
            values = {"epoch": cursor.epoch, "position": cursor.position, "digest": cursor.digest}
            sql_rows.put(connection, schema.cursor, {"name": name}, values)

    def room(self, tables: MetaData) -> RoomTables:
        """The tables of one room, made if they are not there."""
        with self.reading() as connection:
            lacking = set(tables.tables) - set(inspect(connection).get_table_names())
        if lacking:  # Who only looks need not wait for the writer's turn.
            with self.writing() as connection:
                tables.create_all(connection)
        return SqlRoomTables(self)

    def close(self) -> None:
        """Let go of files and connections."""
        self._writer.dispose()
        self._reader.dispose()


class SqlRoomTables:
    """The RoomTables of ``holdfast.inventory.store``, in the inventory's own database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def write(self) -> Any:
        """One transaction in the writer's turn."""
        return self._store.writing()

    def read(self) -> Any:
        """One consistent view of the room's tables."""
        return self._store.reading()


def _apply_all(
    changes: tuple[Change, ...], connection: Connection, view: SqlSnapshot, *, at_us: int, now_us: int
) -> set[tuple[str, str]]:
    touched: set[tuple[str, str]] = set()
    for change in changes:
        rules.check_change(change, view, now_us=now_us)
        touched |= sql_apply.touched_rows(change, view)
        try:
            with connection.begin_nested() if isinstance(change, RegisterFiles) else _nothing():
                sql_apply.apply(change, connection, view, at_us=at_us)
        except IntegrityError as error:
            if not isinstance(change, RegisterFiles):
                raise BrokenInvariant(f"the tables refuse a change that the rules allow: {error.orig}") from error
            conflict = rules.already_registered(change, view)
            if conflict is None:
                raise BrokenInvariant(f"the tables refuse a registration: {error.orig}") from error
            raise conflict from error
    return touched


@contextmanager
def _nothing() -> Iterator[None]:
    yield


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
    result = connection.execute(moved.values(epoch=epoch, position=position, digest=digest, at_us=at_us))
    if result.rowcount != 1:
        raise BrokenInvariant(f"the head moved during a commit at position {position}")
    return Head(epoch, position, digest, at_us)


def read_entries(connection: Connection) -> Iterator[Entry]:
    """The whole journal, entry by entry."""
    for row in connection.execute(select(schema.journal).order_by(schema.journal.c.position)):
        yield entry_of(row)


def entry_of(row: Any) -> Entry:
    """A journal row as an Entry."""
    body = journal.unpack(row.body, position=row.position)
    origin = None if row.origin_endpoint is None else Origin(row.origin_endpoint, row.origin_message)
    changes = journal.decode(body, position=row.position)
    return Entry(row.epoch, row.position, row.at_us, row.actor, row.cause, origin, changes, row.digest)


def _begin_history(connection: Connection, epoch: str) -> None:
    values = {"epoch": epoch, "first_epoch": epoch, "position": 0, "at_us": 0, "schema_version": schema.VERSION}
    connection.execute(insert(schema.head).values(id=1, digest=journal.genesis(epoch), **values))


def check_cursor(connection: Connection, cursor: Cursor) -> None:
    """ResyncNeeded unless ``cursor`` is a point of our history."""
    head = connection.execute(select(schema.head)).one()
    if cursor.position == 0:
        known: tuple[str, str] | None = (head.first_epoch, journal.genesis(head.first_epoch))
    elif not 0 < cursor.position <= head.position:
        known = None
    else:
        table = schema.journal.c
        query = select(table.epoch, table.digest).where(table.position == cursor.position)
        row = connection.execute(query).one_or_none()
        known = (row.epoch, row.digest) if row is not None else None
    if (cursor.epoch, cursor.digest) != known:
        raise ResyncNeeded(
            f"resync needed: position {cursor.position} of epoch {cursor.epoch} is not on this history",
            hint=f"start again from a snapshot at {head.position} of epoch {head.epoch}",
        )
