"""Assignment: files of a batch that can be claimed now; and what else a schedule says of those that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.operations.batch import Batch, Held, QueuedRequest
from holdfast.operations.planning.turns import Turns


@dataclass(frozen=True, slots=True)
class Assignment:
    """Files of a batch that can be claimed now."""

    batch: Batch
    """As it is when the assignments before this one were claimed."""
    files: FileSet
    size: int
    source: str
    """"" of deletions."""
    streams: int
    """How many of the files may be under way at once."""


@dataclass(frozen=True, slots=True)
class HeldBatch:
    """A batch of which nothing can be done until something has changed."""

    batch: Batch
    """As it is when the assignments were claimed: what is left of it is held."""
    held: Held
    reason: str


class Remains:
    """Batches that are assigned in pieces, as they are after each claim."""

    def __init__(self) -> None:
        self._left: dict[int, Batch] = {}

    def of(self, batch: Batch) -> Batch:
        """What is left of a batch."""
        return self._left.get(batch.id, batch)

    def take(self, batch: Batch, files: FileSet, size: int) -> Batch:
        """Take files out of a batch; returns it as it was before."""
        before = self.of(batch)
        if files != before.files:
            left = before.files - files
            self._left[batch.id] = replace(before, files=left, n_files=len(left), size=max(0, before.size - size))
        return before


@dataclass(slots=True)
class BatchPiece:
    """Files of a batch, with their source once that is chosen, and their bytes once these are known."""

    batch: Batch
    block: BlockKey | None
    """None of orphans. Kept, because it is asked for often."""
    files: FileSet
    source: str = ""
    size: int | None = None


@dataclass(slots=True)
class RequestLine:
    """What waits of one request, the oldest batch first, while a schedule is made."""

    request: QueuedRequest
    pieces: deque[BatchPiece] = field(default_factory=deque)


def in_turn(turns: Turns, room_files: int, give: Callable[[QueuedRequest, int], Assignment | None]) -> list[Assignment]:
    """Give something to whose turn it is, until there is no room or nobody left.

    ``give`` is told how many files there is room for, one at least, and returns None if there is nothing that the
    request could be given.
    """
    found: list[Assignment] = []
    while room_files > 0 and (request := turns.next()) is not None:
        assignment = give(request, room_files)
        if assignment is None:
            turns.leave()
            continue
        n_files = len(assignment.files)
        room_files -= n_files
        turns.charge(n_files, assignment.size)
        found.append(assignment)
    return found
