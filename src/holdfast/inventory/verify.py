"""Verify a live inventory: every invariant of ``docs/invariants.md``, at one position.

It reads in one transaction, so writers go on meanwhile and cannot confuse it.
I11 replays the whole journal, on a checkpoint where its beginning is gone: each
entry must be accepted by the rules again, and the end must equal the tables;
what differs was not written by a commit.

Rules
  * A finding says between which positions it came about, if all was once sound (``since``).
  * That all is sound is kept in the store where that can be; a store that cannot be written is verified all the same.
  * Whatever stops a check is a finding, and the other checks go on; only a database that fails stops them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError, NoResultFound

from holdfast.inventory import checkpoints, comparing, schema, since, sql_journal
from holdfast.inventory.bodies import check_bodies
from holdfast.inventory.comparing import differences as differences
from holdfast.inventory.image import sql_load
from holdfast.inventory.image.image import Image
from holdfast.inventory.invariants import SNAPSHOT_CHECKS, Violation
from holdfast.inventory.replayed_digests import ReplayedDigests
from holdfast.inventory.sql_read_ahead import ReadAhead
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.sqlite_database import SqliteDatabase
from holdfast.inventory.store import Head
from holdfast.inventory.table_invariants import CONNECTION_CHECKS
from holdfast.model.errors import HoldfastError

Progress = Callable[[str], None]

DAMAGE_SHOWN = 200
"""So many letters are shown of what an exception says."""
_FROM_DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, NoResultFound)
"""What reading a damaged head raises."""

INVARIANTS: dict[str, str] = {
    "I1": "the journal has no gap, its digests form a chain, its time runs forward",
    "I2": "the journal's side table names all that each entry touches",
    "I3": "blocks are the sums of their files",
    "I4": "files have valid names, sizes and checksums, and each LFN is in one block",
    "I5": "replicas have a block and a site and say truly what they hold",
    "I6": "staged datasets say where they come from",
    "I7": "open copies have replicas to fill",
    "I8": "open deletions of orphans touch nothing that is had or awaited",
    "I9": "no reader's cursor is ahead of the journal, before it, or on another history",
    "I10": "the database is sound and its references hold",
    "I11": "the journal, replayed under the rules, gives the tables",
    "I12": "behind a trimmed journal stands a checkpoint, sound and on this history",
    "I13": "what is asked of a record by its columns is what the record says",
    "I14": "what open requests name is there",
}
"""Number and sentence of every invariant that is checked on a live inventory."""


def verify(
    store: SqlStore, *, replay: bool = True, folder: Path | None = None, progress: Progress | None = None
) -> list[Violation]:
    """Every violation, in the order of the checks; an empty list is a clean inventory.

    Without ``replay`` I11 is left out: it holds the whole inventory in memory. Checkpoints are in ``folder``; None is
    the one beside the inventory's file.
    """
    if folder is None and isinstance(store.database, SqliteDatabase):
        folder = store.path.parent / checkpoints.FOLDER
    with store.reading() as connection:
        try:
            head = _head(connection)
        except _FROM_DAMAGE as error:
            return [_unreadable("head", error)]
        findings = findings_of(connection, folder, replay=replay, progress=progress)
        findings = since.dated(findings, connection, head)
    if replay and not findings:
        since.keep_clean(store, head)
    return findings


def _head(connection: Connection) -> Head:
    head = SqlSnapshot(connection).head
    if not isinstance(head.position, int):
        raise ValueError(f"the position is {head.position!r}")
    return head


def findings_of(
    connection: Connection, folder: Path | None, *, replay: bool = True, progress: Progress | None = None
) -> list[Violation]:
    """Every violation that an open read transaction shows."""
    view = ReadAhead(connection)
    checks: list[tuple[str, Iterator[Violation]]] = [
        *((check.__name__, check(connection)) for check in (*CONNECTION_CHECKS, check_bodies)),
        *((check.__name__, check(view)) for check in SNAPSHOT_CHECKS),
    ]
    findings: list[Violation] = []
    for name, check in checks:
        findings += _run(name, check, progress)
    broken: list[Violation] = []
    if replay:
        broken = _run(check_beginning.__name__, check_beginning(connection, folder), progress)
        if not broken:
            findings += _run(check_replay.__name__, check_replay(connection, view, folder), progress)
    return findings + broken


def _run(name: str, check: Iterator[Violation], progress: Progress | None) -> list[Violation]:
    if progress is not None:
        progress(_title(name))
    return list(_guarded(name, check))


def _guarded(name: str, check: Iterator[Violation]) -> Iterator[Violation]:
    """The findings of one check; an inventory too broken to be read is a finding too."""
    try:
        yield from check
    except HoldfastError as error:
        if error.retryable:  # The database is away: that says nothing about the inventory.
            raise
        yield Violation("I10", error.place or _title(name), f"cannot be read: {error.message}")
    except (DBAPIError, MemoryError):  # The store has its own words for what its database says.
        raise
    except Exception as error:  # noqa: BLE001 - rows that no commit wrote break any assumption of those who read them
        yield _unreadable(_title(name), error)


def _unreadable(place: str, error: Exception) -> Violation:
    text = " ".join(str(error).split())[:DAMAGE_SHOWN]
    return Violation("I10", place, f"cannot be read: {type(error).__name__}: {text}")


def _title(name: str) -> str:
    return name.removeprefix("check_").replace("_", " ")


def check_beginning(connection: Connection, folder: Path | None) -> Iterator[Violation]:
    """I12: where the journal's beginning is gone, a checkpoint stands behind the rest."""
    first, table = sql_journal.start(connection), schema.touched_before.c
    query = select(table.kind, table.item, table.position).where(table.position > first.position)
    for kind, item, position in connection.execute(query):
        message = f"says that {position} touched {kind} {item}; the journal begins after {first.position}"
        yield Violation("I12", "the side table of what is gone", message, (kind, item))
    if not first.position:
        return
    checkpoint = checkpoints.basis(connection, folder)
    if checkpoint is None:
        message = f"the journal begins after it, and there is no checkpoint; {checkpoints.MAKE_ANEW}"
        yield Violation("I12", f"position {first.position}", message)
        return
    place = f"checkpoint {checkpoint.file}"
    if sql_journal.point(connection, checkpoint.cursor.position) != checkpoint.cursor:
        yield Violation("I12", place, f"its position {checkpoint.cursor.position} is not on this history")
    elif folder is None:
        yield Violation("I12", place, "it cannot be looked at: nobody said in which folder it is")
    else:
        try:
            checkpoints.check_whole(checkpoint, folder)
        except HoldfastError as error:
            yield Violation("I12", error.place or place, "; ".join(filter(None, (error.message, error.hint))))


