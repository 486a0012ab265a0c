"""Hands: what a tool can do to a storage by itself, one request each.

Tools such as ``xrdfs`` and ``gfal2`` replace what they should not, make
directories nobody asked for, and call a removal of nothing a success. They are
not asked to be better: ``holdfast.storage.guarded.driver`` makes a StorageDriver of
them by looking before and after.

Rules
  * Paths are those of the driver, already checked.
  * Errors are those of the StorageDriver contract, without a place. A number
    or word of the far side that stands for several things is Unclear.
  * Every call has an end of its own, and what it started is over by then.
  * A file that ``write`` makes may be left behind, whole or not, if it fails.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Protocol

from holdfast.model import names
from holdfast.model.checksums import Checksums
from holdfast.model.errors import InvalidName, PeerError
from holdfast.storage.driver import Capabilities, DirectoryNames, Entry, Stat, Unnameable


class Unclear(PeerError):
    """The far side says no with a number that has several meanings; whoever asked looks closer."""


class Unreadable(PeerError):
    """The tool cannot make out a listing; a name with a line feed in it does that."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer to ``list``: entries in any order, as often as they were given, and names that came without a stat."""

    entries: tuple[Entry, ...]
    bare: tuple[str, ...] = ()
    unnameable: tuple[Unnameable, ...] = ()
    doubt: str = ""


def named(raw: bytes) -> tuple[str, str]:
    """The name that these bytes are, or why they are none."""
    try:
        return names.file_name(raw.decode()), ""
    except UnicodeDecodeError:
        return "", "the name is not UTF-8"
    except InvalidName as error:
        return "", error.message


def heard_names(raws: Iterable[bytes]) -> DirectoryNames:
    """The names that these bytes are, and those that are none."""
    pairs = [(raw, *named(raw)) for raw in raws]
    unnameable = tuple(Unnameable(raw, reason) for raw, _, reason in pairs if reason)
    return DirectoryNames(tuple(name for _, name, reason in pairs if not reason), unnameable)


class Hands(Protocol):
    """One way to reach into one storage."""

    @property
    def capabilities(self) -> Capabilities:
        """What a driver over these hands can do."""

    async def list(self, path: str) -> Heard:
        """What is in a directory; Unreadable if it can only be looked at name by name."""

    async def names(self, path: str) -> DirectoryNames:
        """The names in a directory, in any order, by another request than ``list`` makes."""

    async def stat(self, path: str) -> Stat:
        """What is there."""

    async def told(self, path: str, algorithm: str) -> Checksums:
        """The digest that the storage tells of a file; nothing if it knows none; PeerError if it tells nonsense."""

    def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file, in chunks of at most CHUNK_BYTES."""

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        """Make a file in a directory that is there. Nobody has the name; should somebody, anything may happen.

        An exception of ``chunks`` comes through.
        """

    async def move(self, source: str, target: str) -> None:
        """Give a file another name, which may replace what has it."""

    async def remove(self, path: str) -> None:
        """Remove what is at ``path``, which was a file when it was looked at."""

    async def make_directories(self, path: str) -> None:
        """Make a directory and its parents; AlreadyThere, or nothing, if something is there."""

    async def remove_directory(self, path: str) -> None:
        """Remove what is at ``path``, which was an empty directory when it was looked at."""

    async def close(self) -> None:
        """End whatever still runs."""
