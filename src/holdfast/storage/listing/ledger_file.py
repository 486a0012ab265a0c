"""LedgerFile: the SQLite file of a listing that goes on.

It keeps what waits, the rows that are in no part yet, the names of the parts,
and what the listing was begun with.

Rules
  * One transaction, ``save``, makes one step of the listing durable
    (``synchronous=FULL``: before a crash of the machine, too).
  * One process has the file, by SQLite's own exclusive lock; one thread at a
    time uses it, which the caller sees to.
  * A file that cannot be read is damaged (OperatorError); one that was begun
    with another plan is a Conflict that says what differs.
  * It is begun only in a folder in which there is nothing else: what is there
    is somebody else's, or of a listing whose ledger was lost.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from holdfast.model.errors import Conflict, OperatorError
from holdfast.storage.listing.folder_lock import LOCK
from holdfast.storage.listing.part_files import sync_folder, told_of
from holdfast.storage.listing.summary import ListingCounts, ListingPart, ListingPlan
from holdfast.storage.listing.waiting_stack import Numbered

LEDGER = "ledger.db"
FILES = (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", f"{LEDGER}-journal")
SHOWN_MAX = 3
VERSION = 1

_SCHEMA = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE waiting (number INTEGER PRIMARY KEY, dir TEXT NOT NULL, mtime_ns INTEGER)",
    "CREATE TABLE held (number INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER NOT NULL, packed BLOB NOT NULL)",
    "CREATE TABLE parts (name TEXT, number INTEGER, n INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " PRIMARY KEY (name, number)) WITHOUT ROWID",
    f"PRAGMA user_version = {VERSION}",
)
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}


@dataclass
class LedgerStep:
    """What one transaction changes."""

    counts: ListingCounts
    waiting: list[Iterable[Numbered]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    held: list[tuple[str, int, bytes]] = field(default_factory=list)
    """Rows that are in no part yet: table, how many, packed."""
    parts: list[ListingPart] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    """Tables of which all rows held so far are in one of ``parts``."""


class LedgerFile:
    """The file in ``folder``, made if it is not there."""

    def __init__(self, folder: Path, plan: ListingPlan, now_us: int) -> None:
        self._path = folder / LEDGER
        with told(self._path):
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            with told(self._path):
                self._set_up()
                if self._version() == 0:
                    self._refuse_what_is_there(folder)
                    self._begin(folder, plan, now_us)
                facts: dict[str, str] = dict(self._connection.execute("SELECT name, value FROM facts"))
            self._read(facts, plan)
        except BaseException:
            self.close()
            raise

    @property
    def waiting(self) -> int:
        """How many directories wait."""
        return int(self._value("SELECT count(*) FROM waiting"))

    @property
    def end(self) -> int:
        """A number above that of every directory that waits."""
        return int(self._value("SELECT coalesce(max(number), 0) + 1 FROM waiting"))

    def newest(self, below: int, count: int) -> Sequence[Numbered]:
        """Of the directories that wait with lower numbers, the newest, newest first."""
        query = "SELECT number, dir, mtime_ns FROM waiting WHERE number < ? ORDER BY number DESC LIMIT ?"
        with told(self._path):
            return [Numbered(*row) for row in self._connection.execute(query, (below, count))]

    def parts(self) -> list[ListingPart]:
        """The parts that count, in the order of table and number."""
        with told(self._path):
            rows = self._connection.execute("SELECT name, number, n, bytes FROM parts ORDER BY name, number")
            return [ListingPart(*row) for row in rows]

    def held_rows(self, table: str) -> int:
        """How many rows of a table are in no part yet."""
        return int(self._value("SELECT coalesce(sum(n), 0) FROM held WHERE name = ?", table))

    def held(self, table: str) -> Iterator[bytes]:
        """The rows of a table that are in no part yet, packed, piece by piece."""
        with told(self._path):
            numbers = self._connection.execute("SELECT number FROM held WHERE name = ? ORDER BY number", (table,))
            for (number,) in numbers.fetchall():
                yield self._value("SELECT packed FROM held WHERE number = ?", number)

    def save(self, step: LedgerStep) -> None:
        """Make a step: all of it, durably, or nothing."""
        with told(self._path), self._transaction() as connection:
            for rows in step.waiting:
                connection.executemany("INSERT INTO waiting VALUES (?, ?, ?)", rows)
            connection.executemany("DELETE FROM waiting WHERE number = ?", ((number,) for number in step.done))
            connection.executemany("DELETE FROM held WHERE name = ?", ((table,) for table in step.emptied))
            connection.executemany("INSERT INTO held (name, n, packed) VALUES (?, ?, ?)", step.held)
            connection.executemany("INSERT INTO parts VALUES (?, ?, ?, ?)", step.parts)
            self._tell("counts", step.counts.to_json())

    def note_resumed(self) -> None:
        """Count that the listing is gone on with."""
        self.resumed += 1
        with told(self._path), self._transaction():
            self._tell("resumed", self.resumed)

    def close(self) -> None:
        """Let go of the file; calling twice does no harm."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _set_up(self) -> None:
        # One connection with all locks to itself needs no shared memory: that lets network file systems serve, too.
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _refuse_what_is_there(self, folder: Path) -> None:
        if self._value("SELECT count(*) FROM sqlite_master"):
            raise damaged(self._path, "it is a database of something else")
        if others := strangers(folder):
            raise damaged(self._path, f"it is blank, and beside it there is {others}: was {LEDGER}-wal lost?")

    def _begin(self, folder: Path, plan: ListingPlan, now_us: int) -> None:
        with self._transaction() as connection:
            for statement in _SCHEMA:
                connection.execute(statement)
            self._tell("plan", asdict(plan))
            self._tell("started_us", now_us)
            self._tell("resumed", -1)
            self._tell("counts", ListingCounts().to_json())
            connection.execute("INSERT INTO waiting VALUES (1, ?, NULL)", (plan.top,))
        sync_folder(folder)

    def _read(self, facts: dict[str, str], plan: ListingPlan) -> None:
        if (version := self._version()) != VERSION:
            raise Conflict(
                f"the listing was begun by another version of Holdfast: its ledger has format {version}, not {VERSION}",
                place=str(self._path),
                hint="go on with that version, or list into another folder",
            )
        try:
            begun = json.loads(facts["plan"])
            begun_with = ListingPlan(begun["site"], begun["top"], tuple(begun["doors"]), begun["skip"])
            self.started_us = int(facts["started_us"])
            self.resumed = int(facts["resumed"])
            self.counts = ListingCounts.from_json(json.loads(facts["counts"]))
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(self._path, str(error)) from error
        if differences := begun_with.differences(plan):
            raise Conflict(
                f"another listing was begun here: {'; '.join(differences)}",
                place=str(self._path.parent),
                hint="go on with it as it was begun, or list into another folder",
            )

    def _tell(self, name: str, value: Any) -> None:
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def _value(self, query: str, *values: Any) -> Any:
        with told(self._path):
            return self._connection.execute(query, values).fetchone()[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise


def strangers(folder: Path) -> str:
    """What is in a folder beside a ledger, for people; "" if there is nothing. Without a ledger, all but its lock."""
    there = set(os.listdir(folder)) - {LOCK}
    found = sorted(there - {*FILES} if LEDGER in there else there)
    more = f" and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
    return ", ".join(map(ascii, found[:SHOWN_MAX])) + more


def damaged(path: Path, reason: str) -> OperatorError:
    """The error for a ledger that cannot be gone on with."""
    return OperatorError(
        f"the ledger of the listing is damaged: {reason}", place=str(path), hint="list anew into another folder"
    )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite says, as the operator needs to hear it."""
    try:
        with told_of(path):
            yield
    except OperatorError as error:
        cause = error.__cause__
        code = getattr(cause, "sqlite_errorcode", None)
        if isinstance(cause, sqlite3.Error) and code is not None and code & 0xFF in _DAMAGE:
            raise damaged(path, str(cause)) from cause
        raise


def remove(folder: Path) -> None:
    """Remove the file, which is closed, and what SQLite keeps beside it."""
    for name in FILES:
        with suppress(FileNotFoundError):
            os.unlink(folder / name)