def check_replay(connection: Connection, view: SqlSnapshot, folder: Path | None) -> Iterator[Violation]:
    """I11: replay the journal under the rules and compare the end with the tables; I2: and what was touched last."""
    image, digests = _begun(connection, folder)
    for entry in sql_journal.read_entries(connection, image.head.position):
        try:
            image.apply_all((entry,), checked=True)
            digests.take(entry)
        except HoldfastError as error:
            yield Violation("I11", f"position {entry.position}", f"would be refused today: {error.message}")
            return
    if not view.head.position:  # Before the first entry there is nothing to compare, and no epoch in the image.
        return
    snapshot = image.snapshot()
    for what, about in comparing.differing(snapshot, view, also=digests.differ):
        yield Violation("I11", what, "differs between the replayed journal and the tables", about)
    for kind, item, replayed, kept in comparing.last_touches(snapshot, view):
        message = f"the journal touched it last at {replayed or 'no position'}, the side table says {kept or 'never'}"
        yield Violation("I2", f"{kind} {item}", message, (kind, item))


def _begun(connection: Connection, folder: Path | None) -> tuple[Image, ReplayedDigests]:
    """What stands before the first entry that can be replayed."""
    checkpoint = checkpoints.basis(connection, folder) if sql_journal.start(connection).position else None
    if checkpoint is None or folder is None:
        return Image.empty(), ReplayedDigests()
    with checkpoints.opened(folder / checkpoint.file) as content:
        return sql_load.load(content), ReplayedDigests.of(ReadAhead(content))
