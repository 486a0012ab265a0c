"""TransferEngine: what operations asks of whatever moves bytes between sites.

``carry`` brings the files of one job, all from one site to one other, and tells
the desk what became of each. Engines that know single files only are written as
a ``FileEngine`` and made into a TransferEngine by ``engines.one_by_one``.

Rules
  * Every file of the job is settled at the desk exactly once before ``carry``
    returns, except where it raises.
  * COPIED and FOUND say the same: the file lies under its final path, its size
    and checksum having been read back from there (or from the part that was
    then renamed in one step) after ``Outcome.verified_us``. No other verdict
    leaves a new file under the final path.
  * A good file at the destination is found, not copied again; but one that was
    called wrong (``replaceable``) only if it was read. A different one
    stays, and the transfer fails; unless ``replaceable``, asked right before,
    lets it go, and then not before a good copy is at hand, where the storage
    can rename. What is no regular file is never touched.
  * A mismatch at the destination is told of the end that is wrong: the source
    is asked, too.
  * Whatever lies at the destination before the end carries ``Transfer.token``
    in its name (``holdfast.storage.parts``) where the way of copying lets us
    choose it, so that ``discard`` removes it. Tokens are never used again.
  * Before a call that changes anything, ``desk.check()`` is asked; it raises
    ClaimLost if the job is not ours any more. Only the parts of this very
    claim are removed without asking: they are nobody else's.
  * An engine that hands the job to a service keeps the service's name of it at
    the desk, durably, before it goes on. A job that has a handle when ``carry``
    is called was begun by somebody before us: it is taken up, not begun again.
    An engine marks what it submits with ``Job.claim``, so that a submission
    whose answer was lost can be found.
  * A cancelled ``carry`` stops what it does itself, cleans up behind itself, and
    then lets the cancellation on. A job at a service goes on, to be taken up by
    its handle; ``cancel`` ends that, too.
  * Failures of sites are outcomes, not exceptions. EngineDown: the engine
    itself cannot work now; nothing is settled that was not. BrokenInvariant and
    what is not of our family are raised.

Every implementation passes ``holdfast.testing.engine_suite``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.operations.codes import Code
from holdfast.storage.driver import StorageDriver

Note = Callable[[int], None]
"""Told of further bytes that have passed, for progress only."""


class EngineDown(PeerError):
    """The engine itself (a service, a program) cannot work now; others can."""


class ClaimLost(HoldfastError):
    """The batch is not ours any more: its request was closed, or our lease has passed."""


@dataclass(frozen=True, slots=True)
class Place:
    """One file's place at one site: through the driver as ``path``, for other programs as ``pfn``."""

    site: str
    driver: StorageDriver
    path: str
    pfn: str
    is_tape: bool = False

    def __str__(self) -> str:
        return f"{self.site}:{self.path}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file to be brought from one place to another."""

    ordinal: int
    token: str
    size: int
    checksums: Mapping[str, str]
    source: Place
    destination: Place
    replaceable: Callable[[], str] | None = None
    """Why a different file in the place must stay now, "" if it may go; None: it always stays."""


@dataclass(frozen=True, slots=True)
class Job:
    """The files of one batch, on one link."""

    claim: str
    transfers: Sequence[Transfer]
    priority: int = 3
    streams: int = 1
    """How many of the files may be under way at once."""
    handle: str = ""


class Verdict(StrEnum):
    """What a try has led to."""

    COPIED = "copied"
    FOUND = "found"
    """It was there already."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file. ``error`` names the end that failed, ``code`` says whether to try again."""

    verdict: Verdict
    verified_us: int = 0
    code: Code | None = None
    error: str = ""
    has_replaced: bool = False
    """Copied over a different file, which is gone now."""


class Desk(Protocol):
    """Where an engine tells how it goes with one job."""

    async def check(self) -> None:
        """Raises ClaimLost unless the job is still ours; to be asked before every call that changes anything."""

    async def keep(self, handle: str) -> None:
        """Remember the service's name of the job; durable when this returns. Raises ClaimLost."""

    def moved(self, ordinal: int, n_bytes: int) -> None:
        """Further bytes of one file have passed."""

    def settle(self, ordinal: int, outcome: Outcome) -> None:
        """One file is over."""


class TransferEngine(Protocol):
    """Brings the files of jobs. The module's docstring is the contract."""

    @property
    def name(self) -> str:
        """What links and people call it."""

    @property
    def outlives_caller(self) -> bool:
        """Whether what it has begun may go on for a while, unseen, when the process is killed that it works in."""

    def can(self, source: Place, destination: Place) -> str:
        """Why this engine cannot serve such a link; "" if it can. Asks nobody."""

    async def carry(self, job: Job, desk: Desk) -> None:
        """Bring the files of one job."""

    async def cancel(self, handle: str) -> None:
        """End a job at the service, if it is not over; EngineDown if that cannot be told to it."""

    async def discard(self, destination: Place, token: str) -> None:
        """Remove what an interrupted transfer has left; no error if there is nothing."""

    async def close(self) -> None:
        """Let go of connections and processes; jobs at services go on."""


class FileEngine(Protocol):
    """An engine that knows single files; the same rules."""

    @property
    def name(self) -> str:
        """What links and people call it."""

    def can(self, source: Place, destination: Place) -> str:
        """Why it cannot; "" if it can."""

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        """Bring one file, or say why not. ``check`` is the desk's."""

    async def discard(self, destination: Place, token: str) -> None:
        """As a TransferEngine's."""

    async def close(self) -> None:
        """As a TransferEngine's."""


class Check(Protocol):
    """``Desk.check``."""

    async def __call__(self) -> None:
        """Raises ClaimLost unless the job is still ours."""
