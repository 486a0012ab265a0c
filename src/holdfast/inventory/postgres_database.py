"""PostgresDatabase: the Database on a PostgreSQL server, for any number of machines.

Writers queue for an advisory lock of the server, which a transaction holds to
its end and a session that dies gives back. Readers are REPEATABLE READ and
READ ONLY. What a commit has acknowledged is on the server's disk.

Rules
  * The lock is taken by a statement of its own, first in a READ COMMITTED
    transaction: every later statement sees all that earlier holders committed.
  * The lock belongs to the schema in which the tables are, or will be made: inventories of other schemas do not wait.
  * ``synchronous_commit`` is on in every write transaction, whatever the server's or the user's default is.
  * A peer that has vanished without a word is noticed, by us and by the server, within a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, MetaData, create_engine, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from holdfast import logs
from holdfast.inventory import postgres_errors, schema
from holdfast.inventory.database import AnswerLost, check_version
from holdfast.inventory.postgres_news import PostgresNews, kept_if_sound
from holdfast.inventory.turn import Line, held
from holdfast.model.errors import BadInput, BrokenInvariant, OperatorError

_log = logs.get("inventory")

LOCK_FAMILY = 0x486F6C64
"""The upper half of our advisory locks' keys; the lower is the number of a schema."""
CONNECT_TIMEOUT_S = 10
IDLE_TIMEOUT_S = 60
"""A writer who does nothing for so long in the middle of a transaction is gone; the server ends his session."""

MIGRATION_WAIT_S = 60.0
"""So long a migration waits for those who are reading a table."""

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": "holdfast",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_SESSION = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"

_SCHEMA = f"COALESCE((SELECT relnamespace FROM pg_class WHERE oid = to_regclass('{schema.head.name}')),"
_SCHEMA += " (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))"
_TAKE_TURN = f"""
SELECT key,
       pg_advisory_xact_lock(key),
       set_config('synchronous_commit',
                  CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END,
                  true),
       pg_current_xact_id()::text,
       left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
FROM (SELECT ({LOCK_FAMILY}::bigint << 32) + {_SCHEMA}::bigint AS key) AS ours
"""
_CHANNEL = f"SELECT 'holdfast_' || {_SCHEMA}::text"


