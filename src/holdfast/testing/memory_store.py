"""MemoryStore: a whole Store in memory that fails when told to.

It keeps the Store contract to the letter, with the rules of
``holdfast.inventory`` over plain dictionaries, and passes its suite: the oracle
that the fast forms are held against. What a disk would keep is in an object of
its own: ``reopen`` gives the store that a new process would open after a crash
of the one that had this one.

Rules
  * No disk and no randomness: the same calls in the same order have the same
    outcome.
  * ``faults(point)`` is called at the points named in FAULT_POINTS and may
    raise, also a BaseException (the simulator's crash). Before the effect, the
    call fails without one; at ``.done`` the effect stands and only the answer
    is lost.
  * A store that was closed or reopened elsewhere raises BrokenInvariant when it
    is used: a dead process does nothing more.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, MetaData

from holdfast.inventory import journal, requirements, rules
from holdfast.inventory.store import Cursor, Head, JournalEntry, RoomTables, Snapshot
from holdfast.inventory.trimming import check_trim, cut_off, not_on_history, refuse_cut_off
from holdfast.model.changes import Change, ChangeSet, RegisterFiles, StartEpoch
from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import BrokenInvariant
from holdfast.testing import memory_apply
from holdfast.testing.memory_rooms import MemoryRooms
from holdfast.testing.memory_snapshot import MemorySnapshot
from holdfast.testing.memory_tables import Tables

Faults = Callable[[str], None]

FAULT_POINTS = ("commit", "commit.done", "room.write", "room.write.done", "advance", "advance.done")
"""Where ``faults`` is called."""


@dataclass(slots=True)
class Disk:
    """What outlives the process: state, journal, cursors, the rooms' tables; and who has the writer's turn."""

    tables: Tables
    base: Tables
    """The state before the first entry that is kept."""
    entries: list[JournalEntry] = field(default_factory=list)
    cursors: dict[str, Cursor] = field(default_factory=dict)
    rooms: MemoryRooms = field(default_factory=MemoryRooms)
    turn: threading.Lock = field(default_factory=threading.Lock)
    news: threading.Condition = field(default_factory=threading.Condition)
    writer: int = 0


def _no_faults(point: str) -> None:
    """Nothing ever fails."""


class MemoryStore:
    """The Store of ``holdfast.inventory.store`` in memory."""

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        epoch: str = "memory",
        faults: Faults = _no_faults,
        disk: Disk | None = None,
    ) -> None:
        self._clock = clock
        self._faults = faults
        tables = Tables.empty(epoch)
        self._disk = disk or Disk(tables, tables)
        self._is_open = True

    def reopen(self, *, clock: Clock | None = None, faults: Faults | None = None) -> MemoryStore:
        """What a new process finds; this store is dead from now on."""
        self._is_open = False
        return MemoryStore(clock=clock or self._clock, faults=faults or self._faults, disk=self._disk)

    def restored(self, epoch: str, *, position: int | None = None) -> MemoryStore:
        """A store as a restored backup leaves it: our history up to ``position``, then ``epoch``. Without rooms."""
        base = self._disk.base
        kept = [entry for entry in self._disk.entries if position is None or entry.position <= position]
        tables = _replayed(kept, base)
        head = tables.head
        change_set = ChangeSet((StartEpoch(head.epoch, head.position, head.digest),), "restore", "a backup")
        at_us = max(self._clock(), head.at_us)
        body = journal.encode(change_set)
        entry = _entry(head, change_set, change_set.changes, body, at_us=at_us, epoch=epoch)
        disk = Disk(_replayed([entry], tables), base, [*kept, entry])
        return MemoryStore(clock=self._clock, faults=self._faults, disk=disk)

    def head(self) -> Head:
        """Where the journal ends now."""
        return self._opened().tables.head

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The inventory as it is now, held still."""
        yield MemorySnapshot(self._opened().tables)

    def commit(self, change_set: ChangeSet, *, also: Callable[[Connection], None] | None = None) -> Head:
        """Do it all or nothing; returns the head after it."""
        change_set, body = journal.written(change_set, now_us=self._clock())
        with self._turn() as disk:
            self._faults("commit")
            before = disk.tables.head
            now_us = self._clock()
            at_us = max(now_us, before.at_us)
            changes = change_set.changes
            draft = _drafted(change_set, disk.tables, at_us=at_us, now_us=now_us)
            entry = _entry(before, change_set, changes, body, at_us=at_us, epoch=before.epoch)
            if also is not None:
                with disk.rooms.write() as connection:
                    also(connection)
            if changes:
                draft.head = Head(entry.epoch, entry.position, entry.digest, entry.at_us)
                disk.entries.append(entry)
                disk.tables = draft
                with disk.news:
                    disk.news.notify_all()
            self._faults("commit.done")
            return draft.head

    def entries(self, after: Cursor | None = None, *, limit: int = 1000) -> list[JournalEntry]:
        """The entries after a cursor, oldest first."""
        disk = self._opened()
        if after is not None:
            _check_cursor(disk, after)
        start = after.position - disk.base.head.position if after is not None else 0
        return list(itertools.islice(disk.entries, start, start + limit))

    def start(self) -> Cursor:
        """The point before the first kept entry."""
        return self._opened().base.head.cursor

    def trim(self, through: int, *, drop_cursors: bool = False) -> Cursor:
        """Keep the entries up to ``through`` no longer."""
        with self._turn() as disk:
            first, head = disk.base.head.position, disk.tables.head
            if through > first:
                check_trim(through, head)
                behind = cut_off(disk.cursors, through)
                if behind and not drop_cursors:
                    raise refuse_cut_off(behind)
                gone, kept = disk.entries[: through - first], disk.entries[through - first :]
                disk.base, disk.entries = _replayed(gone, disk.base), kept
                disk.cursors = {name: at for name, at in disk.cursors.items() if name not in behind}
            return disk.base.head.cursor

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head is beyond ``after``, as soon as it is or when the time is over."""
        disk = self._opened()
        with disk.news:
            return disk.news.wait_for(lambda: disk.tables.head.position > after, timeout_s)

    def cursor(self, name: str) -> Cursor | None:
        """How far the reader ``name`` has come."""
        return self._opened().cursors.get(name)

    def cursors(self) -> dict[str, Cursor]:
        """All readers that keep their cursor here."""
        return dict(sorted(self._opened().cursors.items()))

    def advance(self, name: str, cursor: Cursor) -> None:
        """Keep how far the reader ``name`` has come."""
        with self._turn() as disk:
            self._faults("advance")
            _check_cursor(disk, cursor)
            disk.cursors[name] = cursor
            self._faults("advance.done")

    def room(self, tables: MetaData) -> RoomTables:
        """The tables of one room, made if they are not there."""
        with self._turn() as disk:
            if not disk.rooms.has(tables):
                with disk.rooms.write() as connection:
                    tables.create_all(connection)
        return MemoryRoomTables(self)

    def close(self) -> None:
        """Use this store no more."""
        self._is_open = False

    @contextmanager
    def room_write(self) -> Iterator[Connection]:
        """One transaction of room tables, in the writer's turn."""
        with self._turn() as disk:
            self._faults("room.write")
            with disk.rooms.write() as connection:
                yield connection
            self._faults("room.write.done")

    @contextmanager
    def room_read(self) -> Iterator[Connection]:
        """One consistent view of room tables."""
        with self._opened().rooms.read() as connection:
            yield connection

    def _opened(self) -> Disk:
        if not self._is_open:
            raise BrokenInvariant("this store was closed, and is used")
        return self._disk

    @contextmanager
    def _turn(self) -> Iterator[Disk]:
        disk = self._opened()
        if disk.writer == threading.get_ident():
            # A file's lock would wait for ever here, and so would the test.
            raise BrokenInvariant("a writer who has the turn asks for it again")
        with disk.turn:
            disk.writer = threading.get_ident()
            try:
                yield self._opened()
            finally:
                disk.writer = 0


