"""Deciding: what of an area, or of the quarantine, is old enough to go, and why each other thing stays.

Rules
  * Old is by the later of mtime and last change, which moving it in is. What
    nobody tells the age of stays.
  * What was not listed wholly stays: what is below a directory that failed, was not
    entered, or is not believed.
  * A directory goes only if nothing is below it but directories that go.
  * What an open request takes already is not asked for again. Nor is what a person
    has called off (``mending/cancelled.py``), unless whoever cleans says so.

Pure: rows of a listing in, findings out. What goes is an ORPHAN or an
EMPTY_DIRECTORY, what stays is IGNORED, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Protocol

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import PIECE_ROWS, Finding
from holdfast.consistency.unlisted import Unlisted
from holdfast.model import names
from holdfast.model.records import DeletionRequest, EmptyDirectory


class Stays(StrEnum):
    """Why something stays, in a word or two."""

    YOUNG = "too young"
    AGELESS = "of unknown age"
    UNLISTED = "not listed wholly"
    PROTECTED = "protected"
    IGNORED = "ignored"
    ASKED = "asked to go already"
    CALLED_OFF = "called off"
    NOT_EMPTY = "something stays below it"
    NEEDED = "the inventory is against it"
    LOST = "may be a lost file"
    NOT_SO = "not as it was listed"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one thing stays: for counting, and for people."""

    stays: Stays
    told: str


Decided = tuple[Finding, Reason | None]
"""A thing, and why it stays; None: it goes."""


def unless(
    decided: Iterable[Decided], reasons: Callable[[Sequence[Finding]], Mapping[str, Reason]]
) -> Iterator[Decided]:
    """The same decisions, in the same order; what was to go stays if there are ``reasons``, told by path, in pieces."""
    rest = iter(decided)
    while piece := list(islice(rest, PIECE_ROWS)):
        staying = reasons([finding for finding, reason in piece if reason is None])
        yield from ((finding, reason or staying.get(finding.path)) for finding, reason in piece)


def unless_one_below_stays(decided: Iterable[Decided]) -> Iterator[Decided]:
    """The same decisions about directories, the deepest first; one in which another stays cannot go."""
    full: set[str] = set()
    for found, reason in decided:
        if found.path in full and reason is None:
            reason = Reason(Stays.NOT_EMPTY, "a directory in it stays")
        if reason is not None and reason.stays is not Stays.ASKED:
            full.add(names.split(found.path)[0])
        yield found, reason


class Ages(Protocol):
    """How old things have to be."""

    def youngest_ns(self, path: str) -> int:
        """The latest moment at which what has this path may have changed last, in ns since 1970."""


@dataclass
class Tally:
    """What was decided: how much goes, how much stays and why."""

    files: int = 0
    size: int = 0
    directories: int = 0
    stays: Counter[Stays] = field(default_factory=Counter)

    def note(self, decided: Iterable[Decided]) -> Iterator[Finding]:
        """Count decisions as they go by; each as a finding, but for what is too young: that is nearly all there is."""
        for finding, reason in decided:
            if reason is not None:
                self.stays[reason.stays] += 1
                if reason.stays is not Stays.YOUNG:
                    yield replace(finding, cls=Class.IGNORED, reason=f"{reason.stays}: {reason.told}")
                continue
            if finding.cls is Class.EMPTY_DIRECTORY:
                self.directories += 1
            else:
                self.files += 1
                self.size += finding.size
            yield finding


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides on what a listing shows. ``spares`` says why something stays whatever its age; None: nothing says so."""

    ages: Ages
    unlisted: Unlisted
    asked: frozenset[str]
    """The paths that open requests take already."""
    spares: Callable[[str], Reason | None]

    def file(self, found: Finding) -> Reason | None:
        """Why a file stays; None if it may go."""
        return self._otherwise(found.path) or self.too_young(found)

    def directories(self, empty: Iterable[EmptyDirectory]) -> Iterator[Decided]:
        """Empty directories, in their order, each with why it stays by itself."""
        for each in empty:
            found = Finding(Class.EMPTY_DIRECTORY, each.path, mtime_ns=each.mtime_ns, n_files=0)
            yield found, self._otherwise(each.path) or self.too_young(found)

    def too_young(self, found: Finding) -> Reason | None:
        """Why something is not old enough; None if it is."""
        if found.since_ns is None:
            return Reason(Stays.AGELESS, "nobody tells how old it is")
        if found.since_ns > self.ages.youngest_ns(found.path):
            return Reason(Stays.YOUNG, "it was changed or moved there too lately")
        return None

    def _otherwise(self, path: str) -> Reason | None:
        hidden = self.unlisted.hiding(path)
        if hidden is not None:
            return Reason(Stays.UNLISTED, f"{hidden}: {self.unlisted.reasons[hidden]}")
        if path in self.asked:
            return Reason(Stays.ASKED, "an open request takes it")
        return self.spares(path)


def asked_already(requests: Iterable[DeletionRequest]) -> frozenset[str]:
    """The files and directories that open requests take."""
    return frozenset(request.path(number) for request in requests for number in range(request.n_paths))
