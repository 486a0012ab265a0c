"""Shown: what the pages show, as plain values: a site, its runs, and what one run found.

``gather`` fills these from the inventory's room and the folders of the runs;
the pages are made of these alone.

Rules
  * Text is as its source had it, any characters: whoever makes markup of it escapes it. But paths are as ``lists``
    spells them, so that no two are shown alike.
  * What is cut to a bounded number says of how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.consistency.classes import TRAITS, Class, LimitGroup, Remedy

MISMATCHES = tuple(cls for cls in Class if TRAITS[cls].limits is LimitGroup.WRONG)
"""Classes that people see as one: the copy is corrupt."""

_WITH_PICTURE = [cls for cls in Class if TRAITS[cls].where]
PICTURED = tuple(sorted(_WITH_PICTURE, key=lambda cls: TRAITS[cls].remedy is not Remedy.REMOVAL))
"""The classes whose files are shown by directory, what is too much first."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Files and their bytes."""

    files: int = 0
    size: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.files + other.files, self.size + other.size)


NOTHING = Amount()


def total(amounts: Iterable[Amount]) -> Amount:
    """All of them together."""
    return sum(amounts, start=NOTHING)


@dataclass(frozen=True, slots=True)
class RunShown:
    """One run. Sums are empty unless its ``state`` is done; ``seconds`` is None where it is not known how long it took.

    ``state`` is "done", or what became of it instead, with the ``reason``.
    """

    run: str
    started_us: int
    seconds: float | None = None
    state: str = "done"
    reason: str = ""
    amounts: Mapping[Class, Amount] = field(default_factory=dict)
    expected: Amount = NOTHING
    actual: Amount = NOTHING
    directories: int = 0
    unlisted_places: int = 0
    agrees: bool = False
    has_page: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it has ended well."""
        return self.state == "done"

    def amount(self, *classes: Class) -> Amount:
        """What it found in these classes."""
        return total(self.amounts.get(cls, NOTHING) for cls in classes)


@dataclass(frozen=True, slots=True)
class ActionShown:
    """What was asked for because of a run: files of one class, by a request."""

    at_us: int
    run: str
    cls: Class
    request: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class GateShown:
    """Whether files of a class may be acted on, and why not; how many were found, and of these were confirmed."""

    cls: Class
    is_open: bool
    reasons: tuple[str, ...] = ()
    found: int = 0
    confirmed: int = 0


@dataclass(frozen=True, slots=True)
class WordShown:
    """What a person said of a site: its state or its mode from then on, and why."""

    at_us: int
    said: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SiteShown:
    """One site: its state and mode, its runs and what was said of it (oldest first), what was asked, and the gates."""

    site: str
    state: str = "ready"
    mode: str = "act"
    is_running: bool = False
    said: tuple[WordShown, ...] = ()
    runs: tuple[RunShown, ...] = ()
    actions: tuple[ActionShown, ...] = ()
    gates: tuple[GateShown, ...] = ()

    @property
    def done(self) -> tuple[RunShown, ...]:
        """The runs that ended well."""
        return tuple(run for run in self.runs if run.is_done)

    @property
    def latest(self) -> RunShown | None:
        """The last run that ended well."""
        return next((run for run in reversed(self.runs) if run.is_done), None)


@dataclass(frozen=True, slots=True)
class Rest:
    """The directories that are left out for being small, together."""

    directories: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class Branch:
    """A directory and what of a class lies below it: in itself, in each of its ``branches``, and in the ``rest``.

    The branches are ordered, the largest first. ``name`` is below the branch that this one is in; of a directory in
    which there is but one other it is the path of both, such as ``store/mc``.
    """

    path: str
    name: str
    amount: Amount
    own: Amount = NOTHING
    branches: tuple[Branch, ...] = ()
    rest: Rest | None = None


@dataclass(frozen=True, slots=True)
class PlaceShown:
    """A place that could not be judged, why, and how many expected files are below it."""

    path: str
    reason: str
    files: int


@dataclass(frozen=True, slots=True)
class Below:
    """A directory and what is below it."""

    path: str
    amount: Amount
    directories: int = 0


@dataclass(frozen=True, slots=True)
class DatasetShown:
    """A dataset and how much of it no other site can give back."""

    dataset: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class ListShown:
    """A list of all findings of a class, in a file beside the page."""

    cls: Class
    file: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RunDetail:
    """What one run found. Each list is cut; ``n_...`` says of how many. ``trouble`` says why nothing can be shown."""

    run: RunShown
    trees: Mapping[Class, Branch] = field(default_factory=dict)
    places: tuple[PlaceShown, ...] = ()
    n_places: int = 0
    lost: tuple[Below, ...] = ()
    n_lost: int = 0
    unrecoverable: tuple[DatasetShown, ...] = ()
    n_unrecoverable: int = 0
    empty: tuple[str, ...] = ()
    n_empty: int = 0
    usage: tuple[Below, ...] = ()
    n_usage: int = 0
    storage_file: str = ""
    """The name of the file beside the page that has the usage for programs; "" if there is none."""
    lists: tuple[ListShown, ...] = ()
    trouble: str = ""
