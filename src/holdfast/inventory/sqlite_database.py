"""SqliteDatabase: the Database in a SQLite file, for one machine.

Write-ahead log, ``synchronous=FULL``: a commit is on disk when it returns.
Writers take turns (``turn.py``); readers hold a read transaction and are never
in anybody's way. Exactly one SQLite library touches the file in a process.

A failure leaves the file as it was before the commit; a process that dies
leaves a log that the next one replays or drops, by SQLite's own rules.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Connection, MetaData, select

from holdfast.inventory import schema, sqlite_file
from holdfast.inventory.database import check_version
from holdfast.inventory.turn import held, turn_path, writer_turn
from holdfast.model.errors import BrokenInvariant, OperatorError

LOOK_EVERY_S = 0.01
"""How often who waits for news looks at the file's own counter of changes: a few microseconds a look."""


class SqliteDatabase:
    """The Database of ``holdfast.inventory.database`` in one file."""

    def __init__(
        self, path: Path, *, sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path.absolute()
        self._sleep = sleep
        self._now = now
        self._is_closed = False
        self._writer = sqlite_file.engine(self.path, "BEGIN IMMEDIATE")
        self._reader = sqlite_file.engine(self.path, "BEGIN")

    @property
    def place(self) -> str:
        """The file's path."""
        return str(self.path)

    def prepare(self) -> None:
        """Make the folder."""
        sqlite_file.make_folder(self.path.parent)
        sqlite_file.check_writable(self.path)

    def check_ours(self) -> None:
        """OperatorError unless the file is there and ours."""
        check_version(self.schema_version(), self.place)
        with self.reading():
            pass  # With the log in place: a backup has none, and making it needs the file to itself.

    def schema_version(self) -> int:
        """The version of the inventory in the file."""
        if not self.path.is_file():
            hint = "run `holdfast init` or restore a backup"
            raise OperatorError("there is no inventory", place=self.place, hint=hint)
        sqlite_file.check_writable(self.path)
        return sqlite_file.schema_version(self.path)

    def create_tables(self, connection: Connection, tables: MetaData) -> None:
        """Make the tables that are not there."""
        tables.create_all(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction; its first statement fixes what it shows."""
        with self.translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction in the writer's turn."""
        with self._turn(), self._writer.begin() as connection:
            yield connection
            if not self.is_sound(connection):
                raise BrokenInvariant("the transaction was undone by an error that somebody passed over")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A write transaction in which tables may be made anew under rows that refer to them."""
        engine = sqlite_file.engine(self.path, "BEGIN IMMEDIATE", keeps_references=False)
        try:
            with self._turn(), engine.begin() as connection:
                yield connection
                dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if dangling is not None:
                    raise BrokenInvariant(f"a row of {dangling[0]} would refer to nothing", place=self.place)
        finally:
            engine.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with held(self.place), self.translated(), writer_turn(turn_path(self.path)):
            yield

    def translated(self) -> AbstractContextManager[None]:
        """Turn what SQLite says into our errors."""
        return sqlite_file.translated(self.path)

    def is_sound(self, connection: Connection) -> bool:
        """Whether the transaction still stands: a full disk, for one, makes SQLite undo it all."""
        driver = connection.connection.driver_connection
        return isinstance(driver, sqlite3.Connection) and driver.in_transaction

    def is_done(self, connection: Connection, transaction: tuple[str, ...]) -> bool:
        """Never asked: SQLite's answers are not lost."""
        raise BrokenInvariant("SQLite was asked for a transaction that it never lost")

    def announce(self, connection: Connection, position: int) -> None:
        """Nothing to do: the file's counter of changes is news enough."""

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head is beyond ``after``, as soon as it is or when the time is over."""
        deadline = self._now() + timeout_s
        seen: int | None = None
        with self.translated(), self._reader.connect() as connection:
            # Beside SQLAlchemy, which would begin a transaction: each look is one of its own, and holds nobody up.
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            while not self._is_closed:
                (version,) = driver.execute("PRAGMA data_version").fetchone()
                if version != seen:
                    seen = version
                    (position,) = driver.execute(str(select(schema.head.c.position))).fetchone()
                    if position > after:
                        return True
                left_s = deadline - self._now()
                if left_s <= 0:
                    return False
                self._sleep(min(LOOK_EVERY_S, left_s))
        return False

    def close(self) -> None:
        """Let go of the file."""
        self._is_closed = True
        self._writer.dispose()
        self._reader.dispose()
