"""Below: what a request names below the directories that it asks to go, and whether that has an outcome.

Directories go from the deepest up. What belongs together may still be under way
in several claims; so one that is found not empty waits for what lies below it.

Rules
  * What has no outcome is what is not planned yet, or stands in a batch that is not final.
  * Of the claim that asks, its own word counts: what it holds is not written down yet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from enum import StrEnum
from functools import cached_property

from holdfast.model import names
from holdfast.model.fileset import FileSet
from holdfast.model.records import DeletionRequest
from holdfast.operations.batch import FINAL, Batch, BatchState
from holdfast.operations.batches import rows
from holdfast.operations.batches.queue import Queue


class Waits(StrEnum):
    """For what a directory waits that is not empty."""

    NOT = "not"
    FOR_WORK = "for work"
    """Something below it is still to go, by itself."""
    FOR_HELD = "for held"
    """Nothing but what is held."""


class Below:
    """The paths of one request, looked at by one claim."""

    def __init__(self, asked: DeletionRequest, queue: Queue, batch: Batch) -> None:
        self._asked, self._queue, self._batch = asked, queue, batch

    @cached_property
    def _paths(self) -> list[tuple[str, int]]:
        return sorted((self._asked.path(number), number) for number in range(self._asked.n_paths))

    @cached_property
    def holding(self) -> frozenset[str]:
        """The directories right in which the request names anything: they change with what goes from them."""
        return frozenset(names.split(path)[0] for path, _ in self._paths)

    def waits_for(self, directory: str, own: Collection[int]) -> Waits:
        """What a directory waits for. ``own``: what of the own claim will be tried again."""
        below = FileSet.of(self._numbers(names.join(directory, "")))
        if not below:
            return Waits.NOT
        moving, held = self._without_outcome()
        if below & (FileSet.of(own) | moving):
            return Waits.FOR_WORK
        return Waits.FOR_HELD if below & held else Waits.NOT

    def _numbers(self, prefix: str) -> list[int]:
        found = []
        for path, number in self._paths[bisect_left(self._paths, (prefix, 0)) :]:
            if not path.startswith(prefix):
                break
            found.append(number)
        return sorted(found)

    def _without_outcome(self) -> tuple[FileSet, FileSet]:
        """What is still to come by itself, and what is held."""
        queued = self._queue.find(self._batch.request.id)
        if queued is None:
            return FileSet(), FileSet()
        left, held = FileSet(), FileSet()
        if not queued.is_planned:
            left = FileSet.full(self._asked.n_paths) - FileSet.full(int(queued.planned_to or 0))
        with self._queue.read() as connection:
            found = rows.batches(connection, "request = ?", (queued.number,))
        for row in found:
            if row.claim == self._batch.claim or BatchState(row.state) in FINAL:
                continue
            if row.state == BatchState.HELD:
                held |= row.fileset
            else:
                left |= row.fileset
        return left, held
