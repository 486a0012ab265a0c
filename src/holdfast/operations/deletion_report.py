"""DeletionReport: what became of one request to delete, and of each file. Values only.

Of orphans every path is named. Of replicas only what is still there is: a
dataset has millions of files, and those that are gone are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.model.names import DatasetKey
from holdfast.model.records import DeletionRequest, RequestState
from holdfast.operations.codes import Code

REASONS_MAX = 5
"""As many reasons as the outcome of a request quotes; the queue keeps them all."""


class PathState(StrEnum):
    """What became of one file."""

    DELETED = "deleted"
    MOVED = "moved"
    """Into the quarantine."""
    GONE = "gone"
    """Somebody else had deleted it, or we had and died before writing it down."""
    SKIPPED = "skipped"
    """Not deleted, and rightly so."""
    FAILED = "failed"
    """Should have gone, but the storage did not let it; it may be tried again."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a target: DELETED, MOVED, GONE, SKIPPED or FAILED; the last two with a code and a reason."""

    state: PathState
    code: Code | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PathOutcome:
    """What became of one file; ``path`` is its LFN where the inventory knows it."""

    path: str
    state: PathState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeletionReport:
    """What became of one request."""

    request: str
    site: str
    outcomes: tuple[PathOutcome, ...] = ()
    error: str = ""
    """Why it was not carried out to its end; it is still open then, unless somebody has closed it."""
    is_busy: bool = False
    """Another worker is at it, and we were asked not to wait."""
    state: RequestState = RequestState.OPEN
    detail: str = ""
    counts: Mapping[PathState, int] = field(default_factory=dict)
    """Files by what became of them, those without a line of their own too."""
    dataset: DatasetKey | None = None
    """None of orphans."""
    what: str = ""
    """What was asked to go, in a few words."""
    into: str = ""
    """Where it was moved; "" if it was deleted."""

    def count(self, *states: PathState) -> int:
        """How many files are in ``states``."""
        return sum(self.counts.get(state, 0) for state in states)


_OTHERWISE = (PathState.GONE, PathState.SKIPPED, PathState.FAILED)


def what(request: DeletionRequest) -> str:
    """What a deletion asks to go, in a few words."""
    if request.dataset is not None:
        return str(request.dataset)
    kinds = [("orphans", request.orphans), ("empty directories", request.directories)]
    return " and ".join(name for name, named in kinds if named) or kinds[0][0]


def detail_of(counts: Mapping[PathState, int], outcomes: tuple[PathOutcome, ...]) -> str:
    """An outcome in one line, with some reasons."""
    deed = PathState.MOVED if PathState.MOVED in counts else PathState.DELETED
    n_done, gone, skipped, failed = (counts.get(state, 0) for state in (deed, *_OTHERWISE))
    text = f"{deed.value} {n_done}, already gone {gone}, skipped {skipped}"
    text += f", failed {failed}" if failed else ""
    reasons = [f"{each.path}: {each.reason}" for each in outcomes if each.reason][:REASONS_MAX]
    return f"{text}: {'; '.join(reasons)}" if reasons else text
