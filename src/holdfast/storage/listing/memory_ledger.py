"""MemoryLedger: a listing that is handed on as it is found, for those who keep the result themselves.

Rules
  * The sink gets directories in batches of about ``BATCH_ROWS`` rows, one batch
    at a time, none twice; each is whole.
  * ``finish`` hands over the rest and tells the sink that all is in; a ledger
    that is closed without that tells it to leave nothing behind.
  * It cannot be gone on with, and what waits is in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from holdfast.model import names
from holdfast.storage.driver import Entry
from holdfast.storage.listing.disk_spool import below
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.tables import Directory, Oddity
from holdfast.storage.listing.waiting_stack import WaitingStack

BATCH_ROWS = 4096
"""How many rows to collect before a trip to the sink: a trip costs more than a small directory."""


class Sink(Protocol):
    """Where directories go."""

    def add(self, directories: Sequence[Directory]) -> None:
        """Take some directories, never twice the same."""

    def finish(self) -> None:
        """All is in: complete the result."""

    def abandon(self) -> None:
        """The listing failed: leave nothing behind."""


class MemoryLedger:
    """A ledger that begins with the directory ``top``."""

    def __init__(self, sink: Sink, top: str = "/") -> None:
        names.directory(top)
        self._sink = sink
        self.top = top
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._found: list[Directory] = []
        self._rows = 0
        self._ended = False
        self._stack = WaitingStack(0, 1)
        self._stack.push([(top, None)])

    @property
    def waiting(self) -> int:
        """How many directories were neither taken nor done."""
        return self._stack.count

    def take(self, count: int) -> Sequence[WaitingDirectory]:
        """The newest directories that wait."""
        with self._lock:
            return self._stack.take(count)

    def found(self, directory: Directory) -> None:
        """One directory is done."""
        waiting = zip(*below(directory.dir, directory.directories), strict=True)
        with self._lock:
            self._stack.done(directory.dir)
            self._stack.push(waiting)
            self._found.append(directory)
            self._rows += 1 + len(directory.files) + len(directory.oddities)

    def spool(self, waiting: WaitingDirectory) -> MemorySpool:
        """Room for a directory that comes in pieces: in memory, as its sink wants it whole."""
        return MemorySpool(self)

    @property
    def due(self) -> bool:
        """Whether there is enough for a batch."""
        return self._rows >= BATCH_ROWS

    def save(self) -> None:
        """Hand over what was found."""
        with self._saving:
            with self._lock:
                batch, self._found, self._rows = self._found, [], 0
            if batch:
                self._sink.add(batch)

    def finish(self) -> None:
        """Hand over the rest; all is in."""
        self.save()
        self._sink.finish()
        self._ended = True

    def close(self) -> None:
        """Tell the sink if the end was not reached."""
        with self._saving:
            if not self._ended:
                self._ended = True
                self._sink.abandon()


class MemorySpool:
    """The pieces of one directory."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._pieces: list[Directory] = []

    def add(self, piece: Directory) -> None:
        """Take the next piece."""
        self._pieces.append(piece)

    def keep(self, last: Directory) -> None:
        """Take the last piece; the directory is found."""
        self._pieces.append(last)
        self._ledger.found(joined(self._pieces))
        self._pieces = []

    def drop(self) -> None:
        """Forget all pieces."""
        self._pieces = []


def joined(pieces: Sequence[Directory]) -> Directory:
    """The directory whose pieces these are; what is said of it as a whole is in the last."""
    last = pieces[-1]
    oddities: list[Oddity] = [oddity for piece in pieces for oddity in piece.oddities]
    return Directory(
        last.dir,
        last.state,
        last.reason,
        last.mtime_ns,
        tuple(sorted((entry for piece in pieces for entry in piece.files), key=_name)),
        tuple(sorted((entry for piece in pieces for entry in piece.directories), key=_name)),
        tuple(oddities),
    )


def _name(entry: Entry) -> str:
    # Text in the order of its characters is in that of its bytes, too: UTF-8 was made so.
    return entry.name
