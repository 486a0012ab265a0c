"""Retention: how much of the journal is kept, and the proof behind what is not.

Old entries leave the journal only behind a checkpoint: a proved copy of the
inventory at the last removed position or after it, kept as a file, from which
history can be restarted. Trimming alters nothing that anybody can ask the
inventory, so it is no journal entry: a change set says what became different for
all who follow, and each server or copy of an inventory may keep another stretch
of the same history. Who trimmed last, and when, stands beside the start.

Rules
  * A checkpoint counts only if its file is the one that was made; with ``replay`` one is made only of an inventory
    that passes ``verify`` whole, because damage older than the checkpoint could not be found any more; and one that
    was made without that proof is not taken.
  * Where the file of the last checkpoint is on another machine, a trim here makes one of its own; nothing can be
    replayed then, so it counts as made without proof. A checkpoint that is here and damaged stops a trim.
  * Where the checkpoint behind the journal is lost or damaged, a trim that removes nothing makes a new one.
  * The entries go in one transaction in the writer's turn, together with the record of their checkpoint. Killed
    anywhere, either all of them are there or none, and a file that no record names is left behind at worst.
  * A checkpoint's file goes only after the transaction that does without it.
  * The last entry stays. A named reader is not cut off unasked; verify's own cursor moves to the checkpoint.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from holdfast import logs
from holdfast.inventory import backup as backups
from holdfast.inventory import checkpoints, schema, since, sql_journal, sql_rows, sql_trim, sqlite_copy, sqlite_file
from holdfast.inventory.checkpoints import Checkpoint
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Cursor, Head
from holdfast.inventory.trimming import cut_off, refuse_cut_off
from holdfast.inventory.verify import Progress, findings_of
from holdfast.model import steps
from holdfast.model.clock import Clock
from holdfast.model.errors import BadInput, Conflict, OperatorError

_log = logs.get("inventory")


@dataclass(frozen=True, slots=True)
class TrimPlan:
    """What a trim would do."""

    start: Cursor
    """The point before the first entry that is kept now."""
    through: int
    """The last entry to go; the start's position if none has to."""
    head: Head
    checkpoint: Checkpoint | None
    """The checkpoint that serves; None if one has to be made, or none is needed."""
    cut_off: tuple[str, ...]
    """The named readers that have not read all that would go."""

    @property
    def n_entries(self) -> int:
        """How many entries would go."""
        return self.through - self.start.position

    @property
    def lacks_checkpoint(self) -> bool:
        """Whether one has to be made: the beginning is gone, or will be, and none here serves."""
        return self.checkpoint is None and self.through > 0


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What a trim has done."""

    start: Cursor
    n_entries: int
    checkpoint: Checkpoint | None
    dropped: tuple[str, ...]
    made: bool = False
    """Whether the checkpoint was made for this trim."""


def plan(
    store: SqlStore,
    folder: Path,
    *,
    keep_entries: int | None = None,
    keep_since_us: int | None = None,
    replay: bool = True,
) -> TrimPlan:
    """What would go if the last ``keep_entries`` entries stay, or those since a moment; both: what either keeps.

    With ``replay`` only a proved checkpoint serves to let entries go.
    """
    if keep_entries is None and keep_since_us is None:
        raise BadInput("nobody said what to keep", hint="a number of entries, or of days")
    with store.reading() as connection:
        head, first = SqlSnapshot(connection).head, sql_journal.start(connection)
        last = head.position - max(1, keep_entries or 1)
        if keep_since_us is not None:
            last = min(last, sql_trim.position_before(connection, keep_since_us))
        through = max(first.position, last)
        known = checkpoints.recorded(connection)
        readers = _readers_cut_off(connection, through) if through > first.position else []
    proved = replay and through > first.position
    return TrimPlan(first, through, head, _serving(known, folder, through, proved=proved), tuple(readers))


def trim(
    store: SqlStore,
    folder: Path,
    planned: TrimPlan,
    *,
    clock: Clock,
    actor: str,
    drop_cursors: bool = False,
    replay: bool = True,
    progress: Progress | None = None,
) -> Trimmed:
    """Do what was planned. OperatorError if no checkpoint can be made; Conflict if readers would be cut off."""
    if not planned.n_entries and not planned.lacks_checkpoint:
        return Trimmed(planned.start, 0, planned.checkpoint, ())
    if planned.cut_off and not drop_cursors:
        raise refuse_cut_off(planned.cut_off)
    serving = planned.checkpoint
    if serving is not None and replay and not serving.is_replayed:  # It was planned for a trim without proof.
        serving = None
    checkpoint = serving or _make(store, folder, replay=replay, progress=progress)
    steps.reach("trim.checkpointed")
    dropped, useless = list[str](), list[Checkpoint]()

    def record(connection: Connection) -> None:
        _check_still_so(connection, folder, planned, checkpoint)
        if planned.n_entries:
            dropped.extend(_readers_cut_off(connection, planned.through))
        useless.extend(_useless(checkpoints.recorded(connection), folder, checkpoint, planned.through))
        _record(connection, checkpoint, useless, clock())
        if planned.n_entries:
            _record_trim(connection, clock(), actor)
        _move_own_cursor(connection, checkpoint, planned.through)

    start = store.trim(planned.through, drop_cursors=drop_cursors, also=record)
    steps.reach("trim.trimmed")
    for each in useless:
        if each.file != checkpoint.file and Path(each.file).name == each.file:  # A damaged row may name anything.
            _remove(folder / each.file)
    _log.info("the journal was trimmed", through=start.position, checkpoint=checkpoint.file, actor=actor)
    return Trimmed(start, planned.n_entries, checkpoint, tuple(dropped), made=serving is None)


def _readers_cut_off(connection: Connection, through: int) -> list[str]:
    """Those for whom a person has to decide: not verify, which only wants to know since when."""
    rows = connection.execute(select(schema.cursor).where(schema.cursor.c.name != since.CURSOR))
    return cut_off({row.name: Cursor(row.epoch, row.position, row.digest) for row in rows}, through)


def _serving(known: Sequence[Checkpoint], folder: Path, through: int, *, proved: bool) -> Checkpoint | None:
    """The earliest checkpoint from which history can be restarted when the entries up to ``through`` are gone."""
    for checkpoint in known:
        if checkpoint.cursor.position >= through and (checkpoint.is_replayed or not proved):
            try:
                checkpoints.check_whole(checkpoint, folder)
            except OperatorError as error:
                _log.warning("a checkpoint does not serve", problem=str(error))
            else:
                return checkpoint
    return None


def _make(store: SqlStore, folder: Path, *, replay: bool, progress: Progress | None) -> Checkpoint:
    """A new checkpoint of the inventory as it is now; no record names it yet."""
    sqlite_file.make_folder(folder)
    part = folder / f"new-{uuid.uuid4().hex[:8]}.db"
    try:
        head = backups.backup(store, part)
        is_replayed = replay and _prove(part, folder, progress)
        digest = checkpoints.file_hash(part)
        name = checkpoints.file_name(head.position, digest)
        made = Checkpoint(head.cursor, name, part.stat().st_size, digest, is_replayed)
        with _translated(folder):
            part.replace(folder / made.file)
            sqlite_copy.durable(folder)
    finally:
        part.unlink(missing_ok=True)
    return made


def _prove(part: Path, folder: Path, progress: Progress | None) -> bool:
    """Whether the proof was whole: nothing can be replayed here if the checkpoint to do it on is somewhere else."""
    with checkpoints.opened(part) as connection:
        basis = checkpoints.basis(connection, folder) if sql_journal.start(connection).position else None
        replay = basis is None or basis.is_in(folder)
        findings = findings_of(connection, folder, replay=replay, progress=progress)
    if findings:
        first = findings[0]
        raise OperatorError(
            f"the inventory is not sound, so its history is kept: {first.invariant}: {first.place}: {first.message}",
            hint="run `holdfast verify`; --no-replay trims without that proof",
        )
    if not replay:
        _log.warning("the journal could not be replayed: its checkpoint is not here", folder=str(folder))
    return replay


def _check_still_so(connection: Connection, folder: Path, planned: TrimPlan, checkpoint: Checkpoint) -> None:
    is_ours = sql_journal.point(connection, checkpoint.cursor.position) == checkpoint.cursor
    if sql_journal.start(connection) != planned.start or not is_ours:
        raise Conflict("the journal was trimmed or replaced meanwhile", hint="look again")
    if not (folder / checkpoint.file).is_file():
        raise Conflict("the checkpoint was removed meanwhile", place=str(folder / checkpoint.file), hint="look again")


def _useless(known: Sequence[Checkpoint], folder: Path, checkpoint: Checkpoint, through: int) -> list[Checkpoint]:
    """What this checkpoint replaces. Those that serve another machine stay; of one position there is one at most."""
    position = checkpoint.cursor.position

    def is_replaced(each: Checkpoint) -> bool:
        at = each.cursor.position
        is_ours = each.host in ("", checkpoints.this_host()) or each.is_in(folder)
        return at < through or (at < position and is_ours) or (at == position and each != checkpoint)

    return [each for each in known if is_replaced(each)]


def _record(connection: Connection, checkpoint: Checkpoint, useless: Sequence[Checkpoint], now_us: int) -> None:
    table = schema.checkpoint
    connection.execute(delete(table).where(table.c.position.in_([each.cursor.position for each in useless])))
    if checkpoint not in checkpoints.recorded(connection):
        connection.execute(insert(table).values(**checkpoints.row_of(checkpoint), made_us=now_us))


def _record_trim(connection: Connection, now_us: int, actor: str) -> None:
    start = sql_journal.start(connection)
    values = {"epoch": start.epoch, "position": start.position, "digest": start.digest, "at_us": 0}
    sql_rows.put(connection, schema.start, {"id": 1}, {**values, "trimmed_us": now_us, "trimmed_by": actor})


def _move_own_cursor(connection: Connection, checkpoint: Checkpoint, through: int) -> None:
    """Verify's cursor does not hold the journal back: what a proved checkpoint shows was sound."""
    at, table = checkpoint.cursor, schema.cursor
    known = connection.scalar(select(table.c.position).where(table.c.name == since.CURSOR))
    if checkpoint.is_replayed and (known is None or known < at.position):
        values = {"epoch": at.epoch, "position": at.position, "digest": at.digest}
        sql_rows.put(connection, table, {"name": since.CURSOR}, values)
    elif known is not None and known < through:
        connection.execute(delete(table).where(table.c.name == since.CURSOR))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("an old checkpoint cannot be removed", file=str(path), problem=error.strerror)


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperatorError(error.strerror or str(error), place=str(place), hint="nothing was changed") from error
