"""SqlStore: the inventory in an SQL database, SQLite for one machine, PostgreSQL for many.

What is the same for both is here and in the modules that work on a connection;
what is not, stands behind ``holdfast.inventory.database``. A place is a file's
path or the URL of a PostgreSQL database (``postgresql://...``). Commits of many
threads are folded into one transaction (``committing.py``).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, inspect, select

from holdfast.inventory import schema, sql_journal, sql_rows, sql_trim
from holdfast.inventory.committing import Committing
from holdfast.inventory.database import AnswerLost, Database, Patience, check_empty, check_version
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sqlite_database import SqliteDatabase
from holdfast.inventory.store import Cursor, Head, JournalEntry, RoomTables, Snapshot
from holdfast.model.changes import ChangeSet
from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import DatabaseAway, OperatorError, OutcomeUnknown

PATIENCE_S = 30.0


class SqlStore:
    """The Store of ``holdfast.inventory.store`` on SQL."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = system_clock,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.database = database
        self._patience = Patience(patience_s, sleep=sleep, now=time.monotonic)
        self._committing = Committing(database, clock, self._patience)

    @classmethod
    def create(cls, place: Path | str, *, clock: Clock = system_clock, epoch: str = "", **more: Any) -> SqlStore:
        """Make a new inventory where none is; OperatorError if one is, or none can be made."""
        database = database_at(place)
        try:
            database.prepare()
            with database.writing() as connection:
                check_empty(connection, database.place)
                database.create_tables(connection, schema.metadata)
                sql_journal.begin_history(connection, epoch or uuid.uuid4().hex)
        except BaseException:
            database.close()
            raise
        return cls(database, clock=clock, **more)

    @classmethod
    def open(cls, place: Path | str, *, clock: Clock = system_clock, **more: Any) -> SqlStore:
        """Open an inventory; OperatorError if it is not there, not ours, not writable, or of another version."""
        database = database_at(place)
        try:
            database.check_ours()
        except BaseException:
            database.close()
            raise
        return cls(database, clock=clock, **more)

    @property
    def place(self) -> str:
        """Where it is, as people may read it."""
        return self.database.place

    @property
    def path(self) -> Path:
        """The SQLite file; OperatorError if it is kept elsewhere."""
        if not isinstance(self.database, SqliteDatabase):
            raise OperatorError("this inventory is not a file", place=self.place)
        return self.database.path

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
        with self.database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction in the writer's turn; while the database is away, the turn is waited for."""
        try:
            with ExitStack() as transaction:
                connection = self._patience.keep_trying(lambda: transaction.enter_context(self.database.writing()))
                # Somebody may have migrated it since it was opened; change sets learn that from their snapshot.
                check_version(connection.execute(select(schema.head.c.schema_version)).scalar_one(), self.place)
                yield connection
        except AnswerLost as lost:
            if not self._is_done(lost):
                raise DatabaseAway("the connection was lost, and nothing was changed", place=self.place) from lost

    def commit(self, change_set: ChangeSet, *, also: Callable[[Connection], None] | None = None) -> Head:
        """Do it all or nothing; returns the head after it."""
        return self._committing.commit(change_set, also)

    def entries(self, after: Cursor | None = None, *, limit: int = 1000) -> Iterable[JournalEntry]:
        """The entries after a cursor, oldest first."""
        with self.reading() as connection:
            if after is not None:
                sql_journal.check_cursor(connection, after)
            before = after or sql_journal.start(connection)
            rows = sql_journal.entries_after(connection, before.position, limit)
            last = connection.scalar(select(schema.head.c.position))
        entries = list(sql_journal.chained(rows, before))
        if len(rows) < limit and last != (reached := before.position + len(rows)):
            raise sql_journal.lost(reached + 1)
        return entries

    def start(self) -> Cursor:
        """The point before the first kept entry."""
        with self.reading() as connection:
            return sql_journal.start(connection)

    def trim(
        self, through: int, *, drop_cursors: bool = False, also: Callable[[Connection], None] | None = None
    ) -> Cursor:
        """Keep the entries up to ``through`` no longer; ``also`` is done first, in the same transaction."""
        with self.writing() as connection:
            if also is not None:
                also(connection)
            return sql_trim.trim(connection, through, drop_cursors=drop_cursors)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head is beyond ``after``, as soon as it is or when the time is over."""
        return self.database.wait(after, timeout_s)

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
        values = {"epoch": cursor.epoch, "position": cursor.position, "digest": cursor.digest}
        with self.writing() as connection:
            sql_journal.check_cursor(connection, cursor)
            sql_rows.put(connection, schema.cursor, {"name": name}, values)

    def room(self, tables: MetaData) -> RoomTables:
        """The tables of one room, made if they are not there."""
        with self.reading() as connection:
            lacking = set(tables.tables) - set(inspect(connection).get_table_names())
        if lacking:  # Who only looks need not wait for the writer's turn.
            with self.writing() as connection:
                self.database.create_tables(connection, tables)
        return SqlRoomTables(self)

    def close(self) -> None:
        """Let go of files and connections."""
        self.database.close()

    def _is_done(self, lost: AnswerLost) -> bool:
        def look() -> bool:
            with self.database.writing() as connection:
                return self.database.is_done(connection, lost.transaction)

        try:
            return self._patience.keep_trying(look)
        except DatabaseAway as error:
            hint = "look at the rows that were to be written"
            message = "the database went away during a commit, which may stand or not"
            raise OutcomeUnknown(message, place=self.place, hint=hint) from error


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


def database_at(place: Path | str) -> Database:
    """The database that a place names; nothing is opened yet."""
    if isinstance(place, Path) or "://" not in place:
        return SqliteDatabase(Path(place))
    try:
        # Only an installation that uses PostgreSQL has its client.
        from holdfast.inventory.postgres_database import PostgresDatabase
    except ImportError as error:
        hint = "pip install 'holdfast[postgres]'"
        raise OperatorError("an inventory on PostgreSQL needs the library psycopg", hint=hint) from error
    return PostgresDatabase(place)