class PostgresDatabase:
    """The Database of ``holdfast.inventory.database`` at a URL."""

    def __init__(self, url: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._url = _parsed(url)
        self.place = _shown(self._url)
        self._line = Line()
        self._writer = self._engine(IsolationLevel.READ_COMMITTED, read_only=False)
        self._reader = self._engine(IsolationLevel.REPEATABLE_READ, read_only=True)
        self._news = PostgresNews(self._connect, _CHANNEL, now=now)
        self._channel = ""
        self._is_closed = False

    def prepare(self) -> None:
        """OperatorError unless the database can hold an inventory."""
        with self.reading() as connection:
            self._check_encoding(connection)

    def check_ours(self) -> None:
        """OperatorError unless an inventory of our version is there."""
        with self.reading() as connection:
            check_version(self._found_version(connection), self.place)
            if connection.exec_driver_sql("SHOW fsync").scalar() != "on":
                _log.warning("the database server runs with fsync off: a power cut may lose all", place=self.place)

    def schema_version(self) -> int:
        """The version of the inventory in the database."""
        with self.reading() as connection:
            return self._found_version(connection)

    def create_tables(self, connection: Connection, tables: MetaData) -> None:
        """Make the tables that are not there, all text in the order of bytes."""
        ours = tables is schema.metadata  # Which says it itself, with what else PostgreSQL has its own way.
        (tables if ours else schema.bytewise(tables)).create_all(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A REPEATABLE READ transaction; its first statement fixes what it shows."""
        with self.translated(), self._reader.connect() as connection:
            try:
                yield connection
            finally:
                if self._is_closed:  # Nobody will take it from the pool again.
                    connection.rollback()
                    connection.detach()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A READ COMMITTED transaction that holds the lock."""
        with held(self.place), self._line.turn(), self.translated(), self._writer.connect() as connection:
            transaction = self._take_turn(connection)
            try:
                yield connection
            except BaseException:
                if not connection.invalidated and not self.is_sound(connection):
                    connection.invalidate()  # COPY is beside SQLAlchemy, which does not know yet.
                connection.rollback()
                raise
            self._commit(connection, transaction)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A write transaction that gives up where readers keep a table busy: those who wait behind it would hang."""
        with self.writing() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(MIGRATION_WAIT_S * 1000)}")
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what PostgreSQL says into our errors."""
        try:
            yield
        except (SQLAlchemyError, psycopg.Error) as error:
            original = error.orig if isinstance(error, DBAPIError) else error
            ours = postgres_errors.translated(original, self.place) if isinstance(original, psycopg.Error) else None
            if ours is None:
                raise
            raise ours from error

    def is_sound(self, connection: Connection) -> bool:
        """Whether the connection stands, and can go on, perhaps after going back to a savepoint."""
        return not connection.invalidated and not _driver(connection).closed

    def is_done(self, connection: Connection, transaction: tuple[str, ...]) -> bool:
        """Whether the server has committed a transaction, if it is still the server that had it."""
        number, timeline = transaction
        # After a failover to a standby that had not heard of it, the number may be another's.
        same = "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) = %s"
        status, is_same = connection.exec_driver_sql(
            f"SELECT pg_xact_status(%s::xid8), {same}", (number, timeline)
        ).one()
        return bool(is_same) and status == "committed"

    def announce(self, connection: Connection, position: int) -> None:
        """NOTIFY; the server tells the listeners when the transaction is committed."""
        self._channel = self._channel or str(connection.exec_driver_sql(_CHANNEL).scalar())
        connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (self._channel, str(position)))

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head is beyond ``after``, as soon as it is or when the time is over."""
        return self._news.wait(after, timeout_s)

    def close(self) -> None:
        """Let go of all connections."""
        self._is_closed = True
        self._news.close()
        self._writer.dispose()
        self._reader.dispose()

    def _take_turn(self, connection: Connection) -> tuple[str, str]:
        key, _, _, number, timeline = connection.exec_driver_sql(_TAKE_TURN).one()
        if key is None:
            raise OperatorError(
                "there is no schema to put tables in", place=self.place, hint="make the schema that search_path names"
            )
        return number, timeline

    def _commit(self, connection: Connection, transaction: tuple[str, str]) -> None:
        # PostgreSQL answers the COMMIT of a failed transaction by undoing it, which nobody would notice.
        if self.is_sound(connection) and _driver(connection).info.transaction_status is TransactionStatus.INERROR:
            connection.rollback()
            raise BrokenInvariant("the transaction was undone by an error that somebody passed over")
        try:
            connection.commit()
        except (DBAPIError, psycopg.Error) as error:
            if self.is_sound(connection):
                raise
            raise AnswerLost(transaction, place=self.place) from error

    def _found_version(self, connection: Connection) -> int:
        self._check_encoding(connection)
        if connection.exec_driver_sql(f"SELECT to_regclass('{schema.head.name}')").scalar() is None:
            hint = "run `holdfast init` or restore a backup; is search_path right?"
            raise OperatorError("there is no inventory", place=self.place, hint=hint)
        found = connection.exec_driver_sql(f"SELECT schema_version FROM {schema.head.name}").scalar()
        if found is None:
            raise OperatorError("this is no inventory of Holdfast", place=self.place, hint="is the URL right?")
        return int(found)

    def _check_encoding(self, connection: Connection) -> None:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            hint = "make one with: createdb --template template0 --encoding UTF8 NAME"
            raise OperatorError(f"the database keeps text as {encoding}, not as UTF8", place=self.place, hint=hint)

    def _connect(self, **more: Any) -> psycopg.Connection[Any]:
        try:
            connected = psycopg.connect(**(_DEFAULTS | self._arguments() | more))
        except psycopg.ProgrammingError as error:  # Before anything was said to a server.
            problem = str(error).strip().partition("\n")[0]
            raise OperatorError(problem, place=self.place, hint="look at the options in the URL") from error
        with kept_if_sound(connected) as made:
            made.execute(_SESSION.encode())
            return made

    def _arguments(self) -> dict[str, Any]:
        given = self._url.translate_connect_args(username="user", database="dbname")
        # What is given several times, as hosts may be, libpq takes as a list.
        query = self._url.query.items()
        return given | {name: value if isinstance(value, str) else ",".join(value) for name, value in query}

    def _engine(self, isolation: IsolationLevel, *, read_only: bool) -> Engine:
        def connected() -> psycopg.Connection[Any]:
            with kept_if_sound(self._connect(autocommit=True)) as made:
                if not read_only:
                    made.execute(f"SET idle_in_transaction_session_timeout = {IDLE_TIMEOUT_S * 1000}".encode())
                made.autocommit = False
                made.isolation_level, made.read_only = isolation, read_only
                return made

        # No limit on connections: a snapshot holds one, and any number may be held. One that broke while nobody
        # used it is replaced before a reader meets it; a writer, who would only lose time by asking, tries again.
        return create_engine(
            "postgresql+psycopg://",
            creator=connected,
            max_overflow=-1,
            pool_pre_ping=read_only,
            use_native_hstore=False,
        )


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        known = "postgresql://USER@HOST:PORT/DATABASE"
        raise BadInput("the URL of the inventory cannot be read", hint=known) from error
    if "@" in (parsed.host or ""):  # A piece of the password, which is not to be shown.
        raise BadInput("the URL of the inventory has an '@' too many", hint="write one in a name or password as %40")
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        known = "a file's path or postgresql://USER@HOST:PORT/DATABASE"
        raise BadInput(f"no inventory can be kept at {parsed.drivername}://", hint=known)
    return parsed


def _shown(url: URL) -> str:
    kept = {name: value for name, value in url.query.items() if "password" not in name}
    return url.set(drivername="postgresql", query=kept)._replace(password=None).render_as_string()
