"""TransferEngine: what operations asks of whatever moves bytes between sites.

One call brings one file. An engine that works in bulk (a transfer service)
gathers calls that wait at the same time into one submission; it is then given
a high concurrency, and each caller still waits for its own outcome.

Rules
  * COPIED and FOUND say the same: the file lies under its final path, its size
    and checksum having been read back from there, or from the part that was
    then renamed in one step, after ``Outcome.verified_us``. No other verdict
    leaves a new file under the final path.
  * A good file at the destination is found, not copied again. A different one
    stays, and the transfer fails; unless ``replaceable``, asked right before,
    lets it go, and then not before a good part is complete, where the storage
    can rename. What is no regular file is never touched.
  * Sources are tried in the given order; what was wrong with each is told.
  * Whatever lies at the destination before the end carries ``token`` in its
    name (``holdfast.storage.parts``), so that a later call with the same token,
    or ``discard``, removes it. The same token again means the same transfer:
    an engine may take it up where it was, or must begin anew.
  * A cancelled call cleans up behind itself and then lets the cancellation on.
  * Failures of sites are outcomes, not exceptions. BrokenInvariant and what is
    not of our family are raised.

Every implementation passes ``holdfast.testing``'s suite for engines, once
there are two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from holdfast.storage.driver import StorageDriver

Note = Callable[[int], None]
"""Told of bytes as they pass, for progress only."""


@dataclass(frozen=True, slots=True)
class Place:
    """One file's place at one site: through the driver as ``path``, for other programs as ``pfn``."""

    site: str
    driver: StorageDriver
    path: str
    pfn: str

    def __str__(self) -> str:
        return f"{self.site}:{self.path}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file to be brought to one place. The caller knows that the destination is not said to hold it."""

    token: str
    size: int
    checksums: Mapping[str, str]
    destination: Place
    sources: tuple[Place, ...]
    replaceable: Callable[[], str] | None = None
    """Why a different file in the place must stay now, "" if it may go; None: it always stays."""


class Verdict(StrEnum):
    """What a try has led to."""

    COPIED = "copied"
    FOUND = "found"
    """It was there already."""
    RETRY = "retry"
    """The same call may succeed later."""
    FAILED = "failed"
    """The same call will fail again."""
    FULL = "full"
    """No room at the destination; neither for this file nor, it must be feared, for others."""


@dataclass(frozen=True, slots=True)
class SourceFault:
    """Why a file could not be had from one site."""

    site: str
    error: str
    is_permanent: bool
    is_wrong: bool = False
    """The site has a file, and it is not the one that the inventory knows."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one transfer. ``error`` names the end that failed."""

    verdict: Verdict
    source: str = ""
    verified_us: int = 0
    error: str = ""
    faults: tuple[SourceFault, ...] = ()
    has_replaced: bool = False
    """Copied over a different file, which is gone now."""


class TransferEngine(Protocol):
    """Brings files. The module's docstring is the contract."""

    async def transfer(self, transfer: Transfer, note: Note) -> Outcome:
        """Bring one file, or say why not."""

    async def discard(self, destination: Place, token: str) -> None:
        """Remove what an interrupted transfer has left; no error if there is nothing."""
