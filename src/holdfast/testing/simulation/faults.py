"""What goes wrong while one deed is done: errors, lies, crashes, and people who change files meanwhile.

Rules
  * All chance comes from one seeded source, drawn in the order of the calls.
  * A crash takes everything but storages and the store's disk, and these as
    they are at that instant: what a dying process still does reaches nobody.
  * Errors are those that the contracts of driver and store allow, no others.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.model import names
from holdfast.model.errors import HoldfastError, OperatorError, PeerError
from holdfast.storage import parts
from holdfast.storage.driver import NoSpace, NotAllowed

CALLS_MAX = 20_000
"""More calls than any honest deed in so small a world makes."""


CHANGING = frozenset({"write", "rename", "delete", "remove_directory"})


class Crash(BaseException):
    """The process dies here."""


class Livelock(Exception):
    """A deed goes on and on."""


@dataclass(frozen=True)
class Rates:
    """How probable each fault is, per call."""

    peer_error: float = 0.0
    refusal: float = 0.0
    no_space: float = 0.0
    lie: float = 0.0
    store_error: float = 0.0


CALM = Rates()
WEATHER = (
    CALM,
    Rates(peer_error=0.02, lie=0.01, store_error=0.01),
    Rates(peer_error=0.1, refusal=0.01, no_space=0.01, lie=0.05, store_error=0.03),
)
"""No faults, some, many."""


@dataclass
class Faults:
    """The faults of one deed. ``die`` is called at the instant of the crash, ``spoil`` to make a write a lie."""

    source: random.Random
    rates: Rates = CALM
    crash_at: tuple[str, int] | None = None
    """("step", "driver" or "store", at which call)."""
    meddle_at: int = 0
    die: Callable[[], None] = lambda: None
    spoil: Callable[[str, str], bool] = lambda site, path: False
    meddle: Callable[[], None] = lambda: None
    counts: Counter[str] = field(default_factory=Counter)
    steps: list[str] = field(default_factory=list)
    n_faults: int = 0
    is_dead: bool = False
    overslept: int = 0
    """The thread whose worker has slept past its lease and does not know it yet; 0: none."""
    trespasses: list[str] = field(default_factory=list)
    """What that worker has changed nevertheless."""
    _calls: Counter[str] = field(default_factory=Counter)
    _passed: Counter[str] = field(default_factory=Counter)

    @property
    def n_troubles(self) -> int:
        """Faults, but for somebody who meddled."""
        return self.n_faults - self.counts["meddled"]

    def on_step(self, name: str) -> None:
        """A named step was passed."""
        self._call("step")
        self.steps.append(name)
        if name == "work.registered" and threading.get_ident() == self.overslept:
            self.overslept = 0  # It has noticed, and is another worker now.

    def on_driver(self, site: str, operation: str, path: str) -> None:
        """A driver reached one of its fault points."""
        self._call("driver")
        if self._calls["driver"] == self.meddle_at:
            self._count("meddled")
            self.meddle()
        if threading.get_ident() == self.overslept and operation in CHANGING and not _is_cleaning(operation, path):
            self._trespass(site, operation, path)
        if operation == "write.done" and self._happens(self.rates.lie) and self.spoil(site, path):
            self._count("lying write")
        error = self._driver_error(operation)
        if error is not None:
            self._count(type(error).__name__)
            raise error

    def on_store(self, point: str) -> None:
        """The store reached one of its fault points. Once done is done: only a crash loses the answer."""
        self._call("store")
        if not point.endswith(".done") and self._happens(self.rates.store_error):
            self._count("store error")
            raise OperatorError("the disk is full", place="simulated")

    def _trespass(self, site: str, operation: str, path: str) -> None:
        """Something is changed by a worker that has slept past its lease.

        Of each stream one call is let pass: it may have been asked for just
        before the machine fell asleep. A worker that sleeps has one stream for
        copies, and one for the deletions, and the moves into quarantine, at each site.
        """
        stream = "" if _is_copying(operation, path) else site
        self._passed[stream] += 1
        if self._passed[stream] > 1:
            self.trespasses.append(f"S6: {operation} of {site}:{path} by a worker that has slept past its lease")

    def _call(self, kind: str) -> None:
        if self.is_dead:
            raise Crash
        self._calls[kind] += 1
        if self._calls[kind] > CALLS_MAX:
            raise Livelock(f"more than {CALLS_MAX} calls to {kind}")
        if self.crash_at == (kind, self._calls[kind]):
            self._count(f"crash at a {kind} call")
            self.is_dead = True
            self.die()
            raise Crash

    def _driver_error(self, operation: str) -> HoldfastError | None:
        if operation in ("write", "write.chunk", "write.finish") and self._happens(self.rates.no_space):
            return NoSpace("no space left on the storage")
        # Who refuses has done nothing; of what is done only the answer can be lost.
        if not operation.endswith(".done") and self._happens(self.rates.refusal):
            return NotAllowed("permission denied")
        if self._happens(self.rates.peer_error):
            return PeerError("the storage does not answer")
        return None

    def _happens(self, probability: float) -> bool:
        # Nothing is drawn for what cannot happen, so that calm deeds do not depend on how many calls they make.
        return probability > 0 and self.source.random() < probability

    def _count(self, what: str) -> None:
        self.n_faults += 1
        self.counts[what] += 1


def _is_copying(operation: str, path: str) -> bool:
    """Whether a call is of a copy. What has a name already, and is given another, is moved into the quarantine."""
    return operation == "write" or (operation == "rename" and parts.is_part_name(names.split(path)[1]))


def _is_cleaning(operation: str, path: str) -> bool:
    """Whether a call removes what its own worker has left half done."""
    return operation == "delete" and parts.is_part_name(names.split(path)[1])
