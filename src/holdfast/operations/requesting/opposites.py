"""Opposites: of a copy and a deletion of the same files at the same site, the one that was asked for later counts.

What nobody has claimed yet of the earlier one is taken back, in the transaction
that asks for the later one. What is claimed stays in both: the earlier one is
carried out, then the later one.

Rules
  * It is decided by what is claimed now, and looked at again in the transaction:
    what was claimed in between undoes it all (ClaimedMeanwhile), to be decided anew.
  * A file is taken back or it waits, never both.
  * What does not fit one change set waits, too: parts of blocks name their files
    one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection

from holdfast.model.changes import ReduceRequest
from holdfast.model.errors import HoldfastError
from holdfast.model.fileset import FileSet
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Request
from holdfast.operations.batches import claims, orders
from holdfast.operations.requesting import scopes
from holdfast.operations.requesting.scopes import Files

RequestT = TypeVar("RequestT", CopyRequest, DeletionRequest)

ROWS_TAKEN_MAX = 20_000
"""As many rows of a change set as taking back may need; the rest is for what is asked for."""


class ClaimedMeanwhile(HoldfastError):
    """Somebody has begun what was to be taken back; nothing was done."""

    retryable = True


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What is taken back of one request: files, and the same as its change set says it."""

    request: str
    files: Files
    scope: tuple[BlockFiles, ...]


@dataclass(frozen=True, slots=True)
class Opposition:
    """What a new request meets: what it takes back of earlier ones, and what it has to wait for."""

    taken: tuple[TakenBack, ...] = ()
    waiting: Files = field(default_factory=dict)
    against: tuple[str, ...] = ()
    """The ids of the requests that stay as they are in some files."""

    @property
    def n_taken_back(self) -> int:
        """Files that are not to be brought, or deleted, after all."""
        return sum(scopes.count(each.files) for each in self.taken)

    @property
    def told(self) -> tuple[int, int, tuple[str, ...]]:
        """Files taken back, files to be waited for, and the ids of all requests that are met."""
        ids = (*(each.request for each in self.taken), *self.against)
        return self.n_taken_back, scopes.count(self.waiting), tuple(dict.fromkeys(ids))

    def later_than_all(self, alike: Sequence[RequestT], earlier: Sequence[Request]) -> list[RequestT]:
        """Those of ``alike`` that may be joined now: one from before what has to be waited for would give way to it."""
        waited_us = max((each.created_us for each in earlier if each.id in self.against), default=0)
        return [each for each in alike if each.created_us >= waited_us]

    def changes(self, reason: str) -> tuple[ReduceRequest, ...]:
        """What takes them back in the inventory; to stand before the change that asks."""
        return tuple(ReduceRequest(each.request, each.scope, reason) for each in self.taken)


def opposition(
    earlier: Sequence[Request],
    wanted: Files,
    claimed: Mapping[str, Files],
    n_files: Mapping[str, int],
    *,
    rows_max: int = ROWS_TAKEN_MAX,
) -> Opposition:
    """What a request for ``wanted`` meets in the open opposite requests of its dataset and site.

    ``claimed``: by request, what is being carried out; ``n_files`` of each block of the dataset.
    """
    taken, waiting, against, rows_left = [], dict[str, FileSet](), [], rows_max
    for request in earlier:
        asked = scopes.files_of(request.scope, n_files)
        both = scopes.common(asked, wanted)
        free = scopes.without(both, claimed.get(request.id, scopes.NO_FILES))
        files, parts = fitting(free, asked, rows_left)
        rows_left -= sum(len(part.ordinals or ()) or 1 for part in parts)
        if parts:
            taken.append(TakenBack(request.id, files, parts))
        for block, rest in scopes.without(both, files).items():
            waiting[block] = waiting.get(block, FileSet()) | rest
            against.append(request.id)
    return Opposition(tuple(taken), waiting, tuple(dict.fromkeys(against)))


def fitting(
    free: Files, asked: Files, rows_max: int = ROWS_TAKEN_MAX
) -> tuple[dict[str, FileSet], tuple[BlockFiles, ...]]:
    """As much of ``free`` as fits, whole blocks of ``asked`` first, and the scope that says so."""
    files: dict[str, FileSet] = {}
    parts = []
    for block in sorted(free, key=lambda name: (free[name] != asked[name], name)):
        is_whole = free[block] == asked[block]
        n_rows = 1 if is_whole else len(free[block])
        if n_rows > rows_max:
            continue
        rows_max -= n_rows
        files[block] = free[block]
        parts.append(BlockFiles(block, None if is_whole else tuple(free[block])))
    return files, tuple(sorted(parts, key=lambda part: part.block))


def claimed_of(connection: Connection, requests: Iterable[Request]) -> dict[str, Files]:
    """What workers are carrying out of these requests, by request."""
    found: dict[str, Files] = {}
    for request in requests:
        known = orders.find(connection, request.id)
        if known is not None:  # Else nobody has looked at it yet.
            found[request.id] = claims.claimed(connection, known.number)
    return found


def withdraw(connection: Connection, opposition: Opposition) -> None:
    """Take out of the queue what is taken back, in the transaction that says so to the inventory; ClaimedMeanwhile."""
    for each in opposition.taken:
        known = orders.find(connection, each.request)
        if known is None:
            continue
        if scopes.common(claims.claimed(connection, known.number), each.files):
            raise ClaimedMeanwhile(f"request {each.request} is being carried out in part now")
        orders.withdraw(connection, known.number, each.files)
