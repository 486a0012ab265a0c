"""Work folder: where one cleaning of a site works, and what an interrupted one has left to go on with.

    REPORTS/.cleaning/SITE/WHAT/work/    while it works: begun.json, the listings, found.parquet
    REPORTS/.cleaning/SITE/WHAT/last/    what the last one that came to its end decided: decisions.parquet

WHAT is ``areas`` or ``quarantine``; no site's name begins with a dot.

Rules
  * One cleaning of the same at a time; Conflict names the process that is at it.
  * What was broken off by a kill, a cancellation, the operator's disk or a far
    side is gone on with by the next one, if that would have begun alike and it is
    not too old; else it is removed.
  * What a cleaning has decided is there whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from holdfast.consistency import resumable

FOLDER = ".cleaning"
DECISIONS = "decisions.parquet"
_BEGUN, _FOUND, _WORK, _LAST = "begun.json", "found.parquet", "work", "last"


@dataclass(frozen=True, slots=True)
class BegunCleaning:
    """How a cleaning began: of what (any text that differs if that does), when, what was protected by which source."""

    identity: str
    started_us: int
    protected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class WorkFolder:
    """The folder of one cleaning, and how it began, if it did so earlier."""

    path: Path
    begun: BegunCleaning | None = None

    def listing(self, number: int) -> Path:
        """Where the listing of the area with this number is."""
        return self.path / f"listing-{number}"

    @property
    def found(self) -> Path:
        """What was decided, in the order in which it was found."""
        return self.path / _FOUND

    @property
    def decisions(self) -> Path:
        """What was decided, in the order of the paths."""
        return self.path / DECISIONS

    @property
    def kept(self) -> Path:
        """Where that is when all is over."""
        return self.path.parent / _LAST / DECISIONS

    def begin(self, begun: BegunCleaning) -> None:
        """Note how the cleaning began."""
        self.begun = begun
        resumable.note(asdict(begun), self.path / _BEGUN)


@contextmanager
def work_folder(
    reports: Path, site: str, what: str, *, usable: Callable[[BegunCleaning], bool]
) -> Iterator[WorkFolder]:
    """The folder to clean ``what`` of a site in; what is decided stays in the end."""
    parent = reports / FOLDER / site / what
    with resumable.held(parent, busy=f"{site} is being cleaned already"):
        folder = _opened(parent / _WORK, usable)
        try:
            yield folder
        except BaseException as error:
            if not resumable.may_pass(error):
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        _keep(folder)


def _opened(path: Path, usable: Callable[[BegunCleaning], bool]) -> WorkFolder:
    begun = _read(path / _BEGUN)
    if begun is not None and usable(begun):
        return WorkFolder(path, begun)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return WorkFolder(path)


def _keep(folder: WorkFolder) -> None:
    """What was decided takes the place of what was before; all else goes."""
    last = folder.kept.parent
    shutil.rmtree(last, ignore_errors=True)
    if folder.decisions.exists():
        part = last.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        folder.decisions.rename(part / DECISIONS)
        part.rename(last)
    shutil.rmtree(folder.path, ignore_errors=True)


def _read(path: Path) -> BegunCleaning | None:
    try:
        document = json.loads(path.read_bytes())
        protected = {str(name): tuple(map(str, paths)) for name, paths in document["protected"].items()}
        return BegunCleaning(str(document["identity"]), int(document["started_us"]), protected)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
