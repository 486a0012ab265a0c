"""Publication: what is to be published, how far it has come, and what came of it.

Values only. A publication is one dataset version, taken from one directory of
one site; all of that together is what an interrupted run is found again by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from holdfast.model import checksums, names
from holdfast.model.errors import BadInput
from holdfast.model.names import DatasetKey
from holdfast.model.records import Site

PROBLEMS_MAX = 1000
"""How many problem files a report names; it counts them all."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the publisher says of the dataset beside its files; ``group`` owns the replica."""

    type: str = ""
    software_version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    required_copies: int = 1


@dataclass(frozen=True, slots=True)
class Publication:
    """One dataset version from one directory of one site; ``algorithm`` is the cryptographic digest."""

    dataset: DatasetKey
    site: Site
    directory: str
    algorithm: str = "sha256"
    description: Description = field(default_factory=Description)

    @property
    def place(self) -> str:
        """Where the files lie, for people."""
        return f"{self.site.name}:{self.directory}"

    def check(self) -> None:
        """BadInput if nothing can be published so."""
        names.dataset_key(str(self.dataset))
        names.directory(self.directory)
        if self.algorithm not in checksums.CRYPTOGRAPHIC:
            known = " or ".join(sorted(checksums.CRYPTOGRAPHIC))
            raise BadInput(f"{self.algorithm!r} is not a cryptographic digest", hint=f"take {known}")


class Phase(StrEnum):
    """The parts of the work, in order."""

    SCAN = "scan"
    READ = "read"
    RECHECK = "recheck"
    """Listing once more, for files that changed after they were read."""
    REGISTER = "register"


@dataclass(frozen=True, slots=True)
class PublishProgress:
    """How far one phase has come; totals are 0 while nobody knows them."""

    phase: Phase
    n_files: int
    size: int
    n_files_total: int = 0
    size_total: int = 0


OnProgress = Callable[[PublishProgress], None]


def no_progress(progress: PublishProgress) -> None:
    """For callers that do not want to know."""


class PublishOutcome(StrEnum):
    """How a publish ended."""

    PUBLISHED = "published"
    ALREADY_PUBLISHED = "already-published"
    """The dataset was visible, and every file was read and is the same."""
    INCOMPLETE = "incomplete"
    """Some files changed, vanished or could not be read; nothing is visible, and the next run reads only those."""


@dataclass(frozen=True, slots=True)
class PublishProblem:
    """One file (path within the site) that keeps the dataset from being published."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What a publish did. ``n_files``, ``size`` and ``n_blocks`` are the dataset's.

    ``read`` is what this run read, ``reused`` what an earlier one had read;
    ``position`` is the journal's after it. INCOMPLETE has no blocks yet, and the
    files that are listed now.
    """

    dataset: DatasetKey
    site: str
    directory: str
    outcome: PublishOutcome
    n_files: int
    size: int
    n_blocks: int
    read_files: int
    read_bytes: int
    reused_files: int
    reused_bytes: int
    n_problems: int
    problems: tuple[PublishProblem, ...]
    seconds: float
    position: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a publish would register; ``lfns`` are some of the names.

    ``is_published``: it is visible already, so a publish would read the files and compare.
    """

    dataset: DatasetKey
    site: str
    directory: str
    n_files: int
    size: int
    lfns: tuple[str, ...]
    seconds: float
    is_published: bool = False
