"""Joining: batches that come into the queue are made one with those that fare alike, so that files cost no rows.

Alike are batches of one block of one request, in the same state for the same
reason, with the same tries behind and the same wait before them. Of what is
queued again the last failure is only told, and does not keep batches apart.

Rules
  * A batch that waits for a moment of its own is joined only with what comes at the same time.
  * Of one block, failures that differ in nothing but the words stay apart only up to ERRORS_MAX; then the words of
    one stand for the others. Of orphans each keeps its own: people are told why each is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from holdfast.operations.batch import BatchState
from holdfast.operations.batches import rows
from holdfast.operations.batches.rows import BatchRow

ERRORS_MAX = 20
"""So many different errors are kept of one block's files that fare alike."""

_JOINED = ("files", "n_files", "size", "since_us", "code", "error")
"""What joining alters in a row."""


def put(connection: Connection, new: Sequence[BatchRow], *, there: Iterable[BatchRow] | None = None) -> None:
    """Add batches, none of them active; ``there``: what is in the queue of their blocks, if it is known."""
    if there is None:
        alone = {(row.request, row.block) for row in new if row.state != BatchState.RETRY}
        there = rows.of_blocks(connection, alone) if alone else ()
    known = _Alike(row for row in there if row.state not in (BatchState.RETRY, BatchState.ACTIVE))
    for row in new:
        known.take(row)
    rows.insert(connection, [row for row in known.changed() if not row.id])
    rows.change(connection, [row for row in known.changed() if row.id], _JOINED)


def queue_again(connection: Connection, found: Sequence[BatchRow]) -> None:
    """Queue batches that are in another state; ``found``: the rows as they should be else."""
    rows.remove(connection, [row.id for row in found])
    put(connection, [row._replace(id=0, state=BatchState.QUEUED, held="", not_before_us=0) for row in found])


class _Alike:
    """Batches by what has to be equal for them to be one."""

    def __init__(self, there: Iterable[BatchRow]) -> None:
        self._groups: dict[tuple[Any, ...], list[BatchRow]] = {}
        self._changed: set[tuple[tuple[Any, ...], int]] = set()
        for row in there:
            self._groups.setdefault(_key(row), []).append(row)

    def take(self, new: BatchRow) -> None:
        """Join one with what is there, or put it beside."""
        key = _key(new)
        group = self._groups.setdefault(key, [])
        place = _place(group, new)
        if place < len(group):
            group[place] = _joined(group[place], new)
        else:
            group.append(new)
        self._changed.add((key, place))

    def changed(self) -> list[BatchRow]:
        """What is new or was joined with something new, by request, then by block."""
        return [self._groups[key][place] for key, place in sorted(self._changed, key=_order)]


def _key(row: BatchRow) -> tuple[Any, ...]:
    reason = "" if row.state == BatchState.QUEUED else row.code
    waits = (row.state, row.attempts, row.not_before_us, row.held, reason)
    return (row.request, row.block, *waits, row.left_behind, row.bad_sources)


def _order(changed: tuple[tuple[Any, ...], int]) -> tuple[Any, ...]:
    key, place = changed
    return (*key, place)


def _place(group: Sequence[BatchRow], new: BatchRow) -> int:
    """Where in a group the new one belongs; its length: nowhere yet."""
    if new.state == BatchState.QUEUED:
        return 0
    for place, row in enumerate(group):
        if row.error == new.error:
            return place
    return ERRORS_MAX - 1 if new.block and len(group) >= ERRORS_MAX else len(group)


def _joined(row: BatchRow, new: BatchRow) -> BatchRow:
    files = row.fileset | new.fileset
    is_queued = row.state == BatchState.QUEUED
    since_us = min(row.since_us, new.since_us) if is_queued else max(row.since_us, new.since_us)
    told = new if new.error else row
    return row.having(files, row.size + new.size)._replace(since_us=since_us, code=told.code, error=told.error)
