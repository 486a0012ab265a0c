"""Ledger: what of a tree is done and what still waits, so that a listing can stop anywhere and go on.

The engine asks a ledger which directories come next and tells it what it
found; the ledger keeps both. One keeps them on disk (``disk_ledger``): a
listing of days survives ``kill -9`` and goes on where it was. One keeps them
in memory and hands directories on as they come (``memory_ledger``).

Rules
  * ``take`` gives the newest directories first, each once in the life of one
    ledger object; what was taken and not ``found`` waits again when the ledger
    is opened anew.
  * ``found`` is quick and never blocks: it is called in the event loop.
  * ``save`` makes durable, in one step, that directories are done, what was in
    them, and that what is below them waits. After a crash at any point each
    directory of the tree is in the result exactly once.
  * Memory is bounded, whatever waits: what is too much to hold lies on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from holdfast.storage.listing.tables import Directory


class WaitingDirectory(NamedTuple):
    """A directory that is to be listed; ``mtime_ns`` as its parent's listing gave it, None for the top."""

    dir: str
    mtime_ns: int | None = None


class Ledger(Protocol):
    """See the module's docstring. Used by one engine at a time, in one event loop."""

    @property
    def top(self) -> str:
        """Where the listing began: no directory above it is known."""

    @property
    def waiting(self) -> int:
        """How many directories were neither taken nor done."""

    def take(self, count: int) -> Sequence[WaitingDirectory]:
        """Up to ``count`` of the directories that wait; none if none waits now."""

    def found(self, directory: Directory) -> None:
        """One directory is done, whatever its state; its sub-directories wait from now on."""

    def spool(self, waiting: WaitingDirectory) -> Spool:
        """Room for a directory that comes in pieces and may be larger than memory."""

    @property
    def due(self) -> bool:
        """Whether enough was found since the last ``save`` that it is time to save."""

    def save(self) -> None:
        """Keep what was found. Runs in a thread, once at a time, while ``found`` and ``take`` may be called."""

    def finish(self) -> object:
        """Nothing waits any more: save, and complete the result."""

    def close(self) -> None:
        """Let go of files; what was saved stays and can be gone on with. Calling twice does no harm."""


class Spool(Protocol):
    """One directory in pieces. Until ``keep`` nothing of it counts."""

    def add(self, piece: Directory) -> None:
        """Take the next piece: entries and oddities that are not in any other piece. May write: runs in a thread."""

    def keep(self, last: Directory) -> None:
        """It is whole: ``last`` has its state, reason and time, and its last entries. Counts as ``found``."""

    def drop(self) -> None:
        """It broke off: forget all pieces. ``found`` is then told what became of the directory."""