class MemoryRoomTables:
    """The RoomTables of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self.write = store.room_write
        self.read = store.room_read


def _replayed(entries: Iterable[JournalEntry], tables: Tables) -> Tables:
    draft = tables.draft()
    for entry in entries:
        for change in entry.changes:
            memory_apply.apply(change, draft, at_us=entry.at_us, position=entry.position)
        draft.head = Head(entry.epoch, entry.position, entry.digest, entry.at_us)
    return draft


def _drafted(change_set: ChangeSet, tables: Tables, *, at_us: int, now_us: int) -> Tables:
    """The state after a change set, if its requirements hold and the rules allow it."""
    draft = tables.draft()
    view = MemorySnapshot(draft)
    requirements.check_all(change_set.requirements, view, now_us=now_us)
    for change in change_set.changes:
        rules.check_change(change, view, now_us=now_us)
        conflict = rules.already_registered(change, view) if isinstance(change, RegisterFiles) else None
        if conflict is not None:
            raise conflict
        memory_apply.apply(change, draft, at_us=at_us, position=tables.head.position + 1)
    return draft


def _entry(
    before: Head, change_set: ChangeSet, changes: tuple[Change, ...], body: bytes, *, at_us: int, epoch: str
) -> JournalEntry:
    position, origin = before.position + 1, change_set.origin
    digest = journal.digest(
        before.digest,
        body,
        epoch=epoch,
        position=position,
        at_us=at_us,
        actor=change_set.actor,
        cause=change_set.cause,
        origin=origin,
    )
    return JournalEntry(epoch, position, at_us, change_set.actor, change_set.cause, origin, changes, digest)


def _check_cursor(disk: Disk, cursor: Cursor) -> None:
    index = cursor.position - disk.base.head.position
    known = disk.base.head.cursor if index == 0 else None
    if 0 < index <= len(disk.entries):
        known = disk.entries[index - 1].cursor
    if cursor != known:
        raise not_on_history(cursor, disk.base.head.cursor, disk.tables.head.cursor)
