"""Database: what differs between the databases that an inventory can be kept in.

SqlStore is written once, in SQLAlchemy Core; what each database does its own
way stands behind this protocol: how its place is made and recognised, how a
writer gets the turn, what its complaints mean, how news of a commit travels.

Rules
  * ``reading`` is one consistent view, fixed by its first statement, for as long as it is held; any number may be
    held, and none is in a writer's way.
  * ``writing`` is one transaction in the writer's turn: one at a time over all threads, processes and machines,
    first come first served. It is durable when it ends; an exception undoes it.
  * If the answer to a COMMIT is lost, ``writing`` raises AnswerLost: nobody may take that for a failure.
  * A transaction in which a statement failed unnoticed is never taken for committed.
  * Foreign errors come out as OperatorError with the place and the remedy; DatabaseAway where the same call may
    succeed a moment later. No message holds a password.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection, MetaData, inspect

from holdfast.inventory import schema
from holdfast.model.errors import DatabaseAway, OperatorError

Answer = TypeVar("Answer")

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0


class AnswerLost(DatabaseAway):
    """The connection broke while COMMIT was under way; ``transaction`` is by what the database knows it."""

    def __init__(self, transaction: tuple[str, ...], *, place: str) -> None:
        super().__init__("the connection was lost during a commit", place=place)
        self.transaction = transaction


class Database(Protocol):
    """One place where an inventory is or will be. The module's docstring is the contract."""

    @property
    def place(self) -> str:
        """The place as people may read it: without a password."""

    def prepare(self) -> None:
        """Make what a new inventory needs before its tables; OperatorError."""

    def check_ours(self) -> None:
        """OperatorError unless an inventory of our version is there that we may use."""

    def schema_version(self) -> int:
        """The version of the inventory that is there; OperatorError if there is none."""

    def create_tables(self, connection: Connection, tables: MetaData) -> None:
        """Make the tables that are not there."""

    def reading(self) -> AbstractContextManager[Connection]:
        """One consistent view."""

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction in the writer's turn."""

    def migrating(self) -> AbstractContextManager[Connection]:
        """Like ``writing``, for altering tables: references are looked at only at the end."""

    def translated(self) -> AbstractContextManager[None]:
        """Turn what this database says into our errors."""

    def is_sound(self, connection: Connection) -> bool:
        """Whether the open transaction of ``connection`` still stands after an error."""

    def is_done(self, connection: Connection, transaction: tuple[str, ...]) -> bool:
        """Whether the transaction of an AnswerLost was committed; asked in the writer's turn."""

    def announce(self, connection: Connection, position: int) -> None:
        """Tell those who wait that the head comes to ``position``, if and when the transaction is committed."""

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head is beyond ``after``, as soon as it is or when the time is over."""

    def close(self) -> None:
        """Let go of files and connections; calling twice does no harm."""


def check_empty(connection: Connection, place: str) -> None:
    """OperatorError if there is anything in the database already."""
    tables = inspect(connection).get_table_names()
    if tables:
        what = "there is an inventory already" if schema.head.name in tables else "this is somebody else's database"
        raise OperatorError(what, place=place, hint="choose another place")


def check_version(found: int, place: str) -> None:
    """OperatorError unless the tables are those of this release."""
    if found != schema.VERSION:
        hint = "run `holdfast migrate`" if found < schema.VERSION else "use the release of Holdfast that wrote it"
        raise OperatorError(f"its schema is {found}, ours is {schema.VERSION}", place=place, hint=hint)


class Patience:
    """How long to try again while a database is away: short waits that grow, up to ``seconds`` in all."""

    def __init__(self, seconds: float, *, sleep: Callable[[float], None], now: Callable[[], float]) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._now = now

    def keep_trying(self, attempt: Callable[[], Answer]) -> Answer:
        """What ``attempt`` returns, as soon as it does not raise DatabaseAway; that error when the time is over."""
        deadline, wait_s = self._now() + self._seconds, 0.0
        while True:
            try:
                return attempt()
            except DatabaseAway:
                if self._now() + wait_s > deadline:
                    raise
            self._sleep(wait_s)
            wait_s = min(2 * wait_s or FIRST_WAIT_S, LONGEST_WAIT_S)
